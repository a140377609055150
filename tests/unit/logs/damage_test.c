/* Torn tails, flipped bits, writers that are killed, full disks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "fixture.h"
#include "logs/log_segment.h"

#define KEY "service/environment"
#define N_SAMPLE 5

/* A log of one segment in memory: its bytes, and the texts that were put in. */
struct sample {
    char *bytes;
    size_t length;
    char *texts;
    char *name; /* of the file */
};

static void sample_make(struct sample *sample, int n)
{
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    put_many(fixture.store, KEY, "web-1", "line", 1, n);
    sample->texts = read_texts(fixture.store, KEY, NULL);
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpuint(paths->len, ==, 1);
    sample->bytes = contents(g_ptr_array_index(paths, 0), &sample->length);
    sample->name = g_path_get_basename(g_ptr_array_index(paths, 0));
    fixture_close(&fixture);
}

static void sample_done(struct sample *sample)
{
    g_free(sample->bytes);
    g_free(sample->texts);
    g_free(sample->name);
}

/* A store that finds these bytes as the log's only segment. */
static void open_with(struct fixture *fixture, const struct sample *sample, const char *bytes, size_t length)
{
    g_autoptr(GError) error = NULL;
    fixture_open(fixture, NULL);
    g_autofree char *folder = g_build_filename(fixture->folder, KEY, NULL);
    g_autofree char *path = g_build_filename(folder, sample->name, NULL);
    g_assert_true(folder_ensure(folder, 0700, &error));
    put_contents(path, bytes, length);
}

static void a_tail_torn_anywhere_is_cut_at_the_last_whole_record(void)
{
    struct sample sample;
    sample_make(&sample, N_SAMPLE);
    g_auto(GStrv) lines = g_strsplit(sample.texts, "|", -1);
    int64_t kept_before = -1;
    for (size_t length = 0; length <= sample.length; length++) {
        struct fixture fixture;
        open_with(&fixture, &sample, sample.bytes, length);
        g_autofree char *texts = read_texts(fixture.store, KEY, NULL);
        g_assert_true(g_str_has_prefix(sample.texts, texts));
        g_auto(GStrv) kept = g_strsplit(texts, "|", -1);
        int64_t n_kept = *texts == '\0' ? 0 : (int64_t)g_strv_length(kept);
        g_assert_cmpint(n_kept, >=, kept_before); /* and never one less for one more byte */
        kept_before = n_kept;
        /* The watermark is that of what is left: all is handed in again, only the rest is taken. */
        g_assert_cmpint(log_store_watermark(fixture.store, KEY, "web-1"), ==, n_kept);
        size_t taken = 0;
        for (guint i = 0; lines[i] != NULL; i++) {
            taken += put(fixture.store, KEY, "web-1", i + 1, lines[i]);
        }
        g_assert_cmpint((int64_t)taken, ==, N_SAMPLE - n_kept);
        g_autofree char *all = read_texts(fixture.store, KEY, NULL);
        g_assert_cmpstr(all, ==, sample.texts);
        fixture_reopen(&fixture);
        g_autofree char *again = read_texts(fixture.store, KEY, NULL);
        g_assert_cmpstr(again, ==, sample.texts);
        fixture_close(&fixture);
    }
    g_assert_cmpint(kept_before, ==, N_SAMPLE);
    sample_done(&sample);
}

struct check {
    uint64_t last;
    int n_lines, n_markers;
    int64_t n_told; /* lines that markers say are missing */
};

static bool check_line(const struct log_line *line, void *arg)
{
    struct check *check = arg;
    g_assert_cmpuint(line->sequence, >, check->last);
    check->last = line->sequence;
    g_autofree char *text = g_strndup(line->text, line->length);
    if (line->stream == LOG_SYSTEM) {
        check->n_markers++;
        check->n_told += g_ascii_strtoll(text + 1, NULL, 10);
        return true;
    }
    g_autofree char *expected = g_strdup_printf("line %" G_GUINT64_FORMAT, line->sequence);
    g_assert_cmpstr(text, ==, expected);
    check->n_lines++;
    return true;
}

/* Every bit of a segment in turn. Whatever is read is right, in order, and what is missing before it is told; the log can
 * be written to afterwards. */
static void a_flipped_bit_costs_at_most_its_record_and_is_told(void)
{
    struct sample sample;
    sample_make(&sample, N_SAMPLE);
    for (size_t offset = 0; offset < sample.length; offset++) {
        struct fixture fixture;
        struct check check = {0};
        g_autoptr(GError) error = NULL;
        g_autofree char *bytes = g_memdup2(sample.bytes, sample.length);
        bytes[offset] ^= (char)(1 << (offset % 8));
        open_with(&fixture, &sample, bytes, sample.length);
        g_assert_true(log_store_read(fixture.store, KEY, &(struct log_query){0}, check_line, &check, &error));
        g_assert_no_error(error);
        bool hits_salt = offset >= 24 && offset < 28;
        g_assert_cmpint(check.n_lines, >=, hits_salt ? 0 : N_SAMPLE - 1);
        if (!hits_salt && check.last == N_SAMPLE) {
            g_assert_cmpint(check.n_told, ==, N_SAMPLE - check.n_lines);
        }
        g_assert_cmpuint(put(fixture.store, KEY, "web-1", 100, "fresh"), ==, 1);
        g_autofree char *fresh = read_texts(fixture.store, KEY, &(struct log_query){.grep = "fresh"});
        g_assert_true(g_str_has_suffix(fresh, "fresh"));
        fixture_close(&fixture);
    }
    sample_done(&sample);
}

static void a_damaged_middle_segment_is_stepped_over_and_told(void)
{
    struct fixture fixture;
    struct check check = {0};
    struct collected collected;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 1000});
    put_many(fixture.store, KEY, "s", "line", 1, 1000);
    log_store_close(fixture.store);
    fixture.store = NULL;
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    g_assert_cmpuint(paths->len, >, 4);
    const char *second = g_ptr_array_index(paths, 1);
    g_autofree char *noise = g_malloc((gsize)size_of(second));
    memset(noise, 0xE5, (size_t)size_of(second));
    put_contents(second, noise, (size_t)size_of(second));
    fixture_reopen(&fixture);
    g_assert_true(log_store_read(fixture.store, KEY, &(struct log_query){0}, check_line, &check, &error));
    g_assert_cmpint(check.n_markers, ==, 1);
    g_assert_cmpint(check.n_told, >, 0);
    g_assert_cmpint(check.n_lines + check.n_told, ==, 1000);
    collected_init(&collected);
    struct log_follow *follow =
        log_follow_start(fixture.store, KEY, &(struct log_query){0}, collect, collect_missed, &collected, &error);
    g_assert_true(collected_wait(&collected, 1000));
    log_follow_stop(follow);
    g_assert_cmpint(collected.missed, ==, check.n_told);
    g_assert_cmpint((int64_t)collected.texts->len, ==, check.n_lines);
    collected_done(&collected);
    fixture_close(&fixture);
}

/* A program that prints what looks like a record does not thereby write one. */
static void printed_records_are_text(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) forged = g_byte_array_new();
    const struct log_line inner = {.time_us = 9, .sequence = 99, .source = "admin"};
    line_encode(forged, &inner, "forged", 6, 0);
    fixture_open(&fixture, NULL);
    const struct log_line line = {
        .time_us = 1, .source = "s", .text = (const char *)forged->data, .length = forged->len};
    g_assert_true(log_store_append(fixture.store, KEY, &line, 1, NULL, NULL, &error));
    put(fixture.store, KEY, "s", 2, "honest");
    g_autoptr(GPtrArray) paths = segment_paths(&fixture, KEY);
    size_t length;
    g_autofree char *bytes = contents(g_ptr_array_index(paths, 0), &length);
    const char *place = memmem(bytes, length, forged->data, forged->len);
    g_assert_nonnull(place);
    log_store_close(fixture.store);
    fixture.store = NULL;
    flip_bit(g_ptr_array_index(paths, 0), place - bytes - 35, 0); /* in the head of the record that holds it */
    fixture_reopen(&fixture);
    g_autofree char *texts = read_texts(fixture.store, KEY, NULL);
    g_assert_cmpstr(texts, ==, "[1 lines are missing here]|honest");
    fixture_close(&fixture);
}

/* --- a writer is killed ------------------------------------------------------------------------ */

static void write_until_killed(const struct fixture *fixture, int report_fd)
{
    g_autoptr(GError) error = NULL;
    struct log_store *store = log_store_open(fixture->folder, &fixture->options, &error);
    struct log_line lines[7];
    char texts[7][32];
    int64_t first = log_store_watermark(store, KEY, "s") + 1;
    for (int64_t i = first;; i += 7) {
        for (int k = 0; k < 7; k++) {
            int n = g_snprintf(texts[k], sizeof texts[k], "line %" G_GINT64_FORMAT, i + k);
            lines[k] = (struct log_line){.time_us = i + k, .source = "s", .text = texts[k], .length = (size_t)n};
        }
        int64_t last = i + 6;
        if (!log_store_append(store, KEY, lines, 7, NULL, NULL, &error) ||
            write(report_fd, &last, sizeof last) != sizeof last) {
            _exit(1);
        }
    }
}

/* What the child has reported as kept; it is killed after so many reports. */
static int64_t run_and_kill(const struct fixture *fixture, int reports)
{
    int pipe_fds[2];
    int64_t last = 0;
    int64_t value;
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        write_until_killed(fixture, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    while (reports-- > 0 && read(pipe_fds[0], &value, sizeof value) == sizeof value) {
        last = value;
    }
    kill(child, SIGKILL);
    while (read(pipe_fds[0], &value, sizeof value) == sizeof value) {
        last = value;
    }
    close(pipe_fds[0]);
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status));
    return last;
}

static void a_killed_writer_leaves_whole_lines_and_a_true_watermark(void)
{
    struct fixture fixture;
    fixture_open(&fixture, &(struct log_options){.segment_bytes = 3000});
    for (int round = 1; round <= 25; round++) {
        log_store_close(fixture.store);
        int64_t reported = run_and_kill(&fixture, round * 3);
        g_autoptr(GError) error = NULL;
        fixture.store = log_store_open(fixture.folder, &fixture.options, &error);
        struct check check = {0};
        g_assert_true(log_store_read(fixture.store, KEY, &(struct log_query){0}, check_line, &check, &error));
        g_assert_cmpint(check.n_markers, ==, 0);
        g_assert_cmpint(check.n_lines, >=, reported);
        g_assert_cmpuint(check.last, ==, (uint64_t)check.n_lines);
        g_assert_cmpint(log_store_watermark(fixture.store, KEY, "s"), ==, check.n_lines);
    }
    fixture_close(&fixture);
}

/* --- full disks -------------------------------------------------------------------------------- */

/* Appends until it fails; how many lines were kept. */
static int fill(struct log_store *store, int64_t *time_us, const char *text)
{
    for (int n = 0;; n++) {
        g_autoptr(GError) error = NULL;
        const struct log_line line = {.time_us = *time_us, .source = "s", .text = text, .length = strlen(text)};
        if (!log_store_append(store, KEY, &line, 1, NULL, NULL, &error)) {
            g_assert_error(error, SY_ERROR, SY_DISK_FULL);
            return n;
        }
        (*time_us)++;
        g_assert_cmpint(n, <, 1000000);
    }
}

static bool count_line(const struct log_line *line, void *arg)
{
    g_assert_cmpint(line->stream, ==, LOG_STDOUT);
    ++*(int *)arg;
    return true;
}

static int count_lines(struct log_store *store)
{
    g_autoptr(GError) error = NULL;
    int n = 0;
    g_assert_true(log_store_read(store, KEY, &(struct log_query){0}, count_line, &n, &error));
    return n;
}

static void a_file_that_may_not_grow_fails_whole_appends_and_goes_on_later(void)
{
    struct fixture fixture;
    struct rlimit old;
    fixture_open(&fixture, NULL);
    g_autofree char *text = g_strnfill(700, 'x');
    int64_t time_us = 1;
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    const struct rlimit small = {.rlim_cur = 50000, .rlim_max = old.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    int n = fill(fixture.store, &time_us, text);
    g_assert_cmpint(n, >, 50);
    g_assert_cmpint(fill(fixture.store, &time_us, text), ==, 0);
    g_assert_cmpint(count_lines(fixture.store), ==, n);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    signal(SIGXFSZ, SIG_DFL);
    g_assert_cmpuint(put(fixture.store, KEY, "s", time_us, text), ==, 1); /* the one that had failed */
    g_assert_cmpint(count_lines(fixture.store), ==, n + 1);
    fixture_reopen(&fixture);
    g_assert_cmpint(count_lines(fixture.store), ==, n + 1);
    fixture_close(&fixture);
}

/* An append of several writes, of which some succeed, is handed in again as a whole: nothing comes twice. */
static void an_append_that_was_kept_in_part_is_completed_by_its_repetition(void)
{
    struct fixture fixture;
    struct rlimit old;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strnfill(5000, 'x');
    struct log_line lines[200];
    fixture_open(&fixture, NULL);
    put(fixture.store, KEY, "s", 7, "first");
    for (int i = 0; i < 200; i++) {
        lines[i] = (struct log_line){.time_us = 7, .source = "s", .text = text, .length = 5000}; /* all at one time */
    }
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    const struct rlimit small = {.rlim_cur = 600000, .rlim_max = old.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    g_assert_false(log_store_append(fixture.store, KEY, lines, 200, NULL, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_DISK_FULL);
    g_clear_error(&error);
    int kept = count_lines(fixture.store);
    g_assert_cmpint(kept, >, 1);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    signal(SIGXFSZ, SIG_DFL);
    size_t appended = 0;
    g_assert_true(log_store_append(fixture.store, KEY, lines, 200, NULL, &appended, &error));
    g_assert_cmpint((int)appended, ==, 201 - kept);
    g_assert_cmpint(count_lines(fixture.store), ==, 201);
    fixture_close(&fixture);
}

static void a_full_disk_fails_appends_until_there_is_room(void)
{
    struct fixture fixture;
    g_autoptr(GError) error = NULL;
    fixture_open(&fixture, NULL);
    g_autofree char *mount_point = g_build_filename(fixture.folder, "small", NULL);
    g_autofree char *ballast = g_build_filename(mount_point, "ballast", NULL);
    g_assert_cmpint(mkdir(mount_point, 0700), ==, 0);
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=512k") != 0) {
        g_test_skip("no right to mount a small file system here");
        fixture_close(&fixture);
        return;
    }
    g_autofree char *filling = g_strnfill(200 * 1024, 'b');
    put_contents(ballast, filling, 200 * 1024);
    struct log_store *store = log_store_open(mount_point, &(struct log_options){.segment_bytes = 50000}, &error);
    g_assert_no_error(error);
    g_autofree char *text = g_strnfill(900, 'x');
    int64_t time_us = 1;
    int n = fill(store, &time_us, text);
    g_assert_cmpint(n, >, 100);
    g_assert_cmpint(fill(store, &time_us, text), <=, 1); /* the cut tail may leave room for a last one */
    n = count_lines(store);
    g_assert_cmpint(n, ==, (int)time_us - 1);
    g_assert_cmpint(unlink(ballast), ==, 0);
    g_assert_cmpuint(put(store, KEY, "s", time_us, text), ==, 1);
    log_store_close(store);
    store = log_store_open(mount_point, NULL, &error);
    g_assert_cmpint(count_lines(store), ==, n + 1);
    log_store_close(store);
    g_assert_cmpint(umount(mount_point), ==, 0);
    fixture_close(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/logs/damage/" #name, name)
    TEST(a_tail_torn_anywhere_is_cut_at_the_last_whole_record);
    TEST(a_flipped_bit_costs_at_most_its_record_and_is_told);
    TEST(a_damaged_middle_segment_is_stepped_over_and_told);
    TEST(printed_records_are_text);
    TEST(a_killed_writer_leaves_whole_lines_and_a_true_watermark);
    TEST(a_file_that_may_not_grow_fails_whole_appends_and_goes_on_later);
    TEST(an_append_that_was_kept_in_part_is_completed_by_its_repetition);
    TEST(a_full_disk_fails_appends_until_there_is_room);
    return g_test_run();
}
