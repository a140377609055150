#include "plan/plan.h"

#include <string.h>

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define MAX_EARLY_CRASHES 3
#define SERVING_GRACE_MS 30000 /* at least, between passing the gate and serving */

const char *action_name(enum action_kind kind)
{
    static const char *const names[] = {
        [ACTION_BEGIN] = "begin",
        [ACTION_CANCEL] = "cancel",
        [ACTION_RELEASE_COMMAND] = "release_command",
        [ACTION_CREATE] = "create",
        [ACTION_RECREATE] = "recreate",
        [ACTION_START] = "start",
        [ACTION_PROBE] = "probe",
        [ACTION_ROUTE] = "route",
        [ACTION_DRAIN] = "drain",
        [ACTION_STOP] = "stop",
        [ACTION_REMOVE_ORPHAN] = "remove_orphan",
        [ACTION_FINISH] = "finish",
        [ACTION_FAIL] = "fail",
    };
    return names[kind];
}

bool deployment_needs_edge(const struct deployment *deployment)
{
    return deployment->value.settings.port > 0 && deployment->value.settings.is_public != 0;
}

/* What the passes over the instances share. */
struct planner {
    const struct plan_input *input;
    struct plan *plan;
    int64_t now_us;
    int64_t want; /* instances of the desired template */
    bool has_one_writer;
    bool is_deploying; /* the desired deployment has not reached its end */
    bool has_failed;   /* an ACTION_FAIL was planned */
    bool may_replace;  /* nothing stands between the desired deployment and its traffic but its instances */
    bool is_occupied;  /* has_one_writer, and somebody else may still hold the volume */
    int64_t n_fresh, n_healthy, n_serving, n_leaving;
    int64_t n_old_serving; /* leaving, and still given new requests */
    bool *fresh;           /* per instance: one of the `want` that are to stay */
};

static void add_action(struct planner *planner, enum action_kind kind, const struct observed_instance *instance,
                       const char *format, ...) G_GNUC_PRINTF(4, 5);

static void add_action(struct planner *planner, enum action_kind kind, const struct observed_instance *instance,
                       const char *format, ...)
{
    struct action action = {
        .kind = kind,
        .instance_id = instance != NULL ? instance->row->id : NULL,
        .slot = instance != NULL ? instance->row->slot : -1,
    };
    va_list arguments;
    va_start(arguments, format);
    action.reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_array_append_val(planner->plan->actions, action);
}

static void wake_at(struct planner *planner, int64_t at_us)
{
    if (planner->plan->wake_us == 0 || at_us < planner->plan->wake_us) {
        planner->plan->wake_us = at_us;
    }
}

static void fail(struct planner *planner, const char *code, const struct observed_instance *instance,
                 const char *format, ...) G_GNUC_PRINTF(4, 5);

static void fail(struct planner *planner, const char *code, const struct observed_instance *instance,
                 const char *format, ...)
{
    if (planner->has_failed) {
        return;
    }
    planner->has_failed = true;
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    add_action(planner, ACTION_FAIL, instance, "%s", reason);
    g_array_index(planner->plan->actions, struct action, planner->plan->actions->len - 1).error_code = code;
}

static bool is_candidate(const struct planner *planner, const struct observed_instance *instance)
{
    const struct deployment *desired = planner->input->desired;
    const struct instance *row = instance->row;
    return desired != NULL && row->state != INSTANCE_DRAINING && row->state != INSTANCE_STOPPING && row->slot >= 0 &&
           row->slot < planner->want && g_strcmp0(row->template, desired->template) == 0;
}

/* One for each slot, rather one that has traffic already: should there ever be two, the other leaves. */
static void choose_fresh(struct planner *planner)
{
    const struct plan_input *input = planner->input;
    planner->fresh = g_new0(bool, input->n_instances + 1);
    g_autofree const struct observed_instance **chosen = g_new0(const struct observed_instance *, planner->want + 1);
    for (size_t i = 0; i < input->n_instances; i++) {
        const struct observed_instance *instance = &input->instances[i];
        if (!is_candidate(planner, instance)) {
            continue;
        }
        const struct observed_instance *other = chosen[instance->row->slot];
        bool is_better =
            other == NULL || (instance->row->state == INSTANCE_ROUTED && other->row->state != INSTANCE_ROUTED);
        if (is_better) {
            chosen[instance->row->slot] = instance;
        }
    }
    for (int64_t slot = 0; slot < planner->want; slot++) {
        if (chosen[slot] != NULL) {
            planner->fresh[chosen[slot] - input->instances] = true;
        }
    }
}

static bool is_fresh(const struct planner *planner, const struct observed_instance *instance)
{
    return planner->fresh[instance - planner->input->instances];
}

/* Asked about fresh instances only: something is desired. */
static bool needs_edge(const struct planner *planner)
{
    return deployment_needs_edge(planner->input->desired);
}

static bool is_serving(const struct planner *planner, const struct observed_instance *instance)
{
    return instance->row->state == INSTANCE_ROUTED && instance->container == CONTAINER_RUNNING &&
           (!needs_edge(planner) || (instance->is_in_edge && instance->is_edge_up));
}

static bool is_healthy(const struct observed_instance *instance)
{
    int state = instance->row->state;
    return state == INSTANCE_ROUTED || ((state == INSTANCE_STARTING || state == INSTANCE_CRASHED) &&
                                        instance->container == CONTAINER_RUNNING && instance->is_probe_ok);
}

static void count_instances(struct planner *planner)
{
    for (size_t i = 0; i < planner->input->n_instances; i++) {
        const struct observed_instance *instance = &planner->input->instances[i];
        if (!is_fresh(planner, instance)) {
            planner->n_leaving++;
            planner->n_old_serving += instance->row->state == INSTANCE_ROUTED || instance->is_edge_up;
            continue;
        }
        planner->n_fresh++;
        planner->n_healthy += is_healthy(instance);
        planner->n_serving += is_serving(planner, instance);
    }
    const char *const *orphans = planner->input->orphans;
    planner->is_occupied =
        planner->has_one_writer && (planner->n_leaving > 0 || (orphans != NULL && orphans[0] != NULL));
}

/* --- the desired instances ------------------------------------------------------------------------------------------ */

/* A row without a start (it was never written) counts from its last change. */
static int64_t started_us(const struct instance *row)
{
    return row->started_us != CONTRACT_ABSENT ? row->started_us : row->state_since_us;
}

/* Quick at first, because most programs are up at once; slower later. */
static int64_t probe_interval(const struct observed_instance *instance, int64_t now_us)
{
    int64_t age = now_us - started_us(instance->row);
    return age < 2 * SECOND ? 50 * MS : age < 10 * SECOND ? 250 * MS : SECOND;
}

#define WORDS_SIZE 600

static const char *crash_words(const struct observed_instance *instance, char out[WORDS_SIZE])
{
    if (instance->start_error != NULL) {
        g_snprintf(out, WORDS_SIZE, "could not be started by the engine (%.500s)", instance->start_error);
        return out;
    }
    if (instance->was_oom_killed) {
        return "was killed: it used more memory than its limit allows";
    }
    if (instance->exit_code < 0) {
        return "ended by itself";
    }
    g_snprintf(out, WORDS_SIZE, "ended by itself with exit code %d", instance->exit_code);
    return out;
}

static void plan_crashed(struct planner *planner, const struct observed_instance *instance)
{
    const struct instance *row = instance->row;
    char words[WORDS_SIZE];
    int64_t crashes = MAX(row->restarts, instance->restarts);
    bool gates = planner->is_deploying && row->state != INSTANCE_ROUTED;
    if (gates && crashes >= MAX_EARLY_CRASHES) {
        fail(planner, "DEPLOY_FAILED", instance, "instance %s %s, %" G_GINT64_FORMAT " times in a row", row->name,
             crash_words(instance, words), crashes);
        return;
    }
    if (instance->container == CONTAINER_RESTARTING) {
        /* The engine starts it again by itself. */
        wake_at(planner, planner->now_us + (planner->is_deploying ? 250 * MS : SECOND));
    } else if (row->retry_us != CONTRACT_ABSENT && planner->now_us < row->retry_us) {
        wake_at(planner, row->retry_us);
    } else {
        add_action(planner, ACTION_START, instance, "%s %s; starting it again", row->name,
                   row->state == INSTANCE_CREATED ? "has not been started" : crash_words(instance, words));
    }
}

/* It has passed the gate and still does not serve: a deployment must not wait for that for ever. */
static bool is_overdue(struct planner *planner, const struct observed_instance *instance)
{
    const struct deployment *desired = planner->input->desired;
    const struct instance *row = instance->row;
    bool is_awaited = desired->status == DEPLOYMENT_DEPLOYING && row->state == INSTANCE_ROUTED &&
                      !is_serving(planner, instance) && (planner->input->is_edge_ready || !needs_edge(planner));
    if (!is_awaited) {
        return false;
    }
    int64_t since_us = MAX(row->state_since_us, desired->started_us);
    int64_t deadline_us = since_us + MAX(desired->value.settings.health.grace_ms, SERVING_GRACE_MS) * MS;
    if (planner->now_us < deadline_us) {
        wake_at(planner, deadline_us);
    }
    return planner->now_us >= deadline_us;
}

static void fail_overdue(struct planner *planner, const struct observed_instance *instance)
{
    const char *refusal = planner->input->edge_refusal;
    char words[WORDS_SIZE];
    if (refusal != NULL && instance->container == CONTAINER_RUNNING && !instance->is_in_edge) {
        fail(planner, "DEPLOY_FAILED", instance, "instance %s was healthy, but the edge did not take it: %.500s",
             instance->row->name, refusal);
        return;
    }
    fail(planner, "HEALTH_FAILED", instance, "instance %s was healthy, but does not serve: it %s", instance->row->name,
         instance->container != CONTAINER_RUNNING ? crash_words(instance, words)
                                                  : "does not answer the edge's own health check");
}

static void plan_starting(struct planner *planner, const struct observed_instance *instance)
{
    const struct deployment *desired = planner->input->desired;
    const struct health_rule *rule = &desired->value.settings.health;
    const struct instance *row = instance->row;
    /* A deployment may find one that an earlier one has started: the time it has had before is not held against it. */
    int64_t since_us =
        desired->started_us != CONTRACT_ABSENT ? MAX(started_us(row), desired->started_us) : started_us(row);
    int64_t deadline_us = since_us + rule->grace_ms * MS;
    if (instance->is_probe_ok) {
        return;
    }
    if (planner->is_deploying && planner->now_us >= deadline_us && instance->n_probes > 0) {
        fail(planner, "HEALTH_FAILED", instance,
             "instance %s was not healthy within %" G_GINT64_FORMAT " s: probed %" G_GINT64_FORMAT
             " times, last answer: %s",
             row->name, rule->grace_ms / 1000, instance->n_probes,
             instance->probe_detail != NULL ? instance->probe_detail : "none");
        return;
    }
    int64_t due_us = instance->probed_us + probe_interval(instance, planner->now_us);
    if (instance->probed_us == 0 || planner->now_us >= due_us) {
        add_action(planner, ACTION_PROBE, instance, "asking %s whether it is healthy", row->name);
    } else {
        wake_at(planner, due_us);
    }
}

static void plan_fresh(struct planner *planner, const struct observed_instance *instance)
{
    const struct instance *row = instance->row;
    if (is_overdue(planner, instance)) {
        fail_overdue(planner, instance);
        return;
    }
    bool must_start = instance->container == CONTAINER_MISSING || instance->container == CONTAINER_STOPPED ||
                      row->state == INSTANCE_CREATED;
    if (instance->is_busy || (must_start && planner->is_occupied)) {
        return;
    }
    bool gates = planner->is_deploying && row->state != INSTANCE_ROUTED;
    if (instance->container == CONTAINER_MISSING && gates && row->restarts >= MAX_EARLY_CRASHES) {
        fail(planner, "DEPLOY_FAILED", instance, "instance %s could not be started: %s", row->name,
             row->health_detail != NULL ? row->health_detail : "the container engine refused");
    } else if (instance->container == CONTAINER_MISSING) {
        if (row->retry_us != CONTRACT_ABSENT && planner->now_us < row->retry_us) {
            wake_at(planner, row->retry_us);
        } else {
            add_action(planner, ACTION_RECREATE, instance, "the container of %s is not there", row->name);
        }
    } else if (instance->container != CONTAINER_RUNNING || row->state == INSTANCE_CREATED) {
        plan_crashed(planner, instance);
    } else if (row->state == INSTANCE_STARTING || row->state == INSTANCE_CRASHED) {
        plan_starting(planner, instance);
    }
}

static bool has_slot(const struct planner *planner, int64_t slot)
{
    for (size_t i = 0; i < planner->input->n_instances; i++) {
        const struct observed_instance *instance = &planner->input->instances[i];
        if (is_fresh(planner, instance) && instance->row->slot == slot) {
            return true;
        }
    }
    return false;
}

static void plan_missing_slots(struct planner *planner)
{
    if (planner->is_occupied) {
        return; /* the volume is free when they are gone */
    }
    for (int64_t slot = 0; slot < planner->want; slot++) {
        if (!has_slot(planner, slot)) {
            add_action(planner, ACTION_CREATE, NULL,
                       "%s of %" G_GINT64_FORMAT " wanted, %" G_GINT64_FORMAT " there: starting one of %s",
                       planner->is_deploying ? "deploying" : "instances missing", planner->want, planner->n_fresh,
                       planner->input->desired->version);
            g_array_index(planner->plan->actions, struct action, planner->plan->actions->len - 1).slot = slot;
        }
    }
}

/* Mostly the edge sees it up at once; what takes long is looked at seldom. */
static void wait_for_edge(struct planner *planner, const struct observed_instance *instance)
{
    int64_t age_us = MAX(planner->now_us - instance->row->state_since_us, 0);
    wake_at(planner, planner->now_us + MIN(20 * MS + age_us / 10, SECOND));
}

static void plan_gate(struct planner *planner)
{
    bool all_healthy = planner->n_healthy == planner->want; /* at most one is fresh per slot */
    for (size_t i = 0; i < planner->input->n_instances; i++) {
        const struct observed_instance *instance = &planner->input->instances[i];
        if (is_fresh(planner, instance) && instance->row->state == INSTANCE_ROUTED && !is_serving(planner, instance)) {
            wait_for_edge(planner, instance);
        }
        bool may_route = is_fresh(planner, instance) && !instance->is_busy && instance->row->state != INSTANCE_ROUTED &&
                         is_healthy(instance);
        if (may_route && (all_healthy || !planner->is_deploying)) {
            add_action(planner, ACTION_ROUTE, instance, "%s is healthy (%s)%s", instance->row->name,
                       instance->probe_detail != NULL ? instance->probe_detail : "running",
                       needs_edge(planner) ? ": it gets traffic now" : "");
            wake_at(planner, planner->now_us + 20 * MS);
        }
    }
}

/* --- the others ------------------------------------------------------------------------------------------------------- */

static void plan_draining(struct planner *planner, const struct observed_instance *instance, int64_t grace_ms)
{
    const struct instance *row = instance->row;
    int64_t deadline_us = row->state_since_us + grace_ms * MS;
    bool is_idle = instance->is_edge_observed_since && (!instance->is_in_edge || instance->edge_sessions == 0);
    if (is_idle) {
        add_action(planner, ACTION_STOP, instance, "%s has no requests left", row->name);
    } else if (planner->now_us >= deadline_us) {
        add_action(planner, ACTION_STOP, instance,
                   "%s still had %" G_GINT64_FORMAT " requests after the %" G_GINT64_FORMAT " s it was given",
                   row->name, instance->edge_sessions, grace_ms / 1000);
    } else {
        wake_at(planner, MIN(planner->now_us + 25 * MS + (planner->now_us - row->state_since_us) / 10, deadline_us));
    }
}

static void plan_leaving(struct planner *planner, const struct observed_instance *instance, bool may_drain,
                         const char *why)
{
    const struct instance *row = instance->row;
    const struct deployment *desired = planner->input->desired;
    int64_t grace_ms = desired != NULL ? desired->value.settings.stop.grace_ms : 30000;
    if (instance->is_busy) {
        return;
    }
    switch ((enum instance_state)row->state) {
    case INSTANCE_DRAINING:
        plan_draining(planner, instance, grace_ms);
        break;
    case INSTANCE_STOPPING:
        add_action(planner, ACTION_STOP, instance, "%s is to end", row->name);
        break;
    case INSTANCE_ROUTED:
        if (may_drain) {
            /* An edge not looked at since it was routed may have it all the same. */
            bool may_have_traffic =
                instance->is_in_edge || (planner->input->is_edge_ready && !instance->is_edge_observed_since);
            add_action(planner, may_have_traffic ? ACTION_DRAIN : ACTION_STOP, instance, "%s leaves: %s", row->name,
                       why);
        }
        break;
    default: /* it never got traffic */
        add_action(planner, ACTION_STOP, instance, "%s is not wanted any more", row->name);
    }
}

static void plan_all_leaving(struct planner *planner)
{
    bool is_ready = planner->n_serving == planner->want;
    /* What serves keeps serving while the release command runs, and when this pass ends the deployment. */
    bool may_drain = planner->input->desired == NULL ||
                     (planner->may_replace && !planner->has_failed && (is_ready || planner->has_one_writer));
    const char *why = planner->want == 0 ? "nothing is to run here"
                      : planner->has_one_writer && !is_ready
                          ? "its volume has one writer, so it ends before the new one starts"
                          : "the new instances serve";
    for (size_t i = 0; i < planner->input->n_instances; i++) {
        const struct observed_instance *instance = &planner->input->instances[i];
        if (!is_fresh(planner, instance)) {
            plan_leaving(planner, instance, may_drain, why);
        }
    }
}

/* --- the deployment ------------------------------------------------------------------------------------------------------ */

/* False while nothing of the deployment may be started yet. */
static bool plan_begin(struct planner *planner)
{
    const struct deployment *desired = planner->input->desired;
    char **release = desired->value.settings.release;
    if (desired->status == DEPLOYMENT_PENDING) {
        add_action(planner, ACTION_BEGIN, NULL, "deploying release %s", desired->release_version);
    }
    if (release == NULL || release[0] == NULL || desired->release_command_done > 0 || !planner->is_deploying ||
        planner->want == 0) {
        return true;
    }
    if (!planner->input->is_release_command_busy) {
        add_action(planner, ACTION_RELEASE_COMMAND, NULL, "running the release command before any traffic");
    }
    return false;
}

static void plan_desired(struct planner *planner)
{
    const struct deployment *desired = planner->input->desired;
    if (planner->is_deploying && desired->cancel_requested > 0) {
        add_action(planner, ACTION_CANCEL, NULL, "cancelled by its owner");
        return;
    }
    planner->may_replace = plan_begin(planner);
    if (!planner->may_replace) {
        return;
    }
    for (size_t i = 0; i < planner->input->n_instances; i++) {
        if (is_fresh(planner, &planner->input->instances[i])) {
            plan_fresh(planner, &planner->input->instances[i]);
        }
    }
    if (planner->has_failed) {
        return;
    }
    plan_missing_slots(planner);
    plan_gate(planner);
    bool is_alone = planner->n_old_serving == 0; /* who asks now gets the new version */
    if (planner->is_deploying && planner->n_serving == planner->want && is_alone &&
        desired->status == DEPLOYMENT_DEPLOYING) {
        add_action(planner, ACTION_FINISH, NULL, "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " instances serve",
                   planner->n_serving, planner->want);
    }
}

static char *degraded_words(const struct planner *planner)
{
    for (size_t i = 0; i < planner->input->n_instances; i++) {
        const struct observed_instance *instance = &planner->input->instances[i];
        char words[WORDS_SIZE];
        if (is_fresh(planner, instance) && instance->container != CONTAINER_RUNNING) {
            int64_t restarts = MAX(instance->row->restarts, instance->restarts);
            return g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " instances serve: %s %s%s",
                                   planner->n_serving, planner->want, instance->row->name, crash_words(instance, words),
                                   restarts >= MAX_EARLY_CRASHES ? ", again and again: a crash loop" : "");
        }
    }
    return g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " instances serve", planner->n_serving,
                           planner->want);
}

static void set_status(struct planner *planner)
{
    struct plan *plan = planner->plan;
    const struct pair *pair = planner->input->pair;
    if (planner->input->desired == NULL) {
        plan->status = pair->status == PAIR_FAILED ? PAIR_FAILED : PAIR_IDLE;
        plan->status_reason = pair->status == PAIR_FAILED ? g_strdup(pair->status_reason) : NULL;
    } else if (planner->is_deploying) {
        plan->status = PAIR_DEPLOYING;
        plan->status_reason = g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " new instances are healthy",
                                              planner->n_healthy, planner->want);
    } else if (planner->want == 0) {
        plan->status = PAIR_STOPPED;
        plan->status_reason = g_strdup("scaled to zero");
    } else if (planner->n_serving == planner->want) {
        plan->status = PAIR_RUNNING;
    } else {
        plan->status = PAIR_DEGRADED;
        plan->status_reason = degraded_words(planner);
        wake_at(planner, planner->now_us + SECOND);
    }
    plan->is_converged = plan->actions->len == 0 && !planner->is_deploying && planner->n_leaving == 0 &&
                         planner->n_serving == planner->want;
}

static void plan_orphans(struct planner *planner)
{
    const char *const *orphans = planner->input->orphans;
    for (; orphans != NULL && *orphans != NULL; orphans++) {
        add_action(planner, ACTION_REMOVE_ORPHAN, NULL, "a container of ours that no record speaks of");
        g_array_index(planner->plan->actions, struct action, planner->plan->actions->len - 1).orphan = *orphans;
    }
}

static void clear_action(gpointer data)
{
    g_free(((struct action *)data)->reason);
}

void plan_pair(const struct plan_input *input, int64_t now_us, struct plan *ret_plan)
{
    *ret_plan = (struct plan){.actions = g_array_new(FALSE, TRUE, sizeof(struct action))};
    g_array_set_clear_func(ret_plan->actions, clear_action);
    struct planner planner = {.input = input, .plan = ret_plan, .now_us = now_us};
    const struct deployment *desired = input->desired;
    if (!input->is_engine_ready) {
        ret_plan->status = desired != NULL && desired->status <= DEPLOYMENT_DEPLOYING ? PAIR_DEPLOYING : PAIR_DEGRADED;
        ret_plan->status_reason = g_strdup("the container engine does not answer");
        ret_plan->wake_us = now_us + SECOND;
        return;
    }
    if (desired != NULL) {
        planner.want = desired->value.settings.replicas;
        planner.has_one_writer = desired->value.settings.volumes != NULL && desired->value.settings.volumes->len > 0;
        planner.is_deploying = desired->status == DEPLOYMENT_PENDING || desired->status == DEPLOYMENT_DEPLOYING;
    }
    choose_fresh(&planner);
    count_instances(&planner);
    plan_orphans(&planner);
    if (desired != NULL) {
        plan_desired(&planner);
    }
    plan_all_leaving(&planner);
    set_status(&planner);
    g_free(planner.fresh);
}

void plan_clear(struct plan *plan)
{
    g_clear_pointer(&plan->actions, g_array_unref);
    g_clear_pointer(&plan->status_reason, g_free);
}
