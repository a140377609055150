/* Appending, reading, following; keys; watermarks; retention. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "fixture.h"
#include "logs/redactor.h"

#define KEY "service/environment"
#define DAY_US (INT64_C(86400) * G_USEC_PER_SEC)

#define assert_texts(fixture, expected, ...)                                                                           \
    do {                                                                                                               \
        const struct log_query query_ = {__VA_ARGS__};                                                                 \
        g_autofree char *texts_ = read_texts((fixture).store, KEY, &query_);                                           \
        g_assert_cmpstr(texts_, ==, expected);                                                                         \
    } while (0)

/* --- append and read --------------------------------------------------------------------------- */

static void what_is_appended_is_read_in_order(void)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    g_assert_cmpuint(put(fixture.store, KEY, "web-1", 10, "one"), ==, 1);
    g_assert_cmpuint(put_stream(fixture.store, KEY, "web-2", LOG_STDERR, 5, "two"), ==, 1);
    g_assert_cmpuint(put(fixture.store, KEY, "web-1", 11, ""), ==, 1);
    assert_texts(fixture, "one|two|", 0);
    fixture_reopen(&fixture);
    assert_texts(fixture, "one|two|", 0);
    put(fixture.store, KEY, "web-1", 12, "three");
    assert_texts(fixture, "one|two||three", 0);
    fixture_close(&fixture);
}

static bool check_line(const struct log_line *line, void *arg)
{
    int *n = arg;
    g_assert_cmpuint(line->sequence, ==, ++*n);
    g_assert_cmpint(line->time_us, ==, 1000 + *n);
    g_assert_cmpstr(line->source, ==, "web-1");
    g_assert_cmpint(line->stream, ==, LOG_STDERR);
    g_assert_cmpmem(line->text, line->length, "a\0b", 3);
    return true;
}

static void a_line_keeps_every_field_and_any_byte(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    int n = 0;
    fixture_open(&fixture, NULL);
    for (int i = 1; i <= 2; i++) {
        const struct log_line line = {
            .time_us = 1000 + i, .source = "web-1", .stream = LOG_STDERR, .text = "a\0b", .length = 3};
        g_assert_true(log_store_append(fixture.store, KEY, &line, 1, NULL, NULL, &error));
    }
    g_assert_true(log_store_read(fixture.store, KEY, &(struct log_query){0}, check_line, &n, &error));
    g_assert_no_error(error);
    g_assert_cmpint(n, ==, 2);
    fixture_close(&fixture);
}

static void keys_that_leave_the_folder_are_refused(void)
{
    static const char *const bad[] = {"", "/a", "a/", "a//b", "..", "a/../b", "a.b", "a b", "a\nb", "a/b/c/d/e", "ä"};
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        const struct log_line line = {.time_us = 1, .source = "s", .text = "x", .length = 1};
        g_assert_false(log_store_append(fixture.store, bad[i], &line, 1, NULL, NULL, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    }
    put(fixture.store, "build/A-z_09", "build", 1, "fine");
    fixture_close(&fixture);
}

static void queries_choose_by_limit_time_text_source_and_sequence(void)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (int i = 1; i <= 9; i++) {
        g_autofree char *text = g_strdup_printf("line %d", i);
        put(fixture.store, KEY, i % 2 == 0 ? "even" : "odd", i * 10, text);
    }
    assert_texts(fixture, "line 8|line 9", .limit = 2);
    assert_texts(fixture, "line 6|line 8", .limit = 2, .source = "even");
    assert_texts(fixture, "line 3|line 4|line 5", .since_us = 30, .until_us = 50);
    assert_texts(fixture, "line 5", .since_us = 30, .until_us = 50, .limit = 1);
    assert_texts(fixture, "line 7", .grep = "e 7");
    assert_texts(fixture, "line 8|line 9", .after_sequence = 7);
    assert_texts(fixture, "line 9", .after_sequence = 7, .limit = 1);
    assert_texts(fixture, "line 9", .after_sequence = 8, .limit = 5);
    assert_texts(fixture, "line 1", .limit = 100, .grep = "line 1");
    assert_texts(fixture, "", .grep = "absent");
    g_autofree char *other = read_texts(fixture.store, "other/log", NULL);
    g_assert_cmpstr(other, ==, "");
    fixture_close(&fixture);
}

static void limits_reach_over_segments(void)
{
    struct fixture fixture;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 2000});
    put_many(fixture.store, KEY, "s", "l", 1, 1000);
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpuint(paths->len, >, 5);
    for (int i = 0; i < 2; i++) {
        assert_texts(fixture, "l 998|l 999|l 1000", .limit = 3);
        assert_texts(fixture, "l 700|l 800|l 900|l 1000", .limit = 4, .grep = "00");
        assert_texts(fixture, "l 500|l 501", .since_us = 500, .until_us = 501);
        assert_texts(fixture, "l 3", .limit = 1, .until_us = 3);
        fixture_reopen(&fixture);
    }
    g_autofree char *all = read_texts(fixture.store, KEY, &(struct log_query){.limit = 5000});
    g_auto(GStrv) lines = g_strsplit(all, "|", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 1000);
    fixture_close(&fixture);
}

static bool stop_at_two(const struct log_line *line, void *arg)
{
    return ++*(int *)arg < 2;
}

static void a_read_ends_when_its_caller_says_so(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    int n = 0;
    fixture_open(&fixture, NULL);
    put_many(fixture.store, KEY, "s", "l", 1, 10);
    g_assert_true(log_store_read(fixture.store, KEY, &(struct log_query){0}, stop_at_two, &n, &error));
    g_assert_cmpint(n, ==, 2);
    fixture_close(&fixture);
}

/* A secret at every place where a long line is divided or cut. */
static void secrets_of_long_lines_never_reach_the_disk(void)
{
    static const size_t places[] = {16384, 65536, 131072, LOG_LINE_MAX - LOG_SECRET_MAX, LOG_LINE_MAX, 1200000};
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    g_autoptr(sy_secret) secret = secret_new("hunter2hunter2hunter2", 21);
    const struct secret *secrets[] = {secret};
    struct redactor *redactor = redactor_new(secrets, 1);
    fixture_open(&fixture, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *padding = g_strnfill(places[i] - 10, 'x');
        g_autofree char *text = g_strconcat(padding, "hunter2hunter2hunter2", " the end", NULL);
        const struct log_line line = {
            .time_us = 1 + (int64_t)i, .source = "s", .text = text, .length = MIN(strlen(text), LOG_LINE_MAX)};
        g_assert_true(log_store_append(fixture.store, KEY, &line, 1, redactor, NULL, &error));
    }
    redactor_unref(redactor);
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    size_t length;
    g_autofree char *bytes = contents(g_ptr_array_index(paths, 0), &length);
    g_assert_null(memmem(bytes, length, "hunt", 4));
    g_assert_nonnull(memmem(bytes, length, "[redacted] the end", 18));
    g_assert_nonnull(memmem(bytes, length, " [cut after 851968 bytes]", 25));
    fixture_close(&fixture);
}

static void long_lines_become_several(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    g_autofree char *padding = g_strnfill(65535, 'x');
    g_autofree char *text = g_strconcat(padding, "\xc3\xa4 is not divided", NULL);
    const struct log_line lines[] = {{.time_us = 1, .source = "s", .text = text, .length = strlen(text)},
                                     {.time_us = 2, .source = "s", .text = "next", .length = 4}};
    g_autofree char *expected = g_strconcat(padding, "|\xc3\xa4 is not divided|next", NULL);
    fixture_open(&fixture, NULL);
    g_assert_true(log_store_append(fixture.store, KEY, lines, 2, NULL, NULL, &error));
    assert_texts(fixture, expected, 0);
    fixture_close(&fixture);
}

static void secrets_never_reach_the_disk(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    g_autoptr(sy_secret) secret = secret_new("hunter2hunter2", 14);
    const struct secret *secrets[] = {secret};
    struct redactor *redactor = redactor_new(secrets, 1);
    const struct log_line line = {.time_us = 1, .source = "s", .text = "pw=hunter2hunter2.", .length = 18};
    fixture_open(&fixture, NULL);
    g_assert_true(log_store_append(fixture.store, KEY, &line, 1, redactor, NULL, &error));
    redactor_unref(redactor);
    assert_texts(fixture, "pw=[redacted].", 0);
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    size_t length;
    g_autofree char *bytes = contents(g_ptr_array_index(paths, 0), &length);
    g_assert_null(memmem(bytes, length, "hunter2", 7));
    fixture_close(&fixture);
}

/* --- watermarks -------------------------------------------------------------------------------- */

static void old_lines_are_dropped_after_a_restart(void)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    put(fixture.store, KEY, "s", 5, "a");
    put(fixture.store, KEY, "s", 6, "b");
    put(fixture.store, KEY, "s", 6, "c");
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(log_store_watermark(fixture.store, KEY, "s"), ==, 6);
        g_assert_cmpuint(put(fixture.store, KEY, "s", 5, "a"), ==, 0);
        g_assert_cmpuint(put(fixture.store, KEY, "s", 6, "b"), ==, 0);
        g_assert_cmpuint(put(fixture.store, KEY, "s", 6, "c"), ==, 0);
        fixture_reopen(&fixture);
    }
    log_store_watermark(fixture.store, KEY, "s");
    g_assert_cmpuint(put(fixture.store, KEY, "s", 6, "b"), ==, 0);
    g_assert_cmpuint(put(fixture.store, KEY, "s", 6, "c"), ==, 0);
    g_assert_cmpuint(put(fixture.store, KEY, "s", 6, "d"), ==, 1); /* the third at this time is new */
    assert_texts(fixture, "a|b|c|d", 0);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, "unknown"), ==, 0);
    fixture_close(&fixture);
}

static void lines_at_one_time_are_all_kept(void)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    for (int i = 0; i < 1000; i++) {
        g_assert_cmpuint(put(fixture.store, KEY, "s", 7, "same"), ==, 1);
    }
    log_store_watermark(fixture.store, KEY, "s");
    for (int i = 0; i < 1000; i++) {
        g_assert_cmpuint(put(fixture.store, KEY, "s", 7, "same"), ==, 0);
    }
    g_assert_cmpuint(put(fixture.store, KEY, "s", 7, "same"), ==, 1);
    fixture_close(&fixture);
}

static void streams_that_cross_by_microseconds_lose_nothing(void)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    g_assert_cmpuint(put_stream(fixture.store, KEY, "s", LOG_STDOUT, 20, "out"), ==, 1);
    g_assert_cmpuint(put_stream(fixture.store, KEY, "s", LOG_STDERR, 19, "err"), ==, 1);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, "s"), ==, 20);
    g_assert_cmpuint(put_stream(fixture.store, KEY, "s", LOG_STDOUT, 20, "out"), ==, 0);
    g_assert_cmpuint(put_stream(fixture.store, KEY, "s", LOG_STDERR, 19, "err"), ==, 0);
    assert_texts(fixture, "out|err", 0);
    fixture_close(&fixture);
}

static void watermarks_outlive_the_segments_of_their_lines(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 2000, .log_bytes = 6000});
    put(fixture.store, KEY, "quiet", 5, "once");
    put_many(fixture.store, KEY, "loud", "l", 10, 1000);
    g_assert_true(log_store_trim(fixture.store, 2000, NULL, &error));
    g_autofree char *gone = read_texts(fixture.store, KEY, &(struct log_query){.source = "quiet"});
    g_assert_cmpstr(gone, ==, "");
    fixture_reopen(&fixture);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, "quiet"), ==, 5);
    g_assert_cmpuint(put(fixture.store, KEY, "quiet", 5, "once"), ==, 0);
    g_assert_cmpuint(put(fixture.store, KEY, "quiet", 6, "twice"), ==, 1);
    fixture_close(&fixture);
}

/* Each deployment brings new names: what a segment begins with must not grow with all there ever were. */
static void sources_older_than_retention_are_forgotten(void)
{
    struct fixture fixture;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 2000, .log_age_ms = 1000});
    for (int i = 0; i < 3000; i++) {
        g_autofree char *source = g_strdup_printf("web-%d", i);
        put(fixture.store, KEY, source, 1 + i * INT64_C(100000), "x"); /* ten are within the age at a time */
    }
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpint(size_of(g_ptr_array_index(paths, paths->len - 1)), <, 6000);
    fixture_reopen(&fixture);
    g_assert_cmpint(log_store_watermark(fixture.store, KEY, "web-0"), ==, 0);
    g_assert_cmpuint(put(fixture.store, KEY, "web-0", 1, "x"), ==, 0); /* and yet it does not come twice */
    g_assert_cmpuint(put(fixture.store, KEY, "web-0", INT64_C(300100000), "new"), ==, 1);
    fixture_close(&fixture);
}

/* --- follow ------------------------------------------------------------------------------------ */

static void a_follower_gets_what_is_there_and_what_comes_once_each(void)
{
    struct fixture fixture;
    struct collected collected;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 500});
    collected_init(&collected);
    put_many(fixture.store, KEY, "s", "old", 1, 5);
    struct log_follow *follow = log_follow_start(fixture.store, KEY, &(struct log_query){.limit = 2}, collect,
                                                 collect_missed, &collected, &error);
    g_assert_nonnull(follow);
    g_assert_true(collected_wait(&collected, 2));
    put_many(fixture.store, KEY, "s", "new", 100, 300);
    g_assert_true(collected_wait(&collected, 302));
    log_follow_stop(follow);
    g_assert_cmpint(collected.missed, ==, 0);
    g_assert_cmpuint(collected.sequences->len, ==, 302);
    for (guint i = 0; i < 302; i++) {
        g_assert_cmpuint(g_array_index(collected.sequences, uint64_t, i), ==, 4 + i);
    }
    put(fixture.store, KEY, "s", 10000, "after"); /* not seen any more */
    g_assert_cmpuint(collected.texts->len, ==, 302);
    collected_done(&collected);
    fixture_close(&fixture);
}

static void a_follower_of_a_log_that_is_not_there_yet_sees_it_begin(void)
{
    struct fixture fixture;
    struct collected collected;
    g_autoptr(GError) error = NULL;
    char grep[] = "wanted";
    fixture_open(&fixture, NULL);
    collected_init(&collected);
    struct log_follow *follow = log_follow_start(fixture.store, KEY, &(struct log_query){.limit = 10, .grep = grep},
                                                 collect, NULL, &collected, &error);
    memset(grep, '-', sizeof grep - 1); /* the query is the caller's */
    put(fixture.store, KEY, "s", 1, "other");
    put(fixture.store, KEY, "s", 2, "wanted");
    g_assert_true(collected_wait(&collected, 1));
    log_follow_stop(follow);
    g_autofree char *texts = collected_texts(&collected);
    g_assert_cmpstr(texts, ==, "wanted");
    collected_done(&collected);
    fixture_close(&fixture);
}

static void a_follower_that_comes_back_is_told_what_retention_took(void)
{
    struct fixture fixture;
    struct collected collected;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 1000, .log_bytes = 3000});
    collected_init(&collected);
    put_many(fixture.store, KEY, "s", "l", 1, 500);
    int64_t freed = 0;
    g_assert_true(log_store_trim(fixture.store, 1000, &freed, &error));
    g_assert_cmpint(freed, >, 0);
    struct log_follow *follow = log_follow_start(fixture.store, KEY, &(struct log_query){.after_sequence = 10}, collect,
                                                 collect_missed, &collected, &error);
    g_assert_true(collected_wait(&collected, 490));
    log_follow_stop(follow);
    g_assert_cmpint(collected.missed, >, 0);
    g_assert_cmpint(collected.missed + (int64_t)collected.texts->len, ==, 490);
    collected_done(&collected);
    fixture_close(&fixture);
}

static void a_bounded_follower_is_not_told_of_lines_it_did_not_want(void)
{
    struct fixture fixture;
    struct collected collected;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 1000});
    collected_init(&collected);
    put_many(fixture.store, KEY, "s", "old", 1, 500);
    struct log_follow *follow = log_follow_start(fixture.store, KEY, &(struct log_query){.since_us = 1000}, collect,
                                                 collect_missed, &collected, &error);
    put_many(fixture.store, KEY, "s", "new", 1000, 500);
    g_assert_true(collected_wait(&collected, 500));
    log_follow_stop(follow);
    g_assert_cmpint(collected.missed, ==, 0);
    g_assert_cmpuint(collected.texts->len, ==, 500);
    collected_done(&collected);
    fixture_close(&fixture);
}

struct stopping {
    struct log_follow *follow;
    struct collected collected;
    GMutex lock;
};

static bool refuse(const struct log_line *line, void *arg)
{
    struct stopping *stopping = arg;
    collect(line, &stopping->collected);
    return false;
}

static bool stop_itself(const struct log_line *line, void *arg)
{
    struct stopping *stopping = arg;
    g_mutex_lock(&stopping->lock);
    log_follow_stop(stopping->follow);
    g_mutex_unlock(&stopping->lock);
    collect(line, &stopping->collected);
    return true;
}

static void a_follow_ends_when_its_function_says_so(void)
{
    log_line_fn functions[] = {refuse, stop_itself};
    for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
        struct fixture fixture;
        struct stopping stopping = {0};
        g_autoptr(GError) error = NULL;
        fixture_open(&fixture, NULL);
        collected_init(&stopping.collected);
        g_mutex_init(&stopping.lock);
        put_many(fixture.store, KEY, "s", "l", 1, 3);
        g_mutex_lock(&stopping.lock);
        stopping.follow =
            log_follow_start(fixture.store, KEY, &(struct log_query){0}, functions[i], NULL, &stopping, &error);
        g_mutex_unlock(&stopping.lock);
        g_assert_true(collected_wait(&stopping.collected, 1));
        put(fixture.store, KEY, "s", 100, "more");
        if (functions[i] == refuse) {
            log_follow_stop(stopping.follow);
        }
        fixture_close(&fixture); /* the thread has ended: nothing came after the first */
        g_assert_cmpuint(stopping.collected.texts->len, ==, 1);
        g_mutex_clear(&stopping.lock);
        collected_done(&stopping.collected);
    }
}

/* The server's streams may end later than the store is closed. */
static void a_follow_may_be_stopped_after_the_store_is_closed(void)
{
    struct fixture fixture;
    struct collected collected;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, NULL);
    collected_init(&collected);
    put(fixture.store, KEY, "s", 1, "one");
    struct log_follow *follow =
        log_follow_start(fixture.store, KEY, &(struct log_query){0}, collect, NULL, &collected, &error);
    g_assert_true(collected_wait(&collected, 1));
    fixture_close(&fixture);
    log_follow_stop(follow);
    collected_done(&collected);
}

/* --- retention --------------------------------------------------------------------------------- */

static void trim_keeps_the_newest_within_the_size(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    int64_t freed = 0;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 1000, .log_bytes = 5000});
    put_many(fixture.store, KEY, "s", "l", 1, 1000);
    int64_t before = log_store_bytes(fixture.store);
    g_assert_cmpint(before, >, 20000);
    g_assert_true(log_store_trim(fixture.store, 2000, &freed, &error));
    g_assert_cmpint(log_store_bytes(fixture.store), ==, before - freed);
    g_assert_cmpint(log_store_bytes(fixture.store), <=, 5000);
    assert_texts(fixture, "l 999|l 1000", .limit = 2);
    fixture_reopen(&fixture);
    g_assert_cmpint(log_store_bytes(fixture.store), ==, before - freed);
    fixture_close(&fixture);
}

static void trim_never_takes_the_segment_that_is_written_to(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.log_bytes = 100});
    int64_t now_us = g_get_real_time();
    put_many(fixture.store, KEY, "s", "l", now_us, 100);
    g_assert_true(log_store_trim(fixture.store, now_us, NULL, &error));
    assert_texts(fixture, "l 100", .limit = 1);
    fixture_close(&fixture);
}

static void segments_are_closed_by_age_and_go_by_age(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    const int64_t start_us = 100 * DAY_US;
    fixture_open(&fixture, NULL);
    for (int day = 0; day < 40; day++) {
        g_autofree char *text = g_strdup_printf("day %d", day);
        put(fixture.store, KEY, "s", start_us + day * DAY_US, text);
    }
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpuint(paths->len, ==, 40);
    fixture_reopen(&fixture); /* times come from the footers */
    g_assert_true(log_store_trim(fixture.store, start_us + 40 * DAY_US, NULL, &error));
    g_autofree char *first = read_texts(fixture.store, KEY, &(struct log_query){.until_us = start_us + 10 * DAY_US});
    g_assert_cmpstr(first, ==, "day 10");
    fixture_close(&fixture);
}

/* The lines go, the positions and watermarks stay; when it is silent for as long again, nothing stays. */
static void a_silent_log_ages_away(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    const int64_t start_us = 100 * DAY_US;
    fixture_open(&fixture, NULL);
    put_many(fixture.store, KEY, "s", "l", start_us, 7);
    g_assert_true(log_store_trim(fixture.store, start_us + 29 * DAY_US, NULL, &error));
    assert_texts(fixture, "l 7", .limit = 1);
    g_assert_true(log_store_trim(fixture.store, start_us + 31 * DAY_US, NULL, &error));
    assert_texts(fixture, "", 0);
    fixture_reopen(&fixture);
    g_assert_cmpuint(put(fixture.store, KEY, "s", start_us + 6, "l 7"), ==, 0);
    struct collected collected;
    collected_init(&collected);
    g_assert_cmpuint(put(fixture.store, KEY, "s", start_us + 32 * DAY_US, "back"), ==, 1);
    struct log_follow *follow =
        log_follow_start(fixture.store, KEY, &(struct log_query){0}, collect, NULL, &collected, &error);
    g_assert_true(collected_wait(&collected, 1));
    g_assert_cmpuint(g_array_index(collected.sequences, uint64_t, 0), ==, 8);
    log_follow_stop(follow);
    collected_done(&collected);
    for (int i = 1; i <= 2; i++) {
        g_assert_true(log_store_trim(fixture.store, start_us + (32 + i * 31) * DAY_US, NULL, &error));
    }
    g_assert_cmpint(log_store_bytes(fixture.store), ==, 0);
    g_autofree char *folder = g_build_filename(fixture.folder, "service", NULL);
    g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
    fixture_close(&fixture);
}

static void a_removed_log_is_gone_and_may_begin_anew(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 500});
    put_many(fixture.store, KEY, "s", "l", 1, 100);
    put(fixture.store, "service/other", "s", 1, "stays");
    g_assert_true(log_store_remove(fixture.store, KEY, &error));
    g_assert_true(log_store_remove(fixture.store, KEY, &error)); /* once more is no error */
    assert_texts(fixture, "", 0);
    g_assert_cmpuint(put(fixture.store, KEY, "s", 1, "again"), ==, 1);
    assert_texts(fixture, "again", 0);
    g_autofree char *other = read_texts(fixture.store, "service/other", NULL);
    g_assert_cmpstr(other, ==, "stays");
    fixture_close(&fixture);
}

static void logs_put_away_by_trim_are_found_again(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, NULL);
    int64_t now_us = g_get_real_time();
    put(fixture.store, KEY, "s", now_us, "one");
    int64_t bytes = log_store_bytes(fixture.store);
    for (int i = 0; i < 3; i++) {
        g_assert_true(log_store_trim(fixture.store, now_us, NULL, &error));
        g_assert_cmpint(log_store_bytes(fixture.store), ==, bytes);
    }
    g_assert_cmpuint(put(fixture.store, KEY, "s", now_us, "one"), ==, 0);
    g_assert_cmpuint(put(fixture.store, KEY, "s", now_us + 1, "two"), ==, 1);
    assert_texts(fixture, "one|two", 0);
    fixture_close(&fixture);
}

/* More logs than files may be open at a time. */
static int open_files(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    int n = 0;
    while (g_dir_read_name(dir) != NULL) {
        n++;
    }
    return n;
}

static void many_logs_share_a_bounded_number_of_files(void)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    int before = open_files();
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < 400; i++) {
            g_autofree char *key = g_strdup_printf("service/env-%d", i);
            put(fixture.store, key, "s", round, round == 1 ? "a" : "b");
        }
    }
    g_assert_cmpint(open_files(), <=, before + 132);
    for (int i = 0; i < 400; i++) {
        g_autofree char *key = g_strdup_printf("service/env-%d", i);
        g_autofree char *texts = read_texts(fixture.store, key, NULL);
        g_assert_cmpstr(texts, ==, "a|b");
    }
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/logs/store/" #name, name)
    TEST(what_is_appended_is_read_in_order);
    TEST(a_line_keeps_every_field_and_any_byte);
    TEST(keys_that_leave_the_folder_are_refused);
    TEST(queries_choose_by_limit_time_text_source_and_sequence);
    TEST(limits_reach_over_segments);
    TEST(a_read_ends_when_its_caller_says_so);
    TEST(secrets_never_reach_the_disk);
    TEST(secrets_of_long_lines_never_reach_the_disk);
    TEST(long_lines_become_several);
    TEST(old_lines_are_dropped_after_a_restart);
    TEST(lines_at_one_time_are_all_kept);
    TEST(streams_that_cross_by_microseconds_lose_nothing);
    TEST(watermarks_outlive_the_segments_of_their_lines);
    TEST(sources_older_than_retention_are_forgotten);
    TEST(a_follower_gets_what_is_there_and_what_comes_once_each);
    TEST(a_follower_of_a_log_that_is_not_there_yet_sees_it_begin);
    TEST(a_follower_that_comes_back_is_told_what_retention_took);
    TEST(a_bounded_follower_is_not_told_of_lines_it_did_not_want);
    TEST(a_follow_ends_when_its_function_says_so);
    TEST(a_follow_may_be_stopped_after_the_store_is_closed);
    TEST(trim_keeps_the_newest_within_the_size);
    TEST(trim_never_takes_the_segment_that_is_written_to);
    TEST(segments_are_closed_by_age_and_go_by_age);
    TEST(a_silent_log_ages_away);
    TEST(a_removed_log_is_gone_and_may_begin_anew);
    TEST(logs_put_away_by_trim_are_found_again);
    TEST(many_logs_share_a_bounded_number_of_files);
    return g_test_run();
}
