/* HAProxy as a process: found, started, killed, in the way of others. */
#include <arpa/inet.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "edge/internal.h"
#include "fixture.h"

static struct peer *serve_one(struct edge *edge, int n_more)
{
    struct peer *peer = peer_new("one");
    struct edge_table *table = edge_table_new();
    struct edge_backend *backend = table_add(table, "b-1", "one.localhost");
    table_serve(backend, "i-1", peer, EDGE_READY);
    for (int i = 0; i < n_more; i++) {
        g_autofree char *name = g_strdup_printf("i-more-%d", i);
        table_serve(backend, name, peer, EDGE_READY);
    }
    apply(edge, table, 0);
    return peer;
}

static struct edge_status status_of(struct edge *edge)
{
    g_autoptr(GError) error = NULL;
    struct edge_status status = {0};
    bool ok = edge_status(edge, &status, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return status;
}

static void start(struct edge *edge)
{
    g_autoptr(GError) error = NULL;
    bool ok = edge_start(edge, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static void outlives_us_and_is_found_again(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = serve_one(fixture.edge, 0);
    struct edge_status before = status_of(fixture.edge);
    int port = edge_port(fixture.edge);
    edge_free(fixture.edge);
    fixture.edge = fixture_open(&fixture, "127.0.0.1:0");
    g_assert_cmpint(edge_port(fixture.edge), ==, port);
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    start(fixture.edge);
    struct edge_status after = status_of(fixture.edge);
    g_assert_true(after.is_running);
    g_assert_cmpint(after.pid, ==, before.pid);
    g_assert_cmpint(getsid((pid_t)after.pid), ==, after.pid);
    g_assert_true(g_str_has_prefix(after.version, "2.") || g_str_has_prefix(after.version, "3."));
    edge_status_clear(&before);
    edge_status_clear(&after);
    fixture_done(&fixture);
    peer_free(peer);
}

/* kill -9 of the master or of its worker: started again, it serves the table last applied. */
static void check_kill(bool is_worker)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct edge_processes before = {0};
    struct edge_processes after = {0};
    struct peer *peer = serve_one(fixture.edge, 0);
    g_assert_true(edge_ask_processes(fixture.edge, &before, &error));
    kill((pid_t)(is_worker ? before.worker : before.master), SIGKILL);
    for (bool was_running = true; was_running;) { /* a master takes a moment to notice that its worker has gone */
        struct edge_status status = {0};
        was_running = !edge_status(fixture.edge, &status, NULL) || status.is_running;
        edge_status_clear(&status);
        g_usleep(1000);
    }
    start(fixture.edge);
    g_assert_true(edge_ask_processes(fixture.edge, &after, &error));
    g_assert_cmpint(after.master, !=, before.master);
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    g_autoptr(GPtrArray) servers = NULL;
    g_assert_true(edge_observe(fixture.edge, &servers, &error));
    g_assert_cmpint(servers->len, ==, 1);
    fixture_done(&fixture);
    peer_free(peer);
}

static void killed_master_comes_back_with_its_table(void)
{
    check_kill(false);
}

static void killed_worker_comes_back_with_its_table(void)
{
    check_kill(true);
}

/* As systemd does it, with the arguments of the unit. */
static void one_that_somebody_else_started_is_ours(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct edge_status status = status_of(fixture.edge);
    struct peer *peer = serve_one(fixture.edge, 0);
    kill((pid_t)status.pid, SIGKILL);
    edge_status_clear(&status);
    g_autofree char *socket = g_strconcat(fixture.edge->socket_paths[EDGE_MASTER_SOCKET], ",mode,600", NULL);
    g_autofree char *program = g_find_program_in_path("haproxy");
    char *argv[] = {program != NULL ? program : (char *)"/usr/sbin/haproxy",
                    (char *)"-Ws",
                    (char *)"-f",
                    fixture.edge->configuration_path,
                    (char *)"-p",
                    fixture.edge->pid_path,
                    (char *)"-S",
                    socket,
                    NULL};
    GPid pid;
    int64_t unused = 0;
    char *holder;
    while ((holder = edge_port_holder(edge_port(fixture.edge), &unused)) != NULL) {
        g_free(holder); /* its worker, for a moment */
        g_usleep(1000);
    }
    g_assert_true(g_spawn_async(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                                &pid, &error));
    for (bool is_running = false; !is_running;) {
        status = (struct edge_status){0};
        is_running = edge_status(fixture.edge, &status, NULL) && status.is_running;
        edge_status_clear(&status);
        g_usleep(1000);
    }
    start(fixture.edge);
    status = status_of(fixture.edge);
    g_assert_cmpint(status.pid, ==, pid);
    edge_status_clear(&status);
    peer_free(peer);
    peer = serve_one(fixture.edge, 1);
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    fixture_done(&fixture);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    peer_free(peer);
}

/* Nobody cuts the log: HAProxy meets its limit of file size and goes on without a log. */
static void full_log_does_not_stop_traffic(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct edge_processes processes = {0};
    struct stat found;
    struct rlimit limit;
    g_autofree char *path = g_build_filename(fixture.folder, "access.log", NULL);
    g_assert_true(edge_ask_processes(fixture.edge, &processes, &error));
    g_assert_cmpint(prlimit((pid_t)processes.master, RLIMIT_FSIZE, NULL, &limit), ==, 0);
    g_assert_cmpint(limit.rlim_cur, ==, 256 << 20);
    limit.rlim_cur = 500; /* of the master, whose next worker has it too */
    g_assert_cmpint(prlimit((pid_t)processes.master, RLIMIT_FSIZE, &limit, NULL), ==, 0);
    struct peer *peer = serve_one(fixture.edge, 0);
    for (int i = 0; i < 20; i++) {
        g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    }
    g_assert_cmpint(stat(path, &found), ==, 0);
    g_assert_cmpint(found.st_size, <=, 500);
    g_assert_cmpint(found.st_size, >, 0);
    fixture_done(&fixture);
    peer_free(peer);
}

static void apply_starts_a_dead_one(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct edge_status status = status_of(fixture.edge);
    kill((pid_t)status.pid, SIGKILL);
    edge_status_clear(&status);
    struct peer *peer = serve_one(fixture.edge, 0);
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    fixture_done(&fixture);
    peer_free(peer);
}

static void stop_ends_it_and_is_true_twice(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct edge_status status = status_of(fixture.edge);
    pid_t pid = (pid_t)status.pid;
    edge_status_clear(&status);
    g_assert_true(edge_stop(fixture.edge, &error));
    g_assert_cmpint(kill(pid, 0), !=, 0);
    status = status_of(fixture.edge);
    g_assert_false(status.is_running);
    g_assert_true(edge_stop(fixture.edge, &error));
    g_autofree char *path = g_build_filename(fixture.folder, "haproxy.cfg", NULL);
    g_assert_cmpint(access(path, F_OK), !=, 0);
    fixture_done(&fixture);
}

static void taken_port_names_who_holds_it(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    g_auto(fd_t) fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    struct fixture other = {.folder = g_build_filename(fixture.folder, "other", NULL)};
    g_autofree char *listen_on = g_strdup_printf("127.0.0.1:%d", ntohs(address.sin_port));
    other.edge = fixture_open(&other, listen_on);
    g_assert_false(edge_start(other.edge, &error));
    g_assert_error(error, SY_ERROR, SY_PORT_TAKEN);
    g_autofree char *holder = g_strdup_printf("(pid %d)", getpid());
    g_test_message("%s; %s", error->message, sy_error_hint(error));
    g_assert_nonnull(strstr(error->message, holder));
    g_assert_nonnull(strstr(error->message, "edge_life_test"));
    g_assert_nonnull(strstr(sy_error_hint(error), "--edge-http"));
    edge_free(other.edge);
    g_free(other.folder);
    fixture_done(&fixture);
}

/* HAProxy itself would share the port with another of the same user, who would then get half of the requests. */
static void another_edges_port_is_taken_too(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct fixture other = {.folder = g_build_filename(fixture.folder, "other", NULL)};
    g_autofree char *listen_on = g_strdup_printf("127.0.0.1:%d", edge_port(fixture.edge));
    other.edge = fixture_open(&other, listen_on);
    g_assert_false(edge_start(other.edge, &error));
    g_assert_error(error, SY_ERROR, SY_PORT_TAKEN);
    g_assert_nonnull(strstr(error->message, "haproxy"));
    edge_free(other.edge);
    g_free(other.folder);
    fixture_done(&fixture);
}

static void another_port_is_taken_up_by_the_next_apply_or_start(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = serve_one(fixture.edge, 0);
    g_autoptr(GError) error = NULL;
    for (int is_dead = 0; is_dead < 2; is_dead++) {
        int port = edge_listen_choose(&fixture.edge->listen, &error);
        g_autofree char *listen_on = g_strdup_printf("127.0.0.1:%d", port);
        if (is_dead) {
            struct edge_status status = status_of(fixture.edge);
            kill((pid_t)status.pid, SIGKILL);
            edge_status_clear(&status);
        }
        edge_free(fixture.edge);
        fixture.edge = fixture_open(&fixture, listen_on);
        start(fixture.edge);
        if (!is_dead) {
            peer_free(peer);
            peer = serve_one(fixture.edge, 1);
        }
        g_assert_cmpint(edge_port(fixture.edge), ==, port);
        g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    }
    fixture_done(&fixture);
    peer_free(peer);
}

static void refused_configuration_is_told_and_the_old_one_stays(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct peer *peer = serve_one(fixture.edge, 0);
    g_autofree char *path = g_build_filename(fixture.folder, "haproxy.cfg", NULL);
    g_autofree char *before = file_read(path, 1 << 20, NULL, NULL);
    g_autoptr(GString) bad = g_string_new(before);
    g_autoptr(GString) map = g_string_new("");
    g_string_append(bad, "    no-such-keyword\n");
    g_assert_false(edge_reload(fixture.edge, bad, map, &error));
    g_assert_error(error, SY_ERROR, SY_PROCESS_FAILED);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "unknown keyword 'no-such-keyword'"));
    g_autofree char *after = file_read(path, 1 << 20, NULL, NULL);
    g_assert_cmpstr(after, ==, before);
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    fixture_done(&fixture);
    peer_free(peer);
}

static void damaged_file_does_not_keep_it_from_starting(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct edge_status status = status_of(fixture.edge);
    kill((pid_t)status.pid, SIGKILL);
    edge_status_clear(&status);
    g_autofree char *path = g_build_filename(fixture.folder, "haproxy.cfg", NULL);
    g_assert_true(file_replace(path, "half a fi", 9, 0640, &error));
    start(fixture.edge);
    struct peer *peer = serve_one(fixture.edge, 0);
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    fixture_done(&fixture);
    peer_free(peer);
}

static void sockets_are_for_the_owner_only(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    static const char *const names[] = {"stats.sock", "master.sock", "jail/late"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct stat found;
        g_autofree char *path = g_build_filename(fixture.folder, names[i], NULL);
        g_assert_cmpint(stat(path, &found), ==, 0);
        g_assert_cmpint(found.st_mode & 0777, ==, 0600);
    }
    fixture_done(&fixture);
}

static unsigned uid_of(int64_t pid)
{
    g_autofree char *status = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/status", pid);
    g_autofree char *text = file_read(status, 65536, NULL, NULL);
    const char *line = text != NULL ? strstr(text, "\nUid:\t") : NULL;
    return line != NULL ? (unsigned)g_ascii_strtoull(line + 6, NULL, 10) : ~0U;
}

/* Root binds the port and reloads; what visitors send is read by a user that can reach nothing. */
static void workers_of_root_are_nobody_in_an_empty_place(void)
{
    struct fixture fixture;
    if (geteuid() != 0) {
        g_test_skip("only root can give processes to another user");
        return;
    }
    if (!fixture_init(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct edge_processes processes = {0};
    char target[PATH_MAX] = "";
    struct peer *peer = serve_one(fixture.edge, 0); /* by a reload */
    g_assert_true(edge_ask_processes(fixture.edge, &processes, &error));
    g_assert_cmpuint(uid_of(processes.master), ==, 0);
    g_assert_cmpuint(uid_of(processes.worker), ==, fixture.edge->options.uid);
    g_assert_cmpuint(fixture.edge->options.uid, !=, 0);
    g_autofree char *root = g_strdup_printf("/proc/%" G_GINT64_FORMAT "/root", processes.worker);
    g_autofree char *jail = g_build_filename(fixture.folder, "jail", NULL);
    g_assert_cmpint(readlink(root, target, sizeof target - 1), >, 0);
    g_assert_cmpstr(target, ==, jail);
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    fixture_done(&fixture);
    peer_free(peer);
}

/* What HAProxy complains of is added to a file that is cut while HAProxy has it open. */
static void complaints_are_cut_in_place_and_go_on(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct stat found;
    struct peer *peer = peer_new("one");
    g_autofree char *path = g_build_filename(fixture.folder, "haproxy.log", NULL);
    for (int round = 0; round < 2; round++) {
        struct edge_table *table = edge_table_new();
        FILE *log = fopen(path, "a");
        g_assert_nonnull(log);
        for (int i = 0; i < (5 << 20) / 64; i++) {
            fprintf(log, "%063d\n", i);
        }
        fclose(log);
        struct edge_status status = status_of(fixture.edge);
        edge_status_clear(&status);
        g_assert_cmpint(stat(path, &found), ==, 0);
        g_assert_cmpint(found.st_size, ==, 0);
        table_serve(table_add(table, "b-1", "one.localhost"), round == 0 ? "i-1" : "i-2", peer, EDGE_READY);
        apply(fixture.edge, table, 0);
        g_assert_cmpint(stat(path, &found), ==, 0);
        g_assert_cmpint(found.st_size, >, 10);
        g_assert_cmpint(found.st_size, <, 20000); /* not a file of holes */
    }
    fixture_done(&fixture);
    peer_free(peer);
}

struct writing {
    int ends[2]; /* of a pipe */
    const char *path;
    GThread *thread;
};

static gpointer write_log(gpointer data)
{
    const struct writing *writing = data;
    edge_log_write(writing->ends[0], writing->path, 10000);
    return NULL;
}

static void writing_begin(struct writing *writing, const char *path)
{
    writing->path = path;
    g_assert_cmpint(pipe(writing->ends), ==, 0);
    writing->thread = g_thread_new("log", write_log, writing);
}

static void writing_end(struct writing *writing)
{
    close(writing->ends[1]);
    g_thread_join(writing->thread);
    close(writing->ends[0]);
}

static void access_log_is_renamed_when_it_is_full_and_made_anew_when_it_is_gone(void)
{
    struct writing writing;
    g_autofree char *folder = g_dir_make_tmp("enclii-log-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "access.log", NULL);
    g_autofree char *beside = g_strconcat(path, ".1", NULL);
    g_autofree char *text = NULL;
    g_autofree char *old = NULL;
    writing_begin(&writing, path);
    for (int i = 0; i < 1000; i++) {
        g_assert_cmpint(dprintf(writing.ends[1], "%063d\n", i), ==, 64);
    }
    writing_end(&writing);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_true(g_file_get_contents(beside, &old, NULL, NULL));
    g_assert_cmpuint(strlen(text) % 64, ==, 0);
    g_assert_cmpuint(strlen(old) % 64, ==, 0);
    g_assert_cmpuint(strlen(text), <=, 65536); /* a chunk may be larger than so small a limit */
    g_assert_true(g_str_has_suffix(text, "0999\n"));
    g_assert_cmpint(g_ascii_strtoll(text, NULL, 10), ==, g_ascii_strtoll(old + strlen(old) - 64, NULL, 10) + 1);

    writing_begin(&writing, path);
    g_assert_cmpint(dprintf(writing.ends[1], "one\n"), ==, 4);
    for (int i = 0; i < 2000 && !g_str_has_suffix(text, "one\n"); i++) {
        g_usleep(1000);
        g_clear_pointer(&text, g_free);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    }
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_cmpint(dprintf(writing.ends[1], "two\n"), ==, 4);
    writing_end(&writing);
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "two\n");
    g_assert_true(folder_remove(folder, NULL));
}

static void folder_that_cannot_work_is_refused(void)
{
    static const char *const folders[] = {
        "/tmp/with blank", "/tmp/a\nb", "/tmp/quo'te", "/tmp/$x",
        "/tmp/deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep-deep"};
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autoptr(GError) error = NULL;
        const struct edge_options options = {.folder = folders[i], .listen = "127.0.0.1:0", .program = "haproxy"};
        g_assert_null(edge_new(&options, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_cmpint(access(folders[i], F_OK), !=, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edge/life/outlives", outlives_us_and_is_found_again);
    g_test_add_func("/edge/life/kill-master", killed_master_comes_back_with_its_table);
    g_test_add_func("/edge/life/kill-worker", killed_worker_comes_back_with_its_table);
    g_test_add_func("/edge/life/adopts", one_that_somebody_else_started_is_ours);
    g_test_add_func("/edge/life/full-log", full_log_does_not_stop_traffic);
    g_test_add_func("/edge/life/apply", apply_starts_a_dead_one);
    g_test_add_func("/edge/life/stop", stop_ends_it_and_is_true_twice);
    g_test_add_func("/edge/life/port", taken_port_names_who_holds_it);
    g_test_add_func("/edge/life/port-of-haproxy", another_edges_port_is_taken_too);
    g_test_add_func("/edge/life/other-port", another_port_is_taken_up_by_the_next_apply_or_start);
    g_test_add_func("/edge/life/refused", refused_configuration_is_told_and_the_old_one_stays);
    g_test_add_func("/edge/life/damaged", damaged_file_does_not_keep_it_from_starting);
    g_test_add_func("/edge/life/sockets", sockets_are_for_the_owner_only);
    g_test_add_func("/edge/life/user", workers_of_root_are_nobody_in_an_empty_place);
    g_test_add_func("/edge/life/complaints", complaints_are_cut_in_place_and_go_on);
    g_test_add_func("/edge/life/log", access_log_is_renamed_when_it_is_full_and_made_anew_when_it_is_gone);
    g_test_add_func("/edge/life/folder", folder_that_cannot_work_is_refused);
    return g_test_run();
}
