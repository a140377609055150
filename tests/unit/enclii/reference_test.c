/* Help, reference and completion: everything that is made from the table of commands. */
#include <string.h>

#include "base/file.h"
#include "base/process.h"
#include "enclii/reference.h"

/* Runs `shell arguments… FILE` with the script in FILE; skips when the shell is not installed. */
static int check_with(const char *shell, const char *option, const char *script)
{
    g_autofree char *folder = g_dir_make_tmp("completion-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "script", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(file_replace(path, script, strlen(script), 0600, &error));
    const char *const argv[] = {shell, option, path, NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 20000};
    g_auto(process_result_t) result = {0};
    g_assert_true(process_run(&spec, &result, &error));
    if (result.exit_status != 0) {
        g_test_message("%s", result.last_lines);
    }
    g_assert_true(folder_remove(folder, NULL));
    return result.exit_status;
}

static void check_shell(const char *shell, const char *option)
{
    g_autofree char *program = g_find_program_in_path(shell);
    g_autofree char *script = completion_script(shell);
    if (program == NULL) {
        g_test_skip("the shell is not installed");
        return;
    }
    g_assert_cmpint(check_with(shell, option, script), ==, 0);
}

static void bash_takes_its_script(void)
{
    check_shell("bash", "-n");
}

static void zsh_takes_its_script(void)
{
    check_shell("zsh", "-n");
}

static void fish_takes_its_script(void)
{
    check_shell("fish", "--no-execute");
}

static void assert_names_all(const char *text)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit(commands[i]->name, " ", 2);
        g_assert_nonnull(strstr(text, words[0]));
        if (words[1] != NULL) {
            g_assert_nonnull(strstr(text, words[1]));
        }
    }
}

/* As pressing Tab does it. */
static char *complete(const char *line)
{
    g_autofree char *script = completion_script("bash");
    g_autoptr(GString) driver = g_string_new(script);
    g_string_append_printf(driver,
                           "COMP_WORDS=(%s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_enclii\n"
                           "printf '%%s ' \"${COMPREPLY[@]}\"\n",
                           line);
    g_autofree char *folder = g_dir_make_tmp("completion-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "script", NULL);
    g_assert_true(file_replace(path, driver->str, driver->len, 0600, NULL));
    const char *const argv[] = {"bash", path, NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 20000, .capture_bytes = 65536};
    g_auto(process_result_t) result = {0};
    g_assert_true(process_run(&spec, &result, NULL));
    g_assert_cmpint(result.exit_status, ==, 0);
    g_assert_true(folder_remove(folder, NULL));
    return g_strdup(result.output);
}

static void bash_completes_commands_members_and_flags(void)
{
    static const struct {
        const char *line, *choices;
    } cases[] = {
        {"enclii roll", "rollback "},      {"enclii tokens ''", "list create revoke "},
        {"enclii tokens cr", "create "},   {"enclii tokens create --sc", "--scope "},
        {"enclii ps --outp", "--output "}, {"enclii ps -o y", "yaml "},
        {"enclii -q roll", "rollback "},   {"enclii rollback --t", "--timeout --to "},
    };
    g_autofree char *program = g_find_program_in_path("bash");
    if (program == NULL) {
        g_test_skip("bash is not installed");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *choices = complete(cases[i].line);
        g_assert_cmpstr(choices, ==, cases[i].choices);
    }
}

static void every_text_names_every_command(void)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < G_N_ELEMENTS(shells); i++) {
        g_autofree char *script = completion_script(shells[i]);
        assert_names_all(script);
    }
    g_assert_null(completion_script("tcsh"));
    g_autofree char *overview = reference_overview();
    g_autofree char *markdown = reference_markdown();
    assert_names_all(overview);
    assert_names_all(markdown);
    json_t *json = reference_json();
    size_t n = 0;
    while (commands[n] != NULL) {
        n++;
    }
    g_assert_cmpuint(json_array_size(json_object_get(json, "commands")), ==, n);
    json_decref(json);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/enclii/reference/" #name, name)
    TEST(bash_takes_its_script);
    TEST(zsh_takes_its_script);
    TEST(fish_takes_its_script);
    TEST(bash_completes_commands_members_and_flags);
    TEST(every_text_names_every_command);
    return g_test_run();
}
