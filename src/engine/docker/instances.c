/* Containers: create, start, stop, remove, wait, look. */
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/secret.h"
#include "engine/docker/create.h"
#include "engine/docker/docker.h"

#define OPEN_FILES 20000
#define CREATE_MS 120000
#define STOP_MARGIN_MS 30000
#define REMOVAL_US (15 * G_USEC_PER_SEC)
#define REMOVAL_STEP_US 50000

static bool inspect(struct docker *docker, const char *id, struct engine_instance **ret_instance, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    if (!docker_check_name(id, error)) {
        return false;
    }
    g_autofree char *path = g_strdup_printf("/containers/%s/json", id);
    return docker_get(docker, path, &reply, error) &&
           parse_instance(reply.body->str, reply.body->len, ret_instance, error);
}

/* Its full id, as nobody else's object may be touched and names can move. *ret_id is NULL when it is gone. */
static bool find_ours(struct docker *docker, const char *id, char **ret_id, GError **error)
{
    struct engine_instance *instance = NULL;
    GError *failure = NULL;
    *ret_id = NULL;
    if (!inspect(docker, id, &instance, &failure)) {
        if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
            g_error_free(failure);
            return true;
        }
        g_propagate_error(error, failure);
        return false;
    }
    bool is_ours = parse_is_ours(instance, docker->engine.installation);
    if (is_ours) {
        *ret_id = g_strdup(instance->id);
    } else {
        sy_fail(error, SY_CONFLICT, "the container %s is not of this installation", instance->name);
    }
    engine_instance_free(instance);
    return is_ours;
}

/* --- creating --------------------------------------------------------------------------------------------------------------------- */

/* The engine cannot give more than it has itself; ours is a good guess of that. */
static int64_t open_files(void)
{
    struct rlimit limit;
    bool is_known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY;
    return is_known ? MIN(OPEN_FILES, (int64_t)limit.rlim_max) : OPEN_FILES;
}

static void wipe(GString *body)
{
    if (body != NULL) {
        secret_wipe(body->str, body->allocated_len);
        g_string_free(body, TRUE);
    }
}

static bool post(struct docker *docker, const struct engine_instance_spec *spec, const struct create_facts *facts,
                 struct http_reply *ret_reply, GError **error)
{
    GString *body = create_body(spec, facts, error);
    if (body == NULL) {
        return false;
    }
    g_autofree char *path = g_strdup_printf("/containers/create?name=%s", spec->name);
    const struct docker_call call = {.method = "POST", .path = path, .body = body, .timeout_ms = CREATE_MS};
    GError *failure = NULL;
    bool ok = docker_exchange(docker, &call, ret_reply, &failure);
    wipe(body);
    if (!ok) {
        bool is_late = g_error_matches(failure, SY_ERROR, SY_TIMEOUT);
        sy_fail(error, is_late ? SY_ENGINE_UNAVAILABLE : sy_error_code(failure), "creating %s: %s", spec->name,
                failure->message);
        g_error_free(failure);
    }
    return ok;
}

/* The name is taken: by an earlier try of ours, or by somebody else. */
static bool adopt(struct docker *docker, const char *name, char **ret_id, GError **error)
{
    if (!find_ours(docker, name, ret_id, error)) {
        return false;
    }
    return *ret_id != NULL ||
           sy_fail(error, SY_ENGINE_FAILED, "the name %s is taken by a container that is just being removed", name);
}

/* Podman looks for its init only when it is needed. */
static bool lacks_init(const struct http_reply *reply)
{
    return reply->status == 500 && strstr(reply->body->str, "init binary") != NULL;
}

static bool create(struct docker *docker, const struct engine_instance_spec *spec, struct create_facts *facts,
                   char **ret_id, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    if (!post(docker, spec, facts, &reply, error)) {
        return false;
    }
    if (facts->has_init && lacks_init(&reply)) {
        http_reply_clear(&reply);
        facts->has_init = false;
        if (!post(docker, spec, facts, &reply, error)) {
            return false;
        }
    }
    if (reply.status < 400) {
        return parse_id(reply.body->str, reply.body->len, ret_id, error);
    }
    g_autofree char *words = parse_words(reply.body->str, reply.body->len);
    if (strstr(words, "container name") != NULL && strstr(words, "already in use") != NULL) {
        return adopt(docker, spec->name, ret_id, error);
    }
    /* A missing image is a refusal like any other: who asked for it must hear of it. */
    return sy_fail(error, SY_ENGINE_FAILED, "creating %s: %s", spec->name, words);
}

bool docker_instance_create(struct engine *engine, const struct engine_instance_spec *spec, char **ret_id,
                            GError **error)
{
    struct docker *docker = docker_of(engine);
    struct docker_facts engine_facts;
    g_autofree char *id = NULL;
    if (!docker_negotiate(docker, &engine_facts, error)) {
        return false;
    }
    bool owns = spec->n_mounts > 0 && !engine_facts.is_podman;
    if (owns && !docker_own_volumes(docker, spec, error)) {
        return false;
    }
    struct create_facts facts = {
        .installation = engine->installation,
        .has_init = engine_facts.has_init,
        .open_files = open_files(),
        .is_filled = owns && spec->user > 0,
    };
    if (!create(docker, spec, &facts, &id, error)) {
        return false;
    }
    *ret_id = g_steal_pointer(&id);
    return true;
}

/* --- running and ending ------------------------------------------------------------------------------------------------------------- */

bool docker_instance_start(struct engine *engine, const char *id, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_autofree char *found = NULL;
    if (!find_ours(docker, id, &found, error)) {
        return false;
    }
    if (found == NULL) {
        return sy_fail(error, SY_NOT_FOUND, "the container %s is gone", id);
    }
    g_autofree char *path = g_strdup_printf("/containers/%s/start", found);
    GError *failure = NULL;
    if (docker_change(docker, "POST", path, NULL, 0, &failure)) {
        return true;
    }
    /* 404 is also the engine's answer when the program to start is not in the image. */
    if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND) && strstr(failure->message, "o such container") == NULL) {
        sy_fail(error, SY_ENGINE_FAILED, "%s", failure->message);
        g_error_free(failure);
    } else {
        g_propagate_error(error, failure);
    }
    return false;
}

bool docker_instance_stop(struct engine *engine, const char *id, int64_t grace_ms, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_autofree char *found = NULL;
    g_auto(http_reply_t) reply = {0};
    if (!find_ours(docker, id, &found, error)) {
        return false;
    }
    if (found == NULL) {
        return true;
    }
    int64_t seconds = (MAX(grace_ms, 0) + 999) / 1000;
    g_autofree char *path = g_strdup_printf("/containers/%s/stop?t=%" G_GINT64_FORMAT, found, seconds);
    const struct docker_call call = {.method = "POST", .path = path, .timeout_ms = seconds * 1000 + STOP_MARGIN_MS};
    GError *failure = NULL;
    if (docker_call(docker, &call, &reply, &failure)) {
        return true;
    }
    if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
        g_error_free(failure);
        return true;
    }
    g_propagate_error(error, failure);
    return false;
}

/* Somebody else is removing it already: waits until it is gone. */
static bool await_removal(struct docker *docker, const char *id, bool *ret_gone, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + REMOVAL_US;
    for (;;) {
        struct engine_instance *instance = NULL;
        GError *failure = NULL;
        if (!inspect(docker, id, &instance, &failure)) {
            *ret_gone = g_error_matches(failure, SY_ERROR, SY_NOT_FOUND);
            if (!*ret_gone) {
                g_propagate_error(error, failure);
                return false;
            }
            g_error_free(failure);
            return true;
        }
        engine_instance_free(instance);
        if (g_get_monotonic_time() > deadline_us) {
            *ret_gone = false;
            return true;
        }
        g_usleep(REMOVAL_STEP_US);
    }
}

bool docker_instance_remove(struct engine *engine, const char *id, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_autofree char *found = NULL;
    bool gone = false;
    if (!find_ours(docker, id, &found, error)) {
        return false;
    }
    if (found == NULL) {
        return true;
    }
    /* v: volumes without a name, which the image asked for, go with it; named ones stay. */
    g_autofree char *path = g_strdup_printf("/containers/%s?v=1", found);
    GError *failure = NULL;
    if (docker_change(docker, "DELETE", path, NULL, 404, &failure)) {
        return true;
    }
    bool is_under_way = strstr(failure->message, "already in progress") != NULL;
    if (is_under_way && await_removal(docker, found, &gone, error) && gone) {
        g_error_free(failure);
        return true;
    }
    if (is_under_way && error != NULL && *error != NULL) {
        g_error_free(failure);
    } else {
        g_propagate_error(error, failure);
    }
    return false;
}

/* The time is over: is it the container that goes on, or the engine that does not answer? */
static bool end_wait(struct docker *docker, const char *id, int64_t timeout_ms, int *ret_exit_code, GError **error)
{
    struct engine_instance *instance = NULL;
    if (!inspect(docker, id, &instance, error)) {
        return false;
    }
    bool has_ended = instance->state == ENGINE_EXITED || instance->state == ENGINE_DEAD;
    if (has_ended) {
        *ret_exit_code = instance->exit_code;
    } else {
        sy_fail(error, SY_TIMEOUT, "the container %s did not end within %" G_GINT64_FORMAT " ms", instance->name,
                timeout_ms);
    }
    engine_instance_free(instance);
    return has_ended;
}

bool docker_instance_wait(struct engine *engine, const char *id, int64_t timeout_ms, int *ret_exit_code, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_auto(http_reply_t) reply = {0};
    if (!docker_check_name(id, error)) {
        return false;
    }
    g_autofree char *path = g_strdup_printf("/containers/%s/wait", id);
    const struct docker_call call = {.method = "POST", .path = path, .timeout_ms = MAX(timeout_ms, 1)};
    GError *failure = NULL;
    if (!docker_exchange(docker, &call, &reply, &failure)) {
        if (g_error_matches(failure, SY_ERROR, SY_TIMEOUT)) {
            g_error_free(failure);
            return end_wait(docker, id, timeout_ms, ret_exit_code, error);
        }
        g_propagate_error(error, failure);
        return false;
    }
    if (reply.status >= 400) {
        g_autofree char *words = parse_words(reply.body->str, reply.body->len);
        return sy_fail(error, reply.status == 404 ? SY_NOT_FOUND : SY_ENGINE_FAILED, "%s", words);
    }
    return parse_exit_code(reply.body->str, reply.body->len, ret_exit_code, error);
}

/* --- looking --------------------------------------------------------------------------------------------------------------------------- */

bool docker_instance_inspect(struct engine *engine, const char *id, struct engine_instance **ret_instance,
                             GError **error)
{
    return inspect(docker_of(engine), id, ret_instance, error);
}

bool docker_instance_list(struct engine *engine, GPtrArray **ret_instances, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    g_autofree char *filters = docker_filters(docker_of(engine), NULL);
    g_autofree char *path = g_strdup_printf("/containers/json?all=1&filters=%s", filters);
    return docker_get(docker_of(engine), path, &reply, error) &&
           parse_instances(reply.body->str, reply.body->len, engine->installation, ret_instances, error);
}
