/* Many writers, readers and followers at once. Run under ThreadSanitizer too. */
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "fixture.h"

#define N_WRITERS 8
#define N_KEYS 2
#define LINES_EACH 2000

static const char *const keys[N_KEYS] = {"service/one", "service/two"};

struct world {
    struct fixture fixture;
    atomic_int writers_left;
};

struct writer {
    struct world *world;
    int number;
};

/* Each its own source, half of them to each log; every tenth batch is handed in twice. */
static gpointer write_lines(gpointer data)
{
    struct writer *writer = data;
    struct log_store *store = writer->world->fixture.store;
    char source[16];
    char texts[10][32];
    struct log_line lines[10];
    g_snprintf(source, sizeof source, "w%d", writer->number);
    for (int i = 0; i < LINES_EACH; i += 10) {
        for (int k = 0; k < 10; k++) {
            int n = g_snprintf(texts[k], sizeof texts[k], "%s %d", source, i + k);
            lines[k] = (struct log_line){.time_us = 1 + i + k, .source = source, .text = texts[k], .length = (size_t)n};
        }
        for (int again = i % 100 == 0 ? 2 : 1; again > 0; again--) {
            g_autoptr(GError) error = NULL;
            bool ok = log_store_append(store, keys[writer->number % N_KEYS], lines, 10, NULL, NULL, &error);
            g_assert_no_error(error);
            g_assert_true(ok);
        }
    }
    atomic_fetch_sub(&writer->world->writers_left, 1);
    return NULL;
}

struct order {
    uint64_t last;
    int64_t n;
};

static bool check_order(const struct log_line *line, void *arg)
{
    struct order *order = arg;
    g_assert_cmpuint(line->sequence, >, order->last);
    g_assert_cmpint(line->stream, ==, LOG_STDOUT);
    order->last = line->sequence;
    order->n++;
    return true;
}

static gpointer read_lines(gpointer data)
{
    struct world *world = data;
    int64_t n_before = 0;
    do {
        struct order order = {0};
        g_autoptr(GError) error = NULL;
        bool ok = log_store_read(world->fixture.store, keys[0], &(struct log_query){0}, check_order, &order, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpint(order.n, >=, n_before);
        g_assert_cmpuint(order.last, ==, (uint64_t)order.n);
        n_before = order.n;
        struct order tail = {0};
        const struct log_query last = {.limit = 5, .grep = "1"};
        g_assert_true(log_store_read(world->fixture.store, keys[1], &last, check_order, &tail, &error));
        g_assert_cmpint(tail.n, <=, 5 + LINES_EACH); /* more may have come since it looked for the place */
    } while (atomic_load(&world->writers_left) > 0);
    return NULL;
}

static void check_collected(struct collected *collected, int64_t expected)
{
    g_assert_true(collected_wait(collected, expected));
    g_assert_cmpint(collected->missed, ==, 0);
    g_assert_cmpint((int64_t)collected->texts->len, ==, expected);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < collected->texts->len; i++) {
        g_assert_true(g_hash_table_add(seen, g_ptr_array_index(collected->texts, i)));
        g_assert_cmpuint(g_array_index(collected->sequences, uint64_t, i), ==, i + 1);
    }
}

static void writers_readers_and_followers_do_not_disturb_each_other(void)
{
    struct world world;
    struct writer writers[N_WRITERS];
    struct collected collected[4];
    struct log_follow *follows[4];
    GThread *threads[N_WRITERS + 2];
    g_autoptr(GError) error = NULL;
    fixture_open(&world.fixture, &(struct log_options){.segment_bytes = 20000, .sync_ms = 5});
    atomic_init(&world.writers_left, N_WRITERS);
    for (int i = 0; i < 4; i++) {
        collected_init(&collected[i]);
        follows[i] = log_follow_start(world.fixture.store, keys[i % N_KEYS], &(struct log_query){0}, collect,
                                      collect_missed, &collected[i], &error);
    }
    for (int i = 0; i < N_WRITERS; i++) {
        writers[i] = (struct writer){&world, i};
        threads[i] = g_thread_new("writer", write_lines, &writers[i]);
    }
    threads[N_WRITERS] = g_thread_new("reader", read_lines, &world);
    threads[N_WRITERS + 1] = g_thread_new("reader", read_lines, &world);
    for (int i = 0; i < N_WRITERS + 2; i++) {
        g_thread_join(threads[i]);
    }
    for (int i = 0; i < 4; i++) {
        check_collected(&collected[i], N_WRITERS / N_KEYS * LINES_EACH);
        log_follow_stop(follows[i]);
        collected_done(&collected[i]);
    }
    fixture_close(&world.fixture);
}

/* Retention runs under the followers: each line is either seen or told to be missed. */
static gpointer trim_always(gpointer data)
{
    struct world *world = data;
    do {
        g_autoptr(GError) error = NULL;
        bool ok = log_store_trim(world->fixture.store, LINES_EACH, NULL, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpint(log_store_bytes(world->fixture.store), >, 0);
    } while (atomic_load(&world->writers_left) > 0);
    return NULL;
}

static void retention_beneath_followers_loses_nothing_unmarked(void)
{
    struct world world;
    struct writer writers[N_WRITERS];
    GThread *threads[N_WRITERS + 1];
    struct collected collected;
    g_autoptr(GError) error = NULL;
    fixture_open(&world.fixture, &(struct log_options){.segment_bytes = 3000, .log_bytes = 6000});
    atomic_init(&world.writers_left, N_WRITERS);
    collected_init(&collected);
    put(world.fixture.store, keys[0], "before", 1, "before");
    struct log_follow *follow = log_follow_start(world.fixture.store, keys[0], &(struct log_query){0}, collect,
                                                 collect_missed, &collected, &error);
    g_assert_true(collected_wait(&collected, 1));
    for (int i = 0; i < N_WRITERS; i++) {
        writers[i] = (struct writer){&world, i};
        threads[i] = g_thread_new("writer", write_lines, &writers[i]);
    }
    threads[N_WRITERS] = g_thread_new("trimmer", trim_always, &world);
    for (int i = 0; i <= N_WRITERS; i++) {
        g_thread_join(threads[i]);
    }
    int64_t expected = 1 + N_WRITERS / N_KEYS * LINES_EACH;
    g_assert_true(collected_wait(&collected, expected));
    log_follow_stop(follow);
    g_assert_cmpint((int64_t)collected.texts->len + collected.missed, ==, expected);
    collected_done(&collected);
    fixture_close(&world.fixture);
}

/* Followers come and go while lines arrive; stop means that the function is not running. */
static bool use_flag(const struct log_line *line, void *arg)
{
    g_assert_cmpint(atomic_load((atomic_int *)arg), ==, 1);
    return true;
}

static void a_stopped_follow_is_over_when_stop_returns(void)
{
    struct world world;
    struct writer writers[2];
    GThread *threads[2];
    fixture_open(&world.fixture, NULL);
    atomic_init(&world.writers_left, 2);
    for (int i = 0; i < 2; i++) {
        writers[i] = (struct writer){&world, i * N_KEYS};
        threads[i] = g_thread_new("writer", write_lines, &writers[i]);
    }
    do {
        g_autoptr(GError) error = NULL;
        atomic_int flag = 1;
        struct log_follow *follow = log_follow_start(world.fixture.store, keys[0], &(struct log_query){.limit = 50},
                                                     use_flag, NULL, &flag, &error);
        g_assert_no_error(error);
        log_follow_stop(follow);
        atomic_store(&flag, 0);
    } while (atomic_load(&world.writers_left) > 0);
    for (int i = 0; i < 2; i++) {
        g_thread_join(threads[i]);
    }
    fixture_close(&world.fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/logs/concurrency/" #name, name)
    TEST(writers_readers_and_followers_do_not_disturb_each_other);
    TEST(retention_beneath_followers_loses_nothing_unmarked);
    TEST(a_stopped_follow_is_over_when_stop_returns);
    return g_test_run();
}
