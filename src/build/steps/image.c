#include <string.h>

#include "base/error.h"
#include "build/steps/steps.h"

/* The image's own words where the source had none. */
static void take_image(struct build *build, const struct engine_image *image)
{
    struct build_result *result = &build->result;
    result->image_uri = g_strdup_printf("%s:%s", build->job->repository, build->job->tag);
    result->image_digest = g_strdup(image->id);
    result->size_bytes = image->size_bytes;
    if (result->default_port <= 0) {
        result->default_port = image->exposed_port;
    }
}

bool step_inspect(struct build *build, GError **error)
{
    struct engine *engine = build->options->engine;
    struct engine_image *image = NULL;
    if (!engine->ops->image_inspect(engine, build->image_id, &image, error)) {
        g_prefix_error(error, "the image was built, but ");
        return false;
    }
    take_image(build, image);
    engine_image_free(image);
    return true;
}

static bool pull(struct build *build, const char *reference, GError **error)
{
    struct engine *engine = build->options->engine;
    g_autoptr(GError) failure = NULL;
    build_say(build, "pulling %s", reference);
    if (engine->ops->image_pull(engine, reference, build_left_ms(build), &failure)) {
        return true;
    }
    if (sy_error_code(failure) == SY_ENGINE_UNAVAILABLE || sy_error_code(failure) == SY_TIMEOUT) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    sy_fail(error, SY_BUILD_FAILED, "the image %s is not in the engine and cannot be pulled: %s", reference,
            failure->message);
    sy_error_set_hint(error, "Is the name right? Without a registry load the image yourself: docker load; see "
                             "docs/how-to/without-a-registry.md.");
    return false;
}

/* A tag may mean another image by now; one that cannot be asked for stays what it is here. */
static void pull_again(struct build *build, const char *reference)
{
    struct engine *engine = build->options->engine;
    g_autoptr(GError) failure = NULL;
    build_say(build, "pulling %s", reference);
    if (!engine->ops->image_pull(engine, reference, build_left_ms(build), &failure)) {
        build_say(build, "using %s as the engine has it: %s", reference, failure->message);
    }
}

static bool inspect_or_pull(struct build *build, const char *reference, struct engine_image **ret_image, GError **error)
{
    struct engine *engine = build->options->engine;
    g_autoptr(GError) absence = NULL;
    struct engine_image *image = NULL;
    if (!engine->ops->image_inspect(engine, reference, &image, &absence)) {
        if (sy_error_code(absence) != SY_NOT_FOUND) {
            g_propagate_error(error, g_steal_pointer(&absence));
            return false;
        }
        return pull(build, reference, error) && engine->ops->image_inspect(engine, reference, ret_image, error);
    }
    if (build->job->is_fresh) {
        engine_image_free(image);
        pull_again(build, reference);
        return engine->ops->image_inspect(engine, reference, ret_image, error);
    }
    build_say(build, "the engine has %s already", reference);
    *ret_image = image;
    return true;
}

bool step_image(struct build *build, GError **error)
{
    const struct build_job *job = build->job;
    struct engine *engine = build->options->engine;
    struct engine_image *image = NULL;
    if (job->config->image == NULL || *job->config->image == '\0' || *job->config->image == '-') {
        return sy_fail(error, SY_INVALID_INPUT, "build.image: name the image");
    }
    if (!inspect_or_pull(build, job->config->image, &image, error)) {
        return false;
    }
    bool ok =
        build_may_go_on(build, error) && engine->ops->image_tag(engine, image->id, job->repository, job->tag, error);
    if (ok) {
        build->result.builder = g_strdup("image");
        build->result.builder_reason = g_strdup_printf("the configuration names the image %s", job->config->image);
        take_image(build, image);
    }
    engine_image_free(image);
    return ok;
}
