/* The patterns of one .gitignore or .encliiignore, as gitignore(5) defines them and git's wildmatch.c matches them. Pure.
 *
 * One file decides about the paths beneath its own folder; the caller asks the deepest file first and never descends into a
 * folder that is ignored, which is why nothing beneath it can be brought back. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum ignore_verdict { IGNORE_UNDECIDED, IGNORE_LEAVE_OUT, IGNORE_KEEP };

struct ignore;

/* Every text is a valid file of patterns. */
struct ignore *ignore_parse(const char *text, size_t length);
void ignore_free(struct ignore *ignore);
typedef struct ignore ignore_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ignore_t, ignore_free)

/* `path` is relative to the file's folder, without a leading or trailing slash. */
enum ignore_verdict ignore_match(const struct ignore *ignore, const char *path, bool is_folder);
