#include <stdio.h>

#include "enclii/commands.h"
#include "enclii/reference.h"

static bool run(struct cli *cli, GError **error)
{
    g_autofree char *script = completion_script(cli_argument(cli, 0));
    if (script == NULL) {
        sy_fail(error, SY_INVALID_INPUT, "there is completion for bash, zsh and fish, not for %s",
                cli_argument(cli, 0));
        sy_error_set_hint(error, "enclii completion bash");
        return false;
    }
    fputs(script, stdout);
    return true;
}

const struct command completion_command = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .summary = "Print a script that completes commands and flags",
    .details = "    enclii completion bash > ~/.local/share/bash-completion/completions/enclii\n"
               "    enclii completion fish > ~/.config/fish/completions/enclii.fish",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
