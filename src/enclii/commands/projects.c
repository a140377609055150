#include "enclii/commands.h"
#include "enclii/deletion.h"
#include "enclii/output.h"
#include "enclii/target.h"
#include "model/project.h"

static bool list(struct cli *cli, GError **error)
{
    struct client *client = cli_client(cli, error);
    json_t *reply = client != NULL ? client_get_all(client, "/v1/projects", "projects", error) : NULL;
    bool ok = reply != NULL && output_list(cli, &project_type, reply, "projects", "No projects yet.", error);
    json_decref(reply);
    return ok;
}

/* One call whose reply is the project. */
static bool call(struct cli *cli, const char *method, const char *target, const json_t *body, GError **error)
{
    struct client *client = cli_client(cli, error);
    json_t *reply = client != NULL ? client_send(client, method, target, body, error) : NULL;
    bool ok = reply != NULL && output_object(cli, &project_type, reply, error);
    json_decref(reply);
    return ok;
}

static bool create(struct cli *cli, GError **error)
{
    const char *slug = cli_argument(cli, 0);
    const char *name = cli_flag(cli, "name");
    json_t *body = json_pack("{s:s, s:s, s:s*}", "slug", slug, "name", name != NULL ? name : slug, "description",
                             cli_flag(cli, "description"));
    bool ok = call(cli, "POST", "/v1/projects", body, error);
    json_decref(body);
    return ok;
}

/* The project named as an operand, else as everywhere. */
static const char *named(struct cli *cli, GError **error)
{
    const char *slug = cli_argument(cli, 0);
    return slug != NULL ? slug : target_project(cli, error);
}

static bool show(struct cli *cli, GError **error)
{
    const char *slug = named(cli, error);
    g_autofree char *target = slug != NULL ? client_target("/v1/projects/%s", slug) : NULL;
    return slug != NULL && call(cli, "GET", target, NULL, error);
}

static bool restore(struct cli *cli, GError **error)
{
    g_autofree char *target = client_target("/v1/projects/%s/restore", cli_argument(cli, 0));
    return call(cli, "POST", target, NULL, error);
}

static bool delete_project(struct cli *cli, GError **error)
{
    g_autofree char *target = client_target("/v1/projects/%s", cli_argument(cli, 0));
    g_autofree char *question = g_strdup_printf("Delete project %s and stop all of it?", cli_argument(cli, 0));
    return delete_after_asking(cli, target, "force=true", question, error);
}

static const struct flag create_flags[] = {
    {.name = "name", .value = "TEXT", .doc = "the name that people read; without it the slug"},
    {.name = "description", .value = "TEXT", .doc = "what it is"},
    {NULL},
};
static const struct flag delete_flags[] = {
    {.name = "yes", .letter = 'y', .doc = "do not ask"},
    {NULL},
};

const struct command projects_list_command = {
    .name = "projects list",
    .summary = "List the projects",
    .run = list,
};
const struct command projects_create_command = {
    .name = "projects create",
    .arguments = "SLUG",
    .summary = "Create a project with its environments production and preview",
    .details = "`enclii up` does it by itself.",
    .flags = create_flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = create,
};
const struct command projects_show_command = {
    .name = "projects show",
    .arguments = "[SLUG]",
    .summary = "Show a project",
    .max_arguments = 1,
    .run = show,
};
const struct command projects_delete_command = {
    .name = "projects delete",
    .arguments = "SLUG",
    .summary = "Delete a project and all of its services; 48 hours to undo",
    .details = "Says first exactly what goes, and asks. Volumes are kept.",
    .flags = delete_flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = delete_project,
};
const struct command projects_restore_command = {
    .name = "projects restore",
    .arguments = "SLUG",
    .summary = "Undo the deletion of a project",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = restore,
};
