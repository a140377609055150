/* Rows that do not fit their type, as a damaged disk, another version or a hand may leave them; units that are wrong; and
 * migrations that are none. What is not right is refused by name, and nothing else is taken along. */
#include <string.h>

#include "base/file.h"
#include "fixture.h"

/* --- rows -------------------------------------------------------------------------------------------------------------------- */

static bool get_item(struct tx *tx, void *arg, GError **error)
{
    return tx_get(tx, &item_type, arg, "SELECT {} FROM items WHERE id = 'a'", NO_PARAMS, error);
}

static bool list_items(struct tx *tx, void *arg, GError **error)
{
    return tx_list(tx, &item_type, arg, "SELECT {} FROM items ORDER BY id", NO_PARAMS, error);
}

static bool get_other(struct tx *tx, void *arg, GError **error)
{
    return tx_get(tx, &item_type, arg, "SELECT {} FROM items WHERE id = 'b'", NO_PARAMS, error);
}

static void refuse_read(struct store *store, store_fn fn, void *arg, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(store_read(store, "unit", fn, arg, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
    g_assert_true(g_str_has_prefix(error->message, "unit: "));
    if (strstr(error->message, words) == NULL) {
        g_error("expected \"%s\" in \"%s\"", words, error->message);
    }
    g_assert_false(store_fatal(store));
}

static void damaged_rows_are_refused_and_others_read(struct fixture *fixture)
{
    static const struct {
        const char *change;
        const char *words;
    } cases[] = {
        {"color = 'purple'", "stored value: color: must be one of"},
        {"part = '{\"path\":'", "column part holds no JSON"},
        {"part = ''", "column part holds no JSON"},
        {"parts = '{}'", "stored value: parts: must be a list"},
        {"words = '[1]'", "stored value: words[0]: must be a string"},
        {"env = '[]'", "stored value: env: must be a map of names to strings"},
        {"by_name = '7'", "stored value: by_name: must be a map"},
        {"spare = '[]'", "stored value: spare: must be"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        void *item = NULL;
        GPtrArray *items = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *update = g_strdup_printf("UPDATE items SET %s WHERE id = 'a'", cases[i].change);
        fixture_execute(fixture, "DELETE FROM items");
        put_item(fixture->store, "a", "first", 1);
        put_item(fixture->store, "b", "second", 2);
        fixture_execute(fixture, update);
        refuse_read(fixture->store, get_item, &item, cases[i].words);
        g_assert_null(item);
        refuse_read(fixture->store, list_items, &items, cases[i].words);
        g_assert_null(items);
        g_assert_true(store_read(fixture->store, "other", get_other, &item, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(((struct item *)item)->name, ==, "second");
        contract_free(&item_type, item);
    }
}

/* SQLite alone lets any column hold any value. */
static void values_of_another_kind_are_refused(struct fixture *fixture)
{
    void *item = NULL;
    put_item(fixture->store, "a", "first", 1);
    fixture_execute(fixture, "UPDATE items SET created_at = 'yesterday'");
    refuse_read(fixture->store, get_item, &item, "column created_at holds a value of the wrong type");
    g_assert_null(item);
    fixture_execute(fixture, "UPDATE items SET created_at = 1, is_public = x'00'");
    refuse_read(fixture->store, get_item, &item, "is_public");
    g_assert_null(item);
}

/* --- units that are wrong ---------------------------------------------------------------------------------------------------- */

static bool get_too_few(struct tx *tx, void *arg, GError **error)
{
    return tx_get(tx, &item_type, arg, "SELECT id, name FROM items", NO_PARAMS, error);
}

static bool list_too_few(struct tx *tx, void *arg, GError **error)
{
    return tx_list(tx, &item_type, arg, "SELECT id, name FROM items", NO_PARAMS, error);
}

static bool get_text_as_number(struct tx *tx, void *arg, GError **error)
{
    return tx_get_int(tx, 0, arg, "SELECT name FROM items", NO_PARAMS, error);
}

static bool get_number_as_text(struct tx *tx, void *arg, GError **error)
{
    return tx_get_text(tx, arg, "SELECT count FROM items", NO_PARAMS, error);
}

static bool get_text_of_nothing(struct tx *tx, void *arg, GError **error)
{
    return tx_get_text(tx, arg, "SELECT nothing FROM items", NO_PARAMS, error);
}

static void results_of_another_shape_are_refused(struct fixture *fixture)
{
    void *item = NULL;
    GPtrArray *items = NULL;
    char *text = NULL;
    int64_t number = 77;
    put_item(fixture->store, "a", "first", 1);
    refuse_read(fixture->store, get_too_few, &item, "statement gives 2 columns, Item has 16");
    g_assert_null(item);
    refuse_read(fixture->store, list_too_few, &items, "statement gives 2 columns, Item has 16");
    g_assert_null(items);
    refuse_read(fixture->store, get_text_as_number, &number, "statement gives text where a number was expected");
    g_assert_cmpint(number, ==, 77);
    refuse_read(fixture->store, get_number_as_text, &text, "statement gives a number where text was expected");
    refuse_read(fixture->store, get_text_of_nothing, &text, "nothing");
    g_assert_null(text);
}

static bool insert_then_fail_silently(struct tx *tx, void *item, GError **error)
{
    return insert_item(tx, item, error) && false;
}

static void a_unit_that_fails_without_a_word_is_rolled_back(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct item *item = item_new("a", "first", 1);
    struct store_stats before, after;
    store_stats(fixture->store, &before);
    g_assert_false(store_write(fixture->store, "unit", insert_then_fail_silently, item, &error));
    g_assert_error(error, SY_ERROR, SY_INTERNAL);
    g_assert_cmpstr(error->message, ==, "a unit of work failed without saying why");
    g_assert_cmpint(count_items(fixture->store), ==, 0);
    store_stats(fixture->store, &after);
    g_assert_cmpint(after.failures, ==, before.failures + 1);
    contract_free(&item_type, item);
}

/* --- migrations -------------------------------------------------------------------------------------------------------------- */

static void refuse_migration(struct store *store, const char *words)
{
    g_autoptr(GError) error = NULL;
    struct migration_status status;
    g_assert_false(store_migrate(store, -1, false, &error));
    if (strstr(error->message, words) == NULL) {
        g_error("expected \"%s\" in \"%s\"", words, error->message);
    }
    g_autoptr(GError) asking = NULL;
    g_assert_false(store_migrate_status(store, &status, &asking)); /* nor is a number told that may be wrong */
}

static void put_file(const struct fixture *fixture, const char *name, const char *bytes, size_t length)
{
    g_autofree char *path =
        g_build_filename(fixture->migrations, fixture->dialect == STORE_SQLITE ? "sqlite" : "postgresql", name, NULL);
    g_assert_true(file_replace(path, bytes, length, 0600, NULL));
}

static void remove_file(const struct fixture *fixture, const char *name)
{
    g_autofree char *path =
        g_build_filename(fixture->migrations, fixture->dialect == STORE_SQLITE ? "sqlite" : "postgresql", name, NULL);
    g_assert_true(folder_remove(path, NULL));
}

static void files_that_are_no_migrations_are_refused(struct fixture *fixture)
{
    fixture_write_migration(fixture, "0001_first.up.sql", "CREATE TABLE t1 (id TEXT);\n");
    struct store *store = fixture_open(fixture, NULL);
    put_file(fixture, "0002_second.up.sql", "CREATE TABLE \xff\xfe (id TEXT);\n", 28);
    refuse_migration(store, "0002_second.up.sql is not UTF-8 text");
    put_file(fixture, "0002_second.up.sql", "SELECT 1;\0DROP TABLE t1;", 24);
    refuse_migration(store, "0002_second.up.sql is not UTF-8 text");
    g_autofree char *huge = g_strnfill((4 << 20) + 1, ' ');
    put_file(fixture, "0002_second.up.sql", huge, (4 << 20) + 1);
    refuse_migration(store, "0002_second.up.sql is larger than 4194304 bytes");
    remove_file(fixture, "0002_second.up.sql");
    g_autofree char *folder = g_build_filename(
        fixture->migrations, fixture->dialect == STORE_SQLITE ? "sqlite" : "postgresql", "0002_second.up.sql", NULL);
    g_assert_true(folder_ensure(folder, 0700, NULL));
    refuse_migration(store, "0002_second.up.sql: Is a directory");
    remove_file(fixture, "0002_second.up.sql");
    put_file(fixture, "1_again.up.sql", "SELECT 1;", 9);
    refuse_migration(store, "have the same version");
    remove_file(fixture, "1_again.up.sql");
    g_autofree char *exists =
        fixture_get(fixture, fixture->dialect == STORE_SQLITE
                                 ? "SELECT count(*) FROM sqlite_master WHERE name = 't1'"
                                 : "SELECT count(*) FROM pg_tables WHERE tablename = 't1' AND schemaname = "
                                   "current_schema()");
    g_assert_cmpstr(exists, ==, "0"); /* not even the first, which is right */
    g_autoptr(GError) error = NULL;
    bool ok = store_migrate(store, -1, false, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    store_close(store);
}

static void files_that_are_no_migrations_are_passed_over(struct fixture *fixture)
{
    static const char *const names[] = {"README.md", "0001_first.sql", "first.up.sql.orig"};
    struct migration_status status;
    g_autoptr(GError) error = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        fixture_write_migration(fixture, names[i], "this is no SQL");
    }
    struct store *store = fixture_open(fixture, NULL);
    g_assert_true(store_migrate(store, -1, false, &error));
    g_assert_no_error(error);
    g_assert_true(store_migrate_status(store, &status, &error));
    g_assert_cmpint(status.current, ==, 0);
    g_assert_cmpint(status.latest, ==, 0);
    store_close(store);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add("/damaged/damaged_rows_are_refused_and_others_read", damaged_rows_are_refused_and_others_read, NULL);
    fixture_add_on(STORE_SQLITE, "/damaged/values_of_another_kind_are_refused", values_of_another_kind_are_refused,
                   NULL);
    fixture_add("/damaged/results_of_another_shape_are_refused", results_of_another_shape_are_refused, NULL);
    fixture_add("/damaged/a_unit_that_fails_without_a_word_is_rolled_back",
                a_unit_that_fails_without_a_word_is_rolled_back, NULL);
    fixture_add_unopened("/damaged/files_that_are_no_migrations_are_refused", files_that_are_no_migrations_are_refused);
    fixture_add_unopened("/damaged/files_that_are_no_migrations_are_passed_over",
                         files_that_are_no_migrations_are_passed_over);
    return g_test_run();
}
