#include "driver.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "invariant.h"
#include "store/migrate.h"
#include "switchyard/controllers/internal.h"
#include "user.h"
#include "world.h"

#define BUSY_US (90 * SECOND)   /* owners and misfortune */
#define PEACE_US (150 * SECOND) /* until everything must have settled */
#define MAX_STEPS 60000

struct news {
    int64_t due_us;
    char *pair_id;
};

struct driver {
    const struct story *story;
    struct town town;
    struct watch watch;
    struct process *processes[2];
    struct config config;
    GArray *news; /* of struct news: what the engine and the API tell, late, twice or never */
    int64_t next_visit_us, next_mishap_us, peace_us;
    int64_t n_steps, n_changes_seen;
};

/* --- processes --------------------------------------------------------------------------------------------------------------- */

static int64_t process_monotonic_us(const struct clock *clock)
{
    return world.now_us;
}

static int64_t process_wall_us(const struct clock *clock)
{
    return ((const struct process *)clock)->anchor_us + world.now_us;
}

/* The database's: the machine's, with its jumps. */
static int64_t database_wall_us(const struct clock *clock)
{
    return world.wall_us;
}

static void submit(struct controller *controller, struct job *job, bool waits_long)
{
    g_ptr_array_add(world.process->jobs, job);
}

static struct process *process_start(struct driver *driver, int number)
{
    struct process *process = g_new0(struct process, 1);
    process->clock = (struct clock){process_monotonic_us, process_wall_us};
    process->anchor_us = world.wall_us - world.now_us;
    process->number = number;
    process->crash_at = INT64_MAX;
    process->jobs = g_ptr_array_new();
    struct app *app = g_new0(struct app, 1);
    process->app = app;
    app->config = &driver->config;
    app->clock = &process->clock;
    app->installation_id = driver->town.installation_id;
    app->organization_id = driver->town.organization_id;
    app->store = driver->town.store;
    app->engine = world_engine_new(app->installation_id);
    app->edge = (struct edge *)&world;
    app->holder = (char *)(number == 0 ? "first" : "second");
    app->controller = controller_new(app);
    app->controller->submit = submit;
    process->next_lease_us = process->next_edge_us = process->next_resync_us = world.now_us;
    return process;
}

static void process_end(struct process *process)
{
    struct controller *controller = process->app->controller;
    for (guint i = 0; i < process->jobs->len; i++) {
        job_free(g_ptr_array_index(process->jobs, i));
    }
    g_ptr_array_unref(process->jobs);
    g_thread_pool_free(controller->jobs, TRUE, FALSE);
    g_thread_pool_free(controller->stops, TRUE, FALSE);
    controller_free(controller);
    process->app->engine->ops->free(process->app->engine);
    g_free(process->app);
    g_free(process);
}

/* --- news ---------------------------------------------------------------------------------------------------------------------- */

static void spread(struct driver *driver, const char *pair_id)
{
    int copies = driver->story->misfortune > 0 ? (world_chance(0.2) ? 0 : world_chance(0.2) ? 2 : 1) : 1;
    for (int i = 0; i < copies; i++) {
        struct news news = {.due_us = world.now_us + world_between(0, world_chance(0.8) ? 5 * MS : 3 * SECOND),
                            .pair_id = g_strdup(pair_id)};
        g_array_append_val(driver->news, news);
    }
}

static void news_clear(gpointer data)
{
    g_free(((struct news *)data)->pair_id);
}

static bool deliver_news(struct driver *driver)
{
    for (guint i = 0; i < driver->news->len; i++) {
        const struct news *news = &g_array_index(driver->news, struct news, i);
        if (news->due_us <= world.now_us) {
            for (int n = 0; n < driver->story->n_processes; n++) {
                controller_wake(driver->processes[n]->app->controller, news->pair_id);
            }
            g_array_remove_index(driver->news, i);
            return true;
        }
    }
    return false;
}

/* What the daemon's wiring does; here a wake-up of oneself. */
void app_wake_pair(struct app *app, const char *pair_id)
{
    controller_wake(app->controller, pair_id);
}

void app_wake_edge(struct app *app)
{
}

void app_wake_builder(struct app *app)
{
}

void app_wake_events(struct app *app)
{
}

/* --- mishaps --------------------------------------------------------------------------------------------------------------------- */

static void kill_one(struct driver *driver)
{
    g_autoptr(GPtrArray) routed = g_ptr_array_new();
    for (guint i = 0; i < world.servers->len; i++) {
        const struct edge_observed_server *server = g_ptr_array_index(world.servers, i);
        struct container *container = world_at(server->address);
        if (container_answers(container) && !server->is_draining) {
            g_ptr_array_add(routed, container);
        }
    }
    if (routed->len > 0) {
        struct container *container = g_ptr_array_index(routed, (guint)world_between(0, routed->len));
        g_autofree char *pair_id = g_strdup(container->pair);
        world_kill(container);
        if (world_chance(0.3)) {
            g_ptr_array_remove(world.containers, container); /* removed by hand */
        }
        spread(driver, pair_id);
    }
}

static void crash_soon(struct driver *driver)
{
    struct process *process = driver->processes[world_between(0, driver->story->n_processes)];
    process->crash_at = process->effects + world_between(1, 40);
}

/* An older database was restored: of every service there is a container that no record speaks of. */
static void add_strays(struct driver *driver)
{
    g_autoptr(GHashTable) pairs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    for (guint i = 0; i < world.containers->len; i++) {
        const struct container *container = g_ptr_array_index(world.containers, i);
        if (container->pair != NULL && !g_hash_table_contains(pairs, container->pair)) {
            g_ptr_array_add(ids, g_strdup(container->pair));
            g_hash_table_add(pairs, g_ptr_array_index(ids, ids->len - 1));
        }
    }
    for (guint i = 0; i < ids->len; i++) {
        world_add_stray(driver->town.installation_id, g_ptr_array_index(ids, i));
        spread(driver, g_ptr_array_index(ids, i));
    }
    world_tell("misfortune: %u containers that no record speaks of", ids->len);
}

static void mishap(struct driver *driver)
{
    if (world_chance(0.1)) {
        add_strays(driver);
        return;
    }
    double dice = g_rand_double(world.random);
    if (dice < 0.5) {
        kill_one(driver);
    } else if (dice < 0.85) {
        crash_soon(driver);
    } else {
        int64_t jump_us = world_between(-3600 * SECOND, 3600 * SECOND);
        world.wall_us += jump_us;
        world_tell("misfortune: the machine's clock jumps by %" G_GINT64_FORMAT " s", jump_us / SECOND);
    }
}

/* --- steps ------------------------------------------------------------------------------------------------------------------------- */

static bool lease_is_due(const struct process *process)
{
    return world.now_us >= process->next_lease_us;
}

static void keep(struct process *process)
{
    struct controller *controller = process->app->controller;
    if (lease_is_due(process)) {
        controller_renew_lease(controller);
        process->next_lease_us = world.now_us + 2 * SECOND;
    }
    if (controller_may_act(controller) && world.now_us >= process->next_edge_us) {
        controller_look_after_edge(controller, world.now_us);
        process->next_edge_us = world.now_us + 2 * SECOND;
    }
    if (controller_may_act(controller) && world.now_us >= process->next_resync_us) {
        controller_resync(controller);
        process->next_resync_us = world.now_us + 15 * SECOND;
    }
}

/* Does something that is due in this process; false when nothing is. */
static bool step_process(struct process *process)
{
    struct controller *controller = process->app->controller;
    int64_t since_us = 0;
    int64_t next_us = 0;
    world.process = process;
    if (lease_is_due(process)) {
        keep(process);
        return true;
    }
    if (process->jobs->len > 0 && world_chance(0.6)) {
        struct job *job = g_ptr_array_remove_index(process->jobs, (guint)world_between(0, process->jobs->len));
        job_run(job, controller);
        return true;
    }
    g_autofree char *pair_id = queue_poll(controller->queue, &since_us, &next_us);
    if (pair_id != NULL) {
        controller_step(controller, pair_id, since_us);
        queue_done(controller->queue, pair_id);
        return true;
    }
    return process->jobs->len > 0;
}

static void visit(struct driver *driver)
{
    world.process = NULL;
    g_autofree char *pair_id = town_visit(&driver->town, driver->processes[0]->app);
    if (pair_id != NULL) {
        spread(driver, pair_id);
    }
    driver->next_visit_us = world.now_us + world_between(100 * MS, 20 * SECOND);
}

static bool step_world(struct driver *driver)
{
    bool is_busy = world.now_us < driver->peace_us;
    world.process = NULL;
    if (is_busy && world.now_us >= driver->next_visit_us) {
        visit(driver);
        return true;
    }
    if (is_busy && driver->story->misfortune > 0 && world.now_us >= driver->next_mishap_us) {
        mishap(driver);
        driver->next_mishap_us = world.now_us + world_between(1 * SECOND, 20 * SECOND);
        return true;
    }
    return deliver_news(driver);
}

/* Containers without a record are taken away of one service at a time. */
static void check_orphans(const struct driver *driver)
{
    for (int n = 0; n < driver->story->n_processes; n++) {
        guint n_pairs = g_hash_table_size(driver->processes[n]->app->controller->clearing);
        if (n_pairs > 1) {
            world_violation("containers without a record are being removed of %u services at once", n_pairs);
        }
    }
}

static void replace_dead(struct driver *driver)
{
    for (int n = 0; n < driver->story->n_processes; n++) {
        if (driver->processes[n]->is_crashed) {
            process_end(driver->processes[n]);
            world.process = NULL;
            world_advance(world.now_us + world_between(10 * MS, 5 * SECOND));
            driver->processes[n] = process_start(driver, n);
        }
    }
}

static int64_t next_event_us(struct driver *driver)
{
    int64_t next_us = MIN(driver->next_visit_us, driver->next_mishap_us);
    next_us = world.now_us < driver->peace_us ? MIN(next_us, driver->peace_us) : INT64_MAX;
    for (int n = 0; n < driver->story->n_processes; n++) {
        int64_t since_us = 0;
        int64_t queued_us = 0;
        struct process *process = driver->processes[n];
        g_autofree char *due = queue_poll(process->app->controller->queue, &since_us, &queued_us);
        g_assert_null(due);
        next_us = MIN(next_us, process->next_lease_us);
        next_us = queued_us > 0 ? MIN(next_us, queued_us) : next_us;
    }
    for (guint i = 0; i < driver->news->len; i++) {
        next_us = MIN(next_us, g_array_index(driver->news, struct news, i).due_us);
    }
    return next_us;
}

static void step(struct driver *driver)
{
    int n = driver->story->n_processes;
    int first = (int)world_between(0, n + 1);
    bool did = false;
    for (int i = 0; i <= n && !did; i++) {
        int which = (first + i) % (n + 1);
        did = which == n ? step_world(driver) : step_process(driver->processes[which]);
    }
    world.process = NULL;
    if (!did) {
        world_advance(next_event_us(driver));
    } else {
        world_advance(world.now_us + world_between(50, 3 * MS));
        if (world.n_changes != driver->n_changes_seen) {
            driver->n_changes_seen = world.n_changes;
            watch_step(&driver->watch);
        }
        check_orphans(driver);
    }
    replace_dead(driver);
}

static void play(struct driver *driver)
{
    int64_t end_us = world.now_us + BUSY_US + PEACE_US;
    driver->peace_us = world.now_us + BUSY_US;
    while (world.now_us < end_us && world.violation == NULL) {
        if (!world.is_quiet && world.now_us >= driver->peace_us) {
            world_tell("peace");
            world.is_quiet = true;
        }
        if (++driver->n_steps > MAX_STEPS) {
            world_violation("it does not come to rest: %d steps", MAX_STEPS);
        }
        step(driver);
    }
    if (world.violation == NULL) {
        watch_end(&driver->watch);
    }
}

bool story_run(const struct story *story, const char *template_database, const char *database,
               struct story_result *ret_result)
{
    g_autofree char *bytes = NULL;
    gsize length = 0;
    g_autoptr(GError) error = NULL;
    world_begin(story->seed);
    world.misfortune = story->misfortune;
    world.is_quiet = story->misfortune <= 0;
    struct driver driver = {.story = story, .watch = {.town = &driver.town}};
    static const struct clock database_clock = {process_monotonic_us, database_wall_us};
    const struct store_options options = {.clock = &database_clock};
    bool ok = g_file_get_contents(template_database, &bytes, &length, &error) &&
              g_file_set_contents(database, bytes, (gssize)length, &error);
    g_autofree char *url = g_strconcat("sqlite:", database, NULL);
    struct store *store = ok ? store_open(url, &options, &error) : NULL;
    g_assert_no_error(error);
    driver.config = (struct config){.network_pool = (char *)"10.201.0.0/16",
                                    .base_domain = (char *)"localhost",
                                    .store = url,
                                    .resync_ms = 15000,
                                    .roles = (char *)"reconcile"};
    driver.news = g_array_new(FALSE, FALSE, sizeof(struct news));
    g_array_set_clear_func(driver.news, news_clear);
    driver.watch.ended = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    driver.watch.served = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    driver.watch.retiring = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    town_found(&driver.town, store);
    world_add_foreign(driver.town.installation_id);
    for (int n = 0; n < story->n_processes; n++) {
        driver.processes[n] = process_start(&driver, n);
    }
    if (story->crash_effect > 0) {
        driver.processes[0]->crash_at = story->crash_effect;
    }
    driver.next_visit_us = world.now_us;
    driver.next_mishap_us = story->misfortune > 0 ? world.now_us : INT64_MAX;
    play(&driver);
    for (int n = 0; n < story->n_processes; n++) {
        process_end(driver.processes[n]);
    }
    *ret_result = (struct story_result){
        .trace = world.trace,
        .violation = g_strdup(world.violation),
        .words = g_strdup(world.story->str + (world.story->len > 12000 ? world.story->len - 12000 : 0)),
        .simulated_us = BUSY_US + PEACE_US,
        .n_steps = driver.n_steps,
        .n_faults = world.n_faults,
        .n_crashes = world.n_crashes,
        .n_effects = world.n_effects};
    g_array_unref(driver.news);
    g_hash_table_unref(driver.watch.ended);
    g_hash_table_unref(driver.watch.served);
    g_hash_table_unref(driver.watch.retiring);
    town_leave(&driver.town);
    store_close(store);
    world_end();
    return ret_result->violation == NULL;
}
