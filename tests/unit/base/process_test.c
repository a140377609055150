/* Child processes: real ones, small ones. */
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"

static void add_line(const char *line, size_t length, void *arg)
{
    g_string_append_len(arg, line, (gssize)length);
    g_string_append_c(arg, '|');
}

static void gives_lines_and_status(void)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"sh", "-c", "echo one; echo two >&2; printf three; exit 7", NULL};
    const struct process_spec spec = {
        .argv = argv, .stdin_fd = -1, .on_line = add_line, .on_line_arg = lines, .capture_bytes = 100};
    g_auto(process_result_t) result;
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpint(result.exit_status, ==, 7);
    g_assert_cmpint(result.signal, ==, 0);
    g_assert_cmpstr(result.output, ==, "one\nthree");
    g_assert_cmpstr(result.last_lines, ==, "two\n");
    g_assert_nonnull(strstr(lines->str, "one|"));
    g_assert_nonnull(strstr(lines->str, "two|"));
    g_assert_nonnull(strstr(lines->str, "three|"));
}

static void missing_program_is_told_with_a_hint(void)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"no-such-program-anywhere", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1};
    struct process_result result;
    g_assert_false(process_run(&spec, &result, &error));
    g_assert_error(error, SY_ERROR, SY_PROCESS_FAILED);
    g_assert_nonnull(strstr(sy_error_hint(error), "no-such-program-anywhere"));
}

static void time_out_ends_the_whole_group(void)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"sh", "-c", "sh -c 'trap \"\" TERM; sleep 100' & echo $!; wait", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 200, .capture_bytes = 100};
    g_auto(process_result_t) result;
    int64_t start_us = g_get_monotonic_time();
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_true(result.timed_out);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 5 * G_USEC_PER_SEC);
    pid_t grandchild = (pid_t)g_ascii_strtoll(result.output, NULL, 10);
    g_assert_cmpint(grandchild, >, 1);
    for (int i = 0; i < 200 && kill(grandchild, 0) == 0; i++) {
        g_usleep(10000);
    }
    g_assert_cmpint(kill(grandchild, 0), !=, 0);
}

static gpointer cancel_soon(gpointer cancelled)
{
    g_usleep(100 * 1000);
    g_atomic_int_set((int *)cancelled, 1);
    return NULL;
}

static void can_be_cancelled(void)
{
    int cancelled = 0;
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"sleep", "100", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .cancelled = &cancelled};
    g_auto(process_result_t) result;
    GThread *thread = g_thread_new("cancel", cancel_soon, &cancelled);
    g_assert_true(process_run(&spec, &result, &error));
    g_thread_join(thread);
    g_assert_true(result.cancelled);
    g_assert_cmpint(result.signal, ==, SIGTERM);
}

static void gets_no_more_than_its_environment_and_descriptors(void)
{
    g_autoptr(GError) error = NULL;
    g_setenv("ENCLII_TEST_SECRET", "canary", TRUE);
    int leaked = dup(2);
    const char *const argv[] = {"sh", "-c", "env; ls /proc/self/fd | wc -l", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .capture_bytes = 65536};
    g_auto(process_result_t) result;
    g_assert_true(process_run(&spec, &result, &error));
    close(leaked);
    g_assert_null(strstr(result.output, "canary"));
    g_assert_true(g_str_has_suffix(result.output, "\n4\n")); /* 0, 1, 2 and the folder that ls reads */
}

static void output_of_a_descendant_elsewhere_holds_nobody_up(void)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"sh", "-c", "setsid sleep 3 & exit 0", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1};
    g_auto(process_result_t) result;
    int64_t start_us = g_get_monotonic_time();
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpint(result.exit_status, ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 2 * G_USEC_PER_SEC);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/process/gives_lines_and_status", gives_lines_and_status);
    g_test_add_func("/process/missing_program_is_told_with_a_hint", missing_program_is_told_with_a_hint);
    g_test_add_func("/process/time_out_ends_the_whole_group", time_out_ends_the_whole_group);
    g_test_add_func("/process/can_be_cancelled", can_be_cancelled);
    g_test_add_func("/process/gets_no_more_than_its_environment_and_descriptors",
                    gets_no_more_than_its_environment_and_descriptors);
    g_test_add_func("/process/output_of_a_descendant_elsewhere_holds_nobody_up",
                    output_of_a_descendant_elsewhere_holds_nobody_up);
    return g_test_run();
}
