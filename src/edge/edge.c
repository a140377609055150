#include "edge/edge.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/quantity.h"
#include "edge/internal.h"

#define DEFAULT_CONNECTIONS 10000
#define RESERVED_FILES 1000 /* listeners, checks, pipes, idle connections to servers */
#define LOOK_US (5 * G_USEC_PER_SEC)
#define PAUSE_US (10 * 1000)

/* --- life ---------------------------------------------------------------------------------------------------------------- */

/* A connection takes two descriptors: the visitor's and the server's. */
static int64_t affordable_connections(int64_t wanted)
{
    struct rlimit limit;
    int64_t connections = wanted > 0 ? wanted : DEFAULT_CONNECTIONS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) {
        return connections;
    }
    int64_t files = (int64_t)MIN(limit.rlim_max, (rlim_t)1 << 30);
    return CLAMP(connections, 10, MAX(10, (files - RESERVED_FILES) / 2));
}

static char *beside(const struct edge *edge, const char *name)
{
    return g_build_filename(edge->options.folder, name, NULL);
}

static void take_options(struct edge *edge, const struct edge_options *options)
{
    g_autofree char *canonical = g_canonicalize_filename(options->folder, NULL);
    edge->options = (struct edge_options){
        .folder = g_steal_pointer(&canonical),
        .listen = g_strdup(options->listen),
        .program = g_strdup(options->program != NULL ? options->program : "haproxy"),
        .max_connections = affordable_connections(options->max_connections),
        .drain_hint_ms = options->drain_hint_ms,
        .installation = g_strdup(options->installation),
        .uid = options->uid,
        .gid = options->gid,
        .trusted_proxies = g_strdup(options->trusted_proxies),
        .log_writer = g_strdup(options->log_writer),
    };
    edge->options.access_log =
        options->access_log != NULL ? g_canonicalize_filename(options->access_log, NULL) : beside(edge, "access.log");
    edge->configuration_path = beside(edge, "haproxy.cfg");
    edge->map_path = beside(edge, "hosts.map");
    edge->pid_path = beside(edge, "haproxy.pid");
    edge->port_path = beside(edge, "port");
    edge->state_path = beside(edge, "servers.state");
    edge->complaints_path = beside(edge, "haproxy.log");
    edge->writer_path = beside(edge, "log.pid");
    edge->socket_paths[EDGE_STATS_SOCKET] = beside(edge, "stats.sock");
    edge->socket_paths[EDGE_MASTER_SOCKET] = beside(edge, "master.sock");
}

/* The port that the options give, or the one that was chosen once. */
static int known_port(const struct edge *edge)
{
    g_autofree char *text = edge->listen.port == 0 ? file_read(edge->port_path, 64, NULL, NULL) : NULL;
    int64_t port = edge->listen.port;
    return text != NULL && int_parse(g_strstrip(text), 1, 65535, &port) ? (int)port : edge->listen.port;
}

/* Workers may search the jail, and see nothing of the rest. */
static bool make_folders(const struct edge *edge, GError **error)
{
    g_autofree char *jail = beside(edge, EDGE_JAIL);
    if (!folder_ensure(edge->options.folder, 0700, error) || !folder_ensure(jail, 0700, error)) {
        return false;
    }
    return edge->options.uid == 0 || (chown(jail, 0, edge->options.gid) == 0 && chmod(jail, 0710) == 0) ||
           sy_fail_errno(error, errno, "cannot give %s to HAProxy's workers", jail);
}

void edge_choose_user(struct edge_options *options)
{
    static const char *const names[] = {"haproxy", "nobody"};
    struct passwd *found = NULL;
    struct passwd entry;
    char buffer[16384];
    for (size_t i = 0; geteuid() == 0 && found == NULL && i < G_N_ELEMENTS(names); i++) {
        if (getpwnam_r(names[i], &entry, buffer, sizeof buffer, &found) == 0 && found != NULL) {
            options->uid = found->pw_uid;
            options->gid = found->pw_gid;
        }
    }
}

struct edge *edge_new(const struct edge_options *options, GError **error)
{
    struct edge *edge = g_new0(struct edge, 1);
    g_mutex_init(&edge->lock);
    g_mutex_init(&edge->stats_lock);
    g_mutex_init(&edge->log_lock);
    edge->writers = g_array_new(FALSE, FALSE, sizeof(pid_t));
    take_options(edge, options);
    if (!edge_options_check(&edge->options, error) || !edge_listen_parse(edge->options.listen, &edge->listen, error) ||
        !make_folders(edge, error)) {
        edge_free(edge);
        return NULL;
    }
    edge->port = known_port(edge);
    return edge;
}

void edge_free(struct edge *edge)
{
    if (edge == NULL) {
        return;
    }
    g_free((char *)edge->options.folder);
    g_free((char *)edge->options.listen);
    g_free((char *)edge->options.program);
    g_free((char *)edge->options.installation);
    g_free((char *)edge->options.access_log);
    g_free((char *)edge->options.trusted_proxies);
    g_free(edge->configuration_path);
    g_free(edge->map_path);
    g_free(edge->pid_path);
    g_free(edge->port_path);
    g_free(edge->state_path);
    g_free(edge->complaints_path);
    g_free(edge->writer_path);
    g_free((char *)edge->options.log_writer);
    g_array_unref(edge->writers);
    g_free(edge->refusal);
    g_free(edge->socket_paths[EDGE_STATS_SOCKET]);
    g_free(edge->socket_paths[EDGE_MASTER_SOCKET]);
    g_mutex_clear(&edge->lock);
    g_mutex_clear(&edge->stats_lock);
    g_mutex_clear(&edge->log_lock);
    g_free(edge);
}

bool edge_start(struct edge *edge, GError **error)
{
    g_mutex_lock(&edge->lock);
    bool ok = edge_ensure(edge, error);
    g_mutex_unlock(&edge->lock);
    return ok;
}

bool edge_check_port(const struct edge_options *options, GError **error)
{
    struct edge *edge = edge_new(options, error);
    bool ok = edge != NULL && edge_port_is_free(edge, error);
    edge_free(edge);
    return ok;
}

bool edge_stop(struct edge *edge, GError **error)
{
    g_mutex_lock(&edge->lock);
    bool ok = edge_end(edge, error);
    g_mutex_unlock(&edge->lock);
    return ok;
}

int edge_port(const struct edge *edge)
{
    return g_atomic_int_get(&edge->port);
}

/* --- observing ------------------------------------------------------------------------------------------------------------- */

static bool ask_stat(struct edge *edge, int64_t pid, GPtrArray **ret_servers, GError **error)
{
    g_autoptr(GString) reply = edge_ask_worker(edge, pid, "show stat -1 6 -1", error);
    return reply != NULL && edge_parse_stat(reply->str, reply->len, ret_servers, error);
}

static char *path_of(const struct edge_observed_server *server)
{
    return g_strdup_printf("%s/%s", server->backend, server->name);
}

/* Adds what an old worker still carries; of servers that the new one does not have, those with sessions. */
static void add_old(GPtrArray *servers, GPtrArray *old)
{
    g_autoptr(GHashTable) by_path = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < servers->len; i++) {
        struct edge_observed_server *server = g_ptr_array_index(servers, i);
        g_hash_table_insert(by_path, path_of(server), server);
    }
    for (guint i = old->len; i > 0; i--) {
        struct edge_observed_server *server = g_ptr_array_index(old, i - 1);
        g_autofree char *path = path_of(server);
        struct edge_observed_server *known = g_hash_table_lookup(by_path, path);
        if (known != NULL) {
            known->current += server->current;
            known->backend_errors += server->backend_errors;
        } else if (server->current > 0) {
            server->is_draining = true;
            g_ptr_array_add(servers, g_ptr_array_steal_index(old, i - 1));
        }
    }
}

/* All workers that the master has at one moment. SY_NOT_FOUND when the current one ended meanwhile. */
static bool look(struct edge *edge, GPtrArray **ret_servers, GError **error)
{
    struct edge_processes processes = {0};
    g_autoptr(GPtrArray) servers = NULL;
    if (!edge_ask_processes(edge, &processes, error) || !ask_stat(edge, processes.worker, &servers, error)) {
        return false;
    }
    for (size_t i = 0; i < processes.n_old; i++) {
        g_autoptr(GPtrArray) old = NULL;
        g_autoptr(GError) failure = NULL;
        if (ask_stat(edge, processes.old[i], &old, &failure)) {
            add_old(servers, old);
        } else if (sy_error_code(failure) != SY_NOT_FOUND) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
    }
    edge_sort_observed(servers);
    *ret_servers = g_steal_pointer(&servers);
    return true;
}

bool edge_observe(struct edge *edge, GPtrArray **ret_servers, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + LOOK_US;
    edge_bound_complaints(edge);
    for (;;) {
        g_autoptr(GError) failure = NULL;
        if (look(edge, ret_servers, &failure)) {
            return true;
        }
        if (sy_error_code(failure) != SY_NOT_FOUND) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
        if (g_get_monotonic_time() > deadline_us) {
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy has no worker that stays");
        }
        g_usleep(PAUSE_US);
    }
}

/* --- status ---------------------------------------------------------------------------------------------------------------- */

bool edge_status(struct edge *edge, struct edge_status *ret_status, GError **error)
{
    struct edge_processes processes = {0};
    g_auto(edge_info_t) info = {0};
    edge_bound_complaints(edge);
    *ret_status = (struct edge_status){0};
    if (!edge_ask_processes(edge, &processes, error)) {
        if (edge_runs(edge)) {
            return false;
        }
        g_clear_error(error); /* that it does not run is the answer */
        return true;
    }
    if (!edge_ask_info(edge, &info, error)) {
        return false;
    }
    ret_status->is_running = true;
    ret_status->version = g_steal_pointer(&info.version);
    ret_status->pid = processes.master;
    ret_status->uptime_seconds = processes.uptime_seconds;
    ret_status->reloads = processes.reloads;
    ret_status->current_connections = info.current_connections;
    ret_status->total_requests = info.total_requests;
    return true;
}

void edge_status_clear(struct edge_status *status)
{
    g_clear_pointer(&status->version, g_free);
}

char *edge_refusal(struct edge *edge)
{
    g_mutex_lock(&edge->stats_lock);
    char *refusal = g_strdup(edge->refusal);
    g_mutex_unlock(&edge->stats_lock);
    return refusal;
}

void edge_stats(const struct edge *edge, struct edge_stats *ret_stats)
{
    struct edge *mutable = (struct edge *)edge;
    g_mutex_lock(&mutable->stats_lock);
    *ret_stats = edge->stats;
    g_mutex_unlock(&mutable->stats_lock);
}
