/* The schema that ships: both dialects go up, down and up again, and name the same tables and columns. */
#include <string.h>

#include "fixture.h"
#include "store/scope_sql.h"

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

static bool note_text(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    for (size_t i = 0; i < n_values; i++) {
        if (values[i].kind == SQL_TEXT) {
            g_string_append_printf(arg, "%s\n", values[i].text);
        }
    }
    return true;
}

struct explanation {
    const char *query;
    GString *plan;
};

static bool explain(struct tx *tx, void *arg, GError **error)
{
    const struct explanation *explanation = arg;
    g_autofree char *text =
        g_strconcat(tx_dialect(tx) == STORE_SQLITE ? "EXPLAIN QUERY PLAN " : "EXPLAIN ", explanation->query, NULL);
    g_string_truncate(explanation->plan, 0);
    return tx_query(tx, text, PARAMS(P_TEXT("o"), P_NULL, P_INT(4990), P_INT(21)), note_text, explanation->plan, error);
}

/* `index`: what it is read along. SQLite says SEARCH for that, and SCAN for all rows. */
static void check_plan(struct store *store, const char *query, const char *index)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) plan = g_string_new(NULL);
    struct explanation explanation = {.query = query, .plan = plan};
    bool ok = store_read(store, "explain", explain, &explanation, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_test_message("%s", plan->str);
    g_assert_nonnull(strstr(plan->str, index));
    g_assert_null(strstr(plan->str, "Seq Scan"));
    g_assert_null(strstr(plan->str, "SCAN"));
}

/* With thousands of rows; PostgreSQL knows of them as soon as it has counted. */
static void lists_are_read_along_their_index(struct fixture *fixture)
{
    struct store *store = open_shipped(fixture);
    migrate_to(store, -1);
    fixture_execute(fixture, "INSERT INTO organizations (id, name, slug, created_at) VALUES ('o', 'o', 'o', 0);\n"
                             "INSERT INTO projects (id, organization_id, name, slug, created_at)\n"
                             "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)\n"
                             "SELECT 'p' || i, 'o', 'p', 'p' || i, 0 FROM n;\n"
                             "INSERT INTO environments (id, organization_id, project_id, name, created_at)\n"
                             "SELECT 'e' || id, 'o', id, 'production', 0 FROM projects;\n"
                             "INSERT INTO events (id, organization_id, type, created_at)\n"
                             "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)\n"
                             "SELECT i, 'o', 'project.created', 0 FROM n;\n"
                             "ANALYZE;\n");
    check_plan(store,
               "SELECT name FROM projects WHERE deleted_at IS NULL AND " IN_SCOPE("$1", "$2", "id") " AND " PAGE(
                   "CAST($3 AS TEXT)", "$4"),
               "projects_page");
    check_plan(store,
               "SELECT type FROM events WHERE organization_id = $1 AND (CAST($2 AS TEXT) IS NULL OR project_id = $2) "
               "AND id > $3 ORDER BY id LIMIT $4",
               fixture->dialect == STORE_SQLITE ? "INTEGER PRIMARY KEY" : "events_pkey");
    /* Few rows of many, in an order that the primary key has too: they are found first, and sorted. */
    check_plan(store,
               "SELECT name, $3 + $4 FROM environments WHERE project_id = $1 AND deleted_at IS NULL AND "
               "(CAST($2 AS TEXT) IS NULL OR name = $2) ORDER BY id",
               "environments_name");
    store_close(store);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add_unopened("/schema/goes_up_down_up", goes_up_down_up);
    fixture_add_unopened("/schema/lists_are_read_along_their_index", lists_are_read_along_their_index);
    int status = g_test_run();
    g_free(sqlite_description);
    return status;
}
