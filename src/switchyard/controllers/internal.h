/* What the files of the controller share. */
#pragma once

#include "base/log.h"
#include "plan/plan.h"
#include "switchyard/controllers/controller.h"
#include "switchyard/controllers/observer.h"
#include "switchyard/controllers/queue.h"

/* The longest wait before something that fails is tried again. */
#define MAX_BACKOFF_US (INT64_C(60) * 1000000)

struct job;

/* What the last probes of an instance said; kept in memory only: after a restart it is simply asked again. */
struct probe_record {
    char deployment_id[37]; /* by whose rule it was asked */
    int64_t probed_us;
    int64_t n_probes;
    bool is_ok;
    char detail[160];
};

/* What the edge's own counters say of a pair while a deployment of it goes on. */
struct loss_record {
    char deployment_id[37];
    int64_t errors; /* the backend's counter when it was last looked at */
    int64_t lost;
};

struct controller {
    struct app *app;
    struct queue *queue;
    struct observer *observer;
    GPtrArray *threads;
    void (*submit)(struct controller *controller, struct job *job, bool waits_long); /* job_run, soon, somewhere */
    GThreadPool *jobs;                                                               /* creating, starting, probing */
    GThreadPool *stops;                                                              /* stopping: mostly waiting */
    int cancelled;                                                                   /* for blocking engine calls */

    GMutex lock;         /* guards the tables below; never held during a call to anything */
    GHashTable *busy;    /* instance id, or "release:" + pair id → 1 */
    GHashTable *probes;  /* instance id → struct probe_record * */
    GHashTable *watched; /* engine id → 1: its log is being collected */
    GHashTable *started; /* engine id → 1: it was started since its restarts were counted last */
    GHashTable
        *losses; /* pair id → struct loss_record *: requests that the edge lost during the deployment under way */
    GHashTable *clearing; /* pair id → int *: jobs that remove its orphans */
    GHashTable *settled;  /* pair id → uint64_t *: what it looked like when it was converged */
    GCond idle;           /* `busy` became empty */

    GMutex edge_lock;    /* one edge_apply at a time; taken before `lock` */
    GHashTable *routing; /* deployment id → struct routing_rule *; under edge_lock */
    int edge_removals;   /* servers that we took away on purpose since the last apply */
    int edge_requests;   /* edge_table_sync coalesces: requests so far */
    int edge_served;

    int64_t started_wall_us;
    int64_t edge_pid;          /* the HAProxy that has our table; only the keeper's */
    int64_t next_edge_sync_us; /* monotonic; only the keeper's */

    struct lease_seen lease_seen; /* another's; only the keeper's */
    int64_t lease_seen_us;        /* monotonic: since when it has been like that; 0: none seen */

    int64_t leader_until_us; /* monotonic; 0: not the holder */
    struct controller_stats stats;
    struct log_limit events_limit, resync_limit, edge_limit;
};

bool controller_may_act(const struct controller *controller);

/* Counters of controller_stats are raised by many threads. */
static inline void controller_count(int64_t *counter)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* --- step.c ---------------------------------------------------------------------------------------------------------------- */

/* One look at one pair, and what follows from it; puts it back into the queue when it has to be looked at again. */
void controller_step(struct controller *controller, const char *pair_id, int64_t since_us);
void controller_renew_lease(struct controller *controller);
void controller_release_lease(struct controller *controller);
void controller_look_after_edge(struct controller *controller, int64_t now_us /* monotonic */);

/* --- observe.c ------------------------------------------------------------------------------------------------------------- */

/* One pair with everything the planner needs; lives for one pass. */
struct pass {
    struct controller *controller;
    struct pair *pair;
    struct deployment *desired;
    struct service *service; /* a tombstoned one too */
    struct environment *environment;
    GPtrArray *rows;    /* of struct instance */
    GArray *observed;   /* of struct observed_instance */
    GPtrArray *orphans; /* engine ids, NULL-ended */
    struct snapshot *snapshot;
    struct probe_record *probe_copies; /* what `observed` borrows from */
    GPtrArray *start_errors;           /* likewise */
    char *edge_refusal;
    int64_t now_us;
};
bool pass_read(struct pass *pass, struct controller *controller, const char *pair_id, int64_t not_before_us,
               GError **error) G_GNUC_WARN_UNUSED_RESULT;
void pass_input(const struct pass *pass, struct plan_input *ret_input);
/* What the rows say of routes is not what the edge has, although it was looked at later: a sync was lost. */
bool pass_edge_differs(const struct pass *pass);
void pass_clear(struct pass *pass);

/* --- settled.c: a resync looks closer only at what has changed since it was found converged -------------------------------- */

void settled_remember(struct controller *controller, const struct pass *pass);
void settled_forget(struct controller *controller, const char *pair_id);
/* Ids (owned) of the pairs that are not as they were; one look at the engine and the edge, one short read of the store. */
GPtrArray *settled_find_changed(struct controller *controller, int64_t not_before_us,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

char *edge_backend_name(const char *pair_id);
char *edge_server_name(const char *instance_id);

/* --- losses.c ---------------------------------------------------------------------------------------------------------------- */

/* Counts what the edge has lost since the last look, from the beginning of a deployment until losses_close. */
void losses_count(const struct pass *pass);
int64_t losses_so_far(const struct pass *pass);
/* Everything old is gone: writes what came after the deployment had finished. */
bool losses_close(const struct pass *pass, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- restarts.c -------------------------------------------------------------------------------------------------------------- */

void restarts_note(struct controller *controller, const struct engine_event *event);
/* True once after each start: the engine has to be asked. */
bool restarts_are_due(struct controller *controller, const char *engine_id);
/* Writes to the rows what the engine was seen to say. */
bool restarts_remember(const struct pass *pass, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- execute.c -------------------------------------------------------------------------------------------------------------- */

/* Carries out the plan: quick actions here, slow ones on the pools. */
bool execute_plan(struct pass *pass, const struct plan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- jobs.c, job.h: the slow actions ---------------------------------------------------------------------------------------------- */

void job_start(struct pass *pass, enum action_kind kind, const struct instance *row, const char *orphan);
void job_free(struct job *job); /* one that was never run */
void job_run(gpointer job, gpointer controller);
void watch_logs(struct pass *pass);

/* --- pace.c: bulk stops (plan/pace.h) ------------------------------------------------------------------------------------------------ */

/* Of a pair that is to leave: the end of it, when nothing is left; and whoever's turn it is. */
bool pace_continue(struct pass *pass, const struct plan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* With the lock held. False when containers without a record are being removed for as many other pairs as may be; the pair
 * is to be looked at again soon then. Each true one needs an end. */
bool pace_begin_orphan(struct controller *controller, const struct pass *pass);
void pace_end_orphan(struct controller *controller, const char *pair_id);

/* --- network.c -------------------------------------------------------------------------------------------------------------------- */

/* Name of the environment's network in the engine. */
char *network_name(const struct app *app, const struct environment *environment);

/* Gives the environment a subnet from the pool that neither another environment nor anybody else on this engine uses. */
bool network_assign(struct controller *controller, struct environment *environment,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool network_ensure(struct controller *controller, const struct environment *environment,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Lowest free host address of the subnet; NULL with SY_CONFLICT when all are taken. Runs in a transaction. */
char *network_free_address(struct tx *tx, const struct environment *environment,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- edge_table.c ------------------------------------------------------------------------------------------------------------------- */

/* Renders the whole table from the store and makes HAProxy match. */
bool edge_table_sync(struct controller *controller, GError **error) G_GNUC_WARN_UNUSED_RESULT;
