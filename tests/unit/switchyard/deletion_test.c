/* What a deletion marks, what leaves when, and what a restore keeps; on both databases. */
#include "switchyard/operations/deletion.h"

#include "base/id.h"
#include "fixture.h"
#include "switchyard/config.h"
#include "switchyard/operations/deploy.h"

#define NOW_US INT64_C(1790000000000000)
#define UNDO_US (INT64_C(48) * 3600 * 1000000)
#define MAX_SERVICES 40

/* One project with services in two environments, each of them serving. */
struct town {
    struct app app;
    struct config config;
    char *organization_id, *project_id, *release_ids[MAX_SERVICES];
    char *service_ids[MAX_SERVICES];
    char *environment_ids[2];
    int n_services;
    int64_t now_us; /* of the next unit */
    GPtrArray *pair_ids;
};

static const char *const environments[] = {"production", "preview"};

static void run(struct town *town, store_fn fn)
{
    g_autoptr(GError) error = NULL;
    town->now_us++;
    bool ok = store_write(town->app.store, "test", fn, town, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

/* --- the town ---------------------------------------------------------------------------------------------------------- */

static bool ensure_installation(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    g_autofree char *id = NULL;
    g_autofree char *key = NULL;
    g_free(town->organization_id);
    return installation_ensure(tx, "0198f1e0-0000-7000-8000-000000000001", "key", 1, &id, &key, &town->organization_id,
                               error);
}

static bool insert_places(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    g_autoptr(project_t) project = contract_new(&project_type);
    project->id = g_strdup(town->project_id);
    project->organization_id = g_strdup(town->organization_id);
    project->name = g_strdup("Shop");
    project->slug = g_strdup("shop");
    project->created_us = project->updated_us = town->now_us;
    project->revision = 1;
    bool ok = project_insert(tx, project, error);
    for (int i = 0; ok && i < 2; i++) {
        g_autoptr(environment_t) environment = contract_new(&environment_type);
        environment->id = g_strdup(town->environment_ids[i]);
        environment->organization_id = g_strdup(town->organization_id);
        environment->project_id = g_strdup(town->project_id);
        g_free(environment->name);
        environment->name = g_strdup(environments[i]);
        environment->created_us = environment->updated_us = town->now_us;
        environment->revision = 1;
        ok = environment_insert(tx, environment, error);
    }
    return ok;
}

static bool insert_service(struct tx *tx, struct town *town, int number, GError **error)
{
    g_autoptr(service_t) service = contract_new(&service_type);
    g_autoptr(release_t) release = contract_new(&release_type);
    service->id = g_strdup(town->service_ids[number]);
    service->organization_id = g_strdup(town->organization_id);
    service->project_id = g_strdup(town->project_id);
    service->name = g_strdup_printf("s%d", number);
    service->created_us = service->updated_us = town->now_us;
    service->revision = 1;
    release->id = g_strdup(town->release_ids[number]);
    release->organization_id = g_strdup(town->organization_id);
    release->project_id = g_strdup(town->project_id);
    release->service_id = g_strdup(town->service_ids[number]);
    release->status = RELEASE_READY;
    release->image_uri = g_strdup("image");
    release->created_us = town->now_us;
    release->attempts = 0;
    release->cancel_requested = 0;
    release->revision = 1;
    return service_insert(tx, service, error) && release_insert(tx, release, error);
}

static bool insert_services(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    bool ok = true;
    for (int i = 0; ok && i < town->n_services; i++) {
        ok = insert_service(tx, town, i, error);
    }
    return ok;
}

static bool deploy(struct tx *tx, struct town *town, int number, const char *environment, struct deployment **ret,
                   GError **error)
{
    const struct deploy_order order = {
        .scope = app_scope(&town->app),
        .service_id = town->service_ids[number],
        .environment_name = environment,
        .release = town->release_ids[number],
        .replicas = CONTRACT_ABSENT,
        .actor = "test",
        .kind = DEPLOYMENT_DEPLOY,
        .now_us = town->now_us,
    };
    return operation_deploy(tx, &town->app, &order, ret, error);
}

/* What the controller does when all is well; and the row of an instance. */
static bool serve(struct tx *tx, struct town *town, struct deployment *deployment, GError **error)
{
    g_autoptr(pair_t) pair = NULL;
    g_autoptr(instance_t) row = contract_new(&instance_type);
    if (!pair_by_id(tx, deployment->pair_id, &pair, error)) {
        return false;
    }
    pair->serving_deployment_id = g_strdup(deployment->id);
    row->id = uuid_new();
    row->organization_id = g_strdup(pair->organization_id);
    row->pair_id = g_strdup(pair->id);
    row->deployment_id = g_strdup(deployment->id);
    row->name = g_strdup(row->id);
    row->state = INSTANCE_ROUTED;
    row->created_us = town->now_us;
    return deployment_set_status(tx, deployment, DEPLOYMENT_DEPLOYING, town->now_us, error) &&
           deployment_set_status(tx, deployment, DEPLOYMENT_RUNNING, town->now_us, error) &&
           instance_insert(tx, row, error) && pair_update(tx, pair, town->now_us, error);
}

static bool deploy_all(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    for (int i = 0; i < town->n_services; i++) {
        for (int j = 0; j < 2; j++) {
            g_autoptr(deployment_t) deployment = NULL;
            if (!deploy(tx, town, i, environments[j], &deployment, error) || !serve(tx, town, deployment, error)) {
                return false;
            }
        }
    }
    return true;
}

static void town_init(struct town *town, const struct fixture *fixture, int n_services)
{
    const struct store_options options = {.allow_volatile = true};
    g_autoptr(GError) error = NULL;
    *town = (struct town){.n_services = n_services, .now_us = NOW_US};
    town->config = (struct config){.base_domain = (char *)"localhost", .public_url = (char *)"http://localhost:8080"};
    town->pair_ids = g_ptr_array_new_with_free_func(g_free);
    struct store *store = store_open(fixture->url, &options, &error);
    g_assert_no_error(error);
    g_assert_true(store_migrate(store, -1, false, &error));
    town->app = (struct app){.config = &town->config, .store = store, .holder = (char *)"us"};
    town->project_id = uuid_new();
    for (int i = 0; i < 2; i++) {
        town->environment_ids[i] = uuid_new();
    }
    for (int i = 0; i < n_services; i++) {
        town->service_ids[i] = uuid_new();
        town->release_ids[i] = uuid_new();
    }
    run(town, ensure_installation);
    town->app.organization_id = town->organization_id;
    run(town, insert_places);
    run(town, insert_services);
    run(town, deploy_all);
}

static void town_clear(struct town *town)
{
    store_close(town->app.store);
    for (int i = 0; i < town->n_services; i++) {
        g_free(town->service_ids[i]);
        g_free(town->release_ids[i]);
    }
    for (int i = 0; i < 2; i++) {
        g_free(town->environment_ids[i]);
    }
    g_free(town->project_id);
    g_free(town->organization_id);
    g_ptr_array_unref(town->pair_ids);
}
typedef struct town town_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(town_t, town_clear)

/* --- what is done --------------------------------------------------------------------------------------------------------- */

static bool take_lease(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    struct lease_seen seen;
    bool is_held = false;
    return lease_acquire(tx, "controller", town->app.holder, 1000000, NULL, &is_held, &seen, error);
}

static bool delete_project(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    struct scope scope = app_scope(&town->app);
    g_autoptr(project_t) project = NULL;
    g_ptr_array_set_size(town->pair_ids, 0);
    return project_by_slug(tx, &scope, "shop", &project, error) &&
           operation_delete_project(tx, &town->app, project, "test", town->now_us, town->pair_ids, error);
}

static bool delete_preview(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    struct scope scope = app_scope(&town->app);
    g_autoptr(environment_t) environment = NULL;
    g_ptr_array_set_size(town->pair_ids, 0);
    return environment_by_id(tx, &scope, town->environment_ids[1], &environment, error) &&
           operation_delete_environment(tx, &town->app, environment, "test", town->now_us, town->pair_ids, error);
}

static bool delete_first_service(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    struct scope scope = app_scope(&town->app);
    g_autoptr(service_t) service = NULL;
    g_ptr_array_set_size(town->pair_ids, 0);
    return service_by_id(tx, &scope, town->service_ids[0], &service, error) &&
           operation_delete_service(tx, &town->app, service, "test", town->now_us, town->pair_ids, error);
}

static bool restore_project(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    struct scope scope = app_scope(&town->app);
    g_autoptr(project_t) project = NULL;
    return project_restore_rows(tx, &scope, "shop", town->now_us - UNDO_US, town->now_us, &project, error);
}

static bool retire_next(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    g_ptr_array_set_size(town->pair_ids, 0);
    return operation_retire_next(tx, &town->app, "controller", town->now_us, town->pair_ids, error);
}

/* What is left of the retired ones goes. */
static bool end_retirements(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    g_autoptr(GPtrArray) pairs = NULL;
    if (!pair_list(tx, NULL, NULL, &pairs, error)) {
        return false;
    }
    for (guint i = 0; i < pairs->len; i++) {
        struct pair *pair = g_ptr_array_index(pairs, i);
        g_autoptr(GPtrArray) rows = NULL;
        if (pair->leaving_us == CONTRACT_ABSENT || pair->desired_deployment_id != NULL) {
            continue;
        }
        if (!instance_list(tx, pair->id, &rows, error)) {
            return false;
        }
        for (guint j = 0; j < rows->len; j++) {
            if (!instance_delete(tx, ((const struct instance *)g_ptr_array_index(rows, j))->id, error)) {
                return false;
            }
        }
        if (!operation_end_retirement(tx, pair, town->now_us, error)) {
            return false;
        }
    }
    return true;
}

static char *ask(const struct fixture *fixture, const char *text)
{
    return fixture_get(fixture, text);
}

#define assert_answer(fixture, text, expected)                                                                         \
    do {                                                                                                               \
        g_autofree char *answer_ = ask(fixture, text);                                                                 \
        g_assert_cmpstr(answer_, ==, expected);                                                                        \
    } while (0)

#define N_STAYING                                                                                                      \
    "SELECT CAST(COUNT(*) AS TEXT) FROM pairs WHERE leaving_at IS NULL AND desired_deployment_id IS NOT NULL"
#define N_WAITING                                                                                                      \
    "SELECT CAST(COUNT(*) AS TEXT) FROM pairs WHERE leaving_at IS NOT NULL AND desired_deployment_id IS NOT NULL"
#define N_RETIRING                                                                                                     \
    "SELECT CAST(COUNT(*) AS TEXT) FROM pairs WHERE leaving_at IS NOT NULL AND desired_deployment_id IS NULL"
#define N_HOSTS "SELECT CAST(COUNT(host) AS TEXT) FROM pairs"

/* --- tests -------------------------------------------------------------------------------------------------------------- */

static void deleted_project_keeps_serving_until_its_turn(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 3);
    run(&town, delete_project);
    g_assert_cmpuint(town.pair_ids->len, ==, 6);
    assert_answer(fixture, N_WAITING, "6");
    assert_answer(fixture, "SELECT CAST(COUNT(*) AS TEXT) FROM services WHERE deleted_at IS NULL", "0");
    assert_answer(fixture, "SELECT CAST(COUNT(*) AS TEXT) FROM deployments WHERE status = 'running'", "6");
    assert_answer(fixture, N_HOSTS, "6");
}

static void one_leaves_at_a_time_and_its_name_last(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 2);
    run(&town, take_lease);
    run(&town, delete_project);
    for (int left = 3; left >= 0; left--) {
        g_autofree char *waiting = g_strdup_printf("%d", left);
        g_autofree char *names = g_strdup_printf("%d", left + 1);
        run(&town, retire_next);
        g_assert_cmpuint(town.pair_ids->len, ==, 1);
        run(&town, retire_next); /* the first one is not gone */
        g_assert_cmpuint(town.pair_ids->len, ==, 0);
        assert_answer(fixture, N_WAITING, waiting);
        assert_answer(fixture, N_RETIRING, "1");
        assert_answer(fixture, N_HOSTS, names);
        run(&town, end_retirements);
    }
    assert_answer(fixture, "SELECT CAST(COUNT(*) AS TEXT) FROM deployments WHERE status <> 'superseded'", "0");
    assert_answer(fixture, "SELECT CAST(COUNT(leaving_at) AS TEXT) FROM pairs", "0");
    assert_answer(fixture, N_HOSTS, "0");
}

static void move(struct town *town)
{
    char **ids[] = {&town->project_id, &town->environment_ids[0], &town->environment_ids[1]};
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_free(*ids[i]);
        *ids[i] = uuid_new();
    }
    for (int i = 0; i < town->n_services; i++) {
        g_free(town->service_ids[i]);
        g_free(town->release_ids[i]);
        town->service_ids[i] = uuid_new();
        town->release_ids[i] = uuid_new();
    }
}

static void who_comes_back_has_its_old_names(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 2);
    run(&town, delete_project);
    move(&town);
    run(&town, insert_places);
    run(&town, insert_services);
    run(&town, deploy_all);
    assert_answer(fixture, N_WAITING, "4");
    assert_answer(fixture,
                  "SELECT CAST(COUNT(*) AS TEXT) FROM pairs WHERE leaving_at IS NULL AND host IN ('s0-shop.localhost', "
                  "'s0-shop-preview.localhost', 's1-shop.localhost', 's1-shop-preview.localhost')",
                  "4");
    assert_answer(fixture, N_HOSTS, "4");
}

static void five_percent_of_many_leave_at_a_time(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, MAX_SERVICES);
    run(&town, take_lease);
    run(&town, delete_project);
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 4);
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 0);
}

static void nobody_leaves_without_the_lease(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 1);
    run(&town, delete_project);
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 0);
    run(&town, take_lease);
    town.app.holder = (char *)"another";
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 0);
    town.app.holder = (char *)"us";
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 1);
}

static void restore_keeps_what_has_not_left(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 2);
    run(&town, take_lease);
    run(&town, delete_project);
    run(&town, retire_next);
    run(&town, restore_project);
    assert_answer(fixture, N_STAYING, "3");
    assert_answer(fixture, N_RETIRING, "1");
    assert_answer(fixture, "SELECT CAST(COUNT(*) AS TEXT) FROM deployments", "4"); /* nothing new */
    run(&town, end_retirements);
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 0);
    assert_answer(fixture, N_STAYING, "3");
}

static void restored_project_does_not_bring_a_deleted_environment_back(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 2);
    run(&town, take_lease);
    run(&town, delete_preview);
    assert_answer(fixture, N_STAYING, "2");
    run(&town, delete_project);
    run(&town, restore_project);
    assert_answer(fixture, N_STAYING, "2");
    assert_answer(fixture, N_WAITING, "2");
}

static bool add_volumes(struct tx *tx, void *arg, GError **error)
{
    g_autoptr(GPtrArray) pairs = NULL;
    bool ok = pair_list(tx, NULL, NULL, &pairs, error);
    for (guint i = 0; ok && i < pairs->len; i++) {
        const struct pair *pair = g_ptr_array_index(pairs, i);
        g_autoptr(volume_t) volume = contract_new(&volume_type);
        volume->id = uuid_new();
        volume->organization_id = g_strdup(pair->organization_id);
        volume->pair_id = g_strdup(pair->id);
        volume->name = g_strdup("data");
        volume->engine_name = g_strdup(volume->id);
        volume->created_us = NOW_US;
        ok = volume_insert(tx, volume, error);
    }
    return ok;
}

static void volumes_are_said_to_be_kept_only_while_nobody_has_them(struct fixture *fixture)
{
    static const char n_kept[] = "SELECT CAST(COUNT(tombstoned_at) AS TEXT) FROM volumes";
    g_auto(town_t) town;
    town_init(&town, fixture, 1);
    run(&town, add_volumes);
    run(&town, take_lease);
    run(&town, delete_project);
    assert_answer(fixture, n_kept, "2");
    run(&town, retire_next);
    run(&town, restore_project);
    assert_answer(fixture, n_kept, "1");
}

static bool deploy_again(struct tx *tx, void *arg, GError **error)
{
    g_autoptr(deployment_t) first = NULL;
    g_autoptr(deployment_t) second = NULL;
    return deploy(tx, arg, 0, environments[0], &first, error) && deploy(tx, arg, 0, environments[1], &second, error);
}

static void rollout_of_a_deleted_project_is_cancelled(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 1);
    run(&town, deploy_again);
    run(&town, delete_project);
    assert_answer(fixture, "SELECT CAST(SUM(cancel_requested) AS TEXT) FROM deployments WHERE status = 'pending'", "2");
}

static void deployed_while_it_was_leaving_stays(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 1);
    run(&town, take_lease);
    run(&town, delete_project);
    run(&town, retire_next);
    run(&town, restore_project);
    run(&town, deploy_again);
    run(&town, retire_next);
    run(&town, end_retirements);
    assert_answer(fixture, N_STAYING, "2");
    assert_answer(fixture, N_HOSTS, "2");
}

static void one_deleted_service_leaves_at_once_and_others_wait_for_it(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 2);
    run(&town, take_lease);
    run(&town, delete_first_service);
    assert_answer(fixture, N_RETIRING, "2");
    run(&town, delete_project);
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 0);
    run(&town, end_retirements);
    run(&town, retire_next);
    g_assert_cmpuint(town.pair_ids->len, ==, 1);
}

/* --- two processes ---------------------------------------------------------------------------------------------------------- */

struct racer {
    struct town *town;
    GPtrArray *ids;
    int *waiting; /* both begin at the same moment */
};

static bool retire_as_racer(struct tx *tx, void *arg, GError **error)
{
    struct racer *racer = arg;
    g_ptr_array_set_size(racer->ids, 0);
    return operation_retire_next(tx, &racer->town->app, "controller", NOW_US, racer->ids, error);
}

static gpointer race(gpointer data)
{
    struct racer *racer = data;
    g_autoptr(GError) error = NULL;
    g_atomic_int_dec_and_test(racer->waiting);
    while (g_atomic_int_get(racer->waiting) > 0) {
    }
    bool ok = store_write(racer->town->app.store, "race", retire_as_racer, racer, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return NULL;
}

static void two_that_count_at_once_do_not_both_find_room(struct fixture *fixture)
{
    g_auto(town_t) town;
    town_init(&town, fixture, 6);
    run(&town, take_lease);
    run(&town, delete_project);
    for (int round = 0; round < 10; round++) {
        int waiting = 2;
        struct racer racers[2];
        GThread *threads[2];
        for (int i = 0; i < 2; i++) {
            racers[i] =
                (struct racer){.town = &town, .ids = g_ptr_array_new_with_free_func(g_free), .waiting = &waiting};
            threads[i] = g_thread_new("racer", race, &racers[i]);
        }
        guint n = 0;
        for (int i = 0; i < 2; i++) {
            g_thread_join(threads[i]);
            n += racers[i].ids->len;
            g_ptr_array_unref(racers[i].ids);
        }
        g_assert_cmpuint(n, ==, 1);
        assert_answer(fixture, N_RETIRING, "1");
        run(&town, end_retirements);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add_unopened("/deletion/deleted_project_keeps_serving_until_its_turn",
                         deleted_project_keeps_serving_until_its_turn);
    fixture_add_unopened("/deletion/one_leaves_at_a_time_and_its_name_last", one_leaves_at_a_time_and_its_name_last);
    fixture_add_unopened("/deletion/who_comes_back_has_its_old_names", who_comes_back_has_its_old_names);
    fixture_add_unopened("/deletion/five_percent_of_many_leave_at_a_time", five_percent_of_many_leave_at_a_time);
    fixture_add_unopened("/deletion/nobody_leaves_without_the_lease", nobody_leaves_without_the_lease);
    fixture_add_unopened("/deletion/restore_keeps_what_has_not_left", restore_keeps_what_has_not_left);
    fixture_add_unopened("/deletion/restored_project_does_not_bring_a_deleted_environment_back",
                         restored_project_does_not_bring_a_deleted_environment_back);
    fixture_add_unopened("/deletion/volumes_are_said_to_be_kept_only_while_nobody_has_them",
                         volumes_are_said_to_be_kept_only_while_nobody_has_them);
    fixture_add_unopened("/deletion/rollout_of_a_deleted_project_is_cancelled",
                         rollout_of_a_deleted_project_is_cancelled);
    fixture_add_unopened("/deletion/deployed_while_it_was_leaving_stays", deployed_while_it_was_leaving_stays);
    fixture_add_unopened("/deletion/one_deleted_service_leaves_at_once_and_others_wait_for_it",
                         one_deleted_service_leaves_at_once_and_others_wait_for_it);
    fixture_add_unopened("/deletion/two_that_count_at_once_do_not_both_find_room",
                         two_that_count_at_once_do_not_both_find_room);
    return g_test_run();
}
