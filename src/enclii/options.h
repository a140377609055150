/* From argv to a struct cli. Pure: reads no environment, prints nothing. */
#pragma once

#include "enclii/cli.h"

/* Finds the command (one word or two; the bare name of a group stands for its `list`) and its flags
 * and operands. Flags may stand anywhere after the program's name; `--` ends them. SY_INVALID_INPUT
 * names the nearest command or flag. --help and -h set cli->command and the flag `help` only. */
bool options_parse(struct cli *cli, int argc, char *const *argv, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The command of this name, or NULL. */
const struct command *command_find(const char *name);

/* True when some command's name begins with this word and a blank. */
bool command_is_group(const char *word);

/* Says that there is no such command (in this group, or NULL), and names the nearest. Always false. */
bool options_unknown_command(const char *word, const char *group, GError **error);
