/* Schema migrations: numbered up and down files per dialect, recorded exactly as golang-migrate
 * does, so that either tool can continue where the other stopped.
 *
 * Table: schema_migrations(version BIGINT NOT NULL PRIMARY KEY, dirty BOOLEAN NOT NULL), at most
 * one row: the version last applied. Each step runs in one transaction under a lock (PostgreSQL:
 * advisory lock; SQLite: BEGIN EXCLUSIVE); one that fails is rolled back, the version stays, and
 * the error names the file and the statement's message (SY_MIGRATION_FAILED). A row that another
 * tool left dirty is refused with how to mend it. The files of migrations/ are compiled into the
 * binary; a folder given by option replaces them. */
#pragma once

#include "store/store.h"

struct migration_status {
    int64_t current; /* 0: empty schema */
    int64_t latest;  /* the newest this binary knows */
    bool is_dirty;
};

bool store_migrate_status(struct store *store, struct migration_status *ret_status,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* To the latest version, or to `target` when it is not negative. Down steps need `allow_down`. */
bool store_migrate(struct store *store, int64_t target, bool allow_down, GError **error) G_GNUC_WARN_UNUSED_RESULT;
