/* Leases: who may act. A fencing number rises with each new holder; the expiry is in the database's
 * clock. */
#pragma once

#include "contract/contract.h"

struct lease {
    char *id;
    char *holder;
    int64_t fence;
    int64_t until_us;
};
extern const struct type lease_type;
CONTRACT_AUTOPTR(lease)
