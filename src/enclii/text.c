/* Text on a terminal: what is safe to print, how wide it is, how long ago. */
#include <string.h>

#include "base/timestamp.h"
#include "enclii/output.h"

/* Characters that reorder or hide what stands around them: a log line could look like another. */
static bool is_deceptive(gunichar c)
{
    return c == 0x061C || (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x2069) || c == 0xFEFF;
}

static void append_escaped(GString *out, gunichar c)
{
    if (c == '\t') {
        g_string_append(out, "\\t");
    } else if (c == '\r') {
        g_string_append(out, "\\r");
    } else if (c == '\n') {
        g_string_append(out, "\\n");
    } else if (c <= 0xFF) {
        g_string_append_printf(out, "\\x%02x", (unsigned)c);
    } else {
        g_string_append_printf(out, "\\u%04x", (unsigned)c);
    }
}

char *text_neutralise(const char *text, bool keep_lines)
{
    GString *out = g_string_sized_new(strlen(text) + 16);
    const char *at = text;
    while (*at != '\0') {
        gunichar c = g_utf8_get_char_validated(at, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append_printf(out, "\\x%02x", (unsigned char)*at++);
            continue;
        }
        bool is_kept = keep_lines && (c == '\n' || c == '\t');
        if (is_kept || !(c < 0x20 || (c >= 0x7F && c <= 0x9F) || is_deceptive(c))) {
            g_string_append_unichar(out, c);
        } else {
            append_escaped(out, c);
        }
        at = g_utf8_next_char(at);
    }
    return g_string_free(out, FALSE);
}

static int width_of(gunichar c)
{
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

int text_width(const char *text)
{
    int width = 0;
    for (const char *at = text; *at != '\0'; at = g_utf8_next_char(at)) {
        width += width_of(g_utf8_get_char(at));
    }
    return width;
}

/* The longest beginning of at most `width` columns, in bytes. */
size_t text_fit(const char *text, int width)
{
    const char *at = text;
    while (*at != '\0') {
        width -= width_of(g_utf8_get_char(at));
        if (width < 0) {
            break;
        }
        at = g_utf8_next_char(at);
    }
    return (size_t)(at - text);
}

char *time_relative(int64_t time_us, int64_t now_us)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    if (time_us == CONTRACT_ABSENT) {
        return g_strdup("–");
    }
    int64_t seconds = (now_us - time_us) / G_USEC_PER_SEC;
    bool is_ahead = seconds < 0;
    seconds = is_ahead ? -seconds : seconds;
    if (seconds < 1) {
        return g_strdup("now");
    }
    size_t unit = 0;
    while (seconds < units[unit].seconds) {
        unit++;
    }
    int64_t n = seconds / units[unit].seconds;
    return g_strdup_printf("%s%" G_GINT64_FORMAT " %s%s%s", is_ahead ? "in " : "", n, units[unit].name,
                           n == 1 ? "" : "s", is_ahead ? "" : " ago");
}
