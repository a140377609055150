/* The table of commands as text: for --help, for the reference, for programs. */
#pragma once

#include "enclii/cli.h"

/* Each newly allocated. */
char *reference_overview(void);                         /* all commands, one line each */
char *reference_group(const char *word);                /* the members of a group */
char *reference_command(const struct command *command); /* usage, details, flags */
char *reference_markdown(void);                         /* docs/reference/cli.md below its title */
json_t *reference_json(void);                           /* {commands: […], global_flags: […]} */
char *completion_script(const char *shell);             /* bash, zsh or fish; NULL for another */
