/* Deleting something after saying exactly what goes. */
#pragma once

#include "enclii/cli.h"

/* Asks the server with ?dry_run=true what `DELETE target` takes, shows it, asks the person, does it
 * with `query` ("" or "force=true") and prints the outcome. */
bool delete_after_asking(struct cli *cli, const char *target, const char *query, const char *question,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
