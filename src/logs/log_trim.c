/* Retention: the oldest segments go by age and by size; whole logs on request. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "logs/log_internal.h"

/* --- one log, with write_lock held ------------------------------------------------------------- */

static struct segment *segment_at(struct log *log, guint index)
{
    return index < log->segments->len ? g_ptr_array_index(log->segments, index) : NULL;
}

/* Out of the readers' sight first, then from the disk. */
static bool remove_oldest(struct log *log, int64_t *freed_bytes, GError **error)
{
    struct segment *segment = segment_ref(segment_at(log, 0));
    g_mutex_lock(&log->lock);
    g_ptr_array_remove_index(log->segments, 0);
    g_mutex_unlock(&log->lock);
    bool ok = segment_unlink(segment, error);
    if (ok) {
        atomic_fetch_sub(&log->bytes, segment->bytes);
        *freed_bytes += segment->bytes;
    } else {
        g_mutex_lock(&log->lock);
        g_ptr_array_insert(log->segments, 0, segment_ref(segment));
        g_mutex_unlock(&log->lock);
    }
    segment_unref(segment);
    return ok;
}

/* Removes the folder and those above it that it leaves empty. */
static void remove_folders(struct log *log)
{
    g_autofree char *path = g_strdup(log->key);
    while (unlinkat(log->store->folder_fd, path, AT_REMOVEDIR) == 0) {
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            break;
        }
        *slash = '\0';
    }
}

/* When the file was last written to; 0 when that cannot be told. */
static int64_t written_us(struct segment *segment)
{
    struct stat status;
    if (fstatat(segment->store->folder_fd, segment->path, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    return (int64_t)status.st_mtim.tv_sec * G_USEC_PER_SEC + status.st_mtim.tv_nsec / 1000;
}

/* Without readable times the file's own decides. */
static bool is_older(struct log *log, struct segment *segment, int64_t oldest_us)
{
    return (segment_range(log, segment) ? segment->max_us : written_us(segment)) < oldest_us;
}

/* A closed segment whose lines are all too old is removed even when it is the last; an empty one then keeps the sequence
 * and the watermarks, so that nothing that is handed in again comes back and positions go on rising. */
static bool replace_last(struct log *log, struct segment *last, int64_t now_us, int64_t *freed_bytes, GError **error)
{
    const struct log_options *options = &log->store->options;
    bool is_closed = last->is_sealed || last->created_us < now_us - options->segment_age_ms * 1000;
    if (!is_closed || !is_older(log, last, now_us - options->log_age_ms * 1000)) {
        return true;
    }
    return log_roll(log, now_us, error) && remove_oldest(log, freed_bytes, error);
}

static bool trim_last(struct log *log, int64_t now_us, int64_t *freed_bytes, GError **error)
{
    struct segment *last = segment_at(log, 0);
    int64_t oldest_us = now_us - log->store->options.log_age_ms * 1000;
    if (!log->is_recovered && written_us(last) >= oldest_us) {
        return true;
    }
    if (!log_recover(log, error)) {
        return false;
    }
    last = segment_at(log, 0);
    if (log->segments->len != 1) {
        return true;
    }
    if (last->has_lines) {
        return replace_last(log, last, now_us, freed_bytes, error);
    }
    /* Empty for as long again: whoever wrote to it has gone. */
    if (last->created_us >= oldest_us || log_has_follows(log)) {
        return true;
    }
    bool ok = remove_oldest(log, freed_bytes, error);
    remove_folders(log);
    return ok;
}

static bool trim_log(struct log *log, int64_t now_us, int64_t *freed_bytes, GError **error)
{
    const struct log_options *options = &log->store->options;
    int64_t oldest_us = now_us - options->log_age_ms * 1000;
    if (!log_list(log, error)) {
        return false;
    }
    while (log->segments->len > 1 &&
           (atomic_load(&log->bytes) > options->log_bytes || is_older(log, segment_at(log, 0), oldest_us))) {
        if (!remove_oldest(log, freed_bytes, error)) {
            return false;
        }
    }
    return log->segments->len != 1 || trim_last(log, now_us, freed_bytes, error);
}

/* --- all --------------------------------------------------------------------------------------- */

/* What nobody has used since the last time is kept as a name and a size only; an empty one not even so. */
static void put_away(struct log_store *store, struct log *log)
{
    g_mutex_lock(&store->lock);
    bool is_in_use = atomic_exchange(&log->is_used, false) || atomic_load(&log->references) > 2;
    if (!is_in_use) {
        bool is_empty = log->segments->len == 0;
        g_mutex_lock(&log->lock);
        g_ptr_array_set_size(log->segments, 0);
        g_clear_pointer(&log->watermarks, watermarks_free);
        log->is_listed = log->is_recovered = false;
        log->next_sequence = 1;
        g_mutex_unlock(&log->lock);
        if (is_empty) {
            g_hash_table_remove(store->logs, log->key);
        }
    }
    g_mutex_unlock(&store->lock);
}

static GPtrArray *all_logs(struct log_store *store)
{
    GPtrArray *logs = g_ptr_array_new();
    GHashTableIter iter;
    gpointer log;
    g_mutex_lock(&store->lock);
    g_hash_table_iter_init(&iter, store->logs);
    while (g_hash_table_iter_next(&iter, NULL, &log)) {
        g_ptr_array_add(logs, log_ref(log));
    }
    g_mutex_unlock(&store->lock);
    return logs;
}

/* One log that fails does not keep the others from being trimmed; the first failure is told. */
bool log_store_trim(struct log_store *store, int64_t now_us, int64_t *ret_freed_bytes, GError **error)
{
    GError *first = NULL;
    int64_t freed_bytes = 0;
    if (!log_store_discover(store, error)) {
        return false;
    }
    g_autoptr(GPtrArray) logs = all_logs(store);
    for (guint i = 0; i < logs->len; i++) {
        struct log *log = g_ptr_array_index(logs, i);
        g_autoptr(GError) failure = NULL;
        g_mutex_lock(&log->write_lock);
        bool ok = trim_log(log, now_us, &freed_bytes, &failure);
        g_mutex_unlock(&log->write_lock);
        if (ok) {
            put_away(store, log);
        } else if (first == NULL) {
            first = g_steal_pointer(&failure);
        }
        log_unref(log);
    }
    if (first != NULL) {
        g_propagate_error(error, first);
        return false;
    }
    if (ret_freed_bytes != NULL) {
        *ret_freed_bytes = freed_bytes;
    }
    return true;
}

bool log_store_remove(struct log_store *store, const char *key, GError **error)
{
    if (!log_key_check(key, error)) {
        return false;
    }
    g_autoptr(log_t) log = log_find(store, key);
    int64_t freed_bytes = 0;
    g_mutex_lock(&log->write_lock);
    bool ok = log_list(log, error);
    while (ok && log->segments->len > 0) {
        ok = remove_oldest(log, &freed_bytes, error);
    }
    if (ok) {
        remove_folders(log);
        watermarks_free(log->watermarks);
        log->watermarks = watermarks_new();
        g_mutex_lock(&log->lock);
        log->is_recovered = true; /* there is nothing to read; who follows goes on with the next line */
        g_mutex_unlock(&log->lock);
    }
    g_mutex_unlock(&log->write_lock);
    return ok;
}
