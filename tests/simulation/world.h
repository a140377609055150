/* A world to try the controller in: an engine, an edge, a clock, and misfortune, all of it decided by one seed.
 *
 * The controller, planner, queue, leases, operations and store (SQLite) are the real ones. The world stands in for what lies
 * behind their interfaces: engine.h's table of functions, edge.h, probe.h, the log collector, the clock. One thread: the driver
 * decides which step is taken next, so the same seed gives the same story; `trace` is its hash. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "edge/edge.h"
#include "engine/engine.h"

#define MS INT64_C(1000)
#define SECOND (INT64_C(1000) * MS)

enum image_kind { IMAGE_GOOD, IMAGE_SLOW, IMAGE_BAD, IMAGE_CRASHING, IMAGE_REFUSED /* by the engine */ };

struct container {
    char *id, *name, *image, *address, *volume;
    char *installation, *pair, *deployment, *instance, *role;
    bool is_foreign;
    bool was_killed; /* by misfortune; until it is ready again it is nobody's fault */
    enum engine_state state;
    int exit_code;
    int64_t restarts;
    int64_t started_us;
    int64_t ready_us; /* when it begins to answer; INT64_MAX: never */
    int64_t ends_us;  /* crashes by itself; INT64_MAX: never */
};

/* One process of the control plane. */
struct process {
    struct clock clock; /* first: a struct clock * is a struct process * */
    int64_t anchor_us;  /* of its wall clock */
    int number;
    bool is_crashed;  /* every call fails from now on: nothing it does has an effect */
    int64_t effects;  /* so far */
    int64_t crash_at; /* dies before this effect; INT64_MAX: never */
    struct app *app;
    GPtrArray *jobs; /* of struct job *: submitted, not yet run */
    int64_t next_lease_us, next_edge_us, next_resync_us;
};

struct world {
    GRand *random;
    int64_t now_us;  /* monotonic */
    int64_t wall_us; /* of the machine at now_us; jumps */
    uint64_t trace;
    GString *story;    /* the last events in words, for a failure */
    bool is_quiet;     /* no more misfortune */
    double misfortune; /* probability per call */
    GPtrArray *containers;
    GHashTable *networks, *volumes; /* sets of names */
    GHashTable *foreign;            /* id → how it looked at the start */
    GPtrArray *stale;               /* an earlier list, or NULL */
    GPtrArray *servers;             /* of struct edge_observed_server: what the edge has */
    GHashTable *drained;            /* server name → when its last request ends (int64_t *) */
    bool has_table;
    int64_t edge_pid;
    struct process *process; /* whose step it is */
    char *violation;         /* the first one */
    int64_t n_effects, n_faults, n_crashes;
    int64_t n_strays;
    int64_t n_changes; /* of anything that the watch looks at */
};
extern struct world world;

void world_begin(guint32 seed);
void world_end(void);
void world_advance(int64_t to_us); /* containers become ready, crash, come back */

/* Adds to the trace and the story. */
void world_tell(const char *format, ...) G_GNUC_PRINTF(1, 2);
void world_violation(const char *format, ...) G_GNUC_PRINTF(1, 2);
bool world_chance(double probability);
int64_t world_between(int64_t low, int64_t high);

/* Before something is done: false when the process is dead or the call is lost. */
bool world_may(const char *what, int code, GError **error);
/* After it: false when the reply is lost. */
bool world_replies(const char *what, int code, GError **error);

struct engine *world_engine_new(const char *installation);
struct container *world_container(const char *id_or_name);
struct container *world_at(const char *address); /* the running one */
bool container_answers(const struct container *container);
enum image_kind image_kind_of(const char *image);
void world_add_foreign(const char *installation);
void world_check_foreign(void);
void world_add_stray(const char *installation, const char *pair_id); /* with our labels, of an instance nobody knows */
void world_kill(struct container *container);
