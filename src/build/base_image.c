#include <string.h>

#include "base/error.h"
#include "base/http_client.h"
#include "build/base_internal.h"

#define ANSWER_MS 5000
#define ANSWER_LIMIT (1 << 20)
#define NEW_US (INT64_C(60) * 60 * 1000000) /* of an assembled image: several builds in a row share it */
#define PULL_MS (INT64_C(20) * 60 * 1000)

static bool is_cancelled(const struct base *base)
{
    return base->cancelled != NULL && g_atomic_int_get(base->cancelled) != 0;
}

/* --- one at a time -------------------------------------------------------------------------------------------------------- */

/* References that somebody is making, NULL when there are none; guarded by `lock`. A language's image is taken before Debian's, never the other way. */
static GMutex lock;
static GCond left;
static GHashTable *busy;

static bool enter(const struct base *base, GError **error)
{
    g_mutex_lock(&lock);
    while (busy != NULL && g_hash_table_contains(busy, base->reference) && !is_cancelled(base)) {
        g_cond_wait_until(&left, &lock, g_get_monotonic_time() + 100000);
    }
    if (busy == NULL) {
        busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    bool ok = !is_cancelled(base) && g_hash_table_add(busy, g_strdup(base->reference));
    g_mutex_unlock(&lock);
    return ok || sy_fail(error, SY_CANCELLED, "the build was cancelled");
}

static void leave(const struct base *base)
{
    g_mutex_lock(&lock);
    g_hash_table_remove(busy, base->reference);
    if (g_hash_table_size(busy) == 0) {
        g_clear_pointer(&busy, g_hash_table_unref);
    }
    g_cond_broadcast(&left);
    g_mutex_unlock(&lock);
}

/* --- the engine ------------------------------------------------------------------------------------------------------------- */

/* *ret_created_us is CONTRACT_ABSENT when the engine does not have it. */
static bool find(const struct base *base, int64_t *ret_created_us, GError **error)
{
    struct engine *engine = base->options->engine;
    struct engine_image *image = NULL;
    g_autoptr(GError) failure = NULL;
    *ret_created_us = CONTRACT_ABSENT;
    if (engine->ops->image_inspect(engine, base->reference, &image, &failure)) {
        *ret_created_us = image->created_us;
        engine_image_free(image);
        return true;
    }
    if (sy_error_code(failure) != SY_NOT_FOUND) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    return true;
}

static bool give_name(const struct base *base, const char *from, const char *name, GError **error)
{
    struct engine *engine = base->options->engine;
    const char *colon = strrchr(name, ':');
    g_autofree char *repository = g_strndup(name, (gsize)(colon - name));
    return engine->ops->image_tag(engine, from, repository, colon + 1, error);
}

/* Asks the engine to ask the registry (Engine API, /distribution): what the engine reaches counts, not what we reach. */
static bool registry_answers(const struct base *base, const char *reference)
{
    g_autofree char *target = g_strdup_printf("/distribution/%s/json", reference);
    g_autoptr(http_client_t) client = http_client_new(base->options->engine_endpoint, NULL);
    const struct http_exchange exchange = {.method = "GET",
                                           .target = target,
                                           .timeout_ms = ANSWER_MS,
                                           .limit_bytes = ANSWER_LIMIT,
                                           .cancelled = base->cancelled};
    g_auto(http_reply_t) reply = {0};
    g_autoptr(GError) ignored = NULL;
    /* 500: it could not be reached; the others are its own answers. */
    return client != NULL && http_client_call(client, &exchange, &reply, &ignored) && reply.status < 500;
}

/* --- pulling -------------------------------------------------------------------------------------------------------- */

/* "3da95a905ed5: Pull complete"; what else it tells of layers is noise without a terminal. */
static void on_pull_line(const char *line, size_t length, void *arg)
{
    if (g_str_has_suffix(line, ": Pull complete") || g_str_has_prefix(line, "Digest: ")) {
        base_say(arg, "  %s", line);
    }
}

/* By the client, since that can be ended: an answer from the engine would have to be waited for. */
static bool run_pull(const struct base *base, const char *reference, GError **error)
{
    g_auto(workshop_t) shop = {0};
    g_auto(process_result_t) result = {0};
    base_say(base, "pulling %s", reference);
    if (!workshop_open(&shop, base->options, error)) {
        return false;
    }
    g_autoptr(GStrvBuilder) builder = docker_client_argv(&shop.client);
    g_strv_builder_add_many(builder, "pull", reference, NULL);
    g_auto(GStrv) argv = g_strv_builder_end(builder);
    const struct process_spec spec = {.argv = (const char *const *)argv,
                                      .env = (const char *const *)shop.client.env,
                                      .stdin_fd = -1,
                                      .timeout_ms = PULL_MS,
                                      .cancelled = base->cancelled,
                                      .on_line = on_pull_line,
                                      .on_line_arg = (void *)base};
    if (!process_run(&spec, &result, error)) {
        return false;
    }
    if (result.exit_status > 0) {
        sy_fail(error, SY_BUILD_FAILED, "base image %s cannot be pulled: %s", base->reference,
                g_strstrip(result.last_lines));
        sy_error_set_hint(error,
                          "Is the name right? Without a registry: base_images = assemble, or load the image once: "
                          "docker load (docs/how-to/without-a-registry.md).");
        return false;
    }
    return base_judge(base, &result, "its pull", result.last_lines, error);
}

/* --- both ways ------------------------------------------------------------------------------------------------------- */

static bool ensure_debian(const struct base *base, GError **error)
{
    return base_image_ensure(base->options, BASE_DEBIAN, base->is_fresh, base->on_line, base->arg, base->cancelled,
                             error);
}

static bool build_recipe(const struct base *base, const struct base_recipe *recipe, GError **error)
{
    return ensure_debian(base, error) && base_assemble_recipe(base, recipe, error);
}

static bool assemble(const struct base *base, GError **error)
{
    const struct base_recipe *recipe = base_recipe_find(base->reference);
    if (recipe != NULL) {
        return build_recipe(base, recipe, error);
    }
    if (strcmp(base->reference, BASE_DEBIAN) == 0) {
        return base_assemble_debian(base, error);
    }
    if (base_is_debian(base->reference)) { /* another name of the same */
        return ensure_debian(base, error) && give_name(base, BASE_DEBIAN, base->reference, error);
    }
    sy_fail(error, SY_BUILD_FAILED,
            "base image %s is not in the engine, no image registry is reachable, and it is none "
            "that can be assembled here",
            base->reference);
    sy_error_set_hint(error,
                      "Use debian:bookworm-slim or scratch as base, leave the Dockerfile out so that the builder is "
                      "detected, or load the image once: docker load (docs/how-to/without-a-registry.md).");
    return false;
}

static const char *upstream_of(const struct base *base)
{
    const struct base_recipe *recipe = base_recipe_find(base->reference);
    return recipe == NULL ? base->reference : recipe->upstream != NULL ? recipe->upstream : BASE_DEBIAN;
}

static bool pull(const struct base *base, GError **error)
{
    const struct base_recipe *recipe = base_recipe_find(base->reference);
    const char *upstream = upstream_of(base);
    if (recipe != NULL && recipe->upstream == NULL) {
        return build_recipe(base, recipe, error);
    }
    return run_pull(base, upstream, error) && (recipe == NULL || give_name(base, upstream, recipe->name, error));
}

static bool can_be_assembled(const struct base *base)
{
    return base_is_debian(base->reference) || base_recipe_find(base->reference) != NULL;
}

static bool is_allowed(const struct base *base, const char *way)
{
    const char *mode = base->options->base_images != NULL ? base->options->base_images : "auto";
    return strcmp(mode, "auto") == 0 || strcmp(mode, way) == 0;
}

static bool make(const struct base *base, GError **error)
{
    GError *failure = NULL;
    bool is_auto = is_allowed(base, "pull") && is_allowed(base, "assemble");
    if (!is_allowed(base, "pull") || (is_auto && !registry_answers(base, upstream_of(base)))) {
        return is_cancelled(base) ? sy_fail(error, SY_CANCELLED, "the build was cancelled") : assemble(base, error);
    }
    if (pull(base, &failure)) {
        return true;
    }
    if (is_auto && can_be_assembled(base) && !is_cancelled(base)) {
        base_say(base, "  %s", failure->message);
        g_error_free(failure);
        return assemble(base, error);
    }
    g_propagate_error(error, failure);
    return false;
}

/* What cannot be made anew is used as it is; only who cancels ends it. */
static bool refresh(const struct base *base, int64_t created_us, GError **error)
{
    g_autoptr(GError) failure = NULL;
    bool is_new = g_get_real_time() - created_us < NEW_US;
    bool ok = false;
    if (is_allowed(base, "pull") && registry_answers(base, upstream_of(base))) {
        ok = pull(base, &failure);
    } else if (is_allowed(base, "assemble") && can_be_assembled(base)) {
        ok = is_new || assemble(base, &failure);
    } else {
        sy_fail(&failure, SY_UNAVAILABLE, "no image registry is reachable");
    }
    if (is_cancelled(base)) {
        return sy_fail(error, SY_CANCELLED, "the build was cancelled");
    }
    if (!ok) {
        base_say(base, "using %s as the engine has it: %s", base->reference, failure->message);
    }
    return true;
}

bool base_image_ensure(const struct build_options *options, const char *reference, bool is_fresh,
                       process_line_fn on_line, void *arg, const int *cancelled, GError **error)
{
    g_autofree char *name = base_normal_name(reference);
    struct base base = {.options = options,
                        .reference = name,
                        .is_fresh = is_fresh,
                        .on_line = on_line,
                        .arg = arg,
                        .cancelled = cancelled};
    int64_t created_us;
    if (name == NULL) {
        return sy_fail(error, SY_INVALID_INPUT, "FROM %.200s: this is no name of an image", reference);
    }
    if (!find(&base, &created_us, error)) {
        return false;
    }
    if (created_us != CONTRACT_ABSENT && !is_fresh) {
        return true;
    }
    if (!enter(&base, error)) {
        return false;
    }
    bool ok = find(&base, &created_us, error);
    if (ok && created_us == CONTRACT_ABSENT) {
        ok = make(&base, error);
    } else if (ok && is_fresh) {
        ok = refresh(&base, created_us, error);
    }
    leave(&base);
    return ok;
}
