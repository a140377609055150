/* The JSON writer's text, read back by jansson. */
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/json_writer.h"

static json_t *parse(const GString *text)
{
    json_error_t error;
    json_t *json = json_loadb(text->str, text->len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        g_error("%s: %s", error.text, text->str);
    }
    return json;
}

static void places_commas_and_colons(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_open(&writer);
    json_member_string(&writer, "a", "b");
    json_key(&writer, "list");
    json_array_open(&writer);
    json_put_int(&writer, 1);
    json_array_open(&writer);
    json_array_close(&writer);
    json_object_open(&writer);
    json_object_close(&writer);
    json_put_null(&writer);
    json_put_raw(&writer, "[true]");
    json_array_close(&writer);
    json_member_string(&writer, "none", NULL);
    json_member_bool(&writer, "yes", true);
    json_member_int(&writer, "n", -7);
    json_object_close(&writer);
    g_assert_cmpstr(out->str, ==, "{\"a\":\"b\",\"list\":[1,[],{},null,[true]],\"none\":null,\"yes\":true,\"n\":-7}");
}

static void nests_to_its_depth(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, out);
    for (int i = 0; i < JSON_WRITER_DEPTH; i++) {
        json_array_open(&writer);
        json_put_int(&writer, i);
    }
    for (int i = 0; i < JSON_WRITER_DEPTH; i++) {
        json_array_close(&writer);
    }
    json_t *json = parse(out);
    g_assert_cmpint(json_array_size(json), ==, 2);
    json_decref(json);
}

static void assert_int(int64_t value)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_put_int(&writer, value);
    json_t *json = parse(out);
    g_assert_true(json_is_integer(json));
    g_assert_cmpint(json_integer_value(json), ==, value);
    json_decref(json);
}

static void integers_survive(void)
{
    static const int64_t values[] = {0, 1, -1, 9, 10, -10, 1000000, INT32_MAX, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        assert_int(values[i]);
    }
    for (int i = 0; i < 63; i++) {
        assert_int(INT64_C(1) << i);
        assert_int(-(INT64_C(1) << i));
    }
}

static void doubles_are_json(void)
{
    static const double values[] = {0, -0.0, 0.5, 1e300, -1e-300, 123456789.25, DBL_MIN, DBL_MAX / 2};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        struct json_writer writer;
        json_writer_init(&writer, out);
        json_put_double(&writer, values[i]);
        json_t *json = parse(out);
        g_assert_true(fabs(json_number_value(json) - values[i]) <= fabs(values[i]) * 1e-14);
        json_decref(json);
    }
    static const double none[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        struct json_writer writer;
        json_writer_init(&writer, out);
        json_put_double(&writer, none[i]);
        g_assert_cmpstr(out->str, ==, "null");
    }
}

/* Any text comes back; any bytes come back as GLib would make them valid (each bad byte becomes U+FFFD). */
static void assert_string(const char *bytes, size_t length)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_put_string_len(&writer, bytes, length);
    g_assert_true(g_utf8_validate(out->str, (gssize)out->len, NULL));
    json_t *json = parse(out);
    if (g_utf8_validate_len(bytes, length, NULL) && memchr(bytes, '\0', length) == NULL) {
        g_assert_cmpmem(json_string_value(json), json_string_length(json), bytes, length);
    }
    json_decref(json);
}

static void every_character_survives(void)
{
    for (gunichar c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 251) {
        char text[8];
        if (g_unichar_validate(c)) {
            assert_string(text, (size_t)g_unichar_to_utf8(c, text));
        }
    }
    static const char *const texts[] = {"\"\\/\b\f\n\r\t", "a\x7f", "\xc2\x80", "\xf4\x8f\xbf\xbf", "  "};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        assert_string(texts[i], strlen(texts[i]));
    }
}

static void any_bytes_become_valid_json(void)
{
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            const char bytes[] = {(char)a, (char)b, 'x'};
            assert_string(bytes, sizeof bytes);
        }
    }
    GRand *random = g_rand_new_with_seed(1);
    for (int i = 0; i < 20000; i++) {
        char bytes[24];
        size_t length = (size_t)g_rand_int_range(random, 0, sizeof bytes);
        for (size_t j = 0; j < length; j++) {
            bytes[j] = (char)g_rand_int_range(random, g_rand_boolean(random) ? 0x7f : 0, 256);
        }
        assert_string(bytes, length);
    }
    g_rand_free(random);
}

/* Texts are looked at eight bytes at a time. */
static void a_byte_is_seen_wherever_it_stands(void)
{
    for (size_t length = 1; length <= 18; length++) {
        for (size_t at = 0; at < length; at++) {
            for (int byte = 0; byte < 256; byte++) {
                char bytes[18];
                memset(bytes, 'x', sizeof bytes);
                bytes[at] = (char)byte;
                assert_string(bytes, length);
            }
        }
    }
}

static void a_bad_byte_is_one_replacement(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_open(&writer);
    json_member_string(&writer, "k\xff", "a\xc3(\xe2\x82z\xed\xa0\x80");
    json_object_close(&writer);
    json_t *json = parse(out);
    g_assert_cmpstr(json_string_value(json_object_get(json, "k\ufffd")), ==, "a\ufffd(\ufffd\ufffdz\ufffd\ufffd\ufffd");
    json_decref(json);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/json_writer/" #name, name)
    ADD(places_commas_and_colons);
    ADD(nests_to_its_depth);
    ADD(integers_survive);
    ADD(doubles_are_json);
    ADD(a_byte_is_seen_wherever_it_stands);
    ADD(every_character_survives);
    ADD(any_bytes_become_valid_json);
    ADD(a_bad_byte_is_one_replacement);
    return g_test_run();
}
