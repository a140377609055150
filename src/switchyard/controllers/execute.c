/* Carrying out a plan: changes of records and routes happen here, in order; what takes long goes to the pools (jobs.c). */
#include "switchyard/controllers/internal.h"

#include <string.h>

#include "base/crash_point.h"
#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "logs/log_store.h"
#include "switchyard/operations/history.h"

#define ACTOR "controller"

struct change {
    struct pass *pass;
    const struct plan *plan;
    const struct action *action;
    char *tail;      /* last log lines, for a failure */
    bool is_applied; /* something was written */
    int64_t lost;    /* requests, by the edge's counters */
};

/* Whether the pair still wants what this pass was planned for; a newer deploy wins. */
static bool still_desired(struct tx *tx, const struct pass *pass, struct pair **ret_pair, bool *ret_same,
                          GError **error)
{
    if (!pair_by_id(tx, pass->pair->id, ret_pair, error)) {
        return false;
    }
    *ret_same = (*ret_pair)->generation == pass->pair->generation;
    return true;
}

/* --- the deployment's own states ----------------------------------------------------------------------------------------------- */

static bool begin(struct tx *tx, void *arg, GError **error)
{
    struct change *change = arg;
    struct pass *pass = change->pass;
    struct scope scope = app_scope(pass->controller->app);
    g_autoptr(deployment_t) deployment = NULL;
    if (!deployment_by_id(tx, &scope, pass->desired->id, &deployment, error)) {
        return false;
    }
    if (deployment->status != DEPLOYMENT_PENDING) {
        return true;
    }
    return deployment_set_status(tx, deployment, DEPLOYMENT_DEPLOYING, pass->now_us, error) &&
           history_of_deployment(tx, pass->controller->app, deployment, "deployment.started", change->action->reason,
                                 ACTOR, pass->now_us, error);
}

static bool supersede_serving(struct tx *tx, struct pass *pass, const struct pair *pair, const struct deployment *by,
                              GError **error)
{
    struct app *app = pass->controller->app;
    struct scope scope = app_scope(app);
    g_autoptr(deployment_t) old = NULL;
    if (pair->serving_deployment_id == NULL || strcmp(pair->serving_deployment_id, by->id) == 0) {
        return true;
    }
    if (!deployment_by_id(tx, &scope, pair->serving_deployment_id, &old, error)) {
        return false;
    }
    if (!deployment_may_become((enum deployment_status)old->status, DEPLOYMENT_SUPERSEDED)) {
        return true;
    }
    g_autofree char *message = g_strdup_printf("superseded by %s", by->version);
    return deployment_set_status(tx, old, DEPLOYMENT_SUPERSEDED, pass->now_us, error) &&
           history_of_deployment(tx, app, old, "deployment.superseded", message, ACTOR, pass->now_us, error);
}

/* When the instance that got requests last was told to leave, if this deployment made it; else 0. */
static bool find_leaving(struct tx *tx, const struct pass *pass, const struct pair *pair,
                         const struct deployment *deployment, int64_t *ret_us, GError **error)
{
    struct scope scope = app_scope(pass->controller->app);
    const struct event_filter filter = {.service_id = pair->service_id, .deployment_id = pair->serving_deployment_id};
    g_autoptr(GPtrArray) events = NULL;
    *ret_us = 0;
    if (!event_list_newest(tx, &scope, &filter, INT64_MAX, 20, &events, error)) {
        return false;
    }
    for (guint i = 0; i < events->len && *ret_us == 0; i++) {
        const struct event *event = g_ptr_array_index(events, i);
        if (strcmp(event->type, "instance.draining") == 0 && event->created_us >= deployment->created_us) {
            *ret_us = event->created_us;
        }
    }
    return true;
}

/* A volume has one writer, so its service is stopped, then started: what that cost is part of the result. */
static bool measure_gap(struct tx *tx, const struct pass *pass, const struct pair *pair, struct deployment *deployment,
                        GError **error)
{
    const struct settings *settings = &deployment->value.settings;
    bool has_one_writer = settings->volumes != NULL && settings->volumes->len > 0;
    int64_t left_us = 0;
    if (!has_one_writer || settings->replicas == 0 || pair->serving_deployment_id == NULL) {
        return true;
    }
    if (!find_leaving(tx, pass, pair, deployment, &left_us, error)) {
        return false;
    }
    int64_t back_us = pass->now_us;
    for (guint i = 0; i < pass->rows->len; i++) {
        const struct instance *row = g_ptr_array_index(pass->rows, i);
        bool is_new = row->state == INSTANCE_ROUTED && strcmp(row->deployment_id, deployment->id) == 0;
        back_us = is_new ? MIN(back_us, row->state_since_us) : back_us;
    }
    if (left_us > 0) {
        deployment->gap_ms = MAX(back_us - left_us, 0) / 1000;
    }
    return true;
}

static char *finish_message(const char *reason, const struct deployment *deployment)
{
    if (deployment->gap_ms == CONTRACT_ABSENT) {
        return g_strdup(reason);
    }
    return g_strdup_printf("%s; nothing ran for %.1f s, because its volume has one writer, and requests waited", reason,
                           (double)deployment->gap_ms / 1000);
}

static bool finish(struct tx *tx, void *arg, GError **error)
{
    struct change *change = arg;
    struct pass *pass = change->pass;
    struct app *app = pass->controller->app;
    struct scope scope = app_scope(app);
    g_autoptr(pair_t) pair = NULL;
    g_autoptr(deployment_t) deployment = NULL;
    bool same = false;
    if (!still_desired(tx, pass, &pair, &same, error) ||
        !deployment_by_id(tx, &scope, pass->desired->id, &deployment, error)) {
        return false;
    }
    if (!same || deployment->status != DEPLOYMENT_DEPLOYING) {
        return true;
    }
    if (!measure_gap(tx, pass, pair, deployment, error) || !supersede_serving(tx, pass, pair, deployment, error)) {
        return false;
    }
    g_free(pair->serving_deployment_id);
    pair->serving_deployment_id = g_strdup(deployment->id);
    pair->status = deployment->value.settings.replicas > 0 ? PAIR_RUNNING : PAIR_STOPPED;
    deployment->requests_lost = change->lost;
    g_clear_pointer(&pair->status_reason, g_free);
    change->is_applied = true;
    g_autofree char *message = finish_message(change->action->reason, deployment);
    return deployment_set_status(tx, deployment, DEPLOYMENT_RUNNING, pass->now_us, error) &&
           pair_update(tx, pair, pass->now_us, error) &&
           history_of_deployment(tx, app, deployment, "deployment.running", message, ACTOR, pass->now_us, error);
}

static const char *failure_hint(const struct deployment *deployment, const char *code)
{
    if (g_strcmp0(code, "HEALTH_FAILED") != 0) {
        return "The reason and the last log lines tell why, as far as it said it. More: enclii logs, enclii events";
    }
    return deployment->value.settings.health.path != NULL ? "Does the program listen on 0.0.0.0:$PORT, and does the "
                                                            "health path answer 2xx or 3xx? See: enclii logs"
                                                          : "Does the program listen on 0.0.0.0:$PORT? Workers that "
                                                            "serve nothing say port: none. See: enclii logs";
}

/* The desired deployment ends as `status`; what serves is desired again, so that its instances stay and the others leave. */
static bool go_back(struct tx *tx, struct change *change, enum deployment_status status, const char *event,
                    GError **error)
{
    struct pass *pass = change->pass;
    struct app *app = pass->controller->app;
    struct scope scope = app_scope(app);
    g_autoptr(pair_t) pair = NULL;
    g_autoptr(deployment_t) deployment = NULL;
    bool same = false;
    if (!still_desired(tx, pass, &pair, &same, error) ||
        !deployment_by_id(tx, &scope, pass->desired->id, &deployment, error)) {
        return false;
    }
    if (!same || !deployment_may_become((enum deployment_status)deployment->status, status)) {
        return true;
    }
    if (status == DEPLOYMENT_FAILED) {
        deployment->health = HEALTH_UNHEALTHY;
        deployment->error_code = g_strdup(change->action->error_code);
        deployment->error_message =
            g_strdup_printf("%s%s%s", change->action->reason, change->tail != NULL ? "\nIts last log lines:\n" : "",
                            change->tail != NULL ? change->tail : "");
        deployment->hint = g_strdup(failure_hint(deployment, change->action->error_code));
    }
    bool has_serving = pair->serving_deployment_id != NULL && strcmp(pair->serving_deployment_id, deployment->id) != 0;
    g_free(pair->desired_deployment_id);
    pair->desired_deployment_id = has_serving ? g_strdup(pair->serving_deployment_id) : NULL;
    pair->generation++;
    pair->status = has_serving ? PAIR_RUNNING : status == DEPLOYMENT_FAILED ? PAIR_FAILED : PAIR_IDLE;
    g_free(pair->status_reason);
    pair->status_reason = has_serving ? NULL : g_strdup(change->action->reason);
    change->is_applied = true;
    g_autofree char *message =
        g_strdup_printf("%s%s", change->action->reason, has_serving ? "; the old version still serves" : "");
    return deployment_set_status(tx, deployment, status, pass->now_us, error) &&
           pair_update(tx, pair, pass->now_us, error) &&
           history_of_deployment(tx, app, deployment, event, message, ACTOR, pass->now_us, error);
}

static bool fail(struct tx *tx, void *arg, GError **error)
{
    return go_back(tx, arg, DEPLOYMENT_FAILED, "deployment.failed", error);
}

static bool cancel(struct tx *tx, void *arg, GError **error)
{
    return go_back(tx, arg, DEPLOYMENT_CANCELLED, "deployment.cancelled", error);
}

/* --- instances -------------------------------------------------------------------------------------------------------------------- */

static const struct instance *find_row(const struct pass *pass, const char *id)
{
    for (guint i = 0; i < pass->rows->len; i++) {
        const struct instance *row = g_ptr_array_index(pass->rows, i);
        if (g_strcmp0(row->id, id) == 0) {
            return row;
        }
    }
    return NULL;
}

static bool insert_instance(struct tx *tx, void *arg, GError **error)
{
    struct change *change = arg;
    struct pass *pass = change->pass;
    const struct deployment *desired = pass->desired;
    g_autoptr(pair_t) pair = NULL;
    g_autoptr(environment_t) environment = NULL;
    struct scope scope = app_scope(pass->controller->app);
    bool same = false;
    change->is_applied = false;
    if (!still_desired(tx, pass, &pair, &same, error) || !same) {
        return *error == NULL;
    }
    /* As it is now: the subnet that the pass knows of may have been given back by a write whose reply was lost. */
    if (!environment_by_id(tx, &scope, pass->environment->id, &environment, error)) {
        return false;
    }
    g_autoptr(instance_t) row = contract_new(&instance_type);
    row->id = uuid_new();
    row->organization_id = g_strdup(pair->organization_id);
    row->pair_id = g_strdup(pair->id);
    row->deployment_id = g_strdup(desired->id);
    row->template = g_strdup(desired->template);
    row->slot = change->action->slot;
    row->name =
        g_strdup_printf("%.40s-%.30s-%.20s-%s-%" G_GINT64_FORMAT "-%s", pass->service->name, pass->service->project,
                        pass->environment->name, desired->version, row->slot, uuid_tail(row->id));
    row->address = network_free_address(tx, environment, error);
    row->port = desired->value.settings.port;
    row->state = INSTANCE_CREATED;
    row->state_since_us = pass->now_us;
    row->created_us = pass->now_us;
    if (row->address == NULL || !instance_insert(tx, row, error)) {
        return false;
    }
    change->is_applied = true;
    g_ptr_array_add(pass->rows, g_steal_pointer(&row));
    g_autofree char *message =
        g_strdup_printf("%s: %s", change->action->reason,
                        ((const struct instance *)g_ptr_array_index(pass->rows, pass->rows->len - 1))->name);
    return history_of_deployment(tx, pass->controller->app, desired, "instance.created", message, ACTOR, pass->now_us,
                                 error);
}

static bool create_instance(struct pass *pass, const struct action *action, GError **error)
{
    struct change change = {.pass = pass, .action = action};
    GError *failure = NULL;
    if (!network_assign(pass->controller, pass->environment, error)) {
        return false;
    }
    if (!store_write(pass->controller->app->store, "instance_insert", insert_instance, &change, &failure)) {
        g_propagate_error(error, failure);
        return false;
    }
    if (change.is_applied) {
        job_start(pass, ACTION_CREATE, g_ptr_array_index(pass->rows, pass->rows->len - 1), NULL);
    }
    return true;
}

/* --- routes: all of one kind at once, then one look at the edge ------------------------------------------------------------------------ */

static bool set_states(struct tx *tx, struct change *change, enum action_kind kind, enum instance_state state,
                       const char *event, GError **error)
{
    struct pass *pass = change->pass;
    for (guint i = 0; i < change->plan->actions->len; i++) {
        const struct action *action = &g_array_index(change->plan->actions, struct action, i);
        g_autoptr(instance_t) row = NULL;
        if (action->kind != kind) {
            continue;
        }
        if (!instance_by_id(tx, action->instance_id, &row, error)) {
            return false;
        }
        if (row == NULL) {
            continue;
        }
        row->state = (int)state;
        row->state_since_us = clock_wall_us(pass->controller->app->clock);
        if (!instance_update(tx, row, error)) {
            return false;
        }
        const struct history what = {
            .type = event,
            .project_id = pass->pair->project_id,
            .service_id = pass->pair->service_id,
            .environment_id = pass->pair->environment_id,
            .deployment_id = row->deployment_id,
            .message = action->reason,
            .actor = ACTOR,
        };
        if (!history_append(tx, pass->controller->app, &what, pass->now_us, error)) {
            return false;
        }
        change->is_applied = true;
    }
    return true;
}

static bool route(struct tx *tx, void *arg, GError **error)
{
    return set_states(tx, arg, ACTION_ROUTE, INSTANCE_ROUTED, "instance.routed", error);
}

static bool drain(struct tx *tx, void *arg, GError **error)
{
    return set_states(tx, arg, ACTION_DRAIN, INSTANCE_DRAINING, "instance.draining", error);
}

static int count(const struct plan *plan, enum action_kind kind)
{
    int n = 0;
    for (guint i = 0; i < plan->actions->len; i++) {
        n += g_array_index(plan->actions, struct action, i).kind == kind;
    }
    return n;
}

static bool change_routes(struct pass *pass, const struct plan *plan, GError **error)
{
    struct controller *controller = pass->controller;
    struct change change = {.pass = pass, .plan = plan};
    bool ok = (count(plan, ACTION_ROUTE) == 0 ||
               store_write(controller->app->store, "instances_route", route, &change, error)) &&
              (count(plan, ACTION_DRAIN) == 0 ||
               store_write(controller->app->store, "instances_drain", drain, &change, error));
    if (!ok || !change.is_applied) {
        return ok;
    }
    app_wake_events(controller->app);
    if (!edge_table_sync(controller, error)) {
        g_prefix_error(error, "routes of %s: ", pass->service != NULL ? pass->service->name : pass->pair->id);
        return false;
    }
    controller_wake(controller, pass->pair->id);
    return true;
}

/* --- the plan ---------------------------------------------------------------------------------------------------------------------------- */

static bool read_tail_line(const struct log_line *line, void *arg)
{
    g_string_append_printf(arg, "  %.*s\n", (int)MIN(line->length, 500), line->text);
    return true;
}

/* The last 20 lines of the instance that failed, or of all. */
static char *log_tail(const struct pass *pass, const char *instance_id)
{
    const struct instance *row = instance_id != NULL ? find_row(pass, instance_id) : NULL;
    g_autofree char *key = g_strdup_printf("%s/%s", pass->pair->service_id, pass->pair->environment_id);
    const struct log_query query = {.limit = 20, .source = row != NULL ? row->name : NULL};
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) ignored = NULL; /* a failure without log lines is still a failure */
    if (!log_store_read(pass->controller->app->logs, key, &query, read_tail_line, text, &ignored) || text->len == 0) {
        return NULL;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool write_change(struct pass *pass, const struct action *action, const char *name, store_fn fn, GError **error)
{
    struct change change = {.pass = pass, .action = action};
    if (action->kind == ACTION_FINISH) {
        change.lost = losses_so_far(pass);
        crash_point("deployment.before_finish");
    }
    if (action->kind == ACTION_FAIL) {
        change.tail = log_tail(pass, action->instance_id);
    }
    bool ok = store_write(pass->controller->app->store, name, fn, &change, error);
    g_free(change.tail);
    if (ok) {
        if (action->kind == ACTION_FINISH) {
            crash_point("deployment.after_finish");
        }
        app_wake_events(pass->controller->app);
        controller_wake(pass->controller, pass->pair->id);
    }
    return ok;
}

static bool execute(struct pass *pass, const struct action *action, GError **error)
{
    struct controller *controller = pass->controller;
    switch (action->kind) {
    case ACTION_BEGIN:
        return write_change(pass, action, "deployment_begin", begin, error);
    case ACTION_FINISH:
        return write_change(pass, action, "deployment_finish", finish, error);
    case ACTION_FAIL:
        return write_change(pass, action, "deployment_fail", fail, error);
    case ACTION_CANCEL:
        return write_change(pass, action, "deployment_cancel", cancel, error);
    case ACTION_CREATE:
        return create_instance(pass, action, error);
    case ACTION_ROUTE:
    case ACTION_DRAIN:
        return true; /* together, after the others */
    case ACTION_STOP:
        g_atomic_int_inc(&controller->edge_removals);
        job_start(pass, action->kind, find_row(pass, action->instance_id), NULL);
        return true;
    case ACTION_RELEASE_COMMAND:
    case ACTION_REMOVE_ORPHAN:
        job_start(pass, action->kind, NULL, action->orphan);
        return true;
    case ACTION_RECREATE:
    case ACTION_START:
    case ACTION_PROBE:
        job_start(pass, action->kind, find_row(pass, action->instance_id), NULL);
        return true;
    }
    return true;
}

bool execute_plan(struct pass *pass, const struct plan *plan, GError **error)
{
    for (guint i = 0; i < plan->actions->len; i++) {
        const struct action *action = &g_array_index(plan->actions, struct action, i);
        if (!controller_may_act(pass->controller)) {
            return true; /* whoever holds the lease goes on */
        }
        controller_count(&pass->controller->stats.actions);
        if (action->kind != ACTION_PROBE) {
            log_event(LOG_INFO, "controller.action_taken", "action", action_name(action->kind), "pair", pass->pair->id,
                      "instance", action->instance_id, "reason", action->reason, NULL);
        }
        if (!execute(pass, action, error)) {
            controller_count(&pass->controller->stats.action_failures);
            g_prefix_error(error, "%s: ", action_name(action->kind));
            return false;
        }
    }
    return change_routes(pass, plan, error) && restarts_remember(pass, error);
}
