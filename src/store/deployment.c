#include "base/error.h"
#include "base/quantity.h"
#include "store/resources.h"
#include "store/scope_sql.h"

static bool fill_names(struct tx *tx, struct deployment *deployment, GError **error)
{
    g_clear_pointer(&deployment->environment, g_free);
    g_clear_pointer(&deployment->release_version, g_free);
    deployment->release_version = g_strdup(deployment->value.release_version);
    return tx_get_text(tx, &deployment->environment, "SELECT name FROM environments WHERE id = $1",
                       PARAMS(P_TEXT(deployment->environment_id)), error);
}

static bool found(struct tx *tx, bool ok, void *row, struct deployment **ret, GError **error)
{
    if (!ok) {
        return false;
    }
    g_autoptr(deployment_t) deployment = row;
    if (deployment != NULL && !fill_names(tx, deployment, error)) {
        return false;
    }
    *ret = g_steal_pointer(&deployment);
    return true;
}

bool deployment_insert(struct tx *tx, struct deployment *deployment, GError **error)
{
    int64_t number = 0;
    if (!tx_get_int(tx, 0, &number,
                    "UPDATE services SET deployment_counter = COALESCE(deployment_counter, 0) + 1 WHERE id = $1 "
                    "RETURNING deployment_counter",
                    PARAMS(P_TEXT(deployment->service_id)), error)) {
        return false;
    }
    deployment->number = number;
    g_free(deployment->version);
    deployment->version = g_strdup_printf("v%" G_GINT64_FORMAT, number);
    return tx_insert(tx, &deployment_type, deployment, error) && fill_names(tx, deployment, error);
}

bool deployment_by_id(struct tx *tx, const struct scope *scope, const char *id, struct deployment **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &deployment_type, &row,
                     "SELECT {} FROM deployments WHERE id = $1 AND " IN_SCOPE("$2", "$3", "project_id"),
                     PARAMS(P_TEXT(id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error);
    if (!found(tx, ok, row, ret, error)) {
        return false;
    }
    return *ret != NULL || sy_fail(error, SY_NOT_FOUND, "there is no deployment with the id %s", id);
}

bool deployment_by_reference(struct tx *tx, const struct scope *scope, const char *service_id, const char *reference,
                             struct deployment **ret, GError **error)
{
    void *row = NULL;
    int64_t number = -1;
    if (reference[0] == 'v') {
        (void)int_parse(reference + 1, 1, INT64_MAX, &number);
    }
    bool ok = tx_get(tx, &deployment_type, &row,
                     "SELECT {} FROM deployments WHERE service_id = $1 AND (id = $4 OR number = $5) AND " IN_SCOPE(
                         "$2", "$3", "project_id"),
                     PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id),
                            P_TEXT(reference), P_INT(number)),
                     error);
    if (!found(tx, ok, row, ret, error)) {
        return false;
    }
    return *ret != NULL || sy_fail(error, SY_NOT_FOUND, "this service has no deployment %s", reference);
}

bool deployment_list(struct tx *tx, const struct scope *scope, const char *service_id, const struct page *page,
                     GPtrArray **ret, GError **error)
{
    if (!tx_list(tx, &deployment_type, ret,
                 "SELECT {} FROM deployments WHERE service_id = $1 AND " IN_SCOPE(
                     "$2", "$3", "project_id") " AND " PAGE("$4", "$5"),
                 PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id),
                        P_TEXT(page->after), P_INT(page->limit)),
                 error)) {
        return false;
    }
    for (guint i = 0; i < (*ret)->len; i++) {
        if (!fill_names(tx, g_ptr_array_index(*ret, i), error)) {
            g_clear_pointer(ret, g_ptr_array_unref);
            return false;
        }
    }
    return true;
}

bool deployment_find_latest(struct tx *tx, const struct scope *scope, const char *service_id,
                            const char *environment_id, struct deployment **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(
        tx, &deployment_type, &row,
        "SELECT {} FROM deployments WHERE service_id = $1 AND "
        "environment_id = COALESCE(CAST($4 AS TEXT), environment_id) AND " IN_SCOPE(
            "$2", "$3", "project_id") " ORDER BY number DESC LIMIT 1",
        PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id), P_TEXT(environment_id)),
        error);
    return found(tx, ok, row, ret, error);
}

bool deployment_find_way_back(struct tx *tx, const struct deployment *before, struct deployment **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(
        tx, &deployment_type, &row,
        "SELECT {d.} FROM deployments d JOIN releases r ON r.id = d.release_id "
        "WHERE d.pair_id = $1 AND d.number < $2 AND d.was_healthy = 1 AND r.image_removed_at IS NULL AND "
        "r.image_lost_at IS NULL AND "
        "(d.template <> $3 OR d.replicas <> $4) ORDER BY d.number DESC LIMIT 1",
        PARAMS(P_TEXT(before->pair_id), P_INT(before->number), P_TEXT(before->template), P_INT(before->replicas)),
        error);
    return found(tx, ok, row, ret, error);
}

bool deployment_find_by_release(struct tx *tx, const char *pair_id, const char *release_id, struct deployment **ret,
                                GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &deployment_type, &row,
                     "SELECT {} FROM deployments WHERE pair_id = $1 AND release_id = $2 ORDER BY was_healthy DESC, "
                     "number DESC LIMIT 1",
                     PARAMS(P_TEXT(pair_id), P_TEXT(release_id)), error);
    return found(tx, ok, row, ret, error);
}

bool deployment_update(struct tx *tx, struct deployment *deployment, GError **error)
{
    deployment->revision++;
    return tx_update(tx, &deployment_type, deployment, error);
}

bool deployment_set_status(struct tx *tx, struct deployment *deployment, enum deployment_status status, int64_t now_us,
                           GError **error)
{
    if (!deployment_may_become((enum deployment_status)deployment->status, status)) {
        return sy_fail(error, SY_CONFLICT, "deployment %s is %s and cannot become %s", deployment->version,
                       deployment_statuses[deployment->status], deployment_statuses[status]);
    }
    deployment->status = (int)status;
    if (status == DEPLOYMENT_DEPLOYING) {
        deployment->started_us = now_us;
    } else if (deployment->finished_us == CONTRACT_ABSENT) {
        deployment->finished_us = now_us;
    }
    if (status == DEPLOYMENT_RUNNING) {
        deployment->was_healthy = 1;
        deployment->health = HEALTH_HEALTHY;
    }
    return deployment_update(tx, deployment, error);
}

static bool add_id(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    g_ptr_array_add(arg, g_strdup(values[0].text));
    return true;
}

bool deployment_list_pinned_releases(struct tx *tx, int64_t keep, GPtrArray **ret_ids, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    if (!tx_query(
            tx,
            "SELECT DISTINCT release_id FROM (SELECT d.release_id, d.id, d.was_healthy, p.desired_deployment_id AS "
            "desired, p.serving_deployment_id AS serving, ROW_NUMBER() OVER (PARTITION BY d.pair_id, d.was_healthy "
            "ORDER BY d.number DESC) AS place FROM deployments d JOIN pairs p ON p.id = d.pair_id) AS ranked "
            "WHERE id = desired OR id = serving OR (was_healthy = 1 AND place <= $1)",
            PARAMS(P_INT(keep)), add_id, ids, error)) {
        return false;
    }
    *ret_ids = g_steal_pointer(&ids);
    return true;
}

struct counting {
    void (*fn)(const char *status, int64_t count, void *arg);
    void *arg;
};

static bool take_count(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    const struct counting *counting = arg;
    counting->fn(values[0].text, values[1].integer, counting->arg);
    return true;
}

bool deployment_counts(struct tx *tx, void (*fn)(const char *status, int64_t count, void *arg), void *arg,
                       GError **error)
{
    struct counting counting = {.fn = fn, .arg = arg};
    return tx_query(tx, "SELECT status, COUNT(*) FROM deployments GROUP BY status ORDER BY status", NO_PARAMS,
                    take_count, &counting, error);
}
