#include <stdio.h>

#include "enclii/commands.h"
#include "enclii/options.h"
#include "enclii/output.h"
#include "enclii/reference.h"

static const struct flag flags[] = {
    {.name = "json", .doc = "all commands and flags, for programs"},
    {.name = "markdown", .doc = "the reference"},
    {NULL},
};

static bool print_json(struct cli *cli, GError **error)
{
    json_t *json = reference_json();
    bool ok = output_json(cli, json, error);
    json_decref(json);
    return ok;
}

/* NULL with an error when there is no such command. */
static char *make_text(const struct cli *cli, GError **error)
{
    const char *first = cli_argument(cli, 0);
    const char *second = cli_argument(cli, 1);
    if (cli_has(cli, "markdown")) {
        return reference_markdown();
    }
    if (first == NULL) {
        return reference_overview();
    }
    g_autofree char *name = second != NULL ? g_strdup_printf("%s %s", first, second) : g_strdup(first);
    const struct command *command = command_find(name);
    if (command != NULL) {
        return reference_command(command);
    }
    if (second == NULL && command_is_group(first)) {
        return reference_group(first);
    }
    options_unknown_command(second != NULL && command_is_group(first) ? second : first,
                            second != NULL && command_is_group(first) ? first : NULL, error);
    return NULL;
}

static bool run(struct cli *cli, GError **error)
{
    if (cli_has(cli, "json")) {
        return print_json(cli, error);
    }
    g_autofree char *text = make_text(cli, error);
    if (text != NULL) {
        fputs(text, stdout);
    }
    return text != NULL;
}

const struct command help_command = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "Show the commands, or what one of them does",
    .flags = flags,
    .max_arguments = 2,
    .run = run,
};
