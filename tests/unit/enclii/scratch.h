/* A folder of a test's own, gone at the end, and real programs run in it. */
#pragma once

#include <glib.h>

char *scratch_new(void);
void scratch_free(char *folder);
typedef char scratch_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(scratch_t, scratch_free)

/* Writes a file with its folders; "" as text makes an empty one. */
void scratch_write(const char *folder, const char *path, const char *text);

/* Standard output of `program words…`, run in `folder`; newly allocated. The words are split at blanks. */
char *scratch_run(const char *folder, int expected_status, const char *command_line);
