/* Procfiles: words as a shell would split them, and what only a shell could run. */
#include <string.h>

#include "base/error.h"
#include "build/detect.h"
#include "build/detect/detector.h"

static void words_are_split_as_a_shell_does(void)
{
    static const struct {
        const char *line;
        const char *words; /* joined by | */
    } cases[] = {
        {"./server", "./server"},
        {"node  server.js\t--x", "node|server.js|--x"},
        {"run 'a b' \"c d\" e\\ f", "run|a b|c d|e f"},
        {"run ''", "run|"},
        {"run a'b'\"c\"d", "run|abcd"},
        {"run \"a \\\"b\\\" \\\\ \\n\"", "run|a \"b\" \\ \\n"},
        {"gunicorn -b 0.0.0.0:$PORT app:app", "gunicorn|-b|0.0.0.0:${PORT}|app:app"},
        {"x ${PORT} \"$PORT\" a${PORT}b", "x|${PORT}|${PORT}|a${PORT}b"},
        {"x $PORT/y $PORT-z", "x|${PORT}/y|${PORT}-z"},
        {"exec java -Dx=y -jar a.jar", "java|-Dx=y|-jar|a.jar"},
        {"exec", "exec"},
        {"x --a=b a#b a!b a~b {x}", "x|--a=b|a#b|a!b|a~b|{x}"},
        {"./a=b c", "./a=b|c"},
        {"x größe", "x|größe"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) argv = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strconcat("web: ", cases[i].line, "\n", NULL);
        bool ok = procfile_parse(text, strlen(text), "web", &argv, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_autofree char *joined = g_strjoinv("|", argv);
        g_assert_cmpstr(joined, ==, cases[i].words);
    }
}

static void what_needs_a_shell_is_refused_with_a_way_out(void)
{
    static const struct {
        const char *line;
        const char *words;
    } cases[] = {
        {"a | b", "pipes"},
        {"a && b", "several"},
        {"a; b", "several"},
        {"a > b", "redirections"},
        {"a < b", "redirections"},
        {"a &", "several"},
        {"(a)", "several"},
        {"a `b`", "several"},
        {"a \"`b`\"", "inside"},
        {"a $(b)", "variable"},
        {"a $HOME", "variable"},
        {"a $PORTS", "variable"},
        {"a ${PORT:-1}", "variable"},
        {"a $", "variable"},
        {"a \"$X\"", "variable"},
        {"a '$PORT'", "“$”"},
        {"a \\$PORT", "“$”"},
        {"a \"\\$PORT\"", "“$”"},
        {"a *.js", "patterns"},
        {"a b?", "patterns"},
        {"a [b]", "patterns"},
        {"a ~/b", "begins"},
        {"a #b", "begins"},
        {"! a", "begins"},
        {"cd x", "only a shell"},
        {". ./env", "only a shell"},
        {"export A=b", "only a shell"},
        {"A=b c", "env in enclii.yaml"},
        {"a 'b", "not closed"},
        {"a \"b", "not closed"},
        {"a b\\", "ends with"},
        {"", "empty"},
        {"''", "empty"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) argv = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strconcat("web: ", cases[i].line, NULL);
        g_test_message("%s", text);
        g_assert_false(procfile_parse(text, strlen(text), "web", &argv, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_null(argv);
        g_assert_nonnull(strstr(error->message, cases[i].words));
        g_assert_nonnull(strstr(sy_error_hint(error), "command"));
    }
}

static void lines_are_found_by_name(void)
{
    static const char text[] = "# what runs\r\n\r\nworker: ./work\r\nweb: ./serve a:b\r\nweb-2: ./other\r\n";
    g_auto(GStrv) web = NULL;
    g_auto(GStrv) worker = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(procfile_parse(text, strlen(text), "web", &web, &error));
    g_assert_cmpstr(web[0], ==, "./serve");
    g_assert_cmpstr(web[1], ==, "a:b");
    g_assert_true(procfile_parse(text, strlen(text), "worker", &worker, &error));
    g_assert_cmpstr(worker[0], ==, "./work");
    g_assert_false(procfile_parse(text, strlen(text), "cron", &worker, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_FOUND);
}

static void broken_files_are_told_with_the_line(void)
{
    static const struct {
        const char *text;
        size_t length;
        const char *words;
    } cases[] = {{"web: a\nweb b\n", 13, "line 2"},
                 {"web: a\nweb: b\n", 14, "line 2: a second web"},
                 {": a\n", 4, "line 1"},
                 {"web: a\0b", 8, "UTF-8"},
                 {"web: \xFF", 6, "UTF-8"},
                 {"web: a\x01z", 8, "control"}};
    g_autofree char *large = g_strnfill(70000, '#');
    g_autoptr(GError) too_large = NULL;
    g_auto(GStrv) argv = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("case %zu", i);
        g_assert_false(procfile_parse(cases[i].text, cases[i].length, "web", &argv, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_nonnull(strstr(error->message, cases[i].words));
    }
    g_assert_false(procfile_parse(large, 70000, "web", &argv, &too_large));
    g_assert_error(too_large, SY_ERROR, SY_INVALID_INPUT);
}

/* What env(1) itself makes of it is the judge. */
static void ports_are_put_in_without_a_shell(void)
{
    static const char *const words[] = {"printf", "<%s>", "0:${PORT}", "a b",  "q\"q", "b\\n",
                                        "",       "#x",   "$",         "it's", NULL};
    g_auto(GStrv) plain = command_runnable((char *[]){(char *)"a", (char *)"b c", NULL});
    g_assert_cmpstr(plain[1], ==, "b c");
    g_assert_null(plain[2]);
    /* A "$" of its own cannot come out of command_split. */
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], "$") != 0) {
            g_strv_builder_add(builder, words[i]);
        }
    }
    g_auto(GStrv) argv = g_strv_builder_end(builder);
    g_auto(GStrv) runnable = command_runnable(argv);
    g_assert_cmpstr(runnable[0], ==, "/usr/bin/env");
    g_assert_cmpstr(runnable[1], ==, "-S");
    g_assert_null(runnable[3]);
    g_autofree char *output = NULL;
    g_auto(GStrv) environment = g_strdupv((char *[]){(char *)"PORT=8081", (char *)"PATH=/usr/bin:/bin", NULL});
    g_assert_true(g_spawn_sync(NULL, runnable, environment, 0, NULL, NULL, &output, NULL, NULL, NULL));
    g_assert_cmpstr(output, ==, "<0:8081><a b><q\"q><b\\n><><#x><it's>");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/procfile/words_are_split_as_a_shell_does", words_are_split_as_a_shell_does);
    g_test_add_func("/procfile/what_needs_a_shell_is_refused_with_a_way_out",
                    what_needs_a_shell_is_refused_with_a_way_out);
    g_test_add_func("/procfile/lines_are_found_by_name", lines_are_found_by_name);
    g_test_add_func("/procfile/broken_files_are_told_with_the_line", broken_files_are_told_with_the_line);
    g_test_add_func("/procfile/ports_are_put_in_without_a_shell", ports_are_put_in_without_a_shell);
    return g_test_run();
}
