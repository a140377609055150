/* The SQLite store: reader connections and what ties them to the writer. */
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

/* --- readers ---------------------------------------------------------------------------------- */

static struct sqlite_connection *reader_acquire(struct sqlite_store *store, GError **error)
{
    int64_t deadline_us = deadline_after_ms(store->base.options.wait_ms);
    g_mutex_lock(&store->lock);
    store->base.counters.waiting++;
    struct sqlite_connection *connection;
    store->n_waiting++;
    while ((connection = g_queue_pop_head(&store->idle)) == NULL) {
        if (!g_cond_wait_until(&store->changed, &store->lock, deadline_us)) {
            break;
        }
    }
    store->n_waiting--;
    store->base.counters.waiting--;
    store->base.counters.in_use += connection != NULL;
    g_mutex_unlock(&store->lock);
    if (connection == NULL) {
        sy_fail(error, SY_STORE_BUSY, "no reader connection became free within %" G_GINT64_FORMAT " ms",
                store->base.options.wait_ms);
    } else if (g_hash_table_size(connection->statements.table) > STATEMENT_CACHE_LIMIT) {
        statement_cache_clear(&connection->statements);
    }
    return connection;
}

static void reader_release(struct sqlite_store *store, struct sqlite_connection *connection)
{
    g_mutex_lock(&store->lock);
    g_queue_push_head(&store->idle, connection);
    store->base.counters.in_use--;
    if (store->n_waiting > 0) { /* a signal is a system call, even when nobody waits */
        g_cond_signal(&store->changed);
    }
    g_mutex_unlock(&store->lock);
}

static bool sqlite_read(struct store *base, const char *name, store_fn fn, void *arg, GError **error)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    struct sqlite_connection *connection = reader_acquire(store, error);
    if (connection == NULL) {
        return false;
    }
    struct tx tx = {.store = base, .connection = connection, .is_read_only = true};
    bool ok = sqlite_control(connection, "BEGIN", error) && tx_run(&tx, fn, arg, error) &&
              sqlite_control(connection, "COMMIT", error);
    sqlite_rollback(connection);
    g_clear_error(&tx.failure);
    reader_release(store, connection);
    return ok;
}

static bool count_tables(struct tx *tx, void *arg, GError **error)
{
    int64_t n = 0;
    return tx_get_int(tx, 0, &n, "SELECT count(*) FROM sqlite_master", NO_PARAMS, error);
}

static bool sqlite_ping(struct store *base, GError **error)
{
    return sqlite_read(base, "ping", count_tables, NULL, error);
}

/* The database is this process. */
static bool sqlite_now(struct tx *tx, int64_t *ret_now_us, GError **error)
{
    *ret_now_us = clock_wall_us(tx->store->options.clock);
    return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = (struct sqlite_store *)base;
    g_mutex_lock(&store->lock);
    store->n_waiting++;
    while ((int)store->idle.length < store->n_readers) {
        g_cond_wait(&store->changed, &store->lock);
    }
    g_mutex_unlock(&store->lock);
    struct sqlite_connection *connection;
    while ((connection = g_queue_pop_head(&store->idle)) != NULL) {
        sqlite_connection_free(connection);
    }
    /* Last, so that its close checkpoints the WAL and removes it. */
    sqlite_writer_stop(store->writer);
    g_mutex_clear(&store->lock);
    g_cond_clear(&store->changed);
    g_free(store->path);
    store_done(base);
    g_free(store);
}

/* What a crash left in the WAL goes to the database's file with an fsync of our own. If that crash was a failed fsync, pages of
 * the WAL may be in the system's cache only, and what is appended behind them would be lost with them. Readers of other processes
 * may stand in the way; then the checkpoints do it later. */
static void empty_wal(struct sqlite_connection *writer)
{
    int rc = sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        g_autoptr(GError) ignored = NULL;
        sqlite_fail(writer, rc, "checkpoint", &ignored);
    }
}

static const struct backend sqlite_backend = {
    .dialect = STORE_SQLITE,
    .write = sqlite_write,
    .read = sqlite_read,
    .ping = sqlite_ping,
    .query = sqlite_query,
    .now = sqlite_now,
    .close = sqlite_close,
    .migration = &sqlite_migration_backend,
};

struct store *sqlite_store_open(const char *path, const struct store_options *options, GError **error)
{
    /* A memory database is one per connection, and nothing in it is durable. */
    if (*path == '\0' || strchr(path, ':') != NULL || strchr(path, '?') != NULL) {
        sy_fail(error, SY_INVALID_INPUT, "sqlite: needs the path of a file, without ':' and '?'");
        return NULL;
    }
    struct sqlite_store *store = g_new0(struct sqlite_store, 1);
    store_init(&store->base, &sqlite_backend, options);
    store->path = g_strdup(path);
    g_mutex_init(&store->lock);
    g_cond_init(&store->changed);
    g_queue_init(&store->idle);
    struct sqlite_connection *writer = sqlite_connection_open(store, SQLITE_WRITER, error);
    bool ok = writer != NULL;
    for (int i = 0; ok && i < store->base.options.n_readers; i++) {
        struct sqlite_connection *reader = sqlite_connection_open(store, SQLITE_READER, error);
        ok = reader != NULL;
        if (ok) {
            g_queue_push_tail(&store->idle, reader);
            store->n_readers++;
        }
    }
    if (writer != NULL) {
        empty_wal(writer);
        store->writer = sqlite_writer_start(writer);
    }
    if (!ok) {
        sqlite_close(&store->base);
        return NULL;
    }
    return &store->base;
}
