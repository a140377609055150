#include <stdio.h>

#include "enclii/commands.h"

static bool run(struct cli *cli, GError **error)
{
    printf("enclii %s\n", ENCLII_VERSION);
    return true;
}

const struct command version_command = {
    .name = "version",
    .summary = "Show the version",
    .run = run,
};
