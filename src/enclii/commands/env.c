/* env list and env unset. */
#include <string.h>

#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/target.h"
#include "enclii/variables.h"
#include "model/environment.h"

static const struct flag list_flags[] = {
    {.name = "service", .letter = 's', .value = "NAME", .doc = "the service, when the project has several"},
    {NULL},
};
static const struct flag unset_flags[] = {
    {.name = "service", .letter = 's', .value = "NAME", .doc = "the service, when the project has several"},
    {.name = "no-deploy", .doc = "keep it for the next deploy"},
    {NULL},
};

/* --- list ---------------------------------------------------------------------------------------- */

/* All rows; with -e what holds in that environment. */
static json_t *fetch(struct cli *cli, const struct service *service, GError **error)
{
    if (cli->environment == NULL) {
        return variables_fetch(cli, service, error);
    }
    g_autofree char *target = client_target("/v1/services/%s/env-vars?environment=%s", service->id, cli->environment);
    return client_get_all(cli_client(cli, NULL), target, "environment_variables", error);
}

static void print_table(const struct cli *cli, const json_t *reply, const GPtrArray *environments)
{
    g_autoptr(table_t) table = table_new("KEY", "ENVIRONMENT", "SECRET", "VALUE", NULL);
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(reply, "environment_variables"), index, row)
    {
        const char *id = json_string_value(json_object_get(row, "environment_id"));
        const char *name = variables_environment_name(environments, id);
        table_add(table, json_string_value(json_object_get(row, "key")), id == NULL ? "all" : name,
                  json_is_true(json_object_get(row, "is_secret")) ? "yes" : "no",
                  json_string_value(json_object_get(row, "value")), NULL);
    }
    if (table_n_rows(table) > 0) {
        table_print(table, cli);
    } else {
        say(cli, "No variables.");
    }
}

static bool list(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_flag(cli, "service"), error);
    json_t *reply = service != NULL ? fetch(cli, service, error) : NULL;
    bool ok = reply != NULL;
    if (ok && cli->output != OUTPUT_TABLE) {
        ok = output_json(cli, reply, error);
    } else if (ok) {
        g_autoptr(GPtrArray) environments = target_environments(cli, service->project, error);
        ok = environments != NULL;
        if (ok) {
            print_table(cli, reply, environments);
        }
    }
    json_decref(reply);
    return ok;
}

/* --- unset --------------------------------------------------------------------------------------- */

struct unset {
    struct cli *cli;
    const struct service *service;
    GPtrArray *environments;
    json_t *rows;
    GPtrArray *deployment_ids;
};

/* The id of the row for this key in cli's environment (or the shared one); with it missing, says
 * where the key has a value. */
static const char *find_row(const struct unset *unset, const char *key, GError **error)
{
    const char *elsewhere = NULL;
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(unset->rows, "environment_variables"), index, row)
    {
        const char *id = json_string_value(json_object_get(row, "environment_id"));
        const char *name = variables_environment_name(unset->environments, id);
        if (g_strcmp0(json_string_value(json_object_get(row, "key")), key) != 0) {
            continue;
        }
        if (g_strcmp0(name, unset->cli->environment) == 0) {
            return json_string_value(json_object_get(row, "id"));
        }
        elsewhere = name != NULL ? name : "";
    }
    if (elsewhere == NULL) {
        sy_fail(error, SY_NOT_FOUND, "%s has no variable %s", unset->service->name, key);
        sy_error_set_hint(error, "enclii env list --service %s", unset->service->name);
    } else {
        bool is_shared = *elsewhere == '\0';
        sy_fail(error, SY_NOT_FOUND, "%s is set for %s", key, is_shared ? "all environments" : elsewhere);
        sy_error_set_hint(error, "enclii env unset %s%s%s", key, is_shared ? "" : " -e ", elsewhere);
    }
    return NULL;
}

static bool remove_row(const struct unset *unset, const char *id, const char *environment, GError **error)
{
    struct client *client = cli_client(unset->cli, NULL);
    g_autofree char *target = environment != NULL
                                  ? client_target("/v1/services/%s/env-vars/%s?deploy=true&environment=%s",
                                                  unset->service->id, id, environment)
                                  : client_target("/v1/services/%s/env-vars/%s", unset->service->id, id);
    json_t *reply = client_send(client, "DELETE", target, NULL, error);
    json_decref(reply);
    char *deployment = reply != NULL ? client_last_header(client, "x-deployment-id") : NULL;
    if (deployment != NULL) {
        g_ptr_array_add(unset->deployment_ids, deployment);
    }
    return reply != NULL;
}

static bool is_running(const struct unset *unset, const char *environment, bool *ret_running, GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/status?environment=%s", unset->service->id, environment);
    json_t *status = client_get(cli_client(unset->cli, NULL), target, error);
    *ret_running = json_string_value(json_object_get(status, "version")) != NULL;
    json_decref(status);
    return status != NULL;
}

/* What was shared is gone everywhere: the environments that no delete has deployed start anew. */
static bool restart_others(const struct unset *unset, const char *done, GError **error)
{
    for (guint i = 0; i < unset->environments->len; i++) {
        const char *name = ((const struct environment *)g_ptr_array_index(unset->environments, i))->name;
        bool runs = false;
        if (g_strcmp0(name, done) == 0) {
            continue;
        }
        if (!is_running(unset, name, &runs, error)) {
            return false;
        }
        if (!runs) {
            continue;
        }
        g_autofree char *target = client_target("/v1/services/%s/restart", unset->service->id);
        json_t *body = json_pack("{s:s}", "environment_name", name);
        json_t *reply = client_send(cli_client(unset->cli, NULL), "POST", target, body, error);
        g_ptr_array_add(unset->deployment_ids, g_strdup(json_string_value(json_object_get(reply, "id"))));
        json_decref(body);
        json_decref(reply);
        if (reply == NULL) {
            return false;
        }
    }
    return true;
}

static bool unset_all(struct unset *unset, GError **error)
{
    struct cli *cli = unset->cli;
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    for (unsigned i = 0; i < cli->arguments->len; i++) { /* all are found before one goes */
        const char *id = find_row(unset, cli_argument(cli, i), error);
        if (id == NULL) {
            return false;
        }
        g_ptr_array_add(ids, (char *)id);
    }
    bool deploys = !cli_has(cli, "no-deploy");
    const char *first = cli->environment;
    if (first == NULL && unset->environments->len > 0) {
        first = ((const struct environment *)g_ptr_array_index(unset->environments, 0))->name;
    }
    for (guint i = 0; i < ids->len; i++) {
        const char *environment = deploys && i + 1 == ids->len ? first : NULL;
        if (!remove_row(unset, g_ptr_array_index(ids, i), environment, error)) {
            return false;
        }
    }
    return (!deploys || cli->environment != NULL || restart_others(unset, first, error)) &&
           variables_finish(cli, unset->service, unset->deployment_ids, error);
}

static bool run_unset(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_flag(cli, "service"), error);
    g_autoptr(GPtrArray) environments = service != NULL ? target_environments(cli, service->project, error) : NULL;
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    struct unset unset = {.cli = cli, .service = service, .environments = environments, .deployment_ids = ids};
    unset.rows = environments != NULL ? variables_fetch(cli, service, error) : NULL;
    bool ok = unset.rows != NULL && unset_all(&unset, error);
    json_decref(unset.rows);
    return ok;
}

const struct command env_list_command = {
    .name = "env list",
    .summary = "List the variables of a service; secret values are masked",
    .details = "All of them, or with -e what holds in that environment.",
    .flags = list_flags,
    .run = list,
};
const struct command env_unset_command = {
    .name = "env unset",
    .arguments = "KEY…",
    .summary = "Remove variables, and deploy without them",
    .details = "Without -e the value for all environments; with -e the environment's own.",
    .flags = unset_flags,
    .min_arguments = 1,
    .max_arguments = 256,
    .run = run_unset,
};
