/* One step of the controller: one look at one pair, and what follows from it. No thread is started and nothing is waited for
 * here, so that a simulation can take the same steps in an order and at times of its own. */
#include "switchyard/controllers/internal.h"

#include "base/error.h"
#include "base/log.h"

#define LEASE_US (INT64_C(10) * 1000000)
#define LEASE_MARGIN_US (INT64_C(3) * 1000000)
#define EDGE_SYNC_US (INT64_C(60) * 1000000)
#define MS INT64_C(1000)

/* --- the lease ------------------------------------------------------------------------------------------------------------- */

struct leasing {
    struct controller *controller;
    bool is_held;
    struct lease_seen seen;
};

static bool acquire(struct tx *tx, void *arg, GError **error)
{
    struct leasing *leasing = arg;
    struct controller *controller = leasing->controller;
    bool is_unrenewed = controller->lease_seen_us > 0 &&
                        clock_monotonic_us(controller->app->clock) - controller->lease_seen_us > LEASE_US;
    return lease_acquire(tx, "controller", controller->app->holder, LEASE_US,
                         is_unrenewed ? &controller->lease_seen : NULL, &leasing->is_held, &leasing->seen, error);
}

static void set_leader_until(struct controller *controller, int64_t until_us)
{
    __atomic_store_n(&controller->leader_until_us, until_us, __ATOMIC_SEQ_CST);
}

bool controller_may_act(const struct controller *controller)
{
    int64_t until_us = __atomic_load_n(&controller->leader_until_us, __ATOMIC_SEQ_CST);
    return clock_monotonic_us(controller->app->clock) < until_us && g_atomic_int_get(&controller->cancelled) == 0;
}

/* Since when another's lease has been as it is: when that is longer than a lease lasts, its holder has stopped acting. */
static void remember_lease(struct controller *controller, const struct leasing *leasing)
{
    bool is_same = controller->lease_seen_us > 0 && leasing->seen.fence == controller->lease_seen.fence &&
                   leasing->seen.until_us == controller->lease_seen.until_us;
    if (leasing->is_held) {
        controller->lease_seen_us = 0;
    } else if (!is_same) {
        controller->lease_seen = leasing->seen;
        controller->lease_seen_us = clock_monotonic_us(controller->app->clock);
    }
}

/* The lease is counted from before the call, so that we stop acting before anybody may think that we do not. */
void controller_renew_lease(struct controller *controller)
{
    struct leasing leasing = {.controller = controller};
    g_autoptr(GError) error = NULL;
    int64_t before_us = clock_monotonic_us(controller->app->clock);
    bool was_leader = controller_may_act(controller);
    if (!store_write(controller->app->store, "lease", acquire, &leasing, &error)) {
        log_failure("controller.lease_failed", error, NULL);
        return;
    }
    remember_lease(controller, &leasing);
    set_leader_until(controller, leasing.is_held ? before_us + LEASE_US - LEASE_MARGIN_US : 0);
    if (leasing.is_held && !was_leader) {
        log_event(LOG_INFO, "controller.lease_acquired", NULL);
        controller_resync(controller);
    }
}

static bool release(struct tx *tx, void *arg, GError **error)
{
    const struct leasing *leasing = arg;
    return lease_release(tx, "controller", leasing->controller->app->holder, error);
}

void controller_release_lease(struct controller *controller)
{
    struct leasing leasing = {.controller = controller};
    g_autoptr(GError) ignored = NULL; /* the lease runs out by itself */
    bool released = store_write(controller->app->store, "lease_release", release, &leasing, &ignored);
    (void)released;
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

/* Nothing is left to do; one that is to leave waits for its turn, so it is looked at at every resync. */
static bool is_settled(const struct pass *pass, const struct plan *plan)
{
    const struct pair *pair = pass->pair;
    return plan->is_converged && plan->wake_us == 0 && pair->observed_generation == pair->generation &&
           pair->leaving_us == CONTRACT_ABSENT;
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
        losses_count(&pass);
        watch_logs(&pass);
        ok = execute_plan(&pass, &plan, error) && (!pass_edge_differs(&pass) || edge_table_sync(controller, error)) &&
             update_status(&pass, &plan, error) && (!plan.is_converged || losses_close(&pass, error)) &&
             pace_continue(&pass, &plan, error);
        if (ok && is_settled(&pass, &plan)) {
            settled_remember(controller, &pass);
        } else {
            settled_forget(controller, pair_id);
        }
        *ret_delay_us =
            ok ? (plan.wake_us > 0 ? MAX(plan.wake_us - clock_wall_us(controller->app->clock), 5 * MS) : 0) : 1000 * MS;
    }
    plan_clear(&plan);
    pass_clear(&pass);
    return ok;
}

void controller_step(struct controller *controller, const char *pair_id, int64_t since_us)
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
        queue_add(controller->queue, pair_id, clock_monotonic_us(controller->app->clock) + delay_us);
    }
}

/* --- everything, now and then --------------------------------------------------------------------------------------------------- */

/* Every change brings the table up to date itself. Here it is compared when HAProxy is another process than before, or after
 * a while whatever happened. */
void controller_look_after_edge(struct controller *controller, int64_t now_us)
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
    if (ok) {
        log_limit_reset(&controller->edge_limit);
    } else if (log_limit_allows(&controller->edge_limit)) {
        log_failure("edge.sync_failed", error, NULL);
    }
}

void controller_resync(struct controller *controller)
{
    g_autoptr(GError) error = NULL;
    int64_t begin_us = clock_monotonic_us(controller->app->clock);
    g_autoptr(GPtrArray) ids = settled_find_changed(controller, begin_us, &error);
    if (ids == NULL) {
        if (log_limit_allows(&controller->resync_limit)) {
            log_failure("controller.resync_failed", error, NULL);
        }
        return;
    }
    log_limit_reset(&controller->resync_limit);
    for (guint i = 0; i < ids->len; i++) {
        queue_add(controller->queue, g_ptr_array_index(ids, i), begin_us);
    }
    controller_count(&controller->stats.resyncs);
    __atomic_store_n(&controller->stats.last_resync_us, clock_monotonic_us(controller->app->clock) - begin_us,
                     __ATOMIC_RELAXED);
}
