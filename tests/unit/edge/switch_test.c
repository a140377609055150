/* Instances come and go, and no request is lost. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "edge/internal.h"
#include "fixture.h"

/* --- load: half of the clients keep their connection; a kept one that breaks without an answer is a failure -------------------- */

#define CLIENTS 8
#define PAUSE_US 10000 /* what makes a rate of some hundred requests a second */

struct load {
    int port;
    const char *more; /* header lines that make the edge's rules take long; then all keep, and nobody pauses */
    int is_over;      /* atomic */
    int sent, failed;
    GMutex lock;
    char *first_failure;
    GThread *threads[CLIENTS];
};

struct client {
    struct load *load;
    bool keeps;
};

static void note(struct load *load, const struct answer *answer)
{
    g_mutex_lock(&load->lock);
    load->sent++;
    if (answer->status != 200) {
        load->failed++;
        if (load->first_failure == NULL) {
            load->first_failure = g_strdup_printf("status %d: %s %s", answer->status, answer->head, answer->body);
        }
    }
    g_mutex_unlock(&load->lock);
}

static gpointer send_requests(gpointer data)
{
    g_autofree struct client *client = data;
    struct load *load = client->load;
    g_autofree char *request =
        g_strdup_printf("GET / HTTP/1.1\r\nHost: one.localhost\r\n%s%s\r\n", load->more != NULL ? load->more : "",
                        client->keeps ? "" : "Connection: close\r\n");
    int fd = -1;
    while (g_atomic_int_get(&load->is_over) == 0) {
        struct answer answer = {0};
        fd = fd >= 0 ? fd : client_connect(load->port);
        if (fd >= 0 && client_send(fd, request, strlen(request))) {
            client_receive(fd, &answer);
        }
        note(load, &answer);
        bool closes = answer.status == 0 || !client->keeps || strstr(answer.head, "\r\nconnection: close") != NULL;
        if (closes && fd >= 0) {
            close(fd);
            fd = -1;
        }
        answer_clear(&answer);
        g_usleep(load->more != NULL ? 0 : PAUSE_US);
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

static void load_start(struct load *load, int port, const char *more)
{
    *load = (struct load){.port = port, .more = more};
    g_mutex_init(&load->lock);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = g_new0(struct client, 1);
        client->load = load;
        client->keeps = more != NULL || i % 2 == 0;
        load->threads[i] = g_thread_new("load", send_requests, client);
    }
}

static int load_sent(struct load *load)
{
    g_mutex_lock(&load->lock);
    int sent = load->sent;
    g_mutex_unlock(&load->lock);
    return sent;
}

/* Nothing was lost. */
static void load_end(struct load *load, int at_least)
{
    g_atomic_int_set(&load->is_over, 1);
    for (int i = 0; i < CLIENTS; i++) {
        g_thread_join(load->threads[i]);
    }
    g_test_message("%d requests, %d failed; %s", load->sent, load->failed,
                   load->first_failure != NULL ? load->first_failure : "");
    g_assert_cmpint(load->failed, ==, 0);
    g_assert_cmpint(load->sent, >, at_least);
    g_mutex_clear(&load->lock);
}

struct progress {
    struct load *load;
    int goal;
};

static bool has_progressed(void *arg)
{
    const struct progress *progress = arg;
    return load_sent(progress->load) >= progress->goal;
}

static void await_requests(struct load *load, int more)
{
    struct progress progress = {load, load_sent(load) + more};
    await(has_progressed, &progress, "requests go on");
}

/* Looks all the time, also during reloads: the server in service is always there. */
struct watch {
    struct edge *edge;
    int is_over; /* atomic */
    int looks;
    GThread *thread;
};

static gpointer look_all_the_time(gpointer data)
{
    struct watch *watch = data;
    while (g_atomic_int_get(&watch->is_over) == 0) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) servers = NULL;
        struct edge_status status = {0};
        bool ok = edge_observe(watch->edge, &servers, &error) && edge_status(watch->edge, &status, &error);
        g_assert_no_error(error);
        g_assert_true(ok && status.is_running);
        g_assert_cmpint(servers->len, >=, 1);
        edge_status_clear(&status);
        watch->looks++;
    }
    return NULL;
}

static void watch_start(struct watch *watch, struct edge *edge)
{
    *watch = (struct watch){.edge = edge};
    watch->thread = g_thread_new("watch", look_all_the_time, watch);
}

static void watch_end(struct watch *watch)
{
    g_atomic_int_set(&watch->is_over, 1);
    g_thread_join(watch->thread);
    g_assert_cmpint(watch->looks, >, 10);
}

/* --- switching ------------------------------------------------------------------------------------------------------------ */

struct quiet {
    struct edge *edge;
    const char *server;
};

static bool is_quiet(void *arg)
{
    const struct quiet *quiet = arg;
    return sessions_of(quiet->edge, quiet->server) <= 0;
}

static struct edge_table *table_of(int n_backends, const char *server, const struct peer *peer, const char *leaving,
                                   const struct peer *leaving_peer)
{
    struct edge_table *table = edge_table_new();
    struct edge_backend *backend = table_add(table, "b-1", "one.localhost");
    table_serve(backend, server, peer, EDGE_READY);
    if (leaving != NULL) {
        table_serve(backend, leaving, leaving_peer, EDGE_DRAIN);
    }
    for (int i = 0; i < n_backends; i++) {
        g_autofree char *name = g_strdup_printf("b-other-%d", i);
        g_autofree char *host = g_strdup_printf("other-%d.localhost", i);
        table_add(table, name, host);
    }
    return table;
}

static void thirty_switches_and_six_reloads_lose_nothing(void)
{
    enum { SWITCHES = 30 };
    struct fixture fixture;
    struct load load;
    struct watch watch;
    if (!fixture_init(&fixture)) {
        return;
    }
    int reloads = 0;
    struct peer *peer = peer_new("one");
    g_autofree char *name = g_strdup("i-start");
    apply(fixture.edge, table_of(0, name, peer, NULL, NULL), 0);
    load_start(&load, edge_port(fixture.edge), NULL);
    watch_start(&watch, fixture.edge);
    for (int i = 0; i < SWITCHES; i++) {
        struct peer *next = peer_new("one");
        g_autofree char *next_name = g_strdup_printf("i-%d", i);
        int n_backends = i / 5;
        struct edge_apply_result result = apply(fixture.edge, table_of(n_backends, next_name, next, name, peer), 0);
        reloads += result.was_reloaded;
        g_assert_cmpint(result.servers_added, ==, 1);
        struct quiet quiet = {fixture.edge, name};
        await(is_quiet, &quiet, "the old server drains");
        result = apply(fixture.edge, table_of(n_backends, next_name, next, NULL, NULL), 0);
        g_assert_false(result.was_reloaded);
        peer_free(peer); /* from here on whoever is sent there is lost */
        await_requests(&load, 20);
        peer = next;
        g_free(name);
        name = g_steal_pointer(&next_name);
    }
    g_assert_cmpint(reloads, ==, SWITCHES / 5 - 1);
    watch_end(&watch);
    load_end(&load, SWITCHES * 20);
    fixture_done(&fixture);
    peer_free(peer);
}

/* A GET /held that the peer has taken; answered after peer_release. */
/* A worker begins to stop while rules are applied to a request: it must not be told that no server is there. */
static void request_in_the_middle_of_its_rules_survives_a_reload(void)
{
    struct fixture fixture;
    struct load load;
    if (!fixture_init(&fixture)) {
        return;
    }
    int reloads = g_getenv("ENCLII_TEST_LONG") != NULL ? 500 : 40;
    struct peer *peer = peer_new("one");
    g_autofree char *value = g_strnfill(100, 'a');
    g_autoptr(GString) more = g_string_new(NULL);
    for (int i = 0; i < 90; i++) {
        g_string_append_printf(more, "X-Filler-%d: %s\r\n", i, value);
    }
    apply(fixture.edge, table_of(1, "i-1", peer, NULL, NULL), 0);
    load_start(&load, edge_port(fixture.edge), more->str);
    for (int i = 0; i < reloads; i++) {
        g_assert_true(apply(fixture.edge, table_of(2 - i % 2, "i-1", peer, NULL, NULL), 0).was_reloaded);
        await_requests(&load, 100);
    }
    load_end(&load, 100 * reloads);
    fixture_done(&fixture);
    peer_free(peer);
}

static bool is_held(void *arg)
{
    return peer_held(arg) == 1;
}

static int start_held(struct edge *edge, struct peer *peer)
{
    static const char request[] = "GET /held HTTP/1.1\r\nHost: one.localhost\r\n\r\n";
    int fd = client_connect(edge_port(edge));
    g_assert_true(client_send(fd, request, strlen(request)));
    await(is_held, peer, "the request reaches its server");
    return fd;
}

static void finish_held(int fd, struct peer *peer)
{
    struct answer answer;
    peer_release(peer);
    client_receive(fd, &answer);
    g_assert_cmpint(answer.status, ==, 200);
    answer_clear(&answer);
    close(fd);
}

static void draining_server_finishes_what_runs_and_gets_nothing_new(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *old = peer_new("old");
    struct peer *new = peer_new("new");
    apply(fixture.edge, table_of(0, "i-old", old, NULL, NULL), 0);
    int fd = start_held(fixture.edge, old);
    struct edge_apply_result result = apply(fixture.edge, table_of(0, "i-new", new, "i-old", old), 0);
    g_assert_false(result.was_reloaded);
    g_assert_cmpint(result.servers_added, ==, 1);
    g_assert_cmpint(result.servers_changed, ==, 1);
    g_assert_cmpint(sessions_of(fixture.edge, "i-old"), ==, 1);
    for (int i = 0; i < 10; i++) {
        g_autofree char *body = body_of(fixture.edge, "one.localhost", "/", 200);
        g_assert_cmpstr(body, ==, "new");
    }
    finish_held(fd, old);
    struct quiet quiet = {fixture.edge, "i-old"};
    await(is_quiet, &quiet, "the old server drains");
    result = apply(fixture.edge, table_of(0, "i-new", new, NULL, NULL), 0);
    g_assert_cmpint(result.servers_removed, ==, 1);
    g_assert_cmpint(sessions_of(fixture.edge, "i-old"), ==, -1);
    fixture_done(&fixture);
    peer_free(old);
    peer_free(new);
}

static void sessions_of_an_old_worker_are_counted(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *old = peer_new("old");
    struct peer *new = peer_new("new");
    apply(fixture.edge, table_of(0, "i-old", old, NULL, NULL), 0);
    int fd = start_held(fixture.edge, old);
    struct edge_apply_result result = apply(fixture.edge, table_of(1, "i-new", new, "i-old", old), 0);
    g_assert_true(result.was_reloaded);
    g_assert_cmpint(sessions_of(fixture.edge, "i-old"), ==, 1);
    finish_held(fd, old);
    struct quiet quiet = {fixture.edge, "i-old"};
    await(is_quiet, &quiet, "the old server drains");
    fixture_done(&fixture);
    peer_free(old);
    peer_free(new);
}

static void kept_connection_follows_a_reload_to_the_new_servers(void)
{
    static const char request[] = "GET /headers HTTP/1.1\r\nHost: one.localhost\r\n\r\n";
    struct fixture fixture;
    struct answer answer;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *old = peer_new("old");
    struct peer *new = peer_new("new");
    apply(fixture.edge, table_of(0, "i-old", old, NULL, NULL), 0);
    int fd = client_connect(edge_port(fixture.edge));
    g_assert_true(client_send(fd, request, strlen(request)));
    client_receive(fd, &answer);
    g_assert_cmpint(answer.status, ==, 200);
    answer_clear(&answer);
    struct edge_apply_result result = apply(fixture.edge, table_of(1, "i-new", new, NULL, NULL), 0);
    g_assert_true(result.was_reloaded);
    peer_free(old);
    g_assert_true(client_send(fd, request, strlen(request)));
    client_receive(fd, &answer);
    g_assert_cmpint(answer.status, ==, 200);
    g_assert_cmpint(peer_served(new), ==, 1);
    g_assert_nonnull(strstr(answer.body, "\r\nx-forwarded-for: 127.0.0.1\r\n"));
    g_autofree char *id = answer_header(&answer, "x-request-id");
    g_assert_nonnull(strstr(answer.body, id));
    g_assert_nonnull(strstr(answer.head, "\r\nconnection: close"));
    answer_clear(&answer);
    close(fd);
    fixture_done(&fixture);
    peer_free(new);
}

struct removal {
    struct fixture *fixture;
    struct peer *peer;
};

/* HAProxy keeps the idle connection to the server for some seconds. */
static bool is_removed(void *arg)
{
    const struct removal *removal = arg;
    apply(removal->fixture->edge, table_of(0, "i-new", removal->peer, NULL, NULL), 0);
    return sessions_of(removal->fixture->edge, "i-old") == -1;
}

static void removed_server_with_a_running_request_lets_it_finish(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *old = peer_new("old");
    struct peer *new = peer_new("new");
    apply(fixture.edge, table_of(0, "i-old", old, NULL, NULL), 0);
    int fd = start_held(fixture.edge, old);
    apply(fixture.edge, table_of(0, "i-new", new, NULL, NULL), 0);
    g_assert_cmpint(sessions_of(fixture.edge, "i-old"), ==, 1);
    finish_held(fd, old);
    struct quiet quiet = {fixture.edge, "i-old"};
    await(is_quiet, &quiet, "the request ends");
    struct edge_apply_result result = apply(fixture.edge, table_of(0, "i-new", new, NULL, NULL), 0);
    g_assert_cmpint(result.servers_removed, ==, 0); /* it was out of the traffic already */
    struct removal removal = {&fixture, new};
    await(is_removed, &removal, "a later apply removes it");
    fixture_done(&fixture);
    peer_free(old);
    peer_free(new);
}

/* --- checks --------------------------------------------------------------------------------------------------------------- */

static bool is_down(void *arg)
{
    g_autoptr(GPtrArray) servers = NULL;
    return edge_observe(arg, &servers, NULL) && !find_server(servers, "i-1")->is_up;
}

static bool is_up(void *arg)
{
    return !is_down(arg);
}

static void unhealthy_server_is_left_out_also_after_a_reload(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = peer_new("one");
    apply(fixture.edge, table_of(0, "i-1", peer, NULL, NULL), 0);
    peer_set_healthy(peer, false);
    await(is_down, fixture.edge, "HAProxy sees that it is ill");
    g_free(body_of(fixture.edge, "one.localhost", "/", 503));
    apply(fixture.edge, table_of(1, "i-1", peer, NULL, NULL), 0);
    g_free(body_of(fixture.edge, "one.localhost", "/", 503));
    peer_set_healthy(peer, true);
    await(is_up, fixture.edge, "HAProxy sees that it is well");
    g_free(body_of(fixture.edge, "one.localhost", "/", 200));
    fixture_done(&fixture);
    peer_free(peer);
}

static void second_apply_of_a_table_changes_nothing(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = peer_new("one");
    struct peer *leaving = peer_new("leaving");
    apply(fixture.edge, table_of(2, "i-1", peer, "i-0", leaving), 0);
    struct edge_apply_result result = apply(fixture.edge, table_of(2, "i-1", peer, "i-0", leaving), 0);
    g_assert_false(result.was_reloaded);
    g_assert_cmpint(result.servers_added + result.servers_removed + result.servers_changed + result.hosts_changed, ==,
                    0);
    fixture_done(&fixture);
    peer_free(peer);
    peer_free(leaving);
}

static void changed_check_takes_a_reload_and_changed_hosts_do_not(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    struct peer *peer = peer_new("one");
    apply(fixture.edge, table_of(0, "i-1", peer, NULL, NULL), 0);
    struct edge_table *table = table_of(0, "i-1", peer, NULL, NULL);
    edge_table_add_host(table, "shop.example.com", "b-1");
    struct edge_apply_result result = apply(fixture.edge, table, 0);
    g_assert_false(result.was_reloaded);
    g_assert_cmpint(result.hosts_changed, ==, 1);
    g_free(body_of(fixture.edge, "shop.example.com", "/", 200));
    result = apply(fixture.edge, table_of(0, "i-1", peer, NULL, NULL), 0);
    g_assert_cmpint(result.hosts_changed, ==, 1);
    g_free(body_of(fixture.edge, "shop.example.com", "/", 404));
    table = table_of(0, "i-1", peer, NULL, NULL);
    ((struct edge_backend *)g_ptr_array_index(table->backends, 0))->health_interval_ms = 300;
    result = apply(fixture.edge, table, 0);
    g_assert_true(result.was_reloaded);
    fixture_done(&fixture);
    peer_free(peer);
}

/* --- refusals -------------------------------------------------------------------------------------------------------------- */

static struct edge_table *table_with(int n_servers, const struct peer *peer)
{
    struct edge_table *table = edge_table_new();
    struct edge_backend *backend = table_add(table, "b-1", "one.localhost");
    for (int i = 0; i < n_servers; i++) {
        g_autofree char *name = g_strdup_printf("i-%d", i);
        table_serve(backend, name, peer, EDGE_READY);
    }
    return table;
}

static void suddenly_shrunken_table_is_refused(void)
{
    struct fixture fixture;
    if (!fixture_init(&fixture)) {
        return;
    }
    static const struct {
        int before, after;
        bool is_refused;
    } cases[] = {{6, 0, true}, {1, 0, true}, {6, 2, true}, {6, 3, false}, {3, 1, false}, {4, 1, true}};
    struct peer *peer = peer_new("one");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct edge_apply_result result;
        apply(fixture.edge, table_with(cases[i].before, peer), EDGE_ALLOW_SHRINK);
        struct edge_table *table = table_with(cases[i].after, peer);
        bool ok = edge_apply(fixture.edge, table, 0, &result, &error);
        edge_table_free(table);
        g_assert_cmpint(ok, ==, !cases[i].is_refused);
        if (cases[i].is_refused) {
            g_autofree char *refusal = edge_refusal(fixture.edge);
            g_assert_error(error, SY_ERROR, SY_CONFLICT);
            g_assert_cmpstr(refusal, ==, error->message);
            g_free(body_of(fixture.edge, "one.localhost", "/", 200));
        }
    }
    apply(fixture.edge, table_with(0, peer), EDGE_ALLOW_SHRINK);
    g_assert_null(edge_refusal(fixture.edge));
    fixture_done(&fixture);
    peer_free(peer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edge/switch/rules", request_in_the_middle_of_its_rules_survives_a_reload);
    g_test_add_func("/edge/switch/load", thirty_switches_and_six_reloads_lose_nothing);
    g_test_add_func("/edge/switch/drain", draining_server_finishes_what_runs_and_gets_nothing_new);
    g_test_add_func("/edge/switch/old-worker", sessions_of_an_old_worker_are_counted);
    g_test_add_func("/edge/switch/kept", kept_connection_follows_a_reload_to_the_new_servers);
    g_test_add_func("/edge/switch/remove", removed_server_with_a_running_request_lets_it_finish);
    g_test_add_func("/edge/switch/checks", unhealthy_server_is_left_out_also_after_a_reload);
    g_test_add_func("/edge/switch/twice", second_apply_of_a_table_changes_nothing);
    g_test_add_func("/edge/switch/reload", changed_check_takes_a_reload_and_changed_hosts_do_not);
    g_test_add_func("/edge/switch/shrink", suddenly_shrunken_table_is_refused);
    return g_test_run();
}
