/* .env files. */
#include <string.h>

#include "base/error.h"
#include "contract/contract.h"
#include "enclii/dotenv.h"

static void values_are_what_is_written(void)
{
    static const struct {
        const char *text, *key, *value;
    } cases[] = {
        {"A=1", "A", "1"},
        {"A=1\n", "A", "1"},
        {"A=1\r\n", "A", "1"},
        {"\n\n  A = 1 \n", "A", "1"},
        {"export A=1", "A", "1"},
        {"export\tA=1", "A", "1"},
        {"exportA=1", "exportA", "1"},
        {"export=1", "export", "1"},
        {"A=", "A", ""},
        {"A=\"\"", "A", ""},
        {"A=two words", "A", "two words"},
        {"A=\"two words\"", "A", "two words"},
        {"A='$not expanded'", "A", "$not expanded"},
        {"A=$HOME and `id`", "A", "$HOME and `id`"},
        {"A=\"$HOME \\$X\"", "A", "$HOME $X"},
        {"A='a\\nb'", "A", "a\\nb"},
        {"A=\"a\\nb\\t\\\"q\\\" \\\\ \\x\"", "A", "a\nb\t\"q\" \\ \\x"},
        {"A=\"line one\nline two\"", "A", "line one\nline two"},
        {"A=1 # a comment", "A", "1"},
        {"A=a#b", "A", "a#b"},
        {"A=# nothing", "A", ""},
        {"A=\"a # b\" # c", "A", "a # b"},
        {"A=b=c", "A", "b=c"},
        {"# A=0\nA=1\nA=2", "A", "2"},
        {"A=it's", "A", "it's"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) map = dotenv_parse(cases[i].text, strlen(cases[i].text), ".env", &error);
        g_assert_no_error(error);
        g_assert_cmpuint(map->len, ==, 1);
        g_assert_cmpstr(string_map_get(map, cases[i].key), ==, cases[i].value);
    }
}

static void what_is_wrong_is_told_with_its_line(void)
{
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"A=1\nB\n", ".env:2: there is no"},
        {"A=1\n2B=3\n", ".env:2: 2B is no name"},
        {"=1", ".env:1:  is no name"},
        {"A=\"open\nstill\n", ".env:1: the quote is never closed"},
        {"A=\"two\nlines\"\nB", ".env:3: there is no"},
        {"A=\"x\"y", ".env:1: something stands after"},
        {"A B=1", ".env:1: A B is no name"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(dotenv_parse(cases[i].text, strlen(cases[i].text), ".env", &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_true(g_str_has_prefix(error->message, cases[i].place));
    }
}

static void binary_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(dotenv_parse("A=\0b", 4, ".env", &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_clear_error(&error);
    g_assert_null(dotenv_parse("A=\xff", 3, ".env", &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
}

static void empty_file_sets_nothing(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) map = dotenv_parse("\n# only\n   \n", 11, ".env", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(map->len, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/enclii/dotenv/" #name, name)
    TEST(values_are_what_is_written);
    TEST(what_is_wrong_is_told_with_its_line);
    TEST(binary_is_refused);
    TEST(empty_file_sets_nothing);
    return g_test_run();
}
