/* The planner of one (service, environment) pair: what to do next, and why.
 *
 * plan_pair(desired, observed, now) is pure: no I/O, no clock, no randomness, same input same output. It is level-triggered:
 * it is asked again after every action and event, so an action that was lost is planned again and one that was done is not.
 *
 * What it promises, whatever the input:
 *   - an instance that gets traffic is drained only when every instance of the desired template is routed and up (or the pair is
 *     to be stopped, or has one writer);
 *   - at most `replicas` instances of the desired template exist, besides those that are leaving;
 *   - a deployment that fails its gate takes nothing away from what serves;
 *   - nothing wanted means nothing is created;
 *   - a deployment that is going on comes to an end while engine and edge answer;
 *   - a busy instance (an action on it is running) is left alone;
 *   - when everything is as desired, there is no action (`is_converged`).
 *
 * Order of life of an instance: created → starting → routed → draining → stopping → gone.
 * Strategy: all new instances start beside the old ones, pass the gate together, are routed together; then the old ones are
 * drained. A pair with a volume has one writer: the old one ends first, and the gap is said. */
#pragma once

#include "model/deployment.h"
#include "model/instance.h"
#include "model/pair.h"

enum container_state { CONTAINER_MISSING, CONTAINER_STOPPED, CONTAINER_RUNNING, CONTAINER_RESTARTING };

/* One instance: its ledger row and what engine, edge and probes say of it. All borrowed. */
struct observed_instance {
    const struct instance *row;
    bool is_busy;
    enum container_state container;
    int exit_code;           /* -1: unknown */
    const char *start_error; /* the engine's words when it could not start it; else NULL */
    bool was_oom_killed;
    int64_t restarts; /* by the engine; 0 unknown */
    bool is_in_edge, is_edge_up;
    int64_t edge_sessions;       /* requests it is serving now */
    bool is_edge_observed_since; /* the edge was looked at after row->state_since */
    int64_t probed_us;           /* 0: never since it started */
    bool is_probe_ok;
    int64_t n_probes;
    const char *probe_detail;
};

struct plan_input {
    const struct pair *pair;
    const struct deployment *desired; /* NULL: nothing is to run */
    const struct observed_instance *instances;
    size_t n_instances;
    const char *const *orphans; /* engine ids of our containers of this pair without a ledger row; NULL-ended */
    bool is_engine_ready;
    bool is_edge_ready;
    const char *edge_refusal; /* why the edge did not take the last change of routes; NULL: it did */
    bool is_release_command_busy;
};

enum action_kind {
    ACTION_BEGIN,           /* the deployment: pending → deploying */
    ACTION_CANCEL,          /* as its owner asked: back to what serves */
    ACTION_RELEASE_COMMAND, /* run it once */
    ACTION_CREATE,          /* a new ledger row for `slot`, then its container */
    ACTION_RECREATE,        /* the container of an existing row is gone */
    ACTION_START,           /* its container is there but does not run */
    ACTION_PROBE,
    ACTION_ROUTE, /* give it traffic */
    ACTION_DRAIN, /* no new requests */
    ACTION_STOP,  /* out of the edge, signal, remove container and row */
    ACTION_REMOVE_ORPHAN,
    ACTION_FINISH, /* the deployment: deploying → running; it serves from now on */
    ACTION_FAIL,   /* the deployment: → failed; back to what serves */
};

struct action {
    enum action_kind kind;
    const char *instance_id; /* borrowed from the input; NULL when it concerns none */
    const char *orphan;
    int64_t slot;
    char *reason;           /* in words, for the history */
    const char *error_code; /* ACTION_FAIL */
};

struct plan {
    GArray *actions; /* of struct action, in order */
    int64_t wake_us; /* look again at this time at the latest; 0: when something happens */
    bool is_converged;
    enum pair_status status;
    char *status_reason;
};

void plan_pair(const struct plan_input *input, int64_t now_us, struct plan *ret_plan);
void plan_clear(struct plan *plan);
const char *action_name(enum action_kind kind);

/* True when traffic comes through the edge: it has a port and is public. */
bool deployment_needs_edge(const struct deployment *deployment);
