/* SQLite connections, shared by the readers (sqlite.c), the writer thread (sqlite_writer.c) and
 * migrations.
 *
 * Every connection is in WAL mode, synchronous=FULL, foreign keys on, no memory map; it is opened
 * without SQLite's own mutex, because one thread at a time uses it. */
#pragma once

#include <sqlite3.h>

#include "store/internal.h"

struct sqlite_connection {
    sqlite3 *db;
    struct sqlite_store *store;
    struct statement_cache statements;
    int64_t deadline_us; /* of the running statement; 0: none */
};

enum sqlite_role { SQLITE_READER, SQLITE_WRITER, SQLITE_MIGRATOR };

struct sqlite_writer;

struct sqlite_store {
    struct store base;
    char *path;
    GMutex lock; /* guards what follows */
    GCond changed;
    int n_waiting; /* at changed */
    GQueue idle;   /* readers: struct sqlite_connection */
    int n_readers;
    struct sqlite_writer *writer;
};

struct sqlite_connection *sqlite_connection_open(struct sqlite_store *store, enum sqlite_role role,
                                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sqlite_connection_free(struct sqlite_connection *connection);

/* Sets the error that an SQLite result stands for; a failed fsync or a corrupt page kills the
 * store. */
bool sqlite_fail(struct sqlite_connection *connection, int rc, const char *what, GError **error);

/* Prepared once and run without parameters or rows: BEGIN and its kin. */
bool sqlite_control(struct sqlite_connection *connection, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool sqlite_query(struct tx *tx, struct query *query, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Ends whatever transaction is open. */
void sqlite_rollback(struct sqlite_connection *connection);

struct sqlite_writer *sqlite_writer_start(struct sqlite_connection *connection); /* takes it */
void sqlite_writer_stop(struct sqlite_writer *writer);                           /* after all that is queued */
bool sqlite_write(struct store *store, const char *name, store_fn fn, void *arg,
                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

extern const struct migration_backend sqlite_migration_backend;
