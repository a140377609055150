/* Files of a tree that somebody else filled: nothing outside it can be reached by a link, by ".." or by an absolute path. */
#pragma once

#include <glib.h>

/* Opens `path`, relative to the folder `fd`, with O_CLOEXEC and `flags` of open(2) (none that creates). The kernel's openat2
 * follows links that stay beneath `fd`; where there is none, or a sandbox forbids it, no link at all is followed. -1 with errno:
 * EXDEV for what would leave the tree, ELOOP or ENOTDIR for a link that is not followed. */
int open_beneath(int fd, const char *path, int flags) G_GNUC_WARN_UNUSED_RESULT;
