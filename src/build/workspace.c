#include "build/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "build/source.h"

/* Between making a folder and locking it nobody may sweep. */
static GMutex sweep_lock;

static bool is_abandoned(const char *path)
{
    g_auto(fd_t) fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* What cannot be removed now is tried again by the next one. */
static void sweep(const char *below)
{
    g_autoptr(GDir) folder = g_dir_open(below, 0, NULL);
    const char *name;
    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *path = g_build_filename(below, name, NULL);
        g_autoptr(GError) ignored = NULL;
        if (is_abandoned(path) && !source_remove(path, &ignored)) {
            continue;
        }
    }
}

static bool make(struct workspace *workspace, GError **error)
{
    g_autofree char *home = workspace_path(workspace, "home");
    g_autofree char *tmp = workspace_path(workspace, "tmp");
    if (mkdir(workspace->path, 0700) != 0) {
        return sy_fail_errno(error, errno, "cannot create folder %s", workspace->path);
    }
    workspace->fd = open(workspace->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (workspace->fd < 0 || flock(workspace->fd, LOCK_EX | LOCK_NB) != 0) {
        return sy_fail_errno(error, errno, "cannot lock %s", workspace->path);
    }
    return folder_ensure(home, 0700, error) && folder_ensure(tmp, 0700, error);
}

struct workspace *workspace_open(const char *below, const char *name, GError **error)
{
    g_autoptr(workspace_t) workspace = g_new0(struct workspace, 1);
    workspace->fd = -1;
    workspace->path = g_strdup_printf("%s/%s-%08x", below, name, g_random_int());
    if (!folder_ensure(below, 0700, error)) {
        return NULL;
    }
    g_mutex_lock(&sweep_lock);
    sweep(below);
    bool ok = make(workspace, error);
    g_mutex_unlock(&sweep_lock);
    return ok ? g_steal_pointer(&workspace) : NULL;
}

void workspace_close(struct workspace *workspace)
{
    if (workspace == NULL) {
        return;
    }
    g_autoptr(GError) ignored = NULL; /* the next sweep tries again */
    if (workspace->fd >= 0 && !source_remove(workspace->path, &ignored)) {
        g_clear_error(&ignored);
    }
    fd_close(&workspace->fd);
    g_free(workspace->path);
    g_free(workspace);
}

char *workspace_path(const struct workspace *workspace, const char *name)
{
    return g_build_filename(workspace->path, name, NULL);
}
