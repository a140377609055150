/* Server-sent events: cut into two pieces, the same events as in one. */
#include <stdint.h>

#include "enclii/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool see(const struct stream_event *event, void *arg)
{
    g_string_append_printf(arg, "[%s|%s|%s]", event->id != NULL ? event->id : "", event->type, event->data);
    return true;
}

static GString *parse(const char *text, size_t length, size_t at)
{
    GString *out = g_string_new(NULL);
    struct sse_parser parser;
    sse_init(&parser, see, out);
    g_assert_true(sse_feed(&parser, text, at));
    g_assert_true(sse_feed(&parser, text + at, length - at));
    sse_clear(&parser);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536) {
        return 0;
    }
    const char *text = (const char *)data;
    g_autoptr(GString) whole = parse(text, size, size);
    g_autoptr(GString) cut = parse(text, size, data[size - 1] % size);
    g_assert_true(g_string_equal(whole, cut));
    return 0;
}
