#include "enclii/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/quantity.h"
#include "enclii/output.h"
#include "enclii/term.h"

#define DEFAULT_TIMEOUT_MS (INT64_C(15) * 60 * 1000)

void cli_init(struct cli *cli)
{
    *cli = (struct cli){.wait = true, .timeout_ms = DEFAULT_TIMEOUT_MS};
    cli->arguments = g_ptr_array_new_with_free_func(g_free);
    cli->flags = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
}

void cli_clear(struct cli *cli)
{
    g_clear_pointer(&cli->arguments, g_ptr_array_unref);
    g_clear_pointer(&cli->flags, g_hash_table_unref);
    g_clear_pointer(&cli->client, client_free);
    g_clear_pointer(&cli->environment, g_free);
    g_clear_pointer(&cli->project, g_free);
    g_clear_pointer(&cli->project_source, g_free);
}

static const char *variable(const char *name)
{
    const char *value = g_getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

bool cli_prepare(struct cli *cli, GError **error)
{
    cli->is_input_terminal = isatty(STDIN_FILENO) == 1;
    cli->is_output_terminal = isatty(STDOUT_FILENO) == 1;
    cli->is_error_terminal = isatty(STDERR_FILENO) == 1;
    cli->has_colour = cli->is_output_terminal && cli->is_error_terminal && variable("NO_COLOR") == NULL &&
                      g_strcmp0(variable("TERM"), "dumb") != 0;
    const char *output = cli_flag(cli, "output");
    cli->output = g_strcmp0(output, "json") == 0   ? OUTPUT_JSON
                  : g_strcmp0(output, "yaml") == 0 ? OUTPUT_YAML
                                                   : OUTPUT_TABLE;
    cli->wait = !cli_has(cli, "no-wait");
    cli->quiet = cli_has(cli, "quiet");
    cli->verbose = cli_has(cli, "verbose");
    const char *environment = cli_flag(cli, "environment");
    cli->environment = g_strdup(environment != NULL ? environment : variable("ENCLII_ENVIRONMENT"));
    const char *timeout = cli_flag(cli, "timeout");
    if (timeout != NULL && !duration_parse(timeout, &cli->timeout_ms)) {
        sy_fail(error, SY_INVALID_INPUT, "--timeout takes a duration, not %s", timeout);
        sy_error_set_hint(error, "--timeout 10m");
        return false;
    }
    return true;
}

/* --- what was given ------------------------------------------------------------------------------ */

const GPtrArray *cli_flag_all(const struct cli *cli, const char *name)
{
    return g_hash_table_lookup(cli->flags, name);
}

const char *cli_flag(const struct cli *cli, const char *name)
{
    const GPtrArray *values = cli_flag_all(cli, name);
    return values != NULL ? g_ptr_array_index(values, values->len - 1) : NULL;
}

bool cli_has(const struct cli *cli, const char *name)
{
    return cli_flag_all(cli, name) != NULL;
}

bool cli_flag_int(const struct cli *cli, const char *name, int64_t low, int64_t high, int64_t fallback,
                  int64_t *ret_value, GError **error)
{
    const char *text = cli_flag(cli, name);
    int64_t value = fallback;
    if (text != NULL && !int_parse(text, low, high, &value)) {
        sy_fail(error, SY_INVALID_INPUT,
                "--%s takes a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ", not %s", name, low, high, text);
        sy_error_set_hint(error, "enclii %s --help", cli->command->name);
        return false;
    }
    *ret_value = value;
    return true;
}

const char *cli_argument(const struct cli *cli, unsigned index)
{
    return index < cli->arguments->len ? g_ptr_array_index(cli->arguments, index) : NULL;
}

const char *cli_environment(const struct cli *cli, const char *fallback)
{
    return cli->environment != NULL ? cli->environment : fallback;
}

struct client *cli_client(struct cli *cli, GError **error)
{
    if (cli->client == NULL) {
        g_autoptr(context_t) context = context_find(cli_flag(cli, "context"), error);
        if (context == NULL) {
            return NULL;
        }
        if (cli->verbose) {
            say(cli, "server: %s%s%s", context->endpoint, context->name != NULL ? ", context " : "",
                context->name != NULL ? context->name : "");
        }
        cli->client = client_new(context->endpoint, context->token, error);
        if (cli->client != NULL) {
            client_set_cancelled(cli->client, term_interrupted());
        }
    }
    return cli->client;
}

/* --- what is said -------------------------------------------------------------------------------- */

void say(const struct cli *cli, const char *format, ...)
{
    if (cli->quiet) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *safe = text_neutralise(text, true);
    fprintf(stderr, "%s\n", safe);
}

static void print_issues(const struct cli *cli, const GError *error)
{
    const GPtrArray *issues = sy_error_issues(error);
    for (guint i = 0; issues != NULL && i < issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(issues, i);
        g_autofree char *line = g_strdup_printf("%s: %s", issue->path, issue->detail);
        if (issues->len == 1 && strcmp(line, error->message) == 0) {
            return; /* said already */
        }
        g_autofree char *safe = text_neutralise(line, false);
        fprintf(stderr, "  %s\n", safe);
    }
}

int cli_report(const struct cli *cli, const GError *error)
{
    const struct sy_code_info *info = sy_code_info(sy_error_code(error));
    g_autofree char *message = text_neutralise(error->message, true);
    g_autofree char *hint = text_neutralise(sy_error_hint(error), true);
    g_autofree char *name = g_strdup_printf("(%s)", info->name);
    g_autofree char *faint = term_paint(cli, COLOUR_DIM, name);
    g_autofree char *label = term_paint(cli, COLOUR_RED, "enclii:");
    fflush(stdout);
    /* The code stands after the first line: what follows may be log lines. */
    int first = (int)strcspn(message, "\n");
    fprintf(stderr, "%s %.*s %s%s\n", label, first, message, faint, message + first);
    print_issues(cli, error);
    fprintf(stderr, "  hint: %s\n", hint);
    return info->exit_code;
}
