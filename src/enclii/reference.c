#include "enclii/reference.h"

#include <string.h>

#include "enclii/options.h"

/* "-o, --output FORMAT", or "    --context NAME" */
static char *flag_usage(const struct flag *flag)
{
    g_autofree char *letter = flag->letter != '\0' ? g_strdup_printf("-%c, ", flag->letter) : g_strdup("    ");
    return g_strdup_printf("%s--%s%s%s", letter, flag->name, flag->value != NULL ? " " : "",
                           flag->value != NULL ? flag->value : "");
}

static void append_flags(GString *out, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        g_autofree char *left = flag_usage(flag);
        g_string_append_printf(out, "  %-30s %s\n", left, flag->doc);
    }
}

static bool has_flags(const struct command *command)
{
    return command->flags != NULL && command->flags->name != NULL;
}

static char *usage_of(const struct command *command)
{
    return g_strdup_printf("enclii %s%s%s%s", command->name, command->arguments != NULL ? " " : "",
                           command->arguments != NULL ? command->arguments : "", has_flags(command) ? " [FLAGS]" : "");
}

static void append_line(GString *out, const struct command *command)
{
    g_string_append_printf(out, "  %-22s %s\n", command->name, command->summary);
}

char *reference_overview(void)
{
    GString *out = g_string_new("enclii: from a folder of source code to a running service\n\n"
                                "Usage: enclii COMMAND [ARGUMENTS] [FLAGS]\n\nCommands\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        append_line(out, commands[i]);
    }
    g_string_append(out, "\nFlags of every command\n");
    append_flags(out, global_flags);
    g_string_append(
        out, "\n`enclii COMMAND --help` says more. Begin in a folder of source code: enclii init && enclii up\n");
    return g_string_free(out, FALSE);
}

char *reference_group(const char *word)
{
    GString *out = g_string_new(NULL);
    size_t length = strlen(word);
    g_string_append_printf(out, "Usage: enclii %s COMMAND; without one it is `list`\n\nCommands\n", word);
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strncmp(commands[i]->name, word, length) == 0 && commands[i]->name[length] == ' ') {
            append_line(out, commands[i]);
        }
    }
    return g_string_free(out, FALSE);
}

char *reference_command(const struct command *command)
{
    GString *out = g_string_new(NULL);
    g_autofree char *usage = usage_of(command);
    g_string_append_printf(out, "%s.\n\nUsage: %s\n", command->summary, usage);
    if (command->details != NULL) {
        g_string_append_printf(out, "\n%s\n", command->details);
    }
    if (has_flags(command)) {
        g_string_append(out, "\nFlags\n");
        append_flags(out, command->flags);
    }
    g_string_append(out, "\nFlags of every command\n");
    append_flags(out, global_flags);
    return g_string_free(out, FALSE);
}

/* --- markdown ------------------------------------------------------------------------------------ */

static void append_flag_table(GString *out, const struct flag *flags)
{
    g_string_append(out, "| Flag | Meaning |\n|---|---|\n");
    for (const struct flag *flag = flags; flag->name != NULL; flag++) {
        g_autofree char *left = flag_usage(flag);
        g_auto(GStrv) parts = g_strsplit(g_strstrip(left), "|", -1);
        g_autofree char *escaped = g_strjoinv("\\|", parts);
        g_string_append_printf(out, "| `%s` | %s |\n", escaped, flag->doc);
    }
}

static void append_markdown(GString *out, const struct command *command)
{
    g_autofree char *usage = usage_of(command);
    g_string_append_printf(out, "\n## %s\n\n%s.\n\n    %s\n", command->name, command->summary, usage);
    if (command->details != NULL) {
        g_string_append_printf(out, "\n%s\n", command->details);
    }
    if (has_flags(command)) {
        g_string_append_c(out, '\n');
        append_flag_table(out, command->flags);
    }
}

char *reference_markdown(void)
{
    GString *out = g_string_new(
        "Results go to stdout, progress and errors to stderr. With `-o json` or `-o yaml` stdout is one value in the "
        "shape\n"
        "of the [API](api.md); streams are one JSON value per line. Errors end with the exact next command.\n\n"
        "| Exit code | Meaning |\n|---|---|\n| 0 | done |\n| 1 | anything else |\n| 10 | invalid input |\n"
        "| 20 | the build failed |\n| 30 | the deployment failed |\n| 40 | not over in time |\n"
        "| 50 | not signed in, or not allowed |\n\n## Flags of every command\n\n");
    append_flag_table(out, global_flags);
    g_string_append(
        out,
        "\n## Environment\n\n| Variable | Meaning |\n|---|---|\n"
        "| `ENCLII_API_ENDPOINT` | the server: `unix:PATH`, `http://HOST:PORT`, `https://HOST`; beats the context |\n"
        "| `ENCLII_API_TOKEN` | the token; beats the context's |\n| `ENCLII_PROJECT` | the project |\n"
        "| `ENCLII_ENVIRONMENT` | the environment |\n| `NO_COLOR` | no colours |\n"
        "| `SSL_CERT_FILE`, `SSL_CERT_DIR` | for `https://`: a PEM file, a folder hashed by `openssl rehash`, of "
        "authorities to "
        "trust instead of the system's |\n"
        "| `XDG_CONFIG_HOME` | contexts are in `enclii/config.json` below it, else below `~/.config` |\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        append_markdown(out, commands[i]);
    }
    return g_string_free(out, FALSE);
}

/* --- JSON ---------------------------------------------------------------------------------------- */

static json_t *flags_json(const struct flag *flags)
{
    json_t *array = json_array();
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        char letter[2] = {flag->letter, '\0'};
        json_array_append_new(array,
                              json_pack("{s:s, s:s?, s:s?, s:s}", "name", flag->name, "letter",
                                        flag->letter != '\0' ? letter : NULL, "value", flag->value, "doc", flag->doc));
    }
    return array;
}

json_t *reference_json(void)
{
    json_t *array = json_array();
    for (size_t i = 0; commands[i] != NULL; i++) {
        const struct command *command = commands[i];
        g_autofree char *usage = usage_of(command);
        json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s?, s:o}", "name", command->name, "usage", usage,
                                               "summary", command->summary, "details", command->details, "flags",
                                               flags_json(command->flags)));
    }
    return json_pack("{s:o, s:o}", "commands", array, "global_flags", flags_json(global_flags));
}
