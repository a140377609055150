/* Units of work side by side: group commit, snapshots, queues and pools, retries. */
#include <sqlite3.h>
#include <stdatomic.h>

#include "fixture.h"
#include "gate.h"
#include "postgresql_server.h"

/* Some 1 h of work on either database. */
#define SLOW_INSERT                                                                                                    \
    "INSERT INTO items (id, name) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < "           \
    "10000000000) SELECT CAST(count(*) AS TEXT), 'slow' FROM c"

/* --- writers on threads ------------------------------------------------------------------------ */

struct writer {
    struct store *store;
    store_fn fn;
    void *arg;
    bool is_read;
    bool is_ok;
    GError *error;
    GThread *thread;
};

static gpointer writer_main(gpointer data)
{
    struct writer *writer = data;
    writer->is_ok = writer->is_read ? store_read(writer->store, "test", writer->fn, writer->arg, &writer->error)
                                    : store_write(writer->store, "test", writer->fn, writer->arg, &writer->error);
    return NULL;
}

static void writer_start(struct writer *writer)
{
    writer->thread = g_thread_new("writer", writer_main, writer);
}

static void writer_join(struct writer *writer)
{
    g_thread_join(writer->thread);
}

static void writer_join_ok(struct writer *writer)
{
    writer_join(writer);
    g_assert_no_error(writer->error);
    g_assert_true(writer->is_ok);
}

static void writer_join_error(struct writer *writer, enum sy_code code)
{
    writer_join(writer);
    g_assert_false(writer->is_ok);
    g_assert_error(writer->error, SY_ERROR, (int)code);
    g_clear_error(&writer->error);
}

struct gates {
    struct gate is_in;
    struct gate may_go;
};

/* A unit that holds its connection until it is let go. */
static bool hold(struct tx *tx, void *arg, GError **error)
{
    struct gates *gates = arg;
    int64_t n = 0;
    bool ok = tx_get_int(tx, 0, &n, "SELECT count(*) FROM items", NO_PARAMS, error);
    gate_open(&gates->is_in);
    gate_wait(&gates->may_go);
    return ok;
}

static int64_t waiting(struct store *store)
{
    struct store_stats stats;
    store_stats(store, &stats);
    return stats.waiting;
}

/* Runs the writers so that on SQLite they all share the group of a first unit that holds the writer thread. */
static void run_together(struct store *store, struct writer *writers, size_t n)
{
    struct gates gates = {0};
    struct writer holder = {.store = store, .fn = hold, .arg = &gates};
    bool is_sqlite = store_dialect(store) == STORE_SQLITE;
    writer_start(&holder);
    gate_wait(&gates.is_in);
    for (size_t i = 0; i < n; i++) {
        writers[i].store = store;
        writer_start(&writers[i]);
        if (is_sqlite) {
            /* One after the other, so that their order is known. */
            WAIT_UNTIL(waiting(store) == (int64_t)i + 1);
        }
    }
    gate_open(&gates.may_go);
    writer_join_ok(&holder);
}

/* --- group commit ------------------------------------------------------------------------------ */

enum { N_THREADS = 64, WRITES_EACH = 20 };

static gpointer write_many(gpointer data)
{
    struct writer *writer = data;
    for (int i = 0; i < WRITES_EACH; i++) {
        g_autofree char *name = g_strdup_printf("%p-%d", (void *)writer, i);
        put_item(writer->store, name, name, i);
    }
    return NULL;
}

static void threads_share_commits(struct fixture *fixture)
{
    struct writer writers[N_THREADS] = {0};
    for (int i = 0; i < N_THREADS; i++) {
        writers[i].store = fixture->store;
        writers[i].thread = g_thread_new("writer", write_many, &writers[i]);
    }
    for (int i = 0; i < N_THREADS; i++) {
        writer_join(&writers[i]);
    }
    g_assert_cmpint(count_items(fixture->store), ==, N_THREADS * WRITES_EACH);
    struct store_stats stats;
    int64_t deadline_us = g_get_monotonic_time() + 5 * G_USEC_PER_SEC;
    do { /* the writer answers before it is done */
        store_stats(fixture->store, &stats);
    } while (stats.in_use > 0 && g_get_monotonic_time() < deadline_us);
    g_test_message("%d writes, %d commits", (int)stats.writes, (int)stats.commits);
    g_assert_cmpint(stats.writes, ==, N_THREADS * WRITES_EACH);
    g_assert_cmpint(stats.in_use, ==, 0);
    g_assert_cmpint(stats.waiting, ==, 0);
    g_assert_cmpint(stats.failures, ==, 0);
    g_assert_cmpint(stats.commit_us_total, >, 0);
    if (fixture->dialect == STORE_SQLITE) {
        g_assert_cmpint(stats.commits, <, stats.writes / 4);
    } else {
        g_assert_cmpint(stats.commits, ==, stats.writes);
    }
}

/* Five writers: the third fails by `bad_text`, the others must not notice. n_commits on SQLite: 1 when they share
 * their commit with the holder; 5 when each was run again; 4 when the transaction ended at the third, which leaves the
 * holder and two to run again and two for the next group. */
static void check_group(struct fixture *fixture, const char *bad_text, enum sy_code code, int64_t n_commits)
{
    struct store_stats before;
    struct store_stats after;
    struct item *items[5];
    struct writer writers[5] = {0};
    put_item(fixture->store, "first", "first", 1);
    for (int i = 0; i < 5; i++) {
        g_autofree char *name = g_strdup_printf("item%d", i);
        items[i] = item_new(name, name, i);
        writers[i] = (struct writer){.fn = insert_item, .arg = items[i]};
    }
    writers[2] = (struct writer){.fn = exec_text, .arg = (void *)bad_text};
    store_stats(fixture->store, &before);
    run_together(fixture->store, writers, 5);
    for (int i = 0; i < 5; i++) {
        i == 2 ? writer_join_error(&writers[i], code) : writer_join_ok(&writers[i]);
        contract_free(&item_type, items[i]);
    }
    store_stats(fixture->store, &after);
    g_assert_cmpint(count_items(fixture->store), ==, 5);
    if (fixture->dialect == STORE_SQLITE) {
        /* A group also ends when it has taken its time: on a busy machine it is cut elsewhere than where it would be. */
        g_assert_cmpint(ABS(after.commits - before.commits - n_commits), <=, 1);
    }
}

static void failing_write_takes_no_other_along(struct fixture *fixture)
{
    check_group(fixture, "INSERT INTO items (id, name) VALUES ('first', 'x')", SY_ALREADY_EXISTS, 1);
}

static void constraint_at_commit_takes_no_other_along(struct fixture *fixture)
{
    check_group(fixture, "INSERT INTO links (id, item_id, late_id) VALUES (1, 'first', 'nobody')", SY_CONFLICT, 5);
}

static void deadline_takes_no_other_along(struct fixture *fixture)
{
    check_group(fixture, SLOW_INSERT, SY_STORE_BUSY, 4);
}

static void full_disk_takes_no_other_along(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    const char *text = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$";
    if (fixture->dialect == STORE_SQLITE) {
        /* As small as it is now and a little more. */
        bool ok = store_write(fixture->store, "limit", exec_text, (void *)"PRAGMA max_page_count = 40", &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        text = "INSERT INTO items (id, name, raw) VALUES ('full', 'full', CAST(zeroblob(1000000) AS TEXT))";
    }
    check_group(fixture, text, SY_DISK_FULL, 4);
    g_assert_false(store_fatal(fixture->store));
}

/* --- snapshots --------------------------------------------------------------------------------- */

struct snapshot {
    struct gates gates;
    int64_t before, after;
};

static bool read_twice(struct tx *tx, void *arg, GError **error)
{
    struct snapshot *snapshot = arg;
    bool ok = tx_get_int(tx, 0, &snapshot->before, "SELECT count(*) FROM items", NO_PARAMS, error);
    gate_open(&snapshot->gates.is_in);
    gate_wait(&snapshot->gates.may_go);
    return ok && tx_get_int(tx, 0, &snapshot->after, "SELECT count(*) FROM items", NO_PARAMS, error);
}

static void reader_keeps_its_snapshot(struct fixture *fixture)
{
    struct snapshot snapshot = {0};
    struct writer reader = {.store = fixture->store, .fn = read_twice, .arg = &snapshot, .is_read = true};
    put_item(fixture->store, "a", "a", 1);
    writer_start(&reader);
    gate_wait(&snapshot.gates.is_in);
    put_item(fixture->store, "b", "b", 1);
    g_assert_cmpint(count_items(fixture->store), ==, 2);
    gate_open(&snapshot.gates.may_go);
    writer_join_ok(&reader);
    g_assert_cmpint(snapshot.before, ==, 1);
    g_assert_cmpint(snapshot.after, ==, 1);
}

/* --- bounds ------------------------------------------------------------------------------------ */

static const struct store_options one_connection = {.n_readers = 1, .pool_size = 3, .pool_reserved = 2, .wait_ms = 300};

static void full_pool_is_busy_in_time(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct gates gates = {0};
    struct gates other = {0};
    struct writer holder = {.store = fixture->store, .fn = hold, .arg = &gates, .is_read = true};
    writer_start(&holder);
    gate_wait(&gates.is_in);
    int64_t begin_us = g_get_monotonic_time();
    g_assert_false(store_read(fixture->store, "second", hold, &other, &error));
    int64_t took_ms = (g_get_monotonic_time() - begin_us) / 1000;
    g_assert_error(error, SY_ERROR, SY_STORE_BUSY);
    g_assert_cmpint(took_ms, >=, 299);
    g_assert_cmpint(took_ms, <, 2000);
    g_clear_error(&error);
    if (fixture->dialect == STORE_POSTGRESQL) {
        /* The reserved ones still answer operators. */
        struct migration_status status;
        g_assert_true(store_ping(fixture->store, &error));
        g_assert_true(store_migrate_status(fixture->store, &status, &error));
        g_assert_cmpint(status.current, ==, 1);
    }
    gate_open(&gates.may_go);
    writer_join_ok(&holder);
    g_assert_cmpint(count_items(fixture->store), ==, 0);
}

static void waiting_write_gives_up_in_time(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct gates gates = {0};
    struct writer holder = {.store = fixture->store, .fn = hold, .arg = &gates};
    writer_start(&holder);
    gate_wait(&gates.is_in);
    struct item *item = item_new("late", "late", 1);
    g_assert_false(store_write(fixture->store, "late", insert_item, item, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_BUSY);
    gate_open(&gates.may_go);
    writer_join_ok(&holder);
    g_assert_cmpint(count_items(fixture->store), ==, 0);
    contract_free(&item_type, item);
}

static void slow_statement_is_stopped(struct fixture *fixture)
{
    static const char slow_select[] = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < "
                                      "10000000000) SELECT count(*) FROM c";
    g_autoptr(GError) error = NULL;
    int64_t begin_us = g_get_monotonic_time();
    g_assert_false(store_read(fixture->store, "slow", exec_text, (void *)slow_select, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_BUSY);
    g_assert_cmpint((g_get_monotonic_time() - begin_us) / 1000, <, 2500);
    g_assert_cmpint(count_items(fixture->store), ==, 0);
}

static const struct store_options short_statements = {.statement_ms = 200};

/* --- others hold locks ------------------------------------------------------------------------- */

static void foreign_lock_is_waited_for(struct fixture *fixture)
{
    sqlite3 *db = NULL;
    struct item *item = item_new("a", "a", 1);
    struct writer writer = {.store = fixture->store, .fn = insert_item, .arg = item};
    g_assert_cmpint(sqlite3_open(fixture->url + strlen("sqlite:"), &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
    writer_start(&writer);
    WAIT_UNTIL(waiting(fixture->store) == 1); /* not begun: BEGIN itself waits */
    g_assert_cmpint(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), ==, SQLITE_OK);
    writer_join_ok(&writer);
    g_assert_cmpint(count_items(fixture->store), ==, 1);
    sqlite3_close(db);
    contract_free(&item_type, item);
}

static void foreign_lock_is_not_waited_for_longer(struct fixture *fixture)
{
    sqlite3 *db = NULL;
    struct item *item = item_new("a", "a", 1);
    struct writer writer = {.store = fixture->store, .fn = insert_item, .arg = item};
    g_assert_cmpint(sqlite3_open(fixture->url + strlen("sqlite:"), &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), ==, SQLITE_OK);
    writer_start(&writer);
    writer_join_error(&writer, SY_STORE_BUSY);
    g_assert_cmpint(count_items(fixture->store), ==, 0);
    sqlite3_close(db);
    contract_free(&item_type, item);
}

/* --- soft errors ------------------------------------------------------------------------------- */

struct attempts {
    int n;
    int n_failing;
};

static bool fail_softly(struct tx *tx, void *arg, GError **error)
{
    struct attempts *attempts = arg;
    attempts->n++;
    if (!tx_exec(tx, "INSERT INTO items (id, name) VALUES ('a', 'a')", NO_PARAMS, NULL, error)) {
        return false;
    }
    return attempts->n > attempts->n_failing ||
           tx_exec(tx, "DO $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$", NO_PARAMS,
                   NULL, error);
}

static void serialisation_failure_is_retried(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct store_stats stats;
    struct attempts attempts = {.n_failing = 3};
    bool ok = store_write(fixture->store, "soft", fail_softly, &attempts, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(attempts.n, ==, 4);
    store_stats(fixture->store, &stats);
    g_assert_cmpint(stats.retries, ==, 3);
    g_assert_cmpint(stats.commits, ==, 1);
    g_assert_cmpint(count_items(fixture->store), ==, 1);
}

static void retries_are_bounded(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct attempts attempts = {.n_failing = 1000};
    g_assert_false(store_write(fixture->store, "soft", fail_softly, &attempts, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_BUSY);
    g_assert_cmpint(attempts.n, <=, 20);
    g_assert_cmpint(count_items(fixture->store), ==, 0);
}

struct crossing {
    const char *first, *second;
    struct gate *mine, *theirs;
};

static bool update_crosswise(struct tx *tx, void *arg, GError **error)
{
    struct crossing *crossing = arg;
    const char *update = "UPDATE items SET count = count + 1 WHERE id = $1";
    if (!tx_exec(tx, "SET LOCAL deadlock_timeout = '20ms'", NO_PARAMS, NULL, error) ||
        !tx_exec(tx, update, PARAMS(P_TEXT(crossing->first)), NULL, error)) {
        return false;
    }
    gate_open(crossing->mine);
    gate_wait(crossing->theirs);
    return tx_exec(tx, update, PARAMS(P_TEXT(crossing->second)), NULL, error);
}

static bool get_sum(struct tx *tx, void *arg, GError **error)
{
    return tx_get_int(tx, 0, arg, "SELECT sum(count) FROM items", NO_PARAMS, error);
}

static void deadlock_is_retried(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct gate a = {0};
    struct gate b = {0};
    struct crossing forth = {"a", "b", &a, &b};
    struct crossing back = {"b", "a", &b, &a};
    struct writer writers[] = {{.store = fixture->store, .fn = update_crosswise, .arg = &forth},
                               {.store = fixture->store, .fn = update_crosswise, .arg = &back}};
    put_item(fixture->store, "a", "a", 0);
    put_item(fixture->store, "b", "b", 0);
    writer_start(&writers[0]);
    writer_start(&writers[1]);
    writer_join_ok(&writers[0]);
    writer_join_ok(&writers[1]);
    struct store_stats stats;
    store_stats(fixture->store, &stats);
    g_assert_cmpint(stats.retries, >=, 1);
    int64_t sum = 0;
    g_assert_true(store_read(fixture->store, "sum", get_sum, &sum, &error));
    g_assert_cmpint(sum, ==, 4);
}

/* --- close ------------------------------------------------------------------------------------- */

static gpointer close_store(gpointer store)
{
    store_close(store);
    return NULL;
}

static atomic_bool slow_unit_ended;

static bool hold_and_tell(struct tx *tx, void *arg, GError **error)
{
    bool ok = hold(tx, arg, error);
    slow_unit_ended = true;
    return ok;
}

static void close_waits_for_running_work(struct fixture *fixture)
{
    for (int is_read = 0; is_read < 2; is_read++) {
        struct gates gates = {0};
        struct store *store = fixture_open(fixture, NULL);
        struct writer holder = {.store = store, .fn = hold_and_tell, .arg = &gates, .is_read = is_read};
        slow_unit_ended = false;
        writer_start(&holder);
        gate_wait(&gates.is_in);
        GThread *closer = g_thread_new("closer", close_store, store);
        g_assert_false(slow_unit_ended);
        gate_open(&gates.may_go);
        g_thread_join(closer);
        g_assert_true(slow_unit_ended);
        writer_join_ok(&holder);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add("/concurrency/threads_share_commits", threads_share_commits, NULL);
    fixture_add("/concurrency/failing_write_takes_no_other_along", failing_write_takes_no_other_along, NULL);
    fixture_add("/concurrency/constraint_at_commit_takes_no_other_along", constraint_at_commit_takes_no_other_along,
                NULL);
    fixture_add("/concurrency/deadline_takes_no_other_along", deadline_takes_no_other_along, &short_statements);
    fixture_add("/concurrency/full_disk_takes_no_other_along", full_disk_takes_no_other_along, NULL);
    fixture_add("/concurrency/reader_keeps_its_snapshot", reader_keeps_its_snapshot, NULL);
    fixture_add("/concurrency/full_pool_is_busy_in_time", full_pool_is_busy_in_time, &one_connection);
    fixture_add("/concurrency/waiting_write_gives_up_in_time", waiting_write_gives_up_in_time, &one_connection);
    fixture_add("/concurrency/slow_statement_is_stopped", slow_statement_is_stopped, &short_statements);
    fixture_add("/concurrency/close_waits_for_running_work", close_waits_for_running_work, NULL);
    fixture_add_on(STORE_SQLITE, "/concurrency/foreign_lock_is_waited_for", foreign_lock_is_waited_for, NULL);
    fixture_add_on(STORE_SQLITE, "/concurrency/foreign_lock_is_not_waited_for_longer",
                   foreign_lock_is_not_waited_for_longer, &one_connection);
    fixture_add_on(STORE_POSTGRESQL, "/concurrency/serialisation_failure_is_retried", serialisation_failure_is_retried,
                   NULL);
    fixture_add_on(STORE_POSTGRESQL, "/concurrency/retries_are_bounded", retries_are_bounded, NULL);
    fixture_add_on(STORE_POSTGRESQL, "/concurrency/deadlock_is_retried", deadlock_is_retried, NULL);
    return g_test_run();
}
