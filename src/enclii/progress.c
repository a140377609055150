#include "enclii/progress.h"

static bool is_over(const struct deployment *deployment)
{
    return deployment->status != DEPLOYMENT_PENDING && deployment->status != DEPLOYMENT_DEPLOYING;
}

/* Its own code, words and hint. */
static bool judge(const struct deployment *deployment, GError **error)
{
    if (deployment->status == DEPLOYMENT_RUNNING) {
        return true;
    }
    int code = deployment->error_code != NULL ? sy_code_from_name(deployment->error_code) : -1;
    if (deployment->status == DEPLOYMENT_CANCELLED || deployment->status == DEPLOYMENT_SUPERSEDED) {
        code = code >= 0 ? code : SY_CANCELLED;
    }
    sy_fail(error, code >= 0 ? (enum sy_code)code : SY_DEPLOY_FAILED, "%s",
            deployment->error_message != NULL ? deployment->error_message : deployment_statuses[deployment->status]);
    g_prefix_error(error, "deployment %s of %s: ", deployment->version, deployment->environment);
    if (deployment->hint != NULL) {
        sy_error_set_hint(error, "%s", deployment->hint);
    }
    return false;
}

bool wait_for_deployment(struct cli *cli, const char *deployment_id, GError **error)
{
    struct client *client = cli_client(cli, error);
    g_autofree char *target = client_target("/v1/deployments/%s", deployment_id);
    int64_t end_us = g_get_monotonic_time() + cli->timeout_ms * 1000;
    if (client == NULL || !cli->wait) {
        return client != NULL;
    }
    for (;;) {
        json_t *reply = client_get(client, target, error);
        g_autoptr(deployment_t) deployment = reply != NULL ? client_decode(&deployment_type, reply, error) : NULL;
        json_decref(reply);
        if (deployment == NULL) {
            return false;
        }
        if (is_over(deployment)) {
            return judge(deployment, error);
        }
        if (g_get_monotonic_time() > end_us) {
            return sy_fail(error, SY_TIMEOUT, "deployment %s is still %s", deployment->version,
                           deployment_statuses[deployment->status]);
        }
        if (!client_pause(client, 200, error)) {
            return false;
        }
    }
}
