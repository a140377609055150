#include "fixture.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

struct edge *fixture_open(const struct fixture *fixture, const char *listen)
{
    g_autoptr(GError) error = NULL;
    struct edge_options options = {.folder = fixture->folder, .listen = listen, .program = "haproxy"};
    edge_choose_user(&options);
    struct edge *edge = edge_new(&options, &error);
    g_assert_no_error(error);
    return edge;
}

bool fixture_init(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *program = g_find_program_in_path("haproxy");
    if (program == NULL && access("/usr/sbin/haproxy", X_OK) != 0) {
        g_test_skip("haproxy is not installed");
        return false;
    }
    fixture->folder = g_dir_make_tmp("edge-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->edge = fixture_open(fixture, "127.0.0.1:0");
    bool ok = edge_start(fixture->edge, &error);
    g_assert_no_error(error);
    return ok;
}

void fixture_done(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    bool ok = edge_stop(fixture->edge, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    edge_free(fixture->edge);
    g_assert_true(folder_remove(fixture->folder, &error));
    g_free(fixture->folder);
}

struct edge_backend *table_add(struct edge_table *table, const char *name, const char *host)
{
    struct edge_backend *backend = edge_table_add_backend(table, name);
    backend->health_path = g_strdup("/healthz");
    backend->health_interval_ms = 200;
    backend->health_timeout_ms = 2000;
    edge_table_add_host(table, host, name);
    return backend;
}

void table_serve(struct edge_backend *backend, const char *server, const struct peer *peer,
                 enum edge_server_state state)
{
    edge_backend_add_server(backend, server, "127.0.0.1", peer_port(peer), state);
}

struct edge_apply_result apply(struct edge *edge, struct edge_table *table, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    struct edge_apply_result result = {0};
    bool ok = edge_apply(edge, table, flags, &result, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    edge_table_free(table);
    return result;
}

char *body_of(struct edge *edge, const char *host, const char *path, int status)
{
    struct answer answer;
    client_get(edge_port(edge), host, path, "", &answer);
    g_assert_cmpint(answer.status, ==, status);
    g_free(answer.head);
    return answer.body;
}

const struct edge_observed_server *find_server(const GPtrArray *servers, const char *name)
{
    for (guint i = 0; i < servers->len; i++) {
        const struct edge_observed_server *server = g_ptr_array_index(servers, i);
        if (g_strcmp0(server->name, name) == 0) {
            return server;
        }
    }
    return NULL;
}

int64_t sessions_of(struct edge *edge, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) servers = NULL;
    bool ok = edge_observe(edge, &servers, &error);
    g_assert_no_error(error);
    const struct edge_observed_server *server = ok ? find_server(servers, name) : NULL;
    return server != NULL ? server->current : -1;
}

void await(condition_fn condition, void *arg, const char *what)
{
    int64_t deadline_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (!condition(arg)) {
        if (g_get_monotonic_time() > deadline_us) {
            g_error("waited in vain: %s", what);
        }
        g_usleep(5000);
    }
}
