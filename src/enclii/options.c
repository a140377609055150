#include "enclii/options.h"

#include <string.h>

#include "base/id.h"

static const char *const output_words[] = {"table", "json", "yaml", NULL};

const struct flag global_flags[] = {
    {.name = "output", .letter = 'o', .value = "FORMAT", .doc = "table, json or yaml", .words = output_words},
    {.name = "project", .letter = 'p', .value = "SLUG", .doc = "the project; else ENCLII_PROJECT, else enclii.yaml's"},
    {.name = "environment", .letter = 'e', .value = "NAME", .doc = "the environment; else ENCLII_ENVIRONMENT"},
    {.name = "context", .value = "NAME", .doc = "the server of this context"},
    {.name = "wait", .doc = "wait for the end of what was started (the default)"},
    {.name = "no-wait", .doc = "return as soon as it is started"},
    {.name = "timeout", .value = "DURATION", .doc = "how long to wait: 90s, 10m (the default is 15m)"},
    {.name = "quiet", .letter = 'q', .doc = "no progress on stderr"},
    {.name = "verbose", .letter = 'v', .doc = "more about what is done"},
    {.name = "help", .letter = 'h', .doc = "what the command does, and its flags"},
    {.name = "version", .doc = "show the version"},
    {NULL},
};

struct parser {
    struct cli *cli;
    int argc;
    char *const *argv;
    int first_word, second_word; /* indexes in argv; 0: none */
};

/* --- names ------------------------------------------------------------------------------------- */

const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static bool is_member(const struct command *command, const char *group)
{
    size_t length = strlen(group);
    return strncmp(command->name, group, length) == 0 && command->name[length] == ' ';
}

bool command_is_group(const char *word)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (is_member(commands[i], word)) {
            return true;
        }
    }
    return false;
}

static const struct flag *find_flag(const struct flag *flags, const char *name, size_t length)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        if (strlen(flag->name) == length && strncmp(flag->name, name, length) == 0) {
            return flag;
        }
    }
    return NULL;
}

static const struct flag *find_letter(const struct flag *flags, char letter)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        if (flag->letter != '\0' && flag->letter == letter) {
            return flag;
        }
    }
    return NULL;
}

/* The command's own flags come first. */
static const struct flag *long_flag(const struct parser *parser, const char *name, size_t length)
{
    const struct command *command = parser->cli->command;
    const struct flag *own = command != NULL ? find_flag(command->flags, name, length) : NULL;
    return own != NULL ? own : find_flag(global_flags, name, length);
}

static const struct flag *short_flag(const struct parser *parser, char letter)
{
    const struct command *command = parser->cli->command;
    const struct flag *own = command != NULL ? find_letter(command->flags, letter) : NULL;
    return own != NULL ? own : find_letter(global_flags, letter);
}

/* --- refusals ---------------------------------------------------------------------------------- */

static void add_flags(GPtrArray *names, const struct flag *flags)
{
    for (const struct flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
        g_ptr_array_add(names, (char *)flag->name);
    }
}

static bool unknown_flag(const struct parser *parser, const char *given, GError **error)
{
    const struct command *command = parser->cli->command;
    g_autofree char *shown = g_strndup(given, strcspn(given, "="));
    if (command == NULL) {
        sy_fail(error, SY_INVALID_INPUT, "there is no flag %s before a command", shown);
        sy_error_set_hint(error, "enclii help");
        return false;
    }
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    add_flags(names, command->flags);
    add_flags(names, global_flags);
    g_ptr_array_add(names, NULL);
    const char *near = nearest_word(shown + strspn(shown, "-"), (const char *const *)names->pdata);
    if (near != NULL && g_str_has_prefix(shown, "--")) {
        sy_fail(error, SY_INVALID_INPUT, "%s has no flag %s; did you mean --%s?", command->name, shown, near);
    } else {
        sy_fail(error, SY_INVALID_INPUT, "%s has no flag %s", command->name, shown);
    }
    sy_error_set_hint(error, "enclii %s --help", command->name);
    return false;
}

/* Names the nearest of all commands, or of the group's. */
bool options_unknown_command(const char *word, const char *group, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *name = commands[i]->name;
        if (group == NULL) {
            g_ptr_array_add(names, g_strndup(name, strcspn(name, " ")));
        } else if (is_member(commands[i], group)) {
            g_ptr_array_add(names, g_strdup(name + strlen(group) + 1));
        }
    }
    g_ptr_array_add(names, NULL);
    const char *near = nearest_word(word, (const char *const *)names->pdata);
    const char *blank = group != NULL ? " " : "";
    const char *before = group != NULL ? group : "";
    if (near == NULL) {
        sy_fail(error, SY_INVALID_INPUT, "there is no command %s%s%s", before, blank, word);
        sy_error_set_hint(error, "enclii help%s%s", blank, before);
    } else {
        sy_fail(error, SY_INVALID_INPUT, "there is no command %s%s%s; did you mean %s%s%s?", before, blank, word,
                before, blank, near);
        sy_error_set_hint(error, "enclii %s%s%s", before, blank, near);
    }
    return false;
}

static bool check_count(const struct cli *cli, GError **error)
{
    const struct command *command = cli->command;
    bool is_few = cli->arguments->len < command->min_arguments;
    if (!is_few && cli->arguments->len <= command->max_arguments) {
        return true;
    }
    if (is_few) {
        sy_fail(error, SY_INVALID_INPUT, "%s needs %s", command->name, command->arguments);
    } else {
        sy_fail(error, SY_INVALID_INPUT, "%s does not know what to do with %s", command->name,
                (const char *)g_ptr_array_index(cli->arguments, command->max_arguments));
    }
    sy_error_set_hint(error, "enclii %s%s%s", command->name, command->arguments != NULL ? " " : "",
                      command->arguments != NULL ? command->arguments : "");
    return false;
}

/* --- flags ------------------------------------------------------------------------------------- */

static bool check_word(const struct flag *flag, const char *value, GError **error)
{
    if (flag->words == NULL || g_strv_contains(flag->words, value)) {
        return true;
    }
    g_autofree char *known = g_strjoinv(", ", (char **)flag->words);
    sy_fail(error, SY_INVALID_INPUT, "--%s takes one of: %s; not %s", flag->name, known, value);
    const char *near = nearest_word(value, flag->words);
    sy_error_set_hint(error, "--%s %s", flag->name, near != NULL ? near : flag->words[0]);
    return false;
}

static bool keep(struct cli *cli, const struct flag *flag, const char *value, GError **error)
{
    if (!check_word(flag, value, error)) {
        return false;
    }
    GPtrArray *values = g_hash_table_lookup(cli->flags, flag->name);
    if (values == NULL) {
        values = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(cli->flags, (char *)flag->name, values);
    }
    g_ptr_array_add(values, g_strdup(value));
    return true;
}

/* The argument after a flag that takes a value; another flag is not taken for one. */
static const char *next_value(const struct parser *parser, const struct flag *flag, int *index, GError **error)
{
    const char *next = *index + 1 < parser->argc ? parser->argv[*index + 1] : NULL;
    if (next == NULL || g_str_has_prefix(next, "--")) {
        sy_fail(error, SY_INVALID_INPUT, "--%s needs a value: %s", flag->name, flag->value);
        sy_error_set_hint(error, "--%s=%s", flag->name, flag->value);
        return NULL;
    }
    (*index)++;
    return next;
}

static bool parse_long(struct parser *parser, int *index, GError **error)
{
    const char *given = parser->argv[*index];
    size_t length = strcspn(given + 2, "=");
    const char *value = given[2 + length] == '=' ? given + 2 + length + 1 : NULL;
    const struct flag *flag = long_flag(parser, given + 2, length);
    if (flag == NULL) {
        return unknown_flag(parser, given, error);
    }
    if (flag->value == NULL) {
        if (value != NULL) {
            sy_fail(error, SY_INVALID_INPUT, "--%s takes no value", flag->name);
            sy_error_set_hint(error, "--%s", flag->name);
            return false;
        }
        return keep(parser->cli, flag, "", error);
    }
    if (value == NULL) {
        value = next_value(parser, flag, index, error);
    }
    return value != NULL && keep(parser->cli, flag, value, error);
}

/* -q, -qv, -ojson, -o json, -o=json */
static bool parse_short(struct parser *parser, int *index, GError **error)
{
    const char *given = parser->argv[*index];
    for (const char *letter = given + 1; *letter != '\0'; letter++) {
        const struct flag *flag = short_flag(parser, *letter);
        if (flag == NULL) {
            return unknown_flag(parser, given, error);
        }
        if (flag->value == NULL) {
            if (!keep(parser->cli, flag, "", error)) {
                return false;
            }
            continue;
        }
        const char *value = letter[1] == '=' ? letter + 2 : letter + 1;
        if (letter[1] == '\0') {
            value = next_value(parser, flag, index, error);
        }
        return value != NULL && keep(parser->cli, flag, value, error);
    }
    return true;
}

static bool is_flag(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0';
}

/* --- words ------------------------------------------------------------------------------------- */

/* Where the operands are, as far as flags that stand before the command are known: the global ones.
 */
static void find_words(struct parser *parser)
{
    for (int i = 1; i < parser->argc && parser->second_word == 0; i++) {
        const char *argument = parser->argv[i];
        if (strcmp(argument, "--") == 0) {
            return;
        }
        if (!is_flag(argument)) {
            *(parser->first_word == 0 ? &parser->first_word : &parser->second_word) = i;
            continue;
        }
        bool is_long = argument[1] == '-';
        const struct flag *flag = is_long ? find_flag(global_flags, argument + 2, strlen(argument + 2))
                                          : find_letter(global_flags, argument[1]);
        bool is_alone = is_long || argument[2] == '\0';
        i += flag != NULL && flag->value != NULL && is_alone;
    }
}

/* Leaves second_word 0 when the command's name is one word. */
static bool find_command(struct parser *parser, GError **error)
{
    struct cli *cli = parser->cli;
    const char *word = parser->first_word != 0 ? parser->argv[parser->first_word] : "help";
    const char *second = parser->second_word != 0 ? parser->argv[parser->second_word] : NULL;
    if (command_is_group(word)) {
        g_autofree char *name = g_strdup_printf("%s %s", word, second != NULL ? second : "list");
        cli->command = command_find(name);
        return cli->command != NULL || options_unknown_command(second != NULL ? second : "list", word, error);
    }
    parser->second_word = 0;
    cli->command = command_find(word);
    return cli->command != NULL || options_unknown_command(word, NULL, error);
}

static bool has_switch(const struct parser *parser, const char *name, const char *letter)
{
    for (int i = 1; i < parser->argc && strcmp(parser->argv[i], "--") != 0; i++) {
        if (strcmp(parser->argv[i], name) == 0 || g_strcmp0(parser->argv[i], letter) == 0) {
            return true;
        }
    }
    return false;
}

/* What is asked for wins over what is wrong elsewhere on the line. */
static bool parse_help(struct parser *parser)
{
    struct cli *cli = parser->cli;
    GError *ignored = NULL;
    if (parser->first_word == 0 && has_switch(parser, "--version", NULL)) {
        cli->command = command_find("version");
        return true;
    }
    if (!has_switch(parser, "--help", "-h")) {
        return false;
    }
    const struct flag *help = find_flag(global_flags, "help", 4);
    const char *word = parser->first_word != 0 ? parser->argv[parser->first_word] : NULL;
    if (word != NULL && command_is_group(word) && parser->second_word == 0) {
        cli->command = command_find("help"); /* of the whole group */
        g_ptr_array_add(cli->arguments, g_strdup(word));
    } else if (!find_command(parser, &ignored)) {
        g_clear_error(&ignored);
        return false;
    }
    return keep(cli, help, "", NULL);
}

static bool parse_rest(struct parser *parser, GError **error)
{
    struct cli *cli = parser->cli;
    bool is_over = false;
    for (int i = 1; i < parser->argc; i++) {
        const char *argument = parser->argv[i];
        if (is_over || !is_flag(argument)) {
            if (is_over || (i != parser->first_word && i != parser->second_word)) {
                g_ptr_array_add(cli->arguments, g_strdup(argument));
            }
        } else if (strcmp(argument, "--") == 0) {
            is_over = true;
        } else if (!(argument[1] == '-' ? parse_long(parser, &i, error) : parse_short(parser, &i, error))) {
            return false;
        }
    }
    return true;
}

bool options_parse(struct cli *cli, int argc, char *const *argv, GError **error)
{
    struct parser parser = {.cli = cli, .argc = argc, .argv = argv};
    find_words(&parser);
    if (parse_help(&parser)) {
        return true;
    }
    return find_command(&parser, error) && parse_rest(&parser, error) && check_count(cli, error);
}
