/* Migrations: forward, back, refused, failed, interrupted, and several processes at once. */
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "gate.h"
#include "postgresql_server.h"

/* One table per version: t1, t2, … */
static void write_version(const struct fixture *fixture, int version)
{
    g_autofree char *up_file = g_strdup_printf("%04d_step%d.up.sql", version, version);
    g_autofree char *down_file = g_strdup_printf("%04d_step%d.down.sql", version, version);
    g_autofree char *up = g_strdup_printf("CREATE TABLE t%d (id TEXT PRIMARY KEY NOT NULL, n BIGINT);\n", version);
    g_autofree char *down = g_strdup_printf("DROP TABLE t%d;\n", version);
    fixture_write_migration(fixture, up_file, up);
    fixture_write_migration(fixture, down_file, down);
}

static void migrate_to(struct store *store, int64_t target)
{
    g_autoptr(GError) error = NULL;
    bool ok = store_migrate(store, target, true, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static void check_refused(struct store *store, int64_t target, bool allow_down, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(store_migrate(store, target, allow_down, &error));
    g_assert_error(error, SY_ERROR, SY_MIGRATION_FAILED);
    if (strstr(error->message, words) == NULL) {
        g_error("expected \"%s\" in \"%s\"", words, error->message);
    }
}

static void check_status(struct store *store, int64_t current, int64_t latest)
{
    g_autoptr(GError) error = NULL;
    struct migration_status status;
    bool ok = store_migrate_status(store, &status, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(status.current, ==, current);
    g_assert_cmpint(status.latest, ==, latest);
    g_assert_false(status.is_dirty);
}

/* The tables that migrations made, in order: "t1 t2". */
static char *tables(const struct fixture *fixture)
{
    char *found =
        fixture_get(fixture, fixture->dialect == STORE_SQLITE
                                 ? "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master WHERE type = "
                                   "'table' AND name LIKE 't%' ORDER BY name)"
                                 : "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM "
                                   "information_schema.tables WHERE table_schema = 'public' AND table_name LIKE 't%'");
    return found != NULL ? found : g_strdup("");
}

static void check_tables(const struct fixture *fixture, const char *expected)
{
    g_autofree char *found = tables(fixture);
    g_assert_cmpstr(found, ==, expected);
}

static void fresh_goes_to_latest(struct fixture *fixture)
{
    for (int i = 1; i <= 3; i++) {
        write_version(fixture, i);
    }
    struct store *store = fixture_open(fixture, NULL);
    check_status(store, 0, 3);
    migrate_to(store, -1);
    check_status(store, 3, 3);
    check_tables(fixture, "t1 t2 t3");
    migrate_to(store, -1); /* nothing to do */
    check_status(store, 3, 3);
    store_close(store);
}

static void table_is_golang_migrates(struct fixture *fixture)
{
    write_version(fixture, 1);
    struct store *store = fixture_open(fixture, NULL);
    migrate_to(store, -1);
    store_close(store);
    if (fixture->dialect == STORE_SQLITE) {
        g_autofree char *table =
            fixture_get(fixture, "SELECT sql FROM sqlite_master WHERE name = 'schema_migrations' AND type = 'table'");
        g_assert_cmpstr(table, ==, "CREATE TABLE schema_migrations (version uint64,dirty bool)");
        g_autofree char *index = fixture_get(fixture, "SELECT sql FROM sqlite_master WHERE name = 'version_unique'");
        g_assert_cmpstr(index, ==, "CREATE UNIQUE INDEX version_unique ON schema_migrations (version)");
        g_autofree char *row = fixture_get(fixture, "SELECT version || typeof(version) || dirty || typeof(dirty) "
                                                    "FROM schema_migrations");
        g_assert_cmpstr(row, ==, "1integer0integer");
    } else {
        g_autofree char *columns =
            fixture_get(fixture, "SELECT string_agg(column_name || ' ' || data_type || ' ' || is_nullable, ', ' ORDER "
                                 "BY ordinal_position) FROM information_schema.columns "
                                 "WHERE table_name = 'schema_migrations'");
        g_assert_cmpstr(columns, ==, "version bigint NO, dirty boolean NO");
    }
}

static void goes_to_target_and_back(struct fixture *fixture)
{
    for (int i = 1; i <= 4; i++) {
        write_version(fixture, i * 10); /* gaps are allowed */
    }
    struct store *store = fixture_open(fixture, NULL);
    migrate_to(store, 20);
    check_tables(fixture, "t10 t20");
    migrate_to(store, -1);
    check_tables(fixture, "t10 t20 t30 t40");
    check_refused(store, 20, false, "down to 20 was not allowed");
    check_refused(store, 25, true, "no migration 25");
    migrate_to(store, 20);
    check_tables(fixture, "t10 t20");
    migrate_to(store, 0);
    check_tables(fixture, "");
    check_status(store, 0, 40);
    g_autofree char *rows = fixture_get(fixture, "SELECT count(*) FROM schema_migrations");
    g_assert_cmpstr(rows, ==, "0");
    migrate_to(store, -1);
    check_tables(fixture, "t10 t20 t30 t40");
    store_close(store);
}

static void failed_step_leaves_nothing_and_is_named(struct fixture *fixture)
{
    write_version(fixture, 1);
    write_version(fixture, 2);
    write_version(fixture, 3);
    fixture_write_migration(fixture, "0002_step2.up.sql",
                            "-- ä\nCREATE TABLE t2 (id TEXT);\nINSERT INTO t2 VALUES ('a');\n"
                            "INSERT INTO nowhere VALUES (1);\nCREATE TABLE t2b (id TEXT);\n");
    struct store *store = fixture_open(fixture, NULL);
    check_refused(store, -1, false, "0002_step2.up.sql: line 4: ");
    check_refused(store, -1, false, "nowhere");
    check_status(store, 1, 3);
    check_tables(fixture, "t1");
    write_version(fixture, 2); /* mended */
    migrate_to(store, -1);
    check_tables(fixture, "t1 t2 t3");

    fixture_write_migration(fixture, "0003_step3.down.sql", "DROP TABLE t3;\nDROP TABLE nowhere;\n");
    check_refused(store, 1, true, "0003_step3.down.sql");
    check_status(store, 3, 3);
    check_tables(fixture, "t1 t2 t3");
    store_close(store);
}

static void file_with_commit_is_refused(struct fixture *fixture)
{
    write_version(fixture, 1);
    fixture_write_migration(fixture, "0001_step1.up.sql", "CREATE TABLE t1 (id TEXT);\n commit;\n");
    struct store *store = fixture_open(fixture, NULL);
    check_refused(store, -1, false, "COMMIT");
    check_tables(fixture, "");
    /* Not seen beforehand, but not taken for a success either. */
    fixture_write_migration(fixture, "0001_step1.up.sql", "CREATE TABLE t1 (id TEXT); COMMIT;\n");
    check_refused(store, -1, false, "COMMIT");
    check_status(store, 0, 1);
    store_close(store);
}

static void dirty_is_refused(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct migration_status status;
    write_version(fixture, 1);
    write_version(fixture, 2);
    struct store *store = fixture_open(fixture, NULL);
    migrate_to(store, 1);
    fixture_execute(fixture, fixture->dialect == STORE_SQLITE
                                 ? "UPDATE schema_migrations SET version = 2, dirty = 1"
                                 : "UPDATE schema_migrations SET version = 2, dirty = true");
    check_refused(store, -1, false, "version 2 half done");
    g_assert_true(store_migrate_status(store, &status, &error));
    g_assert_true(status.is_dirty);
    g_assert_false(store_migrate(store, 0, true, &error));
    g_assert_nonnull(strstr(sy_error_hint(error), "force"));
    check_tables(fixture, "t1");
    store_close(store);
}

static void newer_schema_is_refused(struct fixture *fixture)
{
    write_version(fixture, 1);
    struct store *store = fixture_open(fixture, NULL);
    migrate_to(store, -1);
    fixture_execute(fixture, "UPDATE schema_migrations SET version = 7");
    check_refused(store, -1, false, "at version 7");
    check_refused(store, 0, true, "at version 7");
    store_close(store);
}

static void bad_folders_are_refused(struct fixture *fixture)
{
    struct store *store = fixture_open(fixture, NULL);
    check_refused(store, -1, false, "No such file");
    write_version(fixture, 1);
    fixture_write_migration(fixture, "README.md", "not a migration");
    fixture_write_migration(fixture, "0002_only_down.down.sql", "DROP TABLE t2;");
    check_refused(store, -1, false, "0002_only_down.up.sql is missing");
    check_status(store, 1, 2); /* what could be done was */
    fixture_write_migration(fixture, "0001_other.up.sql", "CREATE TABLE t9 (id TEXT);");
    check_refused(store, -1, false, "same version");
    store_close(store);
}

static void migrations_without_a_version_are_refused(struct fixture *fixture)
{
    static const char *const names[] = {"0000_first.up.sql", "first.up.sql",     "first.down.sql",
                                        "_first.up.sql",     "0001first.up.sql", "9999999999999999999_far.up.sql"};
    write_version(fixture, 1);
    struct store *store = fixture_open(fixture, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *dialect = fixture->dialect == STORE_SQLITE ? "sqlite" : "postgresql";
        g_autofree char *path = g_build_filename(fixture->migrations, dialect, names[i], NULL);
        g_autofree char *said = g_strdup_printf("%s has no version", names[i]);
        fixture_write_migration(fixture, names[i], "CREATE TABLE t0 (id TEXT);");
        check_refused(store, -1, false, said);
        g_assert_cmpint(g_remove(path), ==, 0);
    }
    store_close(store);
}

static void rebuilds_a_table_that_others_refer_to(struct fixture *fixture)
{
    write_version(fixture, 1);
    write_version(fixture, 2);
    fixture_write_migration(fixture, "0001_step1.up.sql",
                            "CREATE TABLE t1 (id BIGINT PRIMARY KEY NOT NULL);\n"
                            "CREATE TABLE t1child (id BIGINT, t1_id BIGINT REFERENCES t1 (id) ON DELETE CASCADE);\n"
                            "INSERT INTO t1 VALUES (5);\nINSERT INTO t1child VALUES (1, 5);\n");
    fixture_write_migration(fixture, "0002_step2.up.sql",
                            "CREATE TABLE t1new (id BIGINT PRIMARY KEY NOT NULL, more TEXT);\n"
                            "INSERT INTO t1new (id) SELECT id FROM t1;\nDROP TABLE t1;\n"
                            "ALTER TABLE t1new RENAME TO t1;\n");
    struct store *store = fixture_open(fixture, NULL);
    migrate_to(store, -1);
    g_autofree char *children = fixture_get(fixture, "SELECT count(*) FROM t1child");
    g_assert_cmpstr(children, ==, "1");
    /* Rows that now point nowhere are found at the end. */
    write_version(fixture, 3);
    fixture_write_migration(fixture, "0003_step3.up.sql", "DELETE FROM t1;\nCREATE TABLE t3 (id TEXT);\n");
    check_refused(store, -1, false, "t1child refer to rows of t1");
    check_status(store, 2, 3);
    store_close(store);
}

/* --- other processes --------------------------------------------------------------------------- */

/* What a child does: migrates and exits 0 or, with the error on stderr, 1. */
static int migrate_as_child(char **argv)
{
    g_autoptr(GError) error = NULL;
    const struct store_options options = {.migrations_folder = argv[3], .allow_volatile = true};
    struct store *store = store_open(argv[2], &options, &error);
    bool ok = store != NULL && store_migrate(store, -1, false, &error);
    if (!ok) {
        g_printerr("%s\n", error->message);
    }
    store_close(store);
    return ok ? 0 : 1;
}

static GPid start_child(const struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = {self, "--migrate", fixture->url, fixture->migrations, NULL};
    GPid pid = 0;
    g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &error);
    g_assert_no_error(error);
    return pid;
}

static int wait_child(GPid pid)
{
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void processes_may_migrate_at_once(struct fixture *fixture)
{
    enum { N = 4 };
    GPid children[N];
    for (int i = 1; i <= 8; i++) {
        write_version(fixture, i);
    }
    for (int i = 0; i < N; i++) {
        children[i] = start_child(fixture);
    }
    for (int i = 0; i < N; i++) {
        g_assert_cmpint(wait_child(children[i]), ==, 0);
    }
    struct store *store = fixture_open(fixture, NULL);
    check_status(store, 8, 8);
    check_tables(fixture, "t1 t2 t3 t4 t5 t6 t7 t8");
    store_close(store);
}

/* Somebody holds the lock under which steps run. */
static bool is_migrating(const struct fixture *fixture)
{
    if (fixture->dialect == STORE_POSTGRESQL) {
        g_autofree char *n = postgresql_server_get(
            fixture->url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = "
                          "'active' AND query LIKE '%slow%' AND pid <> pg_backend_pid()");
        return strcmp(n, "0") != 0;
    }
    sqlite3 *db = NULL;
    g_assert_cmpint(sqlite3_open(fixture->url + strlen("sqlite:"), &db), ==, SQLITE_OK);
    bool is_locked = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_BUSY;
    sqlite3_close(db);
    return is_locked;
}

static void killed_half_way_is_as_never_begun(struct fixture *fixture)
{
    write_version(fixture, 1);
    struct store *store = fixture_open(fixture, NULL);
    migrate_to(store, -1);
    write_version(fixture, 2);
    fixture_write_migration(fixture, "0002_step2.up.sql",
                            "CREATE TABLE t2 (id TEXT, n BIGINT);\nINSERT INTO t2 VALUES ('a', 1);\n"
                            "INSERT INTO t2 (id, n) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c "
                            "WHERE x < 10000000000) SELECT 'slow', count(*) FROM c;\n");
    GPid child = start_child(fixture);
    WAIT_UNTIL(is_migrating(fixture));
    kill(child, SIGKILL);
    g_assert_cmpint(wait_child(child), ==, SIGKILL);
    check_status(store, 1, 2);
    check_tables(fixture, "t1");
    write_version(fixture, 2);
    migrate_to(store, -1); /* waits until the server has noticed */
    check_tables(fixture, "t1 t2");
    check_status(store, 2, 2);
    store_close(store);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--migrate") == 0) {
        return migrate_as_child(argv);
    }
    g_test_init(&argc, &argv, NULL);
    fixture_add_unopened("/migrate/fresh_goes_to_latest", fresh_goes_to_latest);
    fixture_add_unopened("/migrate/table_is_golang_migrates", table_is_golang_migrates);
    fixture_add_unopened("/migrate/goes_to_target_and_back", goes_to_target_and_back);
    fixture_add_unopened("/migrate/failed_step_leaves_nothing_and_is_named", failed_step_leaves_nothing_and_is_named);
    fixture_add_unopened("/migrate/file_with_commit_is_refused", file_with_commit_is_refused);
    fixture_add_unopened("/migrate/dirty_is_refused", dirty_is_refused);
    fixture_add_unopened("/migrate/newer_schema_is_refused", newer_schema_is_refused);
    fixture_add_unopened("/migrate/bad_folders_are_refused", bad_folders_are_refused);
    fixture_add_unopened("/migrate/migrations_without_a_version_are_refused", migrations_without_a_version_are_refused);
    fixture_add_unopened("/migrate/processes_may_migrate_at_once", processes_may_migrate_at_once);
    fixture_add_unopened("/migrate/killed_half_way_is_as_never_begun", killed_half_way_is_as_never_begun);
    fixture_add_unopened_on(STORE_SQLITE, "/migrate/rebuilds_a_table_that_others_refer_to",
                            rebuilds_a_table_that_others_refer_to);
    return g_test_run();
}
