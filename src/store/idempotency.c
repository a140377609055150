#include "store/resources.h"

bool idempotency_find(struct tx *tx, const char *id, struct idempotency **ret, GError **error)
{
    void *row = NULL;
    bool ok =
        tx_get(tx, &idempotency_type, &row, "SELECT {} FROM idempotency WHERE id = $1", PARAMS(P_TEXT(id)), error);
    *ret = row;
    return ok;
}

bool idempotency_insert(struct tx *tx, const struct idempotency *row, int64_t expired_us, bool *ret_kept,
                        GError **error)
{
    int64_t n_changed = 0;
    bool ok = tx_exec(
        tx,
        "INSERT INTO idempotency (id, body_sha256, status, body, headers, created_at) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (id) DO UPDATE SET body_sha256 = excluded.body_sha256, status = excluded.status, "
        "body = excluded.body, headers = excluded.headers, created_at = excluded.created_at WHERE "
        "idempotency.created_at <= $7",
        PARAMS(P_TEXT(row->id), P_TEXT(row->body_sha256), P_INT(row->status), P_TEXT(row->body), P_TEXT(row->headers),
               P_INT(row->created_us), P_INT(expired_us)),
        &n_changed, error);
    *ret_kept = n_changed > 0;
    return ok;
}

bool idempotency_trim(struct tx *tx, int64_t older_than_us, GError **error)
{
    return tx_exec(tx, "DELETE FROM idempotency WHERE created_at < $1", PARAMS(P_INT(older_than_us)), NULL, error);
}
