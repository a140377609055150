/* WebSocket (RFC 6455): `rate` connections at any time, each echoing a message ten times a second. Every other one lives for
 * 2 s and is opened anew, so that at every moment somebody connects; the others last until the server ends them.
 * Entries: ws-open for a handshake, ws for a message, ws-end for an end that was not ours (its status is the close code). */
#include <string.h>

#include "load.h"

#define MESSAGE_US 100000
#define SHORT_LIFE_US 2000000

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };

struct socket {
    struct kind *kind;
    struct wire *wire;
    bool is_short, is_open, is_closing; /* closing: our own close frame is out */
    struct entry *opening, *message;
    struct answer answer;
    char *accept;
    GByteArray *in;
    int64_t number, opened_us;
    bool is_gone; /* freed when its timer comes */
};

static const struct wire_ops wire_ops;
static void open_socket(struct kind *kind, bool is_short, struct entry *message, struct entry *opening);

static void send_frame(struct socket *socket, int opcode, const void *payload, size_t n)
{
    guint8 frame[6 + 125] = {(guint8)(0x80 | opcode), (guint8)(0x80 | n)};
    const guint8 *bytes = payload;
    for (size_t i = 0; i < 4; i++) {
        frame[2 + i] = (guint8)g_random_int_range(0, 256);
    }
    for (size_t i = 0; i < n; i++) {
        frame[6 + i] = bytes[i] ^ frame[2 + i % 4];
    }
    wire_send(socket->wire, frame, 6 + n);
}

static void send_message(struct socket *socket, struct entry *entry)
{
    g_autofree char *text = g_strdup_printf("message %" G_GINT64_FORMAT, entry->id);
    socket->message = entry;
    entry->sent_us = now_us();
    send_frame(socket, TEXT, text, strlen(text));
}

static void drop(struct socket *socket)
{
    wire_close(socket->wire);
    socket->is_gone = true;
}

static void on_tick(void *arg)
{
    struct socket *socket = arg;
    bool is_over = socket->is_short && now_us() - socket->opened_us > SHORT_LIFE_US;
    if (socket->is_gone) {
        answer_clear(&socket->answer);
        g_byte_array_unref(socket->in);
        g_free(socket->accept);
        g_free(socket);
        return;
    }
    if (socket->is_open && !socket->is_closing && socket->message == NULL && !socket->kind->load->is_stopping) {
        if (is_over) {
            socket->is_closing = true;
            send_frame(socket, CLOSE, "\x03\xe8", 2); /* 1000 */
        } else {
            send_message(socket, ledger_open(socket->kind->load, "ws", now_us()));
        }
    }
    load_after(socket->kind->load, MESSAGE_US, on_tick, socket);
}

static void send_handshake(struct socket *socket)
{
    guint8 random[16];
    for (size_t i = 0; i < sizeof random; i++) {
        random[i] = (guint8)g_random_int_range(0, 256);
    }
    g_autofree char *key = g_base64_encode(random, sizeof random);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    guint8 digest[20];
    gsize length = sizeof digest;
    g_checksum_update(sum, (const guchar *)key, -1);
    g_checksum_update(sum, (const guchar *)"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", -1);
    g_checksum_get_digest(sum, digest, &length);
    socket->accept = g_base64_encode(digest, length);
    g_autofree char *request =
        g_strdup_printf("GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                        socket->kind->load->host, key);
    wire_send(socket->wire, request, strlen(request));
}

static void open_socket(struct kind *kind, bool is_short, struct entry *message, struct entry *opening)
{
    struct socket *socket = g_new0(struct socket, 1);
    socket->kind = kind;
    socket->is_short = is_short;
    socket->message = message;
    socket->opened_us = now_us();
    socket->in = g_byte_array_new();
    answer_init(&socket->answer);
    socket->opening = opening != NULL ? opening : ledger_open(kind->load, "ws-open", now_us());
    socket->opening->sent_us = now_us();
    socket->wire = wire_open(kind->load, &wire_ops, socket);
    send_handshake(socket);
    load_after(kind->load, g_random_int_range(0, MESSAGE_US), on_tick, socket);
}

/* The connection is over; one that was open is replaced, and what it had not answered goes to the next. */
static void replace(struct socket *socket)
{
    struct load *load = socket->kind->load;
    struct entry *message = socket->message;
    if (message != NULL) {
        message->tries++;
    }
    drop(socket);
    if (!load->is_stopping) {
        open_socket(socket->kind, socket->is_short, message, NULL);
    } else if (message != NULL) {
        ledger_close(load, message, NULL); /* we are the ones who end it */
    }
}

static void tell_end(struct socket *socket, int code, const char *failure)
{
    struct entry *entry = ledger_open(socket->kind->load, "ws-end", now_us());
    entry->status = code;
    ledger_close(socket->kind->load, entry, failure);
}

static void finish_handshake(struct socket *socket)
{
    g_autofree char *accept = answer_header(&socket->answer, "Sec-WebSocket-Accept");
    g_autofree char *wrong = NULL;
    if (socket->answer.status != 101 || g_strcmp0(accept, socket->accept) != 0) {
        wrong = g_strdup_printf("handshake: status %d, accept %s", socket->answer.status, accept);
    }
    socket->opening->status = socket->answer.status;
    ledger_close(socket->kind->load, g_steal_pointer(&socket->opening), wrong);
    socket->is_open = wrong == NULL;
    if (wrong != NULL) {
        replace(socket);
    } else if (socket->message != NULL) {
        send_message(socket, socket->message);
    }
}

static void on_message(struct socket *socket, const guint8 *payload, size_t n)
{
    struct entry *entry = g_steal_pointer(&socket->message);
    if (entry == NULL) {
        return;
    }
    g_autofree char *expected = g_strdup_printf("message %" G_GINT64_FORMAT, entry->id);
    g_autofree char *got = g_strndup((const char *)payload, n);
    entry->bytes = (int64_t)n;
    ledger_close(socket->kind->load, entry, strcmp(got, expected) == 0 ? NULL : "the echo is another message");
}

static void on_frame(struct socket *socket, int opcode, const guint8 *payload, size_t n)
{
    int code = n >= 2 ? payload[0] << 8 | payload[1] : 1005;
    switch (opcode) {
    case TEXT:
        on_message(socket, payload, n);
        break;
    case PING:
        send_frame(socket, PONG, payload, n);
        break;
    case CLOSE:
        if (!socket->is_closing) {
            send_frame(socket, CLOSE, payload, MIN(n, 2));
            tell_end(socket, code, NULL);
        }
        replace(socket);
        break;
    default:
        break;
    }
}

static void on_bytes(struct wire *wire, const char *bytes, size_t n)
{
    struct socket *socket = wire->owner;
    if (socket->opening != NULL) {
        size_t used = answer_feed(&socket->answer, bytes, n);
        if (socket->answer.state == ANSWER_HEAD) {
            return;
        }
        bytes += used;
        n -= used;
        finish_handshake(socket);
    }
    g_byte_array_append(socket->in, (const guint8 *)bytes, (guint)n);
    while (!wire->is_dead && socket->in->len >= 2) {
        size_t length = socket->in->data[1]; /* never masked, never longer than 125: they are echoes of ours */
        if (socket->in->len < 2 + length) {
            return;
        }
        on_frame(socket, socket->in->data[0] & 0x0f, socket->in->data + 2, length);
        g_byte_array_remove_range(socket->in, 0, (guint)(2 + length));
    }
}

static void on_end(struct wire *wire, const char *why)
{
    struct socket *socket = wire->owner;
    g_autofree char *words = g_strdup_printf("handshake: %s", why);
    if (socket->opening != NULL) {
        ledger_close(socket->kind->load, g_steal_pointer(&socket->opening), words);
    } else if (!socket->is_closing) {
        tell_end(socket, 0, "cut without a close frame");
    }
    replace(socket);
}

static const struct wire_ops wire_ops = {.on_bytes = on_bytes, .on_end = on_end};

static void start(struct kind *kind)
{
    for (int i = 0; i < (int)kind->rate; i++) {
        open_socket(kind, i % 2 == 1, NULL, NULL);
    }
}

const struct kind_ops kind_websocket = {"ws", "that many WebSockets; every other one short-lived", NULL, start, NULL};
