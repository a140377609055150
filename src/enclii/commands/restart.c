#include "enclii/commands.h"
#include "enclii/deploying.h"
#include "enclii/target.h"

static bool run(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    if (service == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/services/%s/restart", service->id);
    json_t *body = json_pack("{s:s}", "environment_name", cli_environment(cli, "production"));
    json_t *reply = client_send(cli_client(cli, NULL), "POST", target, body, error);
    json_decref(body);
    bool ok =
        reply != NULL && finish_deployment(cli, service->name, json_string_value(json_object_get(reply, "id")), error);
    json_decref(reply);
    return ok;
}

const struct command restart_command = {
    .name = "restart",
    .arguments = "[SERVICE]",
    .summary = "Replace all instances by new ones of the same release",
    .details = "In production unless -e says otherwise. New instances take over before the old ones stop.",
    .max_arguments = 1,
    .run = run,
};
