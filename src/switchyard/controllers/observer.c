#include "switchyard/controllers/observer.h"

struct observer {
    const struct clock *clock;
    struct engine *engine;
    struct edge *edge;
    GMutex lock; /* held while looking: those who wait share the result */
    struct snapshot *current;
};

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    g_atomic_int_inc(&snapshot->refs);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot != NULL && g_atomic_int_dec_and_test(&snapshot->refs)) {
        g_clear_pointer(&snapshot->by_server, g_hash_table_unref);
        g_clear_pointer(&snapshot->servers, g_ptr_array_unref);
        g_hash_table_unref(snapshot->by_pair);
        g_hash_table_unref(snapshot->by_instance);
        g_ptr_array_unref(snapshot->containers);
        g_free(snapshot);
    }
}

struct observer *observer_new(const struct clock *clock, struct engine *engine, struct edge *edge)
{
    struct observer *observer = g_new0(struct observer, 1);
    observer->clock = clock;
    observer->engine = engine;
    observer->edge = edge;
    g_mutex_init(&observer->lock);
    return observer;
}

void observer_free(struct observer *observer)
{
    if (observer != NULL) {
        snapshot_unref(observer->current);
        g_mutex_clear(&observer->lock);
        g_free(observer);
    }
}

static void index_containers(struct snapshot *snapshot)
{
    for (guint i = 0; i < snapshot->containers->len; i++) {
        struct engine_instance *container = g_ptr_array_index(snapshot->containers, i);
        if (g_strcmp0(container->role, "instance") == 0) {
            g_hash_table_insert(snapshot->by_instance, container->instance, container);
        } else if (g_strcmp0(container->role, "release-command") != 0) {
            continue;
        }
        GPtrArray *of_pair = g_hash_table_lookup(snapshot->by_pair, container->pair);
        if (of_pair == NULL) {
            of_pair = g_ptr_array_new();
            g_hash_table_insert(snapshot->by_pair, container->pair, of_pair);
        }
        g_ptr_array_add(of_pair, container);
    }
}

static void look_at_edge(struct observer *observer, struct snapshot *snapshot)
{
    g_autoptr(GError) ignored = NULL; /* an edge that does not answer is seen as not ready */
    snapshot->is_edge_ready = observer->edge != NULL && edge_observe(observer->edge, &snapshot->servers, &ignored);
    if (!snapshot->is_edge_ready) {
        return;
    }
    snapshot->by_server = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < snapshot->servers->len; i++) {
        struct edge_observed_server *server = g_ptr_array_index(snapshot->servers, i);
        g_hash_table_insert(snapshot->by_server, g_strdup_printf("%s/%s", server->backend, server->name), server);
    }
}

static struct snapshot *look(struct observer *observer, GError **error)
{
    GPtrArray *containers = NULL;
    int64_t taken_us = clock_monotonic_us(observer->clock);
    int64_t taken_wall_us = clock_wall_us(observer->clock);
    if (!observer->engine->ops->instance_list(observer->engine, &containers, error)) {
        return NULL;
    }
    struct snapshot *snapshot = g_new0(struct snapshot, 1);
    snapshot->refs = 1;
    snapshot->taken_us = taken_us;
    snapshot->taken_wall_us = taken_wall_us;
    snapshot->containers = containers;
    snapshot->by_instance = g_hash_table_new(g_str_hash, g_str_equal);
    snapshot->by_pair = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    index_containers(snapshot);
    look_at_edge(observer, snapshot);
    return snapshot;
}

struct snapshot *observer_look(struct observer *observer, int64_t not_before_us, GError **error)
{
    g_mutex_lock(&observer->lock);
    struct snapshot *snapshot = NULL;
    if (observer->current != NULL && observer->current->taken_us >= not_before_us) {
        snapshot = snapshot_ref(observer->current);
    } else if ((snapshot = look(observer, error)) != NULL) {
        snapshot_unref(observer->current);
        observer->current = snapshot_ref(snapshot);
    }
    g_mutex_unlock(&observer->lock);
    return snapshot;
}
