/* The promises of plan/plan.h, said again without looking at how plan.c keeps them. */
#include <string.h>

#include "world.h"

void world_fail(const struct world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *why = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    const char *story = world->story->str;
    size_t length = world->story->len;
    g_autofree char *first = g_strndup(story, strcspn(story, "\n"));
    g_printerr("%s\n…%s%s: %s\n", first, story + (length > 6000 ? length - 6000 : 0), first, why);
    g_error("%s: %s", first, why);
}

bool is_wanted(const struct plan_input *input, const struct observed_instance *instance)
{
    const struct instance *row = instance->row;
    return input->desired != NULL && row->state != INSTANCE_DRAINING && row->state != INSTANCE_STOPPING &&
           row->slot >= 0 && row->slot < input->desired->value.settings.replicas &&
           strcmp(row->template, input->desired->template) == 0;
}

bool observed_serves(const struct plan_input *input, const struct observed_instance *instance)
{
    bool needs_edge = input->desired != NULL && deployment_needs_edge(input->desired);
    return instance->row->state == INSTANCE_ROUTED && instance->container == CONTAINER_RUNNING &&
           (!needs_edge || (instance->is_in_edge && instance->is_edge_up));
}

/* Whether an earlier one fills the same slot: it counts once. */
static bool has_twin_before(const struct plan_input *input, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (is_wanted(input, &input->instances[j]) && input->instances[j].row->slot == input->instances[i].row->slot) {
            return true;
        }
    }
    return false;
}

static bool has_twin(const struct plan_input *input, const struct observed_instance *instance)
{
    int n = 0;
    for (size_t i = 0; i < input->n_instances; i++) {
        n += is_wanted(input, &input->instances[i]) && input->instances[i].row->slot == instance->row->slot;
    }
    return n > 1;
}

/* What the checks of single actions share. */
struct facts {
    struct world *world;
    const struct plan_input *input;
    const struct plan *plan;
    int64_t want, n_wanted, n_ready, n_serving, n_creates;
    bool is_deploying, is_ending, has_one_writer, must_run_command;
};

static void gather(struct facts *facts)
{
    const struct deployment *desired = facts->input->desired;
    if (desired != NULL) {
        const struct settings *settings = &desired->value.settings;
        facts->want = settings->replicas;
        facts->is_deploying = desired->status <= DEPLOYMENT_DEPLOYING;
        facts->has_one_writer = settings->volumes != NULL;
        facts->must_run_command =
            facts->is_deploying && facts->want > 0 && settings->release != NULL && desired->release_command_done == 0;
    }
    for (size_t i = 0; i < facts->input->n_instances; i++) {
        const struct observed_instance *instance = &facts->input->instances[i];
        if (is_wanted(facts->input, instance)) {
            facts->n_wanted += !has_twin_before(facts->input, i);
            facts->n_serving += observed_serves(facts->input, instance);
            facts->n_ready += instance->row->state == INSTANCE_ROUTED ||
                              (instance->is_probe_ok && instance->container == CONTAINER_RUNNING);
        }
    }
    for (guint i = 0; i < facts->plan->actions->len; i++) {
        enum action_kind kind = g_array_index(facts->plan->actions, struct action, i).kind;
        facts->is_ending = facts->is_ending || kind == ACTION_FAIL || kind == ACTION_CANCEL;
        facts->n_creates += kind == ACTION_CREATE;
    }
}

static const struct observed_instance *instance_of(const struct facts *facts, const struct action *action)
{
    for (size_t i = 0; i < facts->input->n_instances; i++) {
        if (facts->input->instances[i].row->id == action->instance_id) {
            return &facts->input->instances[i];
        }
    }
    world_fail(facts->world, "%s concerns a stranger", action_name(action->kind));
}

/* Whether an instance that gets traffic may lose it now. */
static bool may_leave(const struct facts *facts)
{
    if (facts->input->desired == NULL) {
        return true;
    }
    if (facts->is_ending) {
        return false;
    }
    return facts->want == 0 || facts->n_serving >= facts->want || (facts->has_one_writer && !facts->must_run_command);
}

static void check_leaving(const struct facts *facts, const struct action *action)
{
    const struct observed_instance *instance = instance_of(facts, action);
    const struct deployment *desired = facts->input->desired;
    int64_t grace_us = (desired != NULL ? desired->value.settings.stop.grace_ms : 30000) * 1000;
    bool is_over = facts->world->now_us - instance->row->state_since_us >= grace_us;
    bool is_idle = instance->is_edge_observed_since && instance->edge_sessions == 0;
    if (is_wanted(facts->input, instance) && !has_twin(facts->input, instance)) {
        world_fail(facts->world, "%s is wanted and leaves", instance->row->name);
    }
    if (instance->row->state == INSTANCE_ROUTED && !may_leave(facts)) {
        world_fail(facts->world, "%s leaves although %d of %d serve", instance->row->name, (int)facts->n_serving,
                   (int)facts->want);
    }
    bool may_have_traffic = instance->is_in_edge || (facts->input->is_edge_ready && !instance->is_edge_observed_since);
    if (action->kind == ACTION_STOP && instance->row->state == INSTANCE_ROUTED && may_have_traffic) {
        world_fail(facts->world, "%s is stopped while it gets traffic", instance->row->name);
    }
    if (action->kind == ACTION_STOP && instance->row->state == INSTANCE_DRAINING && !is_over && !is_idle) {
        world_fail(facts->world, "%s is stopped while requests may be going on", instance->row->name);
    }
}

static void check_growing(const struct facts *facts, const struct action *action)
{
    if (facts->want == 0) {
        world_fail(facts->world, "%s although nothing is to run", action_name(action->kind));
    }
    if (facts->must_run_command) {
        world_fail(facts->world, "%s before the release command", action_name(action->kind));
    }
    const char *const *orphans = facts->input->orphans;
    bool has_orphan = orphans != NULL && *orphans != NULL;
    bool is_alone = facts->n_wanted == (int64_t)facts->input->n_instances && !has_orphan;
    bool starts = action->kind != ACTION_ROUTE && action->kind != ACTION_PROBE;
    if (facts->has_one_writer && starts && !is_alone) {
        world_fail(facts->world, "%s beside another holder of the volume", action_name(action->kind));
    }
    if (action->kind == ACTION_CREATE) {
        for (size_t i = 0; i < facts->input->n_instances; i++) {
            const struct observed_instance *instance = &facts->input->instances[i];
            if (is_wanted(facts->input, instance) && instance->row->slot == action->slot) {
                world_fail(facts->world, "slot %d is filled twice", (int)action->slot);
            }
        }
        if (action->slot < 0 || action->slot >= facts->want || facts->n_wanted + facts->n_creates > facts->want) {
            world_fail(facts->world, "more than %d instances", (int)facts->want);
        }
        return;
    }
    if (!is_wanted(facts->input, instance_of(facts, action))) {
        world_fail(facts->world, "%s of an instance that nobody wants", action_name(action->kind));
    }
    if (action->kind == ACTION_ROUTE && facts->is_deploying && facts->n_ready < facts->want) {
        world_fail(facts->world, "routed before the gate: %d of %d are healthy", (int)facts->n_ready, (int)facts->want);
    }
}

static void check_orphan(const struct facts *facts, const struct action *action)
{
    for (const char *const *orphan = facts->input->orphans; orphan != NULL && *orphan != NULL; orphan++) {
        if (*orphan == action->orphan) {
            return;
        }
    }
    world_fail(facts->world, "removes a container that is not ours");
}

static void check_action(const struct facts *facts, const struct action *action)
{
    if (action->reason == NULL || *action->reason == '\0') {
        world_fail(facts->world, "%s has no reason", action_name(action->kind));
    }
    bool concerns_deployment = action->kind == ACTION_FAIL || action->kind == ACTION_FINISH;
    if (action->instance_id != NULL && !concerns_deployment && instance_of(facts, action)->is_busy) {
        world_fail(facts->world, "%s of a busy instance", action_name(action->kind));
    }
    switch (action->kind) {
    case ACTION_DRAIN:
    case ACTION_STOP:
        check_leaving(facts, action);
        break;
    case ACTION_CREATE:
    case ACTION_RECREATE:
    case ACTION_START:
    case ACTION_PROBE:
    case ACTION_ROUTE:
        check_growing(facts, action);
        break;
    case ACTION_REMOVE_ORPHAN:
        check_orphan(facts, action);
        break;
    case ACTION_FINISH:
        if (facts->n_serving < facts->want || facts->input->desired->status != DEPLOYMENT_DEPLOYING) {
            world_fail(facts->world, "finished with %d of %d serving", (int)facts->n_serving, (int)facts->want);
        }
        break;
    case ACTION_FAIL:
        if (!facts->is_deploying || action->error_code == NULL) {
            world_fail(facts->world, "a failure without a deployment or a code");
        }
        break;
    case ACTION_CANCEL:
        if (!facts->is_deploying || facts->input->desired->cancel_requested == 0) {
            world_fail(facts->world, "nobody has cancelled");
        }
        break;
    case ACTION_BEGIN:
        if (facts->input->desired->status != DEPLOYMENT_PENDING) {
            world_fail(facts->world, "begun twice");
        }
        break;
    case ACTION_RELEASE_COMMAND:
        if (!facts->must_run_command || facts->input->is_release_command_busy) {
            world_fail(facts->world, "the release command is not due");
        }
        break;
    }
}

/* One action per instance, and one end of the deployment. */
static void check_no_contradiction(const struct facts *facts)
{
    const GArray *actions = facts->plan->actions;
    for (guint i = 0; i < actions->len; i++) {
        const struct action *a = &g_array_index(actions, struct action, i);
        for (guint j = i + 1; j < actions->len; j++) {
            const struct action *b = &g_array_index(actions, struct action, j);
            bool same = a->instance_id != NULL && a->instance_id == b->instance_id;
            bool both_end = (a->kind == ACTION_FAIL || a->kind == ACTION_CANCEL || a->kind == ACTION_FINISH) &&
                            (b->kind == ACTION_FAIL || b->kind == ACTION_CANCEL || b->kind == ACTION_FINISH);
            if ((same && a->kind != ACTION_FAIL && b->kind != ACTION_FAIL) || both_end) {
                world_fail(facts->world, "%s and %s contradict each other", action_name(a->kind), action_name(b->kind));
            }
        }
    }
}

static void check_same(struct world *world, const struct plan *a, const struct plan *b)
{
    bool same = a->actions->len == b->actions->len && a->wake_us == b->wake_us && a->is_converged == b->is_converged &&
                a->status == b->status && g_strcmp0(a->status_reason, b->status_reason) == 0;
    for (guint i = 0; same && i < a->actions->len; i++) {
        const struct action *x = &g_array_index(a->actions, struct action, i);
        const struct action *y = &g_array_index(b->actions, struct action, i);
        same = x->kind == y->kind && x->instance_id == y->instance_id && x->orphan == y->orphan && x->slot == y->slot &&
               strcmp(x->reason, y->reason) == 0 && g_strcmp0(x->error_code, y->error_code) == 0;
    }
    if (!same) {
        world_fail(world, "the same input gave two plans");
    }
}

static bool is_anything_busy(const struct plan_input *input)
{
    bool is_busy = input->is_release_command_busy;
    for (size_t i = 0; i < input->n_instances; i++) {
        is_busy = is_busy || input->instances[i].is_busy;
    }
    return is_busy;
}

void check_plan(struct world *world, const struct plan_input *input, const struct plan *plan)
{
    struct facts facts = {.world = world, .input = input, .plan = plan};
    gather(&facts);
    if (!input->is_engine_ready && plan->actions->len > 0) {
        world_fail(world, "acts without having seen the engine");
    }
    for (guint i = 0; i < plan->actions->len; i++) {
        check_action(&facts, &g_array_index(plan->actions, struct action, i));
    }
    check_no_contradiction(&facts);
    if (plan->is_converged && plan->actions->len > 0) {
        world_fail(world, "converged, but something is to be done");
    }
    if (!plan->is_converged && plan->actions->len == 0 && plan->wake_us == 0 && !is_anything_busy(input)) {
        world_fail(world, "nothing to do, nothing to wait for, and not converged");
    }
    if (plan->wake_us != 0 && plan->wake_us <= world->now_us) {
        world_fail(world, "wants to be woken in the past");
    }
    struct plan again;
    plan_pair(input, world->now_us, &again);
    check_same(world, plan, &again);
    plan_clear(&again);
}

void check_settled(struct world *world)
{
    const struct sim_deployment *desired = world->desired;
    int64_t want = desired != NULL ? desired->row.value.settings.replicas : 0;
    if ((int64_t)world->instances->len != want) {
        world_fail(world, "settled with %u instances, %d wanted", world->instances->len, (int)want);
    }
    if (desired != NULL && (desired->row.status != DEPLOYMENT_RUNNING || world->serving != desired)) {
        world_fail(world, "settled, but %s is %s", desired->version, deployment_statuses[desired->row.status]);
    }
    if (world->orphans->len > 1) {
        world_fail(world, "settled with an orphan left");
    }
    uint64_t slots = 0;
    for (guint i = 0; i < world->instances->len; i++) {
        const struct sim_instance *instance = g_ptr_array_index(world->instances, i);
        bool is_right = instance->row.state == INSTANCE_ROUTED && instance->container == CONTAINER_RUNNING &&
                        strcmp(instance->row.template, desired->template) == 0;
        if (!is_right) {
            world_fail(world, "settled with %s %s", instance->name, instance_states[instance->row.state]);
        }
        slots |= UINT64_C(1) << instance->row.slot;
    }
    if (slots != (UINT64_C(1) << want) - 1) {
        world_fail(world, "settled with a slot empty");
    }
}
