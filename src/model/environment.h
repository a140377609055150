/* An environment of a project: a network of its own in which services run. */
#pragma once

#include "contract/contract.h"

struct environment {
    char *id;
    char *organization_id;
    char *project_id;
    char *name;
    char *subnet;
    int64_t created_us;
    int64_t updated_us;
    int64_t revision;   /* of the row: the ETag */
    int64_t deleted_us; /* tombstone; absent while it lives */
};
extern const struct type environment_type;
CONTRACT_AUTOPTR(environment)
