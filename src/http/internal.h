/* What the files of this folder share. Not for others.
 *
 * Threads. Each loop owns its MHD daemon, its connections and their deadlines; only its thread calls MHD, with one exception:
 * loop_resume, by which a worker ends its turn, is thread-safe. A request belongs to the loop's thread, or while
 * its connection is suspended in a PHASE_*ING, to one worker. A stream has its own lock.
 *
 * Lock order: stream → (MHD's own). server.lock, worker_pool.lock and loop.lock are leaves. */
#pragma once

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "http/guard.h"
#include "http/router.h"
#include "http/server.h"

#define REQUEST_ID_MAX 64
#define REQUEST_MAX_QUERY 32
#define AUTH_FIRST_BYTES 16384 /* larger bodies are read only for callers who may send them */
#define PIECE_BYTES 131072     /* of a streamed body, handed over at once */
#define LINGER_US 2000000      /* how long a refused body is swallowed, so that the reply arrives */

/* --- connections and loops --------------------------------------------------------------------------------- */

struct loop {
    struct server *server;
    struct MHD_Daemon *daemon;
    GThread *thread;
    int mhd_fd;   /* MHD's epoll: the listener, connections, and epoll_fd */
    int epoll_fd; /* wake_fd and the sockets of streams */
    int wake_fd;
    int listen_fd; /* -1 once quiesced */
    bool is_unix;
    bool is_draining;
    bool must_end;        /* the grace period is over */
    bool has_waiting;     /* requests wait for more workers than were woken */
    atomic_bool is_woken; /* wake_fd has been written to and not yet been read */
    int n_connections;
    struct connection *connections; /* loop's thread only, as are its neighbours */
    struct stream *streams;
    int64_t tick_us;      /* how often deadlines are looked at */
    int64_t next_tick_us; /* monotonic */
    GMutex lock;
    struct request *aborted; /* under lock: streamed bodies that were refused half-way */
};

struct connection {
    struct connection *previous, *next;
    struct loop *loop;
    struct MHD_Connection *mhd;
    int fd;
    int64_t started_us;      /* monotonic, as is the next */
    int64_t deadline_us;     /* 0: none */
    struct request *request; /* from its request line to its end */
    unsigned n_requests;
    bool is_lingering; /* the reply was written by hand; input is swallowed until the deadline */
    bool is_counted;   /* under its address */
    bool has_peer;
    uid_t uid;
    gid_t gid;
    pid_t pid;
    uint8_t key[16];
    char address[INET6_ADDRSTRLEN];
};

/* --- requests ---------------------------------------------------------------------------------------------- */

enum phase {
    PHASE_HEAD,      /* the handler has not been called */
    PHASE_ADMITTING, /* on a worker: who is it, and may they */
    PHASE_BODY,      /* being read */
    PHASE_FEEDING,   /* on a worker: a piece of the body */
    PHASE_RUNNING,   /* on a worker: decode and handler */
    PHASE_REPLY,     /* the reply is set and waits for MHD's last call */
    PHASE_REPLIED,
    PHASE_SWALLOW, /* refused: the rest of the body is thrown away */
};

struct text_pair {
    char *name;
    char *value;
};

struct reply {
    bool is_set;
    bool must_close;
    int status;
    const char *content_type;
    GString *body;
    struct stream *stream;
    char *websocket_accept;
    GArray *headers; /* struct text_pair */
};

struct request {
    struct request *next; /* in the worker queue or loop.aborted */
    struct connection *connection;
    struct server *server;
    const struct route *route;
    struct route_counters *counters;
    struct guard_framing framing;
    enum phase phase;
    bool is_admitted;
    bool is_head_only;
    bool is_final_piece;
    int64_t started_us;
    int64_t queued_us; /* monotonic, when it was last handed to the workers */
    char id[REQUEST_ID_MAX + 1];
    char method[16];
    char *target; /* raw */
    char *path;   /* within target, without the query */
    char *query_text;
    char *parameters[ROUTE_MAX_PARAMETERS];
    const char *parameter_names[ROUTE_MAX_PARAMETERS];
    struct text_pair query[REQUEST_MAX_QUERY];
    size_t n_query;
    struct caller caller;
    bool has_caller;
    GString *body;
    int64_t body_bytes; /* received so far */
    json_t *json;
    void *object;
    void *state;
    GDestroyNotify state_destroy;
    GError *error;
    int error_status; /* 0: that of the error's code */
    struct reply reply;
};

static inline struct MHD_Connection *request_mhd(const struct request *request)
{
    return request->connection->mhd;
}

struct request *request_new(struct connection *connection, const char *target);
void request_free(struct request *request);

/* MHD's access handler; the loop's thread. */
enum MHD_Result request_on_call(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_size, void **context);

/* What a worker does with a request, by its phase; ends with handing the connection back. */
void request_work(struct request *request);

/* The loop's thread: a request whose streamed body a worker has refused. */
void request_abort(struct request *request);

/* query.c */
bool request_parse_path(struct request *request, const struct router_match *match, GError **error);
bool request_check_query(struct request *request, GError **error);

/* body.c */
bool request_check_content_type(const struct request *request, GError **error);
bool request_decode_body(struct request *request, GError **error);

/* reply.c */
void reply_init(struct request *request);
void reply_clear(struct reply *reply);
void reply_error(struct request *request, const GError *error, int status);

/* The loop's thread; gives the reply to MHD. */
enum MHD_Result reply_queue(struct request *request);

/* Writes an error reply straight to the socket, past MHD: where MHD takes no reply (in the middle of a body or of a head).
 * Nothing of a reply has been sent before on this exchange. Ends our side of the connection. */
void reply_raw(struct connection *connection, const struct request *request, const GError *error, int status);

/* --- workers ----------------------------------------------------------------------------------------------- */

struct worker_pool;
struct worker_pool *worker_pool_new(int n_workers, int limit);
bool worker_pool_push(struct worker_pool *pool, struct request *request); /* false: full; wakes nobody */
/* After pushing. True: there is more than was woken for, look again within WORKER_LOOK_MS. */
bool worker_pool_wake(struct worker_pool *pool);
#define WORKER_LOOK_MS 1
void worker_pool_stop(struct worker_pool *pool); /* queued work is done first */
void worker_pool_free(struct worker_pool *pool);
int64_t worker_pool_busy(struct worker_pool *pool);
int64_t worker_pool_queued(struct worker_pool *pool);

/* --- statistics -------------------------------------------------------------------------------------------- */

struct route_counters {
    _Atomic int64_t by_class[5];
    _Atomic int64_t buckets[SERVER_N_BOUNDS + 1]; /* not cumulative */
    _Atomic int64_t sum_us;
};
void stats_count(struct route_counters *counters, int status, int64_t duration_us);

/* --- listeners --------------------------------------------------------------------------------------------- */

/* n sockets on one port, ret_fds filled; SY_PORT_TAKEN. */
bool listen_tcp(const char *address, int n, int *ret_fds, int *ret_port, GError **error);
int listen_unix(const char *path, int mode, gid_t group, GError **error);

/* --- streams (stream.h) ------------------------------------------------------------------------------------ */

struct stream *stream_new(struct server *server, enum stream_format format);
struct MHD_Response *stream_response(struct stream *stream); /* takes a reference for MHD */
const char *stream_content_type(const struct stream *stream);

/* The loop's thread, all of these. Attached from the reply's queueing to the connection's end. */
void stream_attach(struct stream *stream, struct connection *connection);
void stream_detach(struct stream *stream);
void stream_on_event(struct stream *stream, uint32_t events);
void stream_tick(struct stream *stream, int64_t now_us);
void stream_drain(struct stream *stream); /* a comment, then the end */
struct stream *stream_next(const struct stream *stream);

/* Any thread: the client is gone, or must go. */
void stream_abort(struct stream *stream);

struct MHD_Response *websocket_response(struct stream *stream, const char *accept);

/* --- server ------------------------------------------------------------------------------------------------ */

struct server {
    struct server_options options; /* with the defaults filled in */
    struct server_callbacks callbacks;
    const struct route *routes;
    size_t n_routes;
    struct router *router;
    struct route_counters *counters;
    struct worker_pool *workers;
    struct loop *loops;
    int n_loops;
    int port;
    char *socket_path;
    dev_t socket_device;
    ino_t socket_inode;
    bool knows_layout; /* the guard may read MHD's buffer */
    atomic_bool is_draining;
    atomic_bool must_end;
    _Atomic int64_t connections, streams, rejected;
    GMutex lock;
    GCond changed;         /* a connection ended */
    GHashTable *addresses; /* 16-byte key → count, under lock */
};

GHashTable *loop_address_table(void); /* 16-byte keys */
bool loop_start(struct loop *loop, GError **error);
void loop_wake(struct loop *loop);

/* Any thread. Afterwards the connection and its request belong to the loop. */
void loop_resume(struct loop *loop, struct MHD_Connection *mhd);
void loop_post_abort(struct loop *loop, struct request *request);
