#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/target.h"

static bool run(struct cli *cli, GError **error)
{
    const char *project = target_project(cli, error);
    struct client *client = project != NULL ? cli_client(cli, error) : NULL;
    if (client == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/projects/%s/services", project);
    json_t *reply = client_get_all(client, target, "services", error);
    bool ok = reply != NULL && output_list(cli, &service_type, reply, "services", "No services yet.", error);
    json_decref(reply);
    return ok;
}

const struct command services_list_command = {
    .name = "services list",
    .summary = "List the services of the project",
    .run = run,
};
