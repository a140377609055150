/* Whole files, written so that a crash leaves the old or the new content and never half of one. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads at most `limit` bytes (SY_TOO_LARGE beyond); NUL-terminated, length without it.
 * SY_NOT_FOUND when it does not exist. */
char *file_read(const char *path, size_t limit, size_t *ret_length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the folder.
 */
bool file_replace(const char *path, const void *bytes, size_t length, mode_t mode,
                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* As file_replace, but SY_ALREADY_EXISTS when `path` exists (link(2) decides, not a check before).
 */
bool file_create(const char *path, const void *bytes, size_t length, mode_t mode,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes what file_replace and file_create left in this folder (not below it) when a crash cut them off. Only for who knows
 * that nobody is writing there now. Missing is success. */
bool file_remove_temporaries(const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* mkdir -p with `mode` for what it makes. */
bool folder_ensure(const char *path, mode_t mode, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes a folder and all beneath it without following links; missing is success. */
bool folder_remove(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* write(2) until all is out. */
bool fd_write_all(int fd, const void *bytes, size_t length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Bytes free for this process and in all on the file system that holds `path`. */
bool disk_space(const char *path, int64_t *ret_free_bytes, int64_t *ret_total_bytes,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Gives an SY_DISK_FULL error the figures of the file system that holds `path`; leaves every other error alone. */
void disk_full_explain(const char *path, GError **error);

/* A file descriptor that closes itself: g_auto(fd_t) fd = -1. */
typedef int fd_t;
void fd_close(fd_t *fd);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(fd_t, fd_close)
