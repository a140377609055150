/* Migrations inside src/store: the files, and what each database does for them. */
#pragma once

#include "store/internal.h"
#include "store/migrate.h"

/* One version; texts are NULL when there is no such file. */
struct migration_text {
    int64_t version;
    const char *name; /* 0001_begin, without .up.sql */
    const char *up;
    const char *down;
};

/* The files that were compiled in (tools/embed_migrations.py), by rising version. */
extern const struct migration_text migrations_sqlite[];
extern const size_t n_migrations_sqlite;
extern const struct migration_text migrations_postgresql[];
extern const size_t n_migrations_postgresql;

/* A set of files, by rising version. */
struct migration_set {
    const struct migration_text *items;
    size_t n;
    struct migration_text *owned; /* items == owned when they were read from a folder */
};

/* FOLDER/<dialect>/NNNN_name.{up,down}.sql, or with folder NULL what was compiled in. */
bool migration_set_load(struct migration_set *set, const char *folder, enum store_dialect dialect,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
void migration_set_done(struct migration_set *set);

/* What one database does for one step. A session is a connection of its own; begin takes the lock
 * that lets only one process migrate, and creates schema_migrations when it is not there. */
struct migration_backend {
    void *(*open)(struct store *store, GError **error);
    void (*close)(void *session);
    bool (*begin)(void *session, GError **error);
    /* Runs all statements of a file; the error says line and message. */
    bool (*run)(void *session, const char *text, GError **error);
    /* Version 0 when there is no row, or not even the table; -1 is golang-migrate's way to say that
     * the first down failed. */
    bool (*read_version)(void *session, int64_t *ret_version, bool *ret_is_dirty, GError **error);
    bool (*write_version)(void *session, int64_t version, GError **error); /* 0: no row */
    bool (*commit)(void *session, GError **error);
    void (*rollback)(void *session);
};

/* The line (from 1) of the byte at `offset`. */
size_t migration_line(const char *text, size_t offset);
