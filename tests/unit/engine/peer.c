#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STEP_MS 20

struct connection {
    struct peer *peer;
    int fd;
};

static bool is_stopping(struct peer *peer)
{
    return g_atomic_int_get(&peer->stopping) != 0;
}

static bool put(struct connection *connection, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(connection->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if (errno != EAGAIN || is_stopping(connection->peer)) {
            return false;
        } else {
            struct pollfd poll_fd = {.fd = connection->fd, .events = POLLOUT};
            poll(&poll_fd, 1, STEP_MS);
        }
    }
    return true;
}

static bool put_text(struct connection *connection, const char *text)
{
    return put(connection, text, strlen(text));
}

/* One head; bodies are small and come with it or are skipped. False at the end. */
static bool read_request(struct connection *connection, GString *request)
{
    char bytes[65536];
    g_string_truncate(request, 0);
    while (strstr(request->str, "\r\n\r\n") == NULL) {
        struct pollfd poll_fd = {.fd = connection->fd, .events = POLLIN};
        if (is_stopping(connection->peer)) {
            return false;
        }
        if (poll(&poll_fd, 1, STEP_MS) <= 0) {
            continue;
        }
        ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
        if (got <= 0) {
            return false;
        }
        g_string_append_len(request, bytes, got);
    }
    g_string_truncate(request, strcspn(request->str, "\r"));
    g_atomic_int_inc(&connection->peer->n_requests);
    g_mutex_lock(&connection->peer->lock);
    g_string_append_printf(connection->peer->log, "%s\n", request->str);
    g_mutex_unlock(&connection->peer->lock);
    return true;
}

static bool fits(const struct peer_reply *reply, int *n_used, const char *request)
{
    return strstr(request, reply->needle) != NULL && (g_atomic_int_add(n_used, 1) < reply->most || reply->most == 0);
}

static bool answer(struct connection *connection, const char *request)
{
    static const struct peer_reply nothing = {.status = 404, .body = "{\"message\":\"no such thing\"}"};
    const struct peer_reply *reply = connection->peer->replies;
    int *n_used = connection->peer->n_used;
    while (reply != NULL && reply->needle != NULL && !fits(reply, n_used, request)) {
        reply++;
        n_used++;
    }
    if (reply == NULL || reply->needle == NULL) {
        reply = &nothing;
    }
    if (reply->status == PEER_SILENCE) {
        return true;
    }
    size_t length = reply->length > 0 ? reply->length : strlen(reply->body);
    g_autofree char *head =
        g_strdup_printf("HTTP/1.1 %d Whatever\r\nContent-Length: %zu\r\n\r\n", reply->status, length);
    return put_text(connection, head) && put(connection, reply->body, length);
}

static void trickle(struct connection *connection)
{
    put_text(connection, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (!is_stopping(connection->peer) && put(connection, " ", 1)) {
        g_usleep(50000);
    }
}

static void flood(struct connection *connection)
{
    g_autofree char *piece = g_strnfill(65536, ' ');
    put_text(connection, "HTTP/1.1 200 OK\r\n\r\n");
    while (!is_stopping(connection->peer) && put(connection, piece, 65536)) {
    }
}

static bool break_stream(struct connection *connection, const char *request)
{
    if (strstr(request, "/version") != NULL) {
        return answer(connection, request);
    }
    const char *stamp = "2026-01-02T03:04:05.000000001Z text\n";
    g_autofree char *head =
        g_strdup_printf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", strlen(stamp) + 8);
    char frame[8] = {1, 0, 0, 0, 0, 0, 0, (char)strlen(stamp)};
    put_text(connection, head);
    put(connection, frame, sizeof frame);
    put_text(connection, stamp);
    put_text(connection, "\r\n20\r\nhalf");
    return false;
}

static bool behave(struct connection *connection, const char *request)
{
    struct peer *peer = connection->peer;
    switch ((enum peer_manner)g_atomic_int_get(&peer->manner)) {
    case PEER_ANSWER:
        return answer(connection, request);
    case PEER_ANSWER_ONCE:
        answer(connection, request);
        return false;
    case PEER_HANG:
        return true;
    case PEER_TRICKLE:
        trickle(connection);
        return false;
    case PEER_GARBAGE:
        put_text(connection, "\x16\x03\x01 what do you mean, HTTP?\r\n\r\n");
        return false;
    case PEER_ENDLESS:
        if (strstr(request, "/version") != NULL) {
            return answer(connection, request);
        }
        flood(connection);
        return false;
    case PEER_BREAK_STREAMS:
        return break_stream(connection, request);
    default:
        return false;
    }
}

static gpointer serve(gpointer data)
{
    struct connection *connection = data;
    g_autoptr(GString) request = g_string_new(NULL);
    while (g_atomic_int_get(&connection->peer->manner) != PEER_CLOSE && read_request(connection, request) &&
           behave(connection, request->str)) {
    }
    close(connection->fd);
    g_free(connection);
    return NULL;
}

static gpointer accept_all(gpointer data)
{
    struct peer *peer = data;
    while (!is_stopping(peer)) {
        struct pollfd poll_fd = {.fd = peer->listener, .events = POLLIN};
        if (poll(&poll_fd, 1, STEP_MS) <= 0) {
            continue;
        }
        int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            struct connection *connection = g_new0(struct connection, 1);
            *connection = (struct connection){peer, fd};
            g_atomic_int_inc(&peer->n_connections);
            g_ptr_array_add(peer->threads, g_thread_new("connection", serve, connection));
        }
    }
    return NULL;
}

void peer_init(struct peer *peer, enum peer_manner manner, const struct peer_reply *replies)
{
    g_autoptr(GError) error = NULL;
    *peer = (struct peer){.manner = manner, .replies = replies, .listener = -1};
    peer->folder = g_dir_make_tmp("enclii-peer-XXXXXX", &error);
    g_assert_no_error(error);
    peer->path = g_build_filename(peer->folder, "s", NULL);
    peer->endpoint = g_strdup_printf("unix:%s", peer->path);
    peer->log = g_string_new(NULL);
    peer->threads = g_ptr_array_new();
    g_mutex_init(&peer->lock);
}

void peer_start(struct peer *peer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, peer->path, sizeof address.sun_path);
    peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(peer->listener, 64), ==, 0);
    peer->thread = g_thread_new("peer", accept_all, peer);
}

void peer_stop(struct peer *peer)
{
    g_atomic_int_set(&peer->stopping, 1);
    if (peer->thread != NULL) {
        g_thread_join(peer->thread);
        close(peer->listener);
    }
    for (guint i = 0; i < peer->threads->len; i++) {
        g_thread_join(g_ptr_array_index(peer->threads, i));
    }
    g_ptr_array_unref(peer->threads);
    unlink(peer->path);
    rmdir(peer->folder);
    g_string_free(peer->log, TRUE);
    g_mutex_clear(&peer->lock);
    g_free(peer->folder);
    g_free(peer->path);
    g_free(peer->endpoint);
}

char *peer_log(struct peer *peer)
{
    g_mutex_lock(&peer->lock);
    char *log = g_strdup(peer->log->str);
    g_mutex_unlock(&peer->lock);
    return log;
}
