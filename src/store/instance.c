#include "store/resources.h"

bool instance_insert(struct tx *tx, const struct instance *instance, GError **error)
{
    return tx_insert(tx, &instance_type, instance, error);
}

bool instance_by_id(struct tx *tx, const char *id, struct instance **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &instance_type, &row, "SELECT {} FROM instances WHERE id = $1", PARAMS(P_TEXT(id)), error);
    *ret = row;
    return ok;
}

bool instance_list(struct tx *tx, const char *pair_id, GPtrArray **ret, GError **error)
{
    if (pair_id == NULL) {
        return tx_list(tx, &instance_type, ret, "SELECT {} FROM instances ORDER BY pair_id, id", NO_PARAMS, error);
    }
    return tx_list(tx, &instance_type, ret, "SELECT {} FROM instances WHERE pair_id = $1 ORDER BY id",
                   PARAMS(P_TEXT(pair_id)), error);
}

bool instance_update(struct tx *tx, struct instance *instance, GError **error)
{
    return tx_update(tx, &instance_type, instance, error);
}

bool instance_delete(struct tx *tx, const char *id, GError **error)
{
    return tx_exec(tx, "DELETE FROM instances WHERE id = $1", PARAMS(P_TEXT(id)), NULL, error);
}

static bool add_address(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    if (values[0].kind == SQL_TEXT) {
        g_hash_table_add(arg, g_strdup(values[0].text));
    }
    return true;
}

bool instance_list_addresses(struct tx *tx, const char *environment_id, GHashTable **ret, GError **error)
{
    g_autoptr(GHashTable) addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!tx_query(tx, "SELECT i.address FROM instances i JOIN pairs p ON p.id = i.pair_id WHERE p.environment_id = $1",
                  PARAMS(P_TEXT(environment_id)), add_address, addresses, error)) {
        return false;
    }
    *ret = g_steal_pointer(&addresses);
    return true;
}
