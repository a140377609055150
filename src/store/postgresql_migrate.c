/* Migrations on PostgreSQL: each step is one transaction that begins with golang-migrate's own
 * advisory locks, so that tool and we never work at the same time. */
#include <string.h>

#include "base/error.h"
#include "store/migrate_internal.h"
#include "store/postgresql.h"

#define LOCK_WAIT_MS 60000
#define STEP_LIMIT_MS (60 * 60 * 1000)

/* golang-migrate, database/util.go: crc32(schema NUL table NUL database) times this. */
#define LOCK_SALT 1486364155u

struct session {
    struct postgresql_store *store;
    struct postgresql_connection *connection;
    char *schema;
    uint32_t locks[2];
};

/* --- the lock --------------------------------------------------------------------------------- */

/* CRC-32 of IEEE 802.3, as Go's crc32.ChecksumIEEE. */
static uint32_t crc32_ieee(const uint8_t *bytes, size_t length)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
        }
    }
    return ~crc;
}

static uint32_t lock_number(const char *schema, const char *database)
{
    g_autoptr(GString) name = g_string_new(schema);
    g_string_append_c(name, '\0');
    g_string_append(name, "schema_migrations");
    g_string_append_c(name, '\0');
    g_string_append(name, database);
    return crc32_ieee((const uint8_t *)name->str, name->len) * LOCK_SALT;
}

/* The command-line tool names the database by its URL's path ("/enclii"), a program that hands it a
 * connection by its plain name: both locks, in rising order. */
static void set_locks(struct session *session)
{
    const char *database = PQdb(session->connection->pg);
    g_autofree char *path = g_strconcat("/", database, NULL);
    uint32_t a = lock_number(session->schema, database);
    uint32_t b = lock_number(session->schema, path);
    session->locks[0] = MIN(a, b);
    session->locks[1] = MAX(a, b);
}

/* --- session ---------------------------------------------------------------------------------- */

static bool run_simple(struct session *session, const char *text, int64_t limit_ms, GError **error)
{
    struct postgresql_failure ignored;
    return postgresql_simple(session->connection, text, limit_ms, NULL, &ignored, error);
}

static bool take_first(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    char **text = arg;
    if (*text == NULL && values[0].kind == SQL_TEXT) {
        *text = g_strdup(values[0].text);
    }
    return true;
}

/* First column of the first row, which must be text; NULL when there is none. */
static bool get_text(struct session *session, const char *text, char **ret_value, GError **error)
{
    struct query query = {.source = {.text = text}, .row_fn = take_first, .row_arg = ret_value};
    struct postgresql_failure ignored;
    return postgresql_run(session->connection, &query, &ignored, error);
}

static void session_close(void *arg)
{
    struct session *session = arg;
    /* Its settings are not those of the pool. */
    session->connection->is_broken |= PQtransactionStatus(session->connection->pg) != PQTRANS_IDLE;
    pool_release(session->store, session->connection);
    g_free(session->schema);
    g_free(session);
}

static void *session_open(struct store *base, GError **error)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    bool ignored = false;
    struct postgresql_connection *connection =
        pool_acquire(store, true, deadline_after_ms(base->options.wait_ms), &ignored, error);
    if (connection == NULL) {
        return NULL;
    }
    struct session *session = g_new0(struct session, 1);
    session->store = store;
    session->connection = connection;
    bool ok = get_text(session, "SELECT CAST(current_schema() AS TEXT)", &session->schema, error);
    if (ok && session->schema == NULL) {
        ok = sy_fail(error, SY_MIGRATION_FAILED, "the search_path names no schema that exists");
    }
    if (!ok) {
        session_close(session);
        return NULL;
    }
    set_locks(session);
    return session;
}

static void session_rollback(void *arg)
{
    struct session *session = arg;
    g_autoptr(GError) ignored = NULL;
    if (!session->connection->is_broken && PQtransactionStatus(session->connection->pg) != PQTRANS_IDLE &&
        !run_simple(session, "ROLLBACK", 0, &ignored)) {
        session->connection->is_broken = true;
    }
}

static bool session_begin(void *arg, GError **error)
{
    struct session *session = arg;
    /* In the transaction only: the connection goes back to the pool. */
    g_autofree char *begin =
        g_strdup_printf("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0"
                        "; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = %d"
                        "; SELECT pg_advisory_xact_lock(%u); SELECT pg_advisory_xact_lock(%u)"
                        "; CREATE TABLE IF NOT EXISTS schema_migrations (version bigint not null primary key, "
                        "dirty boolean not null)",
                        LOCK_WAIT_MS, session->locks[0], session->locks[1]);
    if (!run_simple(session, begin, 3 * LOCK_WAIT_MS, error)) {
        session_rollback(session);
        return false;
    }
    return true;
}

/* Turns "at character N" of a server's message into the line of the file. */
static void add_line(const char *text, GError **error)
{
    const char *at = error != NULL && *error != NULL ? strstr((*error)->message, ", at character ") : NULL;
    guint64 position = 0;
    if (at == NULL) {
        return;
    }
    g_auto(GStrv) words = g_strsplit_set(at + strlen(", at character "), ")", 2);
    if (g_ascii_string_to_unsigned(words[0], 10, 1, (guint64)g_utf8_strlen(text, -1) + 1, &position, NULL)) {
        const char *place = g_utf8_offset_to_pointer(text, (glong)position - 1);
        size_t line = migration_line(text, (size_t)(place - text));
        g_prefix_error(error, "line %zu: ", line);
    }
}

static bool session_run(void *arg, const char *text, GError **error)
{
    struct session *session = arg;
    g_autoptr(GError) failure = NULL;
    if (!run_simple(session, text, STEP_LIMIT_MS, &failure)) {
        add_line(text, &failure);
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    if (PQtransactionStatus(session->connection->pg) != PQTRANS_INTRANS) {
        return sy_fail(error, SY_MIGRATION_FAILED,
                       "the file ends the transaction that it runs in; leave COMMIT and ROLLBACK out");
    }
    return true;
}

struct version_row {
    int64_t version;
    bool is_dirty;
};

static bool take_version(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    struct version_row *row = arg;
    row->version = values[0].integer;
    row->is_dirty = values[1].integer != 0;
    return true;
}

static bool session_read_version(void *arg, int64_t *ret_version, bool *ret_is_dirty, GError **error)
{
    struct session *session = arg;
    struct version_row row = {0};
    g_autofree char *table = NULL;
    if (!get_text(session,
                  "SELECT CAST(table_name AS TEXT) FROM information_schema.tables"
                  " WHERE table_schema = current_schema() AND table_name = 'schema_migrations'",
                  &table, error)) {
        return false;
    }
    struct query query = {.source = {.text = "SELECT version, dirty FROM schema_migrations LIMIT 1"},
                          .row_fn = take_version,
                          .row_arg = &row};
    struct postgresql_failure ignored;
    if (table != NULL && !postgresql_run(session->connection, &query, &ignored, error)) {
        return false;
    }
    *ret_version = row.version;
    *ret_is_dirty = row.is_dirty;
    return true;
}

static bool session_write_version(void *arg, int64_t version, GError **error)
{
    struct session *session = arg;
    if (!run_simple(session, "DELETE FROM schema_migrations", LOCK_WAIT_MS, error)) {
        return false;
    }
    const struct sql_value parameter = {.kind = SQL_INT, .integer = version};
    struct query insert = {
        .source = {.text = "INSERT INTO schema_migrations (version, dirty) VALUES ($1, false)"},
        .parameters = &parameter,
        .n_parameters = 1,
    };
    struct postgresql_failure ignored;
    return version == 0 || postgresql_run(session->connection, &insert, &ignored, error);
}

static bool session_commit(void *arg, GError **error)
{
    return run_simple(arg, "COMMIT", STEP_LIMIT_MS, error);
}

const struct migration_backend postgresql_migration_backend = {
    .open = session_open,
    .close = session_close,
    .begin = session_begin,
    .run = session_run,
    .read_version = session_read_version,
    .write_version = session_write_version,
    .commit = session_commit,
    .rollback = session_rollback,
};
