/* How often the engine has started an instance again by itself: kept with the row, so that every process can tell it. */
#include "switchyard/controllers/internal.h"

#include <string.h>

void restarts_note(struct controller *controller, const struct engine_event *event)
{
    g_mutex_lock(&controller->lock);
    if (strcmp(event->action, "start") == 0) {
        g_hash_table_add(controller->started, g_strdup(event->id));
    } else if (strcmp(event->action, "destroy") == 0) {
        g_hash_table_remove(controller->started, event->id);
    }
    g_mutex_unlock(&controller->lock);
}

bool restarts_are_due(struct controller *controller, const char *engine_id)
{
    g_mutex_lock(&controller->lock);
    bool are_due = g_hash_table_remove(controller->started, engine_id);
    g_mutex_unlock(&controller->lock);
    return are_due;
}

static bool write_restarts(struct tx *tx, void *arg, GError **error)
{
    const struct observed_instance *observed = arg;
    g_autoptr(instance_t) row = NULL;
    if (!instance_by_id(tx, observed->row->id, &row, error) || row == NULL) {
        return *error == NULL;
    }
    row->engine_restarts = observed->restarts;
    return instance_update(tx, row, error);
}

bool restarts_remember(const struct pass *pass, GError **error)
{
    for (guint i = 0; i < pass->observed->len; i++) {
        struct observed_instance *observed = &g_array_index(pass->observed, struct observed_instance, i);
        GError *failure = NULL;
        if (observed->restarts > 0 && observed->restarts != observed->row->engine_restarts &&
            !store_write(pass->controller->app->store, "instance_restarts", write_restarts, observed, &failure)) {
            g_propagate_error(error, failure);
            return false;
        }
    }
    return true;
}
