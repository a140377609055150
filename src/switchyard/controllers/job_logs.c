/* Whose log is collected, and with what redacted. */
#include "switchyard/controllers/job.h"

#include "base/log.h"
#include "switchyard/controllers/log_collector.h"
#include "switchyard/operations/configuration.h"

struct configuration_read {
    struct app *app;
    const char *pair_id;
    int64_t version;
    const char *deployment_id; /* NULL: `version` is given */
    GPtrArray *entries;
};

static bool read_configuration(struct tx *tx, void *arg, GError **error)
{
    struct configuration_read *read = arg;
    g_clear_pointer(&read->entries, g_ptr_array_unref);
    if (read->deployment_id != NULL) {
        struct scope scope = app_scope(read->app);
        g_autoptr(deployment_t) deployment = NULL;
        if (!deployment_by_id(tx, &scope, read->deployment_id, &deployment, error)) {
            return false;
        }
        read->version = deployment->value.config_version;
    }
    return configuration_load(tx, read->app, read->pair_id, read->version, &read->entries, error);
}

GPtrArray *job_configuration(struct app *app, const char *pair_id, int64_t version, const char *deployment_id,
                             GError **error)
{
    struct configuration_read read = {
        .app = app, .pair_id = pair_id, .version = version, .deployment_id = deployment_id};
    return store_read(app->store, "configuration_load", read_configuration, &read, error) ? read.entries : NULL;
}

static bool mark_watched(struct controller *controller, const char *engine_id)
{
    g_mutex_lock(&controller->lock);
    bool is_new = !g_hash_table_contains(controller->watched, engine_id);
    if (is_new) {
        g_hash_table_add(controller->watched, g_strdup(engine_id));
    }
    g_mutex_unlock(&controller->lock);
    return is_new;
}

void job_watch_log(struct controller *controller, const struct pair *pair, const struct instance *row,
                   const char *engine_id)
{
    if (controller->app->collector == NULL || !mark_watched(controller, engine_id)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) entries = job_configuration(controller->app, pair->id, 0, row->deployment_id, &error);
    if (entries == NULL) {
        /* Without the secrets' values nothing could be redacted, so nothing is collected until they can be read. */
        log_failure("logs.watch_failed", error, "instance", row->name, NULL);
        g_mutex_lock(&controller->lock);
        g_hash_table_remove(controller->watched, engine_id);
        g_mutex_unlock(&controller->lock);
        return;
    }
    g_autofree char *key = g_strdup_printf("%s/%s", pair->service_id, pair->environment_id);
    struct redactor *redactor = configuration_redactor(entries);
    log_collector_watch(controller->app->collector, engine_id, key, row->name, redactor);
    redactor_unref(redactor);
}

void watch_logs(struct pass *pass)
{
    for (guint i = 0; i < pass->rows->len; i++) {
        const struct instance *row = g_ptr_array_index(pass->rows, i);
        const struct engine_instance *container = g_hash_table_lookup(pass->snapshot->by_instance, row->id);
        if (container != NULL && row->state != INSTANCE_STOPPING) {
            job_watch_log(pass->controller, pass->pair, row, container->id);
        }
    }
}
