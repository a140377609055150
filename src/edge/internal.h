/* What the files of src/edge share. Nothing outside includes it, but its tests. */
#pragma once

#include <sys/types.h>

#include "edge/edge.h"

/* --- forwarded.c ------------------------------------------------------------------------------------------------------ */

void edge_add_request_rules(GString *out, const struct edge_options *options);

/* --- listen.c: where the edge listens ------------------------------------------------------------------------------ */

struct edge_listen {
    char host[64]; /* numeric, without brackets; "" is every IPv4 address */
    bool is_ipv6;
    int port; /* 0: to be chosen */
};
/* HOST:PORT with a numeric HOST, `localhost`, `*` or nothing. */
bool edge_listen_parse(const char *text, struct edge_listen *ret_listen, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The line `bind …` of the configuration. */
char *edge_listen_bind(const struct edge_listen *listen, int port);
/* SY_PORT_TAKEN, naming the holder, when somebody listens there. */
bool edge_listen_check(const struct edge_listen *listen, int port, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A free port outside the range that the kernel gives to outgoing connections. */
int edge_listen_choose(const struct edge_listen *listen, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- holder.c: who holds a port --------------------------------------------------------------------------------------- */

/* "nginx (pid 12)", "another program" when /proc does not tell (pid 0), or NULL when nobody listens on the port. */
char *edge_port_holder(int port, int64_t *ret_pid);

/* --- pages.c: what visitors see when no instance answers ------------------------------------------------------------ */

struct edge_file {
    const char *name; /* in the folder */
    const char *text;
};
extern const struct edge_file edge_files[]; /* ended by name == NULL */

/* --- render.c --------------------------------------------------------------------------------------------------------- */

/* The options' part of what edge_render refuses. */
bool edge_options_check(const struct edge_options *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Identifies all of a configuration but hosts and servers; what a reload is needed for. 64 hex digits. */
char *edge_structure(const char *configuration);
/* How many servers the table had that this file was made from; -1 when it does not say. */
int64_t edge_file_servers(const char *configuration);
/* "KEY VALUE" lines of the host map. */
GString *edge_render_map(const struct edge_table *table);
/* The keywords of a server after its address; the same in the file and at runtime. */
char *edge_server_keywords(const struct edge_backend *backend);

/* --- reply.c: what HAProxy answers -------------------------------------------------------------------------------------- */

enum { EDGE_ADMIN_MAINT = 0x01, EDGE_ADMIN_DRAIN = 0x08 };

/* By backend and name. */
void edge_sort_observed(GPtrArray *servers);

/* A line of `show servers state`. */
struct edge_live_server {
    char *backend;
    char *name;
    char *address;
    int64_t port;
    int64_t admin; /* bits as in HAProxy's `enum srv_admin` */
};
bool edge_parse_servers_state(const char *text, size_t length, GPtrArray **ret_servers,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct edge_info {
    char *version;
    char *description;
    int64_t pid, current_connections, total_requests;
    bool is_stopping;
};
bool edge_parse_info(const char *text, size_t length, struct edge_info *ret_info,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
void edge_info_clear(struct edge_info *info);
typedef struct edge_info edge_info_t; /* for g_auto */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(edge_info_t, edge_info_clear)

/* `show proc` of the master. */
#define EDGE_OLD_WORKERS 64
struct edge_processes {
    int64_t master, uptime_seconds, reloads, failed_reloads;
    int64_t worker; /* 0: none */
    int64_t old[EDGE_OLD_WORKERS];
    size_t n_old;
};
bool edge_parse_processes(const char *text, size_t length, struct edge_processes *ret_processes,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `show map`: host → backend, both owned. */
bool edge_parse_map(const char *text, size_t length, GHashTable **ret_hosts, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- difference.c: from what runs to what is wanted --------------------------------------------------------------------- */

enum edge_change_kind { EDGE_ADD, EDGE_MOVE, EDGE_SET_READY, EDGE_SET_DRAIN, EDGE_REMOVE };
struct edge_change {
    enum edge_change_kind kind;
    const struct edge_backend *backend; /* NULL for EDGE_REMOVE */
    const struct edge_server *server;   /* NULL for EDGE_REMOVE */
    char *path;                         /* BACKEND/SERVER */
    bool was_out;                       /* EDGE_REMOVE: in maintenance already */
};
/* In the order in which they have to happen: nothing is taken away before its successor is there. Borrows from table. */
GPtrArray *edge_difference(const GPtrArray *live, const struct edge_table *table, struct edge_apply_result *ret_result);
/* Commands that make the map hold the table's hosts. */
GPtrArray *edge_map_difference(GHashTable *live, const struct edge_table *table, const char *map);

/* --- runtime.c: the sockets --------------------------------------------------------------------------------------------- */

enum edge_socket { EDGE_STATS_SOCKET, EDGE_MASTER_SOCKET };
/* The whole reply. SY_EDGE_UNAVAILABLE. */
GString *edge_command(struct edge *edge, enum edge_socket socket, const char *command,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* For commands that answer nothing on success: any other text is the error. */
bool edge_order(struct edge *edge, const char *command, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool edge_ask_info(struct edge *edge, struct edge_info *ret_info, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Of one worker, through the master. SY_NOT_FOUND when it is gone. */
GString *edge_ask_worker(struct edge *edge, int64_t pid, const char *command, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool edge_ask_processes(struct edge *edge, struct edge_processes *ret_processes,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool edge_ask_servers(struct edge *edge, GPtrArray **ret_servers, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- process.c, reload.c, access_log.c; all under edge->lock ------------------------------------------------------------- */

/* As edge_runs, but true also when in doubt. Needs no lock. */
bool edge_master_may_live(struct edge *edge);
bool edge_port_is_free(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool edge_ensure(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool edge_end(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Pages and the waiting room. */
bool edge_write_files(struct edge *edge, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* `haproxy -c`: SY_PROCESS_FAILED with its words. */
bool edge_validate(struct edge *edge, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The last complaints that HAProxy has written since `offset` of its own log, in one line; may be empty. */
char *edge_complaints(struct edge *edge, int64_t offset);
int64_t edge_complaints_offset(struct edge *edge);
/* Validates, writes both files, reloads, waits until the new worker serves. */
bool edge_reload(struct edge *edge, const GString *configuration, const GString *map,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The reasons in HAProxy's output, in one line. */
char *edge_words(const char *output);
void edge_limit_files(pid_t pid);
/* Keeps HAProxy's standard error bounded. Needs no lock of the caller's. */
void edge_bound_complaints(struct edge *edge);

/* --- the thing itself ------------------------------------------------------------------------------------------------------ */

struct edge {
    struct edge_options options; /* strings are owned */
    struct edge_listen listen;
    char *configuration_path, *map_path, *pid_path, *port_path, *state_path, *complaints_path, *writer_path;
    char *socket_paths[2]; /* by enum edge_socket */
    GMutex lock;           /* start, stop, apply; taken before the two below */
    int port;              /* atomic */
    int master;            /* atomic: pid of the master that answered last; 0: none yet */
    pid_t child;           /* HAProxy as a child of ours, to be reaped; 0: none */
    GArray *writers;       /* of pid_t: likewise, those that write its access log */
    GMutex stats_lock;
    struct edge_stats stats; /* under stats_lock, as is the next */
    char *refusal;           /* of the last edge_apply; NULL: it went well */
    GMutex log_lock;         /* cutting the logs */
};

/* Longest path that still fits, with HAProxy's ".PID.tmp", into a socket address. */
#define EDGE_SOCKET_PATH_MAX 94
/* Root of the workers' file system, and the socket in it by which an old worker reaches the new one. */
#define EDGE_JAIL "jail"
#define EDGE_LATE "late"
