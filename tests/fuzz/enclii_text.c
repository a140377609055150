/* What is printed on a terminal holds no control character, whatever came in, and is stable. */
#include <stdint.h>
#include <string.h>

#include "enclii/output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, bool keep_lines)
{
    g_autofree char *safe = text_neutralise(text, keep_lines);
    g_assert_true(g_utf8_validate(safe, -1, NULL));
    for (const char *at = safe; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        g_assert_true(!g_unichar_iscntrl(c) || (keep_lines && (c == '\n' || c == '\t')));
    }
    g_autofree char *again = text_neutralise(safe, keep_lines);
    g_assert_cmpstr(safe, ==, again);
    int width = text_width(safe);
    g_assert_cmpint(width, >=, 0);
    g_assert_cmpuint(text_fit(safe, width), ==, strlen(safe));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    check(text, true);
    check(text, false);
    return 0;
}
