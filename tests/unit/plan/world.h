/* A small world for the planner: an engine, an edge, a ledger and a user, all driven by one seed, in simulated time.
 *
 * It carries out plans as the controller does: records and routes change at once, everything else is a job that ends later. In
 * its unruly phase containers crash and vanish, the engine refuses or does not answer, observations are old, and the controller
 * itself dies in the middle of a plan; in its calm phase only what a release does by its nature still goes wrong.
 * Every plan is checked against the promises of plan/plan.h before it is carried out (checks.c). */
#pragma once

#include <glib.h>

#include "plan/plan.h"

#define MAX_DEPLOYMENTS 64

/* What a release does whenever it is run; UNSEEN: healthy when asked, never up for the edge. */
enum fate { FATE_GOOD, FATE_NEVER_HEALTHY, FATE_CRASHES, FATE_REFUSED, FATE_RELEASE_FAILS, FATE_UNSEEN, N_FATES };

struct sim_deployment {
    struct deployment row;
    enum fate fate;
    char id[16], version[16], template[32];
};

/* What the last look at engine and edge showed. */
struct glimpse {
    enum container_state container;
    bool is_in_edge, is_edge_up;
    int64_t sessions;
};

struct sim_instance {
    struct instance row;
    char id[16], name[32];
    const struct sim_deployment *of;
    enum container_state container;
    int64_t engine_restarts;
    int64_t answers_us;    /* from then on a probe succeeds */
    int64_t crashes_us;    /* 0: never */
    int64_t comes_back_us; /* 0: not restarting */
    bool is_in_edge;
    int64_t edge_up_us;
    int64_t quiet_us; /* while draining: its last request ends */
    bool is_busy;
    enum action_kind job;
    int64_t job_ends_us;
    int64_t probed_us, n_probes;
    bool is_probe_ok;
    struct glimpse seen;
};

struct world {
    uint64_t random;
    int64_t now_us, seen_us, next_edge_sync_us;
    bool is_unruly, is_engine_ready, is_edge_ready;
    bool was_edge_ready; /* at seen_us */
    bool has_volume;
    struct pair pair;
    struct sim_deployment deployments[MAX_DEPLOYMENTS];
    int n_deployments;
    struct sim_deployment *desired, *serving;
    GPtrArray *instances; /* struct sim_instance */
    GPtrArray *orphans;   /* char *, NULL-ended */
    GPtrArray *volumes;   /* a map with one entry */
    struct observed_instance *observed;
    bool is_release_busy;
    struct sim_deployment *release_of;
    int64_t release_ends_us;
    int n_made, n_plans;
    int64_t least_serving; /* lowest number of serving instances since it was last set */
    GString *story;
};

struct world *world_new(uint64_t seed);
void world_free(struct world *world);
uint64_t world_random(struct world *world, uint64_t below);
bool world_chance(struct world *world, unsigned percent);

/* --- what a user asks for; the new deployment is the desired one --------------------------------------------------------- */

struct order {
    enum fate fate;
    int64_t replicas;
    bool is_private, has_release_command;
    const char *template; /* NULL: a new one */
};
struct sim_deployment *world_deploy(struct world *world, const struct order *order);
struct sim_deployment *world_again(struct world *world, const struct sim_deployment *old, int64_t replicas);
void world_cancel(struct world *world);
void world_remove(struct world *world);

/* --- time ------------------------------------------------------------------------------------------------------------------ */

/* Looks, plans, checks the plan, carries it out, and goes on to the next moment at which something is due. Returns whether the
 * plan said that all is as desired. */
bool world_step(struct world *world);

/* Steps until a plan is converged; fails the test when it takes more than `limit` steps. */
void world_settle(struct world *world, int limit);

/* Brings the world's trouble for this step: crashes, vanishing, outages. */
void world_disturb(struct world *world);
int64_t world_serving(const struct world *world);

/* --- checks.c ---------------------------------------------------------------------------------------------------------------- */

void check_plan(struct world *world, const struct plan_input *input, const struct plan *plan);
void check_settled(struct world *world);

/* Ends the test with the world's story. */
void world_fail(const struct world *world, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;

/* pure, shared by world and checks */
bool is_wanted(const struct plan_input *input, const struct observed_instance *instance);
bool observed_serves(const struct plan_input *input, const struct observed_instance *instance);
