/* Every command; each is defined in commands/<word>.c. */
#pragma once

#include "enclii/cli.h"

extern const struct command version_command;
