/* How fast things that run are taken away: the design of bulk stops (adr/0013).
 *
 * A bulk stop is whatever ends more than one service at once without each having been named: the deletion of a project or of an
 * environment, and the removal of containers that no record speaks of (after an old database was restored that may be all of
 * them). It goes in steps: at most one service, or 5 % of all pairs that run, is leaving at a time. What was done by mistake can
 * then be stopped while most of it still runs.
 *
 * A deletion takes effect in the API at once, and only marks its pairs (pair.leaving_us, operations/deletion.h). A pair goes
 *
 *     staying ──deleted──► waiting ──its turn──► retiring ──nothing of it is left──► gone
 *        ▲                    │                     │
 *        └──────restored──────┴──restored, deployed─┘
 *
 *   waiting    leaving_us, and a desired deployment: it is served and kept running like any other, by the same passes
 *   retiring   leaving_us, and nothing desired: the planner drains and stops its instances
 *   gone       its host names are free, its volumes tombstoned, leaving_us is absent again
 *
 * The holder of the lease lets the oldest waiting ones go when there is room (controllers/pace.c): in one transaction that counts,
 * un-wants, and proves that the lease is still its own; so two processes never make room twice. Whoever is waiting or has just
 * gone asks for the next step, and a resync looks at every pair with leaving_us, so no wake-up is needed and a crash loses none.
 * A pair alone goes in the pass that sees it waiting: no delay.
 *
 * Not paced: the deletion, stop or redeployment of one service, which its owner named; starting what should run; a rollout, which
 * never takes away what serves before its successor does. `switchyard teardown` removes everything, says so, and has a dry run. */
#pragma once

#include <stdint.h>

/* How many pairs may be leaving at a time, when so many run. */
int64_t pace_step(int64_t n_running);
/* How many more may begin to leave, when so many are leaving already. */
int64_t pace_room(int64_t n_running, int64_t n_leaving);
