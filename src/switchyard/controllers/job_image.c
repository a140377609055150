/* An image that the engine does not have any more: somebody pruned it. */
#include "switchyard/controllers/job.h"

#include "base/error.h"
#include "base/log.h"

struct loss {
    struct app *app;
    const struct job *job;
    char *version; /* of the release */
};

static bool write_loss(struct tx *tx, void *arg, GError **error)
{
    struct loss *loss = arg;
    struct scope scope = app_scope(loss->app);
    g_autoptr(release_t) release = NULL;
    if (!release_by_id(tx, &scope, loss->job->deployment->release_id, &release, error)) {
        return false;
    }
    g_free(loss->version);
    loss->version = g_strdup(release->version);
    if (release->image_removed_us != CONTRACT_ABSENT || release->image_lost_us != CONTRACT_ABSENT) {
        return true;
    }
    release->image_lost_us = clock_wall_us(loss->job->clock);
    return release_update(tx, release, error);
}

static bool is_lost(struct engine *engine, const struct deployment *deployment)
{
    struct engine_image *image = NULL;
    g_autoptr(GError) failure = NULL;
    const char *reference = job_image(deployment);
    bool is_there = reference == NULL || engine->ops->image_inspect(engine, reference, &image, &failure);
    engine_image_free(image);
    return !is_there && g_error_matches(failure, SY_ERROR, SY_NOT_FOUND);
}

char *job_note_lost_image(struct app *app, const struct job *job)
{
    struct loss loss = {.app = app, .job = job};
    g_autoptr(GError) failure = NULL;
    if (!is_lost(app->engine, job->deployment)) {
        return NULL;
    }
    if (!store_write(app->store, "image_lost", write_loss, &loss, &failure)) {
        log_failure("controller.write_failed", failure, NULL);
    }
    g_autofree char *version = loss.version;
    return g_strdup_printf("the engine has lost the image of release %s (a prune takes those that no container uses); "
                           "enclii up builds it again",
                           version != NULL ? version : "?");
}
