/* One thread, one MHD daemon, whose epoll also watches ours.
 *
 * The thread sleeps in MHD's epoll_wait, so that a request costs no call beside those that read and answer it. What MHD does
 * not watch hangs on an epoll of our own: wake_fd, by which workers tell of replies, and the sockets of streams, whose
 * connections are suspended. That descriptor stands in MHD's epoll with a NULL, which MHD takes for "wake up, there is nothing
 * for you".
 *
 * Only with few connections: MHD 0.9.75 repeats epoll_wait whenever a batch came back full (128 events), with the timeout of
 * the first call, and so sleeps on connections that it has been told about. With more of them we sleep in poll, before, and
 * MHD only looks. */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "http/internal.h"

#define LOOP_EVENTS 64
#define MHD_BATCH 128 /* events of one look of MHD */
#define MHD_OTHERS 2  /* what MHD watches beside connections: the listener and our epoll */
#define DRAIN_YOUNG_US 1000000

/* --- addresses --------------------------------------------------------------------------------------------------- */

/* The key under which connections are counted: an IPv4 address, or an IPv6 /64, which one customer owns whole. */
static bool address_key(const struct sockaddr *address, uint8_t key[16])
{
    memset(key, 0, 16);
    if (address->sa_family == AF_INET) {
        memcpy(key + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        key[10] = key[11] = 0xff;
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        memcpy(key, in6, IN6_IS_ADDR_V4MAPPED(in6) ? 16 : 8);
        return true;
    }
    return false;
}

static guint key_hash(const void *data)
{
    const uint8_t *key = data;
    guint hash = 5381;
    for (int i = 0; i < 16; i++) {
        hash = hash * 33 + key[i];
    }
    return hash;
}

static gboolean key_equal(const void *a, const void *b)
{
    return memcmp(a, b, 16) == 0;
}

GHashTable *loop_address_table(void)
{
    return g_hash_table_new_full(key_hash, key_equal, g_free, NULL);
}

/* Returns the count after the change. */
static int address_count(struct server *server, const uint8_t key[16], int change)
{
    g_mutex_lock(&server->lock);
    int count = GPOINTER_TO_INT(g_hash_table_lookup(server->addresses, key)) + change;
    if (change != 0 && count <= 0) {
        g_hash_table_remove(server->addresses, key);
    } else if (change != 0) {
        g_hash_table_replace(server->addresses, g_memdup2(key, 16), GINT_TO_POINTER(count));
    }
    g_mutex_unlock(&server->lock);
    return count;
}

static enum MHD_Result on_accept(void *cls, const struct sockaddr *address, socklen_t length)
{
    struct loop *loop = cls;
    struct server *server = loop->server;
    uint8_t key[16];
    bool has_room = atomic_load(&server->connections) < server->options.connections;
    if (has_room && length >= sizeof(sa_family_t) && address_key(address, key)) {
        has_room = address_count(server, key, 0) < server->options.connections_per_address;
    }
    if (!has_room) {
        atomic_fetch_add_explicit(&server->rejected, 1, memory_order_relaxed);
    }
    return has_room ? MHD_YES : MHD_NO;
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void read_peer(struct connection *connection)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    g_strlcpy(connection->address, "unix", sizeof connection->address);
    if (getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0) {
        connection->has_peer = true;
        connection->uid = peer.uid;
        connection->gid = peer.gid;
        connection->pid = peer.pid;
    }
}

static void read_address(struct connection *connection, const struct sockaddr *address)
{
    if (!address_key(address, connection->key)) {
        return;
    }
    connection->is_counted = true;
    address_count(connection->loop->server, connection->key, 1);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, connection->address, sizeof connection->address);
        return;
    }
    const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    bool is_mapped = IN6_IS_ADDR_V4MAPPED(in6);
    const void *bytes = is_mapped ? (const void *)&in6->s6_addr[12] : (const void *)in6;
    inet_ntop(is_mapped ? AF_INET : AF_INET6, bytes, connection->address, sizeof connection->address);
}

static struct connection *connection_new(struct loop *loop, struct MHD_Connection *mhd)
{
    struct connection *connection = g_new0(struct connection, 1);
    connection->loop = loop;
    connection->mhd = mhd;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (loop->is_unix) {
        read_peer(connection);
    } else {
        read_address(connection, MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    }
    int64_t now_us = g_get_monotonic_time();
    connection->started_us = now_us;
    connection->deadline_us = now_us + loop->server->options.request_ms * 1000;
    if (loop->connections == NULL) {
        loop->next_tick_us = now_us + loop->tick_us;
    }
    connection->next = loop->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    loop->connections = connection;
    loop->n_connections++;
    atomic_fetch_add(&loop->server->connections, 1);
    return connection;
}

static void connection_free(struct connection *connection)
{
    struct loop *loop = connection->loop;
    struct server *server = loop->server;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        loop->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    if (connection->is_counted) {
        address_count(server, connection->key, -1);
    }
    loop->n_connections--;
    g_free(connection);
    g_mutex_lock(&server->lock);
    atomic_fetch_sub(&server->connections, 1);
    g_cond_broadcast(&server->changed);
    g_mutex_unlock(&server->lock);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = connection_new(cls, mhd);
    } else if (*context != NULL) {
        connection_free(*context);
        *context = NULL;
    }
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The request line is there, still untouched: the only moment to see the raw target. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct connection *connection = connection_of(mhd);
    struct request *request = request_new(connection, target != NULL ? target : "");
    if (connection->n_requests++ > 0 && !connection->is_lingering) {
        connection->deadline_us = request->started_us + connection->loop->server->options.request_ms * 1000;
    }
    connection->request = request;
    return request;
}

/* We decode path and query ourselves, segment by segment. */
static size_t on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    return strlen(text);
}

static void log_served(const struct request *request, int status, int64_t duration_us)
{
    enum log_level level = status >= 500 ? LOG_WARN : LOG_DEBUG;
    if (!log_is_on(level)) {
        return;
    }
    char status_text[16], duration_text[32];
    g_snprintf(status_text, sizeof status_text, "%d", status);
    g_snprintf(duration_text, sizeof duration_text, "%.3f", (double)duration_us / 1000.0);
    log_set_request_id(request->id);
    log_event(level, "http.request_served", "method",
              request->is_head_only ? "HEAD" : (request->route != NULL ? request->route->method : NULL), "path",
              request->route != NULL ? request->route->path : NULL, "status", status_text, "duration_ms", duration_text,
              "caller", request->has_caller ? request->caller.name : NULL, "address", request->connection->address,
              NULL);
    log_set_request_id(NULL);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode reason)
{
    struct request *request = *context;
    *context = NULL;
    if (request == NULL) {
        return;
    }
    struct connection *connection = request->connection;
    const struct server_options *options = &connection->loop->server->options;
    int64_t now_us = g_get_monotonic_time();
    int status = request->reply.status;
    if (status != 0) {
        if (request->counters != NULL) {
            stats_count(request->counters, status, now_us - request->started_us);
        }
        log_served(request, status, now_us - request->started_us);
    }
    if (request->reply.stream != NULL) {
        stream_detach(request->reply.stream); /* a websocket: it lives as long as its request */
    }
    connection->request = NULL;
    if (!connection->is_lingering) {
        /* MHD ends idle connections; this ends one whose next head never comes to an end. */
        connection->deadline_us = now_us + (options->idle_ms + options->request_ms) * 1000;
    }
    request_free(request);
}

/* --- deadlines --------------------------------------------------------------------------------------------------- */

static bool is_suspended(const struct connection *connection)
{
    return MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED)->suspended == MHD_YES;
}

static void connection_expire(struct connection *connection)
{
    struct request *request = connection->request;
    bool is_idle = request == NULL && connection->n_requests > 0;
    if (connection->is_lingering || is_idle) {
        connection->deadline_us = 0;
        shutdown(connection->fd, SHUT_RDWR);
        return;
    }
    g_autoptr(GError) error = NULL;
    sy_fail(&error, SY_TIMEOUT, "the request did not arrive within %" G_GINT64_FORMAT " ms",
            connection->loop->server->options.request_ms);
    sy_error_set_hint(&error, "Send the whole request without pausing.");
    atomic_fetch_add_explicit(&connection->loop->server->rejected, 1, memory_order_relaxed);
    if (request != NULL) {
        request->phase = PHASE_SWALLOW;
        request->reply.status = 408;
    }
    reply_raw(connection, request, error, 408);
}

/* When stopping, a connection between two requests has nothing to wait for (unless bytes have just come in, or it
 * was made less than a second ago); at the end, none has. */
static void connection_drain(struct connection *connection, int64_t now_us, bool must_end)
{
    int n_bytes = 0;
    bool is_idle = connection->request == NULL && ioctl(connection->fd, FIONREAD, &n_bytes) == 0 && n_bytes == 0 &&
                   (connection->n_requests > 0 || now_us - connection->started_us > DRAIN_YOUNG_US);
    if (must_end || is_idle) {
        shutdown(connection->fd, SHUT_RDWR);
    }
}

static void loop_tick(struct loop *loop, int64_t now_us)
{
    for (struct connection *c = loop->connections; c != NULL; c = c->next) {
        if (is_suspended(c)) {
            continue;
        }
        if (loop->is_draining) {
            connection_drain(c, now_us, loop->must_end);
        }
        if (c->deadline_us != 0 && now_us >= c->deadline_us) {
            connection_expire(c);
        }
    }
    for (struct stream *s = loop->streams, *next; s != NULL; s = next) {
        next = stream_next(s);
        if (loop->must_end) {
            stream_abort(s);
        } else {
            stream_tick(s, now_us);
        }
    }
    loop->next_tick_us = now_us + loop->tick_us;
}

/* --- the thread -------------------------------------------------------------------------------------------------- */

void loop_wake(struct loop *loop)
{
    if (atomic_exchange(&loop->is_woken, true)) {
        return; /* it has not looked yet since the last time */
    }
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written;
}

/* Without threads of its own MHD has no way to wake itself. */
void loop_resume(struct loop *loop, struct MHD_Connection *mhd)
{
    MHD_resume_connection(mhd);
    loop_wake(loop);
}

void loop_post_abort(struct loop *loop, struct request *request)
{
    g_mutex_lock(&loop->lock);
    request->next = loop->aborted;
    loop->aborted = request;
    g_mutex_unlock(&loop->lock);
    loop_wake(loop);
}

static void loop_start_draining(struct loop *loop)
{
    loop->is_draining = true;
    int fd = MHD_quiesce_daemon(loop->daemon);
    if (fd >= 0) {
        close(fd);
    }
    loop->listen_fd = -1;
    for (struct stream *s = loop->streams, *next; s != NULL; s = next) {
        next = stream_next(s);
        stream_drain(s);
    }
}

static void loop_on_wake(struct loop *loop)
{
    uint64_t count;
    if (read(loop->wake_fd, &count, sizeof count) < 0) {
        return; /* who said so is about to write: that wakes us */
    }
    atomic_store(&loop->is_woken, false); /* before looking: what comes later wakes us again */
    g_mutex_lock(&loop->lock);
    struct request *aborted = g_steal_pointer(&loop->aborted);
    g_mutex_unlock(&loop->lock);
    while (aborted != NULL) {
        struct request *next = aborted->next;
        request_abort(aborted);
        aborted = next;
    }
    struct server *server = loop->server;
    if (atomic_load(&server->is_draining) && !loop->is_draining) {
        loop_start_draining(loop);
    }
    loop->must_end = atomic_load(&server->must_end);
    if (loop->is_draining) {
        loop->next_tick_us = 0;
    }
}

static int loop_timeout(struct loop *loop)
{
    unsigned long long mhd_ms = 0;
    bool has_timeout = MHD_get_timeout(loop->daemon, &mhd_ms) == MHD_YES;
    int64_t wait_ms = has_timeout ? (int64_t)MIN(mhd_ms, 3600000ULL) : -1;
    if (wait_ms == 0) {
        return 0;
    }
    if (loop->has_waiting) {
        return WORKER_LOOK_MS;
    }
    if (loop->connections != NULL || loop->is_draining) {
        int64_t left_us = MAX(loop->next_tick_us - g_get_monotonic_time(), 0);
        int64_t tick_ms = (left_us + 999) / 1000;
        wait_ms = wait_ms < 0 ? tick_ms : MIN(wait_ms, tick_ms);
    }
    return (int)wait_ms;
}

/* Sleeps until something is to be done, and lets MHD do its part of it. */
static void loop_look(struct loop *loop)
{
    int timeout_ms = loop_timeout(loop);
    if (timeout_ms != 0 && loop->n_connections + MHD_OTHERS >= MHD_BATCH) {
        struct pollfd mhd = {.fd = loop->mhd_fd, .events = POLLIN};
        poll(&mhd, 1, timeout_ms);
        timeout_ms = 0;
    }
    MHD_run_wait(loop->daemon, timeout_ms);
}

static void loop_look_at_ours(struct loop *loop)
{
    struct epoll_event events[LOOP_EVENTS];
    int n = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, 0);
    for (int i = 0; i < n; i++) {
        void *source = events[i].data.ptr;
        if (source == loop) {
            loop_on_wake(loop);
        } else {
            stream_on_event(source, events[i].events);
        }
    }
}

static void *loop_main(void *data)
{
    struct loop *loop = data;
    while (!(loop->must_end && loop->connections == NULL)) {
        loop_look(loop);
        if (loop->streams != NULL) {
            loop_look_at_ours(loop);
        } else if (atomic_load(&loop->is_woken)) {
            loop_on_wake(loop);
        }
        loop->has_waiting = worker_pool_wake(loop->server->workers);
        int64_t now_us = g_get_monotonic_time();
        if (now_us >= loop->next_tick_us) {
            loop_tick(loop, now_us);
        }
    }
    MHD_stop_daemon(loop->daemon);
    return NULL;
}

static bool watch(int epoll_fd, int fd, void *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static struct MHD_Daemon *loop_daemon(struct loop *loop)
{
    const struct server_options *options = &loop->server->options;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_TURBO;
    /* Half of a connection's memory becomes its first read buffer; the rest holds header records and the reply's head. */
    size_t memory = (size_t)options->header_bytes + 8192;
    return MHD_start_daemon(flags, 0, on_accept, loop, request_on_call, loop, MHD_OPTION_LISTEN_SOCKET, loop->listen_fd,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)options->connections + 1,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((options->idle_ms + 999) / 1000),
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory, MHD_OPTION_NOTIFY_COMPLETED, on_completed, loop,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, loop, MHD_OPTION_URI_LOG_CALLBACK, on_target,
                            loop, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, loop, MHD_OPTION_END);
}

bool loop_start(struct loop *loop, GError **error)
{
    const struct server_options *options = &loop->server->options;
    int64_t shortest_ms = MIN(MIN(options->request_ms, options->heartbeat_ms), LINGER_US / 1000);
    loop->tick_us = CLAMP(shortest_ms * 1000 / 4, 5000, 500000);
    g_mutex_init(&loop->lock);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->daemon = loop_daemon(loop);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || loop->daemon == NULL) {
        return sy_fail(error, SY_IO_FAILED, "the HTTP loop could not be started");
    }
    loop->mhd_fd = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (!watch(loop->epoll_fd, loop->wake_fd, loop) || !watch(loop->mhd_fd, loop->epoll_fd, NULL)) {
        return sy_fail(error, SY_IO_FAILED, "the HTTP loop could not watch its descriptors");
    }
    loop->thread = g_thread_new(loop->is_unix ? "http-unix" : "http-loop", loop_main, loop);
    return true;
}
