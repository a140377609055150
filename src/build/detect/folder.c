#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/error.h"
#include "base/file.h"
#include "build/detect/detector.h"

#define TEXT_LIMIT (1024 * 1024)
#define LIST_LIMIT 10000

int detect_open_folder(int root_fd, const char *path, GError **error)
{
    int fd = open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        sy_fail(error, SY_INVALID_INPUT, "the source has no folder %s", path);
        sy_error_set_hint(error,
                          "Correct build.context in enclii.yaml; it is relative to the folder that holds the file.");
    }
    return fd;
}

static int open_file(int fd, const char *path)
{
    struct stat stat;
    int opened = open_beneath(fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (opened >= 0 && (fstat(opened, &stat) != 0 || !S_ISREG(stat.st_mode))) {
        close(opened);
        opened = -1;
    }
    return opened;
}

bool folder_has(int fd, const char *path)
{
    g_auto(fd_t) opened = open_file(fd, path);
    return opened >= 0;
}

bool folder_has_folder(int fd, const char *path)
{
    g_auto(fd_t) opened = open_beneath(fd, path, O_RDONLY | O_DIRECTORY);
    return opened >= 0;
}

char *folder_text(int fd, const char *path, GError **error)
{
    g_auto(fd_t) opened = open_file(fd, path);
    g_autoptr(GString) text = g_string_new(NULL);
    char chunk[16384];
    ssize_t length = opened >= 0 ? 1 : 0;
    if (opened < 0) {
        sy_fail(error, SY_INVALID_INPUT, "%s is not a file inside the source", path);
        return NULL;
    }
    while (length > 0 && text->len <= TEXT_LIMIT) {
        length = read(opened, chunk, sizeof chunk);
        if (length < 0 && errno == EINTR) {
            length = 1;
            continue;
        }
        g_string_append_len(text, chunk, MAX(0, length));
    }
    if (length < 0) {
        sy_fail_errno(error, errno, "cannot read %s", path);
        return NULL;
    }
    if (text->len > TEXT_LIMIT || strlen(text->str) != text->len) {
        sy_fail(error, SY_INVALID_INPUT, "%s is larger than 1 MiB, or not text", path);
        return NULL;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **folder_list(int fd, const char *path)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    int opened = open_beneath(fd, path, O_RDONLY | O_DIRECTORY);
    DIR *folder = opened >= 0 ? fdopendir(opened) : NULL;
    const struct dirent *entry;
    while (folder != NULL && names->len < LIST_LIMIT && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            g_ptr_array_add(names, g_strdup(entry->d_name));
        }
    }
    if (folder != NULL) {
        closedir(folder);
    } else if (opened >= 0) {
        close(opened);
    }
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

bool is_plain_name(const char *name)
{
    return *name != '-' && *name != '\0' && strlen(name) <= 128 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(name);
}
