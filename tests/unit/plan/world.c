#include "world.h"

#include <string.h>

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
#define HEALTH_GRACE_MS 10000
#define STOP_GRACE_MS 3000
#define START_US (INT64_C(1767225600) * SECOND) /* some day */

/* --- life ------------------------------------------------------------------------------------------------------------ */

struct world *world_new(uint64_t seed)
{
    struct world *world = g_new0(struct world, 1);
    world->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    world->now_us = world->seen_us = START_US;
    world->is_engine_ready = world->is_edge_ready = world->was_edge_ready = true;
    world->pair.id = (char *)"pair";
    world->instances = g_ptr_array_new_with_free_func(g_free);
    world->orphans = g_ptr_array_new_with_free_func(g_free);
    world->volumes = g_ptr_array_new();
    g_ptr_array_add(world->volumes, world);
    world->story = g_string_new(NULL);
    g_string_append_printf(world->story, "seed %" G_GUINT64_FORMAT "\n", seed);
    return world;
}

void world_free(struct world *world)
{
    g_ptr_array_unref(world->instances);
    g_ptr_array_unref(world->orphans);
    g_ptr_array_unref(world->volumes);
    g_string_free(world->story, TRUE);
    g_free(world->observed);
    g_free(world);
}

/* xorshift64* (Vigna 2016) */
uint64_t world_random(struct world *world, uint64_t below)
{
    world->random ^= world->random >> 12;
    world->random ^= world->random << 25;
    world->random ^= world->random >> 27;
    return ((world->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

bool world_chance(struct world *world, unsigned percent)
{
    return world_random(world, 100) < percent;
}

static int64_t between(struct world *world, int64_t low_ms, int64_t high_ms)
{
    return (low_ms + (int64_t)world_random(world, (uint64_t)(high_ms - low_ms + 1))) * MS;
}

static void tell(struct world *world, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void tell(struct world *world, const char *format, ...)
{
    va_list arguments;
    g_string_append_printf(world->story, "%9.3f ", (double)(world->now_us - START_US) / SECOND);
    va_start(arguments, format);
    g_string_append_vprintf(world->story, format, arguments);
    va_end(arguments);
    g_string_append_c(world->story, '\n');
}

static struct sim_instance *instance_at(const struct world *world, guint i)
{
    return g_ptr_array_index(world->instances, i);
}

/* --- the user --------------------------------------------------------------------------------------------------------- */

static struct sim_deployment *add_deployment(struct world *world)
{
    g_assert_cmpint(world->n_deployments, <, MAX_DEPLOYMENTS);
    int number = world->n_deployments++;
    struct sim_deployment *deployment = &world->deployments[number];
    struct deployment *row = &deployment->row;
    g_snprintf(deployment->id, sizeof deployment->id, "d%d", number);
    g_snprintf(deployment->version, sizeof deployment->version, "v%d", number);
    row->id = deployment->id;
    row->version = row->release_version = deployment->version;
    row->template = deployment->template;
    row->created_us = world->now_us;
    row->started_us = row->finished_us = CONTRACT_ABSENT;
    row->value.settings.health =
        (struct health_rule){.interval_ms = 500, .timeout_ms = 500, .grace_ms = HEALTH_GRACE_MS};
    row->value.settings.stop.grace_ms = STOP_GRACE_MS;
    row->value.settings.port = 8080;
    return deployment;
}

static void want(struct world *world, struct sim_deployment *deployment)
{
    struct sim_deployment *before = world->desired;
    if (before != NULL && before->row.status <= DEPLOYMENT_DEPLOYING) {
        before->row.status = DEPLOYMENT_SUPERSEDED;
    }
    world->desired = deployment;
    world->pair.generation++;
    tell(world, "user wants %s: %s, %d instances", deployment->version, deployment->template,
         (int)deployment->row.value.settings.replicas);
}

struct sim_deployment *world_deploy(struct world *world, const struct order *order)
{
    static char *release_command[] = {(char *)"migrate", NULL};
    struct sim_deployment *deployment = add_deployment(world);
    struct settings *settings = &deployment->row.value.settings;
    deployment->fate = order->fate;
    settings->replicas = world->has_volume ? MIN(order->replicas, 1) : order->replicas;
    settings->is_public = !order->is_private;
    settings->volumes = world->has_volume ? world->volumes : NULL;
    settings->release = order->has_release_command || order->fate == FATE_RELEASE_FAILS ? release_command : NULL;
    g_snprintf(deployment->template, sizeof deployment->template, "t%d-%d", world->n_deployments, (int)order->fate);
    if (order->template != NULL) {
        g_strlcpy(deployment->template, order->template, sizeof deployment->template);
    }
    want(world, deployment);
    return deployment;
}

struct sim_deployment *world_again(struct world *world, const struct sim_deployment *old, int64_t replicas)
{
    const struct settings *settings = &old->row.value.settings;
    const struct order order = {.fate = old->fate,
                                .replicas = replicas,
                                .is_private = !settings->is_public,
                                .has_release_command = settings->release != NULL,
                                .template = old->template};
    return world_deploy(world, &order);
}

void world_cancel(struct world *world)
{
    if (world->desired != NULL && world->desired->row.status <= DEPLOYMENT_DEPLOYING) {
        world->desired->row.cancel_requested = 1;
        tell(world, "user cancels %s", world->desired->version);
    }
}

void world_remove(struct world *world)
{
    world->desired = world->serving = NULL;
    world->pair.generation++;
    tell(world, "user removes the service");
}

/* --- the edge ---------------------------------------------------------------------------------------------------------- */

static bool has_routed_wanted(const struct world *world)
{
    for (guint i = 0; world->desired != NULL && i < world->instances->len; i++) {
        const struct sim_instance *instance = instance_at(world, i);
        if (instance->row.state == INSTANCE_ROUTED && strcmp(instance->row.template, world->desired->template) == 0) {
            return true;
        }
    }
    return false;
}

/* As the controller renders its table. */
static void sync_edge(struct world *world)
{
    const struct sim_deployment *rule =
        has_routed_wanted(world) || world->serving == NULL ? world->desired : world->serving;
    bool has_backend = rule != NULL && deployment_needs_edge(&rule->row);
    for (guint i = 0; world->is_edge_ready && i < world->instances->len; i++) {
        struct sim_instance *instance = instance_at(world, i);
        bool belongs =
            has_backend && (instance->row.state == INSTANCE_ROUTED || instance->row.state == INSTANCE_DRAINING);
        if (belongs && !instance->is_in_edge) {
            instance->edge_up_us = world->now_us + between(world, 1, 600);
        }
        instance->is_in_edge = belongs;
    }
}

static bool answers(const struct world *world, const struct sim_instance *instance)
{
    return instance->container == CONTAINER_RUNNING && world->now_us >= instance->answers_us;
}

static bool is_up(const struct world *world, const struct sim_instance *instance)
{
    return instance->is_in_edge && instance->of->fate != FATE_UNSEEN && instance->row.state == INSTANCE_ROUTED &&
           answers(world, instance) && world->now_us >= instance->edge_up_us;
}

int64_t world_serving(const struct world *world)
{
    int64_t n = 0;
    for (guint i = 0; i < world->instances->len; i++) {
        n += is_up(world, instance_at(world, i));
    }
    return n;
}

/* --- the engine ---------------------------------------------------------------------------------------------------------- */

static void container_starts(struct world *world, struct sim_instance *instance)
{
    instance->container = CONTAINER_RUNNING;
    instance->comes_back_us = instance->crashes_us = 0;
    instance->answers_us = world->now_us + between(world, 10, 1500);
    if (instance->of->fate == FATE_CRASHES) {
        instance->answers_us = INT64_MAX;
        instance->crashes_us = world->now_us + between(world, 5, 300);
    } else if (instance->of->fate == FATE_NEVER_HEALTHY) {
        instance->answers_us = INT64_MAX;
    }
}

static void container_crashes(struct world *world, struct sim_instance *instance)
{
    tell(world, "%s crashes", instance->name);
    instance->crashes_us = 0;
    instance->container = CONTAINER_STOPPED;
    if (world_chance(world, 70)) { /* the engine's own restart policy */
        instance->container = CONTAINER_RESTARTING;
        instance->comes_back_us = world->now_us + between(world, 50, 1000);
        instance->engine_restarts++;
    }
}

static void check_one_writer(struct world *world, const struct sim_instance *starting)
{
    for (guint i = 0; world->has_volume && i < world->instances->len; i++) {
        const struct sim_instance *other = instance_at(world, i);
        if (other != starting && other->container != CONTAINER_MISSING && other->container != CONTAINER_STOPPED) {
            world_fail(world, "%s starts while %s has the volume", starting->name, other->name);
        }
    }
    if (world->has_volume && world->orphans->len > 1) {
        world_fail(world, "%s starts while an orphan has the volume", starting->name);
    }
}

/* --- jobs ------------------------------------------------------------------------------------------------------------------ */

static void job_begins(struct world *world, struct sim_instance *instance, enum action_kind kind)
{
    static const int longest_ms[] = {
        [ACTION_CREATE] = 500, [ACTION_RECREATE] = 500, [ACTION_START] = 200, [ACTION_PROBE] = 40, [ACTION_STOP] = 800};
    instance->is_busy = true;
    instance->job = kind;
    instance->job_ends_us = world->now_us + between(world, 1, longest_ms[kind]);
    if (world->is_unruly && world_chance(world, 5)) {
        instance->job_ends_us += between(world, 500, 8000);
    }
}

static void count_failure(struct world *world, struct sim_instance *instance)
{
    instance->row.restarts++;
    instance->row.retry_us = world->now_us + MIN((500 * MS) << MIN(instance->row.restarts - 1, 10), 60 * SECOND);
}

static void start_ends(struct world *world, struct sim_instance *instance)
{
    bool is_refused = instance->of->fate == FATE_REFUSED || (world->is_unruly && world_chance(world, 5));
    if (is_refused) {
        tell(world, "the engine refuses %s", instance->name);
        count_failure(world, instance);
        return;
    }
    if (instance->container == CONTAINER_MISSING && instance->job == ACTION_START) {
        return;
    }
    if (instance->container != CONTAINER_RUNNING) {
        check_one_writer(world, instance);
        container_starts(world, instance);
    }
    instance->probed_us = instance->n_probes = 0;
    instance->is_probe_ok = false;
    if (instance->row.state == INSTANCE_CREATED || instance->row.state == INSTANCE_CRASHED) {
        instance->row.state = INSTANCE_STARTING;
        instance->row.state_since_us = world->now_us;
    }
    if (instance->row.started_us != CONTRACT_ABSENT) {
        bool was_stable = world->now_us - instance->row.started_us > 60 * SECOND;
        instance->row.restarts = was_stable ? 0 : instance->row.restarts;
        count_failure(world, instance);
    }
    instance->row.started_us = world->now_us;
}

/* Returns whether the instance is gone. */
static bool job_ends(struct world *world, struct sim_instance *instance)
{
    instance->is_busy = false;
    if (!world->is_engine_ready && instance->job != ACTION_PROBE) {
        return false;
    }
    switch (instance->job) {
    case ACTION_PROBE:
        instance->probed_us = world->now_us;
        instance->n_probes++;
        instance->is_probe_ok = answers(world, instance);
        return false;
    case ACTION_STOP:
        if (instance->is_in_edge) {
            return false; /* the edge could not be told: nothing is stopped that still gets requests */
        }
        tell(world, "%s is gone", instance->name);
        return true;
    default:
        start_ends(world, instance);
        return false;
    }
}

static void release_command_ends(struct world *world)
{
    world->is_release_busy = false;
    struct sim_deployment *deployment = world->release_of;
    if (deployment->fate != FATE_RELEASE_FAILS) {
        deployment->row.release_command_done = 1;
        return;
    }
    if (!deployment_may_become((enum deployment_status)deployment->row.status, DEPLOYMENT_FAILED)) {
        return;
    }
    tell(world, "the release command of %s fails", deployment->version);
    deployment->row.status = DEPLOYMENT_FAILED;
    if (world->desired == deployment) {
        world->desired = world->serving;
        world->pair.generation++;
    }
}

/* --- carrying out ------------------------------------------------------------------------------------------------------------ */

static struct sim_instance *find(const struct world *world, const char *id)
{
    for (guint i = 0; i < world->instances->len; i++) {
        struct sim_instance *instance = instance_at(world, i);
        if (strcmp(instance->id, id) == 0) {
            return instance;
        }
    }
    world_fail(world, "an action names %s, which does not exist", id);
}

static struct sim_instance *add_instance(struct world *world, int64_t slot)
{
    struct sim_instance *instance = g_new0(struct sim_instance, 1);
    int number = world->n_made++;
    g_snprintf(instance->id, sizeof instance->id, "i%d", number);
    g_snprintf(instance->name, sizeof instance->name, "i%d:%s#%d", number, world->desired->version, (int)slot);
    instance->of = world->desired;
    instance->row.id = instance->id;
    instance->row.name = instance->name;
    instance->row.template = (char *)instance->of->template;
    instance->row.deployment_id = (char *)instance->of->id;
    instance->row.slot = slot;
    instance->row.port = 8080;
    instance->row.state = INSTANCE_CREATED;
    instance->row.state_since_us = instance->row.created_us = world->now_us;
    instance->row.started_us = instance->row.retry_us = CONTRACT_ABSENT;
    instance->container = CONTAINER_MISSING;
    g_ptr_array_add(world->instances, instance);
    return instance;
}

static void finish(struct world *world)
{
    struct sim_deployment *deployment = world->desired;
    if (world->serving != NULL && world->serving != deployment && world->serving->row.status == DEPLOYMENT_RUNNING) {
        world->serving->row.status = DEPLOYMENT_SUPERSEDED;
    }
    world->serving = deployment;
    deployment->row.status = DEPLOYMENT_RUNNING;
    deployment->row.was_healthy = 1;
}

static void go_back(struct world *world, int status)
{
    world->desired->row.status = status;
    world->desired = world->serving != world->desired ? world->serving : NULL;
    world->pair.generation++;
}

static void set_state(struct world *world, struct sim_instance *instance, enum instance_state state)
{
    if (instance->row.state != (int)state) {
        instance->row.state = (int)state;
        instance->row.state_since_us = world->now_us;
        instance->quiet_us = world->now_us + between(world, 0, STOP_GRACE_MS * 5 / 4);
    }
}

static void begin(struct world *world)
{
    world->desired->row.status = DEPLOYMENT_DEPLOYING;
    world->desired->row.started_us = world->now_us;
}

static void remove_orphan(struct world *world, const char *orphan)
{
    for (guint i = 0; i + 1 < world->orphans->len; i++) {
        if (strcmp(g_ptr_array_index(world->orphans, i), orphan) == 0) {
            g_ptr_array_remove_index(world->orphans, i);
            return;
        }
    }
}

/* `generation` is that of the pair when the plan was made: changes of what is desired are carried out only for that. */
static void execute(struct world *world, const struct action *action, int64_t generation)
{
    bool is_same = world->pair.generation == generation;
    switch (action->kind) {
    case ACTION_BEGIN:
        begin(world);
        break;
    case ACTION_FINISH:
        finish(world);
        break;
    case ACTION_FAIL:
    case ACTION_CANCEL:
        go_back(world, action->kind == ACTION_FAIL ? DEPLOYMENT_FAILED : DEPLOYMENT_CANCELLED);
        break;
    case ACTION_CREATE:
        if (is_same) {
            job_begins(world, add_instance(world, action->slot), ACTION_CREATE);
        }
        break;
    case ACTION_RELEASE_COMMAND:
        world->is_release_busy = true;
        world->release_of = world->desired;
        world->release_ends_us = world->now_us + between(world, 50, 2000);
        break;
    case ACTION_REMOVE_ORPHAN:
        remove_orphan(world, action->orphan);
        break;
    case ACTION_STOP:
        set_state(world, find(world, action->instance_id), INSTANCE_STOPPING);
        sync_edge(world);
        job_begins(world, find(world, action->instance_id), ACTION_STOP);
        break;
    case ACTION_ROUTE:
    case ACTION_DRAIN:
        break; /* together, after the others */
    default:
        job_begins(world, find(world, action->instance_id), action->kind);
    }
}

static void change_routes(struct world *world, const struct plan *plan)
{
    for (guint i = 0; i < plan->actions->len; i++) {
        const struct action *action = &g_array_index(plan->actions, struct action, i);
        if (action->kind == ACTION_ROUTE || action->kind == ACTION_DRAIN) {
            set_state(world, find(world, action->instance_id),
                      action->kind == ACTION_ROUTE ? INSTANCE_ROUTED : INSTANCE_DRAINING);
        }
    }
    sync_edge(world);
}

/* The controller dies: what its jobs had done so far stays, what they knew is lost. */
static void controller_dies(struct world *world)
{
    tell(world, "the controller dies and starts again");
    world->is_release_busy = false;
    for (guint i = 0; i < world->instances->len; i++) {
        struct sim_instance *instance = instance_at(world, i);
        bool was_starting = instance->is_busy && (instance->job == ACTION_CREATE || instance->job == ACTION_RECREATE ||
                                                  instance->job == ACTION_START);
        if (was_starting && instance->of->fate != FATE_REFUSED && world_chance(world, 50)) {
            instance->container = CONTAINER_STOPPED;
            if (world_chance(world, 50)) {
                check_one_writer(world, instance);
                container_starts(world, instance);
            }
        } else if (instance->is_busy && instance->job == ACTION_STOP && world_chance(world, 50)) {
            instance->container = world_chance(world, 50) ? CONTAINER_STOPPED : CONTAINER_MISSING;
        }
        instance->is_busy = instance->is_probe_ok = false;
        instance->probed_us = instance->n_probes = 0;
    }
}

static void carry_out(struct world *world, const struct plan *plan)
{
    int64_t generation = world->pair.generation;
    bool dies = world->is_unruly && plan->actions->len > 0 && world_chance(world, 3);
    guint n = dies ? (guint)world_random(world, plan->actions->len) : plan->actions->len;
    for (guint i = 0; i < n; i++) {
        const struct action *action = &g_array_index(plan->actions, struct action, i);
        if (action->kind != ACTION_PROBE) {
            tell(world, "  %s %s: %s", action_name(action->kind),
                 action->instance_id != NULL ? action->instance_id : "", action->reason);
        }
        execute(world, action, generation);
    }
    if (dies) {
        controller_dies(world);
    } else {
        change_routes(world, plan);
    }
}

/* --- looking ------------------------------------------------------------------------------------------------------------------- */

static void look(struct world *world)
{
    world->seen_us = world->now_us;
    world->was_edge_ready = world->is_edge_ready;
    for (guint i = 0; i < world->instances->len; i++) {
        struct sim_instance *instance = instance_at(world, i);
        bool is_draining = instance->row.state == INSTANCE_DRAINING;
        instance->seen = (struct glimpse){
            .container = instance->container,
            .is_in_edge = instance->is_in_edge && world->is_edge_ready,
            .is_edge_up = world->is_edge_ready && is_up(world, instance),
            .sessions = !instance->is_in_edge || !world->is_edge_ready ? 0
                        : is_draining                                  ? world->now_us < instance->quiet_us
                                                                       : 2,
        };
    }
}

static void observe(struct world *world, struct plan_input *ret_input)
{
    guint n = world->instances->len;
    world->observed = g_renew(struct observed_instance, world->observed, n + 1);
    for (guint i = 0; i < n; i++) {
        const struct sim_instance *instance = instance_at(world, i);
        bool has_probe = instance->probed_us > 0 && instance->probed_us >= instance->row.started_us;
        bool is_fresh_look = world->was_edge_ready && world->seen_us > instance->row.state_since_us;
        world->observed[i] = (struct observed_instance){
            .row = &instance->row,
            .is_busy = instance->is_busy,
            .container = instance->seen.container,
            .exit_code = instance->seen.container == CONTAINER_RUNNING ? -1 : 1,
            .restarts = instance->seen.container == CONTAINER_RUNNING ? 0 : instance->engine_restarts,
            .is_in_edge = instance->seen.is_in_edge,
            .is_edge_up = instance->seen.is_edge_up,
            .edge_sessions = instance->seen.sessions,
            .is_edge_observed_since = is_fresh_look,
            .probed_us = has_probe ? instance->probed_us : 0,
            .is_probe_ok = has_probe && instance->is_probe_ok,
            .n_probes = has_probe ? instance->n_probes : 0,
            .probe_detail = has_probe ? "an answer" : NULL,
        };
    }
    *ret_input = (struct plan_input){
        .pair = &world->pair,
        .desired = world->desired != NULL ? &world->desired->row : NULL,
        .instances = world->observed,
        .n_instances = n,
        .orphans = world->orphans->len > 0 ? (const char *const *)world->orphans->pdata : NULL,
        .is_engine_ready = world->is_engine_ready,
        .is_edge_ready = world->was_edge_ready,
        .is_release_command_busy = world->is_release_busy,
    };
}

/* --- time -------------------------------------------------------------------------------------------------------------------------- */

static void earlier(int64_t *due_us, int64_t at_us)
{
    if (at_us > 0 && at_us < *due_us) {
        *due_us = at_us;
    }
}

static int64_t next_event(const struct world *world)
{
    int64_t due_us = INT64_MAX;
    for (guint i = 0; i < world->instances->len; i++) {
        const struct sim_instance *instance = instance_at(world, i);
        earlier(&due_us, instance->is_busy ? instance->job_ends_us : 0);
        earlier(&due_us, instance->container == CONTAINER_RUNNING ? instance->crashes_us : 0);
        earlier(&due_us, instance->container == CONTAINER_RESTARTING ? instance->comes_back_us : 0);
    }
    earlier(&due_us, world->is_release_busy ? world->release_ends_us : 0);
    return due_us;
}

static void events_happen(struct world *world)
{
    for (guint i = 0; i < world->instances->len;) {
        struct sim_instance *instance = instance_at(world, i);
        bool is_due = instance->container == CONTAINER_RUNNING && instance->crashes_us > 0;
        if (is_due && world->now_us >= instance->crashes_us) {
            container_crashes(world, instance);
        } else if (instance->container == CONTAINER_RESTARTING && world->now_us >= instance->comes_back_us) {
            container_starts(world, instance);
        }
        if (instance->is_busy && world->now_us >= instance->job_ends_us && job_ends(world, instance)) {
            g_ptr_array_remove_index(world->instances, i);
        } else {
            i++;
        }
    }
    if (world->is_release_busy && world->now_us >= world->release_ends_us) {
        release_command_ends(world);
    }
    if (world->now_us >= world->next_edge_sync_us) {
        sync_edge(world);
        world->next_edge_sync_us = world->now_us + 5 * SECOND;
    }
}

bool world_step(struct world *world)
{
    struct plan_input input;
    struct plan plan;
    bool sees_old = world->is_unruly && world_chance(world, 20);
    if (!sees_old) {
        look(world);
    }
    observe(world, &input);
    plan_pair(&input, world->now_us, &plan);
    world->n_plans++;
    check_plan(world, &input, &plan);
    bool is_converged = plan.is_converged;
    carry_out(world, &plan);
    int64_t due_us = next_event(world);
    earlier(&due_us, plan.wake_us);
    if (due_us == INT64_MAX) {
        due_us = world->now_us + (is_converged || plan.actions->len == 0 ? 30 * SECOND : MS);
    }
    plan_clear(&plan);
    world->now_us = MAX(due_us, world->now_us + MS);
    events_happen(world);
    world->least_serving = MIN(world->least_serving, world_serving(world));
    return is_converged;
}

void world_settle(struct world *world, int limit)
{
    while (!world_step(world)) {
        if (limit-- == 0) {
            for (guint i = 0; i < world->instances->len; i++) {
                const struct sim_instance *instance = instance_at(world, i);
                tell(world, "left: %s %s, container %d, in edge %d, busy %d, probe %d", instance->name,
                     instance_states[instance->row.state], (int)instance->container, instance->is_in_edge,
                     instance->is_busy, instance->is_probe_ok);
            }
            world_fail(world, "it does not settle");
        }
    }
}

void world_disturb(struct world *world)
{
    world->is_engine_ready = world->is_engine_ready ? !world_chance(world, 1) : world_chance(world, 30);
    world->is_edge_ready = world->is_edge_ready ? !world_chance(world, 1) : world_chance(world, 30);
    if (world_chance(world, 1)) {
        if (world->orphans->len == 0) {
            g_ptr_array_add(world->orphans, NULL);
        }
        g_ptr_array_insert(world->orphans, 0, g_strdup_printf("orphan%d", world->n_made++));
    }
    if (world->instances->len == 0 || !world_chance(world, 4)) {
        return;
    }
    struct sim_instance *instance = instance_at(world, (guint)world_random(world, world->instances->len));
    if (instance->container == CONTAINER_RUNNING && world_chance(world, 60)) {
        container_crashes(world, instance);
    } else {
        tell(world, "the container of %s vanishes", instance->name);
        instance->container = CONTAINER_MISSING;
        instance->comes_back_us = instance->crashes_us = 0;
    }
}
