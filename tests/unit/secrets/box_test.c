/* The box: what was sealed opens in its place with its key, and nowhere else. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "secrets/box.h"

struct folder {
    char *path, *key;
    struct box *box;
};

static struct box *open_box(const char *path, bool may_create)
{
    g_autoptr(GError) error = NULL;
    struct box *box = box_open(path, may_create, &error);
    g_assert_no_error(error);
    return box;
}

static void make_folder(struct folder *folder, gconstpointer data)
{
    folder->path = g_dir_make_tmp("box-test-XXXXXX", NULL);
    folder->key = g_build_filename(folder->path, "key", NULL);
    folder->box = open_box(folder->key, true);
}

static void remove_folder(struct folder *folder, gconstpointer data)
{
    box_free(folder->box);
    g_assert_true(folder_remove(folder->path, NULL));
    g_free(folder->key);
    g_free(folder->path);
}

static void assert_opens(const struct box *box, const char *row, const char *name, const char *sealed,
                         const char *value)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(sy_secret) secret = box_open_value(box, row, name, sealed, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(secret_length(secret), ==, strlen(value));
    g_assert_cmpstr(secret_reveal(secret), ==, value);
}

static void assert_stays_shut(const struct box *box, const char *row, const char *name, const char *sealed)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(sy_secret) secret = box_open_value(box, row, name, sealed, &error);
    if (secret != NULL) {
        g_error("%s/%s opens: %s", row, name, sealed);
    }
    g_assert_error(error, SY_ERROR, SY_INTERNAL);
}

static void refuse_key(const char *path, enum sy_code code)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(box_open(path, false, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, "master key"));
}

static void what_was_sealed_opens(struct folder *folder, gconstpointer data)
{
    g_autofree char *large = g_strnfill(1 << 20, 'x');
    const char *values[] = {"", "x", "postgres://user:pass@host/db", "äöü\n\t\x01", large};
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *sealed = box_seal(folder->box, "row", "NAME", values[i]);
        g_assert_true(strlen(values[i]) < 2 || strstr(sealed, values[i]) == NULL);
        g_assert_true(g_str_is_ascii(sealed));
        assert_opens(folder->box, "row", "NAME", sealed, values[i]);
    }
    struct box *again = open_box(folder->key, false);
    g_autofree char *sealed = box_seal(folder->box, "row", "NAME", "value");
    g_assert_cmpstr(box_key_id(again), ==, box_key_id(folder->box));
    assert_opens(again, "row", "NAME", sealed, "value");
    box_free(again);
}

static void the_same_value_never_looks_the_same(struct folder *folder, gconstpointer data)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < 1000; i++) {
        g_assert_true(g_hash_table_add(seen, box_seal(folder->box, "row", "NAME", "value")));
    }
}

static void every_changed_byte_is_noticed(struct folder *folder, gconstpointer data)
{
    static const char *const values[] = {"v", "va", "val", "value"}; /* every remainder of base64 */
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *sealed = box_seal(folder->box, "row", "NAME", values[i]);
        for (size_t at = 0; sealed[at] != '\0'; at++) {
            char right = sealed[at];
            for (const char *other = "ABz09-_:=/+ \n\x80"; *other != '\0'; other++) {
                if (*other != right) {
                    sealed[at] = *other;
                    assert_stays_shut(folder->box, "row", "NAME", sealed);
                }
            }
            sealed[at] = right;
        }
        assert_opens(folder->box, "row", "NAME", sealed, values[i]);
    }
}

static void every_other_length_is_noticed(struct folder *folder, gconstpointer data)
{
    g_autofree char *sealed = box_seal(folder->box, "row", "NAME", "value");
    for (size_t length = 0; length < strlen(sealed); length++) {
        g_autofree char *cut = g_strndup(sealed, length);
        assert_stays_shut(folder->box, "row", "NAME", cut);
    }
    static const char *const tails[] = {"A", "AA", "AAA", "AAAA", "=", "==", " ", "\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(tails); i++) {
        g_autofree char *longer = g_strconcat(sealed, tails[i], NULL);
        assert_stays_shut(folder->box, "row", "NAME", longer);
    }
}

static void a_value_opens_only_in_its_place(struct folder *folder, gconstpointer data)
{
    g_autofree char *sealed = box_seal(folder->box, "ab", "c", "value");
    static const char *const places[][2] = {{"a", "bc"},  {"abc", ""},  {"", "abc"},   {"ab", "C"}, {"ab", "c "},
                                            {"ab:", "c"}, {"a", "b:c"}, {"2:ab", "c"}, {"x", "c"}};
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        assert_stays_shut(folder->box, places[i][0], places[i][1], sealed);
    }
    assert_opens(folder->box, "ab", "c", sealed, "value");
}

static void another_key_is_told_apart(struct folder *folder, gconstpointer data)
{
    g_autofree char *other_key = g_build_filename(folder->path, "other", NULL);
    g_autofree char *sealed = box_seal(folder->box, "row", "NAME", "value");
    struct box *other = open_box(other_key, true);
    g_autoptr(GError) error = NULL;
    g_assert_cmpstr(box_key_id(other), !=, box_key_id(folder->box));
    g_assert_null(box_open_value(other, "row", "NAME", sealed, &error));
    g_assert_nonnull(strstr(error->message, "another master key"));
    /* Whoever rewrites the key's id has not got further. */
    const char *rest = strrchr(sealed, ':');
    g_autofree char *forged = g_strdup_printf("v1:%s%s", box_key_id(other), rest);
    assert_stays_shut(other, "row", "NAME", forged);
    box_free(other);
}

static void a_new_key_is_for_its_owner_only(struct folder *folder, gconstpointer data)
{
    struct stat status;
    g_assert_cmpint(stat(folder->key, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, 0600);
    g_assert_cmpint(status.st_size, ==, 32);
}

static void a_key_that_others_may_read_is_refused(struct folder *folder, gconstpointer data)
{
    static const mode_t modes[] = {0640, 0604, 0644, 0660, 0602, 0610, 0777};
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(chmod(folder->key, modes[i]), ==, 0);
        refuse_key(folder->key, SY_IO_FAILED);
        g_assert_null(box_open(folder->key, true, &error));
        g_assert_true(g_str_has_prefix(sy_error_hint(error), "chmod 600 "));
    }
    g_assert_cmpint(chmod(folder->key, 0400), ==, 0);
    box_free(open_box(folder->key, false));
}

static void a_key_of_another_length_is_refused(struct folder *folder, gconstpointer data)
{
    static const char bytes[40] = {0};
    g_autofree char *path = g_build_filename(folder->path, "odd", NULL);
    static const size_t lengths[] = {0, 1, 31, 33, 40};
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_assert_true(file_replace(path, bytes, lengths[i], 0600, NULL));
        refuse_key(path, lengths[i] > 32 ? SY_TOO_LARGE : SY_IO_FAILED);
    }
}

static void a_missing_key_is_made_only_when_allowed(struct folder *folder, gconstpointer data)
{
    g_autofree char *path = g_build_filename(folder->path, "missing", NULL);
    refuse_key(path, SY_NOT_FOUND);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_autofree char *nowhere = g_build_filename(folder->path, "no", "key", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(box_open(nowhere, true, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
}

static void a_box_that_did_not_open_may_be_freed(struct folder *folder, gconstpointer data)
{
    struct box *box = box_open(folder->path, false, NULL); /* a folder is no key */
    g_assert_null(box);
    box_free(box);
}

static gpointer open_at_once(gpointer path)
{
    struct box *box = open_box(path, true);
    char *id = g_strdup(box_key_id(box));
    box_free(box);
    return id;
}

static void of_many_first_starts_one_key_comes(struct folder *folder, gconstpointer data)
{
    for (int round = 0; round < 10; round++) {
        g_autofree char *name = g_strdup_printf("race%d", round);
        g_autofree char *path = g_build_filename(folder->path, name, NULL);
        g_autofree char *first = NULL;
        GThread *threads[6];
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
            threads[i] = g_thread_new("open", open_at_once, path);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
            g_autofree char *id = g_thread_join(threads[i]);
            g_assert_cmpuint(strlen(id), ==, 16);
            g_assert_true(first == NULL || strcmp(id, first) == 0);
            g_free(first);
            first = g_steal_pointer(&id);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/box/" #name, struct folder, NULL, make_folder, name, remove_folder)
    ADD(what_was_sealed_opens);
    ADD(the_same_value_never_looks_the_same);
    ADD(every_changed_byte_is_noticed);
    ADD(every_other_length_is_noticed);
    ADD(a_value_opens_only_in_its_place);
    ADD(another_key_is_told_apart);
    ADD(a_new_key_is_for_its_owner_only);
    ADD(a_key_that_others_may_read_is_refused);
    ADD(a_key_of_another_length_is_refused);
    ADD(a_missing_key_is_made_only_when_allowed);
    ADD(a_box_that_did_not_open_may_be_freed);
    ADD(of_many_first_starts_one_key_comes);
    return g_test_run();
}
