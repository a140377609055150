/* Server-sent events over a connection of their own, made again when it is lost. */
#include <string.h>

#include "base/error.h"
#include "enclii/client_internal.h"
#include "enclii/sse.h"

#define SILENCE_MS 45000 /* a heartbeat comes every 15 s */
#define GIVE_UP_MS 60000
#define FIRST_PAUSE_MS 200
#define LONGEST_PAUSE_MS 3000

struct reading {
    struct client *client;
    struct sse_parser parser;
    stream_event_fn on_event;
    void *arg;
    int64_t deadline_us; /* monotonic; 0: none */
    int64_t heard_us;    /* when something came, be it a heartbeat, or the first connection was tried */
    bool is_endless;     /* the server's end of it is not the end */
    bool is_over;        /* the callback has what it wanted */
    bool is_late;
};

static bool take_event(const struct stream_event *event, void *arg)
{
    struct reading *reading = arg;
    reading->is_over = !reading->on_event(event, reading->arg);
    return !reading->is_over;
}

static bool is_late(const struct reading *reading)
{
    return reading->deadline_us > 0 && g_get_monotonic_time() >= reading->deadline_us;
}

static bool take_bytes(const void *bytes, size_t length, void *arg)
{
    struct reading *reading = arg;
    reading->heard_us = g_get_monotonic_time();
    if (!sse_feed(&reading->parser, bytes, length)) {
        return false;
    }
    reading->is_late = is_late(reading);
    return !reading->is_late;
}

/* The time-out of a stream is between two pieces; heartbeats come often enough for the deadline to
 * be seen within it. */
static int64_t silence_ms(const struct reading *reading)
{
    if (reading->deadline_us == 0) {
        return SILENCE_MS;
    }
    int64_t left_ms = (reading->deadline_us - g_get_monotonic_time()) / 1000 + 1;
    return CLAMP(left_ms, 1, SILENCE_MS);
}

/* One connection. False when the stream ends for good, with an error; *ret_again: make it again. */
static bool read_once(struct reading *reading, struct http_client *http, const char *target, const char *after,
                      bool *ret_again, GError **error)
{
    const char *id = reading->parser.id != NULL ? reading->parser.id : after;
    const char *const headers[] = {"Accept", "text/event-stream", id != NULL ? "Last-Event-ID" : NULL, id, NULL};
    struct http_exchange exchange = {.method = "GET",
                                     .target = target,
                                     .timeout_ms = silence_ms(reading),
                                     .on_body = take_bytes,
                                     .on_body_arg = reading};
    g_auto(http_reply_t) reply = {0};
    GError *failure = NULL;
    *ret_again = false;
    bool ok = client_exchange(reading->client, http, &exchange, headers, &reply, &failure);
    if (reading->parser.is_too_large) {
        g_clear_error(&failure);
        return sy_fail(error, SY_TOO_LARGE, "an event of %s is larger than %d bytes", target, SSE_LIMIT);
    }
    if (ok && reply.status >= 200 && reply.status <= 299) {
        return true; /* ended by us or by the server */
    }
    if (ok) {
        *ret_again = reply.status == 503 || reply.status == 429;
        return client_problem(&reply, error);
    }
    enum sy_code code = sy_error_code(failure);
    *ret_again = code == SY_UNAVAILABLE || code == SY_TIMEOUT;
    g_propagate_error(error, failure);
    return false;
}

static bool too_late(const char *target, GError **error)
{
    return sy_fail(error, SY_TIMEOUT, "it was not over in time");
}

static bool read_all(struct reading *reading, const char *target, const char *after, GError **error)
{
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (;;) {
        g_autoptr(http_client_t) http = client_connect(reading->client->endpoint, error);
        GError *failure = NULL;
        bool again = false;
        if (http == NULL) {
            return false;
        }
        int64_t heard_us = reading->heard_us;
        bool ok = read_once(reading, http, target, after, &again, &failure);
        if (!reading->is_over && (reading->is_late || is_late(reading))) {
            g_clear_error(&failure);
            return too_late(target, error);
        }
        if (ok && (reading->is_over || !reading->is_endless)) {
            return true;
        }
        pause_ms = reading->heard_us > heard_us ? FIRST_PAUSE_MS : MIN(pause_ms * 2, LONGEST_PAUSE_MS);
        bool has_given_up = g_get_monotonic_time() - reading->heard_us > GIVE_UP_MS * INT64_C(1000);
        if (!ok && (!again || has_given_up)) {
            g_propagate_error(error, failure);
            return false;
        }
        g_clear_error(&failure);
        sse_restart(&reading->parser);
        if (!client_pause(reading->client, pause_ms + g_random_int_range(0, (gint32)pause_ms), error)) {
            return false;
        }
    }
}

static bool read_and_clear(struct reading *reading, const char *target, const char *after, GError **error)
{
    sse_init(&reading->parser, take_event, reading);
    bool ok = read_all(reading, target, after, error);
    sse_clear(&reading->parser);
    return ok;
}

bool client_stream(struct client *client, const char *target, const char *after, int64_t timeout_ms,
                   stream_event_fn on_event, void *arg, GError **error)
{
    int64_t now_us = g_get_monotonic_time();
    struct reading reading = {.client = client, .on_event = on_event, .arg = arg, .heard_us = now_us};
    reading.deadline_us = timeout_ms > 0 ? now_us + timeout_ms * 1000 : 0;
    return read_and_clear(&reading, target, after, error);
}

bool client_follow(struct client *client, const char *target, const char *after, stream_event_fn on_event, void *arg,
                   GError **error)
{
    struct reading reading = {
        .client = client, .on_event = on_event, .arg = arg, .heard_us = g_get_monotonic_time(), .is_endless = true};
    return read_and_clear(&reading, target, after, error);
}
