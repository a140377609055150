/* How services are doing in their environments: what ps and status show. */
#pragma once

#include "enclii/cli.h"

/* {"services": [ServiceStatus, …]} of one service (or all, NULL) of a project in cli's environment
 * (or all), without the pairs in which nothing was ever deployed. With `project` NULL: of all
 * projects that we may see. */
json_t *overview_collect(struct cli *cli, const char *project, const char *service,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
