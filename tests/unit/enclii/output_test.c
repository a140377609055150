/* What reaches the terminal. */
#include <libfyaml.h>
#include <string.h>

#include "enclii/output.h"

static void escapes_become_visible(void)
{
    static const struct {
        const char *given, *lines_kept, *one_line;
    } cases[] = {
        {"plain – ä 漢", "plain – ä 漢", "plain – ä 漢"},
        {"\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m", "\\x1b[31mred\\x1b[0m"},
        {"\033]0;title\007", "\\x1b]0;title\\x07", "\\x1b]0;title\\x07"},
        {"\xc2\x9b"
         "31m",
         "\\x9b31m", "\\x9b31m"}, /* CSI as one C1 character */
        {"a\r\nb\tc", "a\\r\nb\tc", "a\\r\\nb\\tc"},
        {"\x80\xff"
         "x",
         "\\x80\\xffx", "\\x80\\xffx"}, /* no UTF-8 */
        {"\xe2\x80\xae"
         "exe.gpj",
         "\\u202eexe.gpj", "\\u202eexe.gpj"}, /* right-to-left override */
        {"\x7f", "\\x7f", "\\x7f"},
        {"\xf0\x9f", "\\xf0\\x9f", "\\xf0\\x9f"}, /* cut off */
        {"", "", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *many = text_neutralise(cases[i].given, true);
        g_autofree char *one = text_neutralise(cases[i].given, false);
        g_assert_cmpstr(many, ==, cases[i].lines_kept);
        g_assert_cmpstr(one, ==, cases[i].one_line);
    }
}

static void no_control_character_survives(void)
{
    for (int byte = 1; byte < 256; byte++) {
        char text[] = {'a', (char)byte, 'b', '\0'};
        g_autofree char *safe = text_neutralise(text, false);
        g_assert_true(g_utf8_validate(safe, -1, NULL));
        for (const char *at = safe; *at != '\0'; at = g_utf8_next_char(at)) {
            g_assert_false(g_unichar_iscntrl(g_utf8_get_char(at)));
        }
    }
}

static void table_is_aligned_by_columns_not_bytes(void)
{
    g_autoptr(table_t) table = table_new("NAME", "WHAT", NULL);
    table_add(table, "漢字", "wide", NULL);
    table_add(table, "é", "narrow", NULL);
    table_add(table, "evil\033[2J\nrow", NULL, NULL);
    table_add(table, "", "x", NULL);
    g_autofree char *text = table_render(table, 0, false);
    g_assert_cmpstr(text, ==,
                    "NAME              WHAT\n"
                    "漢字              wide\n"
                    "é                 narrow\n"
                    "evil\\x1b[2J\\nrow  –\n"
                    "–                 x\n");
}

static void only_the_last_column_is_cut(void)
{
    g_autoptr(table_t) table = table_new("A", "B", NULL);
    table_add(table, "12345", "0123456789012345678901234567890123456789", NULL);
    g_autofree char *cut = table_render(table, 30, false);
    g_assert_cmpstr(cut, ==, "A      B\n12345  0123456789012345678901…\n");
    g_autofree char *narrow = table_render(table, 3, false);
    g_assert_nonnull(strstr(narrow, "12345  01234567890…"));
    g_autofree char *whole = table_render(table, 0, false);
    g_assert_nonnull(strstr(whole, "0123456789012345678901234567890123456789\n"));
}

static void times_are_told_from_now(void)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{0, "now"},
                 {-1, "1 second ago"},
                 {-59, "59 seconds ago"},
                 {-60, "1 minute ago"},
                 {-7199, "1 hour ago"},
                 {-86400 * 3, "3 days ago"},
                 {120, "in 2 minutes"},
                 {86400 * 400, "in 400 days"}};
    int64_t now_us = INT64_C(1700000000) * G_USEC_PER_SEC;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = time_relative(now_us + cases[i].seconds * G_USEC_PER_SEC, now_us);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
    g_autofree char *absent = time_relative(CONTRACT_ABSENT, now_us);
    g_assert_cmpstr(absent, ==, "–");
}

/* YAML → JSON by another implementation. */
static json_t *read_yaml(const char *yaml)
{
    struct fy_document *document = fy_document_build_from_string(NULL, yaml, FY_NT);
    g_assert_nonnull(document);
    char *text = fy_emit_document_to_string(document, FYECF_MODE_JSON_ONELINE | FYECF_INDENT_DEFAULT | FYECF_WIDTH_INF);
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    free(text);
    fy_document_destroy(document);
    return json;
}

static void yaml_means_the_same_as_json(void)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"a\":{},\"b\":[],\"c\":null,\"d\":true,\"e\":-1,\"f\":1.5}",
        "{\"services\":[{\"name\":\"web\",\"ports\":[80,443]},{\"name\":\"api\",\"env\":{\"A\":\"1\"}}],\"next_"
        "cursor\":null}",
        "[[1,[2,[]]],[{\"a\":[{\"b\":1}]}]]",
        "{\"no\":\"no\",\"yes\":\"Yes\",\"null\":\"null\",\"~\":\"~\",\"1\":\"1\",\"1e3\":\"1e3\",\"\":\"\"}",
        "{\"time\":\"2026-01-31T12:00:00.000000Z\",\"url\":\"http://web:80/#x\",\"dash\":\"- a\",\"colon\":\"a: b\"}",
        "{\"lines\":\"a\\nb\\n\",\"quote\":\"say \\\"hi\\\" \\\\ there\",\"tab\":\"\\t\",\"wide\":\"漢字 – é\"}",
        "{\"blank\":\" x \",\"hash\":\"# no "
        "comment\",\"percent\":\"%TAG\",\"at\":\"@x\",\"bang\":\"!x\",\"star\":\"*x\"}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        g_autofree char *yaml = yaml_from_json(json);
        json_t *back = read_yaml(yaml);
        char *got = json_dumps(back, JSON_COMPACT | JSON_DECODE_ANY | JSON_ENCODE_ANY);
        if (!json_equal(json, back)) {
            g_test_message("%s became\n%s and then %s", texts[i], yaml, got);
            g_test_fail();
        }
        free(got);
        json_decref(json);
        json_decref(back);
    }
}

static void yaml_escapes_what_a_terminal_would_obey(void)
{
    json_t *json = json_pack("{s:s}", "a",
                             "\033[2J\x7f\xc2\x9b"
                             "1m");
    g_autofree char *yaml = yaml_from_json(json);
    g_assert_cmpstr(yaml, ==, "a: \"\\x1b[2J\\x7f\\x9b1m\"\n");
    json_decref(json);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/enclii/output/" #name, name)
    TEST(escapes_become_visible);
    TEST(no_control_character_survives);
    TEST(table_is_aligned_by_columns_not_bytes);
    TEST(only_the_last_column_is_cut);
    TEST(times_are_told_from_now);
    TEST(yaml_means_the_same_as_json);
    TEST(yaml_escapes_what_a_terminal_would_obey);
    return g_test_run();
}
