/* Schema migrations: numbered up and down files per dialect, recorded exactly as golang-migrate does, so that
 * either tool can continue where the other stopped.
 *
 * Table schema_migrations, at most one row, the version last applied: (version bigint not null primary key, dirty
 * boolean not null) on PostgreSQL, (version uint64, dirty bool) with a unique index on SQLite. Each step is one
 * transaction with its version in it, so it is done or not done whatever happens; files hold no BEGIN or COMMIT. It
 * runs under a lock (PostgreSQL: golang-migrate's advisory lock; SQLite: BEGIN EXCLUSIVE), for which it waits up to a
 * minute; several processes may migrate at once. A step that fails is rolled back, and the error names the file, the
 * line where it is known, and the database's message (SY_MIGRATION_FAILED). A row that another tool left dirty, and a
 * version that this program does not know, are refused with how to mend it.
 *
 * On SQLite references are not enforced during a step (tables may be rebuilt) but all checked at its end.
 * The files of migrations/ are compiled into the binary; store_options.migrations_folder replaces them.
 * Run it before the store has other work: SQLite's writer waits meanwhile. */
#pragma once

#include "store/store.h"

struct migration_status {
    int64_t current; /* 0: empty schema */
    int64_t latest;  /* the newest this binary knows */
    bool is_dirty;
};

bool store_migrate_status(struct store *store, struct migration_status *ret_status,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* To the latest version, or to `target` when it is not negative (0: nothing left). Down steps need a target and
 * `allow_down`. Steps before one that fails stay. */
bool store_migrate(struct store *store, int64_t target, bool allow_down, GError **error) G_GNUC_WARN_UNUSED_RESULT;
