/* Reading a container's log.
 *
 * Stamps are cut to microseconds here, and several lines may share one; Podman's even have whole seconds. So what is asked
 * for begins a little before since_us, and every line of since_us itself is handed out again: rather twice than never. */
#include <string.h>

#include "base/error.h"
#include "engine/docker/docker.h"
#include "engine/docker/frames.h"

#define EARLIER_US 1000
#define READ_MS 30000
/* A follow that is silent is asked for again, after twice the time each: engines have been seen that open a stream while the
 * container starts and then never write to it. */
#define QUIET_MIN_MS 2000
#define QUIET_MAX_MS 120000

struct reading {
    struct frames frames;
    GError *failure; /* of the frames */
    engine_log_fn fn;
    void *arg;
    int64_t since_us;
    int64_t last_us;   /* stamp of the newest line handed out */
    int64_t n_at_last; /* how many with that stamp */
    int64_t skip_us;   /* after a new start: that many lines with this stamp are known */
    int64_t n_to_skip;
    int64_t quiet_ms; /* how long silence is believed */
};

static bool on_line(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    struct reading *reading = arg;
    if (time_us < reading->since_us) {
        return true;
    }
    if (reading->n_to_skip > 0 && time_us == reading->skip_us) {
        reading->n_to_skip--;
        return true;
    }
    if (time_us > reading->last_us) {
        reading->last_us = time_us;
        reading->n_at_last = 0;
    }
    reading->n_at_last += time_us == reading->last_us;
    reading->quiet_ms = QUIET_MIN_MS;
    return reading->fn(is_stderr, time_us, line, length, reading->arg);
}

static bool on_bytes(const void *bytes, size_t length, void *arg)
{
    struct reading *reading = arg;
    return frames_feed(&reading->frames, bytes, length, &reading->failure);
}

static char *log_path(const char *id, const struct reading *reading, bool follow)
{
    GString *path = g_string_new(NULL);
    g_string_printf(path, "/containers/%s/logs?stdout=1&stderr=1&timestamps=1&follow=%d", id, follow);
    if (reading->since_us > EARLIER_US) {
        int64_t from_us = reading->since_us - EARLIER_US;
        g_string_append_printf(path, "&since=%" G_GINT64_FORMAT ".%09" G_GINT64_FORMAT, from_us / G_USEC_PER_SEC,
                               from_us % G_USEC_PER_SEC * 1000);
    }
    return g_string_free(path, FALSE);
}

/* The stream has come to its end by itself. */
static bool end(struct reading *reading, const struct http_reply *reply, GError **error)
{
    if (reply->status >= 400) {
        g_autofree char *words = parse_words(reply->body->str, reply->body->len);
        return sy_fail(error, reply->status == 404 ? SY_NOT_FOUND : SY_ENGINE_FAILED, "%s", words);
    }
    if (reading->failure != NULL) {
        g_propagate_error(error, g_steal_pointer(&reading->failure));
        return false;
    }
    return reading->frames.is_stopped || frames_end(&reading->frames, error);
}

/* *ret_again: nothing came for a while; perhaps nothing was said, perhaps the engine hangs. */
static bool read_once(struct docker *docker, const char *id, struct reading *reading, bool follow, const int *cancelled,
                      bool *ret_again, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    g_autofree char *path = log_path(id, reading, follow);
    const struct docker_call call = {
        .method = "GET",
        .path = path,
        .timeout_ms = follow ? reading->quiet_ms : READ_MS,
        .on_body = on_bytes,
        .on_body_arg = reading,
        .cancelled = cancelled,
    };
    GError *failure = NULL;
    frames_init(&reading->frames, on_line, reading);
    bool ok = docker_exchange(docker, &call, &reply, &failure);
    *ret_again = !ok && follow && g_error_matches(failure, SY_ERROR, SY_TIMEOUT);
    bool is_cancelled = !ok && g_error_matches(failure, SY_ERROR, SY_CANCELLED);
    if (ok) {
        ok = end(reading, &reply, error);
    } else if (*ret_again || is_cancelled) {
        g_error_free(failure);
        ok = true;
    } else {
        sy_fail(error, sy_error_code(failure) == SY_TIMEOUT ? SY_ENGINE_UNAVAILABLE : sy_error_code(failure), "%s",
                failure->message);
        g_error_free(failure);
    }
    g_clear_error(&reading->failure);
    frames_done(&reading->frames);
    return ok;
}

bool docker_instance_logs(struct engine *engine, const char *id, int64_t since_us, bool follow, engine_log_fn fn,
                          void *arg, const int *cancelled, GError **error)
{
    struct reading reading = {.fn = fn, .arg = arg, .since_us = since_us, .quiet_ms = QUIET_MIN_MS};
    bool again = false;
    if (!docker_check_name(id, error)) {
        return false;
    }
    do {
        if (!read_once(docker_of(engine), id, &reading, follow, cancelled, &again, error)) {
            return false;
        }
        reading.quiet_ms = MIN(reading.quiet_ms * 2, QUIET_MAX_MS);
        if (reading.last_us > 0) {
            reading.since_us = reading.skip_us = reading.last_us;
            reading.n_to_skip = reading.n_at_last;
        }
    } while (again);
    return true;
}
