#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

#define LINE_LIMIT (16 * 1024)
#define LAST_LIMIT (4 * 1024)
#define KILL_GRACE_US (2 * 1000 * 1000)
#define POLL_MS 50

/* --- what the child is given, prepared before the fork ------------------------------------------------------------------------ */

static char *find_program(const char *name)
{
    return strchr(name, '/') != NULL ? g_strdup(name) : g_find_program_in_path(name);
}

static char **minimal_environment(void)
{
    static const char *const kept[] = {"PATH",        "HOME",      "LANG",          "TMPDIR",      "HTTP_PROXY",
                                       "HTTPS_PROXY", "NO_PROXY",  "http_proxy",    "https_proxy", "no_proxy",
                                       "ALL_PROXY",   "all_proxy", "SSL_CERT_FILE", NULL};
    char **environment = NULL;
    for (size_t i = 0; kept[i] != NULL; i++) {
        const char *value = g_getenv(kept[i]);
        if (value != NULL) {
            environment = g_environ_setenv(environment, kept[i], value, TRUE);
        }
    }
    return g_environ_setenv(environment, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", FALSE);
}

struct launch {
    const char *program;
    char *const *argv;
    char *const *env;
    const char *cwd;
    char *cgroup_procs; /* NULL: stay */
    int in, out, err;
    int report; /* the child writes errno here when it cannot exec */
};

static _Noreturn void child_failed(int report)
{
    int failure = errno;
    ssize_t written = write(report, &failure, sizeof failure);
    (void)written;
    _exit(127);
}

static bool enter_cgroup(const char *procs)
{
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, "0", 1) == 1;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* Between fork and exec: async-signal-safe calls only. */
static _Noreturn void run_child(const struct launch *launch)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    setpgid(0, 0);
    for (int number = 1; number < NSIG; number++) {
        sigaction(number, &action, NULL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Out of the way of 0..3 first: any of ours may be one of those. */
    int report = fcntl(launch->report, F_DUPFD_CLOEXEC, 10);
    int in = fcntl(launch->in, F_DUPFD_CLOEXEC, 10);
    int out = fcntl(launch->out, F_DUPFD_CLOEXEC, 10);
    int err = fcntl(launch->err, F_DUPFD_CLOEXEC, 10);
    if (launch->cgroup_procs != NULL && !enter_cgroup(launch->cgroup_procs)) {
        child_failed(report);
    }
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 || dup3(report, 3, O_CLOEXEC) < 0 ||
        (launch->cwd != NULL && chdir(launch->cwd) != 0)) {
        child_failed(report);
    }
    syscall(SYS_close_range, 4U, ~0U, 0U);
    execve(launch->program, launch->argv, launch->env);
    child_failed(3);
}

/* --- reading what it prints ----------------------------------------------------------------------------------------------------- */

struct reader {
    const struct process_spec *spec;
    struct process_result *result;
    GString *output; /* captured stdout */
    GString *last;   /* tail of stderr */
    GString *lines[2];
    int fds[2];
};

static void emit(struct reader *reader, const char *text, size_t length)
{
    if (reader->spec->on_line != NULL) {
        g_autofree char *line = g_strndup(text, length);
        reader->spec->on_line(line, strlen(line) < length ? strlen(line) : length, reader->spec->on_line_arg);
    }
}

static void take_lines(struct reader *reader, int index, const char *bytes, size_t length)
{
    GString *pending = reader->lines[index];
    if (reader->spec->on_line == NULL) {
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n' || pending->len >= LINE_LIMIT) {
            emit(reader, pending->str, pending->len);
            g_string_truncate(pending, 0);
        }
        if (bytes[i] != '\n' && bytes[i] != '\r' && bytes[i] != '\0') {
            g_string_append_c(pending, bytes[i]);
        }
    }
}

static void take(struct reader *reader, int index, const char *bytes, size_t length)
{
    if (index == 0) {
        size_t room =
            reader->spec->capture_bytes > reader->output->len ? reader->spec->capture_bytes - reader->output->len : 0;
        g_string_append_len(reader->output, bytes, (gssize)MIN(room, length));
    } else {
        g_string_append_len(reader->last, bytes, (gssize)length);
        if (reader->last->len > 2 * LAST_LIMIT) {
            g_string_erase(reader->last, 0, (gssize)(reader->last->len - LAST_LIMIT));
        }
    }
    take_lines(reader, index, bytes, length);
}

/* Waits up to timeout_ms for output. False when both ends are closed. */
static bool read_some(struct reader *reader, int timeout_ms)
{
    struct pollfd polls[2] = {{.fd = reader->fds[0], .events = POLLIN}, {.fd = reader->fds[1], .events = POLLIN}};
    if (reader->fds[0] < 0 && reader->fds[1] < 0) {
        return false;
    }
    if (poll(polls, 2, timeout_ms) <= 0) {
        return true;
    }
    for (int i = 0; i < 2; i++) {
        char bytes[16384];
        if (reader->fds[i] < 0 || polls[i].revents == 0) {
            continue;
        }
        ssize_t length = read(reader->fds[i], bytes, sizeof bytes);
        if (length > 0) {
            take(reader, i, bytes, (size_t)length);
        } else if (length == 0 || (errno != EINTR && errno != EAGAIN)) {
            close(reader->fds[i]);
            reader->fds[i] = -1;
        }
    }
    return true;
}

/* --- the whole -------------------------------------------------------------------------------------------------------------------- */

/* SIGTERM first, SIGKILL when the grace is over. */
struct ending {
    int64_t term_us; /* when it was asked to end; 0: not yet */
    bool is_killed;
};

static void check_end(pid_t pid, const struct process_spec *spec, struct process_result *result, int64_t deadline_us,
                      struct ending *ending)
{
    int64_t now_us = g_get_monotonic_time();
    if (ending->term_us == 0) {
        result->cancelled = spec->cancelled != NULL && g_atomic_int_get(spec->cancelled) != 0;
        result->timed_out = !result->cancelled && now_us >= deadline_us;
        if (result->cancelled || result->timed_out) {
            kill(-pid, SIGTERM);
            ending->term_us = now_us;
        }
    } else if (!ending->is_killed && now_us - ending->term_us >= KILL_GRACE_US) {
        kill(-pid, SIGKILL);
        ending->is_killed = true;
    }
}

static void supervise(pid_t pid, struct reader *reader, struct process_result *result)
{
    const struct process_spec *spec = reader->spec;
    int64_t deadline_us = spec->timeout_ms > 0 ? g_get_monotonic_time() + spec->timeout_ms * 1000 : INT64_MAX;
    struct ending ending = {0};
    siginfo_t info = {0};
    bool has_ended = false;
    while (!has_ended) {
        check_end(pid, spec, result, deadline_us, &ending);
        if (!read_some(reader, POLL_MS)) {
            g_usleep(2000); /* it closed its output and goes on */
        }
        /* WNOWAIT: the pid stays ours until its group has been swept. */
        has_ended = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
    }
    kill(-pid, SIGKILL); /* whoever it left behind */
    while (read_some(reader, 0) && (reader->fds[0] >= 0 || reader->fds[1] >= 0)) {
        struct pollfd polls[2] = {{.fd = reader->fds[0], .events = POLLIN}, {.fd = reader->fds[1], .events = POLLIN}};
        if (poll(polls, 2, POLL_MS) <= 0) {
            break; /* a descendant in another session holds the pipe: we do not wait for it */
        }
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    result->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static bool make_pipe(int fds[2], GError **error)
{
    return pipe2(fds, O_CLOEXEC) == 0 || sy_fail_errno(error, errno, "cannot make a pipe");
}

/* The pid of the child, or -1. Our ends of the pipes go to the reader. */
static pid_t launch_child(const struct process_spec *spec, struct launch *launch, struct reader *reader, GError **error)
{
    int out[2] = {-1, -1};
    int err[2] = {-1, -1};
    int report[2] = {-1, -1};
    g_auto(fd_t) null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t pid = -1;
    if (make_pipe(out, error) && make_pipe(err, error) && make_pipe(report, error)) {
        launch->in = spec->stdin_fd >= 0 ? spec->stdin_fd : null_fd;
        launch->out = out[1];
        launch->err = err[1];
        launch->report = report[1];
        pid = fork();
        if (pid == 0) {
            run_child(launch);
        }
        if (pid < 0) {
            sy_fail_errno(error, errno, "cannot start %s", spec->argv[0]);
        }
    }
    for (int *fd = (int[]){out[1], err[1], report[1], -2}; *fd != -2; fd++) {
        if (*fd >= 0) {
            close(*fd);
        }
    }
    int failure = 0;
    if (pid > 0) {
        setpgid(pid, pid); /* the child does it too: whoever is first */
        if (read(report[0], &failure, sizeof failure) == sizeof failure) {
            waitpid(pid, NULL, 0);
            pid = -1;
            sy_fail(error, SY_PROCESS_FAILED, "cannot start %s: %s", spec->argv[0], g_strerror(failure));
        }
    }
    if (report[0] >= 0) {
        close(report[0]);
    }
    reader->fds[0] = out[0];
    reader->fds[1] = err[0];
    return pid;
}

bool process_run(const struct process_spec *spec, struct process_result *ret_result, GError **error)
{
    g_autofree char *program = find_program(spec->argv[0]);
    g_auto(GStrv) own = spec->env == NULL ? minimal_environment() : NULL;
    if (program == NULL) {
        sy_fail(error, SY_PROCESS_FAILED, "%s is not installed", spec->argv[0]);
        sy_error_set_hint(error, "Install it (Debian: apt-get install %s), or put it into PATH.", spec->argv[0]);
        return false;
    }
    struct launch launch = {.program = program, .argv = (char *const *)spec->argv, .cwd = spec->cwd};
    launch.env = spec->env != NULL ? (char *const *)spec->env : own;
    g_autofree char *procs = spec->cgroup != NULL ? g_build_filename(spec->cgroup, "cgroup.procs", NULL) : NULL;
    launch.cgroup_procs = procs;
    struct reader reader = {.spec = spec, .result = ret_result, .fds = {-1, -1}};
    reader.output = g_string_new(NULL);
    reader.last = g_string_new(NULL);
    reader.lines[0] = g_string_new(NULL);
    reader.lines[1] = g_string_new(NULL);
    *ret_result = (struct process_result){0};
    pid_t pid = launch_child(spec, &launch, &reader, error);
    if (pid > 0) {
        if (spec->ret_pid != NULL) {
            *spec->ret_pid = pid;
        }
        supervise(pid, &reader, ret_result);
        for (int i = 0; i < 2; i++) {
            if (reader.lines[i]->len > 0) {
                emit(&reader, reader.lines[i]->str, reader.lines[i]->len);
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        if (reader.fds[i] >= 0) {
            close(reader.fds[i]);
        }
        g_string_free(reader.lines[i], TRUE);
    }
    if (reader.last->len > LAST_LIMIT) {
        g_string_erase(reader.last, 0, (gssize)(reader.last->len - LAST_LIMIT));
    }
    ret_result->output_length = reader.output->len;
    ret_result->output = g_string_free(reader.output, FALSE);
    ret_result->last_lines = g_string_free(reader.last, FALSE);
    if (pid <= 0) {
        process_result_clear(ret_result);
    }
    return pid > 0;
}

void process_result_clear(struct process_result *result)
{
    g_clear_pointer(&result->output, g_free);
    g_clear_pointer(&result->last_lines, g_free);
}
