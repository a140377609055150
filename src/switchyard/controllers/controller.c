#include "switchyard/controllers/internal.h"

#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "logs/log_store.h"
#include "switchyard/controllers/log_collector.h"

#define N_WORKERS 4
#define N_JOBS 8
#define N_STOPS 64
#define LEASE_US (INT64_C(10) * 1000000)
#define LEASE_RENEW_US (INT64_C(2) * 1000000)
#define LEASE_MARGIN_US (INT64_C(3) * 1000000)
#define EDGE_LOOK_US (INT64_C(2) * 1000000)
#define EDGE_SYNC_US (INT64_C(60) * 1000000)
#define MS INT64_C(1000)

/* --- the lease ------------------------------------------------------------------------------------------------------------- */

struct leasing {
    struct controller *controller;
    bool is_held;
    int64_t fence;
};

static bool acquire(struct tx *tx, void *arg, GError **error)
{
    struct leasing *leasing = arg;
    g_autofree char *holder = g_strdup_printf("%d@%s/%" G_GINT64_FORMAT, (int)getpid(), g_get_host_name(),
                                              leasing->controller->app->started_us);
    return lease_acquire(tx, "controller", holder, LEASE_US, &leasing->is_held, &leasing->fence, error);
}

static bool release(struct tx *tx, void *arg, GError **error)
{
    const struct leasing *leasing = arg;
    g_autofree char *holder = g_strdup_printf("%d@%s/%" G_GINT64_FORMAT, (int)getpid(), g_get_host_name(),
                                              leasing->controller->app->started_us);
    return lease_release(tx, "controller", holder, error);
}

static void set_leader_until(struct controller *controller, int64_t until_us)
{
    __atomic_store_n(&controller->leader_until_us, until_us, __ATOMIC_SEQ_CST);
}

bool controller_may_act(const struct controller *controller)
{
    int64_t until_us = __atomic_load_n(&controller->leader_until_us, __ATOMIC_SEQ_CST);
    return g_get_monotonic_time() < until_us && g_atomic_int_get(&controller->cancelled) == 0;
}

/* The lease is counted from before the call, so that we stop acting before the database thinks that we may not. */
static void renew_lease(struct controller *controller)
{
    struct leasing leasing = {.controller = controller};
    g_autoptr(GError) error = NULL;
    int64_t before_us = g_get_monotonic_time();
    bool was_leader = controller_may_act(controller);
    if (!store_write(controller->app->store, "lease", acquire, &leasing, &error)) {
        log_failure("controller.lease_failed", error, NULL);
        return;
    }
    set_leader_until(controller, leasing.is_held ? before_us + LEASE_US - LEASE_MARGIN_US : 0);
    if (leasing.is_held && !was_leader) {
        log_event(LOG_INFO, "controller.lease_acquired", NULL);
        controller_resync(controller);
    }
}

/* --- one pair ---------------------------------------------------------------------------------------------------------------- */

struct status_write {
    struct app *app;
    const char *pair_id;
    const struct plan *plan;
    int64_t generation, now_us;
};

static bool write_status(struct tx *tx, void *arg, GError **error)
{
    const struct status_write *write = arg;
    g_autoptr(pair_t) pair = NULL;
    if (!pair_by_id(tx, write->pair_id, &pair, error)) {
        return false;
    }
    if (pair->generation != write->generation) {
        return true; /* something newer is desired: the next pass tells of it */
    }
    pair->status = (int)write->plan->status;
    g_free(pair->status_reason);
    pair->status_reason = g_strdup(write->plan->status_reason);
    if (write->plan->is_converged) {
        pair->observed_generation = write->generation;
    }
    return pair_update(tx, pair, write->now_us, error);
}

static bool update_status(struct pass *pass, const struct plan *plan, GError **error)
{
    const struct pair *pair = pass->pair;
    bool same = pair->status == (int)plan->status && g_strcmp0(pair->status_reason, plan->status_reason) == 0 &&
                (!plan->is_converged || pair->observed_generation == pair->generation);
    if (same) {
        return true;
    }
    struct status_write write = {.app = pass->controller->app,
                                 .pair_id = pair->id,
                                 .plan = plan,
                                 .generation = pair->generation,
                                 .now_us = pass->now_us};
    return store_write(pass->controller->app->store, "pair_status", write_status, &write, error);
}

/* True when the pass did what it could; a failure is tried again with the delay that it returns. */
static bool reconcile(struct controller *controller, const char *pair_id, int64_t not_before_us, int64_t *ret_delay_us,
                      GError **error)
{
    struct pass pass;
    struct plan plan = {0};
    *ret_delay_us = 1000 * MS;
    bool ok = pass_read(&pass, controller, pair_id, not_before_us, error);
    if (ok) {
        struct plan_input input;
        pass_input(&pass, &input);
        plan_pair(&input, pass.now_us, &plan);
        watch_logs(&pass);
        ok = execute_plan(&pass, &plan, error) && update_status(&pass, &plan, error);
        if (ok && plan.is_converged && plan.wake_us == 0 && pass.pair->observed_generation == pass.pair->generation) {
            settled_remember(controller, &pass);
        } else {
            settled_forget(controller, pair_id);
        }
        *ret_delay_us = ok ? (plan.wake_us > 0 ? MAX(plan.wake_us - g_get_real_time(), 5 * MS) : 0) : 1000 * MS;
    }
    plan_clear(&plan);
    pass_clear(&pass);
    return ok;
}

static void work_on(struct controller *controller, const char *pair_id, int64_t since_us)
{
    g_autoptr(GError) error = NULL;
    int64_t delay_us = 0;
    if (!controller_may_act(controller)) {
        return;
    }
    controller_count(&controller->stats.passes);
    if (!reconcile(controller, pair_id, since_us, &delay_us, &error)) {
        if (g_error_matches(error, SY_ERROR, SY_NOT_FOUND)) {
            return;
        }
        log_failure("controller.pass_failed", error, "pair", pair_id, NULL);
        delay_us += g_random_int_range(0, 500) * MS;
    }
    if (delay_us > 0) {
        queue_add(controller->queue, pair_id, g_get_monotonic_time() + delay_us);
    }
}

static gpointer worker(gpointer data)
{
    struct controller *controller = data;
    char *pair_id;
    int64_t since_us;
    while ((pair_id = queue_take(controller->queue, &since_us)) != NULL) {
        work_on(controller, pair_id, since_us);
        queue_done(controller->queue, pair_id);
        g_free(pair_id);
    }
    return NULL;
}

/* --- everything, now and then --------------------------------------------------------------------------------------------------- */

/* Every change brings the table up to date itself. Here it is compared when HAProxy is another process than before, or after
 * a while whatever happened. */
static void look_after_edge(struct controller *controller, int64_t now_us)
{
    g_autoptr(GError) error = NULL;
    struct edge_status status = {0};
    bool ok = edge_start(controller->app->edge, &error) && edge_status(controller->app->edge, &status, &error);
    bool is_due = status.pid != controller->edge_pid || now_us >= controller->next_edge_sync_us;
    if (ok && is_due) {
        ok = edge_table_sync(controller, &error);
        controller->edge_pid = ok ? status.pid : 0;
        controller->next_edge_sync_us = now_us + EDGE_SYNC_US;
    }
    edge_status_clear(&status);
    if (!ok) {
        log_failure("edge.sync_failed", error, NULL);
    }
}

void controller_resync(struct controller *controller)
{
    g_autoptr(GError) error = NULL;
    int64_t begin_us = g_get_monotonic_time();
    g_autoptr(GPtrArray) ids = settled_find_changed(controller, begin_us, &error);
    if (ids == NULL) {
        log_failure("controller.resync_failed", error, NULL);
        return;
    }
    for (guint i = 0; i < ids->len; i++) {
        queue_add(controller->queue, g_ptr_array_index(ids, i), begin_us);
    }
    controller_count(&controller->stats.resyncs);
    __atomic_store_n(&controller->stats.last_resync_us, g_get_monotonic_time() - begin_us, __ATOMIC_RELAXED);
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
        renew_lease(controller);
        int64_t now_us = g_get_monotonic_time();
        if (controller_may_act(controller) && now_us >= next_edge_us) {
            look_after_edge(controller, now_us);
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
    if (event->pair[0] != '\0') {
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
            g_atomic_int_get(&controller->cancelled) == 0) {
            log_event(LOG_WARN, "engine.events_lost", "error", error->message, NULL);
        }
        wait_ms(controller, 1000 + g_random_int_range(0, 500));
        controller_resync(controller); /* what was missed meanwhile */
    }
    return NULL;
}

/* --- life ---------------------------------------------------------------------------------------------------------------------------- */

struct controller *controller_new(struct app *app)
{
    struct controller *controller = g_new0(struct controller, 1);
    controller->app = app;
    controller->queue = queue_new();
    controller->observer = observer_new(app->engine, app->edge);
    controller->threads = g_ptr_array_new();
    controller->jobs = g_thread_pool_new(job_run, controller, N_JOBS, FALSE, NULL);
    controller->stops = g_thread_pool_new(job_run, controller, N_STOPS, FALSE, NULL);
    g_mutex_init(&controller->lock);
    g_mutex_init(&controller->edge_lock);
    g_cond_init(&controller->idle);
    controller->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    controller->probes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    controller->watched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
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
    struct leasing leasing = {.controller = controller};
    g_autoptr(GError) ignored = NULL; /* the lease runs out by itself */
    bool released = store_write(controller->app->store, "lease_release", release, &leasing, &ignored);
    (void)released;
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
    g_hash_table_unref(controller->settled);
    g_clear_pointer(&controller->routing, g_hash_table_unref);
    g_mutex_clear(&controller->lock);
    g_mutex_clear(&controller->edge_lock);
    g_cond_clear(&controller->idle);
    g_free(controller);
}

void controller_wake(struct controller *controller, const char *pair_id)
{
    queue_add(controller->queue, pair_id, g_get_monotonic_time());
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
