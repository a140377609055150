/* More sources than are remembered, lines that are none, and files that somebody took away, replaced or put beside ours. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "fixture.h"
#include "logs/log_segment.h"
#include "logs/watermark.h"

#define KEY "service/environment"

/* --- sources ----------------------------------------------------------------------------------------------------------------- */

static void put_sources(struct log_store *store, int first, int n)
{
    for (int i = first; i < first + n; i++) {
        g_autofree char *source = g_strdup_printf("web-%06d", i);
        g_assert_cmpuint(put(store, KEY, source, 1000 + i, "x"), ==, 1);
    }
}

/* What a segment begins with is then more than one record; whichever of them is read, nothing comes twice. */
static void thousands_of_sources_are_remembered(void)
{
    struct fixture fixture;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 1 << 20, .log_bytes = 3 << 20});
    put_sources(fixture.store, 0, 4000);
    put_many(fixture.store, KEY, "loud", "line that fills segments", 10000, 60000);
    g_assert_true(log_store_trim(fixture.store, 100000, NULL, NULL));
    g_autofree char *gone = read_texts(fixture.store, KEY, &(struct log_query){.source = "web-000000"});
    g_assert_cmpstr(gone, ==, "");
    fixture_reopen(&fixture);
    for (int i = 0; i < 4000; i += 7) {
        g_autofree char *source = g_strdup_printf("web-%06d", i);
        g_assert_cmpint(log_store_watermark(fixture.store, KEY, source), ==, 1000 + i);
        g_assert_cmpuint(put(fixture.store, KEY, source, 1000 + i, "x"), ==, 0);
    }
    fixture_close(&fixture);
}

/* The newest stay; what is forgotten does not come twice all the same. */
static void too_many_sources_are_forgotten_oldest_first(void)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    put_sources(fixture.store, 0, 2 * WATERMARK_SOURCES_MAX + 2);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, "web-000000"), ==, 0);
    g_assert_cmpuint(put(fixture.store, KEY, "web-000000", 1000, "x"), ==, 0);
    g_autofree char *newest = g_strdup_printf("web-%06d", 2 * WATERMARK_SOURCES_MAX + 1);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, newest), ==, 1000 + 2 * WATERMARK_SOURCES_MAX + 1);
    g_assert_cmpuint(put(fixture.store, KEY, "web-000000", 1000000, "x"), ==, 1);
    fixture_close(&fixture);
}

/* A table with a sound checksum that another version, or a defect, has written. */
static void a_table_that_ends_too_early_is_not_believed(void)
{
    struct watermarks *watermarks = watermarks_new();
    watermarks_ensure(watermarks, "web-1")->streams[0].time_us = 77;
    watermarks_ensure(watermarks, "web-2")->streams[1].time_us = 88;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    watermarks_encode(watermarks, bytes, 5);
    watermarks_free(watermarks);
    const uint8_t *body = bytes->data + RECORD_HEAD_BYTES;
    uint32_t length = bytes->len - RECORD_HEAD_BYTES;
    for (uint32_t cut = 0; cut <= length; cut++) {
        struct watermarks *again = watermarks_new();
        g_autofree uint8_t *copy = g_memdup2(body, MAX(cut, 1)); /* so that a read beyond is seen */
        struct record record = {.kind = RECORD_TABLE, .body = copy, .length = cut};
        uint32_t more = 99;
        bool ok = watermarks_decode(again, &record, &more);
        g_assert_true(ok == (cut == length));
        g_assert_cmpuint(more, ==, ok ? 0 : 99);
        if (ok) {
            g_assert_cmpint(mark_time(watermarks_find(again, "web-2")), ==, 88);
        }
        record.kind = RECORD_LINE;
        g_assert_false(watermarks_decode(again, &record, &more));
        watermarks_free(again);
    }
}

/* --- lines ------------------------------------------------------------------------------------------------------------------- */

static void what_is_no_line_is_refused_with_all_that_came_with_it(void)
{
    struct fixture fixture;
    g_autofree char *long_source = g_strnfill(129, 's');
    const struct log_line bad[] = {
        {.time_us = 2, .source = NULL, .text = "x", .length = 1},
        {.time_us = 2, .source = long_source, .text = "x", .length = 1},
        {.time_us = -1, .source = "s", .text = "x", .length = 1},
        {.time_us = 2, .source = "s", .stream = (enum log_stream_kind)3, .text = "x", .length = 1},
        {.time_us = 2, .source = "s", .text = NULL, .length = 1},
    };
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        size_t n = 77;
        const struct log_line lines[] = {{.time_us = 1, .source = "s", .text = "good", .length = 4}, bad[i]};
        g_assert_false(log_store_append(fixture.store, KEY, lines, 2, NULL, &n, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_cmpuint(n, ==, 77);
    }
    g_autofree char *texts = read_texts(fixture.store, KEY, &(struct log_query){0});
    g_assert_cmpstr(texts, ==, "");
    g_assert_cmpuint(put(fixture.store, KEY, "s", 1, "good"), ==, 1);
    fixture_close(&fixture);
}

static void every_call_refuses_a_bad_key(void)
{
    static const char *const keys[] = {"", "/a", "a/", "a//b", "../a", "a/b/c/d/e", "a b"};
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autoptr(GError) appending = NULL;
        g_autoptr(GError) following = NULL;
        g_autoptr(GError) removing = NULL;
        const struct log_line line = {.time_us = 1, .source = "s", .text = "x", .length = 1};
        g_assert_false(log_store_append(fixture.store, keys[i], &line, 1, NULL, NULL, &appending));
        g_assert_error(appending, SY_ERROR, SY_INVALID_INPUT);
        g_assert_null(
            log_follow_start(fixture.store, keys[i], &(struct log_query){0}, collect, NULL, NULL, &following));
        g_assert_error(following, SY_ERROR, SY_INVALID_INPUT);
        g_assert_false(log_store_remove(fixture.store, keys[i], &removing));
        g_assert_error(removing, SY_ERROR, SY_INVALID_INPUT);
        g_assert_cmpint(log_store_watermark(fixture.store, keys[i], "s"), ==, 0);
    }
    fixture_close(&fixture);
}

/* --- files that others change ------------------------------------------------------------------------------------------------ */

struct told {
    int n_lines, n_markers;
};

static bool count_lines(const struct log_line *line, void *arg)
{
    struct told *told = arg;
    told->n_markers += line->stream == LOG_SYSTEM;
    told->n_lines += line->stream != LOG_SYSTEM;
    return true;
}

/* Somebody cleans up by hand: what is gone is told, the rest is read, and the log goes on. */
static void segments_taken_away_are_told_and_the_log_goes_on(void)
{
    struct fixture fixture;
    struct told told = {0};
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 1000});
    put_many(fixture.store, KEY, "s", "line", 1, 500);
    fixture_reopen(&fixture);
    g_autofree char *before = read_texts(fixture.store, KEY, &(struct log_query){.limit = 1});
    g_assert_cmpstr(before, ==, "line 500");
    fixture_reopen(&fixture);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, "s"), ==, 500);
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpuint(paths->len, >, 4);
    g_assert_cmpint(unlink(g_ptr_array_index(paths, 1)), ==, 0);
    g_assert_true(log_store_read(fixture.store, KEY, &(struct log_query){0}, count_lines, &told, &error));
    g_assert_cmpint(told.n_lines, <, 500);
    g_assert_cmpint(told.n_markers, ==, 1);
    g_assert_cmpuint(put(fixture.store, KEY, "s", 501, "next"), ==, 1);
    g_autofree char *after = read_texts(fixture.store, KEY, &(struct log_query){.limit = 1});
    g_assert_cmpstr(after, ==, "next");
    fixture_close(&fixture);
}

/* The one that is written to: the append that finds out fails and says so, the next begins another file. */
static void a_last_segment_taken_away_fails_one_append(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, NULL);
    put_many(fixture.store, KEY, "s", "line", 1, 10);
    fixture_reopen(&fixture);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, "s"), ==, 10); /* read, and not open any more: */
    for (int i = 0; i < 200; i++) {
        g_autofree char *other = g_strdup_printf("other/%d", i);
        put(fixture.store, other, "s", 1, "x");
    }
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpint(unlink(g_ptr_array_index(paths, 0)), ==, 0);
    const struct log_line line = {.time_us = 11, .source = "s", .text = "lost", .length = 4};
    g_assert_false(log_store_append(fixture.store, KEY, &line, 1, NULL, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_FOUND);
    g_assert_cmpuint(put(fixture.store, KEY, "s", 11, "kept"), ==, 1);
    fixture_reopen(&fixture);
    struct told told = {0};
    g_assert_true(log_store_read(fixture.store, KEY, &(struct log_query){0}, count_lines, &told, NULL));
    g_assert_cmpint(told.n_lines, ==, 1);
    fixture_close(&fixture);
}

/* Folders, links and other names beside the segments are nobody's business; and nothing is written through a link. */
static void what_is_no_segment_is_passed_over(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, NULL);
    put(fixture.store, KEY, "s", 1, "line");
    g_autofree char *folder = g_build_filename(fixture.folder, KEY, NULL);
    g_autofree char *victim = g_build_filename(fixture.folder, "victim", NULL);
    g_autofree char *link = g_build_filename(folder, "00000000000000000007.log", NULL);
    g_autofree char *inner = g_build_filename(folder, "00000000000000000009.log", NULL);
    g_autofree char *zero = g_build_filename(folder, "00000000000000000000.log", NULL);
    g_autofree char *huge = g_build_filename(folder, "99999999999999999999.log", NULL);
    g_autofree char *notes = g_build_filename(folder, "notes.txt", NULL);
    put_contents(victim, "precious", 8);
    put_contents(zero, "x", 1);
    put_contents(huge, "x", 1);
    put_contents(notes, "x", 1);
    g_assert_cmpint(symlink(victim, link), ==, 0);
    g_assert_true(folder_ensure(inner, 0700, &error));
    fixture_reopen(&fixture);
    g_assert_cmpuint(put(fixture.store, KEY, "s", 2, "more"), ==, 1);
    g_autofree char *texts = read_texts(fixture.store, KEY, &(struct log_query){0});
    g_assert_cmpstr(texts, ==, "line|more");
    g_assert_true(log_store_trim(fixture.store, 1000000, NULL, &error));
    size_t length = 0;
    g_autofree char *kept = contents(victim, &length);
    g_assert_cmpuint(length, ==, 8);
    g_assert_true(memcmp(kept, "precious", 8) == 0);
    g_assert_true(g_file_test(notes, G_FILE_TEST_EXISTS));
    fixture_close(&fixture);
}

/* What cannot be removed stays in the books: the bytes are counted, the lines that are left are read. */
static void a_segment_that_cannot_be_removed_is_told(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    int64_t freed = -1;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 1000, .log_bytes = 3000});
    put_many(fixture.store, KEY, "s", "line", 1, 500);
    int64_t before = log_store_bytes(fixture.store);
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpint(unlink(g_ptr_array_index(paths, 0)), ==, 0);
    g_assert_cmpint(mkdir(g_ptr_array_index(paths, 0), 0700), ==, 0);
    put(fixture.store, "another/log", "s", 1, "x");
    g_assert_false(log_store_trim(fixture.store, 1000, &freed, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
    g_assert_nonnull(strstr(error->message, "cannot remove the log segment"));
    g_assert_cmpint(log_store_bytes(fixture.store), >=, before);
    g_assert_cmpint(rmdir(g_ptr_array_index(paths, 0)), ==, 0);
    g_autoptr(GError) again = NULL;
    g_assert_true(log_store_trim(fixture.store, 1000, &freed, &again));
    g_assert_no_error(again);
    g_assert_cmpint(log_store_bytes(fixture.store), <, before);
    fixture_close(&fixture);
}

static void a_store_opens_in_a_folder_only(void)
{
    g_autofree char *folder = g_dir_make_tmp("enclii-logs-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "file", NULL);
    g_autofree char *below = g_build_filename(file, "below", NULL);
    const char *const wrong[] = {file, below};
    put_contents(file, "x", 1);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(log_store_open(wrong[i], &(struct log_options){0}, &error));
        g_assert_error(error, SY_ERROR, SY_IO_FAILED);
    }
    g_assert_true(folder_remove(folder, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/logs/bounds/" #name, name)
    TEST(thousands_of_sources_are_remembered);
    TEST(too_many_sources_are_forgotten_oldest_first);
    TEST(a_table_that_ends_too_early_is_not_believed);
    TEST(what_is_no_line_is_refused_with_all_that_came_with_it);
    TEST(every_call_refuses_a_bad_key);
    TEST(segments_taken_away_are_told_and_the_log_goes_on);
    TEST(a_last_segment_taken_away_fails_one_append);
    TEST(what_is_no_segment_is_passed_over);
    TEST(a_segment_that_cannot_be_removed_is_told);
    TEST(a_store_opens_in_a_folder_only);
    return g_test_run();
}
