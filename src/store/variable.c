#include "base/error.h"
#include "store/resources.h"
#include "store/scope_sql.h"

bool variable_list(struct tx *tx, const struct scope *scope, const char *service_id, const char *environment_id,
                   GPtrArray **ret, GError **error)
{
    return tx_list(tx, &variable_type, ret,
                   "SELECT {} FROM variables WHERE service_id = $1 AND organization_id = $2 AND is_removed = 0 AND "
                   "(CAST($3 AS TEXT) IS NULL OR environment_id = $3) ORDER BY key, id",
                   PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id), P_TEXT(environment_id)), error);
}

bool variable_by_id(struct tx *tx, const struct scope *scope, const char *service_id, const char *id,
                    struct variable **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(
            tx, &variable_type, &row,
            "SELECT {} FROM variables WHERE id = $1 AND service_id = $2 AND organization_id = $3 AND is_removed = 0",
            PARAMS(P_TEXT(id), P_TEXT(service_id), P_TEXT(scope->organization_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "this service has no variable with the id %s", id);
}

bool variable_find(struct tx *tx, const char *service_id, const char *environment_id, const char *key,
                   struct variable **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &variable_type, &row,
                     "SELECT {} FROM variables WHERE service_id = $1 AND key = $2 AND "
                     "COALESCE(environment_id, '') = COALESCE(CAST($3 AS TEXT), '')",
                     PARAMS(P_TEXT(service_id), P_TEXT(key), P_TEXT(environment_id)), error);
    *ret = row;
    return ok;
}

bool variable_insert(struct tx *tx, const struct variable *variable, GError **error)
{
    if (!tx_insert(tx, &variable_type, variable, error)) {
        if (g_error_matches(error != NULL ? *error : NULL, SY_ERROR, SY_ALREADY_EXISTS)) {
            g_clear_error(error);
            sy_fail(error, SY_ALREADY_EXISTS, "there is a variable %s already", variable->key);
        }
        return false;
    }
    return true;
}

bool variable_update(struct tx *tx, struct variable *variable, int64_t now_us, GError **error)
{
    variable->updated_us = now_us;
    variable->revision++;
    return tx_update(tx, &variable_type, variable, error);
}

bool variable_delete(struct tx *tx, const char *id, GError **error)
{
    return tx_exec(tx, "DELETE FROM variables WHERE id = $1", PARAMS(P_TEXT(id)), NULL, error);
}

bool variable_list_effective(struct tx *tx, const char *service_id, const char *environment_id, GPtrArray **ret,
                             GError **error)
{
    return tx_list(tx, &variable_type, ret,
                   "SELECT {v.} FROM variables v WHERE v.service_id = $1 AND v.is_removed = 0 AND "
                   "(v.environment_id = $2 OR (v.environment_id IS NULL AND NOT EXISTS (SELECT 1 FROM variables w "
                   "WHERE w.service_id = $1 AND w.environment_id = $2 AND w.key = v.key))) ORDER BY v.key",
                   PARAMS(P_TEXT(service_id), P_TEXT(environment_id)), error);
}

bool config_version_insert(struct tx *tx, const struct config_version *version, GError **error)
{
    return tx_insert(tx, &config_version_type, version, error);
}

bool config_version_find(struct tx *tx, const char *pair_id, int64_t version, struct config_version **ret,
                         GError **error)
{
    void *row = NULL;
    bool ok =
        tx_get(tx, &config_version_type, &row, "SELECT {} FROM config_versions WHERE pair_id = $1 AND version = $2",
               PARAMS(P_TEXT(pair_id), P_INT(version)), error);
    *ret = row;
    return ok;
}
