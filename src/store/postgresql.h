/* PostgreSQL through libpq, shared by the connection (postgresql_connection.c), the pool
 * (postgresql_pool.c), the units of work (postgresql.c) and migrations (postgresql_migrate.c).
 *
 * A connection is used by one thread at a time. Every wait for the server is a poll(2) on its
 * socket with a deadline; the server ends statements itself a little earlier (statement_timeout). A
 * connection that was lost, or whose protocol state is unknown, is broken and is closed when it is
 * given back. */
#pragma once

#include <libpq-fe.h>

#include "store/internal.h"

struct postgresql_connection {
    PGconn *pg;
    struct postgresql_store *store;
    struct statement_cache statements;
    unsigned next_name;
    const char *begin; /* a transaction that begins with the next statement; NULL: none is to */
    bool is_ending;    /* the ROLLBACK has been sent, its answer has not been read */
    bool is_broken;
    bool is_ping; /* waits for a short time only, and is what tells the others that they need not wait */
};

/* How long a ping waits for its answer, and after how long without one the server counts as hung. */
#define POSTGRESQL_PING_MS 2000
#define POSTGRESQL_HUNG_US (1200 * 1000)

struct postgresql_store {
    struct store base;
    char *url;
    GMutex lock; /* guards what follows */
    GCond changed;
    int n_waiting; /* at changed */
    GQueue idle;   /* struct postgresql_connection, the last used first */
    int n_in_use;
    /* The breaker: since when connecting has failed without one success (0: it works), and when one
     * caller may try again. */
    int64_t failing_since_us;
    int64_t next_try_us;
    /* Since when the server has left a ping without any answer, be it a refusal; 0: it answers. */
    atomic_int_fast64_t silent_since_us;
};

/* A server that hangs would take every caller for as long as a statement may run, and all workers with them. When even the
 * pings (store_ping, asked all the time by the health of the daemon) get no answer, running statements are given up and new
 * ones are refused until one does. A server that refuses connections is another matter: callers wait for its return. */
bool postgresql_is_hung(struct postgresql_store *store);

/* --- connection --- */

/* Connects and sets up the session. SY_STORE_UNAVAILABLE when the server does not answer. */
struct postgresql_connection *postgresql_connect(struct postgresql_store *store,
                                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
void postgresql_connection_free(struct postgresql_connection *connection);

/* What a failed call means for the unit of work. */
struct postgresql_failure {
    bool is_soft; /* the transaction is certainly not committed, and a new run may succeed */
    bool is_lost; /* the connection is gone or in an unknown state */
};

/* Runs text by the simple protocol (several statements allowed, no parameters, rows are dropped).
 * `*ret_tag` (may be NULL, 32 bytes) gets the last command's tag; limit_ms 0: the store's statement
 * limit. */
bool postgresql_simple(struct postgresql_connection *connection, const char *text, int64_t limit_ms, char *ret_tag,
                       struct postgresql_failure *ret_failure, GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool postgresql_run(struct postgresql_connection *connection, struct query *query,
                    struct postgresql_failure *ret_failure, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A transaction costs no round trips of its own but its commit: `begin` (constant text) goes out together with the first
 * statement, in one pipeline, and the end of one that has nothing to commit is sent and not waited for; the answer is read before
 * the connection's next statement. */
void postgresql_begin(struct postgresql_connection *connection, const char *begin);
bool postgresql_has_begun(const struct postgresql_connection *connection);
void postgresql_end(struct postgresql_connection *connection); /* rolls back, if there is anything to */
bool postgresql_is_idle(const struct postgresql_connection *connection);

/* --- pool --- */

/* A live connection, from the pool or new. An operator may also use the reserved ones.
 * SY_STORE_BUSY: none became free by the deadline; SY_STORE_UNAVAILABLE: cannot connect
 * (*ret_is_hopeless: and has not been for long). */
struct postgresql_connection *pool_acquire(struct postgresql_store *store, bool is_operator, int64_t deadline_us,
                                           bool *ret_is_hopeless, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Takes it back. When it is broken, the idle ones are closed too: they were lost in the same way.
 */
void pool_release(struct postgresql_store *store, struct postgresql_connection *connection);

void pool_init(struct postgresql_store *store);
void pool_done(struct postgresql_store *store); /* waits until every connection is back */

extern const struct migration_backend postgresql_migration_backend;
