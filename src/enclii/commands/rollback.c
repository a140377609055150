#include "enclii/commands.h"
#include "enclii/deploying.h"
#include "enclii/target.h"

static const struct flag flags[] = {
    {.name = "to", .value = "VERSION", .doc = "a deployment (v9); without it the last healthy one before this"},
    {.name = "reason", .value = "TEXT", .doc = "why, for the history"},
    {NULL},
};

static char *find_current(struct cli *cli, const struct service *service, GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/deployments/latest?environment=%s", service->id,
                                            cli_environment(cli, "production"));
    json_t *reply = client_get(cli_client(cli, NULL), target, error);
    char *id = g_strdup(json_string_value(json_object_get(json_object_get(reply, "deployment"), "id")));
    if (reply != NULL && id == NULL) {
        sy_fail(error, SY_NOT_FOUND, "%s has no deployment in %s", service->name, cli_environment(cli, "production"));
    }
    json_decref(reply);
    return id;
}

static bool run(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    g_autofree char *current = service != NULL ? find_current(cli, service, error) : NULL;
    if (current == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/deployments/%s/rollback", current);
    json_t *body = json_pack("{s:s*, s:s*}", "to", cli_flag(cli, "to"), "reason", cli_flag(cli, "reason"));
    json_t *reply = client_send(cli_client(cli, NULL), "POST", target, body, error);
    json_decref(body);
    bool ok =
        reply != NULL && finish_deployment(cli, service->name, json_string_value(json_object_get(reply, "id")), error);
    json_decref(reply);
    return ok;
}

const struct command rollback_command = {
    .name = "rollback",
    .arguments = "[SERVICE]",
    .summary = "Bring back an earlier deployment, whole",
    .details =
        "Image, variables, replicas, health rules, command and limits come back as they were; volumes and databases "
        "do\n"
        "not. It is a new deployment and goes through the same health gate. In production unless -e says otherwise.\n"
        "\n"
        "    enclii rollback\n"
        "    enclii deployments && enclii rollback --to v9",
    .flags = flags,
    .max_arguments = 1,
    .run = run,
};
