#include "switchyard/operations/deletion.h"

#include "plan/pace.h"
#include "switchyard/operations/deploy.h"
#include "switchyard/operations/history.h"

/* The data stays in the engine; the tombstone says that nobody uses it. */
static bool tombstone_volumes(struct tx *tx, const struct pair *pair, int64_t now_us, GError **error)
{
    g_autoptr(GPtrArray) volumes = NULL;
    if (!volume_list(tx, pair->id, &volumes, error)) {
        return false;
    }
    for (guint i = 0; i < volumes->len; i++) {
        struct volume *volume = g_ptr_array_index(volumes, i);
        if (volume->tombstoned_us == CONTRACT_ABSENT) {
            volume->tombstoned_us = now_us;
            if (!volume_update(tx, volume, error)) {
                return false;
            }
        }
    }
    return true;
}

/* --- one pair ---------------------------------------------------------------------------------------------------------- */

static bool cancel_rollout(struct tx *tx, const struct app *app, const struct pair *pair, const char *actor,
                           int64_t now_us, GError **error)
{
    struct scope scope = app_scope(app);
    g_autoptr(deployment_t) desired = NULL;
    if (pair->desired_deployment_id == NULL) {
        return true;
    }
    if (!deployment_by_id(tx, &scope, pair->desired_deployment_id, &desired, error)) {
        return false;
    }
    bool goes_on = desired->status == DEPLOYMENT_PENDING || desired->status == DEPLOYMENT_DEPLOYING;
    return !goes_on || desired->cancel_requested > 0 || operation_cancel(tx, app, desired, actor, now_us, error);
}

/* staying → waiting. What is not there yet is not made; what serves is kept until its turn. */
static bool leave(struct tx *tx, const struct app *app, struct pair *pair, const char *actor, int64_t now_us,
                  GError **error)
{
    if (pair->leaving_us == CONTRACT_ABSENT) {
        pair->leaving_us = now_us;
    }
    return cancel_rollout(tx, app, pair, actor, now_us, error) && tombstone_volumes(tx, pair, now_us, error) &&
           pair_update(tx, pair, now_us, error);
}

static bool supersede(struct tx *tx, const struct app *app, const char *deployment_id, const char *actor,
                      int64_t now_us, GError **error)
{
    struct scope scope = app_scope(app);
    g_autoptr(deployment_t) deployment = NULL;
    if (deployment_id == NULL) {
        return true;
    }
    if (!deployment_by_id(tx, &scope, deployment_id, &deployment, error)) {
        return false;
    }
    return deployment->status == DEPLOYMENT_SUPERSEDED ||
           !deployment_may_become((enum deployment_status)deployment->status, DEPLOYMENT_SUPERSEDED) ||
           (deployment_set_status(tx, deployment, DEPLOYMENT_SUPERSEDED, now_us, error) &&
            history_of_deployment(tx, app, deployment, "deployment.retired", "its service or environment was deleted",
                                  actor, now_us, error));
}

bool operation_retire(struct tx *tx, const struct app *app, struct pair *pair, const char *actor, int64_t now_us,
                      GError **error)
{
    if (!supersede(tx, app, pair->desired_deployment_id, actor, now_us, error) ||
        !supersede(tx, app, pair->serving_deployment_id, actor, now_us, error) ||
        !tombstone_volumes(tx, pair, now_us, error)) {
        return false;
    }
    if (pair->leaving_us == CONTRACT_ABSENT) {
        pair->leaving_us = now_us;
    }
    g_clear_pointer(&pair->desired_deployment_id, g_free);
    g_clear_pointer(&pair->serving_deployment_id, g_free);
    pair->status = PAIR_IDLE;
    pair->generation++;
    return pair_update(tx, pair, now_us, error);
}

bool operation_end_retirement(struct tx *tx, struct pair *pair, int64_t now_us, GError **error)
{
    g_autoptr(GPtrArray) domains = NULL;
    if (!domain_list_pair(tx, pair->id, &domains, error)) {
        return false;
    }
    for (guint i = 0; i < domains->len; i++) {
        if (!domain_delete(tx, ((const struct domain *)g_ptr_array_index(domains, i))->id, error)) {
            return false;
        }
    }
    g_clear_pointer(&pair->host, g_free);
    pair->leaving_us = CONTRACT_ABSENT;
    return tombstone_volumes(tx, pair, now_us, error) && pair_update(tx, pair, now_us, error);
}

/* --- many ------------------------------------------------------------------------------------------------------------------ */

typedef bool (*pair_fn)(struct tx *tx, const struct app *app, struct pair *pair, const char *actor, int64_t now_us,
                        GError **error);

static bool for_each(struct tx *tx, const struct app *app, const GPtrArray *pairs, pair_fn fn, const char *actor,
                     int64_t now_us, GPtrArray *pair_ids, GError **error)
{
    for (guint i = 0; i < pairs->len; i++) {
        struct pair *pair = g_ptr_array_index(pairs, i);
        if (!fn(tx, app, pair, actor, now_us, error)) {
            return false;
        }
        g_ptr_array_add(pair_ids, g_strdup(pair->id));
    }
    return true;
}

static bool delete_service(struct tx *tx, const struct app *app, struct service *service, pair_fn fn, const char *actor,
                           int64_t now_us, GPtrArray *pair_ids, GError **error)
{
    g_autoptr(GPtrArray) pairs = NULL;
    service->deleted_us = now_us;
    return pair_list(tx, service->id, NULL, &pairs, error) &&
           for_each(tx, app, pairs, fn, actor, now_us, pair_ids, error) && service_update(tx, service, now_us, error);
}

bool operation_delete_service(struct tx *tx, const struct app *app, struct service *service, const char *actor,
                              int64_t now_us, GPtrArray *pair_ids, GError **error)
{
    g_autofree char *message = g_strdup_printf("service %s deleted", service->name);
    const struct history what = {.type = "service.deleted",
                                 .project_id = service->project_id,
                                 .service_id = service->id,
                                 .message = message,
                                 .actor = actor};
    return delete_service(tx, app, service, operation_retire, actor, now_us, pair_ids, error) &&
           history_append(tx, app, &what, now_us, error);
}

bool operation_delete_project(struct tx *tx, const struct app *app, struct project *project, const char *actor,
                              int64_t now_us, GPtrArray *pair_ids, GError **error)
{
    const struct page all = {.limit = 10000};
    const struct history what = {.type = "project.deleted",
                                 .project_id = project->id,
                                 .message = "project deleted; it can be restored for 48 hours",
                                 .actor = actor};
    struct scope scope = app_scope(app);
    g_autoptr(GPtrArray) services = NULL;
    if (!service_list(tx, &scope, project->id, &all, &services, error)) {
        return false;
    }
    for (guint i = 0; i < services->len; i++) {
        struct service *service = g_ptr_array_index(services, i);
        if (!delete_service(tx, app, service, leave, actor, now_us, pair_ids, error)) {
            return false;
        }
    }
    project->deleted_us = now_us;
    return project_update(tx, project, now_us, error) && history_append(tx, app, &what, now_us, error);
}

bool operation_delete_environment(struct tx *tx, const struct app *app, struct environment *environment,
                                  const char *actor, int64_t now_us, GPtrArray *pair_ids, GError **error)
{
    g_autofree char *message = g_strdup_printf("environment %s deleted", environment->name);
    const struct history what = {.type = "environment.deleted",
                                 .project_id = environment->project_id,
                                 .environment_id = environment->id,
                                 .message = message,
                                 .actor = actor};
    g_autoptr(GPtrArray) pairs = NULL;
    environment->deleted_us = now_us;
    return pair_list(tx, NULL, environment->id, &pairs, error) &&
           for_each(tx, app, pairs, leave, actor, now_us, pair_ids, error) &&
           environment_update(tx, environment, now_us, error) && history_append(tx, app, &what, now_us, error);
}

bool operation_deletion_pace(struct tx *tx, int64_t n_pairs, char **ret_words, GError **error)
{
    struct pair_counts counts;
    *ret_words = NULL;
    if (n_pairs <= 1) {
        return true;
    }
    if (!pair_count(tx, &counts, error)) {
        return false;
    }
    int64_t step = pace_step(counts.running);
    *ret_words = step == 1 ? g_strdup("they stop one after the other")
                           : g_strdup_printf("at most %" G_GINT64_FORMAT " of them stop at a time", step);
    return true;
}

bool operation_retire_next(struct tx *tx, const struct app *app, const char *actor, int64_t now_us, GPtrArray *pair_ids,
                           GError **error)
{
    struct pair_counts counts;
    bool is_held = false;
    g_autoptr(GPtrArray) pairs = NULL;
    if (!lease_confirm(tx, "controller", app->holder, &is_held, error) || !pair_count(tx, &counts, error)) {
        return false;
    }
    int64_t room = is_held ? pace_room(counts.running, counts.leaving) : 0;
    return room == 0 || (pair_list_waiting(tx, room, &pairs, error) &&
                         for_each(tx, app, pairs, operation_retire, actor, now_us, pair_ids, error));
}
