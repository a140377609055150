/* A project: what its owners see as one application; holds environments and services. */
#pragma once

#include "contract/contract.h"

struct organization {
    char *id;
    char *name;
    char *slug;
    int64_t created_us;
};
extern const struct type organization_type;
CONTRACT_AUTOPTR(organization)

struct project {
    char *id;
    char *organization_id;
    char *name;
    char *slug;
    char *description;
    char *git_repo;
    int64_t created_us;
    int64_t updated_us;
    int64_t revision;   /* of the row: the ETag */
    int64_t deleted_us; /* tombstone; absent while it lives */
};
extern const struct type project_type;
CONTRACT_AUTOPTR(project)
