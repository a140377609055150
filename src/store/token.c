#include "base/error.h"
#include "store/resources.h"

bool token_insert(struct tx *tx, const struct token *token, GError **error)
{
    return tx_insert(tx, &token_type, token, error);
}

bool token_find_by_hash(struct tx *tx, const char *hash, struct token **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &token_type, &row, "SELECT {} FROM tokens WHERE hash = $1 AND revoked_at IS NULL",
                     PARAMS(P_TEXT(hash)), error);
    *ret = row;
    return ok;
}

bool token_list(struct tx *tx, const struct scope *scope, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &token_type, ret,
                   "SELECT {} FROM tokens WHERE organization_id = $1 AND revoked_at IS NULL AND "
                   "(CAST($2 AS TEXT) IS NULL OR project_id = $2) ORDER BY id",
                   PARAMS(P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error);
}

bool token_by_id(struct tx *tx, const struct scope *scope, const char *id, struct token **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &token_type, &row,
                "SELECT {} FROM tokens WHERE id = $1 AND organization_id = $2 AND revoked_at IS NULL AND "
                "(CAST($3 AS TEXT) IS NULL OR project_id = $3)",
                PARAMS(P_TEXT(id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "there is no token with the id %s", id);
}

bool token_revoke(struct tx *tx, const char *id, int64_t now_us, GError **error)
{
    return tx_exec(tx, "UPDATE tokens SET revoked_at = $2 WHERE id = $1", PARAMS(P_TEXT(id), P_INT(now_us)), NULL,
                   error);
}

bool token_touch(struct tx *tx, const char *id, int64_t now_us, GError **error)
{
    return tx_exec(tx, "UPDATE tokens SET last_used_at = $2 WHERE id = $1", PARAMS(P_TEXT(id), P_INT(now_us)), NULL,
                   error);
}
