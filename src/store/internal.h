/* What the two databases share behind store.h. Not included outside src/store.
 *
 * Each database has a struct that begins with struct store, and a table of functions. store.c
 * dispatches and counts, tx.c holds the statement functions, the rest is the database's own. */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/statement.h"
#include "store/store.h"

struct migration_backend; /* migrate_internal.h */

/* One query on its way: what tx.c hands to a database. */
struct query {
    struct statement_source source;
    const struct sql_value *parameters;
    size_t n_parameters;
    tx_row_fn row_fn; /* NULL: rows are dropped */
    void *row_arg;
    bool row_failed;   /* out: the error is row_fn's, the statement itself was well */
    int64_t n_changed; /* out */
};

struct backend {
    enum store_dialect dialect;
    bool (*write)(struct store *store, const char *name, store_fn fn, void *arg, GError **error);
    bool (*read)(struct store *store, const char *name, store_fn fn, void *arg, GError **error);
    bool (*ping)(struct store *store, GError **error);
    bool (*query)(struct tx *tx, struct query *query, GError **error);
    bool (*now)(struct tx *tx, int64_t *ret_now_us, GError **error);
    void (*close)(struct store *store);
    const struct migration_backend *migration;
};

struct store_counters {
    atomic_int_fast64_t writes, reads, commits, retries, failures;
    atomic_int_fast64_t in_use, waiting;
    atomic_int_fast64_t commit_us_total;
};

struct store {
    const struct backend *backend;
    GRWLock users;                /* held to read by each call until it has returned, to write once by store_close */
    struct store_options options; /* every default filled in; migrations_folder is owned */
    struct store_counters counters;
    atomic_bool is_fatal;
};

struct tx {
    struct store *store;
    void *connection; /* the database's */
    bool is_read_only;
    bool is_soft;    /* the failure may be gone when the unit is run again */
    GError *failure; /* of the first statement that failed: nothing more is done then */
};

struct store *sqlite_store_open(const char *path, const struct store_options *options,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
struct store *postgresql_store_open(const char *url, const struct store_options *options,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Copies `options` (or the defaults) into a fresh store. */
void store_init(struct store *store, const struct backend *backend, const struct store_options *options);
void store_done(struct store *store);

/* Marks the store dead: nothing it says can be trusted any more. */
void store_set_fatal(struct store *store);

/* Runs fn with the guard against nesting. True when fn and all its statements succeeded; else the
 * unit must be rolled back. */
bool tx_run(struct tx *tx, store_fn fn, void *arg, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* g_get_monotonic_time() + ms */
int64_t deadline_after_ms(int64_t ms);
