/* Writes tar: POSIX.1-1988 ustar headers, with a pax extended header (POSIX.1-2001) where a name, a link or a size does not fit.
 *
 * Why not libarchive, which the server reads with: the same files must give the same bytes on every machine and version, because
 * the digest of the archive decides whether anything is sent and built; and the library would cost each start of the command line
 * some milliseconds. Times, owners and all modes but 0755 and 0644 are left out for the same reason. One thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tar {
    int fd; /* borrowed */
    GChecksum *digest;
    GString *buffer;
    int64_t size_bytes;  /* written so far, buffered bytes too */
    int64_t limit_bytes; /* 0: none */
    int64_t left;        /* of the current file's content */
};

void tar_init(struct tar *tar, int fd, int64_t limit_bytes);
void tar_clear(struct tar *tar);
typedef struct tar tar_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(tar_t, tar_clear)

bool tar_add_folder(struct tar *tar, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool tar_add_link(struct tar *tar, const char *path, const char *target, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Exactly size_bytes of tar_put_content must follow. SY_TOO_LARGE when the archive would pass its limit. */
bool tar_begin_file(struct tar *tar, const char *path, bool is_executable, int64_t size_bytes,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool tar_put_content(struct tar *tar, const void *bytes, size_t length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Ends the archive; *ret_sha256 is newly allocated hex over all of its bytes. */
bool tar_finish(struct tar *tar, char **ret_sha256, GError **error) G_GNUC_WARN_UNUSED_RESULT;
