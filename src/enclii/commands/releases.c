#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/target.h"

static bool run(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    if (service == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/services/%s/releases", service->id);
    json_t *reply = client_get_all(cli_client(cli, NULL), target, "releases", error);
    bool ok = reply != NULL && output_list(cli, &release_type, reply, "releases", "Nothing has been built yet.", error);
    json_decref(reply);
    return ok;
}

const struct command releases_command = {
    .name = "releases",
    .arguments = "[SERVICE]",
    .summary = "List what was built, newest first",
    .max_arguments = 1,
    .run = run,
};
