/* What a type shows of itself: its schema for editors and clients, and its values in a table. */
#include <glib.h>

#include "base/error.h"
#include "sample.h"

static json_t *schema_of(const struct type *type, enum schema_use use)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    struct json_writer writer;
    json_writer_init(&writer, text);
    contract_schema(type, use, "#/schemas/", NULL, &writer);
    json_t *json = json_parse(text->str, text->len, &error);
    g_assert_no_error(error);
    return json;
}

static const char *string_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* health: /healthz is as good as health: {path: /healthz}; a reply has always the long form. */
static void a_shorthand_is_an_alternative_in_requests(void)
{
    json_t *reply = schema_of(&inner_type, SCHEMA_REPLY);
    g_assert_null(json_object_get(reply, "anyOf"));
    g_assert_cmpstr(string_at(reply, "type"), ==, "object");
    json_decref(reply);
    for (int use = SCHEMA_CREATE; use <= SCHEMA_PATCH; use++) {
        json_t *schema = schema_of(&inner_type, (enum schema_use)use);
        json_t *forms = json_object_get(schema, "anyOf");
        g_assert_cmpuint(json_array_size(forms), ==, 2);
        g_assert_cmpstr(string_at(json_array_get(forms, 0), "type"), ==, "object");
        g_assert_nonnull(json_object_get(json_object_get(json_array_get(forms, 0), "properties"), "interval"));
        g_assert_cmpstr(string_at(json_array_get(forms, 1), "type"), ==, "string");
        g_assert_nonnull(string_at(json_array_get(forms, 1), "pattern"));
        json_decref(schema);
    }
}

struct list {
    char **words;
    GPtrArray *map;
};

static const struct field list_fields[] = {
    {.name = "words",
     .kind = KIND_STRINGS,
     .offset = offsetof(struct list, words),
     .flags = FIELD_REQUIRED,
     .minimum = 1,
     .maximum = 3,
     .check = check_slug,
     .doc = "names of services"},
    {.name = "map",
     .kind = KIND_STRING_MAP,
     .offset = offsetof(struct list, map),
     .flags = FIELD_REQUIRED,
     .minimum = 1,
     .maximum = 2,
     .check = check_variable},
};
static const struct type list_type = {.name = "List",
                                      .size = sizeof(struct list),
                                      .fields = list_fields,
                                      .n_fields = G_N_ELEMENTS(list_fields),
                                      .doc = "Some words."};

static void bounds_and_words_reach_the_schema(void)
{
    json_t *schema = schema_of(&list_type, SCHEMA_CREATE);
    const json_t *words = json_object_get(json_object_get(schema, "properties"), "words");
    const json_t *map = json_object_get(json_object_get(schema, "properties"), "map");
    g_assert_cmpstr(string_at(schema, "description"), ==, "Some words.");
    g_assert_cmpstr(string_at(words, "description"), ==, "names of services");
    g_assert_cmpint(json_integer_value(json_object_get(words, "minItems")), ==, 1);
    g_assert_cmpint(json_integer_value(json_object_get(words, "maxItems")), ==, 3);
    g_assert_nonnull(string_at(json_object_get(words, "items"), "pattern"));
    g_assert_cmpint(json_integer_value(json_object_get(map, "minProperties")), ==, 1);
    g_assert_cmpint(json_integer_value(json_object_get(map, "maxProperties")), ==, 2);
    g_assert_nonnull(string_at(json_object_get(map, "propertyNames"), "pattern"));
    json_decref(schema);
}

static void the_same_bounds_hold(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{\"words\":[],\"map\":{\"A\":\"1\"}}", "words: must have 1..3 entries"},
        {"{\"words\":[\"a\",\"b\",\"c\",\"d\"],\"map\":{\"A\":\"1\"}}", "words: must have 1..3 entries"},
        {"{\"words\":[\"a\"],\"map\":{}}", "map: must have 1..2 entries"},
        {"{\"words\":[\"a\",\"B\"],\"map\":{\"A\":\"1\"}}", "words[1]: must be a DNS label"},
        {"{\"words\":[\"a\"],\"map\":{\"A-B\":\"1\"}}", "map.A-B: the name must be letters, digits and underscores"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        void *list = contract_new(&list_type);
        g_assert_false(
            contract_decode_text(&list_type, list, cases[i].text, strlen(cases[i].text), DECODE_CREATE, &error));
        g_autofree char *begin = g_strndup(error->message, strlen(cases[i].message));
        g_assert_cmpstr(begin, ==, cases[i].message);
        contract_object_free(list);
    }
}

static void values_are_shown_as_people_read_them(void)
{
    static const struct {
        const char *name;
        const char *text;
    } cases[] = {{"name", "web"},     {"port", "81"},
                 {"public", "false"}, {"type", "dockerfile"},
                 {"memory", "256Mi"}, {"cpu", "500m"},
                 {"created_at", ""},  {"command", "[\"./x\",\"-v\"]"},
                 {"id", ""},          {"env", "{\"A\":\"1\",\"B\":\"2\"}"}};
    struct sample *object = sample_decode(sample_full, DECODE_CREATE, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = contract_text(contract_find(&sample_type, cases[i].name), object);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
    object->created_us = INT64_C(1769860800000000);
    g_autofree char *time = contract_text(contract_find(&sample_type, "created_at"), object);
    g_assert_true(g_str_has_prefix(time, "2026-01-31T12:00:00"));
    g_assert_null(contract_find(&sample_type, "nothing"));
    g_assert_null(contract_dup(&sample_type, NULL));
    contract_object_free(object);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/contract/shown/" #name, name)
    TEST(a_shorthand_is_an_alternative_in_requests);
    TEST(bounds_and_words_reach_the_schema);
    TEST(the_same_bounds_hold);
    TEST(values_are_shown_as_people_read_them);
    return g_test_run();
}
