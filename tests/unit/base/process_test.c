/* Child processes: real ones, small ones. */
#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
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

/* Where it cannot be started the reason is the child's own, and nothing is left of it. */
static void what_cannot_be_started_is_told(void)
{
    g_autofree char *folder = g_dir_make_tmp("process-test-XXXXXX", NULL);
    g_autofree char *garbage = g_build_filename(folder, "garbage", NULL);
    g_autofree char *missing = g_build_filename(folder, "missing", NULL);
    g_assert_true(file_replace(garbage, "\1\2\3", 3, 0700, NULL));
    const char *const true_argv[] = {"true", NULL};
    const char *const garbage_argv[] = {garbage, NULL};
    const struct {
        struct process_spec spec;
        const char *words;
    } cases[] = {
        {{.argv = garbage_argv, .stdin_fd = -1}, "Exec format error"},
        {{.argv = true_argv, .stdin_fd = -1, .cwd = missing}, "No such file or directory"},
        {{.argv = true_argv, .stdin_fd = -1, .cwd = garbage}, "Not a directory"},
        {{.argv = true_argv, .stdin_fd = -1, .cgroup = missing}, "No such file or directory"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct process_result result;
        g_assert_false(process_run(&cases[i].spec, &result, &error));
        g_assert_error(error, SY_ERROR, SY_PROCESS_FAILED);
        g_assert_true(g_str_has_prefix(error->message, "cannot start "));
        g_assert_nonnull(strstr(error->message, cases[i].words));
        g_assert_null(result.output);
        g_assert_null(result.last_lines);
        g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
        g_assert_cmpint(errno, ==, ECHILD);
    }
    g_assert_true(folder_remove(folder, NULL));
}

/* Not even descriptors are left for it. */
static void without_descriptors_nothing_is_started(void)
{
    struct rlimit all, few;
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"true", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1};
    struct process_result result;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &all), ==, 0);
    few = all;
    int lowest = dup(2);
    close(lowest);
    few.rlim_cur = (rlim_t)lowest + 4; /* for /dev/null and one pipe and a half */
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
    bool ok = process_run(&spec, &result, &error);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &all), ==, 0);
    g_assert_false(ok);
    g_assert_nonnull(strstr(error->message, "cannot make a pipe: Too many open files"));
    g_assert_null(result.output);
    int after = dup(2);
    close(after);
    g_assert_cmpint(after, ==, lowest); /* what had been opened is closed again */
}

static void what_it_prints_last_is_kept_and_no_more(void)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {
        "awk", "BEGIN { for (i = 0; i < 5000; i++) print \"line \" i > \"/dev/stderr\"; print \"out\"; exit 3 }", NULL};
    pid_t pid = 0;
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .capture_bytes = 2, .ret_pid = &pid};
    g_auto(process_result_t) result;
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpint(pid, >, 1);
    g_assert_cmpint(result.exit_status, ==, 3);
    g_assert_cmpstr(result.output, ==, "ou");
    g_assert_cmpuint(result.output_length, ==, 2);
    g_assert_cmpuint(strlen(result.last_lines), ==, 4096);
    g_assert_true(g_str_has_suffix(result.last_lines, "line 4998\nline 4999\n"));
}

struct pieces {
    size_t longest, sum;
    int n;
};

static void add_piece(const char *line, size_t length, void *arg)
{
    struct pieces *pieces = arg;
    pieces->longest = MAX(pieces->longest, length);
    pieces->sum += length;
    pieces->n++;
}

static void a_line_without_end_comes_in_pieces(void)
{
    g_autoptr(GError) error = NULL;
    struct pieces pieces = {0};
    const char *const argv[] = {"head", "-c", "100000", "/dev/zero", NULL};
    const char *const text_argv[] = {"awk", "BEGIN { for (i = 0; i < 100000; i++) printf \"x\" }", NULL};
    struct process_spec spec = {.argv = text_argv, .stdin_fd = -1, .on_line = add_piece, .on_line_arg = &pieces};
    g_auto(process_result_t) result = {0};
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpuint(pieces.sum, ==, 100000);
    g_assert_cmpuint(pieces.longest, ==, 16384);
    g_assert_cmpint(pieces.n, ==, 7);
    process_result_clear(&result);
    pieces = (struct pieces){0};
    spec.argv = argv; /* nothing that could be shown */
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_cmpuint(pieces.sum, ==, 0);
}

/* Who ignores SIGTERM has two seconds. */
static void who_ignores_the_request_to_end_is_killed(void)
{
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"sh", "-c", "trap '' TERM; while :; do sleep 100; done", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 200};
    g_auto(process_result_t) result;
    int64_t start_us = g_get_monotonic_time();
    g_assert_true(process_run(&spec, &result, &error));
    g_assert_true(result.timed_out);
    g_assert_cmpint(result.exit_status, ==, -1);
    g_assert_cmpint(result.signal, ==, SIGKILL);
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, 2 * G_USEC_PER_SEC);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 10 * G_USEC_PER_SEC);
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
#define ADD(name) g_test_add_func("/process/" #name, name)
    ADD(what_cannot_be_started_is_told);
    ADD(without_descriptors_nothing_is_started);
    ADD(what_it_prints_last_is_kept_and_no_more);
    ADD(a_line_without_end_comes_in_pieces);
    ADD(who_ignores_the_request_to_end_is_killed);
    return g_test_run();
}
