/* Dockerfiles: whatever the text, bases are plain words, and a frontend in the first line never passes. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "build/detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    bool ok = dockerfile_check((const char *)data, size, false, &error);
    g_assert_true(ok == (error == NULL));
    g_auto(GStrv) bases = dockerfile_bases((const char *)data, size);
    for (char **base = bases; *base != NULL; base++) {
        g_assert_true(**base != '\0' && strcmp(*base, "scratch") != 0);
    }
    g_autofree char *hostile = g_strconcat("# syntax=evil/frontend\n", text, NULL);
    g_assert_false(dockerfile_check(hostile, strlen(hostile), false, NULL));
    return 0;
}
