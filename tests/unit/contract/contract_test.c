/* The type tables' own behaviour, on a type that has every kind. */
#include <glib.h>

#include "base/error.h"
#include "sample.h"

static void encode_then_decode_gives_the_same_object(void)
{
    struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
    g_assert_nonnull(object);
    g_clear_pointer(&object->token, g_free); /* write-only: does not come back */
    g_autofree char *text = contract_encode_text(&sample_type, object, ENCODE_PUBLIC);
    struct sample *again = contract_new(&sample_type);
    GError *error = NULL;
    bool ok = contract_decode_text(&sample_type, again, text, strlen(text), DECODE_STORED, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_auto(GStrv) differing = contract_diff(&sample_type, object, again);
    g_autofree char *names = g_strjoinv(",", differing);
    g_assert_cmpstr(names, ==, "");
    contract_object_free(object);
    contract_object_free(again);
}

static void defaults_are_filled_in(void)
{
    struct sample *object = sample_decode("{\"name\":\"web\"}", DECODE_CREATE, NULL);
    g_assert_cmpint(object->port, ==, 8080);
    g_assert_cmpint(object->is_public, ==, 1);
    g_assert_cmpint(object->health.interval_ms, ==, 5000);
    g_assert_cmpint(object->memory_bytes, ==, CONTRACT_ABSENT);
    contract_object_free(object);
}

static void findings_name_path_and_rule(void)
{
    GError *error = NULL;
    g_assert_null(sample_decode("{\"name\":\"Web\",\"port\":70000,\"prot\":1,\"list\":[{\"interval\":\"1ms\"}],"
                                "\"env\":{\"1A\":\"x\"},\"services\":{\"a_b\":{}}}",
                                DECODE_CREATE, &error));
    static const char *const expected[] = {"name", "port", "prot", "list[0].interval", "env.1A", "services.a_b"};
    const GPtrArray *issues = sy_error_issues(error);
    g_assert_cmpuint(issues->len, ==, G_N_ELEMENTS(expected));
    for (guint i = 0; i < issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(issues, i);
        g_assert_cmpstr(issue->path, ==, expected[i]);
    }
    const struct sy_issue *port = g_ptr_array_index(issues, 1);
    g_assert_cmpstr(port->detail, ==, "must be 1..65535");
    const struct sy_issue *unknown = g_ptr_array_index(issues, 2);
    g_assert_cmpstr(unknown->detail, ==, "is not known here; did you mean port?");
    g_error_free(error);
}

static void missing_required_member_is_named(void)
{
    GError *error = NULL;
    g_assert_null(sample_decode("{\"port\":1}", DECODE_CREATE, &error));
    g_assert_cmpstr(error->message, ==, "name: is missing");
    g_error_free(error);
}

static void patch_changes_only_what_is_named(void)
{
    struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
    GError *error = NULL;
    const char *patch = "{\"port\":9,\"memory\":null,\"health\":{\"interval\":\"3s\"},\"name\":\"web\"}";
    bool ok = contract_decode_text(&sample_type, object, patch, strlen(patch), DECODE_PATCH, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(object->port, ==, 9);
    g_assert_cmpint(object->memory_bytes, ==, CONTRACT_ABSENT);
    g_assert_cmpstr(object->health.path, ==, "/h");
    g_assert_cmpint(object->health.interval_ms, ==, 3000);
    g_assert_cmpstr(string_map_get(object->env, "A"), ==, "1");
    contract_object_free(object);
}

static void patch_refuses_an_immutable_change(void)
{
    struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
    GError *error = NULL;
    const char *patch = "{\"name\":\"other\"}";
    g_assert_false(contract_decode_text(&sample_type, object, patch, strlen(patch), DECODE_PATCH, &error));
    g_assert_cmpstr(error->message, ==, "name: cannot be changed after creation");
    g_assert_cmpstr(object->name, ==, "web");
    g_error_free(error);
    contract_object_free(object);
}

static void text_mode_reads_scalars_as_text(void)
{
    struct sample *object =
        sample_decode("{\"name\":\"web\",\"port\":\"none\",\"public\":\"false\"}", DECODE_TEXT, NULL);
    g_assert_nonnull(object);
    g_assert_cmpint(object->port, ==, 0);
    g_assert_cmpint(object->is_public, ==, 0);
    contract_object_free(object);
}

/* A worker has no port: what is stored says none, what the API replies says 0, and the command line reads that. */
static void what_none_means_is_read_back(void)
{
    struct sample *object = sample_decode("{\"name\":\"web\",\"port\":\"none\"}", DECODE_CREATE, NULL);
    for (int view = ENCODE_PUBLIC; view <= ENCODE_STORED; view++) {
        g_autofree char *text = contract_encode_text(&sample_type, object, (enum encode_view)view);
        GError *failure = NULL;
        struct sample *again = sample_decode(text, DECODE_STORED, &failure);
        g_assert_no_error(failure);
        g_assert_cmpint(again->port, ==, 0);
        contract_object_free(again);
    }
    GError *error = NULL;
    g_assert_null(sample_decode("{\"name\":\"web\",\"port\":0}", DECODE_CREATE, &error));
    g_assert_cmpstr(error->message, ==, "port: must be 1..65535");
    g_error_free(error);
    contract_object_free(object);
}

static void secret_and_internal_fields_are_never_encoded(void)
{
    struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
    object->revision = 7;
    for (int view = ENCODE_PUBLIC; view <= ENCODE_STORED; view++) {
        g_autofree char *text = contract_encode_text(&sample_type, object, (enum encode_view)view);
        g_assert_null(strstr(text, "hush"));
        g_assert_null(strstr(text, "revision"));
    }
    contract_object_free(object);
}

static void every_column_survives_the_database(void)
{
    struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
    object->created_us = 1700000000000000;
    struct sample *again = contract_new(&sample_type);
    for (size_t i = 0; i < contract_n_columns(&sample_type); i++) {
        const struct field *field = contract_column(&sample_type, i);
        struct sql_value value;
        contract_get_column(&sample_type, field, object, &value);
        g_assert_true(contract_set_column(&sample_type, field, again, &value, NULL));
        sql_value_clear(&value);
    }
    g_assert_true(contract_equal(&sample_type, object, again));
    contract_object_free(object);
    contract_object_free(again);
}

/* 3.0 is an integer to JSON Schema. */
static void whole_numbers_are_integers_however_written(void)
{
    struct sample *object = sample_decode("{\"name\":\"web\",\"port\":81.0}", DECODE_CREATE, NULL);
    g_assert_nonnull(object);
    g_assert_cmpint(object->port, ==, 81);
    contract_object_free(object);
    static const char *const others[] = {"81.5", "1e300", "-1e300", "9007199254740993.0", "0.0"};
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autofree char *text = g_strdup_printf("{\"name\":\"web\",\"port\":%s}", others[i]);
        g_assert_null(sample_decode(text, DECODE_CREATE, NULL));
    }
}

/* A later version may have stored names that this one does not know: they are read, and grant nothing. */
static void names_in_a_list_are_checked_unless_stored(void)
{
    struct sample *object = sample_decode("{\"name\":\"web\",\"scopes\":[\"auto\"]}", DECODE_CREATE, NULL);
    g_assert_nonnull(object);
    contract_object_free(object);
    const char *unknown = "{\"name\":\"web\",\"scopes\":[\"auto\",\"later\"]}";
    GError *error = NULL;
    g_assert_null(sample_decode(unknown, DECODE_CREATE, &error));
    g_assert_cmpstr(error->message, ==, "scopes[1]: must be one of auto, dockerfile");
    g_error_free(error);
    object = sample_decode(unknown, DECODE_STORED, NULL);
    g_assert_nonnull(object);
    g_assert_cmpstr(object->scopes[1], ==, "later");
    contract_object_free(object);
}

static void hostile_json_is_refused(void)
{
    g_autoptr(GString) deep = g_string_new(NULL);
    for (int i = 0; i < 40; i++) {
        g_string_append_c(deep, '[');
    }
    for (int i = 0; i < 40; i++) {
        g_string_append_c(deep, ']');
    }
    const char *const texts[] = {
        deep->str, "{\"name\":\"a\",\"name\":\"b\"}", "{\"name\":\"\\u0000\"}", "", "[1", "{\"name\":\"\xff\"}"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        GError *error = NULL;
        g_assert_null(sample_decode(texts[i], DECODE_CREATE, &error));
        g_assert_cmpint((int)sy_error_code(error), ==, SY_INVALID_JSON);
        g_error_free(error);
    }
}

static void schema_is_valid_json_and_lists_members(void)
{
    for (int use = SCHEMA_REPLY; use <= SCHEMA_PATCH; use++) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
        struct json_writer writer;
        json_writer_init(&writer, text);
        contract_schema(&sample_type, (enum schema_use)use, "#/components/schemas/", used, &writer);
        GError *error = NULL;
        json_t *json = json_parse(text->str, text->len, &error);
        g_assert_no_error(error);
        json_t *properties = json_object_get(json, "properties");
        g_assert_nonnull(json_object_get(properties, "port"));
        g_assert_true((json_object_get(properties, "id") != NULL) == (use == SCHEMA_REPLY));
        g_assert_true((json_object_get(properties, "token") != NULL) == (use != SCHEMA_REPLY));
        g_assert_null(json_object_get(properties, "revision"));
        g_assert_true(g_hash_table_contains(used, &inner_type));
        json_decref(json);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/contract/encode_then_decode_gives_the_same_object", encode_then_decode_gives_the_same_object);
    g_test_add_func("/contract/defaults_are_filled_in", defaults_are_filled_in);
    g_test_add_func("/contract/findings_name_path_and_rule", findings_name_path_and_rule);
    g_test_add_func("/contract/missing_required_member_is_named", missing_required_member_is_named);
    g_test_add_func("/contract/patch_changes_only_what_is_named", patch_changes_only_what_is_named);
    g_test_add_func("/contract/patch_refuses_an_immutable_change", patch_refuses_an_immutable_change);
    g_test_add_func("/contract/text_mode_reads_scalars_as_text", text_mode_reads_scalars_as_text);
    g_test_add_func("/contract/what_none_means_is_read_back", what_none_means_is_read_back);
    g_test_add_func("/contract/secret_and_internal_fields_are_never_encoded",
                    secret_and_internal_fields_are_never_encoded);
    g_test_add_func("/contract/every_column_survives_the_database", every_column_survives_the_database);
    g_test_add_func("/contract/whole_numbers_are_integers_however_written", whole_numbers_are_integers_however_written);
    g_test_add_func("/contract/names_in_a_list_are_checked_unless_stored", names_in_a_list_are_checked_unless_stored);
    g_test_add_func("/contract/hostile_json_is_refused", hostile_json_is_refused);
    g_test_add_func("/contract/schema_is_valid_json_and_lists_members", schema_is_valid_json_and_lists_members);
    return g_test_run();
}
