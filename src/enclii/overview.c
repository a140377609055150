#include "enclii/overview.h"

#include <string.h>

#include "enclii/target.h"
#include "model/environment.h"

static bool add_status(struct cli *cli, const struct service *service, const char *environment, json_t *list,
                       GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/status?environment=%s", service->id, environment);
    json_t *status = client_get(cli_client(cli, NULL), target, error);
    if (status == NULL) {
        return false;
    }
    if (json_is_object(json_object_get(status, "latest_deployment"))) {
        json_array_append(list, status);
    }
    json_decref(status);
    return true;
}

static bool add_service(struct cli *cli, const struct service *service, const GPtrArray *environments, json_t *list,
                        GError **error)
{
    for (guint i = 0; i < environments->len; i++) {
        const struct environment *environment = g_ptr_array_index(environments, i);
        bool is_meant = cli->environment == NULL || strcmp(environment->name, cli->environment) == 0;
        if (is_meant && !add_status(cli, service, environment->name, list, error)) {
            return false;
        }
    }
    return true;
}

/* With one environment asked for, it has to exist where one project was asked for. */
static bool check_environment(const struct cli *cli, const char *project, const GPtrArray *environments, GError **error)
{
    for (guint i = 0; i < environments->len; i++) {
        if (g_strcmp0(((const struct environment *)g_ptr_array_index(environments, i))->name, cli->environment) == 0) {
            return true;
        }
    }
    if (cli->environment == NULL) {
        return true;
    }
    sy_fail(error, SY_NOT_FOUND, "project %s has no environment %s", project, cli->environment);
    sy_error_set_hint(error, "enclii environments list --project %s", project);
    return false;
}

static bool add_project(struct cli *cli, const char *project, const char *name, bool is_only, json_t *list,
                        GError **error)
{
    g_autoptr(GPtrArray) environments = target_environments(cli, project, error);
    g_autoptr(GPtrArray) services = environments != NULL ? target_services(cli, project, error) : NULL;
    if (services == NULL || (is_only && !check_environment(cli, project, environments, error))) {
        return false;
    }
    if (name != NULL) {
        const struct service *service = target_pick(services, project, name, error);
        return service != NULL && add_service(cli, service, environments, list, error);
    }
    for (guint i = 0; i < services->len; i++) {
        if (!add_service(cli, g_ptr_array_index(services, i), environments, list, error)) {
            return false;
        }
    }
    return true;
}

static bool add_all_projects(struct cli *cli, json_t *list, GError **error)
{
    struct client *client = cli_client(cli, error);
    json_t *reply = client != NULL ? client_get_all(client, "/v1/projects", "projects", error) : NULL;
    bool ok = reply != NULL;
    size_t index;
    json_t *project;
    json_array_foreach(json_object_get(reply, "projects"), index, project)
    {
        const char *slug = json_string_value(json_object_get(project, "slug"));
        ok = ok && slug != NULL && add_project(cli, slug, NULL, false, list, error);
    }
    json_decref(reply);
    return ok;
}

json_t *overview_collect(struct cli *cli, const char *project, const char *service, GError **error)
{
    json_t *list = json_array();
    bool ok =
        project != NULL ? add_project(cli, project, service, true, list, error) : add_all_projects(cli, list, error);
    if (!ok) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:o}", "services", list);
}
