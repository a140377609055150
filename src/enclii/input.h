/* Files and stdin as arguments of commands. */
#pragma once

#include <glib.h>
#include <stddef.h>

#define INPUT_LIMIT ((size_t)16 << 20)

/* Everything up to the end, NUL-terminated; SY_TOO_LARGE beyond INPUT_LIMIT. */
char *input_read_all(int fd, size_t *ret_length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A file that the user named, likewise; that it does not exist is SY_INVALID_INPUT: nothing is wrong on the server. */
char *input_read_file(const char *path, size_t *ret_length, GError **error) G_GNUC_WARN_UNUSED_RESULT;
