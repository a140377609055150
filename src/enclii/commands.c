#include "enclii/commands.h"

const struct command *const commands[] = {
    &version_command,
    NULL,
};
