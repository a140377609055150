#include <string.h>

#include "base/error.h"
#include "engine/docker/docker.h"

#define EVENT_LENGTH (256 << 10)

struct listening {
    const struct docker *docker;
    engine_event_fn fn;
    void *arg;
    GString *line;
    GError *failure;
};

static bool hand_out(struct listening *listening)
{
    g_auto(parse_event_t) parsed = {0};
    if (listening->line->len == 0) {
        return true;
    }
    if (!parse_event(listening->line->str, listening->line->len, &parsed, &listening->failure)) {
        return false;
    }
    if (strcmp(parsed.installation, listening->docker->engine.installation) != 0) {
        return true;
    }
    const struct engine_event event = {
        .type = parsed.type, .action = parsed.action, .id = parsed.id, .pair = parsed.pair};
    return listening->fn(&event, listening->arg);
}

static bool on_bytes(const void *bytes, size_t length, void *arg)
{
    struct listening *listening = arg;
    const char *text = bytes;
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        size_t piece = end != NULL ? (size_t)(end - text) : length;
        if (listening->line->len + piece > EVENT_LENGTH) {
            return sy_fail(&listening->failure, SY_ENGINE_FAILED, "an event of the engine is longer than %d bytes",
                           EVENT_LENGTH);
        }
        g_string_append_len(listening->line, text, (gssize)piece);
        if (end == NULL) {
            return true;
        }
        if (!hand_out(listening)) {
            return false;
        }
        g_string_truncate(listening->line, 0);
        text += piece + 1;
        length -= piece + 1;
    }
    return true;
}

static bool end(struct listening *listening, const struct http_reply *reply, GError **error)
{
    if (reply->status >= 400) {
        g_autofree char *words = parse_words(reply->body->str, reply->body->len);
        return sy_fail(error, SY_ENGINE_FAILED, "%s", words);
    }
    if (listening->failure != NULL) {
        g_propagate_error(error, g_steal_pointer(&listening->failure));
        return false;
    }
    return true;
}

/* *ret_again: it was quiet for so long that the engine may hang; what happened since `since_us` is asked for again. */
static bool listen_once(struct docker *docker, struct listening *listening, int64_t since_us, const int *cancelled,
                        bool *ret_again, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    g_autofree char *filters = docker_filters(docker, "container");
    g_autofree char *since =
        since_us > 0 ? g_strdup_printf("&since=%" G_GINT64_FORMAT, since_us / G_USEC_PER_SEC) : g_strdup("");
    g_autofree char *path = g_strdup_printf("/events?filters=%s%s", filters, since);
    const struct docker_call call = {
        .method = "GET",
        .path = path,
        .timeout_ms = DOCKER_QUIET_MS,
        .on_body = on_bytes,
        .on_body_arg = listening,
        .cancelled = cancelled,
    };
    GError *failure = NULL;
    g_string_truncate(listening->line, 0);
    if (docker_exchange(docker, &call, &reply, &failure)) {
        *ret_again = false;
        return end(listening, &reply, error);
    }
    *ret_again = g_error_matches(failure, SY_ERROR, SY_TIMEOUT);
    if (*ret_again || g_error_matches(failure, SY_ERROR, SY_CANCELLED)) {
        g_error_free(failure);
        return true;
    }
    g_propagate_error(error, failure);
    return false;
}

bool docker_events(struct engine *engine, engine_event_fn fn, void *arg, const int *cancelled, GError **error)
{
    struct docker *docker = docker_of(engine);
    struct listening listening = {.docker = docker, .fn = fn, .arg = arg, .line = g_string_new(NULL)};
    bool again = false;
    bool ok;
    int64_t since_us = 0;
    do {
        ok = listen_once(docker, &listening, since_us, cancelled, &again, error);
        since_us = g_get_real_time() - (DOCKER_QUIET_MS + 1000) * INT64_C(1000);
    } while (ok && again);
    g_string_free(listening.line, TRUE);
    g_clear_error(&listening.failure);
    return ok;
}
