/* Garbage collection by ledger: images, sources and logs that nothing needs, never anything that is not in our books.
 *
 * Needed are: what runs, what serves, the newest `keep_deployments` healthy deployments of each pair (rollback targets), the
 * newest ready release of each service, sources of queued and running builds, whatever is younger than an hour. Of the rest,
 * the oldest goes first until everything together is within `disk_budget` (a manual run takes all of it). A row says that an
 * image or source is gone before it goes, in the same transaction that made sure that it is not needed.
 * The engine's build cache holds other people's layers too: it is left to the engine's own policy. */
#pragma once

#include "model/reply.h"
#include "switchyard/app.h"

enum gc_flag { GC_DRY_RUN = 1 << 0, GC_EVERYTHING = 1 << 1 /* ignore the budget */ };
bool gc_run(struct app *app, unsigned flags, struct gc_report **ret_report, GError **error) G_GNUC_WARN_UNUSED_RESULT;
