/* The edge: HAProxy as its own process that outlives `switchyard`.
 *
 * The edge's table is derived state: the caller renders it from the store and gives it whole to
 * edge_apply, which makes HAProxy match: servers by the runtime API, hosts by the map file and the
 * runtime API, new or changed backends by a hitless reload of the rendered file. The file on disk
 * always holds the table last applied, so that a restart of HAProxy, or of the machine with
 * `switchyard` down, serves the same.
 *
 * A server is added only when it is to receive traffic; the caller has probed it. A server in
 * EDGE_DRAIN gets no new requests but keeps its running ones; the caller waits until edge_observe
 * says current == 0, then leaves it out of the next table, which removes it. Removing one that
 * still has sessions puts it in maintenance first.
 *
 * Safety: a table without any server, or with fewer than half of the servers of the last one (and
 * at least 3 fewer), is refused with SY_CONFLICT unless EDGE_ALLOW_SHRINK is given. Errors:
 * SY_EDGE_UNAVAILABLE, SY_PORT_TAKEN (with who holds it), SY_CONFLICT. Threads: one caller at a
 * time for edge_apply (internal lock); edge_observe may run beside it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct edge;

struct edge_options {
    const char *folder;      /* for configuration, sockets, pages, pid file; 0750 */
    const char *listen;      /* HOST:PORT of HTTP; port 0: one is chosen at the first start and kept */
    const char *program;     /* "haproxy" */
    int64_t max_connections; /* default 10000, lowered to what the open-file limit allows */
    int64_t drain_hint_ms;   /* hard-stop-after of old processes at a reload; default 1 h */
    const char *installation;
    const char *access_log; /* file; NULL: <folder>/access.log */
};

enum edge_server_state { EDGE_READY, EDGE_DRAIN };

struct edge_server {
    char *name;    /* ^[a-z0-9-]{1,64}$, unique in its backend, never reused for another address */
    char *address; /* IPv4 */
    int64_t port;
    enum edge_server_state state;
};

struct edge_backend {
    char *name;        /* ^[a-z0-9-]{1,128}$ */
    char *health_path; /* NULL: TCP check */
    int64_t health_interval_ms;
    int64_t health_timeout_ms;
    int64_t retry_wait_ms; /* how long a request waits in the queue when no server is there
                              (single-writer volumes) */
    bool is_maintenance;   /* answer with the maintenance page */
    GPtrArray *servers;    /* of struct edge_server * */
};

struct edge_host {
    char *host; /* lower case, no port */
    char *backend;
};

struct edge_table {
    GPtrArray *backends; /* of struct edge_backend *; sorted by name */
    GPtrArray *hosts;    /* of struct edge_host *; sorted by host */
};
struct edge_table *edge_table_new(void);
void edge_table_free(struct edge_table *table);
struct edge_backend *edge_table_add_backend(struct edge_table *table, const char *name);
void edge_backend_add_server(struct edge_backend *backend, const char *name, const char *address, int64_t port,
                             enum edge_server_state state);
void edge_table_add_host(struct edge_table *table, const char *host, const char *backend);

struct edge_observed_server {
    char *backend;
    char *name;
    char *address;
    bool is_up; /* HAProxy's own health check */
    bool is_draining;
    int64_t current; /* sessions now */
    int64_t total;   /* requests so far */
    int64_t errors;  /* connection and response errors */
};

struct edge *edge_new(const struct edge_options *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void edge_free(struct edge *edge); /* leaves HAProxy running */

/* Starts HAProxy unless ours runs already (pid file and master socket agree). */
bool edge_start(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool edge_stop(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* for teardown */
int edge_port(const struct edge *edge);

enum edge_apply_flag { EDGE_ALLOW_SHRINK = 1 << 0 };
struct edge_apply_result {
    int servers_added, servers_removed, servers_changed, hosts_changed;
    bool was_reloaded;
};
bool edge_apply(struct edge *edge, const struct edge_table *table, unsigned flags, struct edge_apply_result *ret_result,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Array of struct edge_observed_server *, sorted by (backend, name). */
bool edge_observe(struct edge *edge, GPtrArray **ret_servers, GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct edge_status {
    bool is_running;
    char *version;
    int64_t pid, uptime_seconds, current_connections, total_requests, reloads;
};
bool edge_status(struct edge *edge, struct edge_status *ret_status, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void edge_status_clear(struct edge_status *status);

struct edge_stats {
    int64_t calls, failures, reloads, us_total;
};
void edge_stats(const struct edge *edge, struct edge_stats *ret_stats);

/* --- pure parts, tested and fuzzed on their own (render.c, reply.c)
 * ---------------------------------------------- */

GString *edge_render(const struct edge_options *options, int port, const struct edge_table *table);
/* `show stat` CSV. */
bool edge_parse_stat(const char *text, size_t length, GPtrArray **ret_servers,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
