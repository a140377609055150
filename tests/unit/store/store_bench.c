/* Durable commits per second: N threads of small inserts, and the floor of one bare statement. For SQLite pass a
 * folder on the disk to be measured; PostgreSQL is the tests' private server with fsync switched on. */
#include <glib/gstdio.h>

#include "base/file.h"
#include "fixture.h"
#include "postgresql_server.h"

enum { SECONDS = 3, THREADS = 16, FLOOR_ROUNDS = 3000 };

static const char schema[] =
    "CREATE TABLE items (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, count BIGINT, "
    "is_public BIGINT, color TEXT, created_at BIGINT, pause BIGINT, memory BIGINT, cpu BIGINT, "
    "part TEXT, spare TEXT, parts TEXT, words TEXT, env TEXT, by_name TEXT, raw TEXT)";

struct load {
    struct store *store;
    int64_t end_us;
    int64_t n;
    int thread;
};

static gpointer write_until(gpointer data)
{
    struct load *load = data;
    while (g_get_monotonic_time() < load->end_us) {
        g_autofree char *id = g_strdup_printf("%d-%d-%" G_GINT64_FORMAT, load->thread, (int)load->end_us, load->n++);
        put_item(load->store, id, id, 1);
    }
    return NULL;
}

static void measure_writes(struct store *store, int n_threads)
{
    struct store_stats before;
    struct store_stats after;
    struct load loads[THREADS];
    GThread *threads[THREADS];
    int64_t begin_us = g_get_monotonic_time();
    store_stats(store, &before);
    for (int i = 0; i < n_threads; i++) {
        loads[i] = (struct load){store, begin_us + SECONDS * G_USEC_PER_SEC, 0, i};
        threads[i] = g_thread_new("load", write_until, &loads[i]);
    }
    for (int i = 0; i < n_threads; i++) {
        g_thread_join(threads[i]);
    }
    store_stats(store, &after);
    double seconds = (double)(g_get_monotonic_time() - begin_us) / G_USEC_PER_SEC;
    int64_t commits = after.commits - before.commits;
    int64_t writes = after.writes - before.writes;
    g_print("  %2d threads: %7.0f writes/s, %6.0f commits/s, %.2f ms per COMMIT\n", n_threads, (double)writes / seconds,
            (double)commits / seconds,
            (double)(after.commit_us_total - before.commit_us_total) / 1000 / (double)commits);
}

static bool select_rounds(struct tx *tx, void *arg, GError **error)
{
    int64_t n = 0;
    for (int i = 0; i < FLOOR_ROUNDS; i++) {
        if (!tx_get_int(tx, 0, &n, "SELECT count FROM items WHERE id = $1", PARAMS(P_TEXT("bench")), error)) {
            return false;
        }
    }
    return true;
}

static bool select_once(struct tx *tx, void *arg, GError **error)
{
    int64_t n = 0;
    return tx_get_int(tx, 0, &n, "SELECT count FROM items WHERE id = $1", PARAMS(P_TEXT("bench")), error);
}

static void measure_floor(struct store *store)
{
    g_autoptr(GError) error = NULL;
    int64_t begin_us = g_get_monotonic_time();
    g_assert_true(store_read(store, "floor", select_rounds, NULL, &error));
    int64_t statement_us = g_get_monotonic_time() - begin_us;
    begin_us = g_get_monotonic_time();
    for (int i = 0; i < FLOOR_ROUNDS; i++) {
        g_assert_true(store_read(store, "floor", select_once, NULL, &error));
    }
    int64_t unit_us = g_get_monotonic_time() - begin_us;
    g_print("  one statement: %.1f us; a unit of one read: %.1f us\n", (double)statement_us / FLOOR_ROUNDS,
            (double)unit_us / FLOOR_ROUNDS);
}

static void measure(const char *name, const char *url)
{
    g_autoptr(GError) error = NULL;
    const struct store_options options = {.pool_size = 20};
    struct store *store = store_open(url, &options, &error);
    g_assert_no_error(error);
    g_print("%s\n", name);
    g_assert_true(store_write(store, "schema", exec_text, (void *)schema, &error));
    put_item(store, "bench", "bench", 1);
    measure_floor(store);
    measure_writes(store, 1);
    measure_writes(store, THREADS);
    store_close(store);
}

int main(int argc, char **argv)
{
    g_autofree char *folder = g_build_filename(argc > 1 ? argv[1] : g_get_tmp_dir(), "enclii-bench-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(folder));
    g_autofree char *sqlite_url = g_strdup_printf("sqlite:%s/db", folder);
    measure("SQLite", sqlite_url);
    g_assert_true(folder_remove(folder, NULL));
    if (postgresql_server_missing() == NULL) {
        g_autofree char *url = postgresql_server_new_database();
        postgresql_server_execute(url, "ALTER SYSTEM SET fsync = on");
        postgresql_server_execute(url, "SELECT pg_reload_conf()");
        measure("PostgreSQL", url);
    }
    return 0;
}
