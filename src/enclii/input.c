#include "enclii/input.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

char *input_read_all(int fd, size_t *ret_length, GError **error)
{
    g_autoptr(GString) all = g_string_new(NULL);
    char bytes[16384];
    for (;;) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            sy_fail_errno(error, errno, "reading from stdin");
            return NULL;
        }
        if (got > 0 && all->len + (size_t)got > INPUT_LIMIT) {
            sy_fail(error, SY_TOO_LARGE, "more than %zu bytes on stdin", INPUT_LIMIT);
            return NULL;
        }
        g_string_append_len(all, bytes, MAX(got, 0));
    }
    *ret_length = all->len;
    return g_string_free(g_steal_pointer(&all), FALSE);
}

char *input_read_file(const char *path, size_t *ret_length, GError **error)
{
    GError *failure = NULL;
    char *text = file_read(path, INPUT_LIMIT, ret_length, &failure);
    if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
        g_clear_error(&failure);
        sy_fail(error, SY_INVALID_INPUT, "there is no file %s here", path);
        sy_error_set_hint(error, "Give the path of a file, or - for stdin.");
    } else if (failure != NULL) {
        g_propagate_error(error, failure);
    }
    return text;
}
