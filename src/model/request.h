/* Bodies of requests that are no resource of their own. */
#pragma once

#include "contract/contract.h"

struct build_request {
    char *git_sha;
    char *git_branch;
    char *source;
    int force;
};
extern const struct type build_request_type;
CONTRACT_AUTOPTR(build_request)

struct deploy_request {
    char *release_id;
    char *environment_name;
    int64_t replicas;
    char *reason;
};
extern const struct type deploy_request_type;
CONTRACT_AUTOPTR(deploy_request)

struct rollback_request {
    char *to;
    char *to_release;
    char *reason;
};
extern const struct type rollback_request_type;
CONTRACT_AUTOPTR(rollback_request)

struct scale_request {
    char *environment_name;
    int64_t replicas;
};
extern const struct type scale_request_type;
CONTRACT_AUTOPTR(scale_request)

struct restart_request {
    char *environment_name;
};
extern const struct type restart_request_type;
CONTRACT_AUTOPTR(restart_request)
