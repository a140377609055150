#include "http/stream.h"

#include <string.h>
#include <sys/epoll.h>

struct stream *stream_new(struct server *server, enum stream_format format)
{
    struct stream *stream = g_new0(struct stream, 1);
    atomic_init(&stream->references, 1);
    stream->server = server;
    stream->format = format;
    stream->fd = -1;
    g_mutex_init(&stream->lock);
    g_cond_init(&stream->room);
    return stream;
}

struct stream *stream_ref(struct stream *stream)
{
    atomic_fetch_add(&stream->references, 1);
    return stream;
}

void stream_unref(struct stream *stream)
{
    if (stream == NULL || atomic_fetch_sub(&stream->references, 1) > 1) {
        return;
    }
    while (stream->head != NULL) {
        struct record *record = stream->head;
        stream->head = record->next;
        g_free(record);
    }
    g_clear_pointer(&stream->input, g_byte_array_unref);
    g_clear_pointer(&stream->output, g_byte_array_unref);
    g_mutex_clear(&stream->lock);
    g_cond_clear(&stream->room);
    g_free(stream);
}

struct stream *stream_next(const struct stream *stream)
{
    return stream->next;
}

const char *stream_content_type(const struct stream *stream)
{
    switch (stream->format) {
    case STREAM_SSE:
        return "text/event-stream";
    case STREAM_NDJSON:
        return "application/x-ndjson";
    default:
        return "application/octet-stream";
    }
}

/* --- the queue, under the lock ----------------------------------------------------------------------------------- */

void stream_append_locked(struct stream *stream, const char *bytes, size_t length)
{
    struct record *record = g_malloc(sizeof *record + length);
    record->next = NULL;
    record->length = length;
    memcpy(record->bytes, bytes, length);
    if (stream->tail != NULL) {
        stream->tail->next = record;
    } else {
        stream->head = record;
    }
    stream->tail = record;
    stream->queued += length;
}

static void pop_locked(struct stream *stream)
{
    struct record *record = stream->head;
    stream->head = record->next;
    stream->tail = stream->head != NULL ? stream->tail : NULL;
    stream->queued -= record->length - stream->head_sent;
    stream->head_sent = 0;
    g_free(record);
}

/* Drops whole records, oldest first, until `length` fits; one that is half sent stays. */
static bool make_room_locked(struct stream *stream, size_t length)
{
    while (stream->queued + length > STREAM_BUFFER) {
        struct record *half_sent = stream->head_sent > 0 ? stream->head : NULL;
        struct record *victim = half_sent != NULL ? half_sent->next : stream->head;
        if (victim == NULL) {
            return false;
        }
        stream->missed++;
        if (half_sent == NULL) {
            pop_locked(stream);
            continue;
        }
        half_sent->next = victim->next;
        stream->tail = victim->next != NULL ? stream->tail : half_sent;
        stream->queued -= victim->length;
        g_free(victim);
    }
    return true;
}

static void format_record(const struct stream *stream, GString *out, const char *id, const char *event,
                          const char *data, size_t length)
{
    if (stream->is_websocket) {
        websocket_frame(out, 1, data, length);
        return;
    }
    if (stream->format != STREAM_SSE) {
        g_string_append_len(out, data, (gssize)length);
        if (stream->format == STREAM_NDJSON) {
            g_string_append_c(out, '\n');
        }
        return;
    }
    if (id != NULL && strpbrk(id, "\r\n") == NULL) {
        g_string_append_printf(out, "id: %s\n", id);
    }
    if (event != NULL && strpbrk(event, "\r\n") == NULL) {
        g_string_append_printf(out, "event: %s\n", event);
    }
    g_string_append(out, "data: ");
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\n') {
            g_string_append(out, "\ndata: ");
        } else if (data[i] != '\r') {
            g_string_append_c(out, data[i]);
        }
    }
    g_string_append(out, "\n\n");
}

/* In front of what is queued next: the gap is there. */
static void prepend_missed_locked(struct stream *stream)
{
    char data[64];
    g_snprintf(data, sizeof data, "{\"missed\":%" G_GINT64_FORMAT "}", stream->missed);
    stream->missed = 0;
    g_autoptr(GString) out = g_string_new(NULL);
    format_record(stream, out, NULL, "missed", data, strlen(data));
    struct record *rest = stream->head, *tail = stream->tail;
    stream->head = stream->tail = NULL;
    stream_append_locked(stream, out->str, out->len);
    stream->head->next = rest;
    stream->tail = tail != NULL ? tail : stream->tail;
}

size_t stream_take_locked(struct stream *stream, char *out, size_t size)
{
    size_t taken = 0;
    while (taken < size) {
        if (stream->missed > 0 && stream->head_sent == 0) {
            prepend_missed_locked(stream);
        }
        struct record *record = stream->head;
        if (record == NULL) {
            break;
        }
        size_t n = MIN(size - taken, record->length - stream->head_sent);
        memcpy(out + taken, record->bytes + stream->head_sent, n);
        taken += n;
        stream->head_sent += n;
        stream->queued -= n;
        if (stream->head_sent == record->length) {
            pop_locked(stream);
        }
    }
    if (taken > 0) {
        g_cond_broadcast(&stream->room);
    }
    return taken;
}

/* Tells the loop that there is something to do. */
static void wake_locked(struct stream *stream)
{
    if (stream->is_websocket) {
        websocket_poke_locked(stream);
    } else if (stream->is_suspended) {
        stream->is_suspended = false;
        loop_resume(stream->loop, stream->mhd);
    }
}

void stream_close(struct stream *stream)
{
    g_mutex_lock(&stream->lock);
    stream->is_closed = true;
    void (*fn)(void *arg) = g_steal_pointer(&stream->on_close);
    void *arg = stream->on_close_arg;
    g_cond_broadcast(&stream->room);
    g_mutex_unlock(&stream->lock);
    if (fn != NULL) {
        fn(arg);
    }
}

/* --- producers ---------------------------------------------------------------------------------------------------- */

bool stream_send(struct stream *stream, const char *id, const char *event, const char *data, size_t length)
{
    g_autoptr(GString) out = g_string_sized_new(length + 64);
    format_record(stream, out, id, event, data, length);
    g_mutex_lock(&stream->lock);
    bool is_open = !stream->is_closed && !stream->has_ended;
    bool is_lossy = stream->format != STREAM_BYTES || stream->is_websocket;
    bool must_cut = false;
    if (is_open && !is_lossy && stream->queued + out->len > STREAM_BUFFER) {
        must_cut = true;
    } else if (is_open && make_room_locked(stream, out->len)) {
        stream_append_locked(stream, out->str, out->len);
        wake_locked(stream);
    } else if (is_open) {
        stream->missed++;
    }
    g_mutex_unlock(&stream->lock);
    if (must_cut) {
        stream_abort(stream);
    }
    return is_open && !must_cut;
}

bool stream_is_closed(struct stream *stream)
{
    g_mutex_lock(&stream->lock);
    bool is_closed = stream->is_closed;
    g_mutex_unlock(&stream->lock);
    return is_closed;
}

size_t stream_room(struct stream *stream)
{
    g_mutex_lock(&stream->lock);
    size_t room = stream->queued < STREAM_BUFFER ? STREAM_BUFFER - stream->queued : 0;
    g_mutex_unlock(&stream->lock);
    return room;
}

bool stream_wait(struct stream *stream, size_t length, int64_t timeout_ms)
{
    int64_t end_us = g_get_monotonic_time() + timeout_ms * 1000;
    size_t wanted = MIN(length, STREAM_BUFFER);
    g_mutex_lock(&stream->lock);
    while (!stream->is_closed && stream->queued + wanted > STREAM_BUFFER &&
           g_cond_wait_until(&stream->room, &stream->lock, end_us)) {
    }
    bool has_room = !stream->is_closed && stream->queued + wanted <= STREAM_BUFFER;
    g_mutex_unlock(&stream->lock);
    return has_room;
}

void stream_end(struct stream *stream)
{
    g_mutex_lock(&stream->lock);
    stream->on_close = NULL;
    stream->has_ended = true;
    wake_locked(stream);
    g_mutex_unlock(&stream->lock);
}

void stream_on_close(struct stream *stream, void (*fn)(void *arg), void *arg)
{
    g_mutex_lock(&stream->lock);
    bool is_closed = stream->is_closed;
    if (!is_closed) {
        stream->on_close = fn;
        stream->on_close_arg = arg;
    }
    g_mutex_unlock(&stream->lock);
    if (is_closed) {
        fn(arg);
    }
}

void stream_abort(struct stream *stream)
{
    stream_close(stream);
    g_mutex_lock(&stream->lock);
    wake_locked(stream);
    g_mutex_unlock(&stream->lock);
}

/* --- towards MHD; the loop's thread --------------------------------------------------------------------------------- */

static ssize_t on_read(void *cls, uint64_t position, char *out, size_t size)
{
    struct stream *stream = cls;
    ssize_t result = 0;
    g_mutex_lock(&stream->lock);
    size_t taken = stream->is_closed ? 0 : stream_take_locked(stream, out, size);
    if (taken > 0) {
        result = (ssize_t)taken;
    } else if (stream->is_closed) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (stream->has_ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        MHD_suspend_connection(stream->mhd);
        stream->is_suspended = true;
    }
    g_mutex_unlock(&stream->lock);
    return result;
}

static void on_response_end(void *cls)
{
    struct stream *stream = cls;
    stream_detach(stream);
    stream_unref(stream);
}

struct MHD_Response *stream_response(struct stream *stream)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, on_read, stream_ref(stream), on_response_end);
}

void stream_attach(struct stream *stream, struct connection *connection)
{
    struct loop *loop = connection->loop;
    stream->loop = loop;
    stream->fd = connection->fd;
    stream->is_attached = true;
    stream->heartbeat_us = g_get_monotonic_time() + stream->server->options.heartbeat_ms * 1000;
    stream->next = loop->streams;
    if (stream->next != NULL) {
        stream->next->previous = stream;
    }
    loop->streams = stream;
    atomic_fetch_add_explicit(&stream->server->streams, 1, memory_order_relaxed);
    g_mutex_lock(&stream->lock);
    stream->mhd = connection->mhd;
    g_mutex_unlock(&stream->lock);
    if (!stream->is_websocket) {
        /* While MHD has the connection suspended it does not watch the socket: we do. */
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = stream};
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, stream->fd, &event);
    }
    if (loop->is_draining) {
        stream_drain(stream);
    }
}

void stream_detach(struct stream *stream)
{
    if (stream->is_attached) {
        stream->is_attached = false;
        struct loop *loop = stream->loop;
        if (stream->previous != NULL) {
            stream->previous->next = stream->next;
        } else {
            loop->streams = stream->next;
        }
        if (stream->next != NULL) {
            stream->next->previous = stream->previous;
        }
        stream->previous = stream->next = NULL;
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, stream->fd, NULL);
        atomic_fetch_sub_explicit(&stream->server->streams, 1, memory_order_relaxed);
    }
    g_mutex_lock(&stream->lock);
    stream->mhd = NULL;
    stream->is_suspended = false;
    g_mutex_unlock(&stream->lock);
    stream_close(stream);
}

static void send_heartbeat(struct stream *stream)
{
    static const char comment[] = ": heartbeat\n\n";
    g_mutex_lock(&stream->lock);
    if (stream->head == NULL && !stream->is_closed && !stream->has_ended) {
        if (stream->format == STREAM_SSE) {
            stream_append_locked(stream, comment, sizeof comment - 1);
        } else if (stream->format == STREAM_NDJSON) {
            stream_append_locked(stream, "\n", 1);
        }
        wake_locked(stream);
    }
    g_mutex_unlock(&stream->lock);
}

void stream_tick(struct stream *stream, int64_t now_us)
{
    if (now_us < stream->heartbeat_us) {
        return;
    }
    stream->heartbeat_us = now_us + stream->server->options.heartbeat_ms * 1000;
    if (stream->is_websocket) {
        websocket_tick(stream, now_us);
    } else {
        send_heartbeat(stream);
    }
}

/* A client that closed sends FIN, as one that only half-closed does: a heartbeat tells them apart, for the first
 * answers it with RST. */
void stream_on_event(struct stream *stream, uint32_t events)
{
    if (stream->is_websocket) {
        websocket_on_event(stream, events);
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        stream_abort(stream);
    } else if ((events & EPOLLRDHUP) != 0) {
        send_heartbeat(stream);
    }
}

void stream_drain(struct stream *stream)
{
    static const char comment[] = ": the server is stopping\n\n";
    g_mutex_lock(&stream->lock);
    if (stream->format == STREAM_SSE && !stream->is_websocket && !stream->has_ended) {
        stream_append_locked(stream, comment, sizeof comment - 1);
    }
    /* A download runs to its end within the grace period; what has no end is ended. */
    if (stream->format != STREAM_BYTES || stream->is_websocket) {
        stream->has_ended = true;
    }
    wake_locked(stream);
    g_mutex_unlock(&stream->lock);
}
