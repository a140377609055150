/* HTTP/2 with prior knowledge (RFC 9113 section 3.3), as much of it as a client of one kind of request needs: header fields are
 * sent as literals without indexing, the table of the server's encoder is set to 0, and of an answer's fields only :status is
 * read (RFC 7541: indexed 8…14, or a literal with the name's index 8). */
#include <string.h>

#include "load.h"

#define N_CONNECTIONS 4
#define MAX_STREAMS 100 /* at once on a connection: what HAProxy allows */
#define MAX_STREAM_ID 1000000
#define FRAME_LIMIT (1 << 20)

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, PRIORITY = 32 };

struct session {
    struct kind *kind;
    struct wire *wire;
    GHashTable *streams; /* id → struct stream *, under way */
    GByteArray *in;
    uint32_t next_id;
    int64_t n_answers;
    bool is_leaving; /* GOAWAY came: no new requests */
};

struct stream {
    struct entry *entry;
    GString *body;
};

struct client {
    struct session *sessions[N_CONNECTIONS];
    guint next;
};

static const struct wire_ops wire_ops;

static void stream_free(gpointer data)
{
    struct stream *stream = data;
    g_string_free(stream->body, TRUE);
    g_free(stream);
}

static void send_frame(struct session *session, int type, int flags, uint32_t id, const void *payload, size_t n)
{
    uint32_t id_be = GUINT32_TO_BE(id);
    guint8 head[9] = {(guint8)(n >> 16), (guint8)(n >> 8), (guint8)n, (guint8)type, (guint8)flags};
    memcpy(head + 5, &id_be, 4);
    wire_send(session->wire, head, sizeof head);
    if (n > 0) {
        wire_send(session->wire, payload, n);
    }
}

static struct session *session_open(struct kind *kind)
{
    static const guint8 settings[] = {0, 1, 0, 0, 0,    0,     /* HEADER_TABLE_SIZE 0 */
                                      0, 2, 0, 0, 0,    0,     /* ENABLE_PUSH 0 */
                                      0, 4, 0, 0, 0xff, 0xff}; /* INITIAL_WINDOW_SIZE 65535 */
    static const guint8 window[] = {0x7f, 0xff, 0, 0};         /* of the connection: more than a run receives */
    struct session *session = g_new0(struct session, 1);
    session->kind = kind;
    session->next_id = 1;
    session->in = g_byte_array_new();
    session->streams = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, stream_free);
    session->wire = wire_open(kind->load, &wire_ops, session);
    wire_send(session->wire, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    send_frame(session, SETTINGS, 0, 0, settings, sizeof settings);
    send_frame(session, WINDOW_UPDATE, 0, 0, window, sizeof window);
    return session;
}

static void session_free(struct session *session)
{
    struct client *client = session->kind->data;
    for (guint i = 0; i < N_CONNECTIONS; i++) {
        client->sessions[i] = client->sessions[i] == session ? NULL : client->sessions[i];
    }
    wire_close(session->wire);
    g_hash_table_unref(session->streams);
    g_byte_array_unref(session->in);
    g_free(session);
}

static void add_literal(GByteArray *block, guint8 name_index, const char *value)
{
    guint8 head[2] = {name_index, (guint8)strlen(value)}; /* shorter than 127 */
    g_byte_array_append(block, head, 2);
    g_byte_array_append(block, (const guint8 *)value, head[1]);
}

static struct session *usable_session(struct kind *kind)
{
    struct client *client = kind->data;
    guint at = client->next++ % N_CONNECTIONS;
    struct session *session = client->sessions[at];
    if (session != NULL && (session->next_id > MAX_STREAM_ID || g_hash_table_size(session->streams) >= MAX_STREAMS)) {
        session->is_leaving = true;
    }
    if (session == NULL || session->is_leaving) {
        client->sessions[at] = session = session_open(kind); /* the former ends with its last stream */
    }
    return session;
}

static void begin_entry(struct kind *kind, struct entry *entry)
{
    static const guint8 method_and_scheme[] = {0x82, 0x86}; /* GET, http */
    struct session *session = usable_session(kind);
    struct stream *stream = g_new0(struct stream, 1);
    g_autoptr(GByteArray) block = g_byte_array_new();
    g_byte_array_append(block, method_and_scheme, sizeof method_and_scheme);
    add_literal(block, 4, "/");
    add_literal(block, 1, kind->load->host);
    *stream = (struct stream){.entry = entry, .body = g_string_new(NULL)};
    g_hash_table_insert(session->streams, GUINT_TO_POINTER(session->next_id), stream);
    entry->sent_us = now_us();
    send_frame(session, HEADERS, END_STREAM | END_HEADERS, session->next_id, block->data, block->len);
    session->next_id += 2;
}

static void begin(struct kind *kind, int64_t due_us)
{
    begin_entry(kind, ledger_open(kind->load, kind->ops->name, due_us));
}

static void close_stream(struct session *session, uint32_t id, const char *failure)
{
    struct stream *stream = g_hash_table_lookup(session->streams, GUINT_TO_POINTER(id));
    if (stream != NULL) {
        ledger_close(session->kind->load, stream->entry, failure);
        g_hash_table_remove(session->streams, GUINT_TO_POINTER(id));
    }
}

static int read_status(const guint8 *block, size_t n)
{
    static const int indexed[] = {200, 204, 206, 304, 400, 404, 500};
    while (n > 0 && (*block & 0xe0) == 0x20) { /* table size update */
        block++;
        n--;
    }
    if (n >= 1 && *block >= 0x88 && *block <= 0x8e) {
        return indexed[*block - 0x88];
    }
    bool is_literal = n >= 5 && (*block == 0x48 || *block == 0x08 || *block == 0x18) && block[1] == 3;
    g_autofree char *digits = is_literal ? g_strndup((const char *)block + 2, 3) : NULL;
    return is_literal ? (int)g_ascii_strtoll(digits, NULL, 10) : -1;
}

static void finish(struct session *session, uint32_t id, struct stream *stream)
{
    g_autofree char *failure = NULL;
    if (stream->entry->status != 200 || !g_str_has_prefix(stream->body->str, "version ")) {
        failure = g_strdup_printf("status %d: %.80s", stream->entry->status, stream->body->str);
    }
    session->n_answers++;
    close_stream(session, id, failure);
}

static void on_stream_frame(struct session *session, int type, int flags, uint32_t id, const guint8 *payload, size_t n)
{
    struct stream *stream = g_hash_table_lookup(session->streams, GUINT_TO_POINTER(id));
    size_t padding = (flags & PADDED) != 0 && n > 0 ? payload[0] : 0;
    size_t skipped = ((flags & PADDED) != 0) + (type == HEADERS && (flags & PRIORITY) != 0 ? 5 : 0);
    if (stream == NULL || n < skipped + padding) {
        return;
    }
    payload += skipped;
    n -= skipped + padding;
    if (type == HEADERS && stream->entry->status == 0) {
        stream->entry->status = read_status(payload, n);
    } else if (type == DATA) {
        stream->entry->bytes += (int64_t)n;
        g_string_append_len(stream->body, (const char *)payload, (gssize)MIN(n, 4096));
    }
    if ((flags & END_STREAM) != 0) {
        finish(session, id, stream);
    }
}

/* Streams above the last that the server names were not looked at: they go elsewhere (RFC 9113 section 6.8). */
static void on_goaway(struct session *session, uint32_t last_id)
{
    GHashTableIter iterator;
    gpointer id, value;
    g_autoptr(GPtrArray) again = g_ptr_array_new();
    session->is_leaving = true;
    g_hash_table_iter_init(&iterator, session->streams);
    while (g_hash_table_iter_next(&iterator, &id, &value)) {
        if (GPOINTER_TO_UINT(id) > last_id) {
            g_ptr_array_add(again, ((struct stream *)value)->entry);
            g_hash_table_iter_remove(&iterator);
        }
    }
    for (guint i = 0; i < again->len; i++) {
        struct entry *entry = g_ptr_array_index(again, i);
        entry->tries++;
        begin_entry(session->kind, entry);
    }
}

static uint32_t read_u32(const guint8 *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void on_frame(struct session *session, int type, int flags, uint32_t id, const guint8 *payload, size_t n)
{
    g_autofree char *words = NULL;
    switch (type) {
    case DATA:
    case HEADERS:
        on_stream_frame(session, type, flags, id, payload, n);
        break;
    case RST_STREAM:
        words = g_strdup_printf("RST_STREAM with code %u", n >= 4 ? read_u32(payload) : 0);
        close_stream(session, id, words);
        break;
    case SETTINGS:
        if ((flags & ACK) == 0) {
            send_frame(session, SETTINGS, ACK, 0, NULL, 0);
        }
        break;
    case PING:
        if ((flags & ACK) == 0) {
            send_frame(session, PING, ACK, 0, payload, n);
        }
        break;
    case GOAWAY:
        on_goaway(session, n >= 4 ? read_u32(payload) & 0x7fffffff : 0);
        break;
    default:
        break;
    }
}

static void on_bytes(struct wire *wire, const char *bytes, size_t n)
{
    struct session *session = wire->owner;
    g_byte_array_append(session->in, (const guint8 *)bytes, (guint)n);
    size_t used = 0;
    while (session->in->len - used >= 9) {
        const guint8 *head = session->in->data + used;
        size_t length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (length > FRAME_LIMIT || session->in->len - used - 9 < length) {
            break;
        }
        on_frame(session, head[3], head[4], read_u32(head + 5) & 0x7fffffff, head + 9, length);
        used += 9 + length;
    }
    g_byte_array_remove_range(session->in, 0, (guint)used);
    if ((session->is_leaving || session->kind->load->is_stopping) && g_hash_table_size(session->streams) == 0) {
        session_free(session);
    }
}

static void on_end(struct wire *wire, const char *why)
{
    struct session *session = wire->owner;
    struct kind *kind = session->kind;
    g_autoptr(GHashTable) streams = g_hash_table_ref(session->streams);
    bool was_used = session->n_answers > 0;
    g_autofree char *words = g_strdup_printf("no answer: %s", why);
    GHashTableIter iterator;
    gpointer value;
    session_free(session);
    g_hash_table_iter_init(&iterator, streams);
    while (g_hash_table_iter_next(&iterator, NULL, &value)) {
        struct entry *entry = ((struct stream *)value)->entry;
        if (was_used && entry->status == 0) {
            entry->tries++;
            begin_entry(kind, entry); /* GET without an answer: like a kept connection of HTTP/1.1 */
        } else {
            ledger_close(kind->load, entry, words);
        }
    }
}

static const struct wire_ops wire_ops = {.on_bytes = on_bytes, .on_end = on_end};

static void start(struct kind *kind)
{
    kind->data = g_new0(struct client, 1);
}

static void stop(struct kind *kind)
{
    struct client *client = kind->data;
    for (guint i = 0; i < N_CONNECTIONS; i++) {
        struct session *session = client->sessions[i];
        if (session != NULL && g_hash_table_size(session->streams) == 0) {
            session_free(session);
        }
    }
}

const struct kind_ops kind_http2 = {"h2", "GET over HTTP/2, several at once on 4 connections", begin, start, stop};
