/* The checks that types share: what each refuses, and that the pattern in the schema says the same, so that an editor and a
 * client made from OpenAPI agree with the server. */
#include <glib.h>

#include "base/error.h"
#include "contract/contract.h"

struct holder {
    char *value;
};

/* As a schema shows the check; NULL when it shows none. */
static char *schema_pattern(field_check_fn check)
{
    const struct field field = {
        .name = "value", .kind = KIND_STRING, .flags = FIELD_REQUIRED, .check = check, .minimum = 1, .maximum = 4096};
    const struct type type = {.name = "Holder", .size = sizeof(struct holder), .fields = &field, .n_fields = 1};
    g_autoptr(GString) text = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, text);
    contract_schema(&type, SCHEMA_CREATE, "#/", NULL, &writer);
    json_t *json = json_parse(text->str, text->len, NULL);
    json_t *value = json_object_get(json_object_get(json, "properties"), "value");
    g_assert_cmpint(json_integer_value(json_object_get(value, "minLength")), ==, 1);
    g_assert_cmpint(json_integer_value(json_object_get(value, "maxLength")), ==, 4096);
    char *pattern = g_strdup(json_string_value(json_object_get(value, "pattern")));
    json_decref(json);
    return pattern;
}

/* ECMA-262's \uXXXX is \x{XXXX} to PCRE. */
static GRegex *compile(const char *pattern)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GRegex) escapes = g_regex_new("\\\\u([0-9a-f]{4})", 0, 0, NULL);
    g_autofree char *converted = g_regex_replace(escapes, pattern, -1, 0, "\\\\x{\\1}", 0, NULL);
    GRegex *regex = g_regex_new(converted, G_REGEX_DOLLAR_ENDONLY, 0, &error);
    g_assert_no_error(error);
    return regex;
}

static const struct {
    const char *name;
    field_check_fn check;
    const char *fine[12];
    const char *wrong[16];
} checks[] = {
    {"slug",
     check_slug,
     {"a", "web", "web-1", "a234567890123456789012345678901234567890123456789012345678901z3"},
     {"", "Web", "1web", "-web", "web-", "web_1", "web.shop", "web\n", "wéb",
      "a23456789012345678901234567890123456789012345678901234567890123z"}},
    {"dns name",
     check_dns_name,
     {"a.b", "shop.example.com", "1.example", "a-b.example"},
     {"", "localhost", "*.example.com", "Shop.example.com", ".example.com", "shop..example", "shop.example.",
      "-a.example", "a-.example", "a_b.example", "a.example\n",
      "a234567890123456789012345678901234567890123456789012345678901234.example"}},
    {"variable", check_variable, {"A", "_", "a1", "LOG_LEVEL"}, {"", "1A", "A-B", "A B", "A.B", "A=B", "É", "A\n"}},
    {"path",
     check_path,
     {"/", "/healthz", "/a/b?x=1&y=%20", "/~a;b=c!$'()*+,-.:@_"},
     {"", "healthz", "/a b", "/a\n", "/a\"b", "/a<b", "/a>b", "/a\\b", "/a^b", "/a`b", "/a{b", "/a|b", "/a}b", "/a#b",
      "/é"}},
    {"absolute",
     check_absolute,
     {"/data", "/var/lib/data", "/a.b", "/..a", "/...", "/.hidden", "/a b"},
     {"", "/", "data", "/data/", "/a//b", "/./a", "/a/.", "/..", "/a/../b", "/a:b", "/a,b", "/a\"b", "/a\\b", "/a\nb",
      "/a\x7f"}},
    {"relative",
     check_relative,
     {".", "./", "./apps/web", "apps/web", "apps/web/", "a", "..a/b", "./.hidden", "a b"},
     {"", "..", "../web", "apps/../web", "apps/./web", "apps//web", "/apps", ".//", "././a", "a:b", "a,b", "a\nb",
      "./.."}},
    {"printable",
     check_printable,
     {"", "A shop", "Läden & mehr", "日本語", "😀"},
     {"a\nb", "a\tb", "\x1b[31m", "a\x7f", "a\xc2\x85", "a\u00adb", "a\u200bb", "a\u202eb", "a\u2028b", "a\u2029b",
      "\ufeff"}},
    {"sha256",
     check_sha256,
     {"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
     {"", "9f86d081", "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08",
      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a0g",
      "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08a"}},
};

static void checks_take_what_is_fine_and_refuse_the_rest(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(checks[i].fine) && checks[i].fine[j] != NULL; j++) {
            g_test_message("%s takes '%s'", checks[i].name, checks[i].fine[j]);
            g_assert_cmpstr(checks[i].check(checks[i].fine[j]), ==, NULL);
        }
        for (size_t j = 0; j < G_N_ELEMENTS(checks[i].wrong) && checks[i].wrong[j] != NULL; j++) {
            g_test_message("%s refuses '%s'", checks[i].name, checks[i].wrong[j]);
            g_assert_nonnull(checks[i].check(checks[i].wrong[j]));
        }
    }
}

static void the_schema_says_the_same_as_the_check(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_autofree char *pattern = schema_pattern(checks[i].check);
        g_assert_nonnull(pattern);
        g_autoptr(GRegex) regex = compile(pattern);
        for (size_t j = 0; j < G_N_ELEMENTS(checks[i].fine) && checks[i].fine[j] != NULL; j++) {
            g_test_message("the pattern of %s takes '%s'", checks[i].name, checks[i].fine[j]);
            g_assert_true(g_regex_match(regex, checks[i].fine[j], 0, NULL));
        }
        for (size_t j = 0; j < G_N_ELEMENTS(checks[i].wrong) && checks[i].wrong[j] != NULL; j++) {
            g_test_message("the pattern of %s refuses '%s'", checks[i].name, checks[i].wrong[j]);
            g_assert_false(g_regex_match(regex, checks[i].wrong[j], 0, NULL));
        }
    }
}

static const char *never(const char *value)
{
    return "must not be";
}

/* A check of one type alone has no pattern; a UUID is said by its format. */
static void a_check_without_a_pattern_shows_none(void)
{
    g_autofree char *own = schema_pattern(never);
    g_assert_null(own);
    g_autofree char *uuid = schema_pattern(check_uuid);
    g_assert_null(uuid);
}

static void what_is_too_long_is_refused(void)
{
    static const field_check_fn bounded[] = {check_variable, check_path, check_absolute, check_relative,
                                             check_dns_name};
    static const char *const begins[] = {"A", "/a", "/a", "a", "a.b"};
    static const size_t longest[] = {255, 1024, 1024, 1024, 253};
    for (size_t i = 0; i < G_N_ELEMENTS(bounded); i++) {
        g_autofree char *text = g_strnfill(longest[i] + 1, 'a');
        memcpy(text, begins[i], strlen(begins[i]));
        for (size_t dot = 3; i == 4 && dot < longest[i] - 1; dot += 50) {
            text[dot] = '.';
        }
        g_assert_nonnull(bounded[i](text));
        text[longest[i]] = '\0';
        g_assert_cmpstr(bounded[i](text), ==, NULL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/contract/checks/" #name, name)
    TEST(checks_take_what_is_fine_and_refuse_the_rest);
    TEST(the_schema_says_the_same_as_the_check);
    TEST(a_check_without_a_pattern_shows_none);
    TEST(what_is_too_long_is_refused);
    return g_test_run();
}
