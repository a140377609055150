/* What the planner promises in every world; a seed that breaks a promise is printed. PLAN_SEED=N runs that one alone. */
#include <string.h>

#include "world.h"

#define SEEDS 3000
#define STEPS_TO_SETTLE 3000

static uint64_t first_seed(void)
{
    const char *given = g_getenv("PLAN_SEED");
    return given != NULL ? g_ascii_strtoull(given, NULL, 10) : 0;
}

static uint64_t last_seed(uint64_t n)
{
    return g_getenv("PLAN_SEED") != NULL ? first_seed() + 1 : n;
}

static struct sim_deployment *deploy(struct world *world, enum fate fate, int64_t replicas)
{
    return world_deploy(world, &(const struct order){.fate = fate, .replicas = replicas});
}

static enum fate any_fate(struct world *world)
{
    return world_chance(world, 55) ? FATE_GOOD : (enum fate)(1 + world_random(world, N_FATES - 1));
}

static void do_anything(struct world *world)
{
    const struct sim_deployment *old =
        world->n_deployments > 0 ? &world->deployments[world_random(world, (uint64_t)world->n_deployments)] : NULL;
    struct order order = {
        .fate = any_fate(world),
        .replicas = (int64_t)world_random(world, 5),
        .is_private = world_chance(world, 15),
        .has_release_command = world_chance(world, 25),
    };
    if (world->n_deployments >= MAX_DEPLOYMENTS - 2) {
        return;
    }
    switch (world_random(world, 8)) {
    case 0:
        world_cancel(world);
        break;
    case 1:
        world_remove(world);
        break;
    case 2:
    case 3:
        if (old != NULL) {
            world_again(world, old, (int64_t)world_random(world, 5));
            break;
        }
        /* fall through */
    default:
        world_deploy(world, &order);
    }
}

static void any_world_settles_as_last_wished(void)
{
    int64_t plans = 0;
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS); seed++) {
        struct world *world = world_new(seed);
        world->has_volume = seed % 4 == 3;
        world->is_unruly = true;
        int steps = 20 + (int)world_random(world, 150);
        for (int i = 0; i < steps; i++) {
            if (world_chance(world, 6)) {
                do_anything(world);
            }
            world_disturb(world);
            world_step(world);
        }
        world->is_unruly = false;
        world->is_engine_ready = world->is_edge_ready = true;
        do_anything(world);
        const struct sim_deployment *last = world->desired;
        const struct sim_deployment *before = world->serving;
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        bool is_good = last != NULL && last->row.cancel_requested == 0 && last->fate == FATE_GOOD;
        if (is_good && world->desired != last) {
            world_fail(world, "%s was the last wish, and nothing was wrong with it", last->version);
        }
        if (last != NULL && world->desired != last && world->desired != before) {
            world_fail(world, "went back to what did not serve before");
        }
        world_settle(world, 1);
        plans += world->n_plans;
        world_free(world);
    }
    g_test_message("%d plans", (int)plans);
}

/* Old and new may differ in number; until the new ones serve, none of the old ones goes. */
static void an_update_never_serves_with_fewer_than_promised(void)
{
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS / 5); seed++) {
        struct world *world = world_new(seed);
        int64_t old = 1 + (int64_t)world_random(world, 4);
        int64_t new = 1 + (int64_t)world_random(world, 4);
        deploy(world, FATE_GOOD, old);
        world_settle(world, STEPS_TO_SETTLE);
        world->least_serving = world_serving(world);
        deploy(world, FATE_GOOD, new);
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        if (world->least_serving < MIN(old, new)) {
            world_fail(world, "only %d served, from %d to %d", (int)world->least_serving, (int)old, (int)new);
        }
        world_free(world);
    }
}

/* Whatever is wrong with the new one, every old instance serves all the time and is still there afterwards. */
static void a_failed_deployment_takes_nothing_away(void)
{
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS / 5); seed++) {
        struct world *world = world_new(seed);
        int64_t old = 1 + (int64_t)world_random(world, 4);
        const struct sim_deployment *good = deploy(world, FATE_GOOD, old);
        world_settle(world, STEPS_TO_SETTLE);
        int n_made = world->n_made;
        world->least_serving = world_serving(world);
        const struct sim_deployment *bad =
            deploy(world, (enum fate)(1 + world_random(world, N_FATES - 1)), 1 + (int64_t)world_random(world, 4));
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        if (bad->row.status != DEPLOYMENT_FAILED || world->desired != good || world->least_serving < old) {
            world_fail(world, "%s is %s, least serving %d", bad->version, deployment_statuses[bad->row.status],
                       (int)world->least_serving);
        }
        for (guint i = 0; i < world->instances->len; i++) {
            const struct sim_instance *instance = g_ptr_array_index(world->instances, i);
            if (g_ascii_strtoll(instance->id + 1, NULL, 10) >= n_made) {
                world_fail(world, "%s is not one of the old ones", instance->name);
            }
        }
        world_free(world);
    }
}

/* A volume's holder stays as well while it is not yet sure that it will be replaced. */
static void a_cancelled_deployment_takes_nothing_away(void)
{
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS / 5); seed++) {
        struct world *world = world_new(seed);
        world->has_volume = seed % 2 == 1;
        const struct sim_deployment *good = deploy(world, FATE_GOOD, 2);
        world_settle(world, STEPS_TO_SETTLE);
        int64_t old = world_serving(world);
        world->least_serving = old;
        deploy(world, world->has_volume ? FATE_RELEASE_FAILS : FATE_NEVER_HEALTHY, (int64_t)world_random(world, 3));
        bool is_at_once = world->desired->row.value.settings.replicas == 0;
        for (uint64_t i = is_at_once ? 0 : world_random(world, 8); i > 0; i--) {
            world_step(world);
        }
        world_cancel(world);
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        if (world->desired != good || world->least_serving < old) {
            world_fail(world, "least serving %d of %d", (int)world->least_serving, (int)old);
        }
        world_free(world);
    }
}

static void stop_means_stop(void)
{
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS / 5); seed++) {
        struct world *world = world_new(seed);
        world->has_volume = seed % 3 == 2;
        deploy(world, any_fate(world), 3);
        for (uint64_t i = world_random(world, 60); i > 0; i--) {
            world_step(world);
        }
        if (world_chance(world, 50)) {
            world_remove(world);
        } else {
            deploy(world, FATE_GOOD, 0);
        }
        int n_made = world->n_made;
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        if (world->n_made != n_made || world->instances->len != 0) {
            world_fail(world, "something was started");
        }
        world_free(world);
    }
}

static void the_newest_of_many_wins(void)
{
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS / 5); seed++) {
        struct world *world = world_new(seed);
        const struct sim_deployment *last = NULL;
        for (uint64_t i = 2 + world_random(world, 10); i > 0; i--) {
            last = deploy(world, i == 1 ? FATE_GOOD : any_fate(world), 1 + (int64_t)world_random(world, 4));
            for (uint64_t j = world_random(world, 20); j > 0; j--) {
                world_step(world);
            }
        }
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        g_assert_true(world->desired == last);
        world_free(world);
    }
}

static void rolling_back_brings_back_what_ran(void)
{
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS / 5); seed++) {
        struct world *world = world_new(seed);
        world->has_volume = seed % 3 == 0;
        const struct sim_deployment *first = deploy(world, FATE_GOOD, 2);
        world_settle(world, STEPS_TO_SETTLE);
        deploy(world, FATE_GOOD, 3);
        for (uint64_t i = world_random(world, 60); i > 0; i--) {
            world_step(world);
        }
        const struct sim_deployment *back = world_again(world, first, 2);
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        g_assert_true(world->desired == back);
        g_assert_cmpstr(back->template, ==, first->template);
        world_free(world);
    }
}

/* Scaling changes the number and nothing else: who stays has been there before. */
static void scaling_replaces_nobody(void)
{
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS / 5); seed++) {
        struct world *world = world_new(seed);
        int64_t old = 1 + (int64_t)world_random(world, 4);
        int64_t new = 1 + (int64_t)world_random(world, 4);
        const struct sim_deployment *first = deploy(world, FATE_GOOD, old);
        world_settle(world, STEPS_TO_SETTLE);
        int n_made = world->n_made;
        world->least_serving = old;
        world_again(world, first, new);
        world_settle(world, STEPS_TO_SETTLE);
        check_settled(world);
        if (world->n_made != n_made + MAX(new - old, 0) || world->least_serving < MIN(old, new)) {
            world_fail(world, "%d were made to go from %d to %d", world->n_made - n_made, (int)old, (int)new);
        }
        world_free(world);
    }
}

/* --- not only what a world can come to, but anything at all ------------------------------------------------------------ */

static int64_t any_time(struct world *world)
{
    static const int64_t ages_ms[] = {-5000, 0, 1, 40, 900, 2500, 5000, 20000, 70000, 4000000};
    return world_chance(world, 15) ? CONTRACT_ABSENT
                                   : world->now_us - ages_ms[world_random(world, G_N_ELEMENTS(ages_ms))] * 1000;
}

static void any_row(struct world *world, struct instance *row)
{
    static const char *const templates[] = {"new", "old", "older"};
    row->template = (char *)templates[world_random(world, G_N_ELEMENTS(templates))];
    row->slot = (int64_t)world_random(world, 6) - world_chance(world, 3);
    row->name = (char *)"name";
    row->state = (int)world_random(world, 6);
    row->restarts = (int64_t)world_random(world, 6);
    row->started_us = any_time(world);
    row->retry_us = any_time(world);
    row->state_since_us = world->now_us - (int64_t)world_random(world, 100000000);
}

static void any_observation(struct world *world, struct observed_instance *observed)
{
    observed->is_busy = world_chance(world, 15);
    observed->container = (enum container_state)world_random(world, 4);
    observed->exit_code = (int)world_random(world, 3) - 1;
    observed->was_oom_killed = world_chance(world, 10);
    observed->restarts = (int64_t)world_random(world, 5);
    observed->is_in_edge = world_chance(world, 50);
    observed->is_edge_up = world_chance(world, 70);
    observed->edge_sessions = observed->is_in_edge ? (int64_t)world_random(world, 3) : 0;
    observed->is_edge_observed_since = world_chance(world, 70);
    observed->probed_us = world_chance(world, 30) ? 0 : MAX(any_time(world), 0);
    observed->n_probes = observed->probed_us > 0;
    observed->is_probe_ok = observed->probed_us > 0 && world_chance(world, 50);
}

static void any_input_keeps_the_promises(void)
{
    struct instance rows[12];
    char ids[G_N_ELEMENTS(rows)][8];
    struct observed_instance observed[G_N_ELEMENTS(rows)];
    static const char *const orphans[] = {"orphan", NULL};
    for (uint64_t seed = first_seed(); seed < last_seed(SEEDS * 20); seed++) {
        struct world *world = world_new(seed);
        world->has_volume = world_chance(world, 25);
        struct sim_deployment *desired = deploy(world, FATE_GOOD, (int64_t)world_random(world, 5));
        g_strlcpy(desired->template, "new", sizeof desired->template);
        desired->row.status = (int)world_random(world, 3);
        desired->row.started_us = desired->row.status == DEPLOYMENT_PENDING ? CONTRACT_ABSENT : any_time(world);
        desired->row.cancel_requested = world_chance(world, 5);
        desired->row.value.settings.release = world_chance(world, 20) ? (char *[]){(char *)"x", NULL} : NULL;
        size_t n = world_random(world, G_N_ELEMENTS(rows) + 1);
        memset(rows, 0, sizeof rows);
        memset(observed, 0, sizeof observed);
        for (size_t i = 0; i < n; i++) {
            any_row(world, &rows[i]);
            any_observation(world, &observed[i]);
            g_snprintf(ids[i], sizeof ids[i], "i%d", (int)i);
            rows[i].id = ids[i];
            observed[i].row = &rows[i];
        }
        const struct plan_input input = {
            .pair = &world->pair,
            .desired = world_chance(world, 90) ? &desired->row : NULL,
            .instances = observed,
            .n_instances = n,
            .orphans = world_chance(world, 10) ? orphans : NULL,
            .is_engine_ready = world_chance(world, 97),
            .is_edge_ready = world_chance(world, 90),
            .is_release_command_busy = world_chance(world, 10),
        };
        for (size_t i = 0; i < n; i++) {
            g_string_append_printf(
                world->story, "  %s#%d %s %s busy %d container %d probe %d edge %d/%d sessions %d since %d\n",
                rows[i].template, (int)rows[i].slot, rows[i].id, instance_states[rows[i].state], observed[i].is_busy,
                (int)observed[i].container, observed[i].is_probe_ok, observed[i].is_in_edge, observed[i].is_edge_up,
                (int)observed[i].edge_sessions, observed[i].is_edge_observed_since);
        }
        struct plan plan;
        plan_pair(&input, world->now_us, &plan);
        check_plan(world, &input, &plan);
        plan_clear(&plan);
        world_free(world);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/any_world_settles_as_last_wished", any_world_settles_as_last_wished);
    g_test_add_func("/plan/an_update_never_serves_with_fewer_than_promised",
                    an_update_never_serves_with_fewer_than_promised);
    g_test_add_func("/plan/a_failed_deployment_takes_nothing_away", a_failed_deployment_takes_nothing_away);
    g_test_add_func("/plan/a_cancelled_deployment_takes_nothing_away", a_cancelled_deployment_takes_nothing_away);
    g_test_add_func("/plan/stop_means_stop", stop_means_stop);
    g_test_add_func("/plan/the_newest_of_many_wins", the_newest_of_many_wins);
    g_test_add_func("/plan/rolling_back_brings_back_what_ran", rolling_back_brings_back_what_ran);
    g_test_add_func("/plan/scaling_replaces_nobody", scaling_replaces_nobody);
    g_test_add_func("/plan/any_input_keeps_the_promises", any_input_keeps_the_promises);
    return g_test_run();
}
