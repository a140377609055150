/* An instance's container is made and started. */
#include "switchyard/controllers/job.h"

#include "base/id.h"

#define STABLE_US (INT64_C(60) * 1000000)

static char **effective_command(const struct deployment *deployment)
{
    char **own = deployment->value.settings.command;
    return own != NULL && own[0] != NULL ? own : deployment->value.default_command;
}

struct state_write {
    const struct job *job;
    enum instance_state state;
    const char *engine_id;
    bool counts_restart;
    int64_t now_us;
};

static bool write_started(struct tx *tx, void *arg, GError **error)
{
    const struct state_write *write = arg;
    g_autoptr(instance_t) row = NULL;
    if (!instance_by_id(tx, write->job->row->id, &row, error) || row == NULL) {
        return *error == NULL;
    }
    if (row->state == INSTANCE_CREATED || row->state == INSTANCE_CRASHED) {
        row->state = INSTANCE_STARTING;
        row->state_since_us = write->now_us;
    }
    if (write->counts_restart) {
        bool was_stable = row->started_us != CONTRACT_ABSENT && write->now_us - row->started_us > STABLE_US;
        row->restarts = was_stable ? 1 : row->restarts + 1;
        int64_t backoff_us = INT64_C(500000) << MIN(row->restarts - 1, 10);
        row->retry_us = write->now_us + MIN(backoff_us, MAX_BACKOFF_US);
    }
    row->started_us = write->now_us;
    g_free(row->engine_id);
    row->engine_id = g_strdup(write->engine_id);
    return instance_update(tx, row, error);
}

bool job_start_container(struct controller *controller, struct job *job, const char *engine_id, GError **error)
{
    struct app *app = controller->app;
    struct state_write write = {
        .job = job,
        .engine_id = engine_id,
        .counts_restart = job->row->started_us != CONTRACT_ABSENT,
        .now_us = clock_wall_us(app->clock),
    };
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->probes, job->row->id);
    g_mutex_unlock(&controller->lock);
    if (!app->engine->ops->instance_start(app->engine, engine_id, error)) {
        return false;
    }
    GError *failure = NULL;
    if (!store_write(app->store, "instance_started", write_started, &write, &failure)) {
        g_propagate_error(error, failure);
        return false;
    }
    job_watch_log(controller, job->pair, job->row, engine_id);
    return true;
}

bool job_create(struct controller *controller, struct job *job, GError **error)
{
    g_autofree char *id = NULL;
    const struct container_plan plan = {
        .name = job->row->name,
        .role = "instance",
        .instance_id = job->row->id,
        .address = job->row->address,
        .command = effective_command(job->deployment),
        .restarts = true,
        .mounts_volumes = true,
    };
    return job_container(controller->app, job, &plan, &id, error) && job_start_container(controller, job, id, error);
}
