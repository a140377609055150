/* Events: the append-only history of everything that happened, with reasons. The number is the SSE
 * id. */
#pragma once

#include "contract/contract.h"

struct event {
    int64_t number;
    char *organization_id;
    char *type;
    char *project_id;
    char *service_id;
    char *environment_id;
    char *deployment_id;
    char *release_id;
    char *message;
    char *data;
    char *actor;
    int64_t created_us;
};
extern const struct type event_type;
CONTRACT_AUTOPTR(event)
