/* Watching a deployment until it is over. */
#pragma once

#include "enclii/cli.h"
#include "model/deployment.h"

/* Waits for the end of a deployment and shows its steps: at once with --no-wait. SY_DEPLOY_FAILED
 * or the deployment's own code when it failed, SY_TIMEOUT after cli->timeout_ms, SY_CANCELLED when
 * interrupted (it goes on then). */
bool wait_for_deployment(struct cli *cli, const char *deployment_id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
