/* The store: one interface, two databases (SQLite embedded, PostgreSQL 15 through libpq).
 *
 * A unit of work is a function that gets a struct tx and must be re-runnable: it may be run again
 * after a soft error (serialisation failure, deadlock, lost connection before commit), so it
 * touches nothing but the database and its own argument, and resets its outputs first.
 *
 * store_write: one atomic, durable transaction. When it returns true the change survives kill -9
 *     and power loss. On SQLite every write runs on the one writer thread; writes that wait
 *     together share one commit (group commit), each inside its own savepoint, so one that fails
 *     takes no other along.
 * store_read: a consistent snapshot on a reader connection; writing in it is an error.
 *
 * A unit never starts another one on its thread: that is a defect (g_critical and SY_INTERNAL).
 * A statement that fails ends its unit: later ones fail too, and the unit is rolled back even when
 * its function returns true, as PostgreSQL has it. Expected clashes are for ON CONFLICT.
 *
 * Statement text is the same for both databases: parameters are $1…$n, and `{}` stands for the
 * column list of the row type given ("SELECT {} FROM projects WHERE id = $1"; `{p.}` puts the alias
 * p before each). Text is constant; statements are prepared once per connection and kept. Only
 * store/ holds SQL. What to mind so that both answer alike:
 *   - a parameter has the type of its value; a NULL takes its type from where it stands, so where
 *     nothing tells it ("$1 IS NULL"), write CAST($1 AS TEXT);
 *   - ORDER BY and < on text need columns declared COLLATE "C" on PostgreSQL (SQLite's
 *     own order);
 *   - results are TEXT, INTEGER, BIGINT, BOOLEAN (0 or 1), or NUMERIC without a fraction (the sum
 *     of BIGINT); anything else is refused: cast it.
 *
 * Columns: ids and text TEXT, numbers and booleans BIGINT, times BIGINT microseconds since the
 * epoch, everything else one JSON value as TEXT.
 *
 * Errors: SY_STORE_UNAVAILABLE (no connection; or lost during COMMIT, then the text says that the
 * outcome is unknown), SY_STORE_BUSY (retries, queue or time exhausted), SY_ALREADY_EXISTS
 * (unique), SY_CONFLICT (foreign key, check, not null), SY_DISK_FULL, SY_STORE_FAILED. After a
 * failed fsync or a corrupt page the store is dead: every later call gives SY_STORE_FAILED and
 * store_fatal() is true.
 *
 * Threads: a struct store is shared by all; a struct tx belongs to the function it was given to. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "contract/contract.h"

struct store;
struct tx;

enum store_dialect { STORE_SQLITE, STORE_POSTGRESQL };

struct store_options {
    int n_readers;             /* SQLite: reader connections; default 4 */
    int pool_size;             /* PostgreSQL: connections, 10–50; default 10 */
    int pool_reserved;         /* of those, kept for operators (switchyard migrate, doctor); default 2 */
    int64_t wait_ms;           /* longest wait for a connection or a place in the queue; default 5000 */
    int64_t statement_ms;      /* longest single statement; default 10000 */
    bool allow_volatile;       /* accept a PostgreSQL server with fsync off: only for tests */
    const struct clock *clock; /* SQLite, where the database's clock is the process's; NULL: the system's. Borrowed */
    /* Holds sqlite/ and postgresql/; NULL: the files in the binary. Copied. */
    const char *migrations_folder;
};

/* url: sqlite:PATH or postgresql://… (any libpq URI). Opens, checks durability settings; does not
 * migrate. Options may be NULL; a number that is 0 has its default. */
struct store *store_open(const char *url, const struct store_options *options,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
void store_close(struct store *store); /* waits for running work */
typedef struct store store_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(store_t, store_close)
enum store_dialect store_dialect(const struct store *store);

typedef bool (*store_fn)(struct tx *tx, void *arg, GError **error);

/* `name` appears in metrics and logs. */
bool store_write(struct store *store, const char *name, store_fn fn, void *arg,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_read(struct store *store, const char *name, store_fn fn, void *arg,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One round trip that proves the database answers. */
bool store_ping(struct store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_fatal(const struct store *store);

struct store_stats {
    int64_t writes, reads, commits, retries, failures;
    int64_t in_use, waiting; /* connections in use, callers waiting */
    int64_t commit_us_total;
};
void store_stats(struct store *store, struct store_stats *ret_stats);

/* --- statements ------------------------------------------------------------------------------ */

/* Parameter constructors; text is borrowed until the statement returns. */
#define P_TEXT(s) ((struct sql_value){.kind = (s) != NULL ? SQL_TEXT : SQL_NULL, .text = (s)})
#define P_INT(i) ((struct sql_value){.kind = SQL_INT, .integer = (i)})
#define P_NULL ((struct sql_value){.kind = SQL_NULL})
#define PARAMS(...)                                                                                                    \
    (const struct sql_value[]){__VA_ARGS__}, sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value)
#define NO_PARAMS NULL, 0

/* Runs a statement that returns no rows. *ret_changed (may be NULL): rows changed. */
bool tx_exec(struct tx *tx, const char *text, const struct sql_value *parameters, size_t n_parameters,
             int64_t *ret_changed, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Inserts the object's columns into type->table. */
bool tx_insert(struct tx *tx, const struct type *type, const void *object, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Updates every column but `id` of the row with the object's id. SY_NOT_FOUND when there is none.
 */
bool tx_update(struct tx *tx, const struct type *type, const void *object, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* At most one row (a second is SY_STORE_FAILED); *ret_object (contract_free) is NULL when there is
 * none, which is success. */
bool tx_get(struct tx *tx, const struct type *type, void **ret_object, const char *text,
            const struct sql_value *parameters, size_t n_parameters, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All rows, as an array that owns its elements (contract_array_new(type)). */
bool tx_list(struct tx *tx, const struct type *type, GPtrArray **ret_objects, const char *text,
             const struct sql_value *parameters, size_t n_parameters, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* First column of the first row as an integer; `absent` when there is no row or it is NULL. */
bool tx_get_int(struct tx *tx, int64_t absent, int64_t *ret_value, const char *text, const struct sql_value *parameters,
                size_t n_parameters, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* First column of the first row as text (newly allocated), or NULL. */
bool tx_get_text(struct tx *tx, char **ret_value, const char *text, const struct sql_value *parameters,
                 size_t n_parameters, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Any rows: `row_fn` gets each row's values, borrowed for the call. */
typedef bool (*tx_row_fn)(const struct sql_value *values, size_t n_values, void *arg, GError **error);
bool tx_query(struct tx *tx, const char *text, const struct sql_value *parameters, size_t n_parameters,
              tx_row_fn row_fn, void *arg, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The database's clock, microseconds since the epoch: for leases. */
bool tx_now(struct tx *tx, int64_t *ret_now_us, GError **error) G_GNUC_WARN_UNUSED_RESULT;

enum store_dialect tx_dialect(const struct tx *tx);
