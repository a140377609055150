/* Start and stop. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "http/internal.h"

#define MAX_LOOPS 4

static void fill(int64_t *value, int64_t fallback)
{
    *value = *value > 0 ? *value : fallback;
}

static void fill_int(int *value, int fallback)
{
    *value = *value > 0 ? *value : fallback;
}

static struct server_options with_defaults(const struct server_options *given)
{
    struct server_options options = *given;
    fill_int(&options.socket_mode, 0660);
    fill_int(&options.n_loops, 2);
    options.n_loops = MIN(options.n_loops, MAX_LOOPS);
    fill_int(&options.n_workers, 8);
    fill(&options.header_bytes, 16 * 1024);
    fill(&options.body_bytes, 1024 * 1024);
    fill(&options.stream_body_bytes, INT64_C(512) * 1024 * 1024);
    fill_int(&options.connections, 4096);
    fill_int(&options.connections_per_address, 512);
    fill(&options.request_ms, 30 * 1000);
    fill(&options.stream_request_ms, 15 * 60 * 1000);
    fill(&options.idle_ms, 75 * 1000);
    fill(&options.heartbeat_ms, 15 * 1000);
    fill_int(&options.worker_queue, 1024);
    return options;
}

static void server_free(struct server *server)
{
    if (server->socket_path != NULL) {
        /* Only when it is still ours: a successor may have put its own there. */
        struct stat file;
        bool is_ours = stat(server->socket_path, &file) == 0 && file.st_dev == server->socket_device &&
                       file.st_ino == server->socket_inode;
        if (is_ours) {
            unlink(server->socket_path);
        }
        g_free(server->socket_path);
    }
    worker_pool_free(server->workers);
    for (int i = 0; i < server->n_loops; i++) {
        struct loop *loop = &server->loops[i];
        if (loop->epoll_fd >= 0) {
            close(loop->epoll_fd);
        }
        if (loop->wake_fd >= 0) {
            close(loop->wake_fd);
        }
        if (loop->listen_fd >= 0) {
            close(loop->listen_fd);
        }
        g_mutex_clear(&loop->lock);
    }
    g_free(server->loops);
    router_free(server->router);
    g_free(server->counters);
    g_hash_table_unref(server->addresses);
    g_mutex_clear(&server->lock);
    g_cond_clear(&server->changed);
    g_free(server);
}

static bool open_tcp(struct server *server, GError **error)
{
    int fds[MAX_LOOPS];
    if (server->options.listen == NULL) {
        return true;
    }
    if (!listen_tcp(server->options.listen, server->options.n_loops, fds, &server->port, error)) {
        return false;
    }
    for (int i = 0; i < server->options.n_loops; i++) {
        server->loops[server->n_loops++].listen_fd = fds[i];
    }
    return true;
}

static bool open_unix(struct server *server, GError **error)
{
    const struct server_options *options = &server->options;
    if (options->socket_path == NULL) {
        return true;
    }
    int fd = listen_unix(options->socket_path, options->socket_mode, options->socket_group, error);
    if (fd < 0) {
        return false;
    }
    struct stat file = {0};
    if (stat(options->socket_path, &file) == 0) {
        server->socket_device = file.st_dev;
        server->socket_inode = file.st_ino;
    }
    server->socket_path = g_strdup(options->socket_path);
    struct loop *loop = &server->loops[server->n_loops++];
    loop->listen_fd = fd;
    loop->is_unix = true;
    return true;
}

static struct server *server_new(const struct server_options *options, const struct route *routes, size_t n_routes,
                                 const struct server_callbacks *callbacks)
{
    struct server *server = g_new0(struct server, 1);
    server->options = with_defaults(options);
    server->callbacks = *callbacks;
    server->routes = routes;
    server->n_routes = n_routes;
    server->counters = g_new0(struct route_counters, MAX(n_routes, 1));
    /* Only of this release is it known that heads are parsed in place (guard.h); later ones check for themselves. */
    server->knows_layout = strcmp(MHD_get_version(), "0.9.75") == 0;
    server->addresses = loop_address_table();
    g_mutex_init(&server->lock);
    g_cond_init(&server->changed);
    server->loops = g_new0(struct loop, MAX_LOOPS + 1);
    for (int i = 0; i <= MAX_LOOPS; i++) {
        server->loops[i] = (struct loop){.server = server, .epoll_fd = -1, .wake_fd = -1, .listen_fd = -1};
    }
    return server;
}

static bool check_callbacks(const struct route *routes, size_t n_routes, const struct server_callbacks *callbacks,
                            GError **error)
{
    for (size_t i = 0; i < n_routes; i++) {
        bool is_guarded = (routes[i].flags & ROUTE_PUBLIC) == 0;
        if (is_guarded && (callbacks->authenticate == NULL || callbacks->authorise == NULL)) {
            return sy_fail(error, SY_INTERNAL, "route %s %s needs a permission, but nobody can check it",
                           routes[i].method, routes[i].path);
        }
    }
    return true;
}

struct server *server_start(const struct server_options *options, const struct route *routes, size_t n_routes,
                            const struct server_callbacks *callbacks, GError **error)
{
    struct server *server = server_new(options, routes, n_routes, callbacks);
    server->router = router_new(routes, n_routes, error);
    if (server->router == NULL || !check_callbacks(routes, n_routes, callbacks, error) || !open_tcp(server, error) ||
        !open_unix(server, error)) {
        server_free(server);
        return NULL;
    }
    server->workers = worker_pool_new(server->options.n_workers, server->options.worker_queue);
    for (int i = 0; i < server->n_loops; i++) {
        if (!loop_start(&server->loops[i], error)) {
            server_stop(server, 0);
            return NULL;
        }
    }
    return server;
}

int server_port(const struct server *server)
{
    return server->port;
}

static void wake_all(struct server *server)
{
    for (int i = 0; i < server->n_loops; i++) {
        if (server->loops[i].thread != NULL) {
            loop_wake(&server->loops[i]);
        }
    }
}

static void wait_for_connections(struct server *server, int64_t grace_ms)
{
    int64_t end_us = g_get_monotonic_time() + grace_ms * 1000;
    g_mutex_lock(&server->lock);
    while (atomic_load(&server->connections) > 0 && g_cond_wait_until(&server->changed, &server->lock, end_us)) {
    }
    g_mutex_unlock(&server->lock);
}

void server_stop(struct server *server, int64_t grace_ms)
{
    if (server == NULL) {
        return;
    }
    atomic_store(&server->is_draining, true);
    wake_all(server);
    wait_for_connections(server, grace_ms);
    atomic_store(&server->must_end, true);
    wake_all(server);
    for (int i = 0; i < server->n_loops; i++) {
        if (server->loops[i].thread != NULL) {
            g_thread_join(server->loops[i].thread);
        } else if (server->loops[i].daemon != NULL) {
            MHD_stop_daemon(server->loops[i].daemon); /* closes the listening socket, too */
            server->loops[i].listen_fd = -1;
        }
    }
    server_free(server);
}
