/* Migrations on SQLite: a connection of its own, references not enforced while tables are rebuilt
 * but all checked before the commit. The version table is the one that golang-migrate's sqlite3
 * driver makes. */
#include <string.h>

#include "base/error.h"
#include "store/migrate_internal.h"
#include "store/sqlite.h"

/* Longest wait for another process that migrates. */
#define LOCK_WAIT_MS 60000

static void *session_open(struct store *store, GError **error)
{
    struct sqlite_connection *connection = sqlite_connection_open((struct sqlite_store *)store, SQLITE_MIGRATOR, error);
    if (connection != NULL) {
        sqlite3_busy_timeout(connection->db, LOCK_WAIT_MS);
    }
    return connection;
}

static void session_close(void *session)
{
    sqlite_connection_free(session);
}

static bool session_begin(void *session, GError **error)
{
    return sqlite_control(session, "BEGIN EXCLUSIVE", error) &&
           sqlite_control(session, "CREATE TABLE IF NOT EXISTS schema_migrations (version uint64,dirty bool)", error) &&
           sqlite_control(session, "CREATE UNIQUE INDEX IF NOT EXISTS version_unique ON schema_migrations (version)",
                          error);
}

/* Steps through one statement, whatever rows it gives. */
static int drain(sqlite3_stmt *statement)
{
    int rc = SQLITE_OK;
    while (statement != NULL && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool session_run(void *session, const char *text, GError **error)
{
    struct sqlite_connection *connection = session;
    for (const char *rest = text; *rest != '\0';) {
        sqlite3_stmt *statement = NULL;
        const char *tail = NULL;
        int rc = sqlite3_prepare_v2(connection->db, rest, -1, &statement, &tail);
        int offset = sqlite3_error_offset(connection->db);
        if (rc == SQLITE_OK) {
            rc = drain(statement);
        }
        if (rc != SQLITE_OK) {
            /* Without an exact place, the statement's first word. */
            size_t at = offset >= 0 ? (size_t)offset : strspn(rest, " \t\r\n;");
            size_t line = migration_line(text, (size_t)(rest - text) + at);
            sqlite_fail(connection, rc, NULL, error);
            g_prefix_error(error, "line %zu: ", line);
            sqlite3_finalize(statement);
            return false;
        }
        sqlite3_finalize(statement);
        rest = tail;
    }
    if (sqlite3_get_autocommit(connection->db) != 0) {
        return sy_fail(error, SY_MIGRATION_FAILED,
                       "the file ends the transaction that it runs in; leave COMMIT and ROLLBACK out");
    }
    return true;
}

static bool session_read_version(void *session, int64_t *ret_version, bool *ret_is_dirty, GError **error)
{
    struct sqlite_connection *connection = session;
    sqlite3_stmt *statement = NULL;
    *ret_version = 0;
    *ret_is_dirty = false;
    int rc =
        sqlite3_table_column_metadata(connection->db, "main", "schema_migrations", NULL, NULL, NULL, NULL, NULL, NULL);
    if (rc == SQLITE_ERROR) {
        return true; /* no such table */
    }
    rc = rc != SQLITE_OK ? rc
                         : sqlite3_prepare_v2(connection->db, "SELECT version, dirty FROM schema_migrations LIMIT 1",
                                              -1, &statement, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        *ret_version = sqlite3_column_int64(statement, 0);
        *ret_is_dirty = sqlite3_column_int(statement, 1) != 0;
    }
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE || sqlite_fail(connection, rc, NULL, error);
    sqlite3_finalize(statement);
    return ok;
}

static bool session_write_version(void *session, int64_t version, GError **error)
{
    if (!sqlite_control(session, "DELETE FROM schema_migrations", error)) {
        return false;
    }
    if (version == 0) {
        return true;
    }
    struct sqlite_connection *connection = session;
    struct tx tx = {.store = &connection->store->base, .connection = session};
    bool ok = tx_exec(&tx, "INSERT INTO schema_migrations (version, dirty) VALUES ($1, 0)", PARAMS(P_INT(version)),
                      NULL, error);
    g_clear_error(&tx.failure);
    return ok;
}

static bool check_references(struct sqlite_connection *connection, GError **error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(connection->db, "PRAGMA foreign_key_check", -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    bool ok = rc == SQLITE_DONE;
    if (rc == SQLITE_ROW) {
        sy_fail(error, SY_MIGRATION_FAILED, "rows of %s refer to rows of %s that are not there",
                (const char *)sqlite3_column_text(statement, 0), (const char *)sqlite3_column_text(statement, 2));
    } else if (!ok) {
        sqlite_fail(connection, rc, NULL, error);
    }
    sqlite3_finalize(statement);
    return ok;
}

static bool session_commit(void *session, GError **error)
{
    return check_references(session, error) && sqlite_control(session, "COMMIT", error);
}

static void session_rollback(void *session)
{
    sqlite_rollback(session);
}

const struct migration_backend sqlite_migration_backend = {
    .open = session_open,
    .close = session_close,
    .begin = session_begin,
    .run = session_run,
    .read_version = session_read_version,
    .write_version = session_write_version,
    .commit = session_commit,
    .rollback = session_rollback,
};
