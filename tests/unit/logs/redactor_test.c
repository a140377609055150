/* The corpus of forms in which a value may be printed, and the property: no value ever comes through. */
#include <string.h>

#include "logs/redactor.h"

static struct redactor *redactor_of(const char *const *values)
{
    g_autoptr(GPtrArray) secrets = g_ptr_array_new_with_free_func((GDestroyNotify)secret_free);
    for (size_t i = 0; values[i] != NULL; i++) {
        g_ptr_array_add(secrets, secret_new(values[i], strlen(values[i])));
    }
    return redactor_new((const struct secret *const *)secrets->pdata, secrets->len);
}

static char *redact(const struct redactor *redactor, const char *text, size_t length, size_t *ret_n)
{
    GString *out = g_string_new(NULL);
    *ret_n = redactor_apply(redactor, text, length, out);
    return g_string_free(out, FALSE);
}

struct sample {
    const char *value, *text, *expected;
};

static const struct sample corpus[] = {
    /* plain */
    {"hunter2!", "pw=hunter2!", "pw=[redacted]"},
    {"hunter2!", "hunter2!hunter2!", "[redacted][redacted]"},
    {"hunter2!", "hunter2", "hunter2"},
    {"hunter2!", "", ""},
    {"aaaa", "aaaaa", "[redacted]"},
    {"abc", "abc is too short to be looked for", "abc is too short to be looked for"},
    /* white space around a value is not printed by most programs */
    {"hunter2!\n", "pw=hunter2!", "pw=[redacted]"},
    {" pass1 \n", "pw=pass1;", "pw=[redacted];"},
    /* percent-encoding, of every strictness and case */
    {"p@ss w/rd", "url?k=p%40ss%20w%2Frd&x", "url?k=[redacted]&x"},
    {"p@ss w/rd", "url?k=p%40ss%20w%2frd&x", "url?k=[redacted]&x"},
    {"p@ss w/rd", "url?k=p@ss%20w/rd&x", "url?k=[redacted]&x"},
    {"p@ss w/rd", "k=p%40ss+w%2Frd", "k=[redacted]"},
    {"p@ss w/rd", "k=p@ss+w/rd", "k=[redacted]"},
    {"p@ss w/rd", "%70%40%73%73%20%77%2F%72%64", "[redacted]"},
    {"100%zz%4", "100%zz%4", "[redacted]"},
    /* JSON */
    {"a\"b\\c/d", "{\"k\":\"a\\\"b\\\\c\\/d\"}", "{\"k\":\"[redacted]\"}"},
    {"a\"b\\c/d", "{\"k\":\"a\\\"b\\\\c/d\"}", "{\"k\":\"[redacted]\"}"},
    {"tab\there", "{\"k\":\"tab\\there\"}", "{\"k\":\"[redacted]\"}"},
    {"tab\there", "{\"k\":\"\\u0074ab\\u0009here\"}", "{\"k\":\"[redacted]\"}"},
    {"käse€😀", "{\"k\":\"k\\u00e4se\\u20AC\\ud83d\\ude00\"}", "{\"k\":\"[redacted]\"}"},
    {"<tag>&co", "\"\\u003ctag\\u003e\\u0026co\"", "\"[redacted]\""},
    {"it's me", "'it\\'s me'", "'[redacted]'"},
    {"\x01\x02\x03\x7f", "b'\\x01\\x02\\x03\\x7f'", "b'[redacted]'"},
    {"line one\nline two", "\"line one\\nline two\"", "\"[redacted]\""},
    /* base64 alone, with and without padding, both alphabets */
    {"password1", "cGFzc3dvcmQx", "[redacted]"},
    {"password", "cGFzc3dvcmQ=", "[redacted]"},
    {"password", "cGFzc3dvcmQ", "[redacted]"},
    {"passwor", "cGFzc3dvcg==.", "[redacted]."},
    {">>>??~>>?>", "Pj4+Pz9+Pj4/Pg==", "[redacted]"},
    {">>>??~>>?>", "Pj4-Pz9-Pj4_Pg", "[redacted]"},
    {">>>??~>>?>", "Pj4%2BPz9%2BPj4%2FPg%3D%3D", "[redacted]"},
    {">>>??~>>?>", "\"Pj4+Pz9+Pj4\\/Pg==\"", "\"[redacted]\""},
    /* base64 of "u:" + value + "@h" and the like: begins at each of the three places in a group */
    {"password", "dTpwYXNzd29yZEBo", "dTp[redacted]EBo"},
    {"password", "dXM6cGFzc3dvcmRAaA==", "dXM6[redacted]RAaA=="},
    {"password", "dXNlOnBhc3N3b3JkQGg=", "dXNlOn[redacted]QGg="},
    /* lines of a value of several lines */
    {"-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkq\n-----END KEY-----\n", "MIIEvQIBADAN", "[redacted]"},
    {"-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkq\n-----END KEY-----\n", "  -----END KEY-----", "  [redacted]"},
    {"-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkq\n-----END KEY-----\n", "Bgkq is short", "Bgkq is short"},
    {"-----BEGIN KEY-----\r\n   MIIEvQIBADAN\r\n", "k=MIIEvQIBADAN", "k=[redacted]"},
};

static void every_form_of_the_corpus_is_recognised(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(corpus); i++) {
        const char *values[] = {corpus[i].value, NULL};
        struct redactor *redactor = redactor_of(values);
        size_t n;
        g_autofree char *out = redact(redactor, corpus[i].text, strlen(corpus[i].text), &n);
        g_assert_cmpstr(out, ==, corpus[i].expected);
        redactor_unref(redactor);
    }
}

static void the_longest_and_overlapping_values_go_whole(void)
{
    const char *values[] = {"pass", "password", "password-long", "longword", NULL};
    struct redactor *redactor = redactor_of(values);
    static const struct {
        const char *text, *expected;
        size_t n;
    } samples[] = {
        {"a pass b", "a [redacted] b", 1},
        {"a password b", "a [redacted] b", 1},
        {"password-longword", "[redacted]", 1}, /* both: nothing of either is left */
        {"pass passpassword", "[redacted] [redacted][redacted]", 3},
        {"passwor", "[redacted]wor", 1},
        {"password-lon", "[redacted]-lon", 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(samples); i++) {
        size_t n;
        g_autofree char *out = redact(redactor, samples[i].text, strlen(samples[i].text), &n);
        g_assert_cmpstr(out, ==, samples[i].expected);
        g_assert_cmpuint(n, ==, samples[i].n);
    }
    redactor_unref(redactor);
}

static void what_is_cut_shows_no_part_of_a_value(void)
{
    static const char *const values[] = {"hunter2hunter2", NULL};
    struct redactor *redactor = redactor_of(values);
    static const char text[] = "pw=hunter2hunter2 and more";
    for (size_t keep = 0; keep <= sizeof text; keep++) {
        g_autoptr(GString) out = g_string_new(NULL);
        redactor_apply_within(redactor, text, sizeof text - 1, keep, out);
        g_autofree char *expected = g_strndup("pw=", MIN(keep, 3));
        g_autofree char *rest = g_strndup(" and more", keep > 17 ? keep - 17 : 0);
        g_autofree char *whole = g_strconcat(expected, keep > 3 ? "[redacted]" : "", rest, NULL);
        g_assert_cmpstr(out->str, ==, whole);
    }
    redactor_unref(redactor);
}

static void without_values_text_is_copied(void)
{
    size_t n;
    struct redactor *empty = redactor_new(NULL, 0);
    g_autofree char *a = redact(NULL, "a%41\\", 5, &n);
    g_assert_cmpstr(a, ==, "a%41\\");
    g_assert_cmpuint(n, ==, 0);
    g_autofree char *b = redact(redactor_ref(empty), "text", 4, &n);
    g_assert_cmpstr(b, ==, "text");
    redactor_unref(empty);
    redactor_unref(empty);
    redactor_unref(NULL);
}

/* `base64 < key.pem` prints lines of 76 characters. */
static void wrapped_base64_is_recognised_line_by_line(void)
{
    g_autofree char *value = g_malloc0(401);
    for (int i = 0; i < 400; i++) {
        value[i] = (char)('!' + (i * 7 + i / 31) % 90);
    }
    const char *values[] = {value, NULL};
    struct redactor *redactor = redactor_of(values);
    g_autofree char *encoded = g_base64_encode((const guchar *)value, 400);
    static const size_t widths[] = {64, 76};
    for (size_t w = 0; w < G_N_ELEMENTS(widths); w++) {
        for (size_t at = 0; at + 8 <= strlen(encoded); at += widths[w]) {
            g_autofree char *line = g_strndup(encoded + at, widths[w]);
            size_t n;
            g_autofree char *out = redact(redactor, line, strlen(line), &n);
            g_assert_cmpstr(out, ==, "[redacted]");
        }
    }
    redactor_unref(redactor);
}

/* --- the property ------------------------------------------------------------------------------ */

/* None of the characters of "[redacted]", so that a replacement cannot complete a value. */
static const char characters[] = "bfghijklmnopqsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \"'\\/+%&=?#@:;<>\t\n~^{}äß";

static char *random_value(void)
{
    int length = g_test_rand_int_range(4, 40);
    char *value = g_malloc0((gsize)length + 1);
    for (int i = 0; i < length; i++) {
        value[i] = characters[g_test_rand_int_range(0, (int)sizeof characters - 1)];
    }
    return value;
}

static void put_percent(GString *out, const char *value)
{
    bool everything = g_test_rand_bit();
    bool upper = g_test_rand_bit();
    for (const char *p = value; *p != '\0'; p++) {
        if (everything || !(g_ascii_isalnum(*p) || (*p > 0 && strchr("-_.~", *p) != NULL))) {
            g_string_append_printf(out, upper ? "%%%02X" : "%%%02x", (unsigned char)*p);
        } else {
            g_string_append_c(out, *p);
        }
    }
}

static void put_json(GString *out, const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\' || (*p == '/' && g_test_rand_bit())) {
            g_string_append_printf(out, "\\%c", *p);
        } else if (*p == '\n' || *p == '\t') {
            g_string_append(out, *p == '\n' ? "\\n" : "\\t");
        } else if (*p > 0 && g_test_rand_int_range(0, 8) == 0) {
            g_string_append_printf(out, "\\u%04x", (unsigned)*p);
        } else {
            g_string_append_c(out, *p);
        }
    }
}

static void put_noise(GString *out)
{
    for (int n = g_test_rand_int_range(0, 12); n > 0; n--) {
        g_string_append_c(out, characters[g_test_rand_int_range(0, (int)sizeof characters - 1)]);
    }
}

/* What a reader of the log could decode again. */
static bool shows(const char *out, const char *value, const char *escaped)
{
    g_autofree char *unescaped = g_uri_unescape_string(out, NULL);
    return strstr(out, value) != NULL || strstr(out, escaped) != NULL ||
           (unescaped != NULL && strstr(unescaped, value) != NULL);
}

static void no_form_of_a_random_value_comes_through(void)
{
    for (int round = 0; round < 3000; round++) {
        g_autofree char *first = random_value();
        g_autofree char *second = random_value();
        const char *values[] = {first, second, NULL};
        struct redactor *redactor = redactor_of(values);
        for (int form = 0; form < 3; form++) {
            g_autoptr(GString) text = g_string_new(NULL);
            const char *value = values[g_test_rand_int_range(0, 2)];
            if (form == 0) {
                put_noise(text);
                g_string_append(text, value);
                put_noise(text);
            } else if (form == 1) {
                put_percent(text, value);
            } else {
                put_json(text, value);
            }
            size_t n;
            g_autofree char *out = redact(redactor, text->str, text->len, &n);
            g_assert_cmpuint(n, >=, 1);
            g_assert_false(shows(out, value, text->str));
        }
        redactor_unref(redactor);
    }
}

/* Base64 of a text that holds the value anywhere: of the value's characters at most the shared ones at its ends stay. */
static void no_base64_of_a_random_value_comes_through(void)
{
    for (int round = 0; round < 3000; round++) {
        g_autofree char *value = random_value();
        const char *values[] = {value, NULL};
        struct redactor *redactor = redactor_of(values);
        g_autoptr(GString) text = g_string_new(NULL);
        put_noise(text);
        size_t before = text->len;
        g_string_append(text, value);
        put_noise(text);
        g_autofree char *encoded = g_base64_encode((const guchar *)text->str, text->len);
        size_t n;
        g_autofree char *out = redact(redactor, encoded, strlen(encoded), &n);
        g_assert_cmpuint(n, >=, 1);
        /* The characters whose six bits are all the value's own. */
        size_t begin = (before * 8 + 5) / 6;
        size_t end = (before + strlen(value)) * 8 / 6;
        g_autofree char *own = g_strndup(encoded + begin, end - begin);
        g_assert_null(strstr(out, own));
        redactor_unref(redactor);
    }
}

static void arbitrary_bytes_are_no_trouble(void)
{
    const char *values[] = {"hunter2!", "p@ss w/rd", NULL};
    struct redactor *redactor = redactor_of(values);
    static const char pieces[][8] = {"%",       "%4",  "%zz", "\\",   "\\u",    "\\u12",
                                     "\\ud83d", "\\x", "+",   "\\\\", "hunter", "="};
    for (int round = 0; round < 20000; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (int i = g_test_rand_int_range(0, 6); i > 0; i--) {
            g_string_append(text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        }
        g_autofree char *exact = g_memdup2(text->str, text->len); /* so that a read behind its end is seen */
        size_t n;
        g_autofree char *out = redact(redactor, text->len > 0 ? exact : "", text->len, &n);
        g_assert_cmpstr(out, ==, text->str);
    }
    redactor_unref(redactor);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/logs/redactor/" #name, name)
    TEST(every_form_of_the_corpus_is_recognised);
    TEST(the_longest_and_overlapping_values_go_whole);
    TEST(what_is_cut_shows_no_part_of_a_value);
    TEST(without_values_text_is_copied);
    TEST(wrapped_base64_is_recognised_line_by_line);
    TEST(no_form_of_a_random_value_comes_through);
    TEST(no_base64_of_a_random_value_comes_through);
    TEST(arbitrary_bytes_are_no_trouble);
    return g_test_run();
}
