#include "enclii/deploying.h"

#include "enclii/output.h"
#include "enclii/progress.h"

static void print_line(const struct cli *cli, const char *service, const struct deployment *deployment)
{
    output_line(cli, "%s · %s  %s %s  %" G_GINT64_FORMAT " instance%s%s%s", service, deployment->environment,
                deployment->version, deployment_statuses[MAX(deployment->status, 0)], deployment->replicas,
                deployment->replicas == 1 ? "" : "s", deployment->url != NULL ? "  " : "",
                deployment->url != NULL ? deployment->url : "");
}

bool finish_deployment(struct cli *cli, const char *service, const char *deployment_id, GError **error)
{
    struct client *client = cli_client(cli, error);
    if (client == NULL || (cli->wait && !wait_for_deployment(cli, deployment_id, error))) {
        return false;
    }
    g_autofree char *target = client_target("/v1/deployments/%s", deployment_id);
    json_t *reply = client_get(client, target, error);
    if (reply == NULL) {
        return false;
    }
    bool ok;
    if (cli->output != OUTPUT_TABLE) {
        ok = output_json(cli, reply, error);
    } else {
        g_autoptr(deployment_t) deployment = client_decode(&deployment_type, reply, error);
        ok = deployment != NULL;
        if (ok) {
            print_line(cli, service, deployment);
        }
    }
    json_decref(reply);
    return ok;
}
