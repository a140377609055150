/* Crash points: only the one that is named, and only at its time. Each try is a child, which says by its end what happened. */
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crash_point.h"

/* What a child ends with that passes the point so often: 0, or the signal. */
static int end_of(const char *wanted, int n_times)
{
    int status = 0;
    if (wanted != NULL) {
        g_setenv("ENCLII_CRASH_POINT", wanted, TRUE);
    } else {
        g_unsetenv("ENCLII_CRASH_POINT");
    }
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < n_times; i++) {
            crash_point_reach("file.before_rename");
        }
        exit(0); /* not _exit: what is counted for coverage is written there */
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void the_point_that_is_named_ends_the_process(void)
{
    g_assert_cmpint(end_of("file.before_rename", 0), ==, 0);
    g_assert_cmpint(end_of("file.before_rename", 1), ==, SIGKILL);
    g_assert_cmpint(end_of("file.before_rename:1", 1), ==, SIGKILL);
    g_assert_cmpint(end_of("file.before_rename:3", 2), ==, 0);
    g_assert_cmpint(end_of("file.before_rename:3", 3), ==, SIGKILL);
}

static void any_other_name_does_nothing(void)
{
    static const char *const others[] = {NULL,
                                         "",
                                         "file",
                                         "file.before_renam",
                                         "file.before_rename_of",
                                         "file.after_rename",
                                         "file.before_rename:",
                                         "file.before_rename:0",
                                         "file.before_rename:-1",
                                         "file.before_rename:1x",
                                         "file.before_rename:99999999999999999999"};
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_assert_cmpint(end_of(others[i], 2), ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crash_point/the_point_that_is_named_ends_the_process", the_point_that_is_named_ends_the_process);
    g_test_add_func("/crash_point/any_other_name_does_nothing", any_other_name_does_nothing);
    return g_test_run();
}
