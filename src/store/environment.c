#include "base/error.h"
#include "store/resources.h"
#include "store/scope_sql.h"

bool environment_insert(struct tx *tx, const struct environment *environment, GError **error)
{
    if (!tx_insert(tx, &environment_type, environment, error)) {
        if (g_error_matches(error != NULL ? *error : NULL, SY_ERROR, SY_ALREADY_EXISTS)) {
            g_clear_error(error);
            sy_fail(error, SY_ALREADY_EXISTS, "there is an environment %s already", environment->name);
        }
        return false;
    }
    return true;
}

bool environment_by_name(struct tx *tx, const struct scope *scope, const char *project_id, const char *name,
                         struct environment **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &environment_type, &row,
                "SELECT {} FROM environments WHERE project_id = $1 AND name = $2 AND deleted_at IS NULL AND " IN_SCOPE(
                    "$3", "$4", "project_id"),
                PARAMS(P_TEXT(project_id), P_TEXT(name), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)),
                error)) {
        return false;
    }
    *ret = row;
    if (row == NULL) {
        sy_fail(error, SY_NOT_FOUND, "there is no environment %s", name);
        sy_error_set_hint(error, "Make it with: enclii environments create %s", name);
    }
    return row != NULL;
}

bool environment_by_id(struct tx *tx, const struct scope *scope, const char *id, struct environment **ret,
                       GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &environment_type, &row,
                "SELECT {} FROM environments WHERE id = $1 AND " IN_SCOPE("$2", "$3", "project_id"),
                PARAMS(P_TEXT(id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "there is no environment with the id %s", id);
}

bool environment_list(struct tx *tx, const struct scope *scope, const char *project_id, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &environment_type, ret,
                   "SELECT {} FROM environments WHERE project_id = $1 AND deleted_at IS NULL AND " IN_SCOPE(
                       "$2", "$3", "project_id") " ORDER BY name",
                   PARAMS(P_TEXT(project_id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error);
}

bool environment_list_all(struct tx *tx, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &environment_type, ret, "SELECT {} FROM environments ORDER BY id", NO_PARAMS, error);
}

bool environment_update(struct tx *tx, struct environment *environment, int64_t now_us, GError **error)
{
    environment->updated_us = now_us;
    environment->revision++;
    return tx_update(tx, &environment_type, environment, error);
}
