/* What git knows about a folder, read from its files; the program is asked only what they cannot tell. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct git_state {
    char *branch; /* NULL: a detached HEAD */
    char *commit; /* full hash; NULL before the first commit */
    bool is_default_branch;
};

/* False when the folder lies in no git work tree (or in one that cannot be read: never an error). Understands linked work
 * trees, submodules and packed references. */
bool git_read(const char *folder, struct git_state *ret_state);
void git_state_clear(struct git_state *state);
typedef struct git_state git_state_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(git_state_t, git_state_clear)

/* Files below `folder` that differ from the commit, asked of the git program; -1 when it does not answer within a second. */
int git_count_changes(const char *folder);

/* The environment of a branch: its name as a DNS label, `preview` for the default branch, a detached HEAD or none. */
char *git_environment(const struct git_state *state);
