/* The HTTP/1.1 server: listeners, routing, workers, streams. Knows no resource of Enclii.
 *
 * N single-thread epoll loops (libmicrohttpd), each with its own SO_REUSEPORT listener, plus one
 * for the unix socket. A request passes: framing guard → limits → route lookup → authentication →
 * permission → body → handler. In-memory routes (ROUTE_INLINE) answer on the loop's thread; all
 * others on a worker, the connection being suspended meanwhile. Handlers may block; the loops never
 * do.
 *
 * The server authenticates and authorises through two callbacks; a route without a permission is
 * refused at start. Every error becomes RFC 9457 problem details. Every reply carries X-Request-Id.
 *
 * Ownership: a struct request lives from the first to the last byte of its exchange; what a handler
 * wants to keep it copies. Threads: one thread at a time touches a request. server_* functions are
 * thread-safe. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "contract/contract.h"

struct server;
struct request;
struct stream;

#define ROUTE_MAX_PARAMETERS 4

enum route_flag {
    ROUTE_INLINE = 1 << 0,      /* answered on the loop's thread: must not block */
    ROUTE_PUBLIC = 1 << 1,      /* no sign-in; said out loud, instead of a permission */
    ROUTE_IDEMPOTENT = 1 << 2,  /* honours Idempotency-Key */
    ROUTE_BODY_STREAM = 1 << 3, /* body is given to body_fn piece by piece on a worker, not collected */
    ROUTE_BODY_OPTIONAL = 1 << 4,
    ROUTE_STREAMS = 1 << 5,   /* may reply with a stream; no whole-request deadline after the head */
    ROUTE_DRY_RUN = 1 << 6,   /* takes ?dry_run=true */
    ROUTE_WEBSOCKET = 1 << 7, /* upgrades (RFC 6455) */
};

struct query_parameter {
    const char *name;
    const char *pattern_doc; /* "1–200", "RFC 3339 or a duration"; for the API reference */
    enum kind kind;          /* KIND_INT, KIND_STRING, KIND_BOOL; checked before the handler */
    int64_t minimum, maximum;
    const char
        *schema; /* JSON Schema for the contract, when kind and bounds do not say all; not looked at by the server */
    const char *doc;
};

/* true: the reply is set. false: *error becomes the problem. */
typedef bool (*handler_fn)(struct request *request, GError **error);

/* Receives the streamed body in order; length 0 with is_last marks the end. */
typedef bool (*body_fn)(struct request *request, const void *bytes, size_t length, bool is_last, GError **error);

struct route {
    const char *method;
    const char *path;           /* "/v1/projects/{slug}"; also served below /api */
    const char *permission;     /* "project.read"; NULL only with ROUTE_PUBLIC */
    const struct type *request; /* decoded with `mode`; NULL: no body */
    enum decode_mode mode;
    const struct type *reply; /* NULL: no body or not a typed one */
    const char *list_key;     /* reply is {"<list_key>": [reply…], "next_cursor": …} */
    int status;               /* of success */
    unsigned flags;
    const struct query_parameter *query; /* ended by name == NULL; may be NULL. Others are refused */
    handler_fn handler;
    body_fn body;
    const char *summary;
    const char *operation_id; /* "listProjects"; unique */
    const char *tag;
};

/* Who calls; made by the authenticate callback, owned by the request. The server looks into nothing
 * else. */
struct caller {
    char *name;      /* for the access log: "socket:root", "token:ci" */
    void *principal; /* the application's */
    void (*principal_free)(void *principal);
};

struct server_callbacks {
    void *app;
    /* From the Authorization header (NULL when absent) or the unix peer. Fails with
     * SY_NOT_SIGNED_IN or SY_RATE_LIMITED. Runs on a worker unless the route is inline. */
    bool (*authenticate)(struct request *request, const char *authorization, struct caller *ret_caller, GError **error);
    /* Fails with SY_NOT_ALLOWED, or SY_NOT_FOUND where existence is itself secret. */
    bool (*authorise)(struct request *request, const struct route *route, GError **error);
    /* Idempotency (ROUTE_IDEMPOTENT with a key): begin returns true with *ret_replayed set when a
     * stored reply was put on the request; else finish is called once the reply is there, to store
     * it, or with a NULL body when it must not be kept (5xx, 401, 403, 429). What changed something
     * must be stored in the transaction that changed it (reply_body): by finish it would be lost in
     * a crash between the two. Keys are per caller; request_sha256 is over path and query parameters
     * and the body. begin NULL: not supported. */
    bool (*idempotency_begin)(struct request *request, const char *key, const char *request_sha256, bool *ret_replayed,
                              GError **error);
    void (*idempotency_finish)(struct request *request, const char *key, const char *request_sha256, int status,
                               const char *body, size_t length);
    /* Once per request, when its reply is known, for the log; runs on a loop: it must not block. The request may lack a route
     * and a caller: it was refused before they were known. NULL: nobody wants to know. */
    void (*replied)(const struct request *request, int status, int64_t duration_us);
};

struct server_options {
    const char *listen;          /* HOST:PORT, port 0: any; NULL: no TCP */
    const char *socket_path;     /* NULL: no unix socket */
    int socket_mode;             /* 0660 */
    gid_t socket_group;          /* (gid_t)-1: leave */
    int n_loops;                 /* 1..4, default 2 */
    int n_workers;               /* default 8 */
    int64_t header_bytes;        /* default 16 KiB */
    int64_t body_bytes;          /* collected bodies, default 1 MiB */
    int64_t stream_body_bytes;   /* streamed bodies, default 512 MiB */
    int connections;             /* default 4096 */
    int connections_per_address; /* default 512; not for the unix socket */
    int64_t request_ms;          /* head to last byte of the body; default 30 s */
    int64_t stream_request_ms;   /* the same for ROUTE_BODY_STREAM; default 15 min */
    int64_t idle_ms;             /* default 75 s; whole seconds, rounded up */
    int64_t heartbeat_ms;        /* on streams; default 15 s. Tests make it short */
    int worker_queue;            /* waiting requests before 503 + Retry-After; default 1024 */
};

/* `routes` and `options` are borrowed for the server's life. SY_PORT_TAKEN names who holds the port
 * where /proc tells. SY_INTERNAL names a route that has no permission, or two that overlap. */
struct server *server_start(const struct server_options *options, const struct route *routes, size_t n_routes,
                            const struct server_callbacks *callbacks, GError **error) G_GNUC_WARN_UNUSED_RESULT;
int server_port(const struct server *server);

/* Whether an address is free now, with its holder in the error: once a process is confined (base/confine.h) it cannot look
 * into others any more. */
bool server_check_address(const char *listen, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Stops accepting, lets running requests end for at most grace_ms, ends streams with a comment,
 * closes. */
void server_stop(struct server *server, int64_t grace_ms);

struct server_stats { /* for /metrics; rows per route × status class */
    int64_t connections, workers_busy, queue_length, streams, rejected;
};
void server_stats(struct server *server, struct server_stats *ret_stats);

/* Calls fn once per route that was hit: requests per status class 1xx..5xx, and a latency histogram
 * whose upper bounds in seconds are server_latency_bounds (n = SERVER_N_BOUNDS, then +Inf),
 * cumulative. */
#define SERVER_N_BOUNDS 12
extern const double server_latency_bounds[SERVER_N_BOUNDS];
typedef void (*server_route_stats_fn)(const struct route *route, const int64_t by_class[5],
                                      const int64_t buckets[SERVER_N_BOUNDS + 1], double sum_seconds, void *arg);
void server_route_stats(struct server *server, server_route_stats_fn fn, void *arg);

/* --- what a handler reads
 * ---------------------------------------------------------------------------------- */

void *request_app(const struct request *request);
const struct route *request_route(const struct request *request);
const char *request_id(const struct request *request);
const char *request_method(const struct request *request);                      /* as it came, cut at 15 bytes */
const char *request_path(const struct request *request);                        /* raw, without the query */
const char *request_parameter(const struct request *request, const char *name); /* {name} of the path, decoded */
const char *request_query(const struct request *request, const char *name);     /* decoded; NULL when absent */
int64_t request_query_int(const struct request *request, const char *name, int64_t absent);
bool request_query_bool(const struct request *request, const char *name);
const char *request_header(const struct request *request, const char *name); /* any case; NULL when absent */
const struct caller *request_caller(const struct request *request);
const char *request_client_address(const struct request *request); /* "127.0.0.1", "unix" */
bool request_peer(const struct request *request, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid); /* unix only */
/* True when the client has hung up or the server is about to end: a long handler may stop. */
bool request_is_abandoned(const struct request *request);
const void *request_body(const struct request *request);   /* decoded struct of route->request; NULL when none */
const json_t *request_json(const struct request *request); /* the undecoded body, for PATCH: apply it to the row */
void *request_state(const struct request *request); /* one pointer per request: of body_fn, or of idempotency_begin */
void request_set_state(struct request *request, void *state, GDestroyNotify destroy);

/* --- what a handler replies
 * ---------------------------------------------------------------------------------- */

/* route->status with the object encoded PUBLIC; `revision` > 0 adds ETag "r<revision>". */
void reply_object(struct request *request, const struct type *type, const void *object, int64_t revision);
void reply_status_object(struct request *request, int status, const struct type *type, const void *object,
                         int64_t revision);
void reply_list(struct request *request, const char *key, const struct type *type, const GPtrArray *objects,
                const char *next_cursor);
/* One JSON value that the handler has written. */
void reply_json_take(struct request *request, int status, GString *json);
void reply_bytes_take(struct request *request, int status, const char *content_type, GString *bytes);
void reply_empty(struct request *request, int status); /* 204, 304 */
void reply_header(struct request *request, const char *name, const char *value);
/* What has been set so far: NULL when it has no body. Borrowed until the next reply_… . */
const GString *reply_body(const struct request *request, int *ret_status);
/* The headers that have been set so far, as lines of "Name: value"; NULL when there are none. And such lines set again. */
char *reply_headers(const struct request *request);
void reply_headers_set(struct request *request, const char *lines);
/* Forgets what has been set: a transaction that made the reply did not commit. */
void reply_discard(struct request *request);

/* If-Match against the row's revision: SY_STALE when it names another; no header is no condition.
 */
bool request_check_match(const struct request *request, int64_t revision, GError **error);

/* Opaque page cursors: base64url of the last row's sort key. */
char *cursor_encode(const char *key);
char *cursor_decode(const char *cursor, GError **error); /* SY_INVALID_INPUT */

/* --- streams
 * -------------------------------------------------------------------------------------------------
 */

enum stream_format { STREAM_SSE, STREAM_NDJSON, STREAM_BYTES };

/* Turns the reply into a stream: SSE, or NDJSON when the client asked for it. The returned stream
 * is shared: the connection holds one reference, the caller another (stream_unref). Buffered up to
 * 1 MiB; when a slow reader lets it overflow, the oldest whole records go and `missed` is counted
 * and sent as a record (SSE `event: missed`, data {"missed": n}; NDJSON and websocket
 * the object alone). STREAM_BYTES cannot lose a part: it is cut off instead, so its producer waits
 * for room. A heartbeat goes out every 15 s: an SSE comment, an empty NDJSON line, a websocket
 * ping. Bytes flow once the handler has returned: do not wait inside it. */
struct stream *reply_stream(struct request *request, enum stream_format format);

/* Any thread. `id` may be NULL; `data` is one line of JSON. False when the client has gone. */
bool stream_send(struct stream *stream, const char *id, const char *event, const char *data, size_t length);
bool stream_is_closed(struct stream *stream);
size_t stream_room(struct stream *stream); /* bytes that still fit without loss */
/* Blocks until `length` more bytes fit; false when the client has gone or the time is over. */
bool stream_wait(struct stream *stream, size_t length, int64_t timeout_ms);
/* Flushes, then closes; on_close is not called any more. */
void stream_end(struct stream *stream);
/* Once, when the client goes or the server stops; on the loop's thread or, when that has happened
 * already, at once. It must not block. */
void stream_on_close(struct stream *stream, void (*fn)(void *arg), void *arg);
struct stream *stream_ref(struct stream *stream);
void stream_unref(struct stream *stream);

/* ROUTE_WEBSOCKET: after a good upgrade request, sends 101 and gives text frames out the same way.
 * Pings every 15 s; answers client pings and close (RFC 6455 sections 5.4, 5.5). */
struct stream *reply_websocket(struct request *request, GError **error);
