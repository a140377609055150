#include "store/resources.h"

bool source_find(struct tx *tx, const char *project_id, const char *sha256, struct source **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &source_type, &row, "SELECT {} FROM sources WHERE project_id = $1 AND sha256 = $2",
                     PARAMS(P_TEXT(project_id), P_TEXT(sha256)), error);
    *ret = row;
    return ok;
}

bool source_find_newest(struct tx *tx, const char *project_id, struct source **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &source_type, &row,
                     "SELECT {} FROM sources WHERE project_id = $1 ORDER BY last_used_at DESC, id DESC LIMIT 1",
                     PARAMS(P_TEXT(project_id)), error);
    *ret = row;
    return ok;
}

bool source_insert(struct tx *tx, const struct source *source, GError **error)
{
    return tx_insert(tx, &source_type, source, error);
}

bool source_touch(struct tx *tx, const char *id, int64_t now_us, GError **error)
{
    return tx_exec(tx, "UPDATE sources SET last_used_at = $2 WHERE id = $1", PARAMS(P_TEXT(id), P_INT(now_us)), NULL,
                   error);
}

bool source_list_all(struct tx *tx, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &source_type, ret, "SELECT {} FROM sources ORDER BY last_used_at, id", NO_PARAMS, error);
}

bool source_delete(struct tx *tx, const char *id, GError **error)
{
    return tx_exec(tx, "DELETE FROM sources WHERE id = $1", PARAMS(P_TEXT(id)), NULL, error);
}
