/* The line that people type. */
#include <string.h>

#include "enclii/options.h"

struct parsed {
    struct cli cli;
    GError *error;
    bool ok;
};

static void parse(struct parsed *parsed, const char *line)
{
    g_autofree char *whole = g_strconcat("enclii ", line, NULL);
    g_auto(GStrv) argv = NULL;
    int argc;
    g_assert_true(g_shell_parse_argv(whole, &argc, &argv, NULL));
    *parsed = (struct parsed){.error = NULL};
    cli_init(&parsed->cli);
    parsed->ok = options_parse(&parsed->cli, argc, argv, &parsed->error);
    g_assert_true(parsed->ok == (parsed->error == NULL));
}

static void clear(struct parsed *parsed)
{
    cli_clear(&parsed->cli);
    g_clear_error(&parsed->error);
}

/* Command, operands joined by a bar, and flags as "name=value" joined by blanks, in the order of the names. */
static char *describe(const struct cli *cli)
{
    GString *out = g_string_new(cli->command->name);
    for (guint i = 0; i < cli->arguments->len; i++) {
        g_string_append_printf(out, "|%s", (char *)g_ptr_array_index(cli->arguments, i));
    }
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(cli->flags), (GCompareFunc)strcmp);
    for (GList *name = names; name != NULL; name = name->next) {
        const GPtrArray *values = cli_flag_all(cli, name->data);
        for (guint i = 0; i < values->len; i++) {
            g_string_append_printf(out, " %s=%s", (char *)name->data, (char *)g_ptr_array_index(values, i));
        }
    }
    return g_string_free(out, FALSE);
}

static void good_lines_mean_what_they_say(void)
{
    static const struct {
        const char *line, *meaning;
    } cases[] = {
        {"", "help"},
        {"ps", "ps"},
        {"ps -o json", "ps output=json"},
        {"ps -ojson", "ps output=json"},
        {"ps -o=json", "ps output=json"},
        {"ps --output=json", "ps output=json"},
        {"-o json ps", "ps output=json"},
        {"--output json --project shop ps", "ps output=json project=shop"},
        {"--project=shop ps", "ps project=shop"},
        {"ps -qv", "ps quiet= verbose="},
        {"ps -qo json", "ps output=json quiet="},
        {"ps -o json -o yaml", "ps output=json output=yaml"},
        {"scale web=3 -e preview", "scale|web=3 environment=preview"},
        {"scale -e preview web=3 api=2", "scale|web=3|api=2 environment=preview"},
        {"tokens", "tokens list"},
        {"tokens -o json", "tokens list output=json"},
        {"tokens create ci --scope read --scope deploy", "tokens create|ci scope=read scope=deploy"},
        {"tokens -o json create ci", "tokens create|ci output=json"},
        {"env set A=1 B=-x", "env set|A=1|B=-x"},
        {"env set -- -A=1", "env set|-A=1"},
        {"env set A= --secret B", "env set|A= secret=B"},
        {"api GET / --data -", "api|GET|/ data=-"},
        {"api POST /x --data=--y", "api|POST|/x data=--y"},
        {"rollback --to v9", "rollback to=v9"},
        {"ps --help", "ps help="},
        {"ps --bogus -h", "ps help="},
        {"tokens --help", "help|tokens help="},
        {"tokens create -h", "tokens create help="},
        {"--version", "version"},
        {"--help", "help help="},
        {"help ps", "help|ps"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct parsed parsed;
        parse(&parsed, cases[i].line);
        g_assert_no_error(parsed.error);
        g_autofree char *meaning = describe(&parsed.cli);
        g_assert_cmpstr(meaning, ==, cases[i].meaning);
        clear(&parsed);
    }
}

static void bad_lines_are_refused_with_the_way_out(void)
{
    static const struct {
        const char *line, *message, *hint;
    } cases[] = {
        {"rolback", "did you mean rollback?", "enclii rollback"},
        {"qqqqqqqqqq", "there is no command qqqqqqqqqq", "enclii help"},
        {"tokens crate", "did you mean tokens create?", "enclii tokens create"},
        {"tokens qqqqqqqqqq", "there is no command tokens qqqqqqqqqq", "enclii help tokens"},
        {"ps --outptu json", "ps has no flag --outptu; did you mean --output?", "enclii ps --help"},
        {"ps --qqqqqqqqqq=1", "ps has no flag --qqqqqqqqqq", "enclii ps --help"},
        {"ps -z", "ps has no flag -z", "enclii ps --help"},
        {"ps -o", "--output needs a value", "--output=FORMAT"},
        {"ps -o --quiet", "--output needs a value", "--output=FORMAT"},
        {"ps -o xml", "--output takes one of: table, json, yaml; not xml", "--output"},
        {"ps --quiet=yes", "--quiet takes no value", "--quiet"},
        {"ps extra", "ps does not know what to do with extra", "enclii ps"},
        {"scale", "scale needs SERVICE=N", "enclii scale SERVICE=N"},
        {"delete", "delete needs SERVICE", "enclii delete SERVICE"},
        {"delete a b", "delete does not know what to do with b", "enclii delete SERVICE"},
        {"tokens create ci --scope root", "--scope takes one of: admin, deploy, read; not root", "--scope"},
        {"ps --scope read", "ps has no flag --scope", "enclii ps --help"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct parsed parsed;
        parse(&parsed, cases[i].line);
        g_assert_error(parsed.error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_nonnull(strstr(parsed.error->message, cases[i].message));
        g_assert_true(g_str_has_prefix(sy_error_hint(parsed.error), cases[i].hint));
        clear(&parsed);
    }
}

static void numbers_of_flags_are_bounded(void)
{
    struct parsed parsed;
    g_autoptr(GError) error = NULL;
    int64_t value = 7;
    parse(&parsed, "events -n 201");
    g_assert_no_error(parsed.error);
    g_assert_false(cli_flag_int(&parsed.cli, "limit", 0, 200, 20, &value, &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_cmpint(value, ==, 7);
    clear(&parsed);
    parse(&parsed, "events");
    g_assert_true(cli_flag_int(&parsed.cli, "limit", 0, 200, 20, &value, NULL));
    g_assert_cmpint(value, ==, 20);
    clear(&parsed);
}

/* The table itself: what completion, help and the reference rely on. */
static void table_of_commands_is_sound(void)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        const struct command *command = commands[i];
        g_assert_true(command_find(command->name) == command);
        g_assert_nonnull(command->run);
        g_assert_cmpuint(command->min_arguments, <=, command->max_arguments);
        g_assert_true(command->max_arguments == 0 || command->arguments != NULL);
        g_assert_false(g_str_has_suffix(command->summary, "."));
        for (const struct flag *flag = command->flags; flag != NULL && flag->name != NULL; flag++) {
            for (const struct flag *global = global_flags; global->name != NULL; global++) {
                g_assert_cmpstr(flag->name, !=, global->name);
                g_assert_true(flag->letter == '\0' || flag->letter != global->letter);
            }
        }
        /* A group stands for its list. */
        g_auto(GStrv) words = g_strsplit(command->name, " ", 2);
        if (words[1] != NULL) {
            g_assert_null(command_find(words[0]));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/enclii/options/" #name, name)
    TEST(good_lines_mean_what_they_say);
    TEST(bad_lines_are_refused_with_the_way_out);
    TEST(numbers_of_flags_are_bounded);
    TEST(table_of_commands_is_sound);
    return g_test_run();
}
