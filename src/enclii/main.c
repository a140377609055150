/* enclii: the command line. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enclii/cli.h"
#include "enclii/options.h"
#include "enclii/reference.h"

static bool show_help(const struct cli *cli)
{
    if (cli->command == NULL || strcmp(cli->command->name, "help") == 0) {
        return false;
    }
    g_autofree char *text = reference_command(cli->command);
    fputs(text, stdout);
    return true;
}

static bool run(struct cli *cli, int argc, char **argv, GError **error)
{
    if (!options_parse(cli, argc, argv, error)) {
        return false;
    }
    if (cli_has(cli, "help") && show_help(cli)) {
        return true;
    }
    return cli_prepare(cli, error) && cli->command->run(cli, error);
}

int main(int argc, char **argv)
{
    struct cli cli;
    GError *error = NULL;
    cli_init(&cli);
    int code;
    if (run(&cli, argc, argv, &error)) {
        code = cli.exit_code;
    } else {
        code = cli_report(&cli, error);
    }
    g_clear_error(&error);
    cli_clear(&cli);
    if (fflush(stdout) != 0 && code == 0) {
        code = 1;
    }
    return code;
}
