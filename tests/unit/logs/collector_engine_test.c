/* The collector reads a real engine: bursts, both streams, restarts in the middle, instances that end. */
#include "../engine/fixture.h"

#include <string.h>

#include "base/file.h"
#include "switchyard/controllers/log_collector.h"

#define KEY "service/environment"

struct world {
    struct fixture engine;
    char *folder;
    struct log_store *logs;
    struct log_collector *collector;
};

static bool world_begin(struct world *world)
{
    g_autoptr(GError) error = NULL;
    if (!fixture_begin(&world->engine)) {
        return false;
    }
    world->folder = g_dir_make_tmp("enclii-collector-XXXXXX", &error);
    world->logs = log_store_open(world->folder, NULL, &error);
    g_assert_no_error(error);
    world->collector = log_collector_new(world->engine.engine, world->logs);
    return true;
}

static void world_end(struct world *world)
{
    g_autoptr(GError) error = NULL;
    log_collector_free(world->collector);
    log_store_close(world->logs);
    g_assert_true(folder_remove(world->folder, &error));
    g_free(world->folder);
    fixture_end(&world->engine);
}

static const char *start(struct world *world, const char *const *command)
{
    g_autoptr(GError) error = NULL;
    struct engine_instance_spec spec = fixture_spec(&world->engine, "app", command);
    spec.log_bytes = 128 << 20; /* nothing is rotated away */
    const char *id = fixture_create(&world->engine, &spec);
    world->engine.engine->ops->instance_start(world->engine.engine, id, &error);
    g_assert_no_error(error);
    return id;
}

static bool join(const struct log_line *line, void *arg)
{
    g_string_append(arg, line->stream == LOG_STDERR ? "err|" : "out|");
    g_string_append_len(arg, line->text, (gssize)line->length);
    g_string_append_c(arg, '\n');
    return true;
}

static char *stored(struct world *world)
{
    g_autoptr(GError) error = NULL;
    GString *text = g_string_new(NULL);
    g_assert_true(log_store_read(world->logs, KEY, &(struct log_query){0}, join, text, &error));
    g_assert_no_error(error);
    return g_string_free(text, FALSE);
}

static void what_an_instance_prints_is_stored_line_by_line(void)
{
    static const char *const command[] = {"say", "one", "!two", "three", "!four", "five", NULL};
    struct world world;
    if (!world_begin(&world)) {
        return;
    }
    const char *id = start(&world, command);
    log_collector_watch(world.collector, id, KEY, "app", NULL);
    g_assert_cmpint(fixture_wait(&world.engine, id), ==, 0);
    g_assert_true(log_collector_drain(world.collector, id, 20000));
    g_autofree char *expected = fixture_log(&world.engine, id);
    g_autofree char *texts = stored(&world);
    g_assert_cmpstr(texts, ==, expected);
    g_assert_nonnull(strstr(texts, "err|!four\n"));
    world_end(&world);
}

/* The collector ends and begins anew while lines rush by; each is there once and in order. */
static void a_burst_survives_restarts_of_the_collector(void)
{
    static const char *const command[] = {"count", "100000", NULL};
    struct world world;
    if (!world_begin(&world)) {
        return;
    }
    const char *id = start(&world, command);
    for (int i = 0; i < 10; i++) {
        log_collector_watch(world.collector, id, KEY, "app", NULL);
        while (log_store_watermark(world.logs, KEY, "app") == 0) {
            g_thread_yield();
        }
        log_collector_free(world.collector);
        world.collector = log_collector_new(world.engine.engine, world.logs);
    }
    log_collector_watch(world.collector, id, KEY, "app", NULL);
    g_assert_cmpint(fixture_wait(&world.engine, id), ==, 0);
    g_assert_true(log_collector_drain(world.collector, id, 60000));
    g_autoptr(GString) expected = g_string_new(NULL);
    for (int i = 0; i < 100000; i++) {
        g_string_append_printf(expected, "out|line %d\n", i);
    }
    g_autofree char *texts = stored(&world);
    g_assert_cmpuint(strlen(texts), ==, expected->len);
    g_assert_true(strcmp(texts, expected->str) == 0);
    world_end(&world);
}

static void unwatch_of_a_silent_instance_is_prompt(void)
{
    static const char *const command[] = {"stay", NULL};
    struct world world;
    if (!world_begin(&world)) {
        return;
    }
    const char *id = start(&world, command);
    log_collector_watch(world.collector, id, KEY, "app", NULL);
    fixture_await_log(&world.engine, id, "ready");
    int64_t begin_us = g_get_monotonic_time();
    log_collector_unwatch(world.collector, id);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 2 * G_USEC_PER_SEC);
    world_end(&world);
}

static void a_container_that_is_gone_is_drained(void)
{
    struct world world;
    if (!world_begin(&world)) {
        return;
    }
    log_collector_watch(world.collector, "enclii-test-no-such-container", KEY, "app", NULL);
    g_assert_true(log_collector_drain(world.collector, "enclii-test-no-such-container", 20000));
    world_end(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/logs/collector/engine/" #name, name)
    TEST(what_an_instance_prints_is_stored_line_by_line);
    TEST(a_burst_survives_restarts_of_the_collector);
    TEST(unwatch_of_a_silent_instance_is_prompt);
    TEST(a_container_that_is_gone_is_drained);
    return g_test_run();
}
