/* Volumes: data that outlives deployments. Deleting a service leaves a tombstone here and the data in the engine. */
#pragma once

#include "contract/contract.h"

struct volume {
    char *id;
    char *organization_id;
    char *pair_id;
    char *name;
    char *engine_name;
    int64_t created_us;
    int64_t tombstoned_us;
};
extern const struct type volume_type;
CONTRACT_AUTOPTR(volume)
