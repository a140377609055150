/* Bulk stops, step by step: the states and the rule are in plan/pace.h. */
#include "switchyard/controllers/internal.h"

#include "base/log.h"
#include "plan/pace.h"
#include "switchyard/operations/deletion.h"

/* --- pairs that are to leave ------------------------------------------------------------------------------------------------ */

struct advance {
    struct controller *controller;
    struct pair_counts counts;
    GPtrArray *ids; /* of pairs whose turn it is */
};

static bool count_pairs(struct tx *tx, void *arg, GError **error)
{
    return pair_count(tx, &((struct advance *)arg)->counts, error);
}

static bool retire_next(struct tx *tx, void *arg, GError **error)
{
    struct advance *advance = arg;
    const struct app *app = advance->controller->app;
    g_ptr_array_set_size(advance->ids, 0);
    return operation_retire_next(tx, app, "controller", clock_wall_us(app->clock), advance->ids, error);
}

/* Mostly there is no room, or nobody waits: a read finds that out. */
static bool advance_pairs(struct advance *advance, GError **error)
{
    struct controller *controller = advance->controller;
    struct store *store = controller->app->store;
    if (!store_read(store, "pace_count", count_pairs, advance, error)) {
        return false;
    }
    const struct pair_counts *counts = &advance->counts;
    if (counts->waiting == 0 || pace_room(counts->running, counts->leaving) == 0) {
        return true;
    }
    /* Before the commit: any sync that sees it may have to make the edge's table smaller. */
    g_atomic_int_inc(&controller->edge_removals);
    if (!store_write(store, "pace_retire", retire_next, advance, error)) {
        return false;
    }
    for (guint i = 0; i < advance->ids->len; i++) {
        log_event(LOG_INFO, "controller.pair_retired", "pair", g_ptr_array_index(advance->ids, i), NULL);
        controller_wake(controller, g_ptr_array_index(advance->ids, i));
    }
    app_wake_events(controller->app);
    return true;
}

static bool advance_all(struct controller *controller, GError **error)
{
    struct advance advance = {.controller = controller, .ids = g_ptr_array_new_with_free_func(g_free)};
    bool ok = advance_pairs(&advance, error);
    g_ptr_array_unref(advance.ids);
    return ok;
}

static bool end_retirement(struct tx *tx, void *arg, GError **error)
{
    const struct pass *pass = arg;
    g_autoptr(pair_t) pair = NULL;
    if (!pair_by_id(tx, pass->pair->id, &pair, error)) {
        return false;
    }
    bool is_same = pair->leaving_us != CONTRACT_ABSENT && pair->generation == pass->pair->generation;
    return !is_same || operation_end_retirement(tx, pair, pass->now_us, error);
}

bool pace_continue(struct pass *pass, const struct plan *plan, GError **error)
{
    struct controller *controller = pass->controller;
    const struct pair *pair = pass->pair;
    if (pair->leaving_us == CONTRACT_ABSENT) {
        return true;
    }
    if (pair->desired_deployment_id != NULL) {
        return advance_all(controller, error);
    }
    return !plan->is_converged || (store_write(controller->app->store, "pace_end", end_retirement, pass, error) &&
                                   advance_all(controller, error));
}

/* --- containers that no record speaks of ----------------------------------------------------------------------------------------- */

bool pace_begin_orphan(struct controller *controller, const struct pass *pass)
{
    const char *pair_id = pass->pair->id;
    int64_t n_others = g_hash_table_size(controller->clearing);
    int *jobs = g_hash_table_lookup(controller->clearing, pair_id);
    if (jobs == NULL && pace_room(g_hash_table_size(pass->snapshot->by_pair), n_others) == 0) {
        return false;
    }
    if (jobs == NULL) {
        jobs = g_new0(int, 1);
        g_hash_table_insert(controller->clearing, g_strdup(pair_id), jobs);
    }
    (*jobs)++;
    return true;
}

void pace_end_orphan(struct controller *controller, const char *pair_id)
{
    int *jobs = g_hash_table_lookup(controller->clearing, pair_id);
    if (jobs != NULL && --*jobs == 0) {
        g_hash_table_remove(controller->clearing, pair_id);
    }
}
