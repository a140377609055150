/* The builder: takes queued releases by lease, builds them, writes what came of it.
 *
 * Up to `builds` at once. A lease that runs out (the process died) puts the release back in the queue; a release that its
 * builder lost three times is failed. Only the holder of the lease writes the outcome. */
#pragma once

#include "build/pipeline.h"
#include "switchyard/app.h"

struct builder;
struct builder *builder_new(struct app *app);
void builder_start(struct builder *builder);
void builder_stop(struct builder *builder); /* running builds are put back in the queue */
void builder_free(struct builder *builder);
void builder_wake(struct builder *builder);

struct builder_stats {
    int64_t running, built, failed, cancelled;
};
void builder_stats(struct builder *builder, struct builder_stats *ret_stats);

/* What builds are made with, from the configuration; also for doctor. Strings are borrowed from the app and the builder. */
void builder_options(const struct builder *builder, struct build_options *ret_options);
