#include "fixture.h"

#include <sqlite3.h>

#include "base/file.h"
#include "postgresql_server.h"

/* --- the row type ------------------------------------------------------------------------------ */

static const struct field part_fields[] = {
    {.name = "path", .kind = KIND_STRING, .offset = offsetof(struct item_part, path)},
    {.name = "interval", .kind = KIND_DURATION, .offset = offsetof(struct item_part, interval_ms)},
};
static const struct type part_type = {
    .name = "ItemPart", .size = sizeof(struct item_part), .fields = part_fields, .n_fields = G_N_ELEMENTS(part_fields)};

static const char *const colors[] = {"red", "green", NULL};
#define F(member) .offset = offsetof(struct item, member)
static const struct field item_fields[] = {
    {.name = "id", .kind = KIND_STRING, F(id)},
    {.name = "name", .kind = KIND_STRING, F(name)},
    {.name = "count", .kind = KIND_INT, F(count), .minimum = INT64_MIN + 1, .maximum = INT64_MAX},
    {.name = "is_public", .kind = KIND_BOOL, F(is_public)},
    {.name = "color", .kind = KIND_ENUM, F(color), .names = colors},
    {.name = "created_at", .kind = KIND_TIME, F(created_us)},
    {.name = "pause", .kind = KIND_DURATION, F(pause_ms)},
    {.name = "memory", .kind = KIND_SIZE, F(memory_bytes)},
    {.name = "cpu", .kind = KIND_CPU, F(cpu_millis)},
    {.name = "part", .kind = KIND_STRUCT, F(part), .type = &part_type},
    {.name = "spare", .kind = KIND_OBJECT, F(spare), .type = &part_type},
    {.name = "parts", .kind = KIND_ARRAY, F(parts), .type = &part_type},
    {.name = "words", .kind = KIND_STRINGS, F(words)},
    {.name = "env", .kind = KIND_STRING_MAP, F(env)},
    {.name = "by_name", .kind = KIND_MAP, F(by_name), .type = &part_type},
    {.name = "raw", .kind = KIND_JSON, F(raw)},
};
const struct type item_type = {.name = "Item",
                               .table = "items",
                               .size = sizeof(struct item),
                               .fields = item_fields,
                               .n_fields = G_N_ELEMENTS(item_fields)};

static const char up_text[] =
    "-- items, and what refers to them; 'a quote; in a comment\n"
    "CREATE TABLE items (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, count BIGINT CHECK (count >= 0),\n"
    "  is_public BIGINT, color TEXT, created_at BIGINT, pause BIGINT, memory BIGINT, cpu BIGINT, part TEXT,\n"
    "  spare TEXT, parts TEXT, words TEXT, env TEXT, by_name TEXT, raw TEXT);\n"
    "CREATE UNIQUE INDEX items_name ON items (name);\n"
    "CREATE TABLE links (id BIGINT PRIMARY KEY NOT NULL, item_id TEXT NOT NULL REFERENCES items (id),\n"
    "  late_id TEXT REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED);\n";
static const char down_text[] = "DROP TABLE links;\nDROP TABLE items;\n";

/* --- the database ------------------------------------------------------------------------------ */

void fixture_write_migration(const struct fixture *fixture, const char *file, const char *text)
{
    g_autoptr(GError) error = NULL;
    for (const char *const *dialect = (const char *[]){"sqlite", "postgresql", NULL}; *dialect != NULL; dialect++) {
        g_autofree char *folder = g_build_filename(fixture->migrations, *dialect, NULL);
        g_autofree char *path = g_build_filename(folder, file, NULL);
        g_assert_true(folder_ensure(folder, 0755, &error));
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
    }
}

struct store *fixture_open(const struct fixture *fixture, const struct store_options *options)
{
    struct store_options all = options != NULL ? *options : (struct store_options){0};
    all.migrations_folder = fixture->migrations;
    all.allow_volatile = true;
    g_autoptr(GError) error = NULL;
    struct store *store = store_open(fixture->url, &all, &error);
    g_assert_no_error(error);
    return store;
}

static sqlite3 *open_beside(const struct fixture *fixture)
{
    sqlite3 *db = NULL;
    g_assert_cmpint(sqlite3_open(fixture->url + strlen("sqlite:"), &db), ==, SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    return db;
}

void fixture_execute(const struct fixture *fixture, const char *text)
{
    if (fixture->dialect == STORE_POSTGRESQL) {
        postgresql_server_execute(fixture->url, text);
        return;
    }
    sqlite3 *db = open_beside(fixture);
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
        g_error("%s: %s", text, sqlite3_errmsg(db));
    }
    sqlite3_close(db);
}

char *fixture_get(const struct fixture *fixture, const char *text)
{
    if (fixture->dialect == STORE_POSTGRESQL) {
        return postgresql_server_get(fixture->url, text);
    }
    sqlite3 *db = open_beside(fixture);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK) {
        g_error("%s: %s", text, sqlite3_errmsg(db));
    }
    char *value =
        sqlite3_step(statement) == SQLITE_ROW ? g_strdup((const char *)sqlite3_column_text(statement, 0)) : NULL;
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

struct plan {
    fixture_fn fn;
    enum store_dialect dialect;
    const struct store_options *options;
    bool is_unopened;
};

static void run(gconstpointer data)
{
    const struct plan *plan = data;
    const char *missing = plan->dialect == STORE_POSTGRESQL ? postgresql_server_missing() : NULL;
    if (missing != NULL) {
        g_test_skip(missing);
        return;
    }
    g_autoptr(GError) error = NULL;
    struct fixture fixture = {.dialect = plan->dialect, .folder = g_dir_make_tmp("enclii-store-XXXXXX", &error)};
    g_assert_no_error(error);
    fixture.migrations = g_build_filename(fixture.folder, "migrations", NULL);
    fixture.url = plan->dialect == STORE_POSTGRESQL ? postgresql_server_new_database()
                                                    : g_strdup_printf("sqlite:%s/db", fixture.folder);
    if (!plan->is_unopened) {
        fixture_write_migration(&fixture, "0001_items.up.sql", up_text);
        fixture_write_migration(&fixture, "0001_items.down.sql", down_text);
        fixture.store = fixture_open(&fixture, plan->options);
        g_assert_true(store_migrate(fixture.store, -1, false, &error));
        g_assert_no_error(error);
    }
    plan->fn(&fixture);
    store_close(fixture.store);
    g_assert_true(folder_remove(fixture.folder, &error));
    g_free(fixture.url);
    g_free(fixture.migrations);
    g_free(fixture.folder);
}

static void add(struct plan plan, const char *name)
{
    g_autofree char *path = g_strconcat(plan.dialect == STORE_SQLITE ? "/sqlite" : "/postgresql", name, NULL);
    g_test_add_data_func_full(path, g_memdup2(&plan, sizeof plan), run, g_free);
}

void fixture_add_on(enum store_dialect dialect, const char *name, fixture_fn fn, const struct store_options *options)
{
    add((struct plan){.fn = fn, .dialect = dialect, .options = options}, name);
}

void fixture_add(const char *name, fixture_fn fn, const struct store_options *options)
{
    fixture_add_on(STORE_SQLITE, name, fn, options);
    fixture_add_on(STORE_POSTGRESQL, name, fn, options);
}

void fixture_add_unopened_on(enum store_dialect dialect, const char *name, fixture_fn fn)
{
    add((struct plan){.fn = fn, .dialect = dialect, .is_unopened = true}, name);
}

void fixture_add_unopened(const char *name, fixture_fn fn)
{
    fixture_add_unopened_on(STORE_SQLITE, name, fn);
    fixture_add_unopened_on(STORE_POSTGRESQL, name, fn);
}

/* --- units of work ----------------------------------------------------------------------------- */

struct item *item_new(const char *id, const char *name, int64_t count)
{
    struct item *item = contract_new(&item_type);
    item->id = g_strdup(id);
    item->name = g_strdup(name);
    item->count = count;
    return item;
}

bool insert_item(struct tx *tx, void *item, GError **error)
{
    return tx_insert(tx, &item_type, item, error);
}

void put_item(struct store *store, const char *id, const char *name, int64_t count)
{
    g_autoptr(GError) error = NULL;
    struct item *item = item_new(id, name, count);
    bool ok = store_write(store, "put_item", insert_item, item, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    contract_free(&item_type, item);
}

static bool get_count(struct tx *tx, void *arg, GError **error)
{
    return tx_get_int(tx, -1, arg, "SELECT count(*) FROM items", NO_PARAMS, error);
}

int64_t count_items(struct store *store)
{
    g_autoptr(GError) error = NULL;
    int64_t n = 0;
    bool ok = store_read(store, "count_items", get_count, &n, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return n;
}

bool exec_text(struct tx *tx, void *text, GError **error)
{
    return tx_exec(tx, text, NO_PARAMS, NULL, error);
}
