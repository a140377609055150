/* Rows in and out, the same on both databases. */
#include <string.h>

#include "fixture.h"

#define LARGE_TEXT_BYTES (1 << 20)

static void fill(struct item *item)
{
    item->is_public = 0;
    item->color = GREEN;
    item->created_us = 1795449600123456;
    item->pause_ms = 1500;
    item->memory_bytes = 256 << 20;
    item->cpu_millis = 500;
    item->part.path = g_strdup("/ä\"'\\\n€😀");
    item->part.interval_ms = 0;
    item->spare = contract_new(item_type.fields[10].type);
    item->spare->path = g_strdup("");
    item->parts = contract_array_new(item_type.fields[11].type);
    g_ptr_array_add(item->parts, contract_dup(item_type.fields[11].type, item->spare));
    item->words = g_strsplit("a,,b", ",", -1);
    item->env = string_map_new();
    string_map_set(item->env, "KEY", "{}'$1");
    item->by_name = struct_map_new(item_type.fields[14].type);
    struct_map_set_take(item->by_name, "x", contract_dup(item_type.fields[14].type, item->spare));
    item->raw = g_strdup("{\"a\": [1, null]}");
}

struct get_unit {
    const char *id;
    void *item;
};

static bool get_item(struct tx *tx, void *arg, GError **error)
{
    struct get_unit *unit = arg;
    return tx_get(tx, &item_type, &unit->item, "SELECT {i.} FROM items i WHERE i.id = $1", PARAMS(P_TEXT(unit->id)),
                  error);
}

static struct item *fetch(struct store *store, const char *id)
{
    g_autoptr(GError) error = NULL;
    struct get_unit unit = {.id = id};
    g_assert_true(store_read(store, "get_item", get_item, &unit, &error));
    g_assert_no_error(error);
    return unit.item;
}

static void check_round_trip(struct store *store, struct item *item)
{
    g_autoptr(GError) error = NULL;
    bool ok = store_write(store, "insert", insert_item, item, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    struct item *found = fetch(store, item->id);
    g_assert_nonnull(found);
    g_auto(GStrv) differing = contract_diff(&item_type, item, found);
    g_autofree char *names = g_strjoinv(" ", differing);
    g_assert_cmpstr(names, ==, "");
    contract_free(&item_type, found);
    contract_free(&item_type, item);
}

static void gives_back_every_kind(struct fixture *fixture)
{
    struct item *item = item_new("full", "full", 7);
    fill(item);
    check_round_trip(fixture->store, item);
}

static void gives_back_absent_fields(struct fixture *fixture)
{
    check_round_trip(fixture->store, item_new("bare", "bare", CONTRACT_ABSENT));
    g_autofree char *text =
        fixture_get(fixture, "SELECT count(*) FROM items WHERE color IS NULL AND raw IS NULL AND "
                             "spare IS NULL AND env IS NULL AND is_public IS NULL AND count IS NULL");
    g_assert_cmpstr(text, ==, "1");
}

static void gives_back_extremes(struct fixture *fixture)
{
    check_round_trip(fixture->store, item_new("max", "", INT64_MAX));
    struct item *item = item_new("large", "large", 0);
    item->raw = g_malloc(LARGE_TEXT_BYTES + 1);
    memset(item->raw, '1', LARGE_TEXT_BYTES);
    item->raw[LARGE_TEXT_BYTES] = '\0';
    check_round_trip(fixture->store, item);
}

static bool update_item(struct tx *tx, void *item, GError **error)
{
    return tx_update(tx, &item_type, item, error);
}

static void updates_by_id(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    put_item(fixture->store, "a", "first", 1);
    put_item(fixture->store, "b", "second", 2);
    struct item *item = item_new("a", "renamed", 5);
    fill(item);
    g_assert_true(store_write(fixture->store, "update", update_item, item, &error));
    struct item *found = fetch(fixture->store, "a");
    g_assert_true(contract_equal(&item_type, item, found));
    contract_free(&item_type, found);
    found = fetch(fixture->store, "b");
    g_assert_cmpstr(found->name, ==, "second");
    contract_free(&item_type, found);

    g_free(item->id);
    item->id = g_strdup("nobody");
    g_assert_false(store_write(fixture->store, "update", update_item, item, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_FOUND);
    contract_free(&item_type, item);
}

static void gives_null_for_no_row(struct fixture *fixture)
{
    g_assert_null(fetch(fixture->store, "nobody"));
}

static bool get_two(struct tx *tx, void *arg, GError **error)
{
    return tx_get(tx, &item_type, arg, "SELECT {} FROM items", NO_PARAMS, error);
}

static void refuses_second_row(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    void *item = NULL;
    put_item(fixture->store, "a", "a", 1);
    put_item(fixture->store, "b", "b", 1);
    g_assert_false(store_read(fixture->store, "get_two", get_two, &item, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
    g_assert_null(item);
}

static bool list_items(struct tx *tx, void *arg, GError **error)
{
    return tx_list(tx, &item_type, arg, "SELECT {} FROM items WHERE count >= $2 AND id <> $1 ORDER BY count DESC",
                   PARAMS(P_TEXT("b"), P_INT(2)), error);
}

static void lists_in_order(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) items = NULL;
    g_assert_true(store_read(fixture->store, "list", list_items, &items, &error));
    g_assert_cmpuint(items->len, ==, 0);
    g_clear_pointer(&items, g_ptr_array_unref);
    put_item(fixture->store, "a", "a", 1);
    put_item(fixture->store, "b", "b", 2);
    put_item(fixture->store, "c", "c", 3);
    put_item(fixture->store, "d", "d", 4);
    g_assert_true(store_read(fixture->store, "list", list_items, &items, &error));
    g_assert_cmpuint(items->len, ==, 2);
    g_assert_cmpstr(((struct item *)items->pdata[0])->id, ==, "d");
    g_assert_cmpstr(((struct item *)items->pdata[1])->id, ==, "c");
}

/* Each unit below checks several statements; the array of answers is compared as text. */
static bool note_row(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    GString *text = arg;
    for (size_t i = 0; i < n_values; i++) {
        const char *separator = i > 0 ? " " : "";
        if (values[i].kind == SQL_INT) {
            g_string_append_printf(text, "%si%" G_GINT64_FORMAT, separator, values[i].integer);
        } else if (values[i].kind == SQL_TEXT) {
            g_string_append_printf(text, "%st%s", separator, values[i].text);
        } else {
            g_string_append_printf(text, "%s-", separator);
        }
    }
    g_string_append_c(text, '|');
    return true;
}

struct note_unit {
    const char *text;
    const struct sql_value *parameters;
    size_t n_parameters;
    GString *rows;
};

static bool note_rows(struct tx *tx, void *arg, GError **error)
{
    struct note_unit *unit = arg;
    g_string_truncate(unit->rows, 0);
    return tx_query(tx, unit->text, unit->parameters, unit->n_parameters, note_row, unit->rows, error);
}

static void check_rows(struct fixture *fixture, const char *expected, const char *text,
                       const struct sql_value *parameters, size_t n_parameters)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) rows = g_string_new(NULL);
    struct note_unit unit = {text, parameters, n_parameters, rows};
    bool ok = store_write(fixture->store, "note", note_rows, &unit, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpstr(rows->str, ==, expected);
}

static void types_results_alike(struct fixture *fixture)
{
    put_item(fixture->store, "a", "x", 3);
    put_item(fixture->store, "b", "y", CONTRACT_ABSENT);
    check_rows(fixture, "i3 - i2 i3|", "SELECT sum(count), max(memory), count(*), max(count) FROM items", NO_PARAMS);
    check_rows(fixture, "tx i1 i0|", "SELECT name, count = 3, count > 3 FROM items WHERE id = 'a'", NO_PARAMS);
    check_rows(fixture, "tlit {} $1 i5 - t{}|", "SELECT 'lit {} $1', $1 + 1, CAST($2 AS TEXT), CAST('{}' AS TEXT)",
               PARAMS(P_INT(4), P_NULL));
    check_rows(fixture, "ta|", "SELECT id FROM items WHERE (CAST($1 AS TEXT) IS NULL OR id = $1) AND count = $2",
               PARAMS(P_NULL, P_INT(3)));
    check_rows(fixture, "ta|", "SELECT id FROM items WHERE (CAST($1 AS TEXT) IS NULL OR id = $1) AND count = $2",
               PARAMS(P_TEXT("a"), P_INT(3)));
    check_rows(fixture, "tb|", "SELECT id FROM items WHERE name = $3 AND id = $1 AND $1 <> $2",
               PARAMS(P_TEXT("b"), P_TEXT("q"), P_TEXT("y")));
}

static void returns_and_upserts_alike(struct fixture *fixture)
{
    const char *upsert = "INSERT INTO items (id, name, count) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE "
                         "SET count = items.count + excluded.count RETURNING id, count";
    check_rows(fixture, "ta i2|", upsert, PARAMS(P_TEXT("a"), P_TEXT("n"), P_INT(2)));
    check_rows(fixture, "ta i5|", upsert, PARAMS(P_TEXT("a"), P_TEXT("n"), P_INT(3)));
    check_rows(fixture, "ta -|", "UPDATE items SET count = $2 WHERE id = $1 RETURNING id, count",
               PARAMS(P_TEXT("a"), P_NULL));
    check_rows(fixture, "", "UPDATE items SET count = 1 WHERE id = $1 RETURNING id", PARAMS(P_TEXT("z")));
    check_rows(fixture, "", "INSERT INTO items (id, name) VALUES ('a', 'n') ON CONFLICT DO NOTHING RETURNING id",
               NO_PARAMS);
    check_rows(fixture, "ta tn|", "DELETE FROM items WHERE id = $1 RETURNING id, name", PARAMS(P_TEXT("a")));
}

struct changed_unit {
    const char *text;
    int64_t n;
};

static bool exec_changed(struct tx *tx, void *arg, GError **error)
{
    struct changed_unit *unit = arg;
    return tx_exec(tx, unit->text, NO_PARAMS, &unit->n, error);
}

static void counts_changed_rows(struct fixture *fixture)
{
    static const struct changed_unit cases[] = {
        {"INSERT INTO items (id, name) VALUES ('a', 'a'), ('b', 'b'), ('c', 'c')", 3},
        {"SELECT id FROM items", 0},
        {"UPDATE items SET count = 1 WHERE id <> 'a'", 2},
        {"UPDATE items SET count = 1", 3},
        {"UPDATE items SET count = 1 WHERE id = 'q'", 0},
        {"INSERT INTO items (id, name) VALUES ('a', 'a') ON CONFLICT DO NOTHING", 0},
        {"DELETE FROM items WHERE id = 'a'", 1},
        {"CREATE TABLE more (id TEXT)", 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct changed_unit unit = {cases[i].text, -1};
        g_test_message("%s", unit.text);
        g_assert_true(store_write(fixture->store, "changed", exec_changed, &unit, &error));
        g_assert_cmpint(unit.n, ==, cases[i].n);
    }
}

static void maps_errors_alike(struct fixture *fixture)
{
    static const struct {
        const char *text;
        enum sy_code code;
    } cases[] = {
        {"INSERT INTO items (id, name) VALUES ('a', 'other')", SY_ALREADY_EXISTS},
        {"INSERT INTO items (id, name) VALUES ('b', 'a')", SY_ALREADY_EXISTS},
        {"INSERT INTO items (id, name, count) VALUES ('c', 'c', -1)", SY_CONFLICT},
        {"INSERT INTO items (id) VALUES ('d')", SY_CONFLICT},
        {"INSERT INTO links (id, item_id) VALUES (1, 'nobody')", SY_CONFLICT},
        {"INSERT INTO links (id, item_id, late_id) VALUES (1, 'a', 'nobody')", SY_CONFLICT}, /* at COMMIT */
        {"DELETE FROM items", SY_CONFLICT},
        {"SELECT nothing FROM items", SY_STORE_FAILED},
        {"SELECT 1; SELECT 2", SY_STORE_FAILED},
        {"SELECT 'open", SY_STORE_FAILED},
        {"SELECT {} FROM items", SY_STORE_FAILED}, /* no row type */
        {"SELECT $1", SY_STORE_FAILED},            /* no parameter */
    };
    fixture_execute(fixture, "INSERT INTO items (id, name) VALUES ('a', 'a')");
    fixture_execute(fixture, "INSERT INTO links (id, item_id) VALUES (9, 'a')");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", cases[i].text);
        g_assert_false(store_write(fixture->store, "bad", exec_text, (void *)cases[i].text, &error));
        g_assert_error(error, SY_ERROR, (int)cases[i].code);
        g_assert_false(store_fatal(fixture->store));
    }
    g_assert_cmpint(count_items(fixture->store), ==, 1);
}

static void refuses_other_result_types(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) rows = g_string_new(NULL);
    struct note_unit unit = {"SELECT 1.5 FROM items", NULL, 0, rows};
    put_item(fixture->store, "a", "a", 1);
    g_assert_false(store_read(fixture->store, "note", note_rows, &unit, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
}

static void refuses_text_that_is_not_utf8(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct item *item = item_new("a", "\xff\xfe", 1);
    g_assert_false(store_write(fixture->store, "insert", insert_item, item, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
    contract_free(&item_type, item);
}

static bool swallow_failure(struct tx *tx, void *arg, GError **error)
{
    g_autoptr(GError) swallowed = NULL;
    bool ok = tx_exec(tx, "INSERT INTO items (id, name) VALUES ('b', 'b')", NO_PARAMS, NULL, error);
    g_assert_true(ok);
    g_assert_false(tx_exec(tx, "INSERT INTO items (id, name) VALUES ('a', 'a')", NO_PARAMS, NULL, &swallowed));
    g_assert_error(swallowed, SY_ERROR, SY_ALREADY_EXISTS);
    g_clear_error(&swallowed);
    g_assert_false(tx_exec(tx, "INSERT INTO items (id, name) VALUES ('c', 'c')", NO_PARAMS, NULL, &swallowed));
    g_assert_error(swallowed, SY_ERROR, SY_STORE_FAILED);
    return true;
}

static void failed_statement_ends_the_unit(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    put_item(fixture->store, "a", "a", 1);
    g_assert_false(store_write(fixture->store, "swallow", swallow_failure, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_ALREADY_EXISTS);
    g_assert_cmpint(count_items(fixture->store), ==, 1);
}

static bool insert_then_refuse(struct tx *tx, void *item, GError **error)
{
    return tx_insert(tx, &item_type, item, error) && sy_fail(error, SY_NOT_ALLOWED, "no");
}

static void function_that_fails_rolls_back(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct item *item = item_new("a", "a", 1);
    g_assert_false(store_write(fixture->store, "refuse", insert_then_refuse, item, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_ALLOWED);
    g_assert_cmpint(count_items(fixture->store), ==, 0);
    contract_free(&item_type, item);
}

static void writing_in_a_read_is_an_error(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    struct item *item = item_new("a", "a", 1);
    g_assert_false(store_read(fixture->store, "write", insert_item, item, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
    g_assert_cmpint(count_items(fixture->store), ==, 0);
    contract_free(&item_type, item);
}

static bool get_texts(struct tx *tx, void *arg, GError **error)
{
    char **texts = arg;
    int64_t number = 0;
    return tx_get_text(tx, &texts[0], "SELECT name FROM items WHERE id = 'a'", NO_PARAMS, error) &&
           tx_get_text(tx, &texts[1], "SELECT color FROM items WHERE id = 'a'", NO_PARAMS, error) &&
           tx_get_text(tx, &texts[2], "SELECT name FROM items WHERE id = 'q'", NO_PARAMS, error) &&
           tx_get_int(tx, -7, &number, "SELECT memory FROM items WHERE id = 'a'", NO_PARAMS, error) && number == -7 &&
           tx_get_int(tx, -7, &number, "SELECT count FROM items WHERE id = 'q'", NO_PARAMS, error) && number == -7 &&
           tx_get_int(tx, -7, &number, "SELECT count FROM items WHERE id = 'a'", NO_PARAMS, error) && number == 1;
}

static void gets_single_values(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    char *texts[3] = {NULL};
    put_item(fixture->store, "a", "name", 1);
    bool ok = store_read(fixture->store, "texts", get_texts, texts, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpstr(texts[0], ==, "name");
    g_assert_null(texts[1]);
    g_assert_null(texts[2]);
    g_free(texts[0]);
}

static bool get_now(struct tx *tx, void *arg, GError **error)
{
    return tx_now(tx, arg, error);
}

static void tells_the_time(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    int64_t before_us = g_get_real_time();
    int64_t now_us = 0;
    g_assert_true(store_read(fixture->store, "now", get_now, &now_us, &error));
    g_assert_cmpint(now_us, >=, before_us - 1);
    g_assert_cmpint(now_us, <=, g_get_real_time() + 1);
    g_assert_true(store_ping(fixture->store, &error));
}

static bool start_another(struct tx *tx, void *store, GError **error)
{
    return store_write(store, "inner", exec_text, (void *)"SELECT 1", error);
}

static void nesting_is_refused(struct fixture *fixture)
{
    if (g_test_subprocess()) {
        g_log_set_always_fatal(G_LOG_FATAL_MASK);
        g_autoptr(GError) error = NULL;
        g_assert_false(store_write(fixture->store, "outer", start_another, fixture->store, &error));
        g_assert_error(error, SY_ERROR, SY_INTERNAL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*inner was started inside another unit of work*");
}

static bool exec_distinct(struct tx *tx, void *arg, GError **error)
{
    int64_t n = 0;
    for (int i = 0; i < 300; i++) {
        g_autofree char *text = g_strdup_printf("SELECT %d + count(*) FROM items", *(int *)arg + i);
        if (!tx_get_int(tx, 0, &n, text, NO_PARAMS, error)) {
            return false;
        }
    }
    return true;
}

static void forgets_statements_beyond_the_limit(struct fixture *fixture)
{
    for (int i = 0; i < 4; i++) {
        g_autoptr(GError) error = NULL;
        int first = i * 300;
        g_assert_true(store_write(fixture->store, "distinct", exec_distinct, &first, &error));
        g_assert_true(store_read(fixture->store, "distinct", exec_distinct, &first, &error));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add("/rows/gives_back_every_kind", gives_back_every_kind, NULL);
    fixture_add("/rows/gives_back_absent_fields", gives_back_absent_fields, NULL);
    fixture_add("/rows/gives_back_extremes", gives_back_extremes, NULL);
    fixture_add("/rows/updates_by_id", updates_by_id, NULL);
    fixture_add("/rows/gives_null_for_no_row", gives_null_for_no_row, NULL);
    fixture_add("/rows/refuses_second_row", refuses_second_row, NULL);
    fixture_add("/rows/lists_in_order", lists_in_order, NULL);
    fixture_add("/rows/types_results_alike", types_results_alike, NULL);
    fixture_add("/rows/returns_and_upserts_alike", returns_and_upserts_alike, NULL);
    fixture_add("/rows/counts_changed_rows", counts_changed_rows, NULL);
    fixture_add("/rows/maps_errors_alike", maps_errors_alike, NULL);
    fixture_add("/rows/refuses_other_result_types", refuses_other_result_types, NULL);
    fixture_add("/rows/refuses_text_that_is_not_utf8", refuses_text_that_is_not_utf8, NULL);
    fixture_add("/rows/failed_statement_ends_the_unit", failed_statement_ends_the_unit, NULL);
    fixture_add("/rows/function_that_fails_rolls_back", function_that_fails_rolls_back, NULL);
    fixture_add("/rows/writing_in_a_read_is_an_error", writing_in_a_read_is_an_error, NULL);
    fixture_add("/rows/gets_single_values", gets_single_values, NULL);
    fixture_add("/rows/tells_the_time", tells_the_time, NULL);
    fixture_add("/rows/nesting_is_refused", nesting_is_refused, NULL);
    fixture_add("/rows/forgets_statements_beyond_the_limit", forgets_statements_beyond_the_limit, NULL);
    return g_test_run();
}
