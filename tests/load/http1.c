/* HTTP/1.1: kept connections, new ones, POST, answers that take long, uploads. */
#include <string.h>

#include "load.h"

struct pool {
    GQueue idle; /* of struct exchange *, between two requests; the newest first */
};

struct exchange {
    struct kind *kind;
    struct wire *wire;
    struct entry *entry; /* NULL: idle */
    struct answer answer;
    bool is_reused;
};

static const struct wire_ops wire_ops;

static bool keeps_connections(const struct kind *kind)
{
    return kind->ops != &kind_new && kind->ops != &kind_upload;
}

static bool may_repeat(const struct kind *kind)
{
    return kind->ops != &kind_post && kind->ops != &kind_upload;
}

static void send_request(struct exchange *exchange)
{
    static char block[65536];
    struct kind *kind = exchange->kind;
    struct load *load = kind->load;
    int64_t body = kind->ops == &kind_upload ? load->upload_bytes : kind->ops == &kind_post ? 64 : 0;
    g_autofree char *path =
        kind->ops == &kind_slow ? g_strdup_printf("/slow/%d", load->slow_ms) : g_strdup(body > 0 ? "/upload" : "/");
    g_autoptr(GString) head = g_string_new(NULL);
    g_string_printf(head, "%s %s HTTP/1.1\r\nHost: %s\r\n", body > 0 ? "POST" : "GET", path, load->host);
    if (body > 0) {
        g_string_append_printf(head, "Content-Length: %" G_GINT64_FORMAT "\r\n", body);
    }
    g_string_append_printf(head, "X-Entry: %" G_GINT64_FORMAT "\r\n%s\r\n", exchange->entry->id,
                           keeps_connections(kind) ? "" : "Connection: close\r\n");
    exchange->entry->sent_us = now_us();
    wire_send(exchange->wire, head->str, head->len);
    for (int64_t left = body; left > 0; left -= MIN(left, (int64_t)sizeof block)) {
        wire_send(exchange->wire, block, (size_t)MIN(left, (int64_t)sizeof block));
    }
}

static void exchange_free(struct exchange *exchange)
{
    wire_close(exchange->wire);
    answer_clear(&exchange->answer);
    g_free(exchange);
}

static void begin_on(struct exchange *exchange, struct entry *entry)
{
    answer_clear(&exchange->answer);
    answer_init(&exchange->answer);
    exchange->entry = entry;
    send_request(exchange);
}

static void begin_entry(struct kind *kind, struct entry *entry)
{
    struct pool *pool = kind->data;
    struct exchange *exchange = entry->tries == 1 && keeps_connections(kind) ? g_queue_pop_head(&pool->idle) : NULL;
    if (exchange == NULL) {
        exchange = g_new0(struct exchange, 1);
        exchange->kind = kind;
        answer_init(&exchange->answer);
        exchange->wire = wire_open(kind->load, &wire_ops, exchange);
    } else {
        exchange->is_reused = true;
    }
    begin_on(exchange, entry);
}

static void begin(struct kind *kind, int64_t due_us)
{
    begin_entry(kind, ledger_open(kind->load, kind->ops->name, due_us));
}

/* NULL: as it should be. */
static char *what_is_wrong(const struct exchange *exchange)
{
    const struct answer *answer = &exchange->answer;
    const struct kind *kind = exchange->kind;
    if (answer->status != 200) {
        g_autofree char *id = answer_header(answer, "X-Request-Id");
        return g_strdup_printf("status %d (request id %s): %.80s", answer->status, id != NULL ? id : "none",
                               answer->body->str);
    }
    const char *expected = kind->ops == &kind_slow ? "slow " : "version ";
    g_autofree char *count = g_strdup_printf("%" G_GINT64_FORMAT "\n", kind->load->upload_bytes);
    if (!may_repeat(kind)) {
        expected = kind->ops == &kind_post ? "64\n" : count;
    }
    return g_str_has_prefix(answer->body->str, expected)
               ? NULL
               : g_strdup_printf("body is \"%.60s\" instead of \"%s...\"", answer->body->str, expected);
}

static void finish(struct exchange *exchange)
{
    struct pool *pool = exchange->kind->data;
    struct entry *entry = g_steal_pointer(&exchange->entry);
    g_autofree char *wrong = what_is_wrong(exchange);
    bool closes = exchange->answer.closes || !keeps_connections(exchange->kind) || exchange->kind->load->is_stopping;
    entry->status = exchange->answer.status;
    entry->bytes = exchange->answer.bytes;
    ledger_close(exchange->kind->load, entry, wrong);
    if (closes) {
        exchange_free(exchange);
    } else {
        g_queue_push_head(&pool->idle, exchange);
    }
}

static void on_bytes(struct wire *wire, const char *bytes, size_t n)
{
    struct exchange *exchange = wire->owner;
    if (exchange->entry == NULL) {
        return; /* an answer to nothing, like HAProxy's 408 to a connection that it closes */
    }
    answer_feed(&exchange->answer, bytes, n);
    if (exchange->answer.state == ANSWER_DONE) {
        finish(exchange);
    } else if (exchange->answer.state == ANSWER_BROKEN) {
        ledger_close(exchange->kind->load, exchange->entry, "the answer is not HTTP/1.1");
        exchange_free(exchange);
    }
}

static void on_end(struct wire *wire, const char *why)
{
    struct exchange *exchange = wire->owner;
    struct kind *kind = exchange->kind;
    struct entry *entry = exchange->entry;
    struct pool *pool = kind->data;
    bool has_answer = exchange->answer.head->len > 0;
    if (entry == NULL) {
        g_queue_remove(&pool->idle, exchange);
    } else if (exchange->answer.state == ANSWER_BODY && exchange->answer.left < 0) {
        exchange->answer.closes = true;
        finish(exchange);
        return;
    } else if (exchange->is_reused && !has_answer && may_repeat(kind)) {
        entry->tries++;
        begin_entry(kind, entry);
    } else {
        g_autofree char *words =
            has_answer ? g_strdup_printf("short answer: %s after %" G_GINT64_FORMAT " bytes of the body (status %d)",
                                         why, exchange->answer.bytes, exchange->answer.status)
                       : g_strdup_printf("no answer: %s%s", why, exchange->is_reused ? " on a kept connection" : "");
        ledger_close(kind->load, entry, words);
    }
    exchange_free(exchange);
}

static const struct wire_ops wire_ops = {.on_bytes = on_bytes, .on_end = on_end};

static void start(struct kind *kind)
{
    struct pool *pool = g_new0(struct pool, 1);
    g_queue_init(&pool->idle);
    kind->data = pool;
}

static void stop(struct kind *kind)
{
    struct pool *pool = kind->data;
    struct exchange *exchange;
    while ((exchange = g_queue_pop_head(&pool->idle)) != NULL) {
        exchange_free(exchange);
    }
}

const struct kind_ops kind_keep = {"keep", "GET on kept connections", begin, start, stop};
const struct kind_ops kind_new = {"new", "GET, each on a connection of its own", begin, start, stop};
const struct kind_ops kind_post = {"post", "POST of 64 bytes on kept connections", begin, start, stop};
const struct kind_ops kind_slow = {"slow", "GET whose answer takes --slow-ms", begin, start, stop};
const struct kind_ops kind_upload = {"upload", "POST of --upload-bytes", begin, start, stop};
