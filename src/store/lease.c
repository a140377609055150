#include "store/resources.h"

static bool take_seen(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    *(struct lease_seen *)arg = (struct lease_seen){.fence = values[0].integer, .until_us = values[1].integer};
    return true;
}

bool lease_acquire(struct tx *tx, const char *name, const char *holder, int64_t duration_us,
                   const struct lease_seen *unrenewed, bool *ret_held, struct lease_seen *ret_seen, GError **error)
{
    int64_t now_us = 0;
    struct lease_seen seen = {.fence = -1};
    const struct lease_seen *stale = unrenewed != NULL ? unrenewed : &seen;
    if (!tx_now(tx, &now_us, error) ||
        !tx_query(tx,
                  "INSERT INTO leases (id, holder, fence, until) VALUES ($1, $2, 1, $3) ON CONFLICT (id) DO UPDATE SET "
                  "holder = $2, until = $3, fence = CASE WHEN leases.holder = $2 THEN leases.fence ELSE leases.fence + "
                  "1 END WHERE leases.holder = $2 OR leases.until = 0 OR (leases.fence = $4 AND leases.until = $5) "
                  "RETURNING fence, until",
                  PARAMS(P_TEXT(name), P_TEXT(holder), P_INT(now_us + duration_us), P_INT(stale->fence),
                         P_INT(stale->until_us)),
                  take_seen, &seen, error)) {
        return false;
    }
    *ret_held = seen.fence >= 0;
    if (!*ret_held &&
        !tx_query(tx, "SELECT fence, until FROM leases WHERE id = $1", PARAMS(P_TEXT(name)), take_seen, &seen, error)) {
        return false;
    }
    *ret_seen = seen;
    return true;
}

bool lease_release(struct tx *tx, const char *name, const char *holder, GError **error)
{
    return tx_exec(tx, "UPDATE leases SET until = 0 WHERE id = $1 AND holder = $2",
                   PARAMS(P_TEXT(name), P_TEXT(holder)), NULL, error);
}

/* The row is written, not only read: of two transactions that see the same state, one fails softly and runs again. */
bool lease_confirm(struct tx *tx, const char *name, const char *holder, bool *ret_held, GError **error)
{
    int64_t changed = 0;
    bool ok = tx_exec(tx, "UPDATE leases SET holder = $2 WHERE id = $1 AND holder = $2",
                      PARAMS(P_TEXT(name), P_TEXT(holder)), &changed, error);
    *ret_held = changed > 0;
    return ok;
}
