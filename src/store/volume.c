#include "store/resources.h"

bool volume_find(struct tx *tx, const char *pair_id, const char *name, struct volume **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &volume_type, &row,
                     "SELECT {} FROM volumes WHERE pair_id = $1 AND name = $2 ORDER BY created_at DESC LIMIT 1",
                     PARAMS(P_TEXT(pair_id), P_TEXT(name)), error);
    *ret = row;
    return ok;
}

bool volume_insert(struct tx *tx, const struct volume *volume, GError **error)
{
    return tx_insert(tx, &volume_type, volume, error);
}

bool volume_update(struct tx *tx, struct volume *volume, GError **error)
{
    return tx_update(tx, &volume_type, volume, error);
}

bool volume_list(struct tx *tx, const char *pair_id, GPtrArray **ret, GError **error)
{
    if (pair_id == NULL) {
        return tx_list(tx, &volume_type, ret, "SELECT {} FROM volumes ORDER BY pair_id, name", NO_PARAMS, error);
    }
    return tx_list(tx, &volume_type, ret, "SELECT {} FROM volumes WHERE pair_id = $1 ORDER BY name",
                   PARAMS(P_TEXT(pair_id)), error);
}
