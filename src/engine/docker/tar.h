/* The little of the ustar format (POSIX.1-1988) that giving a folder away needs. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK 512

/* An archive whose only entry is a folder. NULL when the name or a number does not fit. */
GString *tar_folder(const char *name, int64_t user, int64_t group, unsigned mode);

/* Owner and mode of the first entry; false when it is not whole, or its owner stands in an extended header. */
bool tar_first_owner(const void *bytes, size_t length, int64_t *ret_user, unsigned *ret_mode);
