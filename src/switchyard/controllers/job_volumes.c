/* Volumes: a row that proves whose it is, then the engine's object. */
#include "switchyard/controllers/job.h"

#include "base/id.h"

struct volume_job {
    struct app *app;
    const struct job *job;
    GPtrArray *volumes; /* of struct volume, in the order of settings.volumes */
};

static bool ensure_volume_rows(struct tx *tx, void *arg, GError **error)
{
    struct volume_job *volume_job = arg;
    const GPtrArray *wanted = volume_job->job->deployment->value.settings.volumes;
    g_clear_pointer(&volume_job->volumes, g_ptr_array_unref);
    volume_job->volumes = contract_array_new(&volume_type);
    for (guint i = 0; wanted != NULL && i < wanted->len; i++) {
        const struct string_pair *pair = g_ptr_array_index(wanted, i);
        struct volume *volume = NULL;
        if (!volume_find(tx, volume_job->job->pair->id, pair->key, &volume, error)) {
            return false;
        }
        if (volume == NULL) {
            volume = contract_new(&volume_type);
            volume->id = uuid_new();
            volume->organization_id = g_strdup(volume_job->job->pair->organization_id);
            volume->pair_id = g_strdup(volume_job->job->pair->id);
            volume->name = g_strdup(pair->key);
            volume->engine_name =
                g_strdup_printf("enclii-%s-%s", uuid_tail(volume_job->app->installation_id), volume->id);
            volume->created_us = clock_wall_us(volume_job->app->clock);
            if (!volume_insert(tx, volume, error)) {
                contract_object_free(volume);
                return false;
            }
        } else if (volume->tombstoned_us != CONTRACT_ABSENT) {
            volume->tombstoned_us = CONTRACT_ABSENT; /* the deletion of its project was undone */
            if (!volume_update(tx, volume, error)) {
                contract_object_free(volume);
                return false;
            }
        }
        g_ptr_array_add(volume_job->volumes, volume);
    }
    return true;
}

bool job_volumes(struct app *app, const struct job *job, GPtrArray **ret_volumes, GError **error)
{
    struct volume_job volume_job = {.app = app, .job = job};
    bool ok = store_write(app->store, "volumes_ensure", ensure_volume_rows, &volume_job, error);
    for (guint i = 0; ok && i < volume_job.volumes->len; i++) {
        const struct volume *volume = g_ptr_array_index(volume_job.volumes, i);
        g_autofree char *object = g_strdup_printf(ENGINE_LABEL_OBJECT "=%s", volume->id);
        const char *const labels[] = {object, ENGINE_LABEL_ROLE "=volume", NULL};
        ok = app->engine->ops->volume_ensure(app->engine, volume->engine_name, labels, error);
    }
    if (ok) {
        *ret_volumes = volume_job.volumes;
    } else {
        g_clear_pointer(&volume_job.volumes, g_ptr_array_unref);
    }
    return ok;
}
