#include "base/error.h"
#include "store/resources.h"
#include "store/scope_sql.h"

bool service_insert(struct tx *tx, const struct service *service, GError **error)
{
    if (!tx_insert(tx, &service_type, service, error)) {
        if (g_error_matches(error != NULL ? *error : NULL, SY_ERROR, SY_ALREADY_EXISTS)) {
            g_clear_error(error);
            sy_fail(error, SY_ALREADY_EXISTS, "there is a service %s already", service->name);
        }
        return false;
    }
    return true;
}

static bool fill_project(struct tx *tx, struct service *service, GError **error)
{
    return tx_get_text(tx, &service->project, "SELECT slug FROM projects WHERE id = $1",
                       PARAMS(P_TEXT(service->project_id)), error);
}

bool service_by_id(struct tx *tx, const struct scope *scope, const char *id, struct service **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &service_type, &row,
                "SELECT {} FROM services WHERE id = $1 AND deleted_at IS NULL AND " IN_SCOPE("$2", "$3", "project_id"),
                PARAMS(P_TEXT(id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL ? fill_project(tx, row, error)
                       : sy_fail(error, SY_NOT_FOUND, "there is no service with the id %s", id);
}

bool service_by_id_even_deleted(struct tx *tx, const struct scope *scope, const char *id, struct service **ret,
                                GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &service_type, &row,
                "SELECT {} FROM services WHERE id = $1 AND " IN_SCOPE("$2", "$3", "project_id"),
                PARAMS(P_TEXT(id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL ? fill_project(tx, row, error)
                       : sy_fail(error, SY_NOT_FOUND, "there is no service with the id %s", id);
}

bool service_find_by_name(struct tx *tx, const struct scope *scope, const char *project_id, const char *name,
                          struct service **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &service_type, &row,
                "SELECT {} FROM services WHERE project_id = $1 AND name = $2 AND deleted_at IS NULL AND " IN_SCOPE(
                    "$3", "$4", "project_id"),
                PARAMS(P_TEXT(project_id), P_TEXT(name), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)),
                error)) {
        return false;
    }
    *ret = row;
    return row == NULL || fill_project(tx, row, error);
}

bool service_list(struct tx *tx, const struct scope *scope, const char *project_id, const struct page *page,
                  GPtrArray **ret, GError **error)
{
    if (!tx_list(tx, &service_type, ret,
                 "SELECT {} FROM services WHERE project_id = $1 AND deleted_at IS NULL AND " IN_SCOPE(
                     "$2", "$3", "project_id") " AND " PAGE("$4", "$5"),
                 PARAMS(P_TEXT(project_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id),
                        P_TEXT(page->after), P_INT(page->limit)),
                 error)) {
        return false;
    }
    g_autofree char *slug = NULL;
    if (!tx_get_text(tx, &slug, "SELECT slug FROM projects WHERE id = $1", PARAMS(P_TEXT(project_id)), error)) {
        return false;
    }
    for (guint i = 0; i < (*ret)->len; i++) {
        struct service *service = g_ptr_array_index(*ret, i);
        service->project = g_strdup(slug);
    }
    return true;
}

bool service_update(struct tx *tx, struct service *service, int64_t now_us, GError **error)
{
    service->updated_us = now_us;
    service->revision++;
    return tx_update(tx, &service_type, service, error);
}
