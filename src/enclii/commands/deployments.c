#include <string.h>

#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/target.h"

/* Those of one environment. */
static void keep(json_t *reply, const char *environment)
{
    json_t *all = json_object_get(reply, "deployments");
    for (size_t i = json_array_size(all); environment != NULL && i-- > 0;) {
        const char *name = json_string_value(json_object_get(json_array_get(all, i), "environment"));
        if (g_strcmp0(name, environment) != 0) {
            json_array_remove(all, i);
        }
    }
}

static bool run(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    if (service == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/services/%s/deployments", service->id);
    json_t *reply = client_get_all(cli_client(cli, NULL), target, "deployments", error);
    keep(reply, cli->environment);
    bool ok = reply != NULL &&
              output_list(cli, &deployment_type, reply, "deployments", "Nothing has been deployed yet.", error);
    json_decref(reply);
    return ok;
}

const struct command deployments_command = {
    .name = "deployments",
    .arguments = "[SERVICE]",
    .summary = "List what ran when, newest first",
    .details = "Of all environments, or of one with -e.",
    .max_arguments = 1,
    .run = run,
};
