/* Source trees: unpacked from an archive or fetched by git, into a private folder.
 *
 * Nothing leaves the folder: entries whose path is absolute, holds "..", runs through a symbolic link, or that are hard
 * links, devices, sockets or FIFOs are refused; a symbolic link is kept only when it points inside the tree whatever other
 * links do (".." at its beginning only). In an archive another one is refused, in a git tree it is left out. Everything is
 * created with openat beneath the folder's descriptor. Owners are dropped, modes are 0755 or 0644, everything gets one fixed
 * time (in 1985, as npm does: some archivers refuse 0), so that the same files give the same image layers. Blocking. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/process.h"

struct source_limits {
    int64_t entry_count; /* default 200,000 */
    int64_t total_bytes; /* unpacked; default 4 GiB */
    int64_t entry_bytes; /* default 2 GiB */
    int64_t ratio;       /* unpacked : packed, once beyond 64 MiB; default 200 */
    int64_t xz_bytes;    /* unpacked from xz, which may keep all of it in memory as its dictionary; default 512 MiB */
};
extern const struct source_limits source_default_limits;

struct source_tree {
    int64_t entry_count;
    int64_t total_bytes;
};

/* tar, also gzip, zstd, xz or bzip2 compressed, from a descriptor (borrowed). Limits NULL: the default ones. Of two entries
 * with one name the last wins, unless one is a folder. SY_SOURCE_REFUSED names the entry and the rule, SY_TOO_LARGE the limit,
 * SY_INVALID_INPUT says that the archive is damaged. What was unpacked before an error is the caller's to remove (source_remove). */
bool source_unpack(int archive_fd, int folder_fd, const struct source_limits *limits, const int *cancelled,
                   struct source_tree *ret_tree, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* https:// and git over ssh (git@host:path, ssh://) only; no user info in https and no password anywhere, no leading '-', no
 * control characters, no loopback, link-local, private or reserved address in any spelling unless allowed. */
enum source_git_flag { SOURCE_GIT_ALLOW_PRIVATE = 1 << 0, SOURCE_GIT_ALLOW_FILE = 1 << 1 /* tests */ };
bool source_check_git_url(const char *url, unsigned flags, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A full or short hash, branch or tag by the rules of git-check-ref-format(1). */
bool source_check_git_ref(const char *ref, GError **error) G_GNUC_WARN_UNUSED_RESULT;
struct source_git {
    const char *url;
    const char *ref;       /* hash, branch or tag; NULL or "": the default branch */
    const char *ca_bundle; /* PEM file that is trusted instead of the system's; NULL: the system's */
    unsigned flags;
    int64_t timeout_ms; /* 0: none */
    const int *cancelled;
    process_line_fn on_line; /* git's progress */
    void *on_line_arg;
};
/* Depth 1, no submodules, no hooks, no credentials asked for, GIT_ALLOW_PROTOCOL set, --end-of-options before what users
 * gave. `folder` exists and is empty. Unless private addresses are allowed, the host's addresses must all be public, git is
 * pinned to them, and redirections are not followed. A host that cannot be found is left to the proxy of this process's
 * https_proxy, when there is one: then nothing goes past it, whatever no_proxy says. No .git is left behind. *ret_commit is
 * the full hash. SY_PROCESS_FAILED holds git's last words; SY_UNAVAILABLE: no such host. */
bool source_fetch_git(const struct source_git *wanted, const char *folder, char **ret_commit,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes a folder and what is in it, never following a link. True when it is gone. */
bool source_remove(const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;
