/* A HAProxy that does not behave: one that does not start, hangs, floods, breaks off, refuses or fails to reload. Its sockets
 * are played by threads, its program by a few lines of shell. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "edge/internal.h"

#define STEP_MS 20
#define FLOOD ((const char *)1) /* as a reply: bytes without end */
#define RESET ((const char *)2) /* breaks off */
#define HANG ((const char *)3)

struct line {
    const char *begin; /* of the command */
    const char *reply;
    int most; /* answers so often, then the next that fits does; 0: always */
};

struct stage {
    char *folder, *program;
    struct edge *edge;
    const struct line *lines; /* ended by begin == NULL */
    int n_used[16];
    int fds[2];
    int stopping;
    GThread *threads[2];
    GMutex lock;
    GString *heard;
};

struct listener {
    struct stage *stage;
    int fd;
};

/* --- the sockets ------------------------------------------------------------------------------------------------------------- */

static const char *find_reply(struct stage *stage, const char *command)
{
    for (int i = 0; stage->lines[i].begin != NULL; i++) {
        if (g_str_has_prefix(command, stage->lines[i].begin) &&
            (g_atomic_int_add(&stage->n_used[i], 1) < stage->lines[i].most || stage->lines[i].most == 0)) {
            return stage->lines[i].reply;
        }
    }
    return "Unknown command\n";
}

static void put(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void flood(int fd)
{
    g_autofree char *piece = g_strnfill(1 << 20, 'x');
    for (int i = 0; i < 65; i++) {
        put(fd, piece, 1 << 20);
    }
}

static void answer(struct stage *stage, int fd)
{
    char bytes[4096] = {0};
    size_t length = 0;
    ssize_t got;
    while (length < sizeof bytes - 1 && (got = recv(fd, bytes + length, sizeof bytes - 1 - length, 0)) > 0) {
        length += (size_t)got;
    }
    g_mutex_lock(&stage->lock);
    g_string_append(stage->heard, bytes);
    g_mutex_unlock(&stage->lock);
    const char *reply = find_reply(stage, bytes);
    if (reply == FLOOD) {
        flood(fd);
    } else if (reply == HANG) {
        while (g_atomic_int_get(&stage->stopping) == 0) {
            g_usleep(STEP_MS * 1000);
        }
    } else {
        put(fd, reply, strlen(reply));
    }
}

/* A socket that is closed with something unread in it resets. */
static bool wants_reset(const struct stage *stage)
{
    return stage->lines[0].reply == RESET;
}

static gpointer listen_on(gpointer data)
{
    g_autofree struct listener *listener = data;
    struct pollfd poll_fd = {.fd = listener->fd, .events = POLLIN};
    while (g_atomic_int_get(&listener->stage->stopping) == 0) {
        int fd = poll(&poll_fd, 1, STEP_MS) > 0 ? accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd < 0) {
            continue;
        }
        if (wants_reset(listener->stage)) {
            struct pollfd unread = {.fd = fd, .events = POLLIN};
            poll(&unread, 1, 1000);
        } else {
            answer(listener->stage, fd);
        }
        close(fd);
    }
    return NULL;
}

static void open_sockets(struct stage *stage)
{
    for (int i = 0; i < 2; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        g_strlcpy(address.sun_path, stage->edge->socket_paths[i], sizeof address.sun_path);
        stage->fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(stage->fds[i], (struct sockaddr *)&address, sizeof address), ==, 0);
        g_assert_cmpint(listen(stage->fds[i], 16), ==, 0);
        struct listener *listener = g_new(struct listener, 1);
        *listener = (struct listener){stage, stage->fds[i]};
        stage->threads[i] = g_thread_new("socket", listen_on, listener);
    }
}

/* --- the stage --------------------------------------------------------------------------------------------------------------- */

/* script: what HAProxy does; NULL: nothing, successfully. */
static void stage_make(struct stage *stage, const char *script)
{
    g_autoptr(GError) error = NULL;
    *stage = (struct stage){.folder = g_dir_make_tmp("edge-XXXXXX", &error), .fds = {-1, -1}};
    g_assert_no_error(error);
    g_mutex_init(&stage->lock);
    stage->heard = g_string_new(NULL);
    stage->program = g_build_filename(stage->folder, "program", NULL);
    const char *text = script != NULL ? script : "#!/bin/sh\nexit 0\n";
    g_assert_true(file_replace(stage->program, text, strlen(text), 0700, &error));
    const struct edge_options options = {.folder = stage->folder, .listen = "127.0.0.1:0", .program = stage->program};
    stage->edge = edge_new(&options, &error);
    g_assert_no_error(error);
}

static void stage_play(struct stage *stage, const struct line *lines)
{
    stage->lines = lines;
    open_sockets(stage);
}

static void stage_end(struct stage *stage)
{
    g_atomic_int_set(&stage->stopping, 1);
    for (int i = 0; i < 2; i++) {
        if (stage->threads[i] != NULL) {
            g_thread_join(stage->threads[i]);
            close(stage->fds[i]);
        }
    }
    edge_free(stage->edge);
    g_assert_true(folder_remove(stage->folder, NULL));
    g_string_free(stage->heard, TRUE);
    g_mutex_clear(&stage->lock);
    g_free(stage->folder);
    g_free(stage->program);
}

static bool was_heard(struct stage *stage, const char *words)
{
    g_mutex_lock(&stage->lock);
    bool found = strstr(stage->heard->str, words) != NULL;
    g_mutex_unlock(&stage->lock);
    return found;
}

/* --- starting ---------------------------------------------------------------------------------------------------------------- */

static void check_start(const char *script, const char *program, enum sy_code code, const char *words)
{
    struct stage stage;
    g_autoptr(GError) error = NULL;
    stage_make(&stage, script);
    if (program != NULL) {
        g_free((char *)stage.edge->options.program);
        stage.edge->options.program = g_strdup(program);
    }
    g_assert_false(edge_start(stage.edge, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, words));
    struct edge_status status = {0};
    g_autoptr(GError) asking = NULL;
    g_assert_true(edge_status(stage.edge, &status, &asking));
    g_assert_false(status.is_running);
    g_assert_cmpint(stage.edge->child, ==, 0); /* nothing is left to be reaped */
    g_autoptr(GError) stopping = NULL;
    g_assert_true(edge_stop(stage.edge, &stopping));
    edge_status_clear(&status);
    stage_end(&stage);
}

static void one_that_does_not_start_says_why(void)
{
    check_start(NULL, "no-such-haproxy-anywhere", SY_PROCESS_FAILED, "no-such-haproxy-anywhere is not installed");
    check_start("\1\2\3", NULL, SY_IO_FAILED, "Exec format error");
    check_start("#!/bin/sh\necho '[NOTICE]   (1) : haproxy version is 2.6' >&2\n"
                "echo '[ALERT]    (1) : no memory for it' >&2\necho '[ALERT]    (1) : so it ends' >&2\nexit 1\n",
                NULL, SY_EDGE_UNAVAILABLE, "HAProxy does not start: no memory for it; so it ends");
    check_start("#!/bin/sh\nexit 1\n", NULL, SY_EDGE_UNAVAILABLE, "HAProxy does not start: no reason given");
    check_start("#!/bin/sh\necho '[ALERT]    (1) : cannot bind socket (Address already in use)' >&2\nexit 1\n", NULL,
                SY_EDGE_UNAVAILABLE, "HAProxy does not start: cannot bind socket (Address already in use)");
}

/* --- sockets ----------------------------------------------------------------------------------------------------------------- */

#define MASTER "5 master 3 [failed: 0] 0d00h00m01s 2.6\n"
#define WORKERS MASTER "# workers\n7 worker 0 0d00h00m01s 2.6\n"
#define STAT "# pxname,svname,qcur,scur,stot,econ,eresp,status,type,addr,\n"

static void refuse(const struct line *lines, const char *words)
{
    struct stage stage;
    g_autoptr(GError) error = NULL;
    GPtrArray *servers = NULL;
    stage_make(&stage, NULL);
    stage_play(&stage, lines);
    g_assert_false(edge_observe(stage.edge, &servers, &error));
    g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, words));
    g_assert_null(servers);
    stage_end(&stage);
}

static void nonsense_on_its_sockets_is_no_observation(void)
{
    const struct line silent[] = {{"show proc", ""}, {NULL}};
    refuse(silent, "gives no answer to \"show proc\"");
    const struct line other[] = {{"show proc", "# workers\n"}, {NULL}};
    refuse(other, "master process");
    const struct line no_table[] = {{"show proc", WORKERS}, {"@!7 show stat", "Permission denied\n"}, {NULL}};
    refuse(no_table, "no heading but \"Permission denied\"");
    const struct line flooded[] = {{"show proc", FLOOD}, {NULL}};
    refuse(flooded, "show proc: HAProxy's reply is too large");
    const struct line reset[] = {{"show proc", RESET}, {NULL}};
    refuse(reset, "show proc: HAProxy broke off: Connection reset by peer");
    const struct line old[] = {{"show proc", WORKERS "# old workers\n6 worker 1 0d00h00m09s 2.6\n"},
                               {"@!7 show stat", STAT "b,i,0,0,0,0,0,UP,2,10.0.0.1:80,\n"},
                               {"@!6 show stat", "Permission denied\n"},
                               {NULL}};
    refuse(old, "no heading but \"Permission denied\"");
}

/* Each time another one, which has ended before it could be asked. */
static void workers_that_never_stay_are_given_up(void)
{
    const struct line lines[] = {{"show proc", WORKERS}, {"@!7 show stat", "Can't find the target PID\n"}, {NULL}};
    int64_t begin_us = g_get_monotonic_time();
    refuse(lines, "HAProxy has no worker that stays");
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 15 * G_USEC_PER_SEC);
}

/* What an old worker still carries is added; what it had, and has not any more, is not. */
static void old_workers_sessions_are_added(void)
{
    const struct line lines[] = {
        {"show proc", WORKERS "# old workers\n6 worker 1 0d00h00m09s 2.6\n4 worker 2 0d00h00m19s 2.6\n"},
        {"@!7 show stat", STAT "b,i-1,0,2,9,0,0,UP,2,10.0.0.1:80,\nb,BACKEND,0,0,0,1,0,UP,1,,\n"},
        {"@!6 show stat", STAT "b,i-1,0,3,9,0,0,UP,2,10.0.0.1:80,\nb,i-0,0,1,9,0,0,UP,2,10.0.0.9:80,\n"
                               "b,i-9,0,0,9,0,0,UP,2,10.0.0.8:80,\nb,BACKEND,0,0,0,4,0,UP,1,,\n"},
        {"@!4 show stat", "Can't find the target PID\n"},
        {NULL}};
    struct stage stage;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) servers = NULL;
    stage_make(&stage, NULL);
    stage_play(&stage, lines);
    g_assert_true(edge_observe(stage.edge, &servers, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(servers->len, ==, 2);
    const struct edge_observed_server *former = g_ptr_array_index(servers, 0);
    const struct edge_observed_server *current = g_ptr_array_index(servers, 1);
    g_assert_cmpstr(former->name, ==, "i-0");
    g_assert_true(former->is_draining);
    g_assert_cmpint(former->current, ==, 1);
    g_assert_cmpstr(current->name, ==, "i-1");
    g_assert_cmpint(current->current, ==, 5);
    g_assert_cmpint(current->backend_errors, ==, 5);
    stage_end(&stage);
}

static gpointer observe_hung(gpointer data)
{
    struct stage *stage = data;
    g_autoptr(GError) error = NULL;
    GPtrArray *servers = NULL;
    g_assert_false(edge_observe(stage->edge, &servers, &error));
    g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "show proc: HAProxy does not answer in time"));
    return NULL;
}

/* Side by side, for each takes the whole deadline. Afterwards the counters know of it. */
static void one_that_hangs_is_given_up_in_time(void)
{
    const struct line lines[] = {{"", HANG}, {NULL}};
    struct stage stage;
    g_autoptr(GError) error = NULL;
    int64_t begin_us = g_get_monotonic_time();
    stage_make(&stage, NULL);
    stage_play(&stage, lines);
    GThread *thread = g_thread_new("observe", observe_hung, &stage);
    g_assert_false(edge_order(stage.edge, "enable health b/i", &error));
    g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
    g_assert_cmpstr(error->message, ==, "enable health b/i: HAProxy does not answer in time");
    g_thread_join(thread);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 20 * G_USEC_PER_SEC);
    struct edge_stats stats;
    edge_stats(stage.edge, &stats);
    g_assert_cmpint(stats.calls, ==, 2);
    g_assert_cmpint(stats.failures, ==, 2);
    g_assert_cmpint(stats.us_total, >=, 10 * G_USEC_PER_SEC);
    stage_end(&stage);
}

/* --- applying ---------------------------------------------------------------------------------------------------------------- */

static struct edge_table *small_table(void)
{
    struct edge_table *table = edge_table_new();
    struct edge_backend *backend = edge_table_add_backend(table, "b");
    edge_backend_add_server(backend, "i-1", "10.0.0.1", 80, EDGE_READY);
    edge_table_add_host(table, "one.localhost", "b");
    return table;
}

/* "show info" of a worker that runs the structure of small_table, or another. */
static char *info_of(struct stage *stage, bool is_same)
{
    struct edge_table *table = small_table();
    g_autoptr(GString) configuration = edge_render(&stage->edge->options, edge_port(stage->edge), table);
    g_autofree char *structure = edge_structure(configuration->str);
    edge_table_free(table);
    return g_strdup_printf("Version: 2.6\nPid: 7\ndescription: structure:%s\n", is_same ? structure : "other");
}

#define STATE "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n"

static void fail_to_apply(const char *servers, const struct line *lines, const char *script, bool is_same,
                          const char *words, const char *heard)
{
    struct stage stage;
    g_autoptr(GError) error = NULL;
    struct edge_apply_result result = {.servers_added = -1};
    stage_make(&stage, script);
    stage.edge->port = 18080; /* as if it had been chosen already */
    g_autofree char *info = info_of(&stage, is_same);
    struct line all[12] = {{"show info", info}, {"show servers state", servers}};
    for (int i = 0; lines[i].begin != NULL; i++) {
        all[2 + i] = lines[i];
    }
    stage_play(&stage, all);
    struct edge_table *table = small_table();
    g_assert_false(edge_apply(stage.edge, table, 0, &result, &error));
    g_assert_true(error->domain == SY_ERROR);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, words));
    g_assert_null(strchr(error->message, '\n'));
    g_assert_cmpint(result.servers_added, ==, -1);
    g_assert_true(was_heard(&stage, heard));
    edge_table_free(table);
    stage_end(&stage);
}

static void what_it_refuses_to_change_is_told(void)
{
    const struct line add[] = {
        {"show proc", WORKERS}, {"show map", "\n"}, {"add server", "No such backend.\n"}, {NULL}};
    fail_to_apply(STATE, add, NULL, true, "HAProxy refused \"add server b/i-1 10.0.0.1:80", "add server b/i-1");
    const struct line enable[] = {{"show proc", WORKERS},
                                  {"show map", "\n"},
                                  {"add server", "New server registered.\n"},
                                  {"enable health", "Health checks are not configured on this server.\n"},
                                  {NULL}};
    fail_to_apply(STATE, enable, NULL, true, "HAProxy refused \"enable health b/i-1\": Health checks", "add server");
    const struct line move[] = {
        {"show proc", WORKERS}, {"show map", "\n"}, {"set server b/i-1 addr", "no need to change\n"}, {NULL}};
    fail_to_apply(STATE "4 b 1 i-1 10.0.0.7 2 0 80\n", move, NULL, true,
                  "HAProxy refused \"set server b/i-1 addr 10.0.0.1", "set server b/i-1 addr 10.0.0.1 port 80");
    const struct line ready[] = {{"show proc", WORKERS},
                                 {"show map", "\n"},
                                 {"set server b/i-1 state ready", "Require 'backend/server'.\n"},
                                 {NULL}};
    fail_to_apply(STATE "4 b 1 i-1 10.0.0.1 2 1 80\n", ready, NULL, true, "state ready\": Require", "state ready");
    const struct line maint[] = {{"show proc", WORKERS},
                                 {"show map", "0x1 one.localhost b\n"},
                                 {"set server b/i-0 state maint", "No such server.\n"},
                                 {NULL}};
    fail_to_apply(STATE "4 b 1 i-1 10.0.0.1 2 0 80\n4 b 2 i-0 10.0.0.2 2 0 80\n", maint, NULL, true,
                  "state maint\": No such", "state maint");
    const struct line hosts[] = {{"show proc", WORKERS}, {"show map", "Unknown map identifier.\n"}, {NULL}};
    fail_to_apply(STATE "4 b 1 i-1 10.0.0.1 2 0 80\n", hosts, NULL, true, "instead of its hosts: Unknown", "show map");
    const struct line host[] = {
        {"show proc", WORKERS}, {"show map", "\n"}, {"add map", "Out of memory error.\n"}, {NULL}};
    fail_to_apply(STATE "4 b 1 i-1 10.0.0.1 2 0 80\n", host, NULL, true, "one.localhost b\": Out of memory", "add map");
    const struct line servers[] = {{"show proc", WORKERS}, {NULL}};
    fail_to_apply("Permission denied\n", servers, NULL, true, "no heading but", "show servers state");
}

static void a_reload_that_fails_is_told(void)
{
    const struct line refused[] = {{"show proc", WORKERS}, {"show map", "\n"}, {NULL}};
    fail_to_apply(
        STATE, refused,
        "#!/bin/sh\necho \"[ALERT]    (1) : config : parsing [haproxy.cfg:7] : unknown keyword 'x'\" >&2\nexit 1\n",
        false, "HAProxy refuses the configuration: config : parsing", "show info");
    const struct line failed[] = {
        {"show proc", WORKERS, 2},
        {"show map", "\n"},
        {"reload", "\n"},
        {"show proc", "5 master 4 [failed: 1] 0d00h00m01s 2.6\n# workers\n7 worker 0 0d00h00m01s 2.6\n"},
        {NULL}};
    fail_to_apply(STATE, failed, NULL, false, "HAProxy cannot reload: no reason given", "reload");
    const struct line gone[] = {
        {"show proc", WORKERS, 2}, {"show map", "\n"}, {"reload", "\n"}, {"show proc", "# workers\n"}, {NULL}};
    fail_to_apply(STATE, gone, NULL, false, "HAProxy is gone after a reload (no reason given", "reload");
}

/* The file tells what was applied last: after a reload that failed it must not tell of the new table. */
static void a_failed_reload_keeps_the_old_file(void)
{
    const struct line lines[] = {{"show proc", WORKERS, 2},
                                 {"show info", "Version: 2.6\nPid: 7\ndescription: other\n"},
                                 {"show servers state", STATE},
                                 {"show map", "\n"},
                                 {"reload", "\n"},
                                 {"show proc", "5 master 4 [failed: 1] 0d00h00m01s 2.6\n"},
                                 {NULL}};
    struct stage stage;
    g_autoptr(GError) error = NULL;
    struct edge_apply_result result;
    stage_make(&stage, NULL);
    stage.edge->port = 18080;
    struct edge_table *empty = edge_table_new();
    g_autoptr(GString) before = edge_render(&stage.edge->options, 18080, empty);
    edge_table_free(empty);
    g_assert_true(file_replace(stage.edge->configuration_path, before->str, before->len, 0600, &error));
    stage_play(&stage, lines);
    struct edge_table *table = small_table();
    g_assert_false(edge_apply(stage.edge, table, 0, &result, &error));
    g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
    edge_table_free(table);
    g_autofree char *after = file_read(stage.edge->configuration_path, 1 << 20, NULL, NULL);
    g_assert_cmpstr(after, ==, before->str);
    stage_end(&stage);
}

#define RELOADED "5 master 4 [failed: 0] 0d00h00m01s 2.6\n# workers\n"
#define OLD_WORKER "# old workers\n7 worker 1 0d00h00m01s 2.6\n"

/* A stage whose table needs a reload: `lines` are what it says from then on. */
static bool apply_with_reload(const struct line *lines, struct edge_apply_result *ret_result, GError **error)
{
    struct stage stage;
    stage_make(&stage, NULL);
    stage.edge->port = 18080;
    stage_play(&stage, lines);
    struct edge_table *table = small_table();
    bool ok = edge_apply(stage.edge, table, 0, ret_result, error);
    edge_table_free(table);
    struct edge_stats stats;
    edge_stats(stage.edge, &stats);
    g_assert_cmpint(stats.reloads, ==, 1);
    stage_end(&stage);
    return ok;
}

/* The master is through with its reload before the new worker is there, and that before the old one gives way. */
static void a_reload_is_waited_for(void)
{
    const struct line lines[] = {{"show proc", WORKERS, 3},
                                 {"show proc", RELOADED OLD_WORKER, 1},
                                 {"show proc", RELOADED "8 worker 0 0d00h00m01s 2.6\n" OLD_WORKER},
                                 {"show info", "Version: 2.6\nPid: 7\ndescription: other\n", 2},
                                 {"show info", "Version: 2.6\nPid: 8\ndescription: other\n"},
                                 {"@!7 show info", "Version: 2.6\nPid: 7\nStopping: 0\n", 2},
                                 {"@!7 show info", "Version: 2.6\nPid: 7\nStopping: 1\n"},
                                 {"show servers state", STATE "4 b 1 i-1 10.0.0.1 2 0 80\n"},
                                 {"show map", "0x1 one.localhost b\n"},
                                 {"reload", "\n"},
                                 {NULL}};
    g_autoptr(GError) error = NULL;
    struct edge_apply_result result = {0};
    bool ok = apply_with_reload(lines, &result, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_true(result.was_reloaded);
    g_assert_cmpint(result.servers_added, ==, 0);
}

static void an_old_worker_that_does_not_give_way_is_told(void)
{
    const struct line lines[] = {{"show proc", WORKERS, 2},
                                 {"show proc", RELOADED "8 worker 0 0d00h00m01s 2.6\n" OLD_WORKER},
                                 {"show info", "Version: 2.6\nPid: 7\ndescription: other\n"},
                                 {"show servers state", STATE},
                                 {"show map", "\n"},
                                 {"reload", "\n"},
                                 {NULL}};
    g_autoptr(GError) error = NULL;
    struct edge_apply_result result = {0};
    g_assert_false(apply_with_reload(lines, &result, &error));
    g_assert_error(error, SY_ERROR, SY_EDGE_UNAVAILABLE);
    g_assert_cmpstr(error->message, ==, "HAProxy's old worker does not give way");
}

/* --- a master that goes its own way ------------------------------------------------------------------------------------------ */

/* A process that has our master socket among its arguments, is in the pid file and will not end by SIGTERM. */
static GPid start_stubborn(struct stage *stage)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *pid_text = NULL;
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)"trap '' TERM; echo ready; while :; do sleep 1; done",
                    stage->edge->socket_paths[EDGE_MASTER_SOCKET], NULL};
    GPid pid = 0;
    int out = -1;
    char byte;
    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL,
                             &out, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(read(out, &byte, 1), ==, 1); /* it is past its trap */
    close(out);
    pid_text = g_strdup_printf("%d\n", pid);
    g_assert_true(file_replace(stage->edge->pid_path, pid_text, strlen(pid_text), 0600, &error));
    return pid;
}

static void a_master_that_runs_and_does_not_answer_is_told(void)
{
    struct stage stage;
    struct edge_status status;
    g_autoptr(GError) starting = NULL;
    g_autoptr(GError) asking = NULL;
    stage_make(&stage, NULL);
    GPid pid = start_stubborn(&stage);
    g_assert_false(edge_start(stage.edge, &starting));
    g_assert_error(starting, SY_ERROR, SY_EDGE_UNAVAILABLE);
    g_assert_true(g_str_has_prefix(starting->message, "HAProxy runs, but show proc: HAProxy does not answer on "));
    g_assert_cmpstr(sy_error_hint(starting), ==, "End that process; it is started again at once.");
    g_assert_false(edge_status(stage.edge, &status, &asking)); /* neither that it runs, nor that it does not */
    g_assert_error(asking, SY_ERROR, SY_EDGE_UNAVAILABLE);
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    stage_end(&stage);
}

static void a_master_that_does_not_end_is_killed(void)
{
    struct stage stage;
    g_autoptr(GError) error = NULL;
    int status = 0;
    stage_make(&stage, NULL);
    GPid pid = start_stubborn(&stage);
    stage.edge->child = pid;
    g_autofree char *processes = g_strdup_printf("%d master 3 [failed: 0] 0d00h00m01s 2.6\n", pid);
    const struct line lines[] = {{"show proc", processes}, {NULL}};
    stage_play(&stage, lines);
    int64_t begin_us = g_get_monotonic_time();
    bool ok = edge_stop(stage.edge, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, >=, 9 * G_USEC_PER_SEC); /* it had its time */
    g_assert_cmpint(stage.edge->child, ==, 0);
    g_assert_cmpint(waitpid(pid, &status, WNOHANG), ==, -1); /* reaped */
    g_assert_false(g_file_test(stage.edge->pid_path, G_FILE_TEST_EXISTS));
    stage_end(&stage);
}

/* --- files ------------------------------------------------------------------------------------------------------------------- */

static void a_file_that_cannot_be_written_is_told(void)
{
    static const char *const names[] = {"port", "haproxy.cfg", "hosts.map", "servers.state"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct stage stage;
        g_autoptr(GError) error = NULL;
        stage_make(&stage, "#!/bin/sh\ntouch \"${0%/*}/started\"\n");
        g_autofree char *started = g_build_filename(stage.folder, "started", NULL);
        g_autofree char *in_the_way = g_build_filename(stage.folder, names[i], "folder", NULL);
        g_assert_true(folder_ensure(in_the_way, 0700, NULL));
        g_assert_false(edge_start(stage.edge, &error));
        g_assert_error(error, SY_ERROR, SY_IO_FAILED);
        g_assert_nonnull(strstr(error->message, names[i]));
        g_assert_false(g_file_test(started, G_FILE_TEST_EXISTS));
        stage_end(&stage);
    }
}

/* --- the port ---------------------------------------------------------------------------------------------------------------- */

static bool check_port(const struct stage *stage, const char *listen, GError **error)
{
    const struct edge_options options = {.folder = stage->folder, .listen = listen, .program = stage->program};
    return edge_check_port(&options, error);
}

static int listen_somewhere(int *ret_port)
{
    struct edge_listen any = {.host = "127.0.0.1"};
    *ret_port = edge_listen_choose(&any, NULL);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)*ret_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    return fd;
}

static void the_port_is_looked_at_before_anything_starts(void)
{
    struct stage stage;
    int port = 0;
    g_autoptr(GError) nonsense = NULL;
    g_autoptr(GError) elsewhere = NULL;
    g_autoptr(GError) taken = NULL;
    g_autoptr(GError) error = NULL;
    stage_make(&stage, NULL);
    g_assert_false(check_port(&stage, "127.0.0.1:http", &nonsense));
    g_assert_error(nonsense, SY_ERROR, SY_INVALID_INPUT);
    g_assert_false(check_port(&stage, "192.0.2.1:8080", &elsewhere)); /* an address that this machine has not */
    g_assert_error(elsewhere, SY_ERROR, SY_EDGE_UNAVAILABLE);
    g_assert_nonnull(strstr(elsewhere->message, "cannot listen on 192.0.2.1 port 8080"));
    g_assert_true(check_port(&stage, "127.0.0.1:0", &error)); /* to be chosen */
    g_autoptr(GError) none = NULL;
    const struct edge_listen far = {.host = "192.0.2.1"};
    g_assert_cmpint(edge_listen_choose(&far, &none), ==, 0);
    g_assert_error(none, SY_ERROR, SY_EDGE_UNAVAILABLE);
    g_assert_nonnull(strstr(none->message, "no free port for the edge"));
    g_auto(fd_t) fd = listen_somewhere(&port);
    g_autofree char *listen = g_strdup_printf("127.0.0.1:%d", port);
    g_assert_false(check_port(&stage, listen, &taken));
    g_assert_error(taken, SY_ERROR, SY_PORT_TAKEN);
    g_assert_nonnull(strstr(taken->message, "edge_unruly"));
    fd_close(&fd);
    g_assert_true(check_port(&stage, listen, &error));
    g_assert_no_error(error);
    stage_end(&stage);
}

/* Somebody else's process may carry our socket's name on its command line; it cannot be ended, and is no reason to wait for
 * ever. */
static void a_process_that_only_looks_like_ours_holds_nobody_up(void)
{
    struct stage stage;
    int port = 0;
    g_autoptr(GError) error = NULL;
    stage_make(&stage, NULL);
    g_autofree char *name = g_strconcat(stage.edge->socket_paths[EDGE_MASTER_SOCKET], ",mode,600", NULL);
    char *argv[] = {(char *)"/bin/sleep", name, (char *)"100", NULL};
    g_autofree char *jail = g_build_filename(stage.folder, EDGE_JAIL, NULL);
    GPid pid = 0;
    if (geteuid() != 0 || chown(stage.folder, 65534, 65534) != 0 || chown(jail, 65534, 65534) != 0) {
        g_test_skip("needs root, to be two users");
        stage_end(&stage);
        return;
    }
    g_spawn_async(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_FILE_AND_ARGV_ZERO, NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    g_auto(fd_t) fd = listen_somewhere(&port);
    g_autofree char *listen = g_strdup_printf("127.0.0.1:%d", port);
    int64_t begin_us = g_get_monotonic_time();
    g_assert_cmpint(setresuid(65534, 65534, 0), ==, 0);
    bool ok = check_port(&stage, listen, &error);
    g_assert_cmpint(setresuid(0, 0, 0), ==, 0);
    g_assert_false(ok);
    g_assert_error(error, SY_ERROR, SY_PORT_TAKEN);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 15 * G_USEC_PER_SEC);
    g_assert_cmpint(waitpid(pid, NULL, WNOHANG), ==, 0); /* it lives */
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    stage_end(&stage);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/edge/unruly/" #name, name)
    TEST(one_that_does_not_start_says_why);
    TEST(nonsense_on_its_sockets_is_no_observation);
    TEST(workers_that_never_stay_are_given_up);
    TEST(old_workers_sessions_are_added);
    TEST(one_that_hangs_is_given_up_in_time);
    TEST(what_it_refuses_to_change_is_told);
    TEST(a_reload_that_fails_is_told);
    TEST(a_failed_reload_keeps_the_old_file);
    TEST(a_reload_is_waited_for);
    TEST(an_old_worker_that_does_not_give_way_is_told);
    TEST(a_master_that_runs_and_does_not_answer_is_told);
    TEST(a_master_that_does_not_end_is_killed);
    TEST(a_file_that_cannot_be_written_is_told);
    TEST(the_port_is_looked_at_before_anything_starts);
    TEST(a_process_that_only_looks_like_ours_holds_nobody_up);
    return g_test_run();
}
