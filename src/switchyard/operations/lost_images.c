#include "switchyard/operations/lost_images.h"

#include "base/error.h"
#include "base/log.h"
#include "store/resources.h"

static bool list_lost(struct tx *tx, void *arg, GError **error)
{
    GPtrArray **releases = arg;
    g_clear_pointer(releases, g_ptr_array_unref);
    return release_list_lost(tx, releases, error);
}

struct finding {
    struct app *app;
    const char *release_id;
};

static bool take_mark(struct tx *tx, void *arg, GError **error)
{
    const struct finding *finding = arg;
    struct scope scope = app_scope(finding->app);
    g_autoptr(release_t) release = NULL;
    if (!release_by_id(tx, &scope, finding->release_id, &release, error)) {
        return false;
    }
    release->image_lost_us = CONTRACT_ABSENT;
    return release_update(tx, release, error);
}

/* By its digest: a name alone may stand on another image by now. False as well when the engine could not say. */
static bool is_there(struct engine *engine, const struct release *release)
{
    const char *reference = release->image_digest != NULL ? release->image_digest : release->image_uri;
    struct engine_image *image = NULL;
    g_autoptr(GError) ignored = NULL;
    bool there = engine->ops->image_inspect(engine, reference, &image, &ignored);
    engine_image_free(image);
    return there;
}

static bool look_at(struct app *app, const struct release *release, GError **error)
{
    struct finding finding = {.app = app, .release_id = release->id};
    if (!is_there(app->engine, release)) {
        return true;
    }
    if (!store_write(app->store, "image_found", take_mark, &finding, error)) {
        return false;
    }
    log_event(LOG_INFO, "image.found", "release", release->id, "image", release->image_uri, NULL);
    return true;
}

/* One list for all of them; most stay lost. */
bool lost_images_look(struct app *app, GError **error)
{
    struct engine *engine = app->engine;
    g_autofree char *prefix = engine_image_prefix(app->installation_id);
    g_autoptr(GPtrArray) releases = NULL;
    g_autoptr(GPtrArray) tags = NULL;
    if (!store_read(app->store, "images_lost", list_lost, &releases, error)) {
        return false;
    }
    if (releases->len == 0) {
        return true;
    }
    if (!engine->ops->image_list(engine, prefix, &tags, error)) {
        return false;
    }
    for (guint i = 0; i < releases->len; i++) {
        const struct release *release = g_ptr_array_index(releases, i);
        bool is_listed =
            release->image_uri != NULL && g_ptr_array_find_with_equal_func(tags, release->image_uri, g_str_equal, NULL);
        if (is_listed && !look_at(app, release, error)) {
            return false;
        }
    }
    return true;
}
