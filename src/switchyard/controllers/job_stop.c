/* An instance leaves. */
#include "switchyard/controllers/job.h"

#include "base/error.h"
#include "switchyard/controllers/log_collector.h"

bool job_write_stopping(struct tx *tx, void *arg, GError **error)
{
    const struct job *job = arg;
    g_autoptr(instance_t) row = NULL;
    if (!instance_by_id(tx, job->row->id, &row, error) || row == NULL || row->state == INSTANCE_STOPPING) {
        return *error == NULL;
    }
    row->state = INSTANCE_STOPPING;
    row->state_since_us = clock_wall_us(job->clock);
    return instance_update(tx, row, error);
}

static bool delete_row(struct tx *tx, void *arg, GError **error)
{
    const struct job *job = arg;
    return instance_delete(tx, job->row->id, error);
}

static bool write_job(struct app *app, const char *name, store_fn fn, struct job *job, GError **error)
{
    GError *failure = NULL;
    bool ok = store_write(app->store, name, fn, job, &failure);
    if (!ok) {
        g_propagate_error(error, failure);
    }
    return ok;
}

bool job_remove_container(struct controller *controller, const char *engine_id, int64_t grace_ms, GError **error)
{
    struct app *app = controller->app;
    if (!app->engine->ops->instance_stop(app->engine, engine_id, grace_ms, error)) {
        return false;
    }
    if (app->collector != NULL) {
        log_collector_drain(app->collector, engine_id, 2000);
        log_collector_unwatch(app->collector, engine_id);
    }
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->watched, engine_id);
    g_mutex_unlock(&controller->lock);
    return app->engine->ops->instance_remove(app->engine, engine_id, error);
}

/* The row goes only when no container of it is left: not the one that the last look showed, and none of its name, which may be a
 * newer one that the look did not show and that holds the address. Should somebody else's container have the name by now, then
 * ours is gone, and theirs is none of our business. */
static bool remove_of_row(struct controller *controller, const struct job *job, int64_t grace_ms, GError **error)
{
    GError *failure = NULL;
    if (job->engine_id != NULL && !job_remove_container(controller, job->engine_id, grace_ms, error)) {
        return false;
    }
    if (job_remove_container(controller, job->row->name, grace_ms, &failure)) {
        return true;
    }
    if (g_error_matches(failure, SY_ERROR, SY_CONFLICT)) {
        g_error_free(failure);
        return true;
    }
    g_propagate_error(error, failure);
    return false;
}

/* Out of the edge first; then the signal; then the container; the row last, because it proves that the container is ours. */
bool job_stop(struct controller *controller, struct job *job, GError **error)
{
    struct app *app = controller->app;
    int64_t grace_ms = job->deployment != NULL ? job->deployment->value.settings.stop.grace_ms : 30000;
    if (!write_job(app, "instance_stopping", job_write_stopping, job, error) || !edge_table_sync(controller, error) ||
        !remove_of_row(controller, job, grace_ms, error)) {
        return false;
    }
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->probes, job->row->id);
    g_mutex_unlock(&controller->lock);
    return write_job(app, "instance_delete", delete_row, job, error);
}
