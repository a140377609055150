/* Single rules of the planner, each on the smallest input that shows it. */
#include <string.h>

#include "plan/plan.h"

#define NOW_US INT64_C(1767225600000000)
#define SECOND_US INT64_C(1000000)
#define MAX_ROWS 4

struct scene {
    struct pair pair;
    struct deployment desired;
    struct instance rows[MAX_ROWS];
    struct observed_instance observed[MAX_ROWS];
    GPtrArray *volumes;
    struct plan_input input;
    struct plan plan;
};

/* One public instance is wanted; its deployment is going on since ten seconds. */
static void scene_init(struct scene *scene)
{
    *scene = (struct scene){.volumes = g_ptr_array_new()};
    struct deployment *desired = &scene->desired;
    desired->version = (char *)"v2";
    desired->release_version = (char *)"v2";
    desired->template = (char *)"new";
    desired->status = DEPLOYMENT_DEPLOYING;
    desired->started_us = NOW_US - 10 * SECOND_US;
    desired->value.settings.replicas = 1;
    desired->value.settings.port = 8080;
    desired->value.settings.is_public = 1;
    desired->value.settings.health.grace_ms = 60000;
    desired->value.settings.stop.grace_ms = 30000;
    g_ptr_array_add(scene->volumes, scene);
    scene->input = (struct plan_input){
        .pair = &scene->pair,
        .desired = desired,
        .instances = scene->observed,
        .is_engine_ready = true,
        .is_edge_ready = true,
    };
}

/* A healthy instance that has been in `state` for a second; routed ones get traffic. */
static struct observed_instance *scene_add(struct scene *scene, const char *template, enum instance_state state)
{
    static const char *const ids[MAX_ROWS] = {"i0", "i1", "i2", "i3"};
    size_t i = scene->input.n_instances++;
    bool has_traffic = state == INSTANCE_ROUTED || state == INSTANCE_DRAINING;
    scene->rows[i] = (struct instance){
        .id = (char *)ids[i],
        .name = (char *)ids[i],
        .template = (char *)template,
        .state = (int)state,
        .started_us = NOW_US - 2 * SECOND_US,
        .state_since_us = NOW_US - SECOND_US,
        .retry_us = CONTRACT_ABSENT,
    };
    scene->observed[i] = (struct observed_instance){
        .row = &scene->rows[i],
        .container = CONTAINER_RUNNING,
        .exit_code = -1,
        .is_in_edge = has_traffic,
        .is_edge_up = state == INSTANCE_ROUTED,
        .is_edge_observed_since = true,
        .probed_us = NOW_US - SECOND_US,
        .n_probes = 1,
        .is_probe_ok = true,
        .probe_detail = "200",
    };
    return &scene->observed[i];
}

static struct instance *row_of(struct scene *scene, const struct observed_instance *observed)
{
    return &scene->rows[observed - scene->observed];
}

static void scene_plan(struct scene *scene)
{
    plan_pair(&scene->input, NOW_US, &scene->plan);
}

static const struct action *find_action(const struct scene *scene, enum action_kind kind)
{
    for (guint i = 0; i < scene->plan.actions->len; i++) {
        const struct action *action = &g_array_index(scene->plan.actions, struct action, i);
        if (action->kind == kind) {
            return action;
        }
    }
    return NULL;
}

static char *actions_of(const struct scene *scene)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < scene->plan.actions->len; i++) {
        const struct action *action = &g_array_index(scene->plan.actions, struct action, i);
        g_string_append_printf(text, "%s%s%s%s", text->len > 0 ? ", " : "", action_name(action->kind),
                               action->instance_id != NULL ? " " : "",
                               action->instance_id != NULL ? action->instance_id : "");
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Plans, compares, and ends the scene. */
static void assert_plan(struct scene *scene, const char *expected)
{
    scene_plan(scene);
    g_autofree char *actions = actions_of(scene);
    g_assert_cmpstr(actions, ==, expected);
}

static void scene_clear(struct scene *scene)
{
    plan_clear(&scene->plan);
    g_ptr_array_unref(scene->volumes);
}

static void every_action_has_a_name(void)
{
    for (int kind = ACTION_BEGIN; kind <= ACTION_FAIL; kind++) {
        g_assert_nonnull(action_name((enum action_kind)kind));
    }
}

static void holder_of_a_volume_serves_while_the_release_command_runs(void)
{
    struct scene scene;
    char *command[] = {(char *)"migrate", NULL};
    scene_init(&scene);
    scene.desired.value.settings.volumes = scene.volumes;
    scene.desired.value.settings.release = command;
    scene_add(&scene, "old", INSTANCE_ROUTED);
    assert_plan(&scene, "release_command");
    plan_clear(&scene.plan);
    scene.input.is_release_command_busy = true;
    assert_plan(&scene, "");
    plan_clear(&scene.plan);
    scene.desired.release_command_done = 1;
    assert_plan(&scene, "drain i0");
    scene_clear(&scene);
}

static void cancelling_drains_nobody(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.desired.value.settings.replicas = 0;
    scene.desired.cancel_requested = 1;
    scene_add(&scene, "old", INSTANCE_ROUTED);
    assert_plan(&scene, "cancel");
    scene_clear(&scene);
}

static void volume_waits_for_an_orphan_to_go(void)
{
    static const char *const orphans[] = {"container", NULL};
    static const char *const none[] = {NULL};
    struct scene scene;
    scene_init(&scene);
    scene.desired.value.settings.volumes = scene.volumes;
    scene.input.orphans = orphans;
    assert_plan(&scene, "remove_orphan");
    plan_clear(&scene.plan);
    scene.input.orphans = none;
    assert_plan(&scene, "create");
    scene_clear(&scene);
}

static void volume_waits_for_one_that_leaves(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.desired.value.settings.volumes = scene.volumes;
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_STARTING);
    fresh->container = CONTAINER_STOPPED;
    scene_add(&scene, "old", INSTANCE_STOPPING)->is_busy = true;
    assert_plan(&scene, "");
    scene_clear(&scene);
}

static void routed_instance_that_never_serves_ends_the_deployment(void)
{
    struct scene scene;
    scene_init(&scene);
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_ROUTED);
    scene_add(&scene, "old", INSTANCE_ROUTED);
    fresh->is_edge_up = false;
    assert_plan(&scene, "");
    plan_clear(&scene.plan);
    row_of(&scene, fresh)->state_since_us = NOW_US - 61 * SECOND_US;
    assert_plan(&scene, ""); /* the deployment has begun only ten seconds ago */
    plan_clear(&scene.plan);
    scene.desired.started_us = NOW_US - 62 * SECOND_US;
    assert_plan(&scene, "fail i0");
    const struct action *fail = find_action(&scene, ACTION_FAIL);
    g_assert_cmpstr(fail->error_code, ==, "HEALTH_FAILED");
    g_assert_cmpstr(fail->reason, ==,
                    "instance i0 was healthy, but does not serve: it does not answer the edge's own health check");
    plan_clear(&scene.plan);
    fresh->is_in_edge = false;
    scene.input.edge_refusal = "HAProxy refuses the configuration";
    assert_plan(&scene, "fail i0");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->reason, ==,
                    "instance i0 was healthy, but the edge did not take it: HAProxy refuses the configuration");
    plan_clear(&scene.plan);
    scene.input.is_edge_ready = false; /* that is not its fault */
    assert_plan(&scene, "");
    scene_clear(&scene);
}

static void old_crashes_of_one_that_serves_fail_nothing(void)
{
    struct scene scene;
    scene_init(&scene);
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_ROUTED);
    row_of(&scene, fresh)->restarts = 7;
    fresh->container = CONTAINER_MISSING;
    assert_plan(&scene, "recreate i0");
    plan_clear(&scene.plan);
    fresh->container = CONTAINER_STOPPED;
    assert_plan(&scene, "start i0");
    scene_clear(&scene);
}

static void crashing_at_once_fails_with_its_words(void)
{
    struct scene scene;
    scene_init(&scene);
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_STARTING);
    fresh->container = CONTAINER_RESTARTING;
    fresh->exit_code = 3;
    fresh->restarts = 2;
    fresh->is_probe_ok = false;
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.wake_us, >, NOW_US);
    plan_clear(&scene.plan);
    fresh->restarts = 3;
    assert_plan(&scene, "fail i0");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->reason, ==,
                    "instance i0 ended by itself with exit code 3, 3 times in a row");
    plan_clear(&scene.plan);
    fresh->was_oom_killed = true;
    assert_plan(&scene, "fail i0");
    g_assert_nonnull(strstr(find_action(&scene, ACTION_FAIL)->reason, "more memory than its limit"));
    plan_clear(&scene.plan);
    fresh->start_error = "no such user";
    assert_plan(&scene, "fail i0");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->reason, ==,
                    "instance i0 could not be started by the engine (no such user), 3 times in a row");
    scene_clear(&scene);
}

static void not_healthy_in_time_fails_with_the_last_answer(void)
{
    struct scene scene;
    scene_init(&scene);
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_STARTING);
    scene_add(&scene, "old", INSTANCE_ROUTED);
    fresh->is_probe_ok = false;
    fresh->probe_detail = "HTTP 500";
    scene.desired.started_us = NOW_US - 90 * SECOND_US;
    row_of(&scene, fresh)->started_us = NOW_US - 60 * SECOND_US + 1;
    assert_plan(&scene, "probe i0");
    plan_clear(&scene.plan);
    row_of(&scene, fresh)->started_us = NOW_US - 60 * SECOND_US;
    assert_plan(&scene, "fail i0");
    g_assert_nonnull(strstr(find_action(&scene, ACTION_FAIL)->reason, "HTTP 500"));
    scene_clear(&scene);
}

/* One that an earlier deployment of the same template has started. */
static void time_before_the_deployment_is_not_held_against_an_instance(void)
{
    struct scene scene;
    scene_init(&scene);
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_STARTING);
    fresh->is_probe_ok = false;
    row_of(&scene, fresh)->started_us = NOW_US - 90 * SECOND_US;
    scene.desired.started_us = NOW_US - 60 * SECOND_US + 1;
    assert_plan(&scene, "probe i0");
    plan_clear(&scene.plan);
    scene.desired.started_us = NOW_US - 60 * SECOND_US;
    assert_plan(&scene, "fail i0");
    scene_clear(&scene);
}

static void of_two_in_one_slot_the_one_without_traffic_leaves(void)
{
    struct scene scene;
    scene_init(&scene);
    scene_add(&scene, "new", INSTANCE_STARTING);
    scene_add(&scene, "new", INSTANCE_ROUTED);
    assert_plan(&scene, "finish, stop i0");
    scene_clear(&scene);
}

static void what_was_routed_unseen_is_drained(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.desired.value.settings.replicas = 0;
    struct observed_instance *old = scene_add(&scene, "old", INSTANCE_ROUTED);
    old->is_in_edge = false;
    old->is_edge_observed_since = false;
    assert_plan(&scene, "drain i0");
    plan_clear(&scene.plan);
    old->is_edge_observed_since = true;
    assert_plan(&scene, "stop i0");
    scene_clear(&scene);
}

static void deployment_has_not_finished_while_the_old_gets_requests(void)
{
    struct scene scene;
    scene_init(&scene);
    scene_add(&scene, "new", INSTANCE_ROUTED);
    struct observed_instance *old = scene_add(&scene, "old", INSTANCE_ROUTED);
    assert_plan(&scene, "drain i1");
    plan_clear(&scene.plan);
    row_of(&scene, old)->state = INSTANCE_DRAINING;
    old->is_edge_up = true; /* the edge has not been told yet */
    old->edge_sessions = 1;
    assert_plan(&scene, "");
    plan_clear(&scene.plan);
    old->is_edge_up = false;
    assert_plan(&scene, "finish");
    scene_clear(&scene);
}

static void draining_ends_when_idle_or_when_its_time_is_over(void)
{
    struct scene scene;
    scene_init(&scene);
    scene_add(&scene, "new", INSTANCE_ROUTED);
    scene.desired.status = DEPLOYMENT_RUNNING;
    struct observed_instance *old = scene_add(&scene, "old", INSTANCE_DRAINING);
    old->edge_sessions = 2;
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.wake_us, <=, NOW_US + SECOND_US);
    plan_clear(&scene.plan);
    row_of(&scene, old)->state_since_us = NOW_US - 30 * SECOND_US;
    assert_plan(&scene, "stop i1");
    g_assert_cmpstr(find_action(&scene, ACTION_STOP)->reason, ==,
                    "i1 still had 2 requests after the 30 s it was given");
    plan_clear(&scene.plan);
    row_of(&scene, old)->state_since_us = NOW_US - SECOND_US;
    old->edge_sessions = 0;
    assert_plan(&scene, "stop i1");
    plan_clear(&scene.plan);
    old->is_edge_observed_since = false; /* what was seen before it was drained says nothing */
    assert_plan(&scene, "");
    scene_clear(&scene);
}

static void one_that_is_down_for_long_is_looked_at_seldom(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.desired.status = DEPLOYMENT_RUNNING;
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_ROUTED);
    fresh->is_edge_up = false;
    row_of(&scene, fresh)->state_since_us = NOW_US;
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.wake_us, ==, NOW_US + 20000);
    plan_clear(&scene.plan);
    row_of(&scene, fresh)->state_since_us = NOW_US - 3600 * SECOND_US;
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.wake_us, ==, NOW_US + SECOND_US);
    plan_clear(&scene.plan);
    fresh->container = CONTAINER_RESTARTING;
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.wake_us, ==, NOW_US + SECOND_US);
    g_assert_cmpint(scene.plan.status, ==, PAIR_DEGRADED);
    scene_clear(&scene);
}

static void a_crashed_one_that_is_healthy_again_is_routed(void)
{
    struct scene scene;
    scene_init(&scene);
    row_of(&scene, scene_add(&scene, "new", INSTANCE_CRASHED))->started_us = CONTRACT_ABSENT;
    assert_plan(&scene, "route i0");
    scene_clear(&scene);
}

static void back_off_is_kept(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.desired.status = DEPLOYMENT_RUNNING;
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_ROUTED);
    fresh->container = CONTAINER_STOPPED;
    row_of(&scene, fresh)->retry_us = NOW_US + 1;
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.wake_us, ==, NOW_US + 1);
    plan_clear(&scene.plan);
    row_of(&scene, fresh)->retry_us = NOW_US;
    assert_plan(&scene, "start i0");
    scene_clear(&scene);
}

static void without_an_engine_nothing_is_done(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.input.is_engine_ready = false;
    scene_add(&scene, "old", INSTANCE_STOPPING);
    assert_plan(&scene, "");
    g_assert_false(scene.plan.is_converged);
    g_assert_cmpstr(scene.plan.status_reason, ==, "the container engine does not answer");
    scene_clear(&scene);
}

/* A worker: it has no port, and nothing of the edge is asked. */
static void what_needs_no_edge_serves_when_it_runs(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.desired.value.settings.port = 0;
    scene.input.is_edge_ready = false;
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_STARTING);
    assert_plan(&scene, "route i0");
    g_assert_null(strstr(find_action(&scene, ACTION_ROUTE)->reason, "traffic"));
    plan_clear(&scene.plan);
    row_of(&scene, fresh)->state = INSTANCE_ROUTED;
    assert_plan(&scene, "finish");
    plan_clear(&scene.plan);
    scene.desired.value.settings.port = 8080; /* private: reached by its name, not through the edge */
    scene.desired.value.settings.is_public = 0;
    assert_plan(&scene, "finish");
    scene_clear(&scene);
}

static void what_needs_no_edge_is_overdue_without_it(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.desired.value.settings.port = 0;
    scene.desired.started_us = NOW_US - 62 * SECOND_US;
    scene.input.is_edge_ready = false;
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_ROUTED);
    row_of(&scene, fresh)->state_since_us = NOW_US - 61 * SECOND_US;
    fresh->container = CONTAINER_RESTARTING;
    assert_plan(&scene, "fail i0");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->error_code, ==, "HEALTH_FAILED");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->reason, ==,
                    "instance i0 was healthy, but does not serve: it ended by itself");
    scene_clear(&scene);
}

static void one_that_never_started_fails_with_the_words_of_the_engine(void)
{
    struct scene scene;
    scene_init(&scene);
    struct observed_instance *fresh = scene_add(&scene, "new", INSTANCE_CREATED);
    fresh->container = CONTAINER_MISSING;
    row_of(&scene, fresh)->restarts = 3;
    assert_plan(&scene, "fail i0");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->error_code, ==, "DEPLOY_FAILED");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->reason, ==,
                    "instance i0 could not be started: the container engine refused");
    plan_clear(&scene.plan);
    row_of(&scene, fresh)->health_detail = (char *)"no such image";
    assert_plan(&scene, "fail i0");
    g_assert_cmpstr(find_action(&scene, ACTION_FAIL)->reason, ==, "instance i0 could not be started: no such image");
    scene_clear(&scene);
}

static void an_empty_release_command_is_none(void)
{
    struct scene scene;
    char *command[] = {NULL};
    scene_init(&scene);
    scene.desired.value.settings.release = command;
    assert_plan(&scene, "create");
    scene_clear(&scene);
}

static void an_empty_list_of_volumes_is_no_volume(void)
{
    struct scene scene;
    scene_init(&scene);
    g_ptr_array_set_size(scene.volumes, 0);
    scene.desired.value.settings.volumes = scene.volumes;
    scene_add(&scene, "old", INSTANCE_ROUTED);
    assert_plan(&scene, "create"); /* beside the old one, which goes on serving */
    scene_clear(&scene);
}

static void without_anything_wanted_a_failure_stays_to_be_seen(void)
{
    struct scene scene;
    scene_init(&scene);
    scene.input.desired = NULL;
    scene.pair.status = PAIR_FAILED;
    scene.pair.status_reason = (char *)"the gate";
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.status, ==, PAIR_FAILED);
    g_assert_cmpstr(scene.plan.status_reason, ==, "the gate");
    plan_clear(&scene.plan);
    scene.pair.status = PAIR_RUNNING;
    assert_plan(&scene, "");
    g_assert_cmpint(scene.plan.status, ==, PAIR_IDLE);
    g_assert_null(scene.plan.status_reason);
    scene_clear(&scene);
}

static void a_plan_may_be_cleared_twice(void)
{
    struct scene scene;
    scene_init(&scene);
    assert_plan(&scene, "create");
    plan_clear(&scene.plan);
    g_assert_null(scene.plan.actions);
    g_assert_null(scene.plan.status_reason);
    scene_clear(&scene);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/plan/" #name, name)
    ADD(every_action_has_a_name);
    ADD(holder_of_a_volume_serves_while_the_release_command_runs);
    ADD(cancelling_drains_nobody);
    ADD(volume_waits_for_an_orphan_to_go);
    ADD(volume_waits_for_one_that_leaves);
    ADD(routed_instance_that_never_serves_ends_the_deployment);
    ADD(old_crashes_of_one_that_serves_fail_nothing);
    ADD(crashing_at_once_fails_with_its_words);
    ADD(not_healthy_in_time_fails_with_the_last_answer);
    ADD(time_before_the_deployment_is_not_held_against_an_instance);
    ADD(of_two_in_one_slot_the_one_without_traffic_leaves);
    ADD(what_was_routed_unseen_is_drained);
    ADD(deployment_has_not_finished_while_the_old_gets_requests);
    ADD(draining_ends_when_idle_or_when_its_time_is_over);
    ADD(one_that_is_down_for_long_is_looked_at_seldom);
    ADD(a_crashed_one_that_is_healthy_again_is_routed);
    ADD(what_needs_no_edge_serves_when_it_runs);
    ADD(what_needs_no_edge_is_overdue_without_it);
    ADD(one_that_never_started_fails_with_the_words_of_the_engine);
    ADD(an_empty_release_command_is_none);
    ADD(an_empty_list_of_volumes_is_no_volume);
    ADD(without_anything_wanted_a_failure_stays_to_be_seen);
    ADD(a_plan_may_be_cleared_twice);
    ADD(back_off_is_kept);
    ADD(without_an_engine_nothing_is_done);
    return g_test_run();
}
