/* The slow actions. Each is idempotent, works on copies, and puts its pair back into the queue when it ends, whatever came of it:
 * the next pass sees what is true. */
#include "switchyard/controllers/job.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"

#define ORPHAN_RETRY_US (INT64_C(1) * 1000000) /* when it is others' turn */

void job_free(struct job *job)
{
    contract_object_free(job->pair);
    contract_object_free(job->row);
    contract_object_free(job->deployment);
    contract_object_free(job->service);
    contract_object_free(job->environment);
    g_free(job->busy_key);
    g_free(job->orphan);
    g_free(job->engine_id);
    g_free(job);
}

void job_start(struct pass *pass, enum action_kind kind, const struct instance *row, const char *orphan)
{
    struct controller *controller = pass->controller;
    struct job *job = g_new0(struct job, 1);
    job->clock = controller->app->clock;
    job->kind = kind;
    job->orphan = g_strdup(orphan);
    job->pair = contract_dup(&pair_type, pass->pair);
    job->row = contract_dup(&instance_type, row);
    job->deployment = contract_dup(&deployment_type, pass->desired);
    job->service = contract_dup(&service_type, pass->service);
    job->environment = contract_dup(&environment_type, pass->environment);
    job->busy_key = row != NULL      ? g_strdup(row->id)
                    : orphan != NULL ? g_strdup(orphan)
                                     : g_strdup_printf("release:%s", pass->pair->id);
    const struct engine_instance *container =
        row != NULL ? g_hash_table_lookup(pass->snapshot->by_instance, row->id) : NULL;
    job->engine_id = container != NULL ? g_strdup(container->id) : NULL;
    g_mutex_lock(&controller->lock);
    bool is_new = !g_hash_table_contains(controller->busy, job->busy_key) &&
                  (orphan == NULL || pace_begin_orphan(controller, pass));
    if (is_new) {
        g_hash_table_add(controller->busy, g_strdup(job->busy_key));
    }
    g_mutex_unlock(&controller->lock);
    if (!is_new && orphan != NULL) {
        queue_add(controller->queue, pass->pair->id, clock_monotonic_us(job->clock) + ORPHAN_RETRY_US);
    }
    if (!is_new) {
        job_free(job);
        return;
    }
    controller->submit(controller, job, kind == ACTION_STOP || kind == ACTION_RELEASE_COMMAND);
}

/* A container that could not be made or started counts like one that ended at once: with back-off, and not for ever. */
struct failure_write {
    const struct job *job;
    const char *detail;
};

static bool write_failure(struct tx *tx, void *arg, GError **error)
{
    const struct failure_write *write = arg;
    int64_t now_us = clock_wall_us(write->job->clock);
    g_autoptr(instance_t) row = NULL;
    if (!instance_by_id(tx, write->job->row->id, &row, error) || row == NULL) {
        return *error == NULL;
    }
    row->restarts++;
    row->retry_us = now_us + MIN(INT64_C(500000) << MIN(row->restarts - 1, 10), MAX_BACKOFF_US);
    g_free(row->health_detail);
    row->health_detail = g_strndup(write->detail, 1000);
    if (write->job->kind == ACTION_RECREATE) {
        g_clear_pointer(&row->engine_id, g_free);
    }
    return instance_update(tx, row, error);
}

/* Somebody else's container has the name that this instance is to have: it leaves, and one with another name takes its slot. */
static bool is_name_taken(const struct app *app, const struct instance *row)
{
    struct engine_instance *there = NULL;
    g_autoptr(GError) ignored = NULL; /* not taken, or not to be known now */
    bool taken = app->engine->ops->instance_inspect(app->engine, row->name, &there, &ignored) &&
                 strcmp(there->instance, row->id) != 0;
    engine_instance_free(there);
    return taken;
}

static void count_failure(struct controller *controller, struct job *job, const GError *failure)
{
    bool starts = job->kind == ACTION_CREATE || job->kind == ACTION_RECREATE || job->kind == ACTION_START;
    bool is_conflict = g_error_matches(failure, SY_ERROR, SY_CONFLICT);
    if (!starts || (!is_conflict && !g_error_matches(failure, SY_ERROR, SY_ENGINE_FAILED))) {
        return; /* an engine that does not answer is no fault of the instance */
    }
    g_autofree char *lost = is_conflict ? NULL : job_note_lost_image(controller->app, job);
    struct failure_write write = {.job = job, .detail = lost != NULL ? lost : failure->message};
    g_autoptr(GError) error = NULL;
    bool ok = is_conflict && is_name_taken(controller->app, job->row)
                  ? store_write(controller->app->store, "instance_leaves", job_write_stopping, job, &error)
                  : store_write(controller->app->store, "instance_failed", write_failure, &write, &error);
    if (!ok) {
        log_failure("controller.write_failed", error, NULL);
    }
}

static bool run(struct controller *controller, struct job *job, GError **error)
{
    switch (job->kind) {
    case ACTION_CREATE:
    case ACTION_RECREATE:
        return job_create(controller, job, error);
    case ACTION_START:
        return job->engine_id == NULL || job_start_container(controller, job, job->engine_id, error);
    case ACTION_PROBE:
        job_probe(controller, job);
        return true;
    case ACTION_STOP:
        return job_stop(controller, job, error);
    case ACTION_REMOVE_ORPHAN:
        return job_remove_container(controller, job->orphan, 10000, error);
    case ACTION_RELEASE_COMMAND:
        return job_release_command(controller, job, error);
    default:
        return true;
    }
}

void job_run(gpointer data, gpointer user_data)
{
    struct job *job = data;
    struct controller *controller = user_data;
    g_autoptr(GError) error = NULL;
    int64_t delay_us = 0;
    if (controller_may_act(controller) && !run(controller, job, &error)) {
        controller_count(&controller->stats.action_failures);
        log_failure("controller.job_failed", error, "action", action_name(job->kind), "pair", job->pair->id, "instance",
                    job->row != NULL ? job->row->name : NULL, NULL);
        count_failure(controller, job, error);
        delay_us = 1000000 + g_random_int_range(0, 500000);
    }
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->busy, job->busy_key);
    if (job->orphan != NULL) {
        pace_end_orphan(controller, job->pair->id);
    }
    g_mutex_unlock(&controller->lock);
    app_wake_events(controller->app);
    queue_add(controller->queue, job->pair->id, clock_monotonic_us(job->clock) + delay_us);
    job_free(job);
}
