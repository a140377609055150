/* The engine's log stream: cut at every place that the first byte says, it gives the same lines. */
#include <glib.h>
#include <stdint.h>

#include "engine/docker/frames.h"

static bool add_line(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    GString *lines = arg;
    g_assert(length <= FRAMES_LINE);
    g_string_append_printf(lines, "%d %" G_GINT64_FORMAT " ", is_stderr, time_us);
    g_string_append_len(lines, line, (gssize)length);
    g_string_append_c(lines, '\n');
    return true;
}

static GString *read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct frames frames;
    GString *lines = g_string_new(NULL);
    frames_init(&frames, add_line, lines);
    bool ok = true;
    for (size_t at = 0; ok && at < size; at += piece) {
        ok = frames_feed(&frames, data + at, MIN(piece, size - at), NULL);
    }
    ok = ok && frames_end(&frames, NULL);
    g_string_append(lines, ok ? "ok" : "broken");
    frames_done(&frames);
    return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    GString *whole = read_in_pieces(data + 1, size - 1, size);
    GString *cut = read_in_pieces(data + 1, size - 1, (size_t)data[0] + 1);
    g_assert(g_string_equal(whole, cut));
    g_string_free(whole, TRUE);
    g_string_free(cut, TRUE);
    return 0;
}
