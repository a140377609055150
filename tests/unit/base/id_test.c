/* Identifiers, digests, names. */
#include <string.h>

#include "base/id.h"

static void uuids_have_version_and_time(void)
{
    char text[UUID_LENGTH + 1];
    static const int64_t far_us =
        INT64_C(4102444800123456); /* later than all others here: the counter never runs back */
    uuid_make(far_us, text);
    g_assert_true(uuid_is_valid(text));
    g_assert_cmpint(text[14], ==, '7');
    g_assert_nonnull(strchr("89ab", text[19]));
    g_autofree char *stamp = g_strdup_printf("%.8s%.4s", text, text + 9);
    g_assert_cmpuint(g_ascii_strtoull(stamp, NULL, 16), ==, (guint64)far_us / 1000);
}

static void uuids_rise_even_when_the_clock_does_not(void)
{
    static const int64_t times_us[] = {INT64_C(5000000000000000), 0, -1, INT64_C(4999999999999999),
                                       INT64_C(5000000000000000)};
    char before[UUID_LENGTH + 1];
    char text[UUID_LENGTH + 1];
    uuid_make(times_us[0], before);
    for (int i = 0; i < 20000; i++) { /* more than the 4096 of one millisecond */
        uuid_make(times_us[i % (int)G_N_ELEMENTS(times_us)], text);
        g_assert_cmpstr(text, >, before);
        memcpy(before, text, sizeof before);
    }
}

#define N_THREADS 4
#define N_EACH 5000

static gpointer make_many(gpointer out)
{
    char(*texts)[UUID_LENGTH + 1] = out;
    for (int i = 0; i < N_EACH; i++) {
        uuid_make(g_get_real_time(), texts[i]);
    }
    return NULL;
}

static void threads_never_get_the_same_uuid(void)
{
    static char texts[N_THREADS][N_EACH][UUID_LENGTH + 1];
    GThread *threads[N_THREADS];
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < N_THREADS; i++) {
        threads[i] = g_thread_new("uuid", make_many, texts[i]);
    }
    for (int i = 0; i < N_THREADS; i++) {
        g_thread_join(threads[i]);
    }
    for (int i = 0; i < N_THREADS; i++) {
        for (int j = 0; j < N_EACH; j++) {
            char *stamp = g_strndup(texts[i][j], 18); /* time and counter alone must differ */
            g_assert_true(g_hash_table_add(seen, stamp));
            g_assert_true(j == 0 || strcmp(texts[i][j - 1], texts[i][j]) < 0);
        }
    }
}

static void uuids_are_recognised(void)
{
    g_assert_true(uuid_is_valid("01a20c99-93cd-7000-81d8-20c118f392a0"));
    g_assert_true(uuid_is_valid("01A20C99-93CD-7000-81D8-20C118F392A0"));
    static const char *const bad[] = {"",
                                      "01a20c99-93cd-7000-81d8-20c118f392a",
                                      "01a20c99-93cd-7000-81d8-20c118f392a00",
                                      "01a20c9993cd700081d820c118f392a0",
                                      "{01a20c99-93cd-7000-81d8-20c118f392a0}",
                                      "01a20c99-93cd-7000-81d8-20c118f392ag"};
    g_assert_false(uuid_is_valid(NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(uuid_is_valid(bad[i]));
    }
}

/* FIPS 180-2, appendix B.1 */
static void digests_are_sha256(void)
{
    g_autofree char *abc = sha256_hex("abc", 3);
    g_assert_cmpstr(abc, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    g_assert_true(sha256_hex_is_valid(abc));
    abc[0] = 'B';
    g_assert_false(sha256_hex_is_valid(abc));
    abc[0] = 'g';
    g_assert_false(sha256_hex_is_valid(abc));
    g_assert_false(sha256_hex_is_valid(abc + 1));
    g_assert_false(sha256_hex_is_valid(NULL));
}

static void labels_fit(void)
{
    g_autofree char *same = dns_label_fit("web-shop-preview", false);
    g_assert_cmpstr(same, ==, "web-shop-preview");
    g_autofree char *long_text = g_strnfill(64, 'a');
    g_autofree char *cut = dns_label_fit(long_text, false);
    g_assert_cmpuint(strlen(cut), ==, 63);
    g_autofree char *whole = g_strnfill(63, 'a');
    g_autofree char *kept = dns_label_fit(whole, false);
    g_assert_cmpstr(kept, ==, whole);
    g_autofree char *forced = dns_label_fit("web", true);
    g_assert_cmpuint(strlen(forced), ==, strlen("web-12345678"));
    g_assert_true(g_str_has_prefix(forced, "web-"));
}

static void shortened_labels_are_valid_and_differ(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GString *text = g_string_new("a");
    for (int i = 0; i < 300; i++) { /* the place of the cut meets hyphens, too */
        g_string_append(text, i % 7 < 3 ? "-" : "b");
        g_autofree char *whole = g_strconcat(text->str, "c", NULL);
        for (int always = 0; always < (strlen(whole) <= 63 ? 2 : 1); always++) {
            char *label = dns_label_fit(whole, always == 1);
            g_test_message("%s", label);
            g_assert_true(dns_label_is_valid(label));
            g_assert_true(g_hash_table_add(seen, label));
        }
    }
    g_string_free(text, TRUE);
}

static void names_are_checked(void)
{
    g_autofree char *longest = g_strnfill(63, 'a');
    g_autofree char *too_long = g_strnfill(64, 'a');
    g_assert_true(dns_label_is_valid(longest));
    g_assert_false(dns_label_is_valid(too_long));
    static const char *const bad_labels[] = {"", "-", "a-", "-a", "1a", "A", "a_b", "a.b", "ä", "a b"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad_labels); i++) {
        g_test_message("%s", bad_labels[i]);
        g_assert_false(dns_label_is_valid(bad_labels[i]));
    }
    static const char *const good[] = {"a.b", "1.example.com", "xn--a-b.c", "a-b.c3"};
    static const char *const bad[] = {"",    "a",    "a.",   ".a",    "a..b", "*.a.b",
                                      "A.b", "a-.b", "a.-b", "a_b.c", "a.b.", "a b.c"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(dns_name_is_valid(good[i]));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i]);
        g_assert_false(dns_name_is_valid(bad[i]));
    }
    GString *name = g_string_new("aa");
    while (name->len < 253) {
        g_string_append(name, ".a");
    }
    g_string_truncate(name, 252);
    g_string_append_c(name, 'b');
    g_assert_true(dns_name_is_valid(name->str));
    g_string_append_c(name, 'b');
    g_assert_false(dns_name_is_valid(name->str));
    g_string_free(name, TRUE);
}

static void misspelled_words_are_found(void)
{
    static const char *const words[] = {"replicas", "resources", "release", "port", "env", NULL};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"replica", "replicas"}, {"repilcas", "replicas"}, {"prot", "port"}, {"evn", "env"}, {"relase", "release"},
        {"port", "port"},        {"banana", NULL},         {"x", NULL},      {"", NULL},     {"resource", "resources"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].word);
        g_assert_cmpstr(nearest_word(cases[i].word, words), ==, cases[i].nearest);
    }
    g_autofree char *endless = g_strnfill(100000, 'p');
    g_assert_null(nearest_word(endless, words));
    static const char *const none[] = {NULL};
    g_assert_null(nearest_word("port", none));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/id/" #name, name)
    ADD(uuids_have_version_and_time);
    ADD(uuids_rise_even_when_the_clock_does_not);
    ADD(threads_never_get_the_same_uuid);
    ADD(uuids_are_recognised);
    ADD(digests_are_sha256);
    ADD(labels_fit);
    ADD(shortened_labels_are_valid_and_differ);
    ADD(names_are_checked);
    ADD(misspelled_words_are_found);
    return g_test_run();
}
