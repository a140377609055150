/* One SQLite connection: opening it with the settings that make it durable, its errors, its
 * statements. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "store/sqlite.h"

/* How often a running statement looks at its deadline, in steps of SQLite's machine (some 0.1 ms).
 */
#define STEPS_BETWEEN_LOOKS 5000

/* SQLite resets a WAL that a checkpoint emptied; a larger file than this is cut then. */
#define WAL_KEPT_BYTES (64 << 20)

/* --- errors ----------------------------------------------------------------------------------- */

static bool is_deadly(int extended)
{
    int primary = extended & 0xff;
    return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || extended == SQLITE_IOERR_FSYNC ||
           extended == SQLITE_IOERR_DIR_FSYNC;
}

static enum sy_code code_of(int extended, int system_errno)
{
    switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        return SY_STORE_BUSY;
    case SQLITE_FULL:
        return SY_DISK_FULL;
    case SQLITE_IOERR:
        return system_errno == ENOSPC || system_errno == EDQUOT ? SY_DISK_FULL : SY_STORE_FAILED;
    case SQLITE_CANTOPEN:
        return SY_STORE_UNAVAILABLE;
    case SQLITE_CONSTRAINT:
        return extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       extended == SQLITE_CONSTRAINT_ROWID
                   ? SY_ALREADY_EXISTS
                   : SY_CONFLICT;
    default:
        return SY_STORE_FAILED;
    }
}

bool sqlite_fail(struct sqlite_connection *connection, int rc, const char *what, GError **error)
{
    int extended = sqlite3_extended_errcode(connection->db);
    /* A later call on the connection may have reset its code. */
    if ((extended & 0xff) != (rc & 0xff)) {
        extended = rc;
    }
    if (is_deadly(extended)) {
        store_set_fatal(&connection->store->base);
    }
    if ((extended & 0xff) == SQLITE_INTERRUPT) {
        return sy_fail(error, SY_STORE_BUSY, "statement took longer than %" G_GINT64_FORMAT " ms",
                       connection->store->base.options.statement_ms);
    }
    enum sy_code code = code_of(extended, sqlite3_system_errno(connection->db));
    const char *message =
        (sqlite3_errcode(connection->db) & 0xff) == (rc & 0xff) ? sqlite3_errmsg(connection->db) : sqlite3_errstr(rc);
    sy_fail(error, code, "%s%s%s", what != NULL ? what : "", what != NULL ? ": " : "", message);
    disk_full_explain(connection->store->path, error);
    return false;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int look_at_deadline(void *arg)
{
    const struct sqlite_connection *connection = arg;
    return connection->deadline_us != 0 && g_get_monotonic_time() > connection->deadline_us;
}

/* Runs a PRAGMA whose answer must be `expected`, unless that is NULL. */
static bool pragma(struct sqlite_connection *connection, const char *text, const char *expected, GError **error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(connection->db, text, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    bool fits = expected == NULL ||
                (rc == SQLITE_ROW && g_strcmp0((const char *)sqlite3_column_text(statement, 0), expected) == 0);
    bool ok = rc == SQLITE_ROW || rc == SQLITE_DONE;
    if (!ok) {
        sqlite_fail(connection, rc, text, error);
    } else if (!fits) {
        sy_fail(error, SY_STORE_FAILED, "%s: SQLite does not do it here; is %s on a network file system?", text,
                connection->store->path);
    }
    sqlite3_finalize(statement);
    return ok && fits;
}

static bool set_up(struct sqlite_connection *connection, enum sqlite_role role, GError **error)
{
    sqlite3 *db = connection->db;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, (int)MIN(connection->store->base.options.wait_ms, 60000));
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    g_autofree char *limit = g_strdup_printf("PRAGMA journal_size_limit = %d", WAL_KEPT_BYTES);
    bool ok = pragma(connection, "PRAGMA journal_mode = WAL", "wal", error) &&
              pragma(connection, "PRAGMA synchronous = FULL", NULL, error) &&
              pragma(connection, "PRAGMA synchronous", "2", error) &&
              pragma(connection, "PRAGMA mmap_size = 0", NULL, error) &&
              pragma(connection, "PRAGMA temp_store = MEMORY", NULL, error) && pragma(connection, limit, NULL, error);
    /* A migration may rebuild tables that others refer to, which the enforcement would take for
     * deletes; it checks all references before it commits. */
    bool references = role != SQLITE_MIGRATOR;
    ok = ok && pragma(connection, references ? "PRAGMA foreign_keys = ON" : "PRAGMA foreign_keys = OFF", NULL, error) &&
         pragma(connection, "PRAGMA foreign_keys", references ? "1" : "0", error);
    if (ok && role == SQLITE_READER) {
        ok = pragma(connection, "PRAGMA query_only = ON", NULL, error);
    }
    if (role != SQLITE_MIGRATOR) {
        sqlite3_progress_handler(db, STEPS_BETWEEN_LOOKS, look_at_deadline, connection);
    }
    return ok;
}

/* Makes the file private to its owner before SQLite would make it by the umask; -wal and -shm take
 * its mode. A file that is there must not be opened: the close would drop every lock that this process has on it (POSIX), and
 * another process that opens and closes the database would then take itself for the last one and delete the WAL under us. */
static bool ensure_file(const char *path, GError **error)
{
    g_auto(fd_t) fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_usable = fd >= 0 || (errno == EEXIST && access(path, R_OK | W_OK) == 0);
    if (!is_usable) {
        int saved = errno;
        return sy_fail(error, saved == ENOSPC || saved == EDQUOT ? SY_DISK_FULL : SY_STORE_UNAVAILABLE,
                       "cannot open the database %s: %s", path, g_strerror(saved));
    }
    return true;
}

static void finalize(void *prepared)
{
    sqlite3_finalize(prepared);
}

struct sqlite_connection *sqlite_connection_open(struct sqlite_store *store, enum sqlite_role role, GError **error)
{
    if (!ensure_file(store->path, error)) {
        return NULL;
    }
    struct sqlite_connection *connection = g_new0(struct sqlite_connection, 1);
    connection->store = store;
    statement_cache_init(&connection->statements, finalize);
    int rc = sqlite3_open_v2(store->path, &connection->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    bool ok = rc == SQLITE_OK;
    if (connection->db == NULL) {
        sy_fail(error, SY_STORE_UNAVAILABLE, "cannot open the database %s: out of memory", store->path);
    } else if (!ok) {
        sqlite_fail(connection, rc, store->path, error);
    }
    if (!ok || !set_up(connection, role, error)) {
        sqlite_connection_free(connection);
        return NULL;
    }
    return connection;
}

void sqlite_connection_free(struct sqlite_connection *connection)
{
    if (connection != NULL) {
        statement_cache_done(&connection->statements);
        if (store_fatal(&connection->store->base)) {
            /* After a failed fsync the WAL is the only good copy: the checkpoint at close would end with an fsync that
             * succeeds, because the system has forgotten what it lost, and would then delete it. */
            sqlite3_db_config(connection->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        }
        int rc = sqlite3_close(connection->db);
        g_warn_if_fail(rc == SQLITE_OK);
        g_free(connection);
    }
}

/* --- statements ------------------------------------------------------------------------------- */

static bool prepare(struct sqlite_connection *connection, struct statement *statement, GError **error)
{
    sqlite3_stmt *prepared = NULL;
    const char *tail = NULL;
    int rc = sqlite3_prepare_v3(connection->db, statement->sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, &tail);
    if (rc != SQLITE_OK) {
        return sqlite_fail(connection, rc, NULL, error);
    }
    if (prepared == NULL || tail[strspn(tail, " \t\r\n;")] != '\0') {
        sqlite3_finalize(prepared);
        return sy_fail(error, SY_STORE_FAILED, "not exactly one statement: %.80s", statement->sql);
    }
    statement->prepared = prepared;
    return true;
}

static int bind_one(sqlite3_stmt *prepared, size_t number, const struct sql_value *value)
{
    char name[24];
    g_snprintf(name, sizeof name, "$%zu", number);
    int index = sqlite3_bind_parameter_index(prepared, name);
    if (index == 0) {
        return SQLITE_OK; /* a number that the text passes over */
    }
    switch (value->kind) {
    case SQL_INT:
        return sqlite3_bind_int64(prepared, index, value->integer);
    case SQL_TEXT:
        return sqlite3_bind_text(prepared, index, value->text, -1, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(prepared, index);
    }
}

static bool bind(struct sqlite_connection *connection, sqlite3_stmt *prepared, const struct query *query,
                 GError **error)
{
    for (size_t i = 0; i < query->n_parameters; i++) {
        const struct sql_value *value = &query->parameters[i];
        /* PostgreSQL refuses it; so that both hold the same. */
        if (value->kind == SQL_TEXT && !g_utf8_validate(value->text, -1, NULL)) {
            return sy_fail(error, SY_STORE_FAILED, "parameter $%zu is not UTF-8", i + 1);
        }
        int rc = bind_one(prepared, i + 1, value);
        if (rc != SQLITE_OK) {
            return sqlite_fail(connection, rc, NULL, error);
        }
    }
    return true;
}

static bool read_value(sqlite3_stmt *prepared, int column, struct sql_value *ret_value, GError **error)
{
    switch (sqlite3_column_type(prepared, column)) {
    case SQLITE_NULL:
        *ret_value = (struct sql_value){.kind = SQL_NULL};
        return true;
    case SQLITE_INTEGER:
        *ret_value = (struct sql_value){.kind = SQL_INT, .integer = sqlite3_column_int64(prepared, column)};
        return true;
    case SQLITE_TEXT:
        *ret_value = (struct sql_value){.kind = SQL_TEXT, .text = (const char *)sqlite3_column_text(prepared, column)};
        return ret_value->text != NULL || sy_fail(error, SY_STORE_FAILED, "out of memory");
    default:
        return sy_fail(error, SY_STORE_FAILED, "column %s is neither a whole number nor text: cast it",
                       sqlite3_column_name(prepared, column));
    }
}

static bool hand_row(sqlite3_stmt *prepared, struct query *query, struct sql_value *values, size_t n, GError **error)
{
    if (query->row_fn == NULL) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (!read_value(prepared, (int)i, &values[i], error)) {
            return false;
        }
    }
    query->row_failed = !query->row_fn(values, n, query->row_arg, error);
    return !query->row_failed;
}

static bool step_all(struct sqlite_connection *connection, sqlite3_stmt *prepared, struct query *query, GError **error)
{
    int64_t before = sqlite3_total_changes64(connection->db);
    size_t n = (size_t)sqlite3_column_count(prepared);
    g_autofree struct sql_value *values = g_new(struct sql_value, n);
    int rc;
    while ((rc = sqlite3_step(prepared)) == SQLITE_ROW) {
        if (!hand_row(prepared, query, values, n, error)) {
            return false;
        }
    }
    if (rc != SQLITE_DONE) {
        return sqlite_fail(connection, rc, NULL, error);
    }
    /* sqlite3_changes keeps the count of an earlier statement when this one is no INSERT, UPDATE or
     * DELETE. */
    bool has_changed = sqlite3_total_changes64(connection->db) != before;
    query->n_changed = has_changed ? sqlite3_changes64(connection->db) : 0;
    return true;
}

static bool run(struct sqlite_connection *connection, struct query *query, GError **error)
{
    struct statement *statement =
        statement_cache_get(&connection->statements, &query->source, "", query->n_parameters, error);
    if (statement == NULL || (statement->prepared == NULL && !prepare(connection, statement, error))) {
        return false;
    }
    sqlite3_stmt *prepared = statement->prepared;
    connection->deadline_us = deadline_after_ms(connection->store->base.options.statement_ms);
    bool ok = bind(connection, prepared, query, error) && step_all(connection, prepared, query, error);
    connection->deadline_us = 0;
    sqlite3_reset(prepared);
    sqlite3_clear_bindings(prepared);
    return ok;
}

bool sqlite_query(struct tx *tx, struct query *query, GError **error)
{
    return run(tx->connection, query, error);
}

bool sqlite_control(struct sqlite_connection *connection, const char *text, GError **error)
{
    struct query query = {.source = {.text = text}};
    return run(connection, &query, error);
}

void sqlite_rollback(struct sqlite_connection *connection)
{
    /* Some errors (disk full, I/O, interrupt) have already ended the transaction. */
    if (sqlite3_get_autocommit(connection->db) == 0) {
        g_autoptr(GError) ignored = NULL;
        if (!sqlite_control(connection, "ROLLBACK", &ignored)) {
            store_set_fatal(&connection->store->base);
        }
    }
}
