/* Little of much: what the controller compares of every pair at each resync. */
#include <string.h>

#include "base/id.h"
#include "store/resources.h"

static bool add_pair(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    struct scanned_pair pair = {.revision = values[1].integer};
    g_strlcpy(pair.id, values[0].text, sizeof pair.id);
    g_array_append_val((GArray *)arg, pair);
    return true;
}

static bool add_instance(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    struct scanned_instance instance = {.state_since_us = values[3].integer, .restarts = values[4].integer};
    g_strlcpy(instance.state, values[2].text, sizeof instance.state);
    g_strlcpy(instance.id, values[0].text, sizeof instance.id);
    g_strlcpy(instance.pair_id, values[1].text, sizeof instance.pair_id);
    g_array_append_val((GArray *)arg, instance);
    return true;
}

bool scan_read(struct tx *tx, struct scan *ret_scan, GError **error)
{
    struct scan scan = {
        .pairs = g_array_new(FALSE, FALSE, sizeof(struct scanned_pair)),
        .instances = g_array_new(FALSE, FALSE, sizeof(struct scanned_instance)),
    };
    bool ok = tx_query(tx, "SELECT id, revision FROM pairs ORDER BY id", NO_PARAMS, add_pair, scan.pairs, error) &&
              tx_query(tx, "SELECT id, pair_id, state, state_since, restarts FROM instances ORDER BY pair_id, id",
                       NO_PARAMS, add_instance, scan.instances, error);
    if (!ok) {
        scan_clear(&scan);
        return false;
    }
    scan_clear(ret_scan);
    *ret_scan = scan;
    return true;
}

void scan_clear(struct scan *scan)
{
    g_clear_pointer(&scan->pairs, g_array_unref);
    g_clear_pointer(&scan->instances, g_array_unref);
}
