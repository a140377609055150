/* Setting variables of a service and putting them into service. */
#pragma once

#include "enclii/cli.h"
#include "enclii/target.h"

/* Writes [{key, value, is_secret}] for cli's environment, or for all when none is named, and deploys
 * wherever the service runs, unless --no-deploy. Says what an environment's own value hides. */
bool variables_put(struct cli *cli, const struct service *service, json_t *variables,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Waits for the deployments that calls with ?deploy=true have made, and prints them; ids are char *. */
bool variables_finish(struct cli *cli, const struct service *service, const GPtrArray *deployment_ids,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All rows of the service: {"environment_variables": […]}. */
json_t *variables_fetch(struct cli *cli, const struct service *service, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Name of the environment with this id, or NULL. */
const char *variables_environment_name(const GPtrArray *environments, const char *id);
