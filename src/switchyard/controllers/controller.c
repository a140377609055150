#include "switchyard/controllers/internal.h"

#include "base/error.h"
#include "base/log.h"

#define N_WORKERS 4
#define N_JOBS 8
#define N_STOPS 64
#define LEASE_RENEW_US (INT64_C(2) * 1000000)
#define EDGE_LOOK_US (INT64_C(2) * 1000000)
#define MS INT64_C(1000)

/* --- threads ---------------------------------------------------------------------------------------------------- */

static gpointer worker(gpointer data)
{
    struct controller *controller = data;
    char *pair_id;
    int64_t since_us;
    while ((pair_id = queue_take(controller->queue, &since_us)) != NULL) {
        controller_step(controller, pair_id, since_us);
        queue_done(controller->queue, pair_id);
        g_free(pair_id);
    }
    return NULL;
}

static void wait_ms(struct controller *controller, int64_t ms)
{
    int64_t deadline_us = g_get_monotonic_time() + ms * MS;
    g_mutex_lock(&controller->lock);
    while (g_atomic_int_get(&controller->cancelled) == 0 &&
           g_cond_wait_until(&controller->idle, &controller->lock, deadline_us)) {
    }
    g_mutex_unlock(&controller->lock);
}

static gpointer keeper(gpointer data)
{
    struct controller *controller = data;
    int64_t next_resync_us = 0;
    int64_t next_edge_us = 0;
    while (g_atomic_int_get(&controller->cancelled) == 0) {
        controller_renew_lease(controller);
        int64_t now_us = g_get_monotonic_time();
        if (controller_may_act(controller) && now_us >= next_edge_us) {
            controller_look_after_edge(controller, now_us);
            next_edge_us = now_us + EDGE_LOOK_US;
        }
        if (controller_may_act(controller) && now_us >= next_resync_us) {
            controller_resync(controller);
            next_resync_us = now_us + controller->app->config->resync_ms * MS;
        }
        wait_ms(controller, LEASE_RENEW_US / MS);
    }
    return NULL;
}

static bool on_engine_event(const struct engine_event *event, void *arg)
{
    struct controller *controller = arg;
    log_limit_reset(&controller->events_limit);
    if (event->pair[0] != '\0') {
        restarts_note(controller, event);
        controller_wake(controller, event->pair);
    }
    return true;
}

static gpointer listener(gpointer data)
{
    struct controller *controller = data;
    struct engine *engine = controller->app->engine;
    while (g_atomic_int_get(&controller->cancelled) == 0) {
        g_autoptr(GError) error = NULL;
        if (!engine->ops->events(engine, on_engine_event, controller, &controller->cancelled, &error) &&
            g_atomic_int_get(&controller->cancelled) == 0 && log_limit_allows(&controller->events_limit)) {
            log_event(LOG_WARN, "engine.events_lost", "error", error->message, NULL);
        }
        wait_ms(controller, 1000 + g_random_int_range(0, 500));
        controller_resync(controller); /* what was missed meanwhile */
    }
    return NULL;
}

/* --- life ---------------------------------------------------------------------------------------------------------------------------- */

static void submit_to_pool(struct controller *controller, struct job *job, bool waits_long)
{
    g_thread_pool_push(waits_long ? controller->stops : controller->jobs, job, NULL);
}

struct controller *controller_new(struct app *app)
{
    struct controller *controller = g_new0(struct controller, 1);
    controller->app = app;
    controller->started_wall_us = clock_wall_us(app->clock);
    controller->queue = queue_new(app->clock);
    controller->observer = observer_new(app->clock, app->engine, app->edge);
    controller->threads = g_ptr_array_new();
    controller->submit = submit_to_pool;
    controller->jobs = g_thread_pool_new(job_run, controller, N_JOBS, FALSE, NULL);
    controller->stops = g_thread_pool_new(job_run, controller, N_STOPS, FALSE, NULL);
    g_mutex_init(&controller->lock);
    g_mutex_init(&controller->edge_lock);
    g_cond_init(&controller->idle);
    controller->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    controller->probes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    controller->watched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    controller->started = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    controller->losses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    controller->clearing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    controller->settled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return controller;
}

void controller_start(struct controller *controller)
{
    for (int i = 0; i < N_WORKERS; i++) {
        g_ptr_array_add(controller->threads, g_thread_new("reconcile", worker, controller));
    }
    g_ptr_array_add(controller->threads, g_thread_new("keeper", keeper, controller));
    g_ptr_array_add(controller->threads, g_thread_new("engine-events", listener, controller));
}

void controller_stop(struct controller *controller)
{
    g_atomic_int_set(&controller->cancelled, 1);
    queue_close(controller->queue);
    g_mutex_lock(&controller->lock);
    g_cond_broadcast(&controller->idle);
    g_mutex_unlock(&controller->lock);
    for (guint i = 0; i < controller->threads->len; i++) {
        g_thread_join(g_ptr_array_index(controller->threads, i));
    }
    g_ptr_array_set_size(controller->threads, 0);
    g_thread_pool_free(controller->jobs, FALSE, TRUE);
    g_thread_pool_free(controller->stops, FALSE, TRUE);
    controller->jobs = NULL;
    controller->stops = NULL;
    controller_release_lease(controller);
}

void controller_free(struct controller *controller)
{
    if (controller == NULL) {
        return;
    }
    queue_free(controller->queue);
    observer_free(controller->observer);
    g_ptr_array_unref(controller->threads);
    g_hash_table_unref(controller->busy);
    g_hash_table_unref(controller->probes);
    g_hash_table_unref(controller->watched);
    g_hash_table_unref(controller->started);
    g_hash_table_unref(controller->losses);
    g_hash_table_unref(controller->clearing);
    g_hash_table_unref(controller->settled);
    g_clear_pointer(&controller->routing, g_hash_table_unref);
    g_mutex_clear(&controller->lock);
    g_mutex_clear(&controller->edge_lock);
    g_cond_clear(&controller->idle);
    g_free(controller);
}

void controller_wake(struct controller *controller, const char *pair_id)
{
    queue_add(controller->queue, pair_id, clock_monotonic_us(controller->app->clock));
}

void controller_wake_edge(struct controller *controller)
{
    g_autoptr(GError) error = NULL;
    g_atomic_int_inc(&controller->edge_removals);
    if (controller_may_act(controller) && !edge_table_sync(controller, &error)) {
        log_failure("edge.sync_failed", error, NULL);
    }
}

void controller_stats(struct controller *controller, struct controller_stats *ret_stats)
{
    *ret_stats = controller->stats;
    ret_stats->queue_length = queue_length(controller->queue);
    ret_stats->is_leader = controller_may_act(controller);
}
