/* What unpacking and fetching share: names beneath a folder, and the tree as both leave it. Private to this folder. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "build/source.h"

/* 1985-10-26T08:15:00Z, npm's choice: one fixed time keeps layers equal, and ZIP writers refuse times before 1980. */
#define SOURCE_TIME_S 499162500
#define SOURCE_DEPTH_LIMIT 128

/* A name as it may be shown: valid UTF-8, no control characters, at most some 200 bytes. */
char *source_label(const char *name);

/* True when a link in a folder `depth` levels beneath the root leads to somewhere in the tree whatever other links of this
 * kind there are: ".." only at its beginning, and at most `depth` of them. */
bool source_link_is_inside(const char *target, unsigned depth);

/* Counts, and gives everything one time and the mode 0755 or 0644. A link that leads out, a socket or FIFO is removed and its
 * path added to `removed`. SY_TOO_LARGE beyond the limits. */
bool source_settle(int folder_fd, const struct source_limits *limits, const int *cancelled, GPtrArray *removed,
                   struct source_tree *ret_tree, GError **error) G_GNUC_WARN_UNUSED_RESULT;
