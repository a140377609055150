/* The schema that ships: both dialects go up, down and up again, and name the same tables and columns. */
#include "fixture.h"

static struct store *open_shipped(const struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    const struct store_options options = {.allow_volatile = true};
    struct store *store = store_open(fixture->url, &options, &error);
    g_assert_no_error(error);
    return store;
}

static void migrate_to(struct store *store, int64_t target)
{
    g_autoptr(GError) error = NULL;
    bool ok = store_migrate(store, target, true, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

/* Every table with its columns, sorted. */
static char *describe(const struct fixture *fixture)
{
    const char *text =
        fixture->dialect == STORE_SQLITE
            ? "SELECT group_concat(line, char(10)) FROM (SELECT m.name || '.' || c.name || ' ' || replace(c.type, "
              "'INTEGER', 'BIGINT') || ' ' || "
              "c.\"notnull\" AS line FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND "
              "m.name NOT LIKE 'sqlite_%' AND m.name <> 'schema_migrations' ORDER BY line)"
            : "SELECT string_agg(line, chr(10) ORDER BY line COLLATE \"C\") FROM (SELECT table_name || '.' || "
              "column_name || ' ' || upper(data_type) || ' ' || CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END AS line "
              "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migrations') q";
    return fixture_get(fixture, text);
}

static char *sqlite_description;

/* The first line that differs says more than both texts. */
static void check_same(const char *a, const char *b)
{
    g_auto(GStrv) x = g_strsplit(a, "\n", -1);
    g_auto(GStrv) y = g_strsplit(b, "\n", -1);
    for (guint i = 0; x[i] != NULL && y[i] != NULL; i++) {
        g_assert_cmpstr(x[i], ==, y[i]);
    }
    g_assert_cmpuint(g_strv_length(x), ==, g_strv_length(y));
}

static void goes_up_down_up(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct migration_status status;
    struct store *store = open_shipped(fixture);
    migrate_to(store, -1);
    g_autofree char *first = describe(fixture);
    g_assert_true(store_migrate_status(store, &status, &error));
    g_assert_cmpint(status.current, ==, status.latest);
    g_assert_cmpint(status.latest, >, 0);
    migrate_to(store, 0);
    g_autofree char *nothing = describe(fixture);
    g_assert_cmpstr(nothing, ==, NULL);
    migrate_to(store, -1);
    g_autofree char *second = describe(fixture);
    check_same(first, second);
    if (fixture->dialect == STORE_SQLITE) {
        sqlite_description = g_strdup(first);
    } else if (sqlite_description != NULL) {
        check_same(first, sqlite_description);
    }
    store_close(store);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add_unopened("/schema/goes_up_down_up", goes_up_down_up);
    int status = g_test_run();
    g_free(sqlite_description);
    return status;
}
