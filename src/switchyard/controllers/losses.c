/* Requests that were lost from the beginning of a deployment until what it replaced is gone, by the edge's own counters: of its
 * backend, requests for which no server could be reached or whose answer broke off. HAProxy counts after its retries. A count
 * that falls was reset by a reload. */
#include <string.h>

#include "base/id.h"
#include "switchyard/controllers/internal.h"

static int64_t errors_now(const struct pass *pass)
{
    g_autofree char *backend = edge_backend_name(pass->pair->id);
    int64_t errors = -1;
    for (guint i = 0; pass->snapshot->servers != NULL && i < pass->snapshot->servers->len; i++) {
        const struct edge_observed_server *server = g_ptr_array_index(pass->snapshot->servers, i);
        if (strcmp(server->backend, backend) == 0) {
            errors = MAX(errors, server->backend_errors);
        }
    }
    return errors;
}

/* With the lock held, as the next. NULL: none of this deployment. */
static struct loss_record *known_record(const struct pass *pass)
{
    struct loss_record *record = g_hash_table_lookup(pass->controller->losses, pass->pair->id);
    return record != NULL && strcmp(record->deployment_id, pass->desired->id) == 0 ? record : NULL;
}

static struct loss_record *record_of(const struct pass *pass, int64_t errors)
{
    struct controller *controller = pass->controller;
    struct loss_record *record = known_record(pass);
    if (record == NULL) {
        record = g_new0(struct loss_record, 1);
        record->errors = errors;
        g_strlcpy(record->deployment_id, pass->desired->id, sizeof record->deployment_id);
        g_hash_table_replace(controller->losses, g_strdup(pass->pair->id), record);
    }
    return record;
}

void losses_count(const struct pass *pass)
{
    int64_t errors = pass->desired != NULL ? errors_now(pass) : -1;
    if (errors < 0) {
        return; /* nothing is wanted, or the edge has nothing of this pair yet */
    }
    g_mutex_lock(&pass->controller->lock);
    bool begins = pass->desired->status <= DEPLOYMENT_DEPLOYING;
    struct loss_record *record = begins ? record_of(pass, errors) : known_record(pass);
    if (record != NULL) {
        record->lost += MAX(errors - record->errors, 0);
        record->errors = errors;
    }
    g_mutex_unlock(&pass->controller->lock);
}

int64_t losses_so_far(const struct pass *pass)
{
    g_mutex_lock(&pass->controller->lock);
    const struct loss_record *record = known_record(pass);
    int64_t lost = record != NULL ? record->lost : 0;
    g_mutex_unlock(&pass->controller->lock);
    return lost;
}

struct loss_write {
    struct app *app;
    const char *deployment_id;
    int64_t lost;
};

static bool write_losses(struct tx *tx, void *arg, GError **error)
{
    const struct loss_write *write = arg;
    struct scope scope = app_scope(write->app);
    g_autoptr(deployment_t) deployment = NULL;
    if (!deployment_by_id(tx, &scope, write->deployment_id, &deployment, error)) {
        return false;
    }
    deployment->requests_lost = write->lost;
    return deployment_update(tx, deployment, error);
}

bool losses_close(const struct pass *pass, GError **error)
{
    if (pass->desired == NULL) {
        return true;
    }
    struct loss_write write = {
        .app = pass->controller->app, .deployment_id = pass->desired->id, .lost = losses_so_far(pass)};
    bool ok = write.lost <= MAX(pass->desired->requests_lost, 0) ||
              store_write(pass->controller->app->store, "requests_lost", write_losses, &write, error);
    if (ok) {
        g_mutex_lock(&pass->controller->lock);
        g_hash_table_remove(pass->controller->losses, pass->pair->id);
        g_mutex_unlock(&pass->controller->lock);
    }
    return ok;
}
