/* Questions: on a real pseudo-terminal, and from a pipe. stderr is where they are asked. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"
#include "enclii/prompt.h"

struct terminal {
    int master;
    int saved_stdin;
    struct cli cli;
};

static void put_on_stdin(struct terminal *terminal, int fd)
{
    terminal->saved_stdin = dup(STDIN_FILENO);
    g_assert_cmpint(dup2(fd, STDIN_FILENO), ==, STDIN_FILENO);
    close(fd);
}

static void open_terminal(struct terminal *terminal)
{
    *terminal = (struct terminal){.master = posix_openpt(O_RDWR | O_NOCTTY)};
    g_assert_cmpint(terminal->master, >=, 0);
    g_assert_cmpint(grantpt(terminal->master), ==, 0);
    g_assert_cmpint(unlockpt(terminal->master), ==, 0);
    put_on_stdin(terminal, open(ptsname(terminal->master), O_RDWR | O_NOCTTY));
    cli_init(&terminal->cli);
    terminal->cli.command = commands[0];
    terminal->cli.is_input_terminal = true;
}

static void open_pipe(struct terminal *terminal, const char *bytes, size_t length)
{
    int ends[2];
    *terminal = (struct terminal){.master = -1};
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_true(fd_write_all(ends[1], bytes, length, NULL));
    close(ends[1]);
    put_on_stdin(terminal, ends[0]);
    cli_init(&terminal->cli);
    terminal->cli.command = commands[0];
}

static void close_terminal(struct terminal *terminal)
{
    dup2(terminal->saved_stdin, STDIN_FILENO);
    close(terminal->saved_stdin);
    if (terminal->master >= 0) {
        close(terminal->master);
    }
    cli_clear(&terminal->cli);
}

static bool has_echo(void)
{
    struct termios state;
    g_assert_cmpint(tcgetattr(STDIN_FILENO, &state), ==, 0);
    return (state.c_lflag & ECHO) != 0;
}

/* Types once the terminal is silent (or at once), as a person does who waits for the question. */
static gpointer type_when_silent(gpointer data)
{
    int64_t end_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (has_echo() && g_get_monotonic_time() < end_us) {
        g_usleep(1000);
    }
    g_assert_true(fd_write_all(GPOINTER_TO_INT(data), "hunter2\n", 8, NULL));
    return NULL;
}

static void secret_is_not_echoed_and_the_echo_comes_back(void)
{
    struct terminal terminal;
    char shown[256] = {0};
    g_autoptr(GError) error = NULL;
    open_terminal(&terminal);
    g_assert_true(has_echo());
    GThread *typist = g_thread_new("typist", type_when_silent, GINT_TO_POINTER(terminal.master));
    g_autoptr(sy_secret) secret = prompt_secret(&terminal.cli, "token", &error);
    g_thread_join(typist);
    g_assert_no_error(error);
    g_assert_cmpstr(secret_reveal(secret), ==, "hunter2");
    g_assert_true(has_echo());
    g_assert_cmpint(fcntl(terminal.master, F_SETFL, O_NONBLOCK), ==, 0);
    (void)!read(terminal.master, shown, sizeof shown - 1); /* EAGAIN when nothing was echoed */
    g_assert_null(strstr(shown, "hunter2"));
    close_terminal(&terminal);
}

static void secret_from_a_pipe_is_all_of_it_but_the_last_newline(void)
{
    static const struct {
        const char *given, *secret;
    } cases[] = {{"a", "a"}, {"a\n", "a"}, {"a\nb\n\n", "a\nb\n"}, {" a ", " a "}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct terminal terminal;
        g_autoptr(GError) error = NULL;
        open_pipe(&terminal, cases[i].given, strlen(cases[i].given));
        g_autoptr(sy_secret) secret = prompt_secret(&terminal.cli, "X", &error);
        g_assert_no_error(error);
        g_assert_cmpstr(secret_reveal(secret), ==, cases[i].secret);
        close_terminal(&terminal);
    }
}

static void empty_or_binary_secret_is_refused(void)
{
    static const struct {
        const char *given;
        size_t length;
    } cases[] = {{"", 0}, {"\n", 1}, {"a\0b", 3}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct terminal terminal;
        g_autoptr(GError) error = NULL;
        open_pipe(&terminal, cases[i].given, cases[i].length);
        g_assert_null(prompt_secret(&terminal.cli, "X", &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        close_terminal(&terminal);
    }
}

static void only_yes_is_yes(void)
{
    static const struct {
        const char *typed;
        bool is_yes;
    } cases[] = {{"y\n", true},  {"YES\n", true}, {" yes \n", true},     {"\n", false},
                 {"n\n", false}, {"ye\n", false}, {"yesterday\n", false}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct terminal terminal;
        g_autoptr(GError) error = NULL;
        open_terminal(&terminal);
        g_assert_true(fd_write_all(terminal.master, cases[i].typed, strlen(cases[i].typed), NULL));
        g_assert_true(prompt_confirm(&terminal.cli, "Sure?", &error) == cases[i].is_yes);
        g_assert_true(cases[i].is_yes || g_error_matches(error, SY_ERROR, SY_CANCELLED));
        close_terminal(&terminal);
    }
}

/* Not even a yes on a pipe: scripts say --yes. */
static void without_a_terminal_only_the_flag_counts(void)
{
    struct terminal terminal;
    g_autoptr(GError) error = NULL;
    open_pipe(&terminal, "yes\n", 4);
    g_assert_false(prompt_confirm(&terminal.cli, "Sure?", &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_nonnull(strstr(sy_error_hint(error), "--yes"));
    close_terminal(&terminal);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/enclii/prompt/" #name, name)
    TEST(secret_is_not_echoed_and_the_echo_comes_back);
    TEST(secret_from_a_pipe_is_all_of_it_but_the_last_newline);
    TEST(empty_or_binary_secret_is_refused);
    TEST(only_yes_is_yes);
    TEST(without_a_terminal_only_the_flag_counts);
    return g_test_run();
}
