/* Patterns: a table to read, and the git program as the judge of thousands of random ones. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "enclii/ignore.h"
#include "scratch.h"

struct row {
    const char *patterns;
    const char *path; /* with a final slash: a folder */
    enum ignore_verdict verdict;
};

#define OUT IGNORE_LEAVE_OUT
#define KEEP IGNORE_KEEP
#define NONE IGNORE_UNDECIDED

static const struct row rows[] = {
    {"*.o", "a.o", OUT},
    {"*.o", "deep/er/a.o", OUT},
    {"*.o", "a.oo", NONE},
    {"# comment", "# comment", NONE},
    {"\\#x", "#x", OUT},
    {"\\!x", "!x", OUT},
    {"trail   ", "trail", OUT},
    {"trail\\ ", "trail ", OUT},
    {"trail\\ ", "trail", NONE},
    {"\r\na\r\n", "a", OUT},
    {"\xEF\xBB\xBFlogs", "logs", OUT},
    {"build/", "build/", OUT},
    {"build/", "build", NONE},
    {"build/", "x/build/", OUT},
    {"/build", "build", OUT},
    {"/build", "x/build", NONE},
    {"doc/a", "doc/a", OUT},
    {"doc/a", "x/doc/a", NONE},
    {"doc/*.txt", "doc/a.txt", OUT},
    {"doc/*.txt", "doc/x/a.txt", NONE},
    {"**/foo", "foo", OUT},
    {"**/foo", "a/b/foo", OUT},
    {"foo/**", "foo/a/b", OUT},
    {"foo/**", "foo/", NONE},
    {"a/**/b", "a/b", OUT},
    {"a/**/b", "a/x/y/b", OUT},
    {"a/**/b", "a/xb", NONE},
    {"a/*/b", "a/b", NONE},
    {"a/*/b", "a/x/b", OUT},
    {"a/*/b", "a/x/y/b", NONE},
    {"*", "anything/at/all", OUT},
    {"a**b", "axyb", OUT},
    {"?.c", "a.c", OUT},
    {"?.c", "ab.c", NONE},
    {"a?b/", "a/b/", NONE},
    {"[abc].c", "b.c", OUT},
    {"[!abc].c", "b.c", NONE},
    {"[^abc].c", "d.c", OUT},
    {"[a-c]x", "bx", OUT},
    {"[]x]", "]", OUT},
    {"[[:digit:]]x", "7x", OUT},
    {"[[:digit:]]x", "ax", NONE},
    {"[\\]]", "]", OUT},
    {"[a", "[a", NONE},
    {"a\\*b", "a*b", OUT},
    {"a\\*b", "axb", NONE},
    {"*.log\n!keep.log", "keep.log", KEEP},
    {"*.log\n!keep.log", "drop.log", OUT},
    {"!keep.log\n*.log", "keep.log", OUT},
    {"!a/", "a/", KEEP},
    {"", "a", NONE},
    {"/", "a", NONE},
    {"!", "a", NONE},
    {"a/", "A/", NONE},
};

static void table(gconstpointer data)
{
    const struct row *row = data;
    g_autoptr(ignore_t) ignore = ignore_parse(row->patterns, strlen(row->patterns));
    g_autofree char *path = g_strdup(row->path);
    bool is_folder = g_str_has_suffix(path, "/");
    if (is_folder) {
        path[strlen(path) - 1] = '\0';
    }
    g_test_message("%s against %s", row->path, row->patterns);
    g_assert_cmpint(ignore_match(ignore, path, is_folder), ==, row->verdict);
}

/* A pattern of k stars against a long name that does not match takes a moment, not an age. */
static void many_stars_take_no_age(void)
{
    g_autoptr(GString) pattern = g_string_new(NULL);
    for (int i = 0; i < 40; i++) {
        g_string_append(pattern, "a*");
    }
    g_string_append_c(pattern, 'b');
    g_autofree char *name = g_strnfill(250, 'a');
    g_autoptr(ignore_t) ignore = ignore_parse(pattern->str, pattern->len);
    int64_t start_us = g_get_monotonic_time();
    g_assert_cmpint(ignore_match(ignore, name, false), ==, IGNORE_UNDECIDED);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, G_USEC_PER_SEC);
}

/* --- git as the judge ------------------------------------------------------------------------------------------------------------ */

#define N_PATTERNS 400

static char *random_pattern(GRand *random)
{
    static const char *const pieces[] = {"a",    "b",    "ab",    "*",   "**",          "/",   "/", "?",
                                         "[ab]", "[!a]", "[a-b]", "\\a", "\\*",         "a.b", ".", "**/",
                                         "/**",  "/**/", "*a",    "b*",  "[[:alpha:]]", "-",   "]", "[^b]*"};
    GString *pattern = g_string_new(g_rand_int_range(random, 0, 6) == 0 ? "!" : "");
    int n = g_rand_int_range(random, 1, 6);
    for (int i = 0; i < n; i++) {
        g_string_append(pattern, pieces[g_rand_int_range(random, 0, G_N_ELEMENTS(pieces))]);
    }
    return g_string_free(pattern, FALSE);
}

/* Files two to three deep with names of few letters, so that patterns hit. */
static GPtrArray *make_tree(const char *folder)
{
    static const char *const names[] = {"a", "b", "ab", "ba", "a.b", "aab", "b-a", "]"};
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_ptr_array_add(paths, g_strdup_printf("f%s", names[i]));
        g_ptr_array_add(paths, g_strdup_printf("%s/%s", names[i], names[(i + 3) % G_N_ELEMENTS(names)]));
        g_ptr_array_add(paths, g_strdup_printf("%s/%s/%s", names[i], names[(i + 1) % G_N_ELEMENTS(names)], names[i]));
    }
    for (guint i = 0; i < paths->len; i++) {
        scratch_write(folder, g_ptr_array_index(paths, i), "");
    }
    return paths;
}

/* As the packer decides: from the top down, never into a folder that is ignored. */
static bool is_ignored(const struct ignore *ignore, const char *path)
{
    for (const char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++) {
        g_autofree char *folder = g_strndup(path, (gsize)(slash - path));
        if (ignore_match(ignore, folder, true) == IGNORE_LEAVE_OUT) {
            return true;
        }
    }
    return ignore_match(ignore, path, false) == IGNORE_LEAVE_OUT;
}

static GHashTable *ignored_by_git(const char *folder)
{
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *lines = scratch_run(folder, 0, "git ls-files --others --ignored --exclude-per-directory=patterns");
    g_auto(GStrv) paths = g_strsplit(lines, "\n", -1);
    for (char **path = paths; *path != NULL; path++) {
        if (**path != '\0') {
            g_hash_table_add(set, g_strdup(*path));
        }
    }
    return set;
}

static void git_agrees_on_random_patterns(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GRand) random = g_rand_new_with_seed((guint32)g_test_rand_int());
    g_autoptr(GPtrArray) paths = make_tree(folder);
    g_free(scratch_run(folder, 0, "git init -q ."));
    unsigned n_ignored = 0;
    for (int i = 0; i < N_PATTERNS; i++) {
        g_autofree char *first = random_pattern(random);
        g_autofree char *second = random_pattern(random);
        g_autofree char *text = g_strdup_printf("%s\n%s\n", first, second);
        scratch_write(folder, "patterns", text);
        g_autoptr(ignore_t) ignore = ignore_parse(text, strlen(text));
        g_autoptr(GHashTable) expected = ignored_by_git(folder);
        for (guint j = 0; j < paths->len; j++) {
            const char *path = g_ptr_array_index(paths, j);
            bool is_expected = g_hash_table_contains(expected, path);
            n_ignored += is_expected;
            if (is_ignored(ignore, path) != is_expected) {
                g_error("%s: git says %s, we do not; patterns:\n%s", path, is_expected ? "ignored" : "kept", text);
            }
        }
    }
    g_test_message("%u of %u were ignored", n_ignored, N_PATTERNS * paths->len);
    g_assert_cmpuint(n_ignored, >, N_PATTERNS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/ignore/table/%zu", i);
        g_test_add_data_func(path, &rows[i], table);
    }
    g_test_add_func("/ignore/many_stars_take_no_age", many_stars_take_no_age);
    g_test_add_func("/ignore/git_agrees_on_random_patterns", git_agrees_on_random_patterns);
    return g_test_run();
}
