/* What is refused: JSON of the wrong shape in a request, and rows that do not fit their type. Each finding is said in words that
 * name the place, and what was there before stays. */
#include <glib.h>

#include "base/error.h"
#include "sample.h"

static void json_of_the_wrong_shape_is_named(void)
{
    static const struct {
        const char *member;
        const char *message;
    } cases[] = {
        {"\"port\":\"81\"", "port: must be a whole number 1..65535, or none"},
        {"\"port\":true", "port: must be a whole number 1..65535, or none"},
        {"\"port\":-1", "port: must be 1..65535"},
        {"\"port\":9223372036854775807", "port: must be 1..65535"},
        {"\"public\":\"true\"", "public: must be true or false"},
        {"\"public\":1", "public: must be true or false"},
        {"\"type\":\"docker\"", "type: must be one of auto, dockerfile"},
        {"\"type\":0", "type: must be one of auto, dockerfile"},
        {"\"memory\":true", "memory: must be "},
        {"\"memory\":\"much\"", "memory: must be "},
        {"\"memory\":-1", "memory: must be "},
        {"\"memory\":1e300", "memory: must be "},
        {"\"cpu\":{}", "cpu: must be "},
        {"\"cpu\":-0.5", "cpu: must be "},
        {"\"health\":7", "health: must be a map, or the path as text"},
        {"\"health\":[]", "health: must be a map, or the path as text"},
        {"\"health\":\"healthz\"", "health: must be a URL path that begins with /, such as /healthz"},
        {"\"health\":{\"interval\":\"2m\"}", "health.interval: must be 100ms..1m"},
        {"\"other\":[]", "other: must be a map, or the path as text"},
        {"\"list\":{}", "list: must be a list"},
        {"\"list\":[{},3]", "list[1]: must be a map, or the path as text"},
        {"\"command\":\"./server\"", "command: must be a list of strings, such as [\"./server\", \"--verbose\"]"},
        {"\"command\":[\"a\",null]", "command[1]: must be a string"},
        {"\"env\":[]", "env: must be a map of names to strings"},
        {"\"env\":{\"A\":1}", "env.A: must be a string"},
        {"\"env\":{\"A\":null}", "env.A: must be a string"},
        {"\"services\":[]", "services: must be a map"},
        {"\"services\":{\"web\":3}", "services.web: must be a map, or the path as text"},
        {"\"token\":{}", "token: must be a string"},
        {"\"scopes\":[\"auto\",\"\"]", "scopes[1]: must be one of auto, dockerfile"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strdup_printf("{\"name\":\"web\",%s}", cases[i].member);
        g_assert_null(sample_decode(text, DECODE_CREATE, &error));
        g_assert_cmpint((int)sy_error_code(error), ==, SY_INVALID_INPUT);
        if (g_str_has_suffix(cases[i].message, " ")) {
            g_assert_true(g_str_has_prefix(error->message, cases[i].message)); /* an example follows */
        } else {
            g_assert_cmpstr(error->message, ==, cases[i].message);
        }
    }
}

static void only_a_map_is_a_request(void)
{
    static const char *const texts[] = {"[]", "\"web\"", "3", "null", "true"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(sample_decode(texts[i], DECODE_CREATE, &error));
        g_assert_cmpstr(error->message, ==, "must be a map");
    }
}

/* `count` times `element`, between commas. */
static char *many(const char *open, const char *element, int count, const char *close)
{
    GString *text = g_string_new(open);
    for (int i = 0; i < count; i++) {
        g_string_append_printf(text, "%s%s", i > 0 ? "," : "", element);
    }
    g_string_append(text, close);
    return g_string_free(text, FALSE);
}

static char *many_names(const char *open, const char *value, int count, const char *close)
{
    GString *text = g_string_new(open);
    for (int i = 0; i < count; i++) {
        g_string_append_printf(text, "%s\"a%d\":%s", i > 0 ? "," : "", i, value);
    }
    g_string_append(text, close);
    return g_string_free(text, FALSE);
}

static void refused_as(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(sample_decode(text, DECODE_CREATE, &error));
    g_assert_cmpstr(error->message, ==, message);
}

static void what_is_too_many_or_too_long_is_refused(void)
{
    g_autofree char *list = many("{\"name\":\"web\",\"list\":[", "{}", 257, "]}");
    refused_as(list, "list: must have 0..256 entries");
    g_autofree char *command = many("{\"name\":\"web\",\"command\":[", "\"x\"", 257, "]}");
    refused_as(command, "command: must have 0..256 entries");
    g_autofree char *env = many_names("{\"name\":\"web\",\"env\":{", "\"x\"", 257, "}}");
    refused_as(env, "env: must have 0..256 entries");
    g_autofree char *services = many_names("{\"name\":\"web\",\"services\":{", "{}", 257, "}}");
    refused_as(services, "services: must have 0..256 entries");

    g_autofree char *long_text = g_strnfill(32769, 'x');
    g_autofree char *token = g_strdup_printf("{\"name\":\"web\",\"token\":\"%.4097s\"}", long_text);
    refused_as(token, "token: must be 0..4096 bytes long");
    g_autofree char *word = g_strdup_printf("{\"name\":\"web\",\"command\":[\"%s\"]}", long_text);
    refused_as(word, "command[0]: must be at most 32768 bytes long");
    g_autofree char *value = g_strdup_printf("{\"name\":\"web\",\"env\":{\"A\":\"%s\"}}", long_text);
    refused_as(value, "env.A: must be at most 32768 bytes long");
    g_autofree char *huge = g_strnfill((1 << 20) + 1, 'x');
    g_autofree char *raw = g_strdup_printf("{\"name\":\"web\",\"raw\":\"%s\"}", huge);
    refused_as(raw, "raw: must be at most 1048576 bytes of JSON");
}

/* A request of nothing but mistakes is not answered with a list of all of them. */
static void findings_are_bounded_and_counted(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = many("{\"name\":\"web\",\"command\":[", "1", 200, "]}");
    g_assert_null(sample_decode(text, DECODE_CREATE, &error));
    g_assert_cmpuint(sy_error_issues(error)->len, ==, 50);
    g_assert_cmpstr(error->message, ==, "command[0]: must be a string (and 199 more)");
}

static void a_name_unlike_any_is_answered_with_all_of_them(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(sample_decode("{\"name\":\"web\",\"zzzzzzzzzz\":1}", DECODE_CREATE, &error));
    g_assert_true(g_str_has_prefix(error->message, "zzzzzzzzzz: is not known here; known are name, port, public,"));
    g_assert_null(strstr(error->message, "revision")); /* internal */
    g_assert_null(strstr(error->message, "created_at"));
}

static void an_internal_field_cannot_be_set(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(sample_decode("{\"name\":\"web\",\"revision\":9}", DECODE_CREATE, &error));
    g_assert_true(g_str_has_prefix(error->message, "revision: is not known here"));
}

static void what_the_server_sets_is_ignored_in_a_request(void)
{
    struct sample *object =
        sample_decode("{\"name\":\"web\",\"id\":7,\"created_at\":\"yesterday\"}", DECODE_CREATE, NULL);
    g_assert_nonnull(object);
    g_assert_null(object->id);
    g_assert_cmpint(object->created_us, ==, CONTRACT_ABSENT);
    contract_object_free(object);
}

static void a_required_member_cannot_be_null(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(sample_decode("{\"name\":null}", DECODE_CREATE, &error));
    g_assert_cmpstr(error->message, ==, "name: must have a value");
}

/* A refused patch leaves each member that it got wrong as it was. */
static void a_refused_patch_keeps_the_values(void)
{
    static const char *const patches[] = {
        "{\"port\":\"x\"}",
        "{\"public\":3}",
        "{\"type\":\"x\"}",
        "{\"memory\":\"x\"}",
        "{\"command\":[1]}",
        "{\"command\":\"x\"}",
        "{\"env\":[]}",
        "{\"services\":[]}",
        "{\"list\":\"x\"}",
        "{\"health\":[]}",
        "{\"token\":1}",
        "{\"other\":5}",
        "{\"scopes\":[\"x\"]}",
        "{\"name\":\"other\"}",
        "{\"name\":\"No Label\"}",
        "{\"name\":null}",
        "{\"revision\":1}",
        "{\"cpu\":\"-1\"}",
        "[]",
    };
    struct sample *before = sample_decode(sample_full, DECODE_CREATE, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(patches); i++) {
        g_autoptr(GError) error = NULL;
        struct sample *object = contract_dup(&sample_type, before);
        g_assert_false(
            contract_decode_text(&sample_type, object, patches[i], strlen(patches[i]), DECODE_PATCH, &error));
        g_assert_cmpint((int)sy_error_code(error), ==, SY_INVALID_INPUT);
        g_auto(GStrv) differing = contract_diff(&sample_type, before, object);
        g_autofree char *names = g_strjoinv(",", differing);
        g_assert_cmpstr(names, ==, "");
        contract_object_free(object);
    }
    contract_object_free(before);
}

static void text_is_read_as_a_number_where_one_is_wanted(void)
{
    struct sample *object = sample_decode("{\"name\":\"web\",\"port\":\"8443\"}", DECODE_TEXT, NULL);
    g_assert_nonnull(object);
    g_assert_cmpint(object->port, ==, 8443);
    contract_object_free(object);
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"70000", "port: must be 1..65535"},
        {"80x", "port: must be a whole number 1..65535, or none"},
        {"", "port: must be a whole number 1..65535, or none"},
        {"99999999999999999999", "port: must be a whole number 1..65535, or none"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strdup_printf("{\"name\":\"web\",\"port\":\"%s\"}", cases[i].text);
        g_assert_null(sample_decode(text, DECODE_TEXT, &error));
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(sample_decode("{\"name\":\"web\",\"public\":\"yes\"}", DECODE_TEXT, &error));
    g_assert_cmpstr(error->message, ==, "public: must be true or false");
}

static void numbers_stand_for_quantities(void)
{
    struct sample *object = sample_decode(
        "{\"name\":\"web\",\"memory\":1048576,\"cpu\":0.25,\"health\":{\"interval\":1.5}}", DECODE_CREATE, NULL);
    g_assert_nonnull(object);
    g_assert_cmpint(object->memory_bytes, ==, 1 << 20);
    g_assert_cmpint(object->cpu_millis, ==, 250);
    g_assert_cmpint(object->health.interval_ms, ==, 1500);
    contract_object_free(object);
}

/* Each differing field alone is found, nested ones too. */
static void differences_are_found_however_deep(void)
{
    static const struct {
        const char *patch;
        const char *name;
    } cases[] = {
        {"{\"port\":9}", "port"},
        {"{\"public\":true}", "public"},
        {"{\"type\":\"auto\"}", "type"},
        {"{\"health\":{\"path\":\"/other\"}}", "health"},
        {"{\"other\":null}", "other"},
        {"{\"other\":\"/other\"}", "other"},
        {"{\"list\":[{\"path\":\"/a\"}]}", "list"},
        {"{\"list\":[{\"path\":\"/a\"},\"/c\"]}", "list"},
        {"{\"command\":[\"./x\"]}", "command"},
        {"{\"env\":{\"A\":\"1\"}}", "env"},
        {"{\"env\":{\"A\":\"1\",\"B\":\"3\"}}", "env"},
        {"{\"env\":{\"A\":\"1\",\"C\":\"2\"}}", "env"},
        {"{\"services\":{}}", "services"},
        {"{\"services\":{\"web\":{\"path\":\"/\"}}}", "services"},
        {"{\"services\":{\"api\":{\"path\":\"/x\"}}}", "services"},
        {"{\"raw\":{\"z\":[1,3]}}", "raw"},
    };
    struct sample *before = sample_decode(sample_full, DECODE_CREATE, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct sample *after = contract_dup(&sample_type, before);
        g_assert_true(contract_equal(&sample_type, before, after));
        g_assert_true(
            contract_decode_text(&sample_type, after, cases[i].patch, strlen(cases[i].patch), DECODE_PATCH, NULL));
        g_assert_false(contract_equal(&sample_type, before, after));
        g_auto(GStrv) differing = contract_diff(&sample_type, before, after);
        g_autofree char *names = g_strjoinv(",", differing);
        g_assert_cmpstr(names, ==, cases[i].name);
        contract_object_free(after);
    }
    contract_object_free(before);
}

static void a_null_member_of_a_map_is_its_default(void)
{
    struct sample *object = sample_decode("{\"name\":\"web\",\"services\":{\"api\":null}}", DECODE_CREATE, NULL);
    g_assert_nonnull(object);
    const struct inner *api = struct_map_get(object->services, "api");
    g_assert_nonnull(api);
    g_assert_cmpint(api->interval_ms, ==, 5000);
    g_assert_null(struct_map_get(object->services, "web"));
    contract_object_free(object);
}

static void a_map_takes_the_later_value(void)
{
    g_autoptr(GPtrArray) map = string_map_new();
    string_map_set(map, "b", "1");
    string_map_set(map, "a", "2");
    string_map_set(map, "b", "3");
    g_assert_cmpuint(map->len, ==, 2);
    g_assert_cmpstr(string_map_get(map, "b"), ==, "3");
    g_assert_cmpstr(string_map_get(map, "c"), ==, NULL);
    g_assert_cmpstr(string_map_get(NULL, "b"), ==, NULL);
}

static const struct field *column(const char *name)
{
    const struct field *field = contract_find(&sample_type, name);
    g_assert_nonnull(field);
    return field;
}

/* A row that something else wrote, or that a disk has damaged. */
static void a_row_that_does_not_fit_is_refused(void)
{
    static const struct {
        const char *column;
        struct sql_value value;
        const char *message;
    } cases[] = {
        {"port", {.kind = SQL_TEXT, .text = "81"}, "column port holds a value of the wrong type"},
        {"created_at", {.kind = SQL_TEXT, .text = "now"}, "column created_at holds a value of the wrong type"},
        {"public", {.kind = SQL_TEXT, .text = "t"}, "column public holds a value of the wrong type"},
        {"name", {.kind = SQL_INT, .integer = 3}, "column name holds a value of the wrong type"},
        {"type", {.kind = SQL_INT, .integer = 1}, "column type holds a value of the wrong type"},
        {"type", {.kind = SQL_TEXT, .text = "later"}, "stored value: type: must be one of auto, dockerfile"},
        {"env", {.kind = SQL_TEXT, .text = "{\"A\":"}, "column env holds no JSON"},
        {"env", {.kind = SQL_TEXT, .text = ""}, "column env holds no JSON"},
        {"env", {.kind = SQL_TEXT, .text = "[]"}, "stored value: env: must be a map of names to strings"},
        {"command", {.kind = SQL_TEXT, .text = "[1]"}, "stored value: command[0]: must be a string"},
        {"health", {.kind = SQL_TEXT, .text = "3"}, "stored value: health: must be a map, or the path as text"},
        {"other", {.kind = SQL_TEXT, .text = "{\"interval\":\"x\"}"}, "stored value: other.interval: must be "},
        {"list", {.kind = SQL_TEXT, .text = "{}"}, "stored value: list: must be a list"},
        {"services", {.kind = SQL_TEXT, .text = "null"}, "stored value: services: must be a map"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
        g_assert_false(contract_set_column(&sample_type, column(cases[i].column), object, &cases[i].value, &error));
        g_assert_cmpint((int)sy_error_code(error), ==, SY_STORE_FAILED);
        g_assert_true(g_str_has_prefix(error->message, cases[i].message));
        contract_object_free(object);
    }
}

static void an_empty_column_is_an_absent_field(void)
{
    struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
    const struct sql_value none = {.kind = SQL_NULL};
    for (size_t i = 0; i < contract_n_columns(&sample_type); i++) {
        g_assert_true(contract_set_column(&sample_type, contract_column(&sample_type, i), object, &none, NULL));
    }
    g_assert_null(object->name);
    g_assert_cmpint(object->port, ==, CONTRACT_ABSENT);
    g_assert_cmpint(object->is_public, ==, -1);
    g_assert_null(object->env);
    g_assert_null(object->other);
    g_assert_null(contract_column(&sample_type, contract_n_columns(&sample_type)));
    contract_object_free(object);
}

/* Stored values are read even when a rule of requests has become stricter since; only their kind must be right. */
static void what_is_stored_is_not_judged_by_the_rules_of_requests(void)
{
    g_autoptr(GError) error = NULL;
    struct sample *object =
        sample_decode("{\"name\":\"No Label\",\"created_at\":\"2026-01-31T12:00:00Z\",\"env\":{\"1\":\"x\"},"
                      "\"later_member\":[]}",
                      DECODE_STORED, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(object->name, ==, "No Label");
    g_assert_cmpint(object->created_us, ==, INT64_C(1769860800000000));
    g_assert_cmpstr(string_map_get(object->env, "1"), ==, "x");
    contract_object_free(object);
    g_assert_null(sample_decode("{\"created_at\":\"31.1.2026\"}", DECODE_STORED, &error));
    g_assert_cmpstr(error->message, ==, "created_at: must be an RFC 3339 time, such as 2026-01-31T12:00:00Z");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/contract/" #name, name)
    TEST(json_of_the_wrong_shape_is_named);
    TEST(only_a_map_is_a_request);
    TEST(what_is_too_many_or_too_long_is_refused);
    TEST(findings_are_bounded_and_counted);
    TEST(a_name_unlike_any_is_answered_with_all_of_them);
    TEST(an_internal_field_cannot_be_set);
    TEST(what_the_server_sets_is_ignored_in_a_request);
    TEST(a_required_member_cannot_be_null);
    TEST(a_refused_patch_keeps_the_values);
    TEST(text_is_read_as_a_number_where_one_is_wanted);
    TEST(numbers_stand_for_quantities);
    TEST(differences_are_found_however_deep);
    TEST(a_null_member_of_a_map_is_its_default);
    TEST(a_map_takes_the_later_value);
    TEST(a_row_that_does_not_fit_is_refused);
    TEST(an_empty_column_is_an_absent_field);
    TEST(what_is_stored_is_not_judged_by_the_rules_of_requests);
    return g_test_run();
}
