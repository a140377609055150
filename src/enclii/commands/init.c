#include <string.h>

#include "base/file.h"
#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/scaffold.h"
#include "enclii/spec_file.h"

static json_t *as_json(const char *path, const char *project, const GPtrArray *services)
{
    json_t *list = json_array();
    for (guint i = 0; i < services->len; i++) {
        const struct scaffold_service *service = g_ptr_array_index(services, i);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:s?, s:s?}", "name", service->name, "build",
                                              service->context, "builder", service->builder, "label", service->label,
                                              "reason", service->reason));
    }
    return json_pack("{s:s, s:s, s:o}", "path", path, "project", project, "services", list);
}

static bool tell(struct cli *cli, const char *path, const char *project, const GPtrArray *services, GError **error)
{
    for (guint i = 0; i < services->len; i++) {
        const struct scaffold_service *service = g_ptr_array_index(services, i);
        say(cli, "  %s  %s  %s: %s", service->name, service->context, service->label, service->reason);
    }
    say(cli, "Wrote %s for the project %s. Next: enclii up", SPEC_FILE_NAME, project);
    if (cli->output == OUTPUT_TABLE) {
        return true;
    }
    json_t *json = as_json(path, project, services);
    bool ok = output_json(cli, json, error);
    json_decref(json);
    return ok;
}

static char *choose_project(const struct cli *cli, const char *folder, GError **error)
{
    const char *asked = cli_argument(cli, 0) != NULL ? cli_argument(cli, 0) : cli_flag(cli, "project");
    if (asked == NULL) {
        g_autofree char *name = g_path_get_basename(folder);
        return scaffold_slug(name);
    }
    g_autofree char *slug = scaffold_slug(asked);
    if (strcmp(slug, asked) == 0) {
        return g_steal_pointer(&slug);
    }
    sy_fail(error, SY_INVALID_INPUT, "%s cannot be the name of a project", asked);
    sy_error_set_hint(error, "enclii init %s", slug);
    return NULL;
}

static bool run(struct cli *cli, GError **error)
{
    g_autofree char *folder = g_get_current_dir();
    g_autofree char *path = g_build_filename(folder, SPEC_FILE_NAME, NULL);
    g_autofree char *project = choose_project(cli, folder, error);
    g_autoptr(GPtrArray) services = project != NULL ? scaffold_look(folder, error) : NULL;
    if (services == NULL) {
        return false;
    }
    g_autofree char *text = scaffold_text(project, services);
    g_autoptr(spec_file_t) check = spec_file_parse(text, strlen(text), SPEC_FILE_NAME, error);
    if (check == NULL) {
        g_prefix_error(error, "the text that was made is not right: ");
        return false;
    }
    if (!file_create(path, text, strlen(text), 0644, error)) {
        if (sy_error_code(*error) == SY_ALREADY_EXISTS) {
            sy_error_set_hint(error, "It is kept as it is. Run it with: enclii up");
        }
        return false;
    }
    return tell(cli, path, project, services, error);
}

const struct command init_command = {
    .name = "init",
    .arguments = "[PROJECT]",
    .summary = "Look at this folder and write a first enclii.yaml",
    .details = "Says what was found and why: a Dockerfile, Go, Node, Python, C or static pages. When nothing fits the "
               "folder itself,\n"
               "the folders in it are looked at, and each one that fits becomes a service. The project is named after "
               "the folder\n"
               "unless PROJECT says otherwise. A file that is there is never overwritten.",
    .max_arguments = 1,
    .run = run,
};
