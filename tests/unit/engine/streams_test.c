/* Logs and events of a real engine. */
#include <string.h>

#include "base/error.h"
#include "fixture.h"

static const char *const stay[] = {"stay", NULL};

static void both_streams_arrive_in_lines(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const say[] = {"say", "one", "!two", "", "three and more", NULL};
    struct engine_instance_spec spec = fixture_spec(&fixture, "say", say);
    g_autofree char *log = fixture_run(&fixture, &spec);
    g_assert_nonnull(strstr(log, "err|!two\n"));
    char *out = log;
    static const char *const expected[] = {"out|one\n", "out|\n", "out|three and more\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) { /* in this order */
        out = strstr(out, expected[i]);
        g_assert_nonnull(out);
    }
    fixture_end(&fixture);
}

struct collected {
    GPtrArray *lines;
    GArray *times;
    GArray *lengths;
    const char *stop_at; /* NULL: never */
};

static bool collect(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    struct collected *collected = arg;
    g_ptr_array_add(collected->lines, g_strndup(line, length));
    g_array_append_val(collected->times, time_us);
    g_array_append_val(collected->lengths, length);
    return collected->stop_at == NULL ||
           strcmp(g_ptr_array_index(collected->lines, collected->lines->len - 1), collected->stop_at) != 0;
}

static struct collected collected_new(void)
{
    return (struct collected){.lines = g_ptr_array_new_with_free_func(g_free),
                              .times = g_array_new(FALSE, FALSE, sizeof(int64_t)),
                              .lengths = g_array_new(FALSE, FALSE, sizeof(size_t))};
}

static void collected_clear(struct collected *collected)
{
    g_ptr_array_unref(collected->lines);
    g_array_unref(collected->times);
    g_array_unref(collected->lengths);
}

static void read_log(struct fixture *fixture, const char *id, int64_t since_us, struct collected *collected)
{
    g_autoptr(GError) error = NULL;
    fixture->engine->ops->instance_logs(fixture->engine, id, since_us, false, collect, collected, NULL, &error);
    g_assert_no_error(error);
}

static void long_lines_are_whole(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    static const int64_t lengths[] = {16384, 40000, 65536, 150000};
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autofree char *name = g_strdup_printf("long-%zu", i);
        g_autofree char *length = g_strdup_printf("%" G_GINT64_FORMAT, lengths[i]);
        const char *const print_long[] = {"long", length, NULL};
        struct collected collected = collected_new();
        const char *id = fixture_start(&fixture, name, print_long);
        g_assert_cmpint(fixture_wait(&fixture, id), ==, 0);
        read_log(&fixture, id, 0, &collected);
        g_assert_cmpuint(collected.lines->len, ==, 2);
        g_assert_cmpuint(g_array_index(collected.lengths, size_t, 0), ==, lengths[i]);
        const char *line = g_ptr_array_index(collected.lines, 0);
        g_assert_cmpint(line[lengths[i] - 1], ==, 'z');
        g_assert_cmpstr(g_ptr_array_index(collected.lines, 1), ==, "end"); /* it had no newline */
        collected_clear(&collected);
    }
    fixture_end(&fixture);
}

/* From any line on: that line comes again, everything after it comes, nothing before it. */
static void since_loses_no_line(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const count[] = {"count", "500", NULL};
    struct collected all = collected_new();
    const char *id = fixture_start(&fixture, "count", count);
    g_assert_cmpint(fixture_wait(&fixture, id), ==, 0);
    read_log(&fixture, id, 0, &all);
    g_assert_cmpuint(all.lines->len, ==, 500);
    static const guint starts[] = {0, 1, 137, 250, 498, 499};
    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        struct collected rest = collected_new();
        int64_t since_us = g_array_index(all.times, int64_t, starts[i]);
        read_log(&fixture, id, since_us, &rest);
        guint n_expected = 0;
        for (guint j = 0; j < all.times->len; j++) {
            n_expected += g_array_index(all.times, int64_t, j) >= since_us;
        }
        g_assert_cmpuint(rest.lines->len, ==, n_expected);
        g_assert_cmpuint(rest.lines->len, >=, 500 - starts[i]);
        g_assert_cmpstr(g_ptr_array_index(rest.lines, rest.lines->len - 1), ==, "line 499");
        collected_clear(&rest);
    }
    struct collected none = collected_new();
    read_log(&fixture, id, g_array_index(all.times, int64_t, 499) + 1, &none);
    g_assert_cmpuint(none.lines->len, ==, 0);
    collected_clear(&none);
    collected_clear(&all);
    fixture_end(&fixture);
}

struct following {
    struct fixture *fixture;
    const char *id;
    struct collected collected;
    int cancelled;
    int has_line;
    int64_t ended_us;
    bool ok;
};

static bool collect_and_tell(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    struct following *following = arg;
    bool more = collect(is_stderr, time_us, line, length, &following->collected);
    g_atomic_int_set(&following->has_line, 1);
    return more;
}

static gpointer follow(gpointer data)
{
    struct following *following = data;
    g_autoptr(GError) error = NULL;
    following->ok = following->fixture->engine->ops->instance_logs(
        following->fixture->engine, following->id, 0, true, collect_and_tell, following, &following->cancelled, &error);
    g_assert_no_error(error);
    following->ended_us = g_get_monotonic_time();
    return NULL;
}

static void await(int *flag)
{
    int64_t deadline_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    while (g_atomic_int_get(flag) == 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        g_usleep(5000);
    }
}

static void following_ends_with_the_container(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct following following = {.fixture = &fixture, .collected = collected_new()};
    following.id = fixture_start(&fixture, "follow", stay);
    GThread *thread = g_thread_new("follow", follow, &following);
    await(&following.has_line);
    g_assert_true(fixture.engine->ops->instance_stop(fixture.engine, following.id, 5000, &error));
    g_thread_join(thread);
    g_assert_true(following.ok);
    g_assert_cmpuint(following.collected.lines->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(following.collected.lines, 0), ==, "ready");
    g_assert_cmpstr(g_ptr_array_index(following.collected.lines, 1), ==, "got TERM");
    collected_clear(&following.collected);
    fixture_end(&fixture);
}

static void following_can_be_cancelled_quickly(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    struct following following = {.fixture = &fixture, .collected = collected_new()};
    following.id = fixture_start(&fixture, "cancel", stay);
    GThread *thread = g_thread_new("follow", follow, &following);
    await(&following.has_line);
    int64_t cancelled_us = g_get_monotonic_time();
    g_atomic_int_set(&following.cancelled, 1);
    g_thread_join(thread);
    g_assert_true(following.ok);
    g_assert_cmpint(following.ended_us - cancelled_us, <, 400 * 1000);
    collected_clear(&following.collected);
    fixture_end(&fixture);
}

static void the_reader_can_end_it(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    struct following following = {.fixture = &fixture, .collected = collected_new()};
    following.collected.stop_at = "ready";
    following.id = fixture_start(&fixture, "enough", stay);
    follow(&following);
    g_assert_true(following.ok);
    g_assert_cmpuint(following.collected.lines->len, ==, 1);
    collected_clear(&following.collected);
    fixture_end(&fixture);
}

static void a_log_of_nobody_is_not_found(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct collected collected = collected_new();
    g_assert_false(fixture.engine->ops->instance_logs(fixture.engine, "enclii-engine-test-none", 0, true, collect,
                                                      &collected, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_FOUND);
    collected_clear(&collected);
    fixture_end(&fixture);
}

/* --- events ----------------------------------------------------------------------------------------------------------------------------- */

struct hearing {
    struct fixture *fixture;
    GString *heard;
    GMutex lock;
    int cancelled;
    int64_t ended_us;
};

static bool hear(const struct engine_event *event, void *arg)
{
    struct hearing *hearing = arg;
    g_mutex_lock(&hearing->lock);
    g_string_append_printf(hearing->heard, "%s %s %.12s %s\n", event->type, event->action, event->id, event->pair);
    g_mutex_unlock(&hearing->lock);
    return true;
}

static gpointer listen_to_events(gpointer data)
{
    struct hearing *hearing = data;
    g_autoptr(GError) error = NULL;
    hearing->fixture->engine->ops->events(hearing->fixture->engine, hear, hearing, &hearing->cancelled, &error);
    g_assert_no_error(error);
    hearing->ended_us = g_get_monotonic_time();
    return NULL;
}

static bool has_heard(struct hearing *hearing, const char *text)
{
    g_mutex_lock(&hearing->lock);
    bool has = strstr(hearing->heard->str, text) != NULL;
    g_mutex_unlock(&hearing->lock);
    return has;
}

/* The stream has begun when something is heard: containers are made and removed until then. */
static void await_first_event(struct hearing *hearing)
{
    for (int i = 0; i < 50 && !has_heard(hearing, "container"); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *name = g_strdup_printf("first-%d", i);
        struct engine_instance_spec spec = fixture_spec(hearing->fixture, name, stay);
        const char *id = fixture_create(hearing->fixture, &spec);
        g_assert_true(hearing->fixture->engine->ops->instance_remove(hearing->fixture->engine, id, &error));
    }
    g_assert_true(has_heard(hearing, "container"));
}

static void events_of_our_containers_are_heard(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const leave[] = {"exit", "3", NULL};
    const char *const labels[] = {ENGINE_LABEL_PAIR "=pair-1", NULL};
    g_autoptr(GError) error = NULL;
    struct hearing hearing = {.fixture = &fixture, .heard = g_string_new(NULL)};
    g_mutex_init(&hearing.lock);
    GThread *thread = g_thread_new("events", listen_to_events, &hearing);
    await_first_event(&hearing);
    struct engine_instance_spec spec = fixture_spec(&fixture, "heard", leave);
    spec.labels = labels;
    const char *id = fixture_create(&fixture, &spec);
    g_assert_true(fixture.engine->ops->instance_start(fixture.engine, id, &error));
    g_autofree char *died = g_strdup_printf("container die %.12s pair-1\n", id);
    for (int i = 0; i < 2000 && !has_heard(&hearing, died); i++) {
        g_usleep(10000);
    }
    g_assert_true(has_heard(&hearing, died));
    int64_t cancelled_us = g_get_monotonic_time();
    g_atomic_int_set(&hearing.cancelled, 1);
    g_thread_join(thread);
    g_assert_cmpint(hearing.ended_us - cancelled_us, <, 400 * 1000);
    g_string_free(hearing.heard, TRUE);
    g_mutex_clear(&hearing.lock);
    fixture_end(&fixture);
}

/* --- many threads ------------------------------------------------------------------------------------------------------------------------- */

static gpointer look_often(gpointer data)
{
    struct fixture *fixture = data;
    for (int i = 0; i < 30; i++) {
        g_autoptr(GPtrArray) instances = NULL;
        g_autoptr(GError) error = NULL;
        struct engine_instance *instance = NULL;
        fixture->engine->ops->instance_list(fixture->engine, &instances, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(instances->len, ==, 1);
        fixture->engine->ops->instance_inspect(fixture->engine, g_ptr_array_index(fixture->containers, 0), &instance,
                                               &error);
        g_assert_no_error(error);
        engine_instance_free(instance);
    }
    return NULL;
}

static void all_threads_share_one_engine(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    GThread *threads[12];
    struct engine_stats before;
    struct engine_stats after;
    struct engine_instance_spec spec = fixture_spec(&fixture, "shared", stay);
    fixture_create(&fixture, &spec);
    engine_docker_stats(fixture.engine, &before);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("look", look_often, &fixture);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    engine_docker_stats(fixture.engine, &after);
    g_assert_cmpint(after.calls - before.calls, ==, 12 * 30 * 2);
    g_assert_cmpint(after.failures, ==, 0);
    fixture_end(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/streams/both_streams_arrive_in_lines", both_streams_arrive_in_lines);
    g_test_add_func("/streams/long_lines_are_whole", long_lines_are_whole);
    g_test_add_func("/streams/since_loses_no_line", since_loses_no_line);
    g_test_add_func("/streams/following_ends_with_the_container", following_ends_with_the_container);
    g_test_add_func("/streams/following_can_be_cancelled_quickly", following_can_be_cancelled_quickly);
    g_test_add_func("/streams/the_reader_can_end_it", the_reader_can_end_it);
    g_test_add_func("/streams/a_log_of_nobody_is_not_found", a_log_of_nobody_is_not_found);
    g_test_add_func("/streams/events_of_our_containers_are_heard", events_of_our_containers_are_heard);
    g_test_add_func("/streams/all_threads_share_one_engine", all_threads_share_one_engine);
    return g_test_run();
}
