/* Units of work on PostgreSQL, in REPEATABLE READ: run again after soft errors as long as nothing can have been committed. */
#include <string.h>

#include "base/crash_point.h"
#include "base/error.h"
#include "store/postgresql.h"

/* Deadlocks and serialisation failures: the units that fight get out of step by random pauses. */
#define ATTEMPTS_MAX 12
#define PAUSE_MAX_MS 200

enum unit_kind { UNIT_WRITE, UNIT_READ, UNIT_OPERATOR };

enum outcome {
    OUTCOME_DONE,
    OUTCOME_FAILED, /* for good */
    OUTCOME_SOFT,   /* nothing was committed: run it again, within the attempts */
    OUTCOME_LOST,   /* nothing was committed: run it again, within the time */
};

static enum outcome outcome_of(struct postgresql_failure failure)
{
    return failure.is_lost ? OUTCOME_LOST : failure.is_soft ? OUTCOME_SOFT : OUTCOME_FAILED;
}

static bool postgresql_query(struct tx *tx, struct query *query, GError **error)
{
    struct postgresql_failure failure;
    if (postgresql_run(tx->connection, query, &failure, error)) {
        return true;
    }
    tx->is_soft |= failure.is_soft;
    return false;
}

static enum outcome commit(struct postgresql_connection *connection, GError **error)
{
    struct store_counters *counters = &connection->store->base.counters;
    struct postgresql_failure failure;
    char tag[32];
    int64_t begin_us = g_get_monotonic_time();
    crash_point("store.before_commit");
    if (!postgresql_simple(connection, "COMMIT", 0, tag, &failure, error)) {
        if (failure.is_lost) {
            /* Perhaps it was committed and only the answer is missing: running it again might do it
             * twice. */
            g_prefix_error(error, "the connection broke during commit, its outcome is unknown: ");
            return OUTCOME_FAILED;
        }
        return outcome_of(failure);
    }
    if (strcmp(tag, "COMMIT") != 0) {
        sy_fail(error, SY_STORE_FAILED, "the database rolled back instead of committing");
        return OUTCOME_FAILED;
    }
    crash_point("store.after_commit");
    counters->commits++;
    counters->commit_us_total += g_get_monotonic_time() - begin_us;
    return OUTCOME_DONE;
}

static enum outcome run_in_transaction(struct postgresql_connection *connection, enum unit_kind kind, store_fn fn,
                                       void *arg, GError **error)
{
    /* Read-modify-write of a row is everywhere: the first to update it wins, the other is run again with what it then reads.
     * SERIALIZABLE would also see skews between rows, and gave up one in a hundred of sixteen clients' deploys. */
    const char *begin = kind == UNIT_WRITE ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE"
                                           : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    postgresql_begin(connection, begin);
    struct tx tx = {.store = &connection->store->base, .connection = connection, .is_read_only = kind != UNIT_WRITE};
    bool ok = tx_run(&tx, fn, arg, error);
    g_clear_error(&tx.failure);
    if (ok && kind == UNIT_WRITE && postgresql_has_begun(connection)) {
        return commit(connection, error);
    }
    if (ok) {
        return OUTCOME_DONE; /* nothing to commit */
    }
    return connection->is_broken ? OUTCOME_LOST : tx.is_soft ? OUTCOME_SOFT : OUTCOME_FAILED;
}

static enum outcome attempt(struct postgresql_store *store, enum unit_kind kind, store_fn fn, void *arg,
                            int64_t deadline_us, GError **error)
{
    bool is_hopeless = false;
    struct postgresql_connection *connection =
        pool_acquire(store, kind == UNIT_OPERATOR, deadline_us, &is_hopeless, error);
    if (connection == NULL) {
        return is_hopeless ? OUTCOME_FAILED : OUTCOME_LOST;
    }
    connection->is_ping = kind == UNIT_OPERATOR;
    enum outcome outcome = run_in_transaction(connection, kind, fn, arg, error);
    postgresql_end(connection);
    connection->is_ping = false;
    pool_release(store, connection);
    return outcome;
}

/* A random pause that grows with the attempts. */
static void pause_before(int attempt_number, int64_t deadline_us)
{
    int64_t most_us = MIN((int64_t)2000 << MIN(attempt_number, 10), PAUSE_MAX_MS * 1000);
    int64_t pause_us = g_random_int_range(500, (gint32)most_us);
    int64_t left_us = deadline_us - g_get_monotonic_time();
    if (left_us > 0) {
        g_usleep((gulong)MIN(pause_us, left_us));
    }
}

static bool run_unit(struct postgresql_store *store, enum unit_kind kind, store_fn fn, void *arg, GError **error)
{
    int64_t deadline_us = deadline_after_ms(store->base.options.wait_ms);
    int n_soft = 0;
    for (int i = 0;; i++) {
        g_autoptr(GError) failure = NULL;
        enum outcome outcome = attempt(store, kind, fn, arg, deadline_us, &failure);
        if (outcome == OUTCOME_DONE) {
            return true;
        }
        n_soft += outcome == OUTCOME_SOFT;
        bool is_over = outcome == OUTCOME_LOST ? g_get_monotonic_time() >= deadline_us : n_soft >= ATTEMPTS_MAX;
        if (outcome == OUTCOME_FAILED || is_over) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return false;
        }
        store->base.counters.retries++;
        pause_before(i, deadline_us);
    }
}

static bool postgresql_write(struct store *store, const char *name, store_fn fn, void *arg, GError **error)
{
    return run_unit((struct postgresql_store *)store, UNIT_WRITE, fn, arg, error);
}

static bool postgresql_read(struct store *store, const char *name, store_fn fn, void *arg, GError **error)
{
    return run_unit((struct postgresql_store *)store, UNIT_READ, fn, arg, error);
}

static bool select_one(struct tx *tx, void *arg, GError **error)
{
    int64_t one = 0;
    return tx_get_int(tx, 0, &one, "SELECT 1", NO_PARAMS, error);
}

/* Twice when the first try is answered by a refusal: connections of before a restart are refused once. */
static bool postgresql_ping(struct store *base, GError **error)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    g_autoptr(GError) failure = NULL;
    for (int i = 0; i < 2; i++) {
        int_fast64_t none = 0;
        g_clear_error(&failure);
        int64_t begin_us = g_get_monotonic_time();
        atomic_compare_exchange_strong(&store->silent_since_us, &none, begin_us);
        int64_t deadline_us = deadline_after_ms(POSTGRESQL_PING_MS);
        enum outcome outcome = attempt(store, UNIT_OPERATOR, select_one, NULL, deadline_us, &failure);
        bool is_answer = outcome == OUTCOME_DONE || g_get_monotonic_time() - begin_us < POSTGRESQL_HUNG_US;
        if (is_answer) {
            atomic_store(&store->silent_since_us, 0);
        }
        if (outcome == OUTCOME_DONE) {
            return true;
        }
        if (!is_answer) {
            break;
        }
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

/* Not now(), which is the transaction's begin: a lease must not be dated before the wait for its
 * row. */
static bool postgresql_now(struct tx *tx, int64_t *ret_now_us, GError **error)
{
    return tx_get_int(tx, 0, ret_now_us, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
                      NO_PARAMS, error);
}

static void postgresql_close(struct store *base)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    pool_done(store);
    g_free(store->url);
    store_done(base);
    g_free(store);
}

static const struct backend postgresql_backend = {
    .dialect = STORE_POSTGRESQL,
    .write = postgresql_write,
    .read = postgresql_read,
    .ping = postgresql_ping,
    .query = postgresql_query,
    .now = postgresql_now,
    .close = postgresql_close,
    .migration = &postgresql_migration_backend,
};

struct store *postgresql_store_open(const char *url, const struct store_options *options, GError **error)
{
    struct postgresql_store *store = g_new0(struct postgresql_store, 1);
    store_init(&store->base, &postgresql_backend, options);
    store->url = g_strdup(url);
    pool_init(store);
    /* One connection now: a wrong password or a server without fsync is said at start. */
    bool is_hopeless = false;
    struct postgresql_connection *connection =
        pool_acquire(store, true, deadline_after_ms(store->base.options.wait_ms), &is_hopeless, error);
    if (connection == NULL) {
        postgresql_close(&store->base);
        return NULL;
    }
    pool_release(store, connection);
    return &store->base;
}
