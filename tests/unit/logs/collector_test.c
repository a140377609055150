/* The collector against an engine that breaks streams, delivers again, rotates and ends exactly when told to. What a real
 * engine does is tested in collector_engine_test.c; its faults cannot be ordered. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "fixture.h"
#include "switchyard/controllers/log_collector.h"

#define KEY "service/environment"
#define SECOND G_USEC_PER_SEC

/* --- the engine -------------------------------------------------------------------------------- */

struct printed {
    int64_t time_us;
    bool is_stderr;
    char *text;
};

struct scripted {
    struct engine base;
    GMutex lock;
    GCond changed;
    GPtrArray *lines; /* of struct printed: the engine's own log of its one instance */
    guint n_rotated;  /* so many of them are gone */
    bool has_ended, is_gone;
    guint break_every; /* the stream breaks after so many lines that it had not given before; 0: never */
    guint n_given;
    int n_passes, n_following;
};

static void printed_free(gpointer data)
{
    struct printed *printed = data;
    g_free(printed->text);
    g_free(printed);
}

static bool give_lines(struct scripted *scripted, guint *at, int64_t since_us, engine_log_fn fn, void *arg,
                       bool *ret_is_broken)
{
    for (*at = MAX(*at, scripted->n_rotated); *at < scripted->lines->len; ++*at) {
        const struct printed *printed = g_ptr_array_index(scripted->lines, *at);
        if (printed->time_us <= since_us) {
            continue;
        }
        *ret_is_broken = scripted->break_every > 0 && *at >= scripted->n_given + scripted->break_every;
        if (*ret_is_broken) {
            scripted->n_given = *at;
            return false;
        }
        g_mutex_unlock(&scripted->lock);
        bool goes_on = fn(printed->is_stderr, printed->time_us, printed->text, strlen(printed->text), arg);
        g_mutex_lock(&scripted->lock);
        if (!goes_on) {
            return false;
        }
    }
    return true;
}

static int passes_of(struct scripted *scripted)
{
    g_mutex_lock(&scripted->lock);
    int n = (int)scripted->n_passes;
    g_mutex_unlock(&scripted->lock);
    return n;
}

static bool scripted_logs(struct engine *engine, const char *id, int64_t since_us, bool follow, engine_log_fn fn,
                          void *arg, const int *cancelled, GError **error)
{
    struct scripted *scripted = (struct scripted *)engine;
    bool is_broken = false;
    guint at = 0;
    g_mutex_lock(&scripted->lock);
    scripted->n_passes++;
    scripted->n_following++;
    g_cond_broadcast(&scripted->changed);
    bool goes_on = !scripted->is_gone;
    while (goes_on && (goes_on = give_lines(scripted, &at, since_us, fn, arg, &is_broken)) && follow &&
           !scripted->has_ended && g_atomic_int_get(cancelled) == 0) {
        /* Nobody signals a cancellation: an engine polls. */
        g_cond_wait_until(&scripted->changed, &scripted->lock, g_get_monotonic_time() + 5000);
    }
    scripted->n_following--;
    bool is_gone = scripted->is_gone;
    g_mutex_unlock(&scripted->lock);
    if (is_gone) {
        return sy_fail(error, SY_NOT_FOUND, "no such container");
    }
    return !is_broken || sy_fail(error, SY_ENGINE_UNAVAILABLE, "the stream broke");
}

static const struct engine_ops scripted_ops = {.name = "scripted", .instance_logs = scripted_logs};

static void print_as(struct scripted *scripted, bool is_stderr, int64_t time_us, const char *text)
{
    struct printed *printed = g_new0(struct printed, 1);
    *printed = (struct printed){time_us, is_stderr, g_strdup(text)};
    g_mutex_lock(&scripted->lock);
    g_ptr_array_add(scripted->lines, printed);
    g_cond_broadcast(&scripted->changed);
    g_mutex_unlock(&scripted->lock);
}

static void print(struct scripted *scripted, int64_t time_us, const char *text)
{
    print_as(scripted, false, time_us, text);
}

static void set_flag(struct scripted *scripted, bool *flag)
{
    g_mutex_lock(&scripted->lock);
    *flag = true;
    g_cond_broadcast(&scripted->changed);
    g_mutex_unlock(&scripted->lock);
}

/* --- the world --------------------------------------------------------------------------------- */

struct world {
    struct fixture fixture;
    struct scripted engine;
    struct log_collector *collector;
    struct log_follow *follow;
    struct collected seen;
};

static void world_open(struct world *world)
{
    g_autoptr(GError) error = NULL;
    memset(world, 0, sizeof *world);
    fixture_open(&world->fixture, NULL);
    world->engine.base.ops = &scripted_ops;
    g_mutex_init(&world->engine.lock);
    g_cond_init(&world->engine.changed);
    world->engine.lines = g_ptr_array_new_with_free_func(printed_free);
    collected_init(&world->seen);
    world->follow = log_follow_start(world->fixture.store, KEY, &(struct log_query){0}, collect, collect_missed,
                                     &world->seen, &error);
    g_assert_no_error(error);
    world->collector = log_collector_new(&world->engine.base, world->fixture.store);
}

static void world_close(struct world *world)
{
    log_collector_free(world->collector);
    log_follow_stop(world->follow);
    collected_done(&world->seen);
    fixture_close(&world->fixture);
    g_assert_cmpint(world->engine.n_following, ==, 0);
    g_ptr_array_unref(world->engine.lines);
    g_mutex_clear(&world->engine.lock);
    g_cond_clear(&world->engine.changed);
}

static void watch(struct world *world)
{
    log_collector_watch(world->collector, "engine-id", KEY, "web-1", NULL);
}

static void restart_collector(struct world *world)
{
    log_collector_free(world->collector);
    world->collector = log_collector_new(&world->engine.base, world->fixture.store);
    watch(world);
}

static void wait_for_pass(struct world *world, int n)
{
    int64_t end_us = g_get_monotonic_time() + 10 * SECOND;
    g_mutex_lock(&world->engine.lock);
    while (world->engine.n_passes < n) {
        g_assert_true(g_cond_wait_until(&world->engine.changed, &world->engine.lock, end_us));
    }
    g_mutex_unlock(&world->engine.lock);
}

#define assert_seen(world, expected)                                                                                   \
    do {                                                                                                               \
        g_autofree char *texts_ = collected_texts(&(world).seen);                                                      \
        g_assert_cmpstr(texts_, ==, expected);                                                                         \
    } while (0)

/* --- what holds -------------------------------------------------------------------------------- */

static void lines_are_stored_as_they_are_printed(void)
{
    struct world world;
    world_open(&world);
    watch(&world);
    watch(&world); /* is watched already */
    print(&world.engine, 1 * SECOND, "one");
    g_assert_true(collected_wait(&world.seen, 1));
    print_as(&world.engine, true, 2 * SECOND, "two");
    g_assert_true(collected_wait(&world.seen, 2));
    assert_seen(world, "one|two");
    g_assert_cmpint(passes_of(&world.engine), ==, 1);
    world_close(&world);
}

/* Many lines share a stamp, and the stream breaks in the middle of them. */
static void a_stream_that_breaks_loses_and_repeats_nothing(void)
{
    struct world world;
    g_autoptr(GString) expected = g_string_new(NULL);
    world_open(&world);
    world.engine.break_every = 17;
    for (int i = 0; i < 120; i++) {
        g_autofree char *text = g_strdup_printf("line %d", i);
        print_as(&world.engine, i % 3 == 0, SECOND + i / 10, text);
        g_string_append_printf(expected, "%s%s", i > 0 ? "|" : "", text);
    }
    watch(&world);
    g_assert_true(collected_wait(&world.seen, 120));
    set_flag(&world.engine, &world.engine.has_ended);
    g_assert_true(log_collector_drain(world.collector, "engine-id", 10000));
    assert_seen(world, expected->str);
    g_assert_cmpint(passes_of(&world.engine), >=, 7);
    world_close(&world);
}

static void a_new_collector_goes_on_where_the_old_one_was(void)
{
    struct world world;
    world_open(&world);
    print(&world.engine, 5 * SECOND, "a");
    print(&world.engine, 5 * SECOND, "b");
    watch(&world);
    g_assert_true(collected_wait(&world.seen, 2));
    for (int i = 0; i < 3; i++) {
        log_collector_free(world.collector);
        world.collector = NULL;
        g_autofree char *text = g_strdup_printf("c%d", i);
        print(&world.engine, 5 * SECOND, text); /* while nobody reads, at the same microsecond */
        world.collector = log_collector_new(&world.engine.base, world.fixture.store);
        watch(&world);
        g_assert_true(collected_wait(&world.seen, 3 + i));
    }
    set_flag(&world.engine, &world.engine.has_ended);
    g_assert_true(log_collector_drain(world.collector, "engine-id", 10000));
    assert_seen(world, "a|b|c0|c1|c2");
    world_close(&world);
}

/* stdout is stamped before stderr and written after it; the collector stops between the two. */
static void streams_that_cross_while_it_restarts_lose_nothing(void)
{
    struct world world;
    world_open(&world);
    print_as(&world.engine, false, 10 * SECOND + 20, "out");
    watch(&world);
    g_assert_true(collected_wait(&world.seen, 1));
    log_collector_free(world.collector);
    world.collector = NULL;
    print_as(&world.engine, true, 10 * SECOND + 19, "err");
    restart_collector(&world);
    g_assert_true(collected_wait(&world.seen, 2));
    assert_seen(world, "out|err");
    world_close(&world);
}

static void a_clock_that_is_set_back_costs_no_lines(void)
{
    struct world world;
    world_open(&world);
    watch(&world);
    print(&world.engine, 100 * SECOND, "before");
    print(&world.engine, 40 * SECOND, "back");
    print(&world.engine, 41 * SECOND, "on");
    g_assert_true(collected_wait(&world.seen, 3));
    assert_seen(world, "before|back|on");
    world_close(&world);
}

#define SKIPPED                                                                                                        \
    "[lines may be missing above: the engine turned its log over faster than it could be read, and skipped some]"

/* As Docker 20.10 follows a log that was turned over twice while it read. */
static void what_the_engine_gives_again_is_stored_once_and_marked(void)
{
    static const char *const texts[] = {"1", "2", "7", "8", "9"};
    struct world world;
    world_open(&world);
    watch(&world);
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        print(&world.engine, (10 + i / 2) * SECOND, texts[i]);
    }
    for (guint i = 2; i < G_N_ELEMENTS(texts); i++) {
        print(&world.engine, (10 + i / 2) * SECOND, texts[i]);
    }
    print(&world.engine, 13 * SECOND, "10");
    g_assert_true(collected_wait(&world.seen, 7));
    assert_seen(world, "1|2|7|8|9|" SKIPPED "|10");
    world_close(&world);
}

/* The same moment once more, but another line: only the clock was set back. */
static void a_clock_that_is_set_back_in_a_burst_costs_no_lines(void)
{
    struct world world;
    world_open(&world);
    watch(&world);
    for (int i = 0; i < 10; i++) {
        g_autofree char *text = g_strdup_printf("a%d", i);
        print(&world.engine, (10 + i) * SECOND, text);
    }
    for (int i = 0; i < 3; i++) {
        g_autofree char *text = g_strdup_printf("b%d", i);
        print(&world.engine, (15 + i) * SECOND, text);
    }
    g_assert_true(collected_wait(&world.seen, 13));
    assert_seen(world, "a0|a1|a2|a3|a4|a5|a6|a7|a8|a9|b0|b1|b2");
    world_close(&world);
}

/* A repetition that ends in a line that was not there before. */
static void a_line_within_a_repetition_that_is_new_is_stored(void)
{
    struct world world;
    world_open(&world);
    watch(&world);
    print(&world.engine, 10 * SECOND, "a");
    print(&world.engine, 11 * SECOND, "b");
    print(&world.engine, 12 * SECOND, "c");
    print(&world.engine, 10 * SECOND, "a");
    print(&world.engine, 11 * SECOND, "x");
    print(&world.engine, 13 * SECOND, "d");
    g_assert_true(collected_wait(&world.seen, 6));
    assert_seen(world, "a|b|c|" SKIPPED "|x|d");
    world_close(&world);
}

static void what_the_engine_dropped_is_marked(void)
{
    struct world world;
    world_open(&world);
    print(&world.engine, 10 * SECOND, "a");
    watch(&world);
    g_assert_true(collected_wait(&world.seen, 1));
    log_collector_free(world.collector);
    world.collector = NULL;
    print(&world.engine, 20 * SECOND, "lost");
    print(&world.engine, 30 * SECOND, "b");
    world.engine.n_rotated = 2;
    restart_collector(&world);
    g_assert_true(collected_wait(&world.seen, 3));
    assert_seen(world, "a|[lines may be missing here: the engine dropped them before they were read]|b");
    restart_collector(&world);
    print(&world.engine, 31 * SECOND, "c");
    g_assert_true(collected_wait(&world.seen, 4));
    g_assert_cmpuint(world.seen.texts->len, ==, 4); /* once */
    world_close(&world);
}

static void drain_waits_for_the_rest_of_an_ended_instance(void)
{
    struct world world;
    world_open(&world);
    watch(&world);
    wait_for_pass(&world, 1);
    for (int i = 0; i < 5000; i++) {
        print(&world.engine, SECOND + i, "line");
    }
    set_flag(&world.engine, &world.engine.has_ended);
    g_assert_true(log_collector_drain(world.collector, "engine-id", 10000));
    g_autofree char *texts = read_texts(world.fixture.store, KEY, NULL);
    g_assert_cmpuint(strlen(texts), ==, 5000 * 5 - 1);
    g_assert_true(log_collector_drain(world.collector, "engine-id", 10000)); /* once more is soon answered */
    world_close(&world);
}

static void drain_gives_up_on_an_instance_that_goes_on(void)
{
    struct world world;
    world_open(&world);
    watch(&world);
    int64_t begin_us = g_get_monotonic_time();
    g_assert_false(log_collector_drain(world.collector, "engine-id", 50));
    g_assert_cmpint(g_get_monotonic_time() - begin_us, >=, 50000);
    g_assert_false(log_collector_drain(world.collector, "unknown", 10000)); /* at once */
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 5 * SECOND);
    world_close(&world);
}

static void an_instance_that_is_gone_counts_as_drained(void)
{
    struct world world;
    world_open(&world);
    world.engine.is_gone = true;
    watch(&world);
    g_assert_true(log_collector_drain(world.collector, "engine-id", 10000));
    world_close(&world);
}

static void an_instance_that_starts_again_is_read_on(void)
{
    struct world world;
    world_open(&world);
    print(&world.engine, 1 * SECOND, "first life");
    world.engine.has_ended = true;
    watch(&world);
    g_assert_true(collected_wait(&world.seen, 1));
    g_mutex_lock(&world.engine.lock);
    world.engine.has_ended = false;
    g_mutex_unlock(&world.engine.lock);
    print(&world.engine, 2 * SECOND, "second life");
    g_assert_true(collected_wait(&world.seen, 2));
    assert_seen(world, "first life|second life");
    world_close(&world);
}

static void unwatch_ends_promptly_and_stores_what_it_has(void)
{
    struct world world;
    world_open(&world);
    watch(&world);
    print(&world.engine, 1 * SECOND, "one");
    g_assert_true(collected_wait(&world.seen, 1));
    int64_t begin_us = g_get_monotonic_time();
    log_collector_unwatch(world.collector, "engine-id");
    log_collector_unwatch(world.collector, "engine-id");
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 2 * SECOND);
    g_assert_cmpint(world.engine.n_following, ==, 0);
    print(&world.engine, 2 * SECOND, "two");
    watch(&world);
    g_assert_true(collected_wait(&world.seen, 2));
    assert_seen(world, "one|two");
    world_close(&world);
}

static void values_are_redacted_on_the_way(void)
{
    struct world world;
    g_autoptr(sy_secret) secret = secret_new("hunter2!", 8);
    const struct secret *secrets[] = {secret};
    struct redactor *redactor = redactor_new(secrets, 1);
    world_open(&world);
    log_collector_watch(world.collector, "engine-id", KEY, "web-1", redactor);
    redactor_unref(redactor);
    print(&world.engine, 1, "pw=hunter2!");
    g_assert_true(collected_wait(&world.seen, 1));
    assert_seen(world, "pw=[redacted]");
    world_close(&world);
}

/* Nothing is lost while the store refuses: the reader waits, the engine keeps the lines. */
static void lines_wait_until_there_is_room_on_the_disk(void)
{
    struct world world;
    struct rlimit old;
    world_open(&world);
    g_autofree char *text = g_strnfill(900, 'x');
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    const struct rlimit small = {.rlim_cur = 300000, .rlim_max = old.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    for (int i = 0; i < 5000; i++) {
        print(&world.engine, SECOND + i, text);
    }
    watch(&world);
    g_assert_true(collected_wait(&world.seen, 1));
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    g_assert_true(collected_wait(&world.seen, 5000));
    signal(SIGXFSZ, SIG_DFL);
    set_flag(&world.engine, &world.engine.has_ended);
    g_assert_true(log_collector_drain(world.collector, "engine-id", 10000));
    g_assert_cmpuint(world.seen.texts->len, ==, 5000);
    world_close(&world);
}

static void many_instances_are_read_at_once(void)
{
    struct world world;
    world_open(&world);
    for (int i = 0; i < 200; i++) {
        print(&world.engine, SECOND + i, "line");
    }
    for (int i = 0; i < 20; i++) {
        g_autofree char *id = g_strdup_printf("engine-%d", i);
        g_autofree char *source = g_strdup_printf("web-%d", i);
        log_collector_watch(world.collector, id, KEY, source, NULL);
    }
    g_assert_true(collected_wait(&world.seen, 20 * 200));
    set_flag(&world.engine, &world.engine.has_ended);
    for (int i = 0; i < 20; i++) {
        g_autofree char *id = g_strdup_printf("engine-%d", i);
        g_assert_true(log_collector_drain(world.collector, id, 10000));
    }
    g_assert_cmpuint(world.seen.texts->len, ==, 20 * 200);
    world_close(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/logs/collector/" #name, name)
    TEST(lines_are_stored_as_they_are_printed);
    TEST(a_stream_that_breaks_loses_and_repeats_nothing);
    TEST(a_new_collector_goes_on_where_the_old_one_was);
    TEST(streams_that_cross_while_it_restarts_lose_nothing);
    TEST(a_clock_that_is_set_back_costs_no_lines);
    TEST(what_the_engine_gives_again_is_stored_once_and_marked);
    TEST(a_clock_that_is_set_back_in_a_burst_costs_no_lines);
    TEST(a_line_within_a_repetition_that_is_new_is_stored);
    TEST(what_the_engine_dropped_is_marked);
    TEST(drain_waits_for_the_rest_of_an_ended_instance);
    TEST(drain_gives_up_on_an_instance_that_goes_on);
    TEST(an_instance_that_is_gone_counts_as_drained);
    TEST(an_instance_that_starts_again_is_read_on);
    TEST(unwatch_ends_promptly_and_stores_what_it_has);
    TEST(values_are_redacted_on_the_way);
    TEST(lines_wait_until_there_is_room_on_the_disk);
    TEST(many_instances_are_read_at_once);
    return g_test_run();
}
