/* The private folder of one piece of work, gone when it is closed.
 *
 * An open one holds flock(2) on its folder, so what a crash has left is known by its free lock: opening one sweeps those away.
 * The folder it is in belongs to one process. Threads: several may open and close at once. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct workspace {
    char *path;
    int fd; /* of `path`, locked */
};

/* Makes BELOW/NAME-xxxxxxxx, 0700, with sub-folders `home` and `tmp`. */
struct workspace *workspace_open(const char *below, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Removes it with all it holds. */
void workspace_close(struct workspace *workspace);
typedef struct workspace workspace_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(workspace_t, workspace_close)

/* A path inside, newly allocated. */
char *workspace_path(const struct workspace *workspace, const char *name);
