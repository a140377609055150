/* What runs: one service in one environment. The row holds the desired deployment and the observed
 * status; its id is the key of the controller's queue. */
#pragma once

#include "contract/contract.h"

enum pair_status { PAIR_IDLE, PAIR_DEPLOYING, PAIR_RUNNING, PAIR_DEGRADED, PAIR_FAILED, PAIR_STOPPED };
extern const char *const pair_statuses[];

struct pair {
    char *id;
    char *organization_id;
    char *project_id;
    char *service_id;
    char *environment_id;
    char *overrides;
    char *desired_deployment_id; /* NULL before the first deploy */
    char *serving_deployment_id; /* the way back when the desired one fails */
    int64_t generation;
    int64_t observed_generation;
    int status;
    char *status_reason;
    char *host;
    int64_t config_version;
    int64_t restart_nonce; /* rises with each forced restart */
    int64_t leaving_us;    /* since when it is to leave (plan/pace.h); absent: it stays */
    int64_t created_us;
    int64_t updated_us;
    int64_t revision; /* of the row: the ETag */
};
extern const struct type pair_type;
CONTRACT_AUTOPTR(pair)
