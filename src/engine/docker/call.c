/* One call over the socket: pool, circuit breaker, version, errors. */
#include <string.h>

#include "base/error.h"
#include "base/json_writer.h"
#include "engine/docker/docker.h"

#define OLDEST_MINOR 40 /* Docker 19.03 */
#define NEWEST_MINOR 44 /* what this code was written for; Docker 29 speaks nothing older */
#define REPLY_LIMIT ((size_t)32 << 20)

/* --- circuit breaker ------------------------------------------------------------------------------------------------------------- */

/* While it is closed off, one caller a second finds out whether the engine is back; the others fail at once. */
static bool admit(struct docker *docker, GError **error)
{
    int64_t now_us = g_get_monotonic_time();
    g_mutex_lock(&docker->lock);
    bool is_closed = docker->n_failures >= DOCKER_BREAKER_FAILURES;
    bool refused = is_closed && now_us < docker->closed_until_us;
    if (is_closed && !refused) {
        docker->closed_until_us = now_us + DOCKER_BREAKER_US;
    }
    int n_failures = docker->n_failures;
    g_mutex_unlock(&docker->lock);
    return !refused || sy_fail(error, SY_ENGINE_UNAVAILABLE,
                               "%s could not be reached %d times in a row; it is asked again in a second",
                               docker->endpoint, n_failures);
}

static void settle(struct docker *docker, bool ok, const GError *failure)
{
    g_mutex_lock(&docker->lock);
    if (ok) {
        docker->n_failures = 0;
    } else if (g_error_matches(failure, SY_ERROR, SY_UNAVAILABLE)) {
        docker->n_failures = MIN(docker->n_failures + 1, 1000000);
        docker->closed_until_us = g_get_monotonic_time() + DOCKER_BREAKER_US;
        docker->facts.minor = 0; /* what comes back may be another version */
    }
    g_mutex_unlock(&docker->lock);
}

/* --- pool --------------------------------------------------------------------------------------------------------------------------- */

/* An idle client, or NULL. */
static struct http_client *take_client(struct docker *docker)
{
    struct http_client *client = NULL;
    g_mutex_lock(&docker->lock);
    if (docker->idle->len > 0) {
        client = g_ptr_array_steal_index(docker->idle, docker->idle->len - 1);
    }
    g_mutex_unlock(&docker->lock);
    return client;
}

static void give_client(struct docker *docker, struct http_client *client)
{
    g_mutex_lock(&docker->lock);
    bool has_room = docker->idle->len < DOCKER_IDLE_CLIENTS;
    if (has_room) {
        g_ptr_array_add(docker->idle, client);
    }
    g_mutex_unlock(&docker->lock);
    if (!has_room) {
        http_client_free(client);
    }
}

/* An engine that was restarted has closed all of them. */
static void drop_clients(struct docker *docker)
{
    g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func((GDestroyNotify)http_client_free);
    g_mutex_lock(&docker->lock);
    while (docker->idle->len > 0) {
        g_ptr_array_add(dropped, g_ptr_array_steal_index(docker->idle, docker->idle->len - 1));
    }
    g_mutex_unlock(&docker->lock);
}

/* --- one exchange -------------------------------------------------------------------------------------------------------------------- */

static void count(struct docker *docker, const struct docker_call *call, bool ok, int64_t started_us)
{
    g_mutex_lock(&docker->lock);
    docker->stats.calls++;
    docker->stats.failures += !ok;
    if (call->on_body == NULL) { /* a stream's time says how long somebody listened */
        docker->stats.us_total += g_get_monotonic_time() - started_us;
    }
    g_mutex_unlock(&docker->lock);
}

/* The client is gone or back in the pool afterwards. The error is still the client's own. */
static bool exchange_with(struct docker *docker, struct http_client *client, const struct http_exchange *exchange,
                          struct http_reply *ret_reply, GError **error)
{
    bool ok = http_client_call(client, exchange, ret_reply, error);
    if (ok) {
        give_client(docker, client);
    } else {
        http_client_free(client);
    }
    return ok;
}

static bool exchange_kept(struct docker *docker, const struct http_exchange *exchange, struct http_reply *ret_reply,
                          bool *ret_is_stale, GError **error)
{
    struct http_client *client = take_client(docker);
    GError *failure = NULL;
    *ret_is_stale = client == NULL;
    if (client == NULL || exchange_with(docker, client, exchange, ret_reply, &failure)) {
        return client != NULL;
    }
    if (g_error_matches(failure, SY_ERROR, SY_UNAVAILABLE)) {
        *ret_is_stale = true;
        drop_clients(docker);
        g_error_free(failure);
    } else {
        g_propagate_error(error, failure);
    }
    return false;
}

static bool exchange_new(struct docker *docker, const struct http_exchange *exchange, struct http_reply *ret_reply,
                         GError **error)
{
    GError *failure = NULL;
    struct http_client *client = http_client_new(docker->endpoint, error);
    if (client == NULL) {
        return false;
    }
    bool ok = exchange_with(docker, client, exchange, ret_reply, &failure);
    if (!ok) {
        settle(docker, false, failure);
        g_propagate_error(error, failure);
    }
    return ok;
}

static bool exchange_once(struct docker *docker, const struct http_exchange *exchange, struct http_reply *ret_reply,
                          GError **error)
{
    bool is_stale = exchange->on_body != NULL; /* a stream must not begin twice */
    if (!is_stale && exchange_kept(docker, exchange, ret_reply, &is_stale, error)) {
        return true;
    }
    return is_stale && exchange_new(docker, exchange, ret_reply, error);
}

/* The client's errors in the words of engine.h. Takes `failure`. */
static void translate_take(GError *failure, GError **error)
{
    enum sy_code code = sy_error_code(failure);
    if (code == SY_TIMEOUT || code == SY_CANCELLED || code == SY_ENGINE_UNAVAILABLE || code == SY_ENGINE_FAILED) {
        g_propagate_error(error, failure);
        return;
    }
    sy_fail(error, code == SY_TOO_LARGE ? SY_ENGINE_FAILED : SY_ENGINE_UNAVAILABLE, "%s", failure->message);
    g_error_free(failure);
}

static bool exchange(struct docker *docker, const struct docker_call *call, const char *target,
                     struct http_reply *ret_reply, GError **error)
{
    const struct http_header headers[] = {{"Content-Type", "application/json"}, {NULL, NULL}};
    const struct http_exchange exchange = {
        .method = call->method,
        .target = target,
        .headers = call->body != NULL ? headers : NULL,
        .body = call->body != NULL ? call->body->str : NULL,
        .body_length = call->body != NULL ? call->body->len : 0,
        .timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : DOCKER_READ_MS,
        .limit_bytes = REPLY_LIMIT,
        .on_body = call->on_body,
        .on_body_arg = call->on_body_arg,
        .cancelled = call->cancelled,
    };
    GError *failure = NULL;
    int64_t started_us = g_get_monotonic_time();
    bool ok = admit(docker, &failure) && exchange_once(docker, &exchange, ret_reply, &failure);
    bool is_cancelled = !ok && g_error_matches(failure, SY_ERROR, SY_CANCELLED);
    bool is_quiet = !ok && call->on_body != NULL && g_error_matches(failure, SY_ERROR, SY_TIMEOUT);
    if (ok) {
        settle(docker, true, NULL); /* on a kept connection, too: who is let through must not keep the others out */
    }
    count(docker, call, ok ? ret_reply->status < 500 : is_cancelled || is_quiet, started_us);
    if (!ok) {
        translate_take(failure, error);
    }
    return ok;
}

/* --- version --------------------------------------------------------------------------------------------------------------------------- */

static bool accept_version(struct docker *docker, const struct parse_version *version, struct docker_facts *ret_facts,
                           GError **error)
{
    int minor = MIN(version->api_minor, NEWEST_MINOR);
    if (minor < OLDEST_MINOR || minor < version->min_minor) {
        sy_fail(error, SY_ENGINE_FAILED, "%s speaks API 1.%d to 1.%d; Enclii speaks 1.%d to 1.%d", docker->endpoint,
                version->min_minor, version->api_minor, OLDEST_MINOR, NEWEST_MINOR);
        sy_error_set_hint(error, "Install Docker 20.10 or newer, or Podman 4.3 or newer.");
        return false;
    }
    *ret_facts = (struct docker_facts){.minor = minor, .is_podman = version->is_podman, .has_init = version->has_init};
    g_mutex_lock(&docker->lock);
    docker->facts = *ret_facts;
    g_mutex_unlock(&docker->lock);
    return true;
}

bool docker_negotiate(struct docker *docker, struct docker_facts *ret_facts, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    struct parse_version version = {0};
    const struct docker_call call = {
        .method = "GET", .path = "/version", .timeout_ms = DOCKER_PING_MS, .is_unversioned = true};
    g_mutex_lock(&docker->lock);
    *ret_facts = docker->facts;
    g_mutex_unlock(&docker->lock);
    if (ret_facts->minor > 0) {
        return true;
    }
    if (!docker_call(docker, &call, &reply, error) ||
        !parse_version(reply.body->str, reply.body->len, &version, error)) {
        return false;
    }
    bool ok = accept_version(docker, &version, ret_facts, error);
    parse_version_clear(&version);
    return ok;
}

/* --- calls -------------------------------------------------------------------------------------------------------------------------------- */

bool docker_exchange(struct docker *docker, const struct docker_call *call, struct http_reply *ret_reply,
                     GError **error)
{
    struct docker_facts facts;
    if (call->is_unversioned) {
        return exchange(docker, call, call->path, ret_reply, error);
    }
    if (!docker_negotiate(docker, &facts, error)) {
        return false;
    }
    g_autofree char *target = g_strdup_printf("/v1.%d%s", facts.minor, call->path);
    if (!exchange(docker, call, target, ret_reply, error)) {
        return false;
    }
    if (ret_reply->status == 400) { /* perhaps it was replaced by one that speaks another version */
        g_mutex_lock(&docker->lock);
        docker->facts.minor = 0;
        g_mutex_unlock(&docker->lock);
    }
    return true;
}

static bool refused(const struct http_reply *reply, GError **error)
{
    g_autofree char *words = parse_words(reply->body->str, reply->body->len);
    return sy_fail(error, reply->status == 404 ? SY_NOT_FOUND : SY_ENGINE_FAILED, "%s", words);
}

/* `accepted`: a status that is fine although it is none of 2xx and 3xx. */
static bool call_accepting(struct docker *docker, const struct docker_call *call, int accepted,
                           struct http_reply *ret_reply, GError **error)
{
    GError *failure = NULL;
    if (!docker_exchange(docker, call, ret_reply, &failure)) {
        enum sy_code code = sy_error_code(failure);
        if (code == SY_TIMEOUT) {
            sy_fail(error, SY_ENGINE_UNAVAILABLE, "%s", failure->message);
            g_error_free(failure);
        } else {
            g_propagate_error(error, failure);
        }
        return false;
    }
    if (ret_reply->status < 400 || ret_reply->status == accepted) {
        return true;
    }
    refused(ret_reply, error);
    http_reply_clear(ret_reply);
    return false;
}

bool docker_call(struct docker *docker, const struct docker_call *call, struct http_reply *ret_reply, GError **error)
{
    return call_accepting(docker, call, 0, ret_reply, error);
}

bool docker_get(struct docker *docker, const char *path, struct http_reply *ret_reply, GError **error)
{
    const struct docker_call call = {.method = "GET", .path = path, .timeout_ms = DOCKER_READ_MS};
    return docker_call(docker, &call, ret_reply, error);
}

bool docker_change(struct docker *docker, const char *method, const char *path, const GString *body, int accepted,
                   GError **error)
{
    g_auto(http_reply_t) reply = {0};
    const struct docker_call call = {.method = method, .path = path, .body = body, .timeout_ms = DOCKER_CHANGE_MS};
    return call_accepting(docker, &call, accepted, &reply, error);
}

/* --- what the nouns share ----------------------------------------------------------------------------------------------------------------- */

bool docker_check_name(const char *name, GError **error)
{
    size_t length = name != NULL ? strlen(name) : 0;
    bool ok = length > 0 && length <= 255 && g_ascii_isalnum(name[0]);
    for (size_t i = 1; ok && i < length; i++) {
        ok = g_ascii_isalnum(name[i]) || strchr("_.-", name[i]) != NULL;
    }
    return ok || sy_fail(error, SY_INVALID_INPUT, "%.80s is no name of an object of the container engine",
                         name != NULL ? name : "(none)");
}

char *docker_filters(const struct docker *docker, const char *type)
{
    g_autoptr(GString) json = g_string_new(NULL);
    g_autofree char *label = g_strdup_printf("%s=%s", ENGINE_LABEL_INSTALLATION, docker->engine.installation);
    struct json_writer writer;
    json_writer_init(&writer, json);
    json_object_open(&writer);
    json_key(&writer, "label");
    json_array_open(&writer);
    json_put_string(&writer, label);
    json_array_close(&writer);
    if (type != NULL) {
        json_key(&writer, "type");
        json_array_open(&writer);
        json_put_string(&writer, type);
        json_array_close(&writer);
    }
    json_object_close(&writer);
    return g_uri_escape_string(json->str, NULL, FALSE);
}

void docker_put_labels(struct json_writer *writer, const char *installation, const char *const *labels)
{
    json_key(writer, "Labels");
    json_object_open(writer);
    json_member_string(writer, ENGINE_LABEL_INSTALLATION, installation);
    for (const char *const *label = labels; label != NULL && *label != NULL; label++) {
        const char *value = strchr(*label, '=');
        g_autofree char *key = value != NULL ? g_strndup(*label, (gsize)(value - *label)) : g_strdup(*label);
        if (strcmp(key, ENGINE_LABEL_INSTALLATION) != 0) { /* the owner is not for the caller to choose */
            json_member_string(writer, key, value != NULL ? value + 1 : "");
        }
    }
    json_object_close(writer);
}
