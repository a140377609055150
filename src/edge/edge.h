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
 * What HAProxy runs is asked from HAProxy, never remembered: the digest of everything but hosts and
 * servers is its `description`, so that a half-done change or a foreign reload is seen and repaired
 * by the next edge_apply. After a reload the old worker finishes what it has; a request that comes
 * in there on a kept connection is handed to the new worker, so that an old worker never routes by
 * its old table. edge_observe adds the sessions of old workers to a server's.
 *
 * A draining server is not in the file: HAProxy that starts anew has nothing to drain.
 *
 * Safety: a table without any server, or with fewer than half of the servers of the last one (and
 * at least 3 fewer), is refused with SY_CONFLICT unless EDGE_ALLOW_SHRINK is given; an empty first
 * table is fine. Errors: SY_EDGE_UNAVAILABLE, SY_PORT_TAKEN (with who holds it), SY_CONFLICT,
 * SY_INVALID_INPUT (a name, address or path that does not belong into a configuration),
 * SY_PROCESS_FAILED (HAProxy is not installed, or refuses a file: its words; the old one stays).
 * Threads: start, stop and apply take an internal lock in turn; the others may run beside them. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct edge;

struct edge_options {
    const char *folder;      /* for configuration, sockets, pages, pid file; 0700 */
    const char *listen;      /* HOST:PORT of HTTP; port 0: one is chosen at the first start and kept */
    const char *program;     /* "haproxy" */
    int64_t max_connections; /* default 10000, lowered to what the open-file limit allows */
    int64_t drain_hint_ms;   /* hard-stop-after of old processes at a reload; default 1 h */
    const char *installation;
    /* HAProxy started by root gives its workers to this user, in a folder that holds one socket. 0: they stay what we are. */
    uid_t uid;
    gid_t gid;
    const char *access_log; /* file; NULL: <folder>/access.log */
    /* Program that keeps the access log bounded when called with `edge-log FILE`: ours, see edge_log_write. NULL: HAProxy writes
     * the file itself, up to 256 MiB. */
    const char *log_writer;
    /* Ranges with commas between; NULL: none. What these peers say in X-Forwarded-For and -Proto is kept, and extended; what
     * others say is replaced. */
    const char *trusted_proxies;
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
    int64_t retry_wait_ms; /* how long a request waits when no server is there (single-writer
                              volumes); at most 5 min; a HAProxy built without Lua does not wait */
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
    int64_t
        backend_errors; /* of its whole backend, those included for which no server could be found; from a reload on, anew */
};

/* As root: fills in the user `haproxy`, which HAProxy's packages make, or `nobody`. */
void edge_choose_user(struct edge_options *options);

/* For a process that will not be able to look into others any more: SY_PORT_TAKEN, naming who holds the port, unless it is
 * free or a HAProxy of ours has it. */
bool edge_check_port(const struct edge_options *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct edge *edge_new(const struct edge_options *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void edge_free(struct edge *edge); /* leaves HAProxy running */

/* Makes sure that HAProxy runs: one that answers on the master socket of our folder is ours, whoever
 * started it; else it is started in a session of its own with the file last applied (an empty table
 * when there is none). Cheap when it runs, so it may be called again and again. Where systemd has
 * enclii-edge.path active on this very folder, HAProxy is systemd's: we write the file and wait. */
bool edge_start(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether a HAProxy of ours runs, answering or not: edge_start fails with one that does not answer, and succeeds once it does. */
bool edge_runs(struct edge *edge);

/* For teardown: ends HAProxy with all that it carries and forgets the table (removes haproxy.cfg,
 * without which the systemd unit does not come back either). True when none runs. */
bool edge_stop(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT;
int edge_port(const struct edge *edge); /* 0 before the first start */

enum edge_apply_flag { EDGE_ALLOW_SHRINK = 1 << 0 };
/* What differed; after a reload too. Drains, address and state changes are servers_changed. */
struct edge_apply_result {
    int servers_added, servers_removed, servers_changed, hosts_changed;
    bool was_reloaded;
};
/* Starts HAProxy first when it is dead. A removed server that still has sessions stays in maintenance;
 * later calls try again. */
bool edge_apply(struct edge *edge, const struct edge_table *table, unsigned flags, struct edge_apply_result *ret_result,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Why the last table was not taken, newly allocated; NULL: it was, or HAProxy was not there, or none was given yet. Waits for
 * nothing. */
char *edge_refusal(struct edge *edge);

/* Copies what HAProxy logs from `fd` to the file until HAProxy has ended. A file that would become larger than the limit is
 * renamed to FILE.1 at the end of a line; one that was removed is made anew; what cannot be written is dropped, as HAProxy
 * does not wait. (Under systemd the log goes to the journal instead.) */
#define EDGE_LOG_BYTES ((int64_t)32 << 20)
void edge_log_write(int fd, const char *path, int64_t limit_bytes);

/* Array of struct edge_observed_server *, sorted by (backend, name). */
bool edge_observe(struct edge *edge, GPtrArray **ret_servers, GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct edge_status {
    bool is_running;
    char *version;
    int64_t pid, uptime_seconds; /* of the master process */
    int64_t current_connections;
    int64_t total_requests; /* since the last reload */
    int64_t reloads;
};
/* True with is_running == false when no HAProxy answers. */
bool edge_status(struct edge *edge, struct edge_status *ret_status, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void edge_status_clear(struct edge_status *status);

struct edge_stats {
    int64_t calls, failures, reloads, us_total; /* calls: commands to HAProxy */
};
void edge_stats(const struct edge *edge, struct edge_stats *ret_stats);

/* --- pure parts, tested and fuzzed on their own (table.c, render.c, reply.c) ------------------------ */

/* Positive character classes for everything that reaches a configuration or a command; every host's
 * backend exists; nothing twice. */
bool edge_table_check(const struct edge_table *table, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* NULL, or what edge_options.trusted_proxies must be. */
const char *edge_check_proxies(const char *proxies);

/* The whole haproxy.cfg; NULL for what edge_table_check or the check of the options refuses. */
GString *edge_render(const struct edge_options *options, int port, const struct edge_table *table);

/* `show stat` CSV. */
bool edge_parse_stat(const char *text, size_t length, GPtrArray **ret_servers,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
