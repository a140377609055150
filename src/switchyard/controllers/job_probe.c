/* Is an instance healthy? */
#include "switchyard/controllers/job.h"

#include <string.h>

#include "switchyard/controllers/probe.h"

#define STAYS_UP_US (INT64_C(3) * 1000000) /* a worker, before it counts as healthy */

/* Nothing to ask: it counts as healthy when it has stayed up for a while. The engine starts it again at once when it ends, so
 * what counts is its last start, not ours. */
static void probe_worker(struct controller *controller, const struct job *job, struct probe_result *ret_result)
{
    struct engine *engine = controller->app->engine;
    struct engine_instance *details = NULL;
    g_autoptr(GError) ignored = NULL; /* asked again in a moment */
    int64_t now_us = clock_wall_us(job->clock);
    int64_t since_us = job->row->started_us;
    bool is_running = job->engine_id != NULL &&
                      engine->ops->instance_inspect(engine, job->engine_id, &details, &ignored) &&
                      details->state == ENGINE_RUNNING;
    if (is_running && details->started_us <= now_us) {
        since_us = MAX(since_us, details->started_us);
    }
    ret_result->is_ok = is_running && now_us - since_us >= STAYS_UP_US;
    g_strlcpy(ret_result->detail, ret_result->is_ok ? "running" : "just started", sizeof ret_result->detail);
    engine_instance_free(details);
}

void job_probe(struct controller *controller, const struct job *job)
{
    struct probe_result result = {.is_ok = true};
    if (job->row->port > 0) {
        probe_instance(job->row->address, job->row->port, &job->deployment->value.settings.health, &result);
    } else {
        probe_worker(controller, job, &result);
    }
    g_mutex_lock(&controller->lock);
    struct probe_record *record = g_hash_table_lookup(controller->probes, job->row->id);
    if (record == NULL) {
        record = g_new0(struct probe_record, 1);
        g_hash_table_insert(controller->probes, g_strdup(job->row->id), record);
    }
    if (strcmp(record->deployment_id, job->deployment->id) != 0) {
        g_strlcpy(record->deployment_id, job->deployment->id, sizeof record->deployment_id);
        record->n_probes = 0;
    }
    record->probed_us = clock_wall_us(job->clock);
    record->is_ok = result.is_ok;
    record->n_probes++;
    g_strlcpy(record->detail, result.detail, sizeof record->detail);
    g_mutex_unlock(&controller->lock);
}
