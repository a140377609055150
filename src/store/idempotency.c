#include "store/resources.h"

bool idempotency_find(struct tx *tx, const char *id, struct idempotency **ret, GError **error)
{
    void *row = NULL;
    bool ok =
        tx_get(tx, &idempotency_type, &row, "SELECT {} FROM idempotency WHERE id = $1", PARAMS(P_TEXT(id)), error);
    *ret = row;
    return ok;
}

bool idempotency_insert(struct tx *tx, const struct idempotency *row, GError **error)
{
    return tx_exec(tx,
                   "INSERT INTO idempotency (id, body_sha256, status, body, created_at) VALUES ($1, $2, $3, $4, $5) "
                   "ON CONFLICT (id) DO NOTHING",
                   PARAMS(P_TEXT(row->id), P_TEXT(row->body_sha256), P_INT(row->status), P_TEXT(row->body),
                          P_INT(row->created_us)),
                   NULL, error);
}

bool idempotency_trim(struct tx *tx, int64_t older_than_us, GError **error)
{
    return tx_exec(tx, "DELETE FROM idempotency WHERE created_at < $1", PARAMS(P_INT(older_than_us)), NULL, error);
}
