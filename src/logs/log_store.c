#include "logs/log_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "logs/log_internal.h"

#define KEY_MAX 255
#define KEY_DEPTH_MAX 4

/* --- keys -------------------------------------------------------------------------------------- */

bool log_key_check(const char *key, GError **error)
{
    size_t length = key != NULL ? strlen(key) : 0;
    int depth = 1;
    bool is_good = length > 0 && length <= KEY_MAX && key[0] != '/' && key[length - 1] != '/';
    for (size_t i = 0; is_good && i < length; i++) {
        depth += key[i] == '/' ? 1 : 0;
        is_good = g_ascii_isalnum(key[i]) || key[i] == '-' || key[i] == '_' || (key[i] == '/' && key[i + 1] != '/');
    }
    return (is_good && depth <= KEY_DEPTH_MAX) || sy_fail(error, SY_INVALID_INPUT, "this cannot be the key of a log");
}

/* --- logs -------------------------------------------------------------------------------------- */

static struct log *log_new(struct log_store *store, const char *key)
{
    struct log *log = g_new0(struct log, 1);
    atomic_init(&log->references, 1);
    log->store = store;
    log->key = g_strdup(key);
    g_mutex_init(&log->write_lock);
    g_mutex_init(&log->lock);
    log->segments = g_ptr_array_new_with_free_func((GDestroyNotify)segment_unref);
    log->next_sequence = 1;
    log->follows = g_ptr_array_new();
    return log;
}

struct log *log_ref(struct log *log)
{
    atomic_fetch_add(&log->references, 1);
    return log;
}

void log_unref(struct log *log)
{
    if (log == NULL || atomic_fetch_sub(&log->references, 1) > 1) {
        return;
    }
    g_ptr_array_unref(log->segments);
    g_ptr_array_unref(log->follows);
    watermarks_free(log->watermarks);
    g_mutex_clear(&log->write_lock);
    g_mutex_clear(&log->lock);
    g_free(log->key);
    g_free(log);
}

struct log *log_find(struct log_store *store, const char *key)
{
    g_mutex_lock(&store->lock);
    struct log *log = g_hash_table_lookup(store->logs, key);
    if (log == NULL) {
        log = log_new(store, key);
        g_hash_table_insert(store->logs, log->key, log);
    }
    log_ref(log);
    g_mutex_unlock(&store->lock);
    atomic_store(&log->is_used, true);
    return log;
}

/* --- life -------------------------------------------------------------------------------------- */

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static void set_options(struct log_store *store, const struct log_options *options)
{
    static const struct log_options none;
    const struct log_options *given = options != NULL ? options : &none;
    store->options = (struct log_options){
        .segment_bytes = or_default(given->segment_bytes, INT64_C(8) << 20),
        .segment_age_ms = or_default(given->segment_age_ms, INT64_C(3600) * 1000),
        .log_bytes = or_default(given->log_bytes, INT64_C(256) << 20),
        .log_age_ms = or_default(given->log_age_ms, INT64_C(30) * 86400 * 1000),
        .sync_ms = or_default(given->sync_ms, 1000),
    };
}

struct log_store *log_store_open(const char *folder, const struct log_options *options, GError **error)
{
    if (!folder_ensure(folder, 0700, error)) {
        return NULL;
    }
    struct log_store *store = g_new0(struct log_store, 1);
    atomic_init(&store->references, 1);
    store->folder = g_strdup(folder);
    set_options(store, options);
    if (!files_start(store, error)) {
        g_free(store->folder);
        g_free(store);
        return NULL;
    }
    g_mutex_init(&store->lock);
    store->logs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)log_unref);
    follower_start(store);
    return store;
}

void log_store_unref(struct log_store *store)
{
    if (atomic_fetch_sub(&store->references, 1) > 1) {
        return;
    }
    g_hash_table_unref(store->logs);
    g_ptr_array_unref(store->files.dirty);
    close(store->folder_fd);
    g_mutex_clear(&store->files.lock);
    g_cond_clear(&store->files.wake);
    g_mutex_clear(&store->follower.lock);
    g_cond_clear(&store->follower.wake);
    g_cond_clear(&store->follower.stepped);
    g_mutex_clear(&store->lock);
    g_free(store->folder);
    g_free(store);
}

void log_store_close(struct log_store *store)
{
    if (store == NULL) {
        return;
    }
    follower_stop(store);
    files_stop(store);
    log_store_unref(store);
}

/* --- all logs ---------------------------------------------------------------------------------- */

/* Whether the folder holds a segment; folders in it are looked into. `fd` is taken. */
static bool discover_in(struct log_store *store, int fd, const char *key, int depth, GError **error)
{
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        int saved = errno;
        close(fd);
        return sy_fail_errno(error, saved, "cannot read the folder of the logs");
    }
    bool ok = true;
    bool has_segment = false;
    struct dirent *entry;
    while (ok && (entry = readdir(folder)) != NULL) {
        if (strchr(entry->d_name, '.') != NULL) {
            has_segment = has_segment || g_str_has_suffix(entry->d_name, ".log");
            continue;
        }
        g_autofree char *inner = key != NULL ? g_strdup_printf("%s/%s", key, entry->d_name) : g_strdup(entry->d_name);
        int inner_fd = log_key_check(inner, NULL) && depth < KEY_DEPTH_MAX
                           ? openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                           : -1;
        ok = inner_fd < 0 || discover_in(store, inner_fd, inner, depth + 1, error);
    }
    closedir(folder);
    if (ok && has_segment && key != NULL) {
        g_autoptr(log_t) log = log_find(store, key);
        g_mutex_lock(&log->write_lock);
        ok = log_list(log, error);
        g_mutex_unlock(&log->write_lock);
    }
    return ok;
}

bool log_store_discover(struct log_store *store, GError **error)
{
    g_mutex_lock(&store->lock);
    bool is_discovered = store->is_discovered;
    g_mutex_unlock(&store->lock);
    if (is_discovered) {
        return true;
    }
    int fd = openat(store->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot open the folder of the logs %s", store->folder);
    }
    bool ok = discover_in(store, fd, NULL, 0, error);
    g_mutex_lock(&store->lock);
    store->is_discovered = store->is_discovered || ok;
    g_mutex_unlock(&store->lock);
    return ok;
}

int64_t log_store_bytes(struct log_store *store)
{
    g_autoptr(GError) ignored = NULL; /* then it is the sum of what is known */
    (void)!log_store_discover(store, &ignored);
    int64_t sum = 0;
    GHashTableIter iter;
    gpointer log;
    g_mutex_lock(&store->lock);
    g_hash_table_iter_init(&iter, store->logs);
    while (g_hash_table_iter_next(&iter, NULL, &log)) {
        sum += atomic_load(&((struct log *)log)->bytes);
    }
    g_mutex_unlock(&store->lock);
    return sum;
}

/* --- watermarks -------------------------------------------------------------------------------- */

int64_t log_store_watermark(struct log_store *store, const char *key, const char *source)
{
    g_autoptr(GError) ignored = NULL; /* unreadable: begin at the start; what is stored is recognised then */
    if (!log_key_check(key, &ignored)) {
        return 0;
    }
    g_autoptr(log_t) log = log_find(store, key);
    int64_t time_us = 0;
    g_mutex_lock(&log->write_lock);
    if (log_recover(log, &ignored)) {
        struct mark *mark = watermarks_find(log->watermarks, source);
        if (mark != NULL) {
            mark_begin_delivery(mark);
            time_us = mark_time(mark);
        }
    }
    g_mutex_unlock(&log->write_lock);
    return time_us;
}
