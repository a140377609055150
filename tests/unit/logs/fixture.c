#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

void fixture_open_in(struct fixture *fixture, const char *parent, const struct log_options *options)
{
    g_autoptr(GError) error = NULL;
    *fixture = (struct fixture){.folder = g_build_filename(parent, "enclii-logs-XXXXXX", NULL)};
    g_assert_nonnull(g_mkdtemp(fixture->folder));
    if (options != NULL) {
        fixture->options = *options;
    }
    fixture->store = log_store_open(fixture->folder, &fixture->options, &error);
    g_assert_no_error(error);
    g_assert_nonnull(fixture->store);
}

/* In memory where that is possible: hundreds of stores are opened and closed, and each close waits for the disk. */
void fixture_open(struct fixture *fixture, const struct log_options *options)
{
    fixture_open_in(fixture, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir(), options);
}

void fixture_reopen(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    log_store_close(fixture->store);
    fixture->store = log_store_open(fixture->folder, &fixture->options, &error);
    g_assert_no_error(error);
}

void fixture_close(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    log_store_close(fixture->store);
    g_assert_true(folder_remove(fixture->folder, &error));
    g_assert_no_error(error);
    g_free(fixture->folder);
}

static int compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *segment_paths(const struct fixture *fixture, const char *key)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *folder = g_build_filename(fixture->folder, key, NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (g_str_has_suffix(name, ".log")) {
            g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
        }
    }
    g_ptr_array_sort(paths, compare_paths);
    return paths;
}

void flip_bit(const char *path, int64_t offset, int bit)
{
    uint8_t byte;
    g_auto(fd_t) fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(pread(fd, &byte, 1, offset), ==, 1);
    byte ^= (uint8_t)(1 << bit);
    g_assert_cmpint(pwrite(fd, &byte, 1, offset), ==, 1);
}

int64_t size_of(const char *path)
{
    struct stat status;
    g_assert_cmpint(stat(path, &status), ==, 0);
    return status.st_size;
}

char *contents(const char *path, size_t *ret_length)
{
    g_autoptr(GError) error = NULL;
    char *bytes = NULL;
    g_file_get_contents(path, &bytes, ret_length, &error);
    g_assert_no_error(error);
    return bytes;
}

void put_contents(const char *path, const char *bytes, size_t length)
{
    g_auto(fd_t) fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_cmpint(write(fd, bytes, length), ==, (ssize_t)length);
}

size_t put_stream(struct log_store *store, const char *key, const char *source, enum log_stream_kind stream,
                  int64_t time_us, const char *text)
{
    g_autoptr(GError) error = NULL;
    size_t n = 0;
    const struct log_line line = {
        .time_us = time_us, .source = source, .stream = stream, .text = text, .length = strlen(text)};
    bool ok = log_store_append(store, key, &line, 1, NULL, &n, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return n;
}

size_t put(struct log_store *store, const char *key, const char *source, int64_t time_us, const char *text)
{
    return put_stream(store, key, source, LOG_STDOUT, time_us, text);
}

void put_many(struct log_store *store, const char *key, const char *source, const char *prefix, int64_t first_us, int n)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    struct log_line lines[100];
    for (int i = 0; i < n;) {
        int k = 0;
        for (; k < 100 && i < n; k++, i++) {
            char *text = g_strdup_printf("%s %d", prefix, i + 1);
            g_ptr_array_add(texts, text);
            lines[k] =
                (struct log_line){.time_us = first_us + i, .source = source, .text = text, .length = strlen(text)};
        }
        g_autoptr(GError) error = NULL;
        size_t appended = 0;
        bool ok = log_store_append(store, key, lines, (size_t)k, NULL, &appended, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpuint(appended, ==, k);
        g_ptr_array_set_size(texts, 0);
    }
}

static bool join_text(const struct log_line *line, void *arg)
{
    GString *out = arg;
    if (out->len > 0) {
        g_string_append_c(out, '|');
    }
    g_string_append_len(out, line->text, (gssize)line->length);
    return true;
}

char *read_texts(struct log_store *store, const char *key, const struct log_query *query)
{
    static const struct log_query all;
    g_autoptr(GError) error = NULL;
    GString *out = g_string_new(NULL);
    bool ok = log_store_read(store, key, query != NULL ? query : &all, join_text, out, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return g_string_free(out, FALSE);
}

/* --- followers --------------------------------------------------------------------------------- */

void collected_init(struct collected *collected)
{
    g_mutex_init(&collected->lock);
    g_cond_init(&collected->changed);
    collected->texts = g_ptr_array_new_with_free_func(g_free);
    collected->sequences = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    collected->missed = 0;
}

void collected_done(struct collected *collected)
{
    g_ptr_array_unref(collected->texts);
    g_array_unref(collected->sequences);
    g_mutex_clear(&collected->lock);
    g_cond_clear(&collected->changed);
}

bool collect(const struct log_line *line, void *arg)
{
    struct collected *collected = arg;
    g_mutex_lock(&collected->lock);
    g_ptr_array_add(collected->texts, g_strndup(line->text, line->length));
    g_array_append_val(collected->sequences, line->sequence);
    g_cond_broadcast(&collected->changed);
    g_mutex_unlock(&collected->lock);
    return true;
}

void collect_missed(int64_t missed, void *arg)
{
    struct collected *collected = arg;
    g_mutex_lock(&collected->lock);
    collected->missed += missed;
    g_cond_broadcast(&collected->changed);
    g_mutex_unlock(&collected->lock);
}

bool collected_wait(struct collected *collected, int64_t n)
{
    int64_t end_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    g_mutex_lock(&collected->lock);
    bool is_in_time = true;
    while ((int64_t)collected->texts->len + collected->missed < n && is_in_time) {
        is_in_time = g_cond_wait_until(&collected->changed, &collected->lock, end_us);
    }
    g_mutex_unlock(&collected->lock);
    return is_in_time;
}

char *collected_texts(struct collected *collected)
{
    g_mutex_lock(&collected->lock);
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < collected->texts->len; i++) {
        g_string_append_printf(out, "%s%s", i > 0 ? "|" : "", (char *)g_ptr_array_index(collected->texts, i));
    }
    g_mutex_unlock(&collected->lock);
    return g_string_free(out, FALSE);
}
