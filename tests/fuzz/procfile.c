/* Procfiles: what comes out has no variable but ${PORT}, and survives being quoted for env. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "build/detect.h"
#include "build/detect/detector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    bool ok = procfile_parse((const char *)data, size, "web", &argv, &error);
    g_assert_true(ok == (error == NULL) && ok == (argv != NULL));
    if (!ok) {
        return 0;
    }
    g_assert_true(argv[0] != NULL && *argv[0] != '\0');
    for (char **word = argv; *word != NULL; word++) {
        g_assert_true(g_utf8_validate(*word, -1, NULL));
        for (const char *dollar = strchr(*word, '$'); dollar != NULL; dollar = strchr(dollar + 1, '$')) {
            g_assert_true(g_str_has_prefix(dollar, "${PORT}"));
        }
    }
    g_auto(GStrv) runnable = command_runnable(argv);
    g_assert_nonnull(runnable[0]);
    return 0;
}
