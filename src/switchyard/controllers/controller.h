/* The reconciler: brings what runs to what is desired, pair by pair.
 *
 * Whatever happens (a commit, an engine event, an action that ended, the clock) only puts a pair's id into the queue. A worker
 * reads both sides afresh, asks the planner, and carries its actions out; slow ones run on a pool and put the pair back when
 * they end. So a lost event is only late (resync), a doubled one changes nothing, and a crash at any point is continued from the
 * ledger. Only the holder of the lease acts; it stops acting well before the lease runs out. */
#pragma once

#include "switchyard/app.h"

struct controller;
struct controller *controller_new(struct app *app);
void controller_start(struct controller *controller);
void controller_stop(struct controller *controller); /* running actions end first, at most some seconds */
void controller_free(struct controller *controller);
void controller_wake(struct controller *controller, const char *pair_id);
void controller_resync(struct controller *controller);

/* Brings the edge's table up to date soon: host names changed. */
void controller_wake_edge(struct controller *controller);

struct controller_stats {
    int64_t queue_length, passes, actions, action_failures, edge_syncs;
    int64_t resyncs;
    int64_t last_resync_us; /* how long the last one took */
    bool is_leader;
};
void controller_stats(struct controller *controller, struct controller_stats *ret_stats);
