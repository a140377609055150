/* The pool: at most pool_size connections, of which pool_reserved are for operators only, made when
 * needed.
 *
 * When the server cannot be reached, callers wait for it as long as for a connection, so that a
 * restart costs nobody an error. When that has gone on for longer than wait_ms the breaker is open:
 * callers fail at once, and one of them a second tries again. */
#include "base/error.h"
#include "store/postgresql.h"

#define BREAKER_PAUSE_US G_USEC_PER_SEC

void pool_init(struct postgresql_store *store)
{
    g_mutex_init(&store->lock);
    g_cond_init(&store->changed);
    g_queue_init(&store->idle);
}

/* With the lock held. */
static GQueue take_idle(struct postgresql_store *store)
{
    GQueue taken = store->idle;
    g_queue_init(&store->idle);
    return taken;
}

static void close_all(GQueue *connections)
{
    struct postgresql_connection *connection;
    while ((connection = g_queue_pop_head(connections)) != NULL) {
        postgresql_connection_free(connection);
    }
}

void pool_done(struct postgresql_store *store)
{
    g_mutex_lock(&store->lock);
    store->n_waiting++;
    while (store->n_in_use > 0) {
        g_cond_wait(&store->changed, &store->lock);
    }
    GQueue idle = take_idle(store);
    g_mutex_unlock(&store->lock);
    close_all(&idle);
    g_mutex_clear(&store->lock);
    g_cond_clear(&store->changed);
}

/* Waits for a place and takes it: *ret_connection is an idle connection or NULL, then one is to be
 * made. */
static bool take_place(struct postgresql_store *store, bool is_operator, int64_t deadline_us,
                       struct postgresql_connection **ret_connection, GError **error)
{
    const struct store_options *options = &store->base.options;
    int limit = options->pool_size - (is_operator ? 0 : options->pool_reserved);
    g_mutex_lock(&store->lock);
    store->base.counters.waiting++;
    store->n_waiting++;
    while (store->n_in_use >= limit) {
        if (!g_cond_wait_until(&store->changed, &store->lock, deadline_us)) {
            break;
        }
    }
    store->n_waiting--;
    store->base.counters.waiting--;
    bool ok = store->n_in_use < limit;
    if (ok) {
        store->n_in_use++;
        store->base.counters.in_use++;
        *ret_connection = g_queue_pop_head(&store->idle);
    }
    g_mutex_unlock(&store->lock);
    return ok ||
           sy_fail(error, SY_STORE_BUSY, "no connection became free within %" G_GINT64_FORMAT " ms", options->wait_ms);
}

static void give_place(struct postgresql_store *store)
{
    g_mutex_lock(&store->lock);
    store->n_in_use--;
    store->base.counters.in_use--;
    /* Not one: an operator that is woken passes, others that wait may not. */
    if (store->n_waiting > 0) {
        g_cond_broadcast(&store->changed);
    }
    g_mutex_unlock(&store->lock);
}

static bool breaker_is_open(struct postgresql_store *store, int64_t now_us)
{
    return store->failing_since_us != 0 && now_us - store->failing_since_us > store->base.options.wait_ms * 1000;
}

/* False when the breaker is open and somebody else has tried a moment ago. */
static bool breaker_lets_through(struct postgresql_store *store)
{
    int64_t now_us = g_get_monotonic_time();
    g_mutex_lock(&store->lock);
    bool lets = !breaker_is_open(store, now_us) || now_us >= store->next_try_us;
    if (lets) {
        store->next_try_us = now_us + BREAKER_PAUSE_US;
    }
    g_mutex_unlock(&store->lock);
    return lets;
}

/* Notes how connecting went; true when the breaker is open now. */
static bool breaker_note(struct postgresql_store *store, bool success)
{
    int64_t now_us = g_get_monotonic_time();
    g_mutex_lock(&store->lock);
    if (success) {
        store->failing_since_us = 0;
    } else if (store->failing_since_us == 0) {
        store->failing_since_us = now_us;
    }
    bool is_open = breaker_is_open(store, now_us);
    g_mutex_unlock(&store->lock);
    return is_open;
}

static struct postgresql_connection *connect_through_breaker(struct postgresql_store *store, bool *ret_is_hopeless,
                                                             GError **error)
{
    if (!breaker_lets_through(store)) {
        *ret_is_hopeless = true;
        sy_fail(error, SY_STORE_UNAVAILABLE,
                "the database has not been reachable for more than %" G_GINT64_FORMAT " ms",
                store->base.options.wait_ms);
        return NULL;
    }
    g_autoptr(GError) failure = NULL;
    struct postgresql_connection *connection = postgresql_connect(store, &failure);
    bool is_reachable = connection != NULL || sy_error_code(failure) != SY_STORE_UNAVAILABLE;
    *ret_is_hopeless = breaker_note(store, is_reachable) || (connection == NULL && is_reachable);
    if (connection == NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
    }
    return connection;
}

/* Drops all prepared statements when there are far too many; false when the connection did not
 * survive it. */
static bool trim_statements(struct postgresql_connection *connection)
{
    if (g_hash_table_size(connection->statements.table) <= STATEMENT_CACHE_LIMIT) {
        return true;
    }
    struct postgresql_failure failure;
    statement_cache_clear(&connection->statements);
    return postgresql_simple(connection, "DEALLOCATE ALL", 0, NULL, &failure, NULL);
}

/* A place that is not used after all, with the idle connection of it, if it has one. */
static void give_back(struct postgresql_store *store, struct postgresql_connection *connection)
{
    if (connection != NULL) {
        g_mutex_lock(&store->lock);
        g_queue_push_tail(&store->idle, connection);
        g_mutex_unlock(&store->lock);
    }
    give_place(store);
}

struct postgresql_connection *pool_acquire(struct postgresql_store *store, bool is_operator, int64_t deadline_us,
                                           bool *ret_is_hopeless, GError **error)
{
    struct postgresql_connection *connection = NULL;
    *ret_is_hopeless = true;
    if (!take_place(store, is_operator, deadline_us, &connection, error)) {
        return NULL;
    }
    if (!is_operator && postgresql_is_hung(store)) {
        give_back(store, connection);
        sy_fail(error, SY_STORE_UNAVAILABLE, "the database does not answer");
        return NULL;
    }
    *ret_is_hopeless = false;
    if (connection != NULL && !trim_statements(connection)) {
        g_clear_pointer(&connection, postgresql_connection_free);
    }
    if (connection == NULL) {
        connection = connect_through_breaker(store, ret_is_hopeless, error);
    }
    if (connection == NULL) {
        give_place(store);
    }
    return connection;
}

void pool_release(struct postgresql_store *store, struct postgresql_connection *connection)
{
    GQueue lost = G_QUEUE_INIT;
    bool is_usable = !connection->is_broken && postgresql_is_idle(connection);
    g_mutex_lock(&store->lock);
    if (connection->is_broken) {
        lost = take_idle(store);
    }
    if (is_usable) {
        g_queue_push_head(&store->idle, connection);
    }
    g_mutex_unlock(&store->lock);
    if (!is_usable) {
        postgresql_connection_free(connection);
    }
    close_all(&lost);
    give_place(store);
}
