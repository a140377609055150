#include "build/source_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

const struct source_limits source_default_limits = {
    .entry_count = 200000,
    .total_bytes = INT64_C(4) << 30,
    .entry_bytes = INT64_C(2) << 30,
    .ratio = 200,
};

char *source_label(const char *name)
{
    g_autofree char *start = g_strndup(name, 200);
    g_autofree char *valid = g_utf8_make_valid(start, -1);
    GString *label = g_string_new(NULL);
    for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(label, g_unichar_isprint(c) ? c : 0xFFFD);
    }
    if (strlen(name) > 200) {
        g_string_append(label, "…");
    }
    return g_string_free(label, FALSE);
}

bool source_link_is_inside(const char *target, unsigned depth)
{
    bool has_name = false;
    if (target[0] == '/' || target[0] == '\0') {
        return false;
    }
    for (const char *part = target; part != NULL;) {
        const char *end = strchrnul(part, '/');
        size_t length = (size_t)(end - part);
        bool is_up = length == 2 && memcmp(part, "..", 2) == 0;
        if (is_up && (has_name || depth == 0)) {
            return false;
        }
        depth -= is_up;
        has_name = has_name || (!is_up && length > 0 && !(length == 1 && part[0] == '.'));
        part = *end == '/' ? end + 1 : NULL;
    }
    return true;
}

struct settling {
    const struct source_limits *limits;
    const int *cancelled;
    GPtrArray *removed;
    GString *path; /* of the folder being read, ending in '/' unless it is the root */
    struct source_tree tree;
};

static bool settle_folder(struct settling *settling, int fd, unsigned depth, GError **error);

static bool set_time(int parent, const char *name, GError **error)
{
    struct timespec times[2] = {{.tv_sec = SOURCE_TIME_S}, {.tv_sec = SOURCE_TIME_S}};
    return utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0 ||
           sy_fail_errno(error, errno, "cannot set the time of %s", name);
}

static bool drop(struct settling *settling, int parent, const char *name, GError **error)
{
    g_autofree char *path = g_strconcat(settling->path->str, name, NULL);
    if (unlinkat(parent, name, 0) != 0) {
        return sy_fail_errno(error, errno, "cannot remove %s", name);
    }
    g_ptr_array_add(settling->removed, source_label(path));
    return true;
}

static bool settle_link(struct settling *settling, int parent, const char *name, unsigned depth, GError **error)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(parent, name, target, sizeof target - 1);
    if (length < 0) {
        return sy_fail_errno(error, errno, "cannot read the link %s", name);
    }
    target[length] = '\0';
    return source_link_is_inside(target, depth) ? set_time(parent, name, error) : drop(settling, parent, name, error);
}

static bool settle_subfolder(struct settling *settling, int parent, const char *name, unsigned depth, GError **error)
{
    if (depth >= SOURCE_DEPTH_LIMIT) {
        return sy_fail(error, SY_TOO_LARGE, "folders are nested deeper than %d levels", SOURCE_DEPTH_LIMIT);
    }
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot open folder %s", name);
    }
    size_t before = settling->path->len;
    g_string_append_printf(settling->path, "%s/", name);
    bool ok = fchmod(fd, 0755) == 0 || sy_fail_errno(error, errno, "cannot set the mode of %s", name);
    ok = ok && settle_folder(settling, fd, depth + 1, error);
    close(fd);
    g_string_truncate(settling->path, before);
    return ok && set_time(parent, name, error);
}

static bool settle_entry(struct settling *settling, int parent, const char *name, unsigned depth, GError **error)
{
    struct stat stat;
    const struct source_limits *limits = settling->limits;
    if (fstatat(parent, name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
        return sy_fail_errno(error, errno, "cannot look at %s", name);
    }
    if (++settling->tree.entry_count > limits->entry_count) {
        return sy_fail(error, SY_TOO_LARGE, "the source holds more than %" G_GINT64_FORMAT " files and folders",
                       limits->entry_count);
    }
    if (S_ISDIR(stat.st_mode)) {
        return settle_subfolder(settling, parent, name, depth, error);
    }
    if (S_ISLNK(stat.st_mode)) {
        return settle_link(settling, parent, name, depth, error);
    }
    if (!S_ISREG(stat.st_mode)) {
        return drop(settling, parent, name, error);
    }
    settling->tree.total_bytes += stat.st_size;
    if (settling->tree.total_bytes > limits->total_bytes || stat.st_size > limits->entry_bytes) {
        return sy_fail(error, SY_TOO_LARGE,
                       "the source is larger than %" G_GINT64_FORMAT " bytes, or one file than %" G_GINT64_FORMAT,
                       limits->total_bytes, limits->entry_bytes);
    }
    mode_t mode = stat.st_mode & 0111 ? 0755 : 0644;
    if ((stat.st_mode & 07777) != mode && fchmodat(parent, name, mode, 0) != 0) {
        return sy_fail_errno(error, errno, "cannot set the mode of %s", name);
    }
    return set_time(parent, name, error);
}

static bool settle_folder(struct settling *settling, int fd, unsigned depth, GError **error)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (folder == NULL) {
        int saved = errno;
        fd_close(&copy);
        return sy_fail_errno(error, saved, "cannot read folder %s", settling->path->str);
    }
    bool ok = true;
    struct dirent *entry;
    while (ok && (entry = readdir(folder)) != NULL) {
        if (settling->cancelled != NULL && g_atomic_int_get(settling->cancelled) != 0) {
            ok = sy_fail(error, SY_CANCELLED, "cancelled while looking through the source");
        } else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            ok = settle_entry(settling, fd, entry->d_name, depth, error);
        }
    }
    closedir(folder);
    return ok;
}

bool source_settle(int folder_fd, const struct source_limits *limits, const int *cancelled, GPtrArray *removed,
                   struct source_tree *ret_tree, GError **error)
{
    g_autoptr(GString) path = g_string_new(NULL);
    struct settling settling = {.limits = limits, .cancelled = cancelled, .removed = removed, .path = path};
    if (!settle_folder(&settling, folder_fd, 0, error)) {
        return false;
    }
    *ret_tree = settling.tree;
    return true;
}

bool source_remove(const char *folder, GError **error)
{
    return folder_remove(folder, error);
}
