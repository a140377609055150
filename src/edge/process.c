/* HAProxy as a process of its own: found by its master socket, started in its own session, ended by its pid. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/quantity.h"
#include "edge/internal.h"

#define PAUSE_US (10 * 1000)
#define START_US (30 * G_USEC_PER_SEC)
#define SUPERVISOR_US (20 * G_USEC_PER_SEC)
#define ORPHAN_US (3 * G_USEC_PER_SEC)
#define END_US (10 * G_USEC_PER_SEC)
#define WRITER_US (2 * G_USEC_PER_SEC)
#define VALIDATE_MS 60000
#define CONFIGURATION_LIMIT ((size_t)256 << 20)
/* The folder that deploy/systemd/enclii-edge.service serves. */
#define UNIT_FOLDER "/var/lib/enclii/edge"
#define SOCKET_MODE ",mode,600" /* as in that unit */
#define EMPTY_STATE "1\n"

/* --- is it there? ------------------------------------------------------------------------------------------------------- */

static void reap(struct edge *edge)
{
    if (edge->child > 0 && waitpid(edge->child, NULL, WNOHANG) != 0) {
        edge->child = 0;
    }
    for (guint i = edge->writers->len; i > 0; i--) {
        if (waitpid(g_array_index(edge->writers, pid_t, i - 1), NULL, WNOHANG) != 0) {
            g_array_remove_index_fast(edge->writers, i - 1);
        }
    }
}

static bool has_argument(const struct edge *edge, int64_t pid, const char *more)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/cmdline", pid);
    size_t length = 0;
    g_autofree char *arguments = pid > 0 ? file_read(path, 1 << 20, &length, NULL) : NULL;
    g_autofree char *socket = g_strconcat(edge->socket_paths[EDGE_MASTER_SOCKET], more, NULL);
    return arguments != NULL && memmem(arguments, length, socket, strlen(socket)) != NULL;
}

/* A living process that was started with our master socket: a pid alone may have been given to somebody else. */
static bool is_ours(const struct edge *edge, int64_t pid)
{
    return has_argument(edge, pid, "");
}

static int64_t recorded_pid(const struct edge *edge)
{
    g_autofree char *text = file_read(edge->pid_path, 64, NULL, NULL);
    int64_t pid = 0;
    return text != NULL && int_parse(g_strstrip(text), 2, INT32_MAX, &pid) ? pid : 0;
}

static bool is_alive(int64_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/stat", pid);
    g_autofree char *text = file_read(path, 4096, NULL, NULL);
    const char *state = text != NULL ? strrchr(text, ')') : NULL;
    return state != NULL && state[1] == ' ' && strchr("ZXx", state[2]) == NULL;
}

/* While the master reloads, its pid file is empty and its arguments may be for a moment: one that has answered before is
 * known by its pid. Only good for deciding whether to wait a little: somebody else may have that pid by now. */
bool edge_master_may_live(struct edge *edge)
{
    int known = g_atomic_int_get(&edge->master);
    return (known != 0 && is_alive(known)) || is_ours(edge, recorded_pid(edge));
}

bool edge_runs(struct edge *edge)
{
    return is_ours(edge, g_atomic_int_get(&edge->master)) || is_ours(edge, recorded_pid(edge));
}

/* The master that answers. Waits while one that the pid file names is alive without answering yet (it reloads, or
 * systemd has just started it). False without error: none runs. */
static bool find_master(struct edge *edge, struct edge_processes *ret_processes, GError **error)
{
    g_autoptr(GError) failure = NULL;
    if (edge_ask_processes(edge, ret_processes, &failure)) {
        return true;
    }
    if (!edge_runs(edge)) {
        g_atomic_int_set(&edge->master, 0);
    } else {
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "HAProxy runs, but ");
        sy_error_set_hint(error, "End that process; it is started again at once.");
    }
    return false;
}

/* --- files ------------------------------------------------------------------------------------------------------------- */

static bool write_if_other(const char *path, const char *text, GError **error)
{
    g_autofree char *now = file_read(path, CONFIGURATION_LIMIT, NULL, NULL);
    return g_strcmp0(now, text) == 0 || file_replace(path, text, strlen(text), 0600, error);
}

static bool write_empty_configuration(struct edge *edge, GError **error)
{
    struct edge_table *table = edge_table_new();
    g_autoptr(GString) text = edge_render(&edge->options, edge_port(edge), table);
    edge_table_free(table);
    return file_replace(edge->map_path, "", 0, 0600, error) &&
           file_replace(edge->configuration_path, text->str, text->len, 0600, error);
}

/* The line `bind` of the file last applied follows the options: somebody may have just chosen another port. */
static char *with_bind(struct edge *edge, const char *text)
{
    g_autofree char *bind = edge_listen_bind(&edge->listen, edge_port(edge));
    const char *old = strstr(text, "\n    bind ");
    if (old == NULL) {
        return g_strdup(text);
    }
    const char *rest = strchr(old + 1, '\n');
    return g_strdup_printf("%.*s%s%s", (int)(old + 1 - text), text, bind, rest != NULL ? rest : "\n");
}

bool edge_write_files(struct edge *edge, GError **error)
{
    for (const struct edge_file *file = edge_files; file->name != NULL; file++) {
        g_autofree char *path = g_build_filename(edge->options.folder, file->name, NULL);
        if (!write_if_other(path, file->text, error)) {
            return false;
        }
    }
    return true;
}

/* What HAProxy needs to start: the table last applied when there is a good one, else an empty one. */
static bool prepare_files(struct edge *edge, GError **error)
{
    if (!edge_write_files(edge, error) || !write_if_other(edge->state_path, EMPTY_STATE, error)) {
        return false;
    }
    g_autofree char *text = file_read(edge->configuration_path, CONFIGURATION_LIMIT, NULL, NULL);
    if (text == NULL || access(edge->map_path, R_OK) != 0) {
        return write_empty_configuration(edge, error);
    }
    g_autofree char *current = with_bind(edge, text);
    if (!write_if_other(edge->configuration_path, current, error)) {
        return false;
    }
    g_autoptr(GError) refused = NULL;
    if (edge_validate(edge, edge->configuration_path, &refused)) {
        return true;
    }
    /* Not ours any more, or from another HAProxy: an edge without table can be given one, a dead edge cannot. */
    return write_empty_configuration(edge, error) && (edge_validate(edge, edge->configuration_path, error));
}

/* --- the port ------------------------------------------------------------------------------------------------------------ */

static bool settle_port(struct edge *edge, GError **error)
{
    if (edge_port(edge) != 0) {
        return true;
    }
    int port = edge_listen_choose(&edge->listen, error);
    g_autofree char *text = g_strdup_printf("%d\n", port);
    if (port == 0 || !file_replace(edge->port_path, text, strlen(text), 0600, error)) {
        return false;
    }
    g_atomic_int_set(&edge->port, port);
    return true;
}

/* --- starting -------------------------------------------------------------------------------------------------------------- */

static char *find_program(const struct edge *edge, GError **error)
{
    const char *name = edge->options.program;
    static const char *const folders[] = {"/usr/local/sbin", "/usr/sbin", "/sbin"}; /* rarely in a user's PATH */
    char *path = g_find_program_in_path(name);
    for (size_t i = 0; path == NULL && strchr(name, '/') == NULL && i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *candidate = g_build_filename(folders[i], name, NULL);
        path = g_find_program_in_path(candidate);
    }
    if (path == NULL) {
        sy_fail(error, SY_PROCESS_FAILED, "%s is not installed", name);
        sy_error_set_hint(error, "Install HAProxy 2.6 or later (Debian: apt-get install haproxy), or name the program: "
                                 "haproxy = PATH in the configuration.");
    }
    return path;
}

bool edge_validate(struct edge *edge, const char *path, GError **error)
{
    g_autofree char *program = find_program(edge, error);
    const char *const argv[] = {program, "-c", "-f", path, NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = VALIDATE_MS};
    g_auto(process_result_t) result = {0};
    if (program == NULL || !process_run(&spec, &result, error)) {
        return false;
    }
    if (result.exit_status == 0) {
        return true;
    }
    g_autofree char *words = edge_words(result.last_lines);
    return sy_fail(error, SY_PROCESS_FAILED, "HAProxy refuses the configuration: %s",
                   result.timed_out ? "it took too long to read it" : words);
}

struct launch {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
};

/* `log_fd` -1: HAProxy opens the file itself. */
static void prepare_launch(struct launch *launch, const struct edge *edge, int log_fd)
{
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGXFSZ); /* stays ignored: see spawn() */
    posix_spawn_file_actions_init(&launch->actions);
    posix_spawn_file_actions_addopen(&launch->actions, 0, "/dev/null", O_RDONLY, 0);
    if (log_fd >= 0) {
        posix_spawn_file_actions_adddup2(&launch->actions, log_fd, 1);
    } else {
        posix_spawn_file_actions_addopen(&launch->actions, 1, edge->options.access_log, O_WRONLY | O_CREAT | O_APPEND,
                                         0600);
    }
    posix_spawn_file_actions_addopen(&launch->actions, 2, edge->complaints_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_addclosefrom_np(&launch->actions, 3);
    posix_spawnattr_init(&launch->attributes);
    posix_spawnattr_setflags(&launch->attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&launch->attributes, &none);
    posix_spawnattr_setsigdefault(&launch->attributes, &all);
}

/* In a session of its own, like HAProxy: it goes on when we end, and ends when the last worker has. -1 without one. */
static int start_writer(struct edge *edge)
{
    fd_t ends[2] = {-1, -1};
    const char *program = edge->options.log_writer;
    char *argv[] = {(char *)"switchyard", (char *)"edge-log", (char *)edge->options.access_log, NULL};
    char *env[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    sigset_t none;
    sigemptyset(&none);
    if (program == NULL || pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    int failure = posix_spawn(&pid, program, &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    fd_close(&ends[0]);
    if (failure != 0) {
        fd_close(&ends[1]);
        return -1;
    }
    g_autofree char *text = g_strdup_printf("%d\n", (int)pid);
    g_autoptr(GError) ignored = NULL; /* teardown then does not wait for it */
    bool is_written = file_replace(edge->writer_path, text, strlen(text), 0600, &ignored);
    (void)is_written;
    g_array_append_val(edge->writers, pid);
    return ends[1];
}

/* It ends by itself when HAProxy has; who looks whether everything is gone shall not find it on its way. */
static void wait_for_writer(struct edge *edge)
{
    g_autofree char *text = file_read(edge->writer_path, 64, NULL, NULL);
    int64_t deadline_us = g_get_monotonic_time() + WRITER_US;
    int64_t pid = 0;
    if (text != NULL && int_parse(g_strstrip(text), 2, INT32_MAX, &pid)) {
        while (is_alive(pid) && g_get_monotonic_time() < deadline_us) {
            g_usleep(PAUSE_US);
        }
    }
    unlink(edge->writer_path);
    reap(edge);
}

/* HAProxy inherits a limit of file size and the wish not to die of it, so that its logs end somewhere even when nobody
 * cuts them; a write beyond is an error that it ignores. Both are the calling process's for the moment of the start. */
static int spawn(struct edge *edge, const char *program, pid_t *ret_pid)
{
    g_autofree char *socket = g_strconcat(edge->socket_paths[EDGE_MASTER_SOCKET], SOCKET_MODE, NULL);
    char *argv[] = {(char *)program, (char *)"-W", (char *)"-f", edge->configuration_path, (char *)"-p", edge->pid_path,
                    (char *)"-S",    socket,       NULL};
    char *env[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    struct launch launch;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    g_auto(fd_t) log_fd = start_writer(edge);
    prepare_launch(&launch, edge, log_fd);
    sigaction(SIGXFSZ, &ignore, &before);
    int failure = posix_spawn(ret_pid, program, &launch.actions, &launch.attributes, argv, env);
    sigaction(SIGXFSZ, &before, NULL);
    if (failure == 0) {
        edge_limit_files(*ret_pid);
    }
    posix_spawnattr_destroy(&launch.attributes);
    posix_spawn_file_actions_destroy(&launch.actions);
    return failure;
}

static bool is_serving(struct edge *edge, int64_t master)
{
    struct edge_processes processes;
    g_auto(edge_info_t) info = {0};
    return edge_ask_processes(edge, &processes, NULL) && processes.worker != 0 &&
           (master == 0 || processes.master == master) && edge_ask_info(edge, &info, NULL) &&
           info.pid == processes.worker;
}

static bool wait_for_child(struct edge *edge, int64_t offset, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + START_US;
    pid_t child = edge->child;
    for (;;) {
        reap(edge);
        if (edge->child == 0) {
            g_autofree char *words = edge_complaints(edge, offset);
            if (strstr(words, "Address already in use") != NULL &&
                !edge_listen_check(&edge->listen, edge_port(edge), error)) {
                return false;
            }
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy does not start: %s", words);
        }
        if (is_serving(edge, child)) {
            return true;
        }
        if (g_get_monotonic_time() > deadline_us) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            edge->child = 0;
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy does not get ready");
        }
        g_usleep(PAUSE_US);
    }
}

/* By its arguments, not by what it holds: a confined process cannot look into one that an earlier one has started. With the
 * mode, since anybody may have the socket's name on a command line. */
static int64_t find_ours(const struct edge *edge)
{
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
    const char *name;
    int64_t pid = 0;
    while (processes != NULL && (name = g_dir_read_name(processes)) != NULL) {
        if (int_parse(name, 2, INT32_MAX, &pid) && has_argument(edge, pid, SOCKET_MODE)) {
            return pid;
        }
    }
    return 0;
}

/* A worker whose master was killed ends by itself in a moment; one that does not is ended. What cannot be ended is no worker
 * of ours, whatever its arguments say. */
static void await_orphan(struct edge *edge)
{
    int64_t deadline_us = g_get_monotonic_time() + ORPHAN_US;
    int64_t pid = 0;
    for (;;) {
        g_autofree char *holder = edge_port_holder(edge_port(edge), &pid);
        pid = holder != NULL ? find_ours(edge) : 0;
        if (pid == 0) {
            return;
        }
        int64_t now_us = g_get_monotonic_time();
        if (now_us > deadline_us + END_US || (now_us > deadline_us && kill((pid_t)pid, SIGKILL) != 0)) {
            return;
        }
        g_usleep(PAUSE_US);
    }
}

static bool start_own(struct edge *edge, GError **error)
{
    g_autofree char *program = find_program(edge, error);
    int64_t offset = edge_complaints_offset(edge);
    await_orphan(edge);
    if (program == NULL || !edge_listen_check(&edge->listen, edge_port(edge), error)) {
        return false;
    }
    pid_t pid = 0;
    int failure = spawn(edge, program, &pid);
    if (failure != 0) {
        return sy_fail_errno(error, failure, "cannot start %s", program);
    }
    edge->child = pid;
    return wait_for_child(edge, offset, error);
}

/* --- systemd --------------------------------------------------------------------------------------------------------------- */

static bool is_supervised(const struct edge *edge)
{
    const char *const argv[] = {"systemctl", "is-active", "--quiet", "enclii-edge.path", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 10000};
    g_auto(process_result_t) result = {0};
    return strcmp(edge->options.folder, UNIT_FOLDER) == 0 && access("/run/systemd/system", F_OK) == 0 &&
           process_run(&spec, &result, NULL) && result.exit_status == 0;
}

static bool wait_for_supervisor(struct edge *edge, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + SUPERVISOR_US;
    while (!is_serving(edge, 0)) {
        if (g_get_monotonic_time() > deadline_us) {
            sy_fail(error, SY_EDGE_UNAVAILABLE, "systemd does not start enclii-edge.service");
            sy_error_set_hint(error,
                              "Its words: journalctl -u enclii-edge; after mending: systemctl restart enclii-edge");
            return false;
        }
        g_usleep(10 * PAUSE_US);
    }
    return true;
}

bool edge_port_is_free(struct edge *edge, GError **error)
{
    struct edge_processes processes;
    if (edge_port(edge) == 0 || edge_ask_processes(edge, &processes, NULL) || edge_master_may_live(edge) ||
        is_supervised(edge)) {
        return true;
    }
    await_orphan(edge);
    return edge_listen_check(&edge->listen, edge_port(edge), error);
}

bool edge_ensure(struct edge *edge, GError **error)
{
    struct edge_processes processes;
    GError *failure = NULL;
    reap(edge);
    bool is_running = find_master(edge, &processes, &failure);
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    if (!settle_port(edge, error)) {
        return false;
    }
    if (is_running) {
        g_autofree char *pid = g_strdup_printf("%" G_GINT64_FORMAT "\n", processes.master);
        return recorded_pid(edge) == processes.master || file_replace(edge->pid_path, pid, strlen(pid), 0600, error);
    }
    if (!prepare_files(edge, error)) {
        return false;
    }
    return is_supervised(edge) ? wait_for_supervisor(edge, error) : start_own(edge, error);
}

/* --- ending ---------------------------------------------------------------------------------------------------------------- */

static bool has_ended(struct edge *edge, int64_t pid)
{
    reap(edge);
    return edge->child != pid && !is_alive(pid);
}

static void kill_all(struct edge *edge, const struct edge_processes *processes, int signal)
{
    if (is_ours(edge, processes->master)) {
        kill((pid_t)processes->master, signal);
    }
    if (signal == SIGKILL) {
        for (size_t i = 0; i <= processes->n_old; i++) {
            int64_t pid = i < processes->n_old ? processes->old[i] : processes->worker;
            if (is_ours(edge, pid)) {
                kill((pid_t)pid, signal);
            }
        }
    }
}

static bool wait_for_end(struct edge *edge, const struct edge_processes *processes, int64_t patience_us)
{
    int64_t deadline_us = g_get_monotonic_time() + patience_us;
    while (!has_ended(edge, processes->master) || (processes->worker > 0 && !has_ended(edge, processes->worker))) {
        if (g_get_monotonic_time() > deadline_us) {
            return false;
        }
        g_usleep(PAUSE_US);
    }
    return true;
}

bool edge_end(struct edge *edge, GError **error)
{
    struct edge_processes processes = {0};
    reap(edge);
    if (!edge_ask_processes(edge, &processes, NULL)) {
        processes.master = is_ours(edge, recorded_pid(edge)) ? recorded_pid(edge) : 0;
    }
    unlink(edge->configuration_path); /* first: systemd looks for it before it starts the unit again */
    unlink(edge->map_path);
    if (processes.master != 0) {
        kill_all(edge, &processes, SIGTERM);
        if (!wait_for_end(edge, &processes, END_US)) {
            kill_all(edge, &processes, SIGKILL);
            if (!wait_for_end(edge, &processes, END_US)) {
                return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy (pid %" G_GINT64_FORMAT ") does not end",
                               processes.master);
            }
        }
    }
    wait_for_writer(edge);
    unlink(edge->pid_path);
    unlink(edge->socket_paths[EDGE_STATS_SOCKET]);
    unlink(edge->socket_paths[EDGE_MASTER_SOCKET]);
    return true;
}
