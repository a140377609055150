/* An instance: one container of a deployment, with its fixed address; the ledger that the edge's
 * table is derived from. */
#pragma once

#include "contract/contract.h"

enum instance_state {
    INSTANCE_CREATED,  /* has a row and an address */
    INSTANCE_STARTING, /* its container runs; not healthy yet */
    INSTANCE_ROUTED,   /* in the edge's table, gets traffic (or needs none) */
    INSTANCE_DRAINING, /* in the table, gets no new requests */
    INSTANCE_STOPPING, /* out of the table; its container is being stopped and removed */
    INSTANCE_CRASHED,  /* ended by itself; waits for retry_at */
};
extern const char *const instance_states[];

struct instance {
    char *id;
    char *organization_id;
    char *pair_id;
    char *deployment_id;
    char *template; /* of the deployment value it was made from: deployment_template() */
    int64_t slot;
    char *name;
    char *address;
    int64_t port;
    int state;
    char *engine_id; /* of its container; absent before there was one, and when a lost one could not be made again */
    char *health_detail;
    int64_t probes;
    int64_t restarts;        /* by the controller */
    int64_t engine_restarts; /* by the engine, when it was last asked */
    int64_t started_us;
    int64_t state_since_us;
    int64_t retry_us; /* not before, while it crash-loops */
    int64_t created_us;
};
extern const struct type instance_type;
CONTRACT_AUTOPTR(instance)
