#include "base/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Takes `at`. */
static int step(int at, const char *part, int flags)
{
    int next = openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC);
    int why = errno;
    close(at);
    errno = why;
    return next;
}

static int open_step_by_step(int fd, const char *path, int flags)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    if (path[0] == '\0') {
        errno = ENOENT;
        return -1;
    }
    if (path[0] == '/' || g_strv_contains((const char *const *)parts, "..")) {
        errno = EXDEV;
        return -1;
    }
    int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    guint n = g_strv_length(parts);
    for (guint i = 0; at >= 0 && i + 1 < n; i++) {
        if (*parts[i] != '\0') {
            at = step(at, parts[i], O_PATH | O_DIRECTORY);
        }
    }
    return at < 0 ? -1 : step(at, *parts[n - 1] != '\0' ? parts[n - 1] : ".", flags);
}

int open_beneath(int fd, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int opened = (int)syscall(SYS_openat2, fd, path, &how, sizeof how);
    bool is_refused = opened < 0 && (errno == ENOSYS || errno == EPERM);
    return is_refused ? open_step_by_step(fd, path, flags) : opened;
}
