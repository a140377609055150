/* The end of every command that makes a deployment. */
#pragma once

#include "enclii/cli.h"

/* Waits for the deployment that the server made (unless --no-wait) and prints it: a line for people,
 * the object as it is then with -o json|yaml. */
bool finish_deployment(struct cli *cli, const char *service, const char *deployment_id,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
