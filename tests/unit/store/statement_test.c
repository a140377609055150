/* Statement text: what {} and {alias.} become, and what is left alone. */
#include "store/statement.h"

#include "fixture.h"

struct pair {
    char *id;
    char *name;
    int64_t n;
};
static const struct field pair_fields[] = {
    {.name = "id", .kind = KIND_STRING, .offset = offsetof(struct pair, id)},
    {.name = "name", .kind = KIND_STRING, .offset = offsetof(struct pair, name)},
    {.name = "computed", .kind = KIND_INT, .offset = offsetof(struct pair, n), .flags = FIELD_NO_COLUMN},
};
static const struct type pair_type = {.name = "Pair",
                                      .table = "pairs",
                                      .size = sizeof(struct pair),
                                      .fields = pair_fields,
                                      .n_fields = G_N_ELEMENTS(pair_fields)};
static const struct type only_id_type = {
    .name = "OnlyId", .table = "ids", .size = sizeof(struct pair), .fields = pair_fields, .n_fields = 1};
static const struct type no_table_type = {
    .name = "NoTable", .size = sizeof(struct pair), .fields = pair_fields, .n_fields = 2};

static void check(enum statement_form form, const char *text, const struct type *type, const char *expected, size_t n)
{
    g_autoptr(GError) error = NULL;
    const struct statement_source source = {.form = form, .text = text, .type = type};
    size_t n_parameters = 99;
    g_autofree char *sql = statement_expand(&source, &n_parameters, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(sql, ==, expected);
    g_assert_cmpuint(n_parameters, ==, n);
}

static void check_refused(enum statement_form form, const char *text, const struct type *type)
{
    g_autoptr(GError) error = NULL;
    const struct statement_source source = {.form = form, .text = text, .type = type};
    size_t n_parameters = 0;
    g_assert_null(statement_expand(&source, &n_parameters, &error));
    g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
}

static void expands_columns(void)
{
    check(STATEMENT_TEXT, "SELECT {} FROM pairs", &pair_type, "SELECT id, name FROM pairs", 0);
    check(STATEMENT_TEXT, "SELECT {p.}, {q_2.} FROM t WHERE a = $2 OR b = $11", &pair_type,
          "SELECT p.id, p.name, q_2.id, q_2.name FROM t WHERE a = $2 OR b = $11", 11);
    check(STATEMENT_TEXT, "", NULL, "", 0);
}

static void leaves_quotes_and_comments_alone(void)
{
    check(STATEMENT_TEXT, "SELECT '{} $9 ''{}''', \"{}$8\", $1 -- {} $7 '\n, {}", &pair_type,
          "SELECT '{} $9 ''{}''', \"{}$8\", $1 -- {} $7 '\n, id, name", 1);
    check(STATEMENT_TEXT, "SELECT 1 --", NULL, "SELECT 1 --", 0);
    check(STATEMENT_TEXT, "DO $$ BEGIN NULL; END $$", NULL, "DO $$ BEGIN NULL; END $$", 0);
}

static void builds_insert_and_update(void)
{
    check(STATEMENT_INSERT, NULL, &pair_type, "INSERT INTO pairs (id, name) VALUES ($1, $2)", 2);
    check(STATEMENT_UPDATE, NULL, &pair_type, "UPDATE pairs SET name = $1 WHERE id = $2", 2);
}

static void refuses_what_makes_no_sense(void)
{
    check_refused(STATEMENT_TEXT, "SELECT {}", NULL);
    check_refused(STATEMENT_TEXT, "SELECT {p}", &pair_type);
    check_refused(STATEMENT_TEXT, "SELECT {P.}", &pair_type);
    check_refused(STATEMENT_TEXT, "SELECT {", &pair_type);
    check_refused(STATEMENT_TEXT, "SELECT 'open", &pair_type);
    check_refused(STATEMENT_TEXT, "SELECT \"open", &pair_type);
    check_refused(STATEMENT_UPDATE, NULL, &only_id_type);
    check_refused(STATEMENT_INSERT, NULL, &no_table_type);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/statement/expands_columns", expands_columns);
    g_test_add_func("/statement/leaves_quotes_and_comments_alone", leaves_quotes_and_comments_alone);
    g_test_add_func("/statement/builds_insert_and_update", builds_insert_and_update);
    g_test_add_func("/statement/refuses_what_makes_no_sense", refuses_what_makes_no_sense);
    return g_test_run();
}
