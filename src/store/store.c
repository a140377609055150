#include "store/store.h"

#include <string.h>

#include "base/error.h"
#include "store/internal.h"

/* The unit of work that runs on this thread. */
static _Thread_local const struct tx *current_tx;

int64_t deadline_after_ms(int64_t ms)
{
    return g_get_monotonic_time() + ms * 1000;
}

void store_init(struct store *store, const struct backend *backend, const struct store_options *options)
{
    static const struct store_options none;
    const struct store_options *from = options != NULL ? options : &none;
    g_rw_lock_init(&store->users);
    store->backend = backend;
    store->options = *from;
    struct store_options *to = &store->options;
    to->clock = from->clock != NULL ? from->clock : &clock_system;
    to->n_readers = from->n_readers > 0 ? MIN(from->n_readers, 64) : 4;
    to->pool_size = from->pool_size > 0 ? MIN(from->pool_size, 50) : 10;
    to->pool_reserved = from->pool_reserved > 0 ? from->pool_reserved : 2;
    to->pool_reserved = MIN(to->pool_reserved, to->pool_size - 1);
    to->wait_ms = from->wait_ms > 0 ? from->wait_ms : 5000;
    to->statement_ms = from->statement_ms > 0 ? from->statement_ms : 10000;
    to->migrations_folder = g_strdup(from->migrations_folder);
}

void store_done(struct store *store)
{
    g_free((char *)store->options.migrations_folder);
    store->options.migrations_folder = NULL;
    g_rw_lock_clear(&store->users);
}

struct store *store_open(const char *url, const struct store_options *options, GError **error)
{
    if (g_str_has_prefix(url, "sqlite:")) {
        return sqlite_store_open(url + strlen("sqlite:"), options, error);
    }
    if (g_str_has_prefix(url, "postgresql://") || g_str_has_prefix(url, "postgres://")) {
        return postgresql_store_open(url, options, error);
    }
    /* The text may hold a password: it is not repeated. */
    sy_fail(error, SY_INVALID_INPUT, "database URL must begin with sqlite: or postgresql://");
    return NULL;
}

void store_close(struct store *store)
{
    if (store != NULL) {
        g_rw_lock_writer_lock(&store->users);
        g_rw_lock_writer_unlock(&store->users);
        store->backend->close(store);
    }
}

enum store_dialect store_dialect(const struct store *store)
{
    return store->backend->dialect;
}

bool store_fatal(const struct store *store)
{
    return atomic_load(&store->is_fatal);
}

void store_set_fatal(struct store *store)
{
    atomic_store(&store->is_fatal, true);
}

static bool may_enter(const struct store *store, const char *name, GError **error)
{
    if (current_tx != NULL) {
        g_critical("store: %s was started inside another unit of work", name);
        return sy_fail(error, SY_INTERNAL, "%s was started inside another unit of work", name);
    }
    if (store_fatal(store)) {
        return sy_fail(error, SY_STORE_FAILED, "the database is damaged or lost a write: restart, then run doctor");
    }
    return true;
}

/* The names of units help whoever reads the log; in the users' own errors (not found, conflict)
 * they would not. */
static void name_failure(const char *name, GError **error)
{
    if (error == NULL || *error == NULL) {
        return;
    }
    enum sy_code code = sy_error_code(*error);
    if (code == SY_STORE_FAILED || code == SY_STORE_BUSY || code == SY_STORE_UNAVAILABLE) {
        g_prefix_error(error, "%s: ", name);
    }
}

bool store_write(struct store *store, const char *name, store_fn fn, void *arg, GError **error)
{
    if (!may_enter(store, name, error)) {
        return false;
    }
    g_rw_lock_reader_lock(&store->users);
    store->counters.writes++;
    bool ok = store->backend->write(store, name, fn, arg, error);
    if (!ok) {
        store->counters.failures++;
        name_failure(name, error);
    }
    g_rw_lock_reader_unlock(&store->users);
    return ok;
}

bool store_read(struct store *store, const char *name, store_fn fn, void *arg, GError **error)
{
    if (!may_enter(store, name, error)) {
        return false;
    }
    g_rw_lock_reader_lock(&store->users);
    store->counters.reads++;
    bool ok = store->backend->read(store, name, fn, arg, error);
    if (!ok) {
        store->counters.failures++;
        name_failure(name, error);
    }
    g_rw_lock_reader_unlock(&store->users);
    return ok;
}

bool store_ping(struct store *store, GError **error)
{
    if (!may_enter(store, "ping", error)) {
        return false;
    }
    g_rw_lock_reader_lock(&store->users);
    bool ok = store->backend->ping(store, error);
    g_rw_lock_reader_unlock(&store->users);
    return ok;
}

void store_stats(struct store *store, struct store_stats *ret_stats)
{
    const struct store_counters *from = &store->counters;
    *ret_stats = (struct store_stats){
        .writes = from->writes,
        .reads = from->reads,
        .commits = from->commits,
        .retries = from->retries,
        .failures = from->failures,
        .in_use = from->in_use,
        .waiting = from->waiting,
        .commit_us_total = from->commit_us_total,
    };
}

bool tx_run(struct tx *tx, store_fn fn, void *arg, GError **error)
{
    g_autoptr(GError) failure = NULL;
    current_tx = tx;
    bool ok = fn(tx, arg, &failure);
    current_tx = NULL;
    if (ok && tx->failure == NULL) {
        g_warn_if_fail(failure == NULL);
        return true;
    }
    if (failure == NULL) {
        failure = tx->failure != NULL
                      ? g_error_copy(tx->failure)
                      : g_error_new_literal(SY_ERROR, SY_INTERNAL, "a unit of work failed without saying why");
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}
