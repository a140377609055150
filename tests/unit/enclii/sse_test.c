/* Server-sent events, byte by byte. */
#include <string.h>

#include "enclii/sse.h"

static bool see(const struct stream_event *event, void *arg)
{
    g_string_append_printf(arg, "[%s|%s|%s]", event->id != NULL ? event->id : "", event->type, event->data);
    return strcmp(event->data, "stop") != 0;
}

/* Feeds the text in two pieces, cut at `at`. */
static char *parse(const char *text, size_t at)
{
    GString *out = g_string_new(NULL);
    struct sse_parser parser;
    sse_init(&parser, see, out);
    if (sse_feed(&parser, text, at)) {
        (void)sse_feed(&parser, text + at, strlen(text) - at);
    }
    sse_clear(&parser);
    return g_string_free(out, FALSE);
}

static void events_are_the_same_wherever_they_are_cut(void)
{
    static const struct {
        const char *text, *events;
    } cases[] = {
        {"data: a\n\n", "[|message|a]"},
        {"data:a\n\ndata: b\n\n", "[|message|a][|message|b]"},
        {"data: a\r\n\r\n", "[|message|a]"},
        {"data: a\r\rdata: b\r\r", "[|message|a][|message|b]"},
        {"id: 1\nevent: log\ndata: {\"a\":1}\n\ndata: next\n\n", "[1|log|{\"a\":1}][1|message|next]"},
        {"data: one\ndata: two\ndata\n\n", "[|message|one\ntwo\n]"},
        {": heartbeat\n\n: again\n\ndata: x\n\n", "[|message|x]"},
        {"data:  two blanks\n\n", "[|message| two blanks]"},
        {"data: a:b: c\n\n", "[|message|a:b: c]"},
        {"retry: 5\nunknown: x\ndata: y\n\n", "[|message|y]"},
        {"id: 5\n\ndata: z\n\n", "[5|message|z]"},
        {"data: cut off\n", ""},
        {"event: only\n\ndata: x\n\n", "[|message|x]"},
        {"data: stop\n\ndata: never\n\n", "[|message|stop]"},
        {"\n\n\n", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (size_t at = 0; at <= strlen(cases[i].text); at++) {
            g_autofree char *events = parse(cases[i].text, at);
            g_assert_cmpstr(events, ==, cases[i].events);
        }
    }
}

static void endless_event_is_refused(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *piece = g_strnfill(1 << 20, 'x');
    struct sse_parser parser;
    sse_init(&parser, see, out);
    g_assert_true(sse_feed(&parser, "data: ", 6));
    bool goes_on = true;
    for (int i = 0; i < 8 && goes_on; i++) {
        goes_on = sse_feed(&parser, piece, strlen(piece));
    }
    g_assert_false(goes_on);
    g_assert_true(parser.is_too_large);
    g_assert_cmpuint(out->len, ==, 0);
    sse_clear(&parser);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/enclii/sse/" #name, name)
    TEST(events_are_the_same_wherever_they_are_cut);
    TEST(endless_event_is_refused);
    return g_test_run();
}
