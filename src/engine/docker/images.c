#include <string.h>

#include "base/error.h"
#include "contract/contract.h"
#include "engine/docker/docker.h"

#define PROGRESS_LINE (64 << 10)

/* A reference goes into a path: nothing in it may climb out. Newly allocated, escaped; NULL with SY_INVALID_INPUT. */
static char *escape_reference(const char *reference, GError **error)
{
    size_t length = strlen(reference);
    bool ok = length > 0 && length <= 512 && g_ascii_isalnum(reference[0]) && strstr(reference, "..") == NULL &&
              strstr(reference, "//") == NULL;
    for (size_t i = 0; ok && i < length; i++) {
        ok = g_ascii_isalnum(reference[i]) || strchr("_.-/:@", reference[i]) != NULL;
    }
    if (!ok) {
        sy_fail(error, SY_INVALID_INPUT, "%.80s is no reference of an image", reference);
        return NULL;
    }
    return g_uri_escape_string(reference, "/:@", FALSE);
}

bool docker_image_inspect(struct engine *engine, const char *reference, struct engine_image **ret_image, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    g_autofree char *escaped = escape_reference(reference, error);
    if (escaped == NULL) {
        return false;
    }
    g_autofree char *path = g_strdup_printf("/images/%s/json", escaped);
    return docker_get(docker_of(engine), path, &reply, error) &&
           parse_image(reply.body->str, reply.body->len, ret_image, error);
}

bool docker_image_tag(struct engine *engine, const char *reference, const char *repository, const char *tag,
                      GError **error)
{
    g_autofree char *escaped = escape_reference(reference, error);
    if (escaped == NULL) {
        return false;
    }
    g_autofree char *repository_escaped = g_uri_escape_string(repository, NULL, FALSE);
    g_autofree char *tag_escaped = g_uri_escape_string(tag, NULL, FALSE);
    g_autofree char *path = g_strdup_printf("/images/%s/tag?repo=%s&tag=%s", escaped, repository_escaped, tag_escaped);
    return docker_change(docker_of(engine), "POST", path, NULL, 0, error);
}

/* --- pulling --------------------------------------------------------------------------------------------------------------------- */

struct pull {
    GString *line;
    char *failure;
    int64_t deadline_us;
    bool is_late;
};

/* The reply is 200 at once; how it went is told in lines of JSON. */
static bool on_progress(const void *bytes, size_t length, void *arg)
{
    struct pull *pull = arg;
    const char *text = bytes;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n') {
            if (pull->failure == NULL) {
                pull->failure = parse_progress_failure(pull->line->str, pull->line->len);
            }
            g_string_truncate(pull->line, 0);
        } else if (pull->line->len < PROGRESS_LINE) {
            g_string_append_c(pull->line, text[i]);
        }
    }
    pull->is_late = g_get_monotonic_time() > pull->deadline_us;
    return !pull->is_late;
}

static bool end_pull(struct pull *pull, const char *reference, int64_t timeout_ms, GError **error)
{
    if (pull->is_late) {
        return sy_fail(error, SY_TIMEOUT, "pulling %s did not end within %" G_GINT64_FORMAT " ms", reference,
                       timeout_ms);
    }
    if (pull->failure == NULL) {
        pull->failure = parse_progress_failure(pull->line->str, pull->line->len);
    }
    return pull->failure == NULL || sy_fail(error, SY_ENGINE_FAILED, "pulling %s failed: %s", reference, pull->failure);
}

/* Without a tag the engine would fetch every one there is. */
static bool has_tag(const char *reference)
{
    const char *last = strrchr(reference, '/');
    return strpbrk(last != NULL ? last : reference, ":@") != NULL;
}

bool docker_image_pull(struct engine *engine, const char *reference, int64_t timeout_ms, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    g_autofree char *checked = escape_reference(reference, error);
    if (checked == NULL) {
        return false;
    }
    timeout_ms = MAX(timeout_ms, 1);
    struct pull pull = {.line = g_string_new(NULL), .deadline_us = g_get_monotonic_time() + timeout_ms * 1000};
    g_autofree char *escaped = g_uri_escape_string(reference, NULL, FALSE);
    g_autofree char *path =
        g_strdup_printf("/images/create?fromImage=%s%s", escaped, has_tag(reference) ? "" : "&tag=latest");
    const struct docker_call call = {
        .method = "POST", .path = path, .timeout_ms = timeout_ms, .on_body = on_progress, .on_body_arg = &pull};
    GError *failure = NULL;
    bool ok = docker_exchange(docker_of(engine), &call, &reply, &failure);
    if (!ok) {
        g_propagate_prefixed_error(error, failure, "pulling %s: ", reference);
    } else if (reply.status >= 400) {
        g_autofree char *words = parse_words(reply.body->str, reply.body->len);
        ok = sy_fail(error, reply.status == 404 ? SY_NOT_FOUND : SY_ENGINE_FAILED, "pulling %s failed: %s", reference,
                     words);
    } else {
        ok = end_pull(&pull, reference, timeout_ms, error);
    }
    g_string_free(pull.line, TRUE);
    g_free(pull.failure);
    return ok;
}

/* --- removing ----------------------------------------------------------------------------------------------------------------------- */

/* A name proves nothing: anybody can give it. */
static bool is_ours(const struct docker *docker, const char *reference, const struct engine_image *image,
                    const char *known_id)
{
    g_autofree char *prefix = engine_image_prefix(docker->engine.installation);
    const char *label = string_map_get(image->labels, ENGINE_LABEL_INSTALLATION);
    bool is_known = known_id != NULL && strcmp(image->id, known_id) == 0;
    return (is_known && g_str_has_prefix(reference, prefix)) || g_strcmp0(label, docker->engine.installation) == 0;
}

bool docker_image_remove(struct engine *engine, const char *reference, const char *known_id, GError **error)
{
    struct docker *docker = docker_of(engine);
    struct engine_image *image = NULL;
    GError *failure = NULL;
    if (!docker_image_inspect(engine, reference, &image, &failure)) {
        if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
            g_error_free(failure);
            return true;
        }
        g_propagate_error(error, failure);
        return false;
    }
    bool ours = is_ours(docker, reference, image, known_id);
    engine_image_free(image);
    if (!ours) {
        return sy_fail(error, SY_CONFLICT, "the image %s is not of this installation", reference);
    }
    g_autofree char *escaped = escape_reference(reference, error);
    g_autofree char *path = g_strdup_printf("/images/%s", escaped);
    return docker_change(docker, "DELETE", path, NULL, 404, error);
}

bool docker_image_list(struct engine *engine, const char *repository_prefix, GPtrArray **ret_tags, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    return docker_get(docker_of(engine), "/images/json", &reply, error) &&
           parse_image_tags(reply.body->str, reply.body->len, engine->installation, repository_prefix, ret_tags, error);
}

bool docker_build_cache_bytes(struct engine *engine, int64_t *ret_bytes, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_auto(http_reply_t) reply = {0};
    const struct docker_call call = {.method = "GET", .path = "/system/df", .timeout_ms = DOCKER_CHANGE_MS};
    return docker_call(docker, &call, &reply, error) &&
           parse_build_cache(reply.body->str, reply.body->len, ret_bytes, error);
}
