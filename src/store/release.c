#include "base/error.h"
#include "base/id.h"
#include "base/quantity.h"
#include "model/reply.h"
#include "store/resources.h"
#include "store/scope_sql.h"

bool release_insert(struct tx *tx, struct release *release, GError **error)
{
    int64_t number = 0;
    if (!tx_get_int(tx, 0, &number,
                    "UPDATE services SET release_counter = COALESCE(release_counter, 0) + 1 WHERE id = $1 "
                    "RETURNING release_counter",
                    PARAMS(P_TEXT(release->service_id)), error)) {
        return false;
    }
    release->number = number;
    g_free(release->version);
    release->version = g_strdup_printf("v%" G_GINT64_FORMAT, number);
    return tx_insert(tx, &release_type, release, error);
}

bool release_by_id(struct tx *tx, const struct scope *scope, const char *id, struct release **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &release_type, &row,
                "SELECT {} FROM releases WHERE id = $1 AND " IN_SCOPE("$2", "$3", "project_id"),
                PARAMS(P_TEXT(id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "there is no release with the id %s", id);
}

bool release_by_reference(struct tx *tx, const struct scope *scope, const char *service_id, const char *reference,
                          struct release **ret, GError **error)
{
    void *row = NULL;
    int64_t number = -1;
    if (reference[0] == 'v') {
        (void)int_parse(reference + 1, 1, INT64_MAX, &number);
    }
    bool ok;
    if (g_strcmp0(reference, "latest") == 0) {
        ok = tx_get(tx, &release_type, &row,
                    "SELECT {} FROM releases WHERE service_id = $1 AND status = 'ready' AND image_removed_at IS NULL "
                    "AND " IN_SCOPE("$2", "$3", "project_id") " ORDER BY number DESC LIMIT 1",
                    PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error);
    } else {
        ok = tx_get(tx, &release_type, &row,
                    "SELECT {} FROM releases WHERE service_id = $1 AND (id = $4 OR number = $5) AND " IN_SCOPE(
                        "$2", "$3", "project_id"),
                    PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id),
                           P_TEXT(reference), P_INT(number)),
                    error);
    }
    if (!ok) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "this service has no release %s", reference);
}

bool release_list(struct tx *tx, const struct scope *scope, const char *service_id, const struct page *page,
                  GPtrArray **ret, GError **error)
{
    return tx_list(tx, &release_type, ret,
                   "SELECT {} FROM releases WHERE service_id = $1 AND " IN_SCOPE("$2", "$3",
                                                                                 "project_id") " AND " PAGE("$4", "$5"),
                   PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id),
                          P_TEXT(page->after), P_INT(page->limit)),
                   error);
}

bool release_find_by_fingerprint(struct tx *tx, const char *service_id, const char *fingerprint, struct release **ret,
                                 GError **error)
{
    void *row = NULL;
    bool ok =
        tx_get(tx, &release_type, &row,
               "SELECT {} FROM releases WHERE service_id = $1 AND fingerprint = $2 AND image_removed_at IS NULL AND "
               "image_lost_at IS NULL AND status IN ('queued', 'building', 'ready') ORDER BY number DESC LIMIT 1",
               PARAMS(P_TEXT(service_id), P_TEXT(fingerprint)), error);
    *ret = row;
    return ok;
}

bool release_update(struct tx *tx, struct release *release, GError **error)
{
    release->revision++;
    return tx_update(tx, &release_type, release, error);
}

bool release_set_status(struct tx *tx, struct release *release, enum release_status status, GError **error)
{
    if (!release_may_become((enum release_status)release->status, status)) {
        return sy_fail(error, SY_CONFLICT, "release %s is %s and cannot become %s", release->version,
                       release_statuses[release->status], release_statuses[status]);
    }
    release->status = (int)status;
    return release_update(tx, release, error);
}

bool release_claim(struct tx *tx, const char *owner, int64_t lease_us, struct release **ret, GError **error)
{
    int64_t now_us = 0;
    void *row = NULL;
    *ret = NULL;
    const char *text =
        tx_dialect(tx) == STORE_POSTGRESQL
            ? "SELECT {} FROM releases WHERE status = 'queued' OR (status = 'building' AND lease_until < $1) "
              "ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED"
            : "SELECT {} FROM releases WHERE status = 'queued' OR (status = 'building' AND lease_until < $1) "
              "ORDER BY created_at LIMIT 1";
    if (!tx_now(tx, &now_us, error) || !tx_get(tx, &release_type, &row, text, PARAMS(P_INT(now_us)), error)) {
        return false;
    }
    g_autoptr(release_t) release = row;
    if (release == NULL) {
        return true;
    }
    release->status = RELEASE_BUILDING;
    release->attempts++;
    g_free(release->lease_owner);
    release->lease_owner = g_strdup(owner);
    release->lease_until_us = now_us + lease_us;
    release->started_us = now_us;
    if (!release_update(tx, release, error)) {
        return false;
    }
    *ret = g_steal_pointer(&release);
    return true;
}

bool release_abandon(struct tx *tx, const char *owner, GError **error)
{
    return tx_exec(tx,
                   "UPDATE releases SET status = 'queued', lease_owner = NULL, lease_until = NULL WHERE status = "
                   "'building' AND lease_owner = $1",
                   PARAMS(P_TEXT(owner)), NULL, error);
}

bool release_renew(struct tx *tx, const char *id, const char *owner, int64_t lease_us, bool *ret_held,
                   bool *ret_cancelled, GError **error)
{
    int64_t now_us = 0;
    int64_t cancelled = -1;
    if (!tx_now(tx, &now_us, error) ||
        !tx_get_int(tx, -1, &cancelled,
                    "UPDATE releases SET lease_until = $3 WHERE id = $1 AND lease_owner = $2 AND status = 'building' "
                    "RETURNING cancel_requested",
                    PARAMS(P_TEXT(id), P_TEXT(owner), P_INT(now_us + lease_us)), error)) {
        return false;
    }
    *ret_held = cancelled >= 0;
    *ret_cancelled = cancelled == 1;
    return true;
}

static bool add_recent(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    struct build_recent *recent = contract_new(&build_recent_type);
    recent->status = g_strdup(values[0].text);
    recent->duration_ms = values[1].kind == SQL_INT ? values[1].integer : CONTRACT_ABSENT;
    recent->created_us = values[2].integer;
    g_ptr_array_add(arg, recent);
    return true;
}

bool release_counts(struct tx *tx, int64_t *ret_queued, int64_t *ret_building, GPtrArray **ret_recent, GError **error)
{
    g_autoptr(GPtrArray) recent = contract_array_new(&build_recent_type);
    if (!tx_get_int(tx, 0, ret_queued, "SELECT COUNT(*) FROM releases WHERE status = 'queued'", NO_PARAMS, error) ||
        !tx_get_int(tx, 0, ret_building, "SELECT COUNT(*) FROM releases WHERE status = 'building'", NO_PARAMS, error) ||
        !tx_query(tx, "SELECT status, duration_ms, created_at FROM releases ORDER BY id DESC LIMIT 10", NO_PARAMS,
                  add_recent, recent, error)) {
        return false;
    }
    *ret_recent = g_steal_pointer(&recent);
    return true;
}

bool release_list_with_images(struct tx *tx, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &release_type, ret,
                   "SELECT {} FROM releases WHERE status = 'ready' AND image_removed_at IS NULL ORDER BY created_at",
                   NO_PARAMS, error);
}

bool release_list_lost(struct tx *tx, const char *after, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &release_type, ret,
                   "SELECT {} FROM releases WHERE image_lost_at IS NOT NULL AND image_removed_at IS NULL AND "
                   "id > COALESCE(CAST($1 AS TEXT), '') ORDER BY id LIMIT $2",
                   PARAMS(P_TEXT(after), P_INT(RELEASES_LOST_PAGE)), error);
}

bool release_find_by_image(struct tx *tx, const char *image_uri, struct release **ret, GError **error)
{
    void *row = NULL;
    bool ok =
        tx_get(tx, &release_type, &row, "SELECT {} FROM releases WHERE image_uri = $1 ORDER BY created_at DESC LIMIT 1",
               PARAMS(P_TEXT(image_uri)), error);
    *ret = row;
    return ok;
}
