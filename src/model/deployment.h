/* A deployment: an immutable value that says all of what runs, and how putting it into service
 * went. */
#pragma once

#include "contract/contract.h"
#include "model/settings.h"

enum deployment_status {
    DEPLOYMENT_PENDING,
    DEPLOYMENT_DEPLOYING,
    DEPLOYMENT_RUNNING,
    DEPLOYMENT_FAILED,
    DEPLOYMENT_SUPERSEDED,
    DEPLOYMENT_CANCELLED,
};
enum deployment_kind {
    DEPLOYMENT_DEPLOY,
    DEPLOYMENT_ROLLBACK,
    DEPLOYMENT_SCALE,
    DEPLOYMENT_CONFIG,
    DEPLOYMENT_RESTART,
};
enum health_state { HEALTH_UNKNOWN, HEALTH_HEALTHY, HEALTH_UNHEALTHY };
extern const char *const deployment_statuses[], *const deployment_kinds[], *const health_states[];
bool deployment_may_become(enum deployment_status from, enum deployment_status to);

struct deployment_value {
    char *release_version;
    char *image;
    char *image_digest;
    int64_t config_version;
    char **default_command;
    struct settings settings;
};
extern const struct type deployment_value_type;
CONTRACT_AUTOPTR(deployment_value)

struct deployment {
    char *id;
    char *organization_id;
    char *project_id;
    char *service_id;
    char *environment_id;
    char *release_id;
    char *pair_id;
    int64_t number; /* version without the v */
    char *version;
    char *release_version;
    char *environment;
    int kind;
    int64_t replicas;
    int status;
    int health;
    char *url;
    char *reason;
    char *error_code;
    char *error_message;
    char *hint;
    struct deployment_value value;
    char *template; /* of the value: equal templates can share instances */
    int64_t config_version;
    char *rolled_back_to;
    int64_t requests_lost;
    int64_t gap_ms; /* nothing ran for so long, as a volume has one writer; absent when there was none */
    char *created_by;
    int64_t created_us;
    int64_t started_us;
    int64_t finished_us;
    int was_healthy;    /* reached running once: a rollback target */
    int64_t generation; /* of the pair when it was made */
    int cancel_requested;
    int release_command_done;
    int64_t revision; /* of the row: the ETag */
};
extern const struct type deployment_type;
CONTRACT_AUTOPTR(deployment)

/* SHA-256 over the members that a container is made from. Deployments that differ only in replicas, routes, health rule or
 * release command have the same one, so scaling replaces nothing. `salt` (may be NULL) makes it unlike: a forced restart. */
char *deployment_template(const struct deployment_value *value, const char *salt);
