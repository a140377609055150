/* A service: what is built and run; defined once in its project. */
#pragma once

#include "contract/contract.h"
#include "model/build_config.h"
#include "model/settings.h"

struct service {
    char *id;
    char *organization_id;
    char *project_id;
    char *project;
    char *name;
    char *git_repo;
    struct build_config build_config;
    struct settings settings;
    int64_t created_us;
    int64_t updated_us;
    int64_t revision;           /* of the row: the ETag */
    int64_t deleted_us;         /* tombstone; absent while it lives */
    int64_t release_counter;    /* last number given to a release */
    int64_t deployment_counter; /* last number given to a deployment */
};
extern const struct type service_type;
CONTRACT_AUTOPTR(service)
