/* Server-sent events: `rate` streams at any time, every other one left after 2 s and opened anew. The server numbers its events
 * from 1; one that is missing is a loss. Entries: sse-open when the head has come, sse-end for an end that was not ours. */
#include <string.h>

#include "load.h"

#define SHORT_LIFE_US 2000000
#define TICK_US 500000

struct stream {
    struct kind *kind;
    struct wire *wire;
    struct entry *opening;
    struct answer answer;
    int64_t seen, opened_us;
    bool is_short, is_gone;
};

static const struct wire_ops wire_ops;
static void on_tick(void *arg);

static void open_stream(struct kind *kind, bool is_short)
{
    struct stream *stream = g_new0(struct stream, 1);
    g_autofree char *request =
        g_strdup_printf("GET /sse HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", kind->load->host);
    stream->kind = kind;
    stream->is_short = is_short;
    stream->opened_us = now_us();
    answer_init(&stream->answer);
    stream->opening = ledger_open(kind->load, "sse-open", now_us());
    stream->opening->sent_us = now_us();
    stream->wire = wire_open(kind->load, &wire_ops, stream);
    wire_send(stream->wire, request, strlen(request));
    load_after(kind->load, TICK_US, on_tick, stream);
}

static void replace(struct stream *stream)
{
    wire_close(stream->wire);
    stream->is_gone = true; /* freed when its timer comes */
    if (!stream->kind->load->is_stopping) {
        open_stream(stream->kind, stream->is_short);
    }
}

static void on_tick(void *arg)
{
    struct stream *stream = arg;
    if (stream->is_gone) {
        answer_clear(&stream->answer);
        g_free(stream);
        return;
    }
    load_after(stream->kind->load, TICK_US, on_tick, stream);
    if (stream->is_short && stream->opening == NULL && now_us() - stream->opened_us > SHORT_LIFE_US) {
        replace(stream);
    }
}

static void tell_end(struct stream *stream, const char *failure)
{
    struct entry *entry = ledger_open(stream->kind->load, "sse-end", now_us());
    entry->status = stream->answer.status;
    entry->bytes = stream->answer.bytes;
    ledger_close(stream->kind->load, entry, failure);
}

/* Events are lines "data: N". */
static bool count_events(struct stream *stream)
{
    char *end;
    while ((end = strstr(stream->answer.body->str, "\n\n")) != NULL) {
        gint64 number = g_ascii_strtoll(stream->answer.body->str + strlen("data: "), NULL, 10);
        if (number != ++stream->seen) {
            return false;
        }
        g_string_erase(stream->answer.body, 0, end + 2 - stream->answer.body->str);
    }
    return true;
}

static void finish_opening(struct stream *stream)
{
    g_autofree char *wrong = stream->answer.status == 200 ? NULL : g_strdup_printf("status %d", stream->answer.status);
    stream->opening->status = stream->answer.status;
    ledger_close(stream->kind->load, g_steal_pointer(&stream->opening), wrong);
}

static void on_bytes(struct wire *wire, const char *bytes, size_t n)
{
    struct stream *stream = wire->owner;
    answer_feed(&stream->answer, bytes, n);
    if (stream->answer.state != ANSWER_HEAD && stream->opening != NULL) {
        finish_opening(stream);
    }
    bool ok = count_events(stream);
    if (!ok || stream->answer.state >= ANSWER_DONE) {
        tell_end(stream, !ok                                     ? "an event is missing"
                         : stream->answer.state == ANSWER_BROKEN ? "the answer is not HTTP/1.1"
                                                                 : NULL);
        replace(stream);
    }
}

static void on_end(struct wire *wire, const char *why)
{
    struct stream *stream = wire->owner;
    g_autofree char *words = g_strdup_printf("%s without an end of the stream", why);
    if (stream->opening != NULL) {
        ledger_close(stream->kind->load, g_steal_pointer(&stream->opening), words);
    } else {
        tell_end(stream, words);
    }
    replace(stream);
}

static const struct wire_ops wire_ops = {.on_bytes = on_bytes, .on_end = on_end};

static void start(struct kind *kind)
{
    for (int i = 0; i < (int)kind->rate; i++) {
        open_stream(kind, i % 2 == 1);
    }
}

const struct kind_ops kind_sse = {"sse", "that many event streams; every other one short-lived", NULL, start, NULL};
