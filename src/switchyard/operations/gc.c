#include "switchyard/operations/gc.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "switchyard/operations/source.h"

#define YOUNG_US (INT64_C(3600) * 1000000)
#define DAY_US (INT64_C(86400) * 1000000)
#define KEPT_EVENTS_US (INT64_C(400) * DAY_US)

struct collection {
    struct app *app;
    unsigned flags;
    int64_t now_us;
    int64_t total_bytes; /* everything of ours, then what would be left */
    GPtrArray *releases; /* with images, oldest first */
    GPtrArray *sources;  /* least recently used first */
    GHashTable *needed;  /* release ids and "project/sha256" */
    struct gc_report *report;
};

/* --- what is there, what is needed ----------------------------------------------------------------------------------------- */

static void need(GHashTable *needed, const char *key)
{
    g_hash_table_add(needed, g_strdup(key));
}

/* The newest of each service: of a list from old to new it is the last one seen. */
static void need_newest(struct collection *collection)
{
    g_autoptr(GHashTable) newest = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < collection->releases->len; i++) {
        const struct release *release = g_ptr_array_index(collection->releases, i);
        if (release_has_image(release)) {
            g_hash_table_insert(newest, release->service_id, release->id);
        }
    }
    GHashTableIter iterator;
    gpointer id;
    g_hash_table_iter_init(&iterator, newest);
    while (g_hash_table_iter_next(&iterator, NULL, &id)) {
        need(collection->needed, id);
    }
}

static bool read_needed(struct tx *tx, struct collection *collection, GError **error)
{
    g_autoptr(GPtrArray) pinned = NULL;
    g_clear_pointer(&collection->needed, g_hash_table_unref);
    collection->needed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!deployment_list_pinned_releases(tx, collection->app->config->keep_deployments, &pinned, error)) {
        return false;
    }
    for (guint i = 0; i < pinned->len; i++) {
        need(collection->needed, g_ptr_array_index(pinned, i));
    }
    need_newest(collection);
    return true;
}

static bool read_books(struct tx *tx, void *arg, GError **error)
{
    struct collection *collection = arg;
    g_clear_pointer(&collection->releases, g_ptr_array_unref);
    g_clear_pointer(&collection->sources, g_ptr_array_unref);
    return release_list_with_images(tx, &collection->releases, error) &&
           source_list_all(tx, &collection->sources, error) && read_needed(tx, collection, error);
}

/* --- the decision ---------------------------------------------------------------------------------------------------------------- */

static void tell(struct collection *collection, const char *kind, const char *name, bool goes, const char *reason,
                 int64_t size_bytes)
{
    struct gc_item *item = contract_new(&gc_item_type);
    item->kind = g_strdup(kind);
    item->name = g_strdup(name);
    item->action = g_strdup(goes ? "remove" : "keep");
    item->reason = g_strdup(reason);
    item->size_bytes = size_bytes;
    g_ptr_array_add(collection->report->items, item);
    if (goes) {
        collection->report->freed_bytes += size_bytes;
        collection->total_bytes -= size_bytes;
    }
}

static bool is_within_budget(const struct collection *collection)
{
    return (collection->flags & GC_EVERYTHING) == 0 &&
           collection->total_bytes <= collection->app->config->disk_budget_bytes;
}

/* NULL: it goes. */
static const char *why_image_stays(const struct collection *collection, const struct release *release)
{
    if (g_hash_table_contains(collection->needed, release->id)) {
        return "runs, or is the newest, or a rollback target";
    }
    if (release->image_lost_us != CONTRACT_ABSENT) {
        return "the engine has lost it";
    }
    if (collection->now_us - release->created_us < YOUNG_US) {
        return "younger than an hour";
    }
    return is_within_budget(collection) ? "within the disk budget" : NULL;
}

static const char *why_source_stays(const struct collection *collection, const struct source *source)
{
    if (collection->now_us - source->last_used_us < YOUNG_US) {
        return "used within the last hour";
    }
    return is_within_budget(collection) ? "within the disk budget" : NULL;
}

/* --- carrying it out ---------------------------------------------------------------------------------------------------------------- */

struct image_removal {
    struct collection *collection;
    const char *release_id;
    bool is_marked;
};

/* Looks again: a deploy may have come meanwhile. */
static bool mark_image_removed(struct tx *tx, void *arg, GError **error)
{
    struct image_removal *removal = arg;
    struct collection *collection = removal->collection;
    struct scope scope = app_scope(collection->app);
    g_autoptr(release_t) release = NULL;
    removal->is_marked = false;
    if (!read_needed(tx, collection, error) || !release_by_id(tx, &scope, removal->release_id, &release, error)) {
        return false;
    }
    if (g_hash_table_contains(collection->needed, release->id) || release->image_removed_us != CONTRACT_ABSENT) {
        return true;
    }
    release->image_removed_us = collection->now_us;
    removal->is_marked = true;
    return release_update(tx, release, error);
}

static bool remove_image(struct collection *collection, const struct release *release, GError **error)
{
    struct engine *engine = collection->app->engine;
    struct image_removal removal = {.collection = collection, .release_id = release->id};
    if (!store_write(collection->app->store, "gc_image", mark_image_removed, &removal, error)) {
        return false;
    }
    g_autoptr(GError) failure = NULL;
    if (removal.is_marked && !engine->ops->image_remove(engine, release->image_uri, release->image_digest, &failure)) {
        log_failure("gc.image_stays", failure, "image", release->image_uri,
                    NULL); /* the next run finds its tag again */
    }
    return true;
}

static bool delete_source_row(struct tx *tx, void *arg, GError **error)
{
    return source_delete(tx, ((const struct source *)arg)->id, error);
}

static bool remove_source(struct collection *collection, const struct source *source, GError **error)
{
    g_autofree char *path = source_path(collection->app, source->project_id, source->sha256);
    if (!store_write(collection->app->store, "gc_source", delete_source_row, (void *)source, error)) {
        return false;
    }
    unlink(path);
    return true;
}

static bool collect_images(struct collection *collection, GError **error)
{
    bool is_dry = (collection->flags & GC_DRY_RUN) != 0;
    for (guint i = 0; i < collection->releases->len; i++) {
        const struct release *release = g_ptr_array_index(collection->releases, i);
        const char *reason = why_image_stays(collection, release);
        tell(collection, "image", release->image_uri, reason == NULL, reason != NULL ? reason : "not needed any more",
             MAX(release->size_bytes, 0));
        if (reason == NULL && !is_dry && !remove_image(collection, release, error)) {
            return false;
        }
    }
    return true;
}

static bool collect_sources(struct collection *collection, GError **error)
{
    bool is_dry = (collection->flags & GC_DRY_RUN) != 0;
    for (guint i = 0; i < collection->sources->len; i++) {
        const struct source *source = g_ptr_array_index(collection->sources, i);
        const char *reason = why_source_stays(collection, source);
        tell(collection, "source", source->sha256, reason == NULL, reason != NULL ? reason : "not used lately",
             source->size_bytes);
        if (reason == NULL && !is_dry && !remove_source(collection, source, error)) {
            return false;
        }
    }
    return true;
}

struct book_look {
    const char *tag;
    struct release *release;
};

static bool look_up_tag(struct tx *tx, void *arg, GError **error)
{
    struct book_look *look = arg;
    g_clear_pointer(&look->release, contract_object_free);
    return release_find_by_image(tx, look->tag, &look->release, error);
}

static bool remove_leftover(struct collection *collection, const char *tag, GError **error)
{
    struct engine *engine = collection->app->engine;
    struct book_look look = {.tag = tag};
    bool ok = store_read(collection->app->store, "gc_tag", look_up_tag, &look, error) &&
              engine->ops->image_remove(engine, tag, look.release != NULL ? look.release->image_digest : NULL, error);
    contract_object_free(look.release);
    return ok;
}

/* Tags of images that our books call removed, or do not know: a removal that was interrupted. */
static bool collect_leftovers(struct collection *collection, GError **error)
{
    struct engine *engine = collection->app->engine;
    g_autofree char *prefix = engine_image_prefix(collection->app->installation_id);
    g_autoptr(GPtrArray) tags = NULL;
    if (!engine->ops->image_list(engine, prefix, &tags, error)) {
        return false;
    }
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < collection->releases->len; i++) {
        g_hash_table_add(known, ((struct release *)g_ptr_array_index(collection->releases, i))->image_uri);
    }
    for (guint i = 0; i < tags->len; i++) {
        const char *tag = g_ptr_array_index(tags, i);
        struct engine_image *image = NULL;
        g_autoptr(GError) ignored = NULL;
        if (!g_str_has_prefix(tag, prefix) || g_hash_table_contains(known, tag) ||
            !engine->ops->image_inspect(engine, tag, &image, &ignored)) {
            continue;
        }
        bool is_young = collection->now_us - image->created_us < YOUNG_US; /* perhaps a build that is just ending */
        engine_image_free(image);
        if (!is_young) {
            tell(collection, "image", tag, true, "left over from an interrupted removal", 0);
        }
        if (!is_young && (collection->flags & GC_DRY_RUN) == 0 && !remove_leftover(collection, tag, &ignored)) {
            log_failure("gc.image_stays", ignored, "image", tag, NULL);
        }
    }
    return true;
}

static bool list_instances(struct tx *tx, void *arg, GError **error)
{
    GPtrArray **rows = arg;
    g_clear_pointer(rows, g_ptr_array_unref);
    return instance_list(tx, NULL, rows, error);
}

/* Told, not taken: the controller takes them, one service after the other. The engine is asked before the ledger: a row is
 * written before its container is made. */
static bool tell_strays(struct collection *collection, GError **error)
{
    struct engine *engine = collection->app->engine;
    g_autoptr(GPtrArray) containers = NULL;
    g_autoptr(GPtrArray) rows = NULL;
    if (!engine->ops->instance_list(engine, &containers, error) ||
        !store_read(collection->app->store, "gc_instances", list_instances, &rows, error)) {
        return false;
    }
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < rows->len; i++) {
        g_hash_table_add(known, ((struct instance *)g_ptr_array_index(rows, i))->id);
    }
    for (guint i = 0; i < containers->len; i++) {
        const struct engine_instance *container = g_ptr_array_index(containers, i);
        if (g_strcmp0(container->role, "instance") == 0 && !g_hash_table_contains(known, container->instance)) {
            tell(collection, "container", container->name, true,
                 "no record speaks of it; such ones are stopped one service after the other", 0);
        }
    }
    return true;
}

/* Told, never taken: the cache's records say of nobody that he made them. */
static void tell_build_cache(struct collection *collection)
{
    struct engine *engine = collection->app->engine;
    int64_t bytes = 0;
    g_autoptr(GError) error = NULL;
    if (!engine->ops->build_cache_bytes(engine, &bytes, &error)) {
        log_failure("gc.build_cache_unknown", error, NULL);
    } else if (bytes > 0) {
        tell(collection, "build cache", "of the engine", false,
             "shared by everybody who builds with this engine; bounded by the engine's own builder.gc setting", bytes);
    }
}

static bool collect_logs(struct collection *collection, GError **error)
{
    int64_t freed_bytes = 0;
    if ((collection->flags & GC_DRY_RUN) != 0) {
        return true;
    }
    if (!log_store_trim(collection->app->logs, collection->now_us, &freed_bytes, error)) {
        return false;
    }
    if (freed_bytes > 0) {
        tell(collection, "log", "segments", true, "older or larger than the bounds", freed_bytes);
    }
    return true;
}

static bool trim_rows(struct tx *tx, void *arg, GError **error)
{
    const struct collection *collection = arg;
    return idempotency_trim(tx, collection->now_us - DAY_US, error) &&
           event_trim(tx, collection->now_us - KEPT_EVENTS_US, error);
}

static int64_t sum_of(const struct collection *collection)
{
    int64_t sum = log_store_bytes(collection->app->logs);
    for (guint i = 0; i < collection->releases->len; i++) {
        sum += MAX(((const struct release *)g_ptr_array_index(collection->releases, i))->size_bytes, 0);
    }
    for (guint i = 0; i < collection->sources->len; i++) {
        sum += ((const struct source *)g_ptr_array_index(collection->sources, i))->size_bytes;
    }
    return sum;
}

bool gc_run(struct app *app, unsigned flags, struct gc_report **ret_report, GError **error)
{
    struct collection collection = {.app = app, .flags = flags, .now_us = g_get_real_time()};
    g_autoptr(gc_report_t) report = contract_new(&gc_report_type);
    collection.report = report;
    report->dry_run = (flags & GC_DRY_RUN) != 0;
    report->freed_bytes = 0;
    if (report->items == NULL) {
        report->items = contract_array_new(&gc_item_type);
    }
    bool ok = store_read(app->store, "gc_books", read_books, &collection, error);
    if (ok) {
        collection.total_bytes = sum_of(&collection);
    }
    ok = ok && collect_images(&collection, error) && collect_sources(&collection, error) &&
         collect_logs(&collection, error) && collect_leftovers(&collection, error) && tell_strays(&collection, error) &&
         (report->dry_run > 0 || store_write(app->store, "gc_rows", trim_rows, &collection, error));
    if (ok) {
        tell_build_cache(&collection);
    }
    g_clear_pointer(&collection.releases, g_ptr_array_unref);
    g_clear_pointer(&collection.sources, g_ptr_array_unref);
    g_clear_pointer(&collection.needed, g_hash_table_unref);
    if (ok) {
        *ret_report = g_steal_pointer(&report);
    }
    return ok;
}
