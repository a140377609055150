/* RFC 6455, server side: text out; in come only pings, pongs and the close. After the upgrade the socket is ours and is
 * served by the loop's own epoll. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/error.h"
#include "http/frame.h"
#include "http/stream.h"

#define WEBSOCKET_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* --- handshake ------------------------------------------------------------------------------------------------------ */

static bool has_word(const char *list, const char *word)
{
    g_auto(GStrv) parts = g_strsplit(list != NULL ? list : "", ",", 16);
    for (char **part = parts; *part != NULL; part++) {
        if (g_ascii_strcasecmp(g_strstrip(*part), word) == 0) {
            return true;
        }
    }
    return false;
}

static char *accept_for(const char *key)
{
    guint8 digest[20];
    gsize length = sizeof digest;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(checksum, (const guchar *)key, (gssize)strlen(key));
    g_checksum_update(checksum, (const guchar *)WEBSOCKET_GUID, (gssize)strlen(WEBSOCKET_GUID));
    g_checksum_get_digest(checksum, digest, &length);
    return g_base64_encode(digest, length);
}

static bool is_key(const char *key)
{
    if (key == NULL || strlen(key) != 24) {
        return false;
    }
    gsize n = 0;
    g_autofree guchar *bytes = g_base64_decode(key, &n);
    return bytes != NULL && n == 16;
}

struct stream *reply_websocket(struct request *request, GError **error)
{
    const char *version = request_header(request, "Sec-WebSocket-Version");
    const char *key = request_header(request, "Sec-WebSocket-Key");
    bool is_upgrade = has_word(request_header(request, "Upgrade"), "websocket") &&
                      has_word(request_header(request, "Connection"), "upgrade");
    if (!is_upgrade || !is_key(key) || (request->route->flags & ROUTE_WEBSOCKET) == 0) {
        sy_fail(error, SY_INVALID_REQUEST, "this path speaks WebSocket: an upgrade request is expected");
        return NULL;
    }
    if (g_strcmp0(version, "13") != 0) {
        reply_header(request, "Sec-WebSocket-Version", "13");
        sy_fail(error, SY_INVALID_REQUEST, "only WebSocket version 13 is spoken");
        return NULL;
    }
    struct stream *stream = stream_new(request->server, STREAM_BYTES);
    stream->is_websocket = true;
    reply_empty(request, 101);
    request->reply.stream = stream_ref(stream);
    request->reply.websocket_accept = accept_for(key);
    return stream;
}

/* --- out -------------------------------------------------------------------------------------------------------------- */

void websocket_frame(GString *out, int opcode, const char *bytes, size_t length)
{
    g_string_append_c(out, (char)(0x80 | opcode));
    if (length < 126) {
        g_string_append_c(out, (char)length);
    } else if (length < 65536) {
        g_string_append_c(out, 126);
        g_string_append_c(out, (char)(length >> 8));
        g_string_append_c(out, (char)length);
    } else {
        g_string_append_c(out, 127);
        for (int i = 7; i >= 0; i--) {
            g_string_append_c(out, (char)((uint64_t)length >> (8 * i)));
        }
    }
    g_string_append_len(out, bytes, (gssize)length);
}

/* EPOLL_CTL_MOD reports readiness afresh, whichever thread does it: the loop wakes with EPOLLOUT. */
void websocket_poke_locked(struct stream *stream)
{
    if (stream->upgrade == NULL || stream->is_poked) {
        return;
    }
    stream->is_poked = true;
    struct epoll_event event = {.events = WEBSOCKET_EVENTS, .data.ptr = stream};
    epoll_ctl(stream->loop->epoll_fd, EPOLL_CTL_MOD, stream->fd, &event);
}

static void append_control_locked(struct stream *stream, int opcode, const char *bytes, size_t length)
{
    g_autoptr(GString) out = g_string_new(NULL);
    websocket_frame(out, opcode, bytes, length);
    stream_append_locked(stream, out->str, out->len);
}

static void append_close_locked(struct stream *stream, unsigned code)
{
    if (!stream->has_sent_close) {
        const char bytes[2] = {(char)(code >> 8), (char)code};
        stream->has_sent_close = true;
        append_control_locked(stream, FRAME_CLOSE, bytes, sizeof bytes);
    }
    stream->has_ended = true;
}

/* Writes what there is; false when the peer is gone. */
static bool flush_locked(struct stream *stream)
{
    char buffer[16384];
    while (true) {
        if (stream->output->len == 0) {
            size_t taken = stream_take_locked(stream, buffer, sizeof buffer);
            if (taken == 0) {
                return true;
            }
            g_byte_array_append(stream->output, (const guint8 *)buffer, (guint)taken);
        }
        ssize_t n = send(stream->fd, stream->output->data, stream->output->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        g_byte_array_remove_range(stream->output, 0, (guint)n);
    }
}

/* --- in --------------------------------------------------------------------------------------------------------------- */

static void on_frame_locked(struct stream *stream, const struct frame *frame)
{
    if (frame->opcode == FRAME_PING && !stream->has_ended) {
        append_control_locked(stream, FRAME_PONG, (const char *)frame->payload, frame->length);
    } else if (frame->opcode == FRAME_CLOSE) {
        unsigned code = frame->length >= 2 ? (unsigned)frame->payload[0] << 8 | frame->payload[1] : 1000;
        bool is_valid = frame->length != 1 && code >= 1000 && code < 5000;
        append_close_locked(stream, is_valid ? code : 1002);
        stream->is_close_received = true;
    }
}

static void parse_locked(struct stream *stream)
{
    size_t done = 0;
    while (!stream->is_close_received) {
        struct frame frame;
        size_t used = 0;
        enum frame_outcome outcome = frame_parse(stream->input->data + done, stream->input->len - done, &frame, &used);
        if (outcome == FRAME_INCOMPLETE) {
            break;
        }
        if (outcome != FRAME_OK) {
            append_close_locked(stream, outcome == FRAME_TOO_BIG ? 1009 : 1002);
            stream->is_close_received = true; /* nothing after it is read */
            break;
        }
        on_frame_locked(stream, &frame);
        done += used;
    }
    g_byte_array_remove_range(stream->input, 0, (guint)done);
}

/* False when the peer is gone. */
static bool read_locked(struct stream *stream)
{
    uint8_t buffer[16384];
    while (true) {
        ssize_t n = recv(stream->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        }
        stream->heard_us = g_get_monotonic_time();
        if (!stream->is_close_received) {
            g_byte_array_append(stream->input, buffer, (guint)n);
            parse_locked(stream);
        }
    }
}

/* --- the loop's thread -------------------------------------------------------------------------------------------------- */

void websocket_close(struct stream *stream)
{
    g_mutex_lock(&stream->lock);
    struct MHD_UpgradeResponseHandle *upgrade = g_steal_pointer(&stream->upgrade);
    g_mutex_unlock(&stream->lock);
    if (upgrade != NULL) {
        epoll_ctl(stream->loop->epoll_fd, EPOLL_CTL_DEL, stream->fd, NULL);
        stream_close(stream);
        MHD_upgrade_action(upgrade, MHD_UPGRADE_ACTION_CLOSE);
        loop_wake(stream->loop);
    }
}

void websocket_on_event(struct stream *stream, uint32_t events)
{
    g_mutex_lock(&stream->lock);
    stream->is_poked = false;
    bool is_alive = !stream->is_closed && (events & (EPOLLHUP | EPOLLERR)) == 0;
    if (is_alive && (events & (EPOLLIN | EPOLLRDHUP)) != 0) {
        is_alive = read_locked(stream);
    }
    if (stream->has_ended) {
        append_close_locked(stream, 1000);
    }
    is_alive = flush_locked(stream) && is_alive;
    /* Once both closes are out and in, or ours is out because theirs was wrong, the server closes first (section 7.1.1). */
    bool is_over =
        stream->has_sent_close && stream->is_close_received && stream->head == NULL && stream->output->len == 0;
    g_mutex_unlock(&stream->lock);
    if (!is_alive || is_over) {
        websocket_close(stream);
    }
}

/* Pings, and gives up on a client that has been silent for three pings or does not answer our close. */
void websocket_tick(struct stream *stream, int64_t now_us)
{
    int64_t silence_us = 3 * stream->server->options.heartbeat_ms * 1000;
    g_mutex_lock(&stream->lock);
    bool is_upgraded = stream->upgrade != NULL;
    bool is_gone = is_upgraded && (now_us - stream->heard_us > silence_us || stream->has_sent_close);
    if (is_upgraded && !is_gone && !stream->has_ended) {
        append_control_locked(stream, FRAME_PING, "", 0);
        websocket_poke_locked(stream);
    }
    g_mutex_unlock(&stream->lock);
    if (is_gone) {
        websocket_close(stream);
    }
}

static void on_upgrade(void *cls, struct MHD_Connection *mhd, void *context, const char *extra, size_t extra_size,
                       MHD_socket fd, struct MHD_UpgradeResponseHandle *upgrade)
{
    struct stream *stream = cls;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    stream->input = g_byte_array_new();
    stream->output = g_byte_array_new();
    stream->heard_us = g_get_monotonic_time();
    g_mutex_lock(&stream->lock);
    stream->upgrade = upgrade;
    g_byte_array_append(stream->input, (const guint8 *)extra, (guint)extra_size);
    parse_locked(stream);
    g_mutex_unlock(&stream->lock);
    struct epoll_event event = {.events = WEBSOCKET_EVENTS, .data.ptr = stream};
    if (epoll_ctl(stream->loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        websocket_close(stream);
    }
}

struct MHD_Response *websocket_response(struct stream *stream, const char *accept)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgrade, stream);
    if (response != NULL) {
        MHD_add_response_header(response, "Upgrade", "websocket");
        MHD_add_response_header(response, "Sec-WebSocket-Accept", accept);
    }
    return response;
}
