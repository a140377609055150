#include "store/resources.h"

bool lease_acquire(struct tx *tx, const char *name, const char *holder, int64_t duration_us, bool *ret_held,
                   int64_t *ret_fence, GError **error)
{
    int64_t now_us = 0;
    int64_t fence = -1;
    if (!tx_now(tx, &now_us, error) ||
        !tx_get_int(
            tx, -1, &fence,
            "INSERT INTO leases (id, holder, fence, until) VALUES ($1, $2, 1, $4) ON CONFLICT (id) DO UPDATE SET "
            "holder = $2, until = $4, fence = CASE WHEN leases.holder = $2 THEN leases.fence ELSE leases.fence + 1 "
            "END WHERE leases.holder = $2 OR leases.until < $3 RETURNING fence",
            PARAMS(P_TEXT(name), P_TEXT(holder), P_INT(now_us), P_INT(now_us + duration_us)), error)) {
        return false;
    }
    *ret_held = fence >= 0;
    *ret_fence = fence;
    return true;
}

bool lease_release(struct tx *tx, const char *name, const char *holder, GError **error)
{
    return tx_exec(tx, "UPDATE leases SET until = 0 WHERE id = $1 AND holder = $2",
                   PARAMS(P_TEXT(name), P_TEXT(holder)), NULL, error);
}
