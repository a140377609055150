/* What breaks: disks, files, connections, servers. */
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "faulty_vfs.h"
#include "fixture.h"
#include "gate.h"
#include "postgresql_server.h"

static void check_write_fails(struct store *store, const char *id, enum sy_code code, const char *words)
{
    g_autoptr(GError) error = NULL;
    struct item *item = item_new(id, id, 1);
    g_assert_false(store_write(store, "write", insert_item, item, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    if (strstr(error->message, words) == NULL) {
        g_error("expected \"%s\" in \"%s\"", words, error->message);
    }
    contract_free(&item_type, item);
}

static void check_open_fails(const char *url, const struct store_options *options, enum sy_code code)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(store_open(url, options, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    g_test_message("%s", error->message);
}

/* --- SQLite ------------------------------------------------------------------------------------ */

static void failed_fsync_is_fatal(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    put_item(fixture->store, "a", "a", 1);
    faulty_vfs.fsync_fails = true;
    check_write_fails(fixture->store, "b", SY_STORE_FAILED, "unknown");
    faulty_vfs.fsync_fails = false;
    g_assert_true(store_fatal(fixture->store));
    check_write_fails(fixture->store, "c", SY_STORE_FAILED, "restart");
    g_assert_false(store_ping(fixture->store, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
}

static void every_acknowledged_write_was_synced(struct fixture *fixture)
{
    int before = faulty_vfs.n_fsyncs;
    for (int i = 0; i < 10; i++) {
        g_autofree char *id = g_strdup_printf("%d", i);
        put_item(fixture->store, id, id, i);
        g_assert_cmpint(faulty_vfs.n_fsyncs, >=, before + i + 1);
    }
}

static void full_disk_is_not_fatal(struct fixture *fixture)
{
    put_item(fixture->store, "a", "a", 1);
    faulty_vfs.disk_is_full = true;
    check_write_fails(fixture->store, "b", SY_DISK_FULL, "full");
    g_assert_cmpint(count_items(fixture->store), ==, 1);
    faulty_vfs.disk_is_full = false;
    g_assert_false(store_fatal(fixture->store));
    put_item(fixture->store, "b", "b", 1);
    g_assert_cmpint(count_items(fixture->store), ==, 2);
}

static bool scan(struct tx *tx, void *arg, GError **error)
{
    return tx_exec(tx, "SELECT max(raw), max(count) FROM items WHERE name <> 'x'", NO_PARAMS, NULL, error);
}

static void corrupt_page_is_fatal(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    const char *path = fixture->url + strlen("sqlite:");
    g_autofree char *bytes = NULL;
    gsize length = 0;
    for (int i = 0; i < 200; i++) {
        g_autofree char *id = g_strdup_printf("item-%d", i);
        put_item(fixture->store, id, id, i);
    }
    store_close(fixture->store); /* the WAL is in the file now */
    g_assert_true(g_file_get_contents(path, &bytes, &length, &error));
    g_assert_cmpuint(length, >, 8 * 4096);
    memset(bytes + 4096, 0xa5, length - 4096); /* all but the first page, which holds the schema's root */
    g_assert_true(file_replace(path, bytes, length, 0600, &error));
    const struct store_options options = {.migrations_folder = fixture->migrations};
    fixture->store = store_open(fixture->url, &options, &error);
    g_assert_no_error(error);
    g_assert_false(store_read(fixture->store, "scan", scan, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
    g_assert_true(store_fatal(fixture->store));
}

static void wal_stays_bounded(struct fixture *fixture)
{
    g_autofree char *wal = g_strconcat(fixture->url + strlen("sqlite:"), "-wal", NULL);
    g_autofree char *filling = g_strnfill(100000, 'x');
    for (int i = 0; i < 300; i++) { /* 30 MB */
        g_autoptr(GError) error = NULL;
        g_autofree char *id = g_strdup_printf("%d", i);
        struct item *item = item_new(id, id, i);
        item->raw = g_strdup(filling);
        g_assert_true(store_write(fixture->store, "fill", insert_item, item, &error));
        contract_free(&item_type, item);
    }
    g_autofree char *bytes = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(wal, &bytes, &length, NULL));
    g_assert_cmpuint(length, <, 12 << 20);
}

static void files_are_private(struct fixture *fixture)
{
    put_item(fixture->store, "a", "a", 1);
    for (const char *const *suffix = (const char *[]){"", "-wal", "-shm", NULL}; *suffix != NULL; suffix++) {
        g_autofree char *path = g_strconcat(fixture->url + strlen("sqlite:"), *suffix, NULL);
        GStatBuf found;
        g_assert_cmpint(g_stat(path, &found), ==, 0);
        g_assert_cmpint(found.st_mode & 0777, ==, 0600);
    }
}

static void bad_urls_are_refused(void)
{
    g_autofree char *folder = g_dir_make_tmp("enclii-store-XXXXXX", NULL);
    g_autofree char *text = g_build_filename(folder, "text", NULL);
    g_autofree char *not_a_database = g_strconcat("sqlite:", text, NULL);
    g_autofree char *missing = g_strconcat("sqlite:", folder, "/none/db", NULL);
    g_autofree char *is_folder = g_strconcat("sqlite:", folder, NULL);
    g_autofree char *no_server = g_strconcat("postgresql:///x?host=", folder, NULL);
    g_autofree char *content = g_strnfill(5000, 'x');
    const struct store_options options = {.wait_ms = 200};
    g_assert_true(g_file_set_contents(text, content, -1, NULL));
    check_open_fails(not_a_database, NULL, SY_STORE_FAILED);
    check_open_fails(missing, NULL, SY_STORE_UNAVAILABLE);
    check_open_fails(is_folder, NULL, SY_STORE_UNAVAILABLE);
    check_open_fails("sqlite:", NULL, SY_INVALID_INPUT);
    check_open_fails("sqlite::memory:", NULL, SY_INVALID_INPUT);
    check_open_fails("mysql://localhost", NULL, SY_INVALID_INPUT);
    check_open_fails("/var/lib/db", NULL, SY_INVALID_INPUT);
    check_open_fails(no_server, &options, SY_STORE_UNAVAILABLE);
    g_assert_true(folder_remove(folder, NULL));
}

/* --- PostgreSQL: connections ------------------------------------------------------------------- */

static bool get_backend(struct tx *tx, void *arg, GError **error)
{
    return tx_get_int(tx, 0, arg, "SELECT pg_backend_pid()", NO_PARAMS, error);
}

static void terminate(const char *url, int64_t pid)
{
    g_autofree char *text = g_strdup_printf("SELECT pg_terminate_backend(%" G_GINT64_FORMAT ", 10000)", pid);
    postgresql_server_execute(url, text);
}

struct losing {
    const char *url;
    int n_losing; /* attempts that lose their connection */
    int n_attempts;
};

static bool insert_and_lose(struct tx *tx, void *arg, GError **error)
{
    struct losing *losing = arg;
    int64_t pid = 0;
    if (!get_backend(tx, &pid, error) ||
        !tx_exec(tx, "INSERT INTO items (id, name) VALUES ('a', 'a')", NO_PARAMS, NULL, error)) {
        return false;
    }
    if (losing->n_attempts++ < losing->n_losing) {
        terminate(losing->url, pid);
    }
    return tx_exec(tx, "INSERT INTO items (id, name) VALUES ('b', 'b')", NO_PARAMS, NULL, error);
}

static void lost_connection_is_retried_before_commit(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct losing losing = {.url = fixture->url, .n_losing = 2};
    bool ok = store_write(fixture->store, "lose", insert_and_lose, &losing, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(losing.n_attempts, ==, 3);
    g_assert_cmpint(count_items(fixture->store), ==, 2);
}

static gpointer read_many(gpointer store)
{
    for (int i = 0; i < 20; i++) {
        g_assert_cmpint(count_items(store), >=, 0);
    }
    return NULL;
}

static void dead_idle_connections_cost_no_error(struct fixture *fixture)
{
    GThread *threads[8];
    for (int i = 0; i < 8; i++) {
        threads[i] = g_thread_new("reader", read_many, fixture->store);
    }
    for (int i = 0; i < 8; i++) {
        g_thread_join(threads[i]);
    }
    postgresql_server_execute(fixture->url, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE "
                                            "datname = current_database() AND pid <> pg_backend_pid()");
    put_item(fixture->store, "a", "a", 1);
    g_assert_cmpint(count_items(fixture->store), ==, 1);
}

/* A trigger that sleeps at COMMIT: its connection is lost while the commit is on its way. */
static const char sleep_at_commit[] =
    "CREATE FUNCTION sleep_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(8); RETURN NULL; END $$;"
    "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "
    "sleep_now()";

static gpointer terminate_the_committer(gpointer url)
{
    char *pid = NULL;
    WAIT_UNTIL((pid = postgresql_server_get(
                    url, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND "
                         "query = 'COMMIT' AND state = 'active' AND pid <> pg_backend_pid()")) != NULL);
    terminate(url, g_ascii_strtoll(pid, NULL, 10));
    g_free(pid);
    return NULL;
}

static bool insert_and_count(struct tx *tx, void *arg, GError **error)
{
    (*(int *)arg)++;
    return tx_exec(tx, "INSERT INTO items (id, name) VALUES ('a', 'a')", NO_PARAMS, NULL, error);
}

static void connection_lost_during_commit_is_not_retried(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    int n = 0;
    fixture_execute(fixture, sleep_at_commit);
    GThread *killer = g_thread_new("killer", terminate_the_committer, fixture->url);
    g_assert_false(store_write(fixture->store, "commit", insert_and_count, &n, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "outcome is unknown"));
    g_assert_cmpint(n, ==, 1);
    g_thread_join(killer);
}

/* A server that stops answering: its process is halted. */
static bool halt_once(struct tx *tx, void *arg, GError **error)
{
    int64_t *halted = arg;
    int64_t pid = 0;
    if (!get_backend(tx, &pid, error)) {
        return false;
    }
    if (*halted == 0) {
        *halted = pid;
        kill((pid_t)pid, SIGSTOP);
    }
    return tx_exec(tx, "INSERT INTO items (id, name) VALUES ('a', 'a')", NO_PARAMS, NULL, error);
}

static const struct store_options short_statements = {.statement_ms = 100};

static void silent_server_is_given_up(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    int64_t halted = 0;
    int64_t begin_us = g_get_monotonic_time();
    bool ok = store_write(fixture->store, "halt", halt_once, &halted, &error);
    kill((pid_t)halted, SIGCONT);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 6 * G_USEC_PER_SEC);
    g_assert_cmpint(count_items(fixture->store), ==, 1);
}

/* --- PostgreSQL: the server -------------------------------------------------------------------- */

static gpointer put_b(gpointer store)
{
    put_item(store, "b", "b", 1);
    return NULL;
}

static const struct store_options patient = {.wait_ms = 20000};

static void restart_of_the_server_costs_no_error(struct fixture *fixture)
{
    struct store_stats stats;
    put_item(fixture->store, "a", "a", 1);
    postgresql_server_crash();
    GThread *writer = g_thread_new("writer", put_b, fixture->store);
    WAIT_UNTIL((store_stats(fixture->store, &stats), stats.retries >= 2));
    postgresql_server_start();
    g_thread_join(writer);
    g_assert_cmpint(count_items(fixture->store), ==, 2);
}

static const struct store_options impatient = {.wait_ms = 300};

static void dead_server_fails_fast_after_a_while(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    put_item(fixture->store, "a", "a", 1);
    postgresql_server_crash();
    int64_t begin_us = g_get_monotonic_time();
    check_write_fails(fixture->store, "b", SY_STORE_UNAVAILABLE, "");
    g_assert_cmpint(g_get_monotonic_time() - begin_us, >=, 300000);
    WAIT_UNTIL(g_get_monotonic_time() - begin_us > 400000);           /* longer than wait_ms */
    check_write_fails(fixture->store, "b", SY_STORE_UNAVAILABLE, ""); /* perhaps the one that tries */
    begin_us = g_get_monotonic_time();
    for (int i = 0; i < 20; i++) {
        check_write_fails(fixture->store, "b", SY_STORE_UNAVAILABLE, "");
    }
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 250000);
    postgresql_server_start();
    WAIT_UNTIL(store_ping(fixture->store, NULL));
    put_item(fixture->store, "b", "b", 1);
    g_assert_cmpint(count_items(fixture->store), ==, 2);
}

static void server_without_fsync_is_refused(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    check_open_fails(fixture->url, NULL, SY_STORE_FAILED);
    g_assert_null(store_open(fixture->url, NULL, &error));
    g_assert_nonnull(strstr(error->message, "fsync = off"));
}

static bool check_settings(struct tx *tx, void *arg, GError **error)
{
    g_autofree char *commits = NULL;
    bool ok = tx_get_text(tx, &commits, "SELECT current_setting('synchronous_commit')", NO_PARAMS, error);
    g_assert_cmpstr(commits, ==, "on");
    return ok;
}

static void asynchronous_commit_is_switched_on(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *url = g_strconcat(fixture->url, "&options=-csynchronous_commit%3Doff", NULL);
    const struct store_options options = {.allow_volatile = true};
    struct store *store = store_open(url, &options, &error);
    g_assert_no_error(error);
    bool ok = store_write(store, "settings", check_settings, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    store_close(store);
}

static void corruption_told_by_the_server_is_fatal(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(store_read(fixture->store, "corrupt", exec_text,
                              (void *)"DO $$ BEGIN RAISE EXCEPTION 'invalid page' USING ERRCODE = 'XX001'; END $$",
                              &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
    g_assert_true(store_fatal(fixture->store));
    check_write_fails(fixture->store, "a", SY_STORE_FAILED, "restart");
}

static void statements_survive_a_migration(struct fixture *fixture)
{
    /* A plan whose columns changed their type: the connection is replaced, the caller does not notice. */
    put_item(fixture->store, "a", "a", 1);
    struct item *item = item_new("a", "a", 1);
    g_assert_cmpint(count_items(fixture->store), ==, 1);
    g_autoptr(GError) error = NULL;
    static const char text[] = "SELECT cpu FROM items";
    g_assert_true(store_read(fixture->store, "cpu", exec_text, (void *)text, &error));
    fixture_execute(fixture, "ALTER TABLE items ALTER COLUMN cpu TYPE TEXT");
    bool ok = store_read(fixture->store, "cpu", exec_text, (void *)text, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    contract_free(&item_type, item);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    faulty_vfs_install();
    g_test_add_func("/faults/bad_urls_are_refused", bad_urls_are_refused);
    fixture_add_on(STORE_SQLITE, "/faults/failed_fsync_is_fatal", failed_fsync_is_fatal, NULL);
    fixture_add_on(STORE_SQLITE, "/faults/every_acknowledged_write_was_synced", every_acknowledged_write_was_synced,
                   NULL);
    fixture_add_on(STORE_SQLITE, "/faults/full_disk_is_not_fatal", full_disk_is_not_fatal, NULL);
    fixture_add_on(STORE_SQLITE, "/faults/corrupt_page_is_fatal", corrupt_page_is_fatal, NULL);
    fixture_add_on(STORE_SQLITE, "/faults/wal_stays_bounded", wal_stays_bounded, NULL);
    fixture_add_on(STORE_SQLITE, "/faults/files_are_private", files_are_private, NULL);
    fixture_add_on(STORE_POSTGRESQL, "/faults/lost_connection_is_retried_before_commit",
                   lost_connection_is_retried_before_commit, NULL);
    fixture_add_on(STORE_POSTGRESQL, "/faults/dead_idle_connections_cost_no_error", dead_idle_connections_cost_no_error,
                   NULL);
    fixture_add_on(STORE_POSTGRESQL, "/faults/connection_lost_during_commit_is_not_retried",
                   connection_lost_during_commit_is_not_retried, NULL);
    fixture_add_on(STORE_POSTGRESQL, "/faults/silent_server_is_given_up", silent_server_is_given_up, &short_statements);
    fixture_add_on(STORE_POSTGRESQL, "/faults/restart_of_the_server_costs_no_error",
                   restart_of_the_server_costs_no_error, &patient);
    fixture_add_on(STORE_POSTGRESQL, "/faults/dead_server_fails_fast_after_a_while",
                   dead_server_fails_fast_after_a_while, &impatient);
    fixture_add_on(STORE_POSTGRESQL, "/faults/server_without_fsync_is_refused", server_without_fsync_is_refused, NULL);
    fixture_add_on(STORE_POSTGRESQL, "/faults/asynchronous_commit_is_switched_on", asynchronous_commit_is_switched_on,
                   NULL);
    fixture_add_on(STORE_POSTGRESQL, "/faults/corruption_told_by_the_server_is_fatal",
                   corruption_told_by_the_server_is_fatal, NULL);
    fixture_add_on(STORE_POSTGRESQL, "/faults/statements_survive_a_migration", statements_survive_a_migration, NULL);
    return g_test_run();
}
