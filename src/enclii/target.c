#include "enclii/target.h"

#include <libfyaml.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "model/environment.h"

#define SPEC_LIMIT (1 << 20)

/* --- project ------------------------------------------------------------------------------------- */

char *target_spec_file(void)
{
    g_autofree char *folder = g_get_current_dir();
    for (;;) {
        g_autofree char *path = g_build_filename(folder, "enclii.yaml", NULL);
        if (access(path, F_OK) == 0) {
            return g_steal_pointer(&path);
        }
        if (strcmp(folder, "/") == 0 || strcmp(folder, ".") == 0) {
            return NULL;
        }
        char *parent = g_path_get_dirname(folder);
        g_free(folder);
        folder = parent;
    }
}

/* The reports of libfyaml are not for stderr. */
static void drop_report(struct fy_diag *diag, void *user, const char *text, size_t length)
{
}

/* `project:` and nothing else: other commands than up and deploy work beside a file that has errors.
 */
static char *project_of_text(const char *text, size_t length)
{
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.output_fn = drop_report;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    const struct fy_parse_cfg config = {.flags = FYPCF_DEFAULT_PARSE, .diag = diag};
    struct fy_document *document = fy_document_build_from_string(&config, text, length);
    struct fy_node *root = document != NULL ? fy_document_root(document) : NULL;
    struct fy_node *node =
        root != NULL && fy_node_is_mapping(root) ? fy_node_mapping_lookup_by_string(root, "project", FY_NT) : NULL;
    size_t n = 0;
    const char *value = node != NULL ? fy_node_get_scalar(node, &n) : NULL;
    char *project = value != NULL ? g_strndup(value, n) : NULL;
    fy_document_destroy(document);
    fy_diag_unref(diag);
    return project;
}

static bool project_of_file(struct cli *cli, GError **error)
{
    g_autofree char *path = target_spec_file();
    size_t length = 0;
    if (path == NULL) {
        return true;
    }
    g_autofree char *text = file_read(path, SPEC_LIMIT, &length, error);
    if (text == NULL) {
        return false;
    }
    cli->project = project_of_text(text, length);
    if (cli->project == NULL) {
        sy_fail(error, SY_INVALID_INPUT, "%s does not say which project it is", path);
        sy_error_set_hint(error, "Begin it with: project: NAME, or give --project");
        return false;
    }
    cli->project_source = g_steal_pointer(&path);
    return true;
}

const char *target_project_or_none(struct cli *cli, GError **error)
{
    const char *flag = cli_flag(cli, "project");
    const char *variable = g_getenv("ENCLII_PROJECT");
    if (cli->project == NULL && flag != NULL) {
        cli->project = g_strdup(flag);
        cli->project_source = g_strdup("--project");
    } else if (cli->project == NULL && variable != NULL && *variable != '\0') {
        cli->project = g_strdup(variable);
        cli->project_source = g_strdup("ENCLII_PROJECT");
    } else if (cli->project == NULL && !project_of_file(cli, error)) {
        return NULL;
    }
    if (cli->project != NULL && check_slug(cli->project) != NULL) {
        sy_fail(error, SY_INVALID_INPUT, "%s: %s is no project's name: it %s", cli->project_source, cli->project,
                check_slug(cli->project));
        return NULL;
    }
    return cli->project;
}

const char *target_project(struct cli *cli, GError **error)
{
    GError *failure = NULL;
    const char *project = target_project_or_none(cli, &failure);
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return NULL;
    }
    if (project == NULL) {
        sy_fail(error, SY_INVALID_INPUT, "which project? There is no enclii.yaml in this folder or above it");
        sy_error_set_hint(error, "Go to the project's folder, or: enclii %s --project NAME (see enclii projects list)",
                          cli->command->name);
    }
    return project;
}

/* --- services ------------------------------------------------------------------------------------ */

static GPtrArray *list_of(struct cli *cli, const char *project, const char *list_key, const struct type *type,
                          GError **error)
{
    struct client *client = cli_client(cli, error);
    if (client == NULL) {
        return NULL;
    }
    g_autofree char *target = client_target("/v1/projects/%s/%s", project, list_key);
    json_t *reply = client_get_all(client, target, list_key, error);
    GPtrArray *objects = reply != NULL ? client_decode_list(type, reply, list_key, error) : NULL;
    json_decref(reply);
    return objects;
}

GPtrArray *target_services(struct cli *cli, const char *project, GError **error)
{
    return list_of(cli, project, "services", &service_type, error);
}

GPtrArray *target_environments(struct cli *cli, const char *project, GError **error)
{
    return list_of(cli, project, "environments", &environment_type, error);
}

static GPtrArray *names_of(const GPtrArray *services)
{
    GPtrArray *names = g_ptr_array_new();
    for (guint i = 0; i < services->len; i++) {
        g_ptr_array_add(names, ((const struct service *)g_ptr_array_index(services, i))->name);
    }
    g_ptr_array_add(names, NULL);
    return names;
}

static const struct service *find_service(const GPtrArray *services, const char *name)
{
    for (guint i = 0; i < services->len; i++) {
        const struct service *service = g_ptr_array_index(services, i);
        if (strcmp(service->name, name) == 0 || strcmp(service->id, name) == 0) {
            return service;
        }
    }
    return NULL;
}

static void no_service(const char *name, const char *project, const GPtrArray *services, GError **error)
{
    g_autoptr(GPtrArray) names = names_of(services);
    g_autofree char *list = g_strjoinv(", ", (char **)names->pdata);
    const char *near = nearest_word(name, (const char *const *)names->pdata);
    sy_fail(error, SY_NOT_FOUND, "no service `%s` in project %s; there are: %s", name, project, list);
    if (near != NULL) {
        sy_error_set_hint(error, "Did you mean %s?", near);
    } else {
        sy_error_set_hint(error, "enclii services list --project %s", project);
    }
}

const struct service *target_pick(const GPtrArray *services, const char *project, const char *name, GError **error)
{
    if (services->len == 0) {
        sy_fail(error, SY_NOT_FOUND, "project %s has no services yet", project);
        sy_error_set_hint(error, "enclii up");
        return NULL;
    }
    if (name == NULL && services->len == 1) {
        return g_ptr_array_index(services, 0);
    }
    if (name == NULL) {
        g_autoptr(GPtrArray) names = names_of(services);
        g_autofree char *list = g_strjoinv(", ", (char **)names->pdata);
        sy_fail(error, SY_INVALID_INPUT, "which service? Project %s has: %s", project, list);
        sy_error_set_hint(error, "Name one, for example %s", (const char *)g_ptr_array_index(names, 0));
        return NULL;
    }
    const struct service *found = find_service(services, name);
    if (found == NULL) {
        no_service(name, project, services, error);
    }
    return found;
}

struct service *target_service(struct cli *cli, const char *name, GError **error)
{
    const char *project = target_project(cli, error);
    if (project == NULL) {
        return NULL;
    }
    g_autoptr(GPtrArray) services = target_services(cli, project, error);
    const struct service *found = services != NULL ? target_pick(services, project, name, error) : NULL;
    return found != NULL ? contract_dup(&service_type, found) : NULL;
}

/* --- deployments --------------------------------------------------------------------------------- */

static bool is_version(const char *name, const char *version)
{
    return g_strcmp0(name, version) == 0 || (version != NULL && *version == 'v' && strcmp(name, version + 1) == 0);
}

struct deployment *target_deployment(struct cli *cli, const struct service *service, const char *name, GError **error)
{
    struct client *client = cli_client(cli, error);
    if (client == NULL) {
        return NULL;
    }
    g_autofree char *target = client_target("/v1/services/%s/deployments", service->id);
    json_t *reply = client_get_all(client, target, "deployments", error);
    g_autoptr(GPtrArray) all = reply != NULL ? client_decode_list(&deployment_type, reply, "deployments", error) : NULL;
    json_decref(reply);
    for (guint i = 0; all != NULL && i < all->len; i++) {
        const struct deployment *deployment = g_ptr_array_index(all, i);
        if (strcmp(deployment->id, name) == 0 || is_version(name, deployment->version)) {
            return contract_dup(&deployment_type, deployment);
        }
    }
    if (all != NULL) {
        sy_fail(error, SY_NOT_FOUND, "%s has no deployment %s", service->name, name);
        sy_error_set_hint(error, "enclii deployments %s", service->name);
    }
    return NULL;
}
