#include "switchyard/operations/lost_images.h"

#include "base/error.h"
#include "base/log.h"
#include "store/resources.h"

struct lost_page {
    const char *after;
    GPtrArray *releases;
};

static bool list_lost(struct tx *tx, void *arg, GError **error)
{
    struct lost_page *page = arg;
    g_clear_pointer(&page->releases, g_ptr_array_unref);
    return release_list_lost(tx, page->after, &page->releases, error);
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

/* The tags that the engine has, as a set. */
static GHashTable *list_tags(struct app *app, GError **error)
{
    g_autofree char *prefix = engine_image_prefix(app->installation_id);
    g_autoptr(GPtrArray) tags = NULL;
    if (!app->engine->ops->image_list(app->engine, prefix, &tags, error)) {
        return NULL;
    }
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < tags->len; i++) {
        g_hash_table_add(set, g_strdup(g_ptr_array_index(tags, i)));
    }
    return set;
}

static bool look_at_all(struct app *app, const GPtrArray *releases, GError **error)
{
    g_autoptr(GHashTable) tags = list_tags(app, error);
    for (guint i = 0; tags != NULL && i < releases->len; i++) {
        const struct release *release = g_ptr_array_index(releases, i);
        bool is_listed = release->image_uri != NULL && g_hash_table_contains(tags, release->image_uri);
        if (is_listed && !look_at(app, release, error)) {
            return false;
        }
    }
    return tags != NULL;
}

bool lost_images_look(struct app *app, char **cursor, GError **error)
{
    struct lost_page page = {.after = *cursor};
    bool ok = store_read(app->store, "images_lost", list_lost, &page, error);
    guint n = ok ? page.releases->len : 0;
    ok = ok && (n == 0 || look_at_all(app, page.releases, error));
    if (ok) {
        const struct release *last = n == RELEASES_LOST_PAGE ? g_ptr_array_index(page.releases, n - 1) : NULL;
        g_free(*cursor);
        *cursor = last != NULL ? g_strdup(last->id) : NULL;
    }
    g_clear_pointer(&page.releases, g_ptr_array_unref);
    return ok;
}
