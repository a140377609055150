/* Segment files: a bounded number of open ones, and the thread that brings them to the disk. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "logs/log_internal.h"

/* From so many files on one call for the whole file system is cheaper. */
#define SYNC_ALL_FROM 64

/* --- segments ---------------------------------------------------------------------------------- */

struct segment *segment_new(struct log_store *store, const char *key, uint64_t first_sequence)
{
    struct segment *segment = g_new0(struct segment, 1);
    atomic_init(&segment->references, 1);
    segment->store = store;
    segment->path = g_strdup_printf("%s/%020" G_GUINT64_FORMAT ".log", key, first_sequence);
    segment->first_sequence = first_sequence;
    segment->fd = -1;
    segment->link.data = segment;
    return segment;
}

struct segment *segment_ref(struct segment *segment)
{
    atomic_fetch_add(&segment->references, 1);
    return segment;
}

/* With the files' lock held. */
static void close_idle(struct files *files, struct segment *segment)
{
    g_queue_unlink(&files->idle, &segment->link);
    close(segment->fd);
    segment->fd = -1;
    files->n_open--;
}

void segment_unref(struct segment *segment)
{
    if (segment == NULL || atomic_fetch_sub(&segment->references, 1) > 1) {
        return;
    }
    struct files *files = &segment->store->files;
    g_mutex_lock(&files->lock);
    if (segment->fd >= 0) {
        close_idle(files, segment);
    }
    g_mutex_unlock(&files->lock);
    g_free(segment->path);
    g_free(segment);
}

/* --- open files -------------------------------------------------------------------------------- */

/* With the files' lock held. */
static int open_file(struct segment *segment, int flags, GError **error)
{
    struct files *files = &segment->store->files;
    while (files->n_open >= FILES_OPEN_MAX && !g_queue_is_empty(&files->idle)) {
        close_idle(files, g_queue_peek_head(&files->idle));
    }
    int fd = openat(segment->store->folder_fd, segment->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0 && errno == ENOENT) {
        sy_fail(error, SY_NOT_FOUND, "the log segment %s is gone", segment->path);
    } else if (fd < 0) {
        sy_fail_errno(error, errno, "cannot open the log segment %s", segment->path);
    } else {
        segment->fd = fd;
        files->n_open++;
    }
    return fd;
}

static int pin(struct segment *segment, int flags, GError **error)
{
    struct files *files = &segment->store->files;
    g_mutex_lock(&files->lock);
    if (segment->fd >= 0 && segment->pins == 0) {
        g_queue_unlink(&files->idle, &segment->link);
    }
    int fd = segment->fd >= 0 ? segment->fd : open_file(segment, flags, error);
    segment->pins += fd >= 0 ? 1 : 0;
    g_mutex_unlock(&files->lock);
    return fd;
}

int segment_pin(struct segment *segment, GError **error)
{
    return pin(segment, 0, error);
}

int segment_pin_new(struct segment *segment, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(segment->path);
    g_autofree char *path = g_build_filename(segment->store->folder, folder, NULL);
    segment->is_new_file = true;
    for (int attempt = 0; attempt < 3; attempt++) {
        g_autoptr(GError) failure = NULL;
        int fd = pin(segment, O_CREAT | O_TRUNC, &failure);
        if (fd >= 0) {
            return fd;
        }
        bool is_missing = sy_error_code(failure) == SY_NOT_FOUND; /* perhaps removed beside us: once more */
        if (!is_missing || attempt == 2) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return -1;
        }
        if (!folder_ensure(path, 0700, error)) {
            return -1;
        }
    }
    return -1;
}

void segment_unpin(struct segment *segment)
{
    struct files *files = &segment->store->files;
    g_mutex_lock(&files->lock);
    if (--segment->pins == 0) {
        g_queue_push_tail_link(&files->idle, &segment->link);
        if (files->n_open > FILES_OPEN_MAX) {
            close_idle(files, g_queue_peek_head(&files->idle));
        }
    }
    g_mutex_unlock(&files->lock);
}

bool segment_unlink(struct segment *segment, GError **error)
{
    if (unlinkat(segment->store->folder_fd, segment->path, 0) != 0 && errno != ENOENT) {
        return sy_fail_errno(error, errno, "cannot remove the log segment %s", segment->path);
    }
    return true;
}

/* --- to the disk ------------------------------------------------------------------------------- */

void segment_mark_dirty(struct segment *segment)
{
    struct files *files = &segment->store->files;
    g_mutex_lock(&files->lock);
    if (!segment->is_dirty) {
        segment->is_dirty = true;
        if (files->dirty->len == 0) {
            files->dirty_since_us = g_get_monotonic_time();
            g_cond_signal(&files->wake);
        }
        g_ptr_array_add(files->dirty, segment_ref(segment));
    }
    g_mutex_unlock(&files->lock);
}

/* The folder of a new file, and those above it, which may be new as well. */
static void sync_folders_of(struct segment *segment)
{
    g_autofree char *path = g_strdup(segment->path);
    for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
        *slash = '\0';
        g_auto(fd_t) fd = openat(segment->store->folder_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && fsync(fd) != 0) {
            atomic_store(&segment->sync_errno, errno);
        }
    }
    if (fsync(segment->store->folder_fd) != 0) {
        atomic_store(&segment->sync_errno, errno);
    }
}

/* A failure is told by the next append to that segment. */
static void sync_segment(struct segment *segment, bool is_new_file)
{
    g_autoptr(GError) gone = NULL;
    int fd = segment_pin(segment, &gone);
    if (fd < 0) {
        return; /* removed meanwhile */
    }
    if (fdatasync(fd) != 0) {
        atomic_store(&segment->sync_errno, errno);
    }
    segment_unpin(segment);
    if (is_new_file) {
        sync_folders_of(segment);
    }
}

static void sync_all(struct log_store *store, GPtrArray *dirty)
{
    bool is_done = dirty->len >= SYNC_ALL_FROM && syncfs(store->folder_fd) == 0;
    for (guint i = 0; !is_done && i < dirty->len; i++) {
        struct segment *segment = g_ptr_array_index(dirty, i);
        g_mutex_lock(&store->files.lock);
        bool is_new_file = segment->is_new_file;
        segment->is_new_file = false;
        g_mutex_unlock(&store->files.lock);
        sync_segment(segment, is_new_file);
    }
}

/* Waits until the oldest change is due; NULL at the end. */
static GPtrArray *take_dirty(struct log_store *store)
{
    struct files *files = &store->files;
    int64_t delay_us = store->options.sync_ms * 1000;
    g_mutex_lock(&files->lock);
    while (!files->is_closing &&
           (files->dirty->len == 0 || g_get_monotonic_time() < files->dirty_since_us + delay_us)) {
        if (files->dirty->len == 0) {
            g_cond_wait(&files->wake, &files->lock);
        } else {
            g_cond_wait_until(&files->wake, &files->lock, files->dirty_since_us + delay_us);
        }
    }
    GPtrArray *dirty = NULL;
    if (files->dirty->len > 0) {
        dirty = files->dirty;
        files->dirty = g_ptr_array_new_with_free_func((GDestroyNotify)segment_unref);
        for (guint i = 0; i < dirty->len; i++) {
            ((struct segment *)g_ptr_array_index(dirty, i))->is_dirty = false; /* what comes now is for the next time */
        }
    }
    g_mutex_unlock(&files->lock);
    return dirty;
}

static gpointer sync_main(gpointer data)
{
    struct log_store *store = data;
    GPtrArray *dirty;
    while ((dirty = take_dirty(store)) != NULL) {
        sync_all(store, dirty);
        g_ptr_array_unref(dirty);
    }
    return NULL;
}

bool files_start(struct log_store *store, GError **error)
{
    struct files *files = &store->files;
    store->folder_fd = open(store->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->folder_fd < 0) {
        return sy_fail_errno(error, errno, "cannot open the folder of the logs %s", store->folder);
    }
    g_mutex_init(&files->lock);
    g_cond_init(&files->wake);
    g_queue_init(&files->idle);
    files->dirty = g_ptr_array_new_with_free_func((GDestroyNotify)segment_unref);
    files->thread = g_thread_new("log-sync", sync_main, store);
    return true;
}

void files_stop(struct log_store *store)
{
    struct files *files = &store->files;
    g_mutex_lock(&files->lock);
    files->is_closing = true;
    g_cond_signal(&files->wake);
    g_mutex_unlock(&files->lock);
    g_thread_join(files->thread);
}
