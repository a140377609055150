/* What engine and edge say, looked at once for everybody who asks at the same time.
 *
 * A snapshot is immutable and shared by reference. Asking for one that is not older than a given moment either gets the
 * current one or waits for the single look that is made for all who wait. Thread-safe. */
#pragma once

#include "base/clock.h"
#include "edge/edge.h"
#include "engine/engine.h"

struct snapshot {
    int refs;
    int64_t taken_us;        /* monotonic, when the look began */
    int64_t taken_wall_us;   /* the same moment on the wall clock, to compare with rows */
    GPtrArray *containers;   /* of struct engine_instance * */
    GHashTable *by_instance; /* instance id → struct engine_instance * */
    GHashTable *by_pair;     /* pair id → GPtrArray of struct engine_instance * */
    bool is_edge_ready;
    GPtrArray *servers;    /* of struct edge_observed_server *; NULL when the edge is not ready */
    GHashTable *by_server; /* "backend/name" → struct edge_observed_server * */
};
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);

struct observer;
struct observer *observer_new(const struct clock *clock, struct engine *engine, struct edge *edge); /* borrowed */
void observer_free(struct observer *observer);

/* NULL with an error when the engine does not answer. `not_before_us` is monotonic. */
struct snapshot *observer_look(struct observer *observer, int64_t not_before_us,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;
