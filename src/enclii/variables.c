#include "enclii/variables.h"

#include <string.h>

#include "enclii/deploying.h"
#include "enclii/output.h"
#include "model/environment.h"

json_t *variables_fetch(struct cli *cli, const struct service *service, GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/env-vars", service->id);
    return client_get_all(cli_client(cli, NULL), target, "environment_variables", error);
}

const char *variables_environment_name(const GPtrArray *environments, const char *id)
{
    for (guint i = 0; id != NULL && i < environments->len; i++) {
        const struct environment *environment = g_ptr_array_index(environments, i);
        if (g_strcmp0(environment->id, id) == 0) {
            return environment->name;
        }
    }
    return NULL;
}

/* One bulk call that deploys in `environment` (NULL: nowhere); the values are the environment's own
 * when cli names one. */
static bool put(struct cli *cli, const struct service *service, const json_t *variables, const char *environment,
                GPtrArray *deployment_ids, GError **error)
{
    struct client *client = cli_client(cli, NULL);
    g_autofree char *target =
        environment != NULL
            ? client_target("/v1/services/%s/env-vars/bulk?deploy=true&environment=%s", service->id, environment)
            : client_target("/v1/services/%s/env-vars/bulk", service->id);
    json_t *body = json_pack("{s:O, s:s*}", "variables", variables, "environment_name", cli->environment);
    json_t *reply = client_send(client, "POST", target, body, error);
    bool ok = reply != NULL;
    json_decref(body);
    json_decref(reply);
    char *id = ok ? client_last_header(client, "x-deployment-id") : NULL;
    if (id != NULL) {
        g_ptr_array_add(deployment_ids, id);
    }
    return ok;
}

/* A shared value deploys in every environment; the bulk call does one at a time, and the same values
 * again change nothing. */
static bool put_everywhere(struct cli *cli, const struct service *service, const json_t *variables,
                           const GPtrArray *environments, GPtrArray *deployment_ids, GError **error)
{
    for (guint i = 0; i < environments->len; i++) {
        const struct environment *environment = g_ptr_array_index(environments, i);
        if (!put(cli, service, variables, environment->name, deployment_ids, error)) {
            return false;
        }
    }
    return environments->len > 0 || put(cli, service, variables, NULL, deployment_ids, error);
}

static bool has_key(const json_t *variables, const char *key)
{
    size_t index;
    json_t *variable;
    json_array_foreach(variables, index, variable)
    {
        if (g_strcmp0(json_string_value(json_object_get(variable, "key")), key) == 0) {
            return true;
        }
    }
    return false;
}

/* An environment's own value beats the shared one: whoever sets the shared one wants to know. */
static void tell_hidden(struct cli *cli, const struct service *service, const json_t *variables,
                        const GPtrArray *environments)
{
    json_t *rows = variables_fetch(cli, service, NULL); /* only a remark: without it nothing is lost */
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(rows, "environment_variables"), index, row)
    {
        const char *key = json_string_value(json_object_get(row, "key"));
        const char *id = json_string_value(json_object_get(row, "environment_id"));
        const char *name = variables_environment_name(environments, id);
        if (name != NULL && key != NULL && has_key(variables, key)) {
            say(cli, "%s has a value of its own for %s, which holds there; change it with -e %s", name, key, name);
        }
    }
    json_decref(rows);
}

bool variables_finish(struct cli *cli, const struct service *service, const GPtrArray *deployment_ids, GError **error)
{
    for (guint i = 0; i < deployment_ids->len; i++) {
        if (!finish_deployment(cli, service->name, g_ptr_array_index(deployment_ids, i), error)) {
            return false;
        }
    }
    if (deployment_ids->len == 0) {
        say(cli, "Kept; the next deploy of %s uses it.", service->name);
    }
    return true;
}

bool variables_put(struct cli *cli, const struct service *service, json_t *variables, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    if (cli->environment != NULL || cli_has(cli, "no-deploy")) {
        const char *where = cli_has(cli, "no-deploy") ? NULL : cli->environment;
        return put(cli, service, variables, where, ids, error) && variables_finish(cli, service, ids, error);
    }
    g_autoptr(GPtrArray) environments = target_environments(cli, service->project, error);
    if (environments == NULL || !put_everywhere(cli, service, variables, environments, ids, error)) {
        return false;
    }
    tell_hidden(cli, service, variables, environments);
    return variables_finish(cli, service, ids, error);
}
