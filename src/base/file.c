#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/error.h"

void fd_close(fd_t *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

char *file_read(const char *path, size_t limit, size_t *ret_length, GError **error)
{
    g_auto(fd_t) fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT) {
            sy_fail(error, SY_NOT_FOUND, "%s does not exist", path);
        } else {
            sy_fail_errno(error, errno, "cannot open %s", path);
        }
        return NULL;
    }
    g_autoptr(GString) text = g_string_new(NULL);
    char chunk[16384];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            sy_fail_errno(error, errno, "cannot read %s", path);
            return NULL;
        }
        if (got == 0) {
            break;
        }
        if (text->len + (size_t)got > limit) {
            sy_fail(error, SY_TOO_LARGE, "%s is larger than %zu bytes", path, limit);
            return NULL;
        }
        g_string_append_len(text, chunk, got);
    }
    if (ret_length != NULL) {
        *ret_length = text->len;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

bool fd_write_all(int fd, const void *bytes, size_t length, GError **error)
{
    const char *p = bytes;
    while (length > 0) {
        ssize_t written = write(fd, p, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return sy_fail_errno(error, errno, "cannot write");
        }
        p += written;
        length -= (size_t)written;
    }
    return true;
}

static bool folder_sync(const char *file_path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(file_path);
    g_auto(fd_t) fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        return sy_fail_errno(error, errno, "cannot sync %s", folder);
    }
    return true;
}

static bool write_temporary(const char *temporary, const void *bytes, size_t length, mode_t mode, GError **error)
{
    g_auto(fd_t) fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot create %s", temporary);
    }
    if (!fd_write_all(fd, bytes, length, error)) {
        g_prefix_error(error, "%s: ", temporary);
        return false;
    }
    if (fsync(fd) != 0) {
        return sy_fail_errno(error, errno, "cannot sync %s", temporary);
    }
    return true;
}

static char *temporary_name(const char *path)
{
    return g_strdup_printf("%s.%08x.tmp", path, g_random_int());
}

bool file_replace(const char *path, const void *bytes, size_t length, mode_t mode, GError **error)
{
    g_autofree char *temporary = temporary_name(path);
    if (!write_temporary(temporary, bytes, length, mode, error)) {
        unlink(temporary);
        return false;
    }
    crash_point("file.before_rename");
    if (rename(temporary, path) != 0) {
        sy_fail_errno(error, errno, "cannot replace %s", path);
        unlink(temporary);
        return false;
    }
    crash_point("file.after_rename");
    return folder_sync(path, error);
}

bool file_create(const char *path, const void *bytes, size_t length, mode_t mode, GError **error)
{
    g_autofree char *temporary = temporary_name(path);
    bool ok = write_temporary(temporary, bytes, length, mode, error);
    if (ok && link(temporary, path) != 0) {
        ok = errno == EEXIST ? sy_fail(error, SY_ALREADY_EXISTS, "%s exists already", path)
                             : sy_fail_errno(error, errno, "cannot create %s", path);
    }
    unlink(temporary);
    return ok && folder_sync(path, error);
}

/* As temporary_name makes them: *.xxxxxxxx.tmp */
static bool is_temporary(const char *name)
{
    size_t length = strlen(name);
    const size_t tail = strlen(".00000000.tmp");
    if (length <= tail || name[length - tail] != '.' || strcmp(name + length - strlen(".tmp"), ".tmp") != 0) {
        return false;
    }
    return strspn(name + length - tail + 1, "0123456789abcdef") == 8;
}

bool file_remove_temporaries(const char *folder, GError **error)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || sy_fail_errno(error, errno, "cannot open folder %s", folder);
    }
    DIR *entries = fdopendir(fd);
    if (entries == NULL) {
        int saved = errno;
        close(fd);
        return sy_fail_errno(error, saved, "cannot read folder %s", folder);
    }
    bool ok = true;
    struct dirent *entry;
    while (ok && (entry = readdir(entries)) != NULL) {
        if (is_temporary(entry->d_name) && unlinkat(fd, entry->d_name, 0) != 0 && errno != EISDIR && errno != ENOENT) {
            ok = sy_fail_errno(error, errno, "cannot remove %s/%s", folder, entry->d_name);
        }
    }
    closedir(entries);
    return ok;
}

bool folder_ensure(const char *path, mode_t mode, GError **error)
{
    if (g_mkdir_with_parents(path, (int)mode) != 0) {
        return sy_fail_errno(error, errno, "cannot create folder %s", path);
    }
    return true;
}

static bool remove_beneath(int parent, const char *name, unsigned depth, GError **error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        return true;
    }
    if (errno != EISDIR && errno != EPERM) {
        return sy_fail_errno(error, errno, "cannot remove %s", name);
    }
    if (depth > 256) {
        return sy_fail(error, SY_IO_FAILED, "cannot remove %s: nested too deeply", name);
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot open folder %s", name);
    }
    /* Files in a folder that its owner made unwritable still have to go. */
    (void)fchmod(fd, 0700);
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        int saved = errno;
        close(fd);
        return sy_fail_errno(error, saved, "cannot read folder %s", name);
    }
    bool ok = true;
    struct dirent *entry;
    while (ok && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            ok = remove_beneath(fd, entry->d_name, depth + 1, error);
        }
    }
    closedir(folder);
    if (ok && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        ok = sy_fail_errno(error, errno, "cannot remove folder %s", name);
    }
    return ok;
}

bool folder_remove(const char *path, GError **error)
{
    return remove_beneath(AT_FDCWD, path, 0, error);
}

bool disk_space(const char *path, int64_t *ret_free_bytes, int64_t *ret_total_bytes, GError **error)
{
    struct statvfs stat;
    if (statvfs(path, &stat) != 0) {
        return sy_fail_errno(error, errno, "cannot read the free space of %s", path);
    }
    *ret_free_bytes = (int64_t)(stat.f_bavail * stat.f_frsize);
    *ret_total_bytes = (int64_t)(stat.f_blocks * stat.f_frsize);
    return true;
}

void disk_full_explain(const char *path, GError **error)
{
    int64_t free_bytes = 0;
    int64_t total_bytes = 0;
    if (error == NULL || *error == NULL || !g_error_matches(*error, SY_ERROR, SY_DISK_FULL) ||
        !disk_space(path, &free_bytes, &total_bytes, NULL)) {
        return;
    }
    g_prefix_error(error, "%.1f MiB of %" G_GINT64_FORMAT " MiB are free: ", (double)free_bytes / (1 << 20),
                   total_bytes >> 20);
}
