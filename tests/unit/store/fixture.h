/* What store tests share: a fresh database of either kind with a schema of their own, and its row types.
 * Every test runs once per database, as /sqlite/NAME and /postgresql/NAME. */
#pragma once

#include <glib.h>

#include "base/error.h"
#include "contract/contract.h"
#include "store/migrate.h"
#include "store/store.h"

struct fixture {
    enum store_dialect dialect;
    char *folder;     /* temporary; sqlite's file is db in it */
    char *migrations; /* in it; holds sqlite/ and postgresql/ */
    char *url;
    struct store *store; /* opened and migrated */
};

typedef void (*fixture_fn)(struct fixture *fixture);

/* With `options` (may be NULL; migrations_folder and allow_volatile are filled in). They must outlive the run. */
void fixture_add(const char *name, fixture_fn fn, const struct store_options *options);
/* On one database only. */
void fixture_add_on(enum store_dialect dialect, const char *name, fixture_fn fn, const struct store_options *options);
/* Without opening or migrating. */
void fixture_add_unopened(const char *name, fixture_fn fn);
void fixture_add_unopened_on(enum store_dialect dialect, const char *name, fixture_fn fn);

struct store *fixture_open(const struct fixture *fixture, const struct store_options *options);
void fixture_write_migration(const struct fixture *fixture, const char *file, const char *text);

/* Runs text on a connection beside the store's. */
void fixture_execute(const struct fixture *fixture, const char *text);
/* First value of the first row as text, through a connection beside the store's; newly allocated. */
char *fixture_get(const struct fixture *fixture, const char *text);

struct item_part {
    char *path;
    int64_t interval_ms;
};

/* One of every kind. Table items: unique name, count not negative. */
struct item {
    char *id;
    char *name;
    int64_t count;
    int is_public;
    int color;
    int64_t created_us;
    int64_t pause_ms;
    int64_t memory_bytes;
    int64_t cpu_millis;
    struct item_part part;
    struct item_part *spare;
    GPtrArray *parts;
    char **words;
    GPtrArray *env;
    GPtrArray *by_name;
    char *raw;
};
enum { RED, GREEN };
extern const struct type item_type;

struct item *item_new(const char *id, const char *name, int64_t count);

/* A unit that inserts the item. */
bool insert_item(struct tx *tx, void *item, GError **error);
/* Writes an item of this id, name and count, and wants success. */
void put_item(struct store *store, const char *id, const char *name, int64_t count);
int64_t count_items(struct store *store);

/* A unit that runs one text without parameters. */
bool exec_text(struct tx *tx, void *text, GError **error);
