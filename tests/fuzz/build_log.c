/* BuildKit's progress, which holds whatever programs in a build print. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "build/build_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_line(const char *line, size_t length, void *arg)
{
    /* Nothing that steers a terminal comes out, and nothing that is empty. */
    g_assert(length > 0 && strlen(line) == length);
    for (size_t i = 0; i < length; i++) {
        g_assert(line[i] == '\t' || ((unsigned char)line[i] >= ' ' && line[i] != 0x7f));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(build_log_t) log = build_log_new(on_line, NULL);
    g_auto(build_verdict_t) verdict = {0};
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - data) - at : size - at;
        build_log_take((const char *)data + at, length, log);
        at += length + 1;
    }
    build_log_verdict(log, &verdict);
    g_assert(verdict.reason != NULL && verdict.lines != NULL && strlen(verdict.lines) < 12 * 410);
    return 0;
}
