#include "enclii/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enclii/output.h"
#include "enclii/term.h"

#define STEP_WIDTH 5
#define TEXT_WIDTH 34
#define DEFAULT_WIDTH 80 /* of a terminal that does not say */

void progress_init(struct progress *progress, struct cli *cli)
{
    *progress = (struct progress){.cli = cli, .deadline_us = g_get_monotonic_time() + cli->timeout_ms * 1000};
}

int64_t progress_left_ms(const struct progress *progress)
{
    return MAX((progress->deadline_us - g_get_monotonic_time()) / 1000, 1);
}

void progress_clear_line(struct progress *progress)
{
    if (progress->has_live_line) {
        fputs("\r\033[K", stderr);
        progress->has_live_line = false;
    }
}

/* Padded by columns, not bytes. */
static void append_padded(GString *out, const char *text, int width)
{
    g_string_append(out, text);
    for (int i = text_width(text); i < width; i++) {
        g_string_append_c(out, ' ');
    }
}

static GString *begin_line(const struct progress *progress, const char *service, const char *step)
{
    GString *line = g_string_new("  ");
    append_padded(line, service, (int)progress->name_width);
    g_string_append(line, "  ");
    append_padded(line, step, STEP_WIDTH);
    g_string_append(line, "  ");
    return line;
}

/* As much of the text as fits; it is safe already. */
static void cut_to_width(GString *line, int width)
{
    int used = 0;
    for (const char *p = line->str; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        used += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
        if (used >= width) {
            g_string_truncate(line, (gsize)(p - line->str));
            return;
        }
    }
}

void progress_show(struct progress *progress, const char *service, const char *step, const char *text)
{
    int width = term_width(STDERR_FILENO);
    if (progress->cli->quiet || !progress->cli->is_error_terminal) {
        return;
    }
    g_autofree char *safe = text_neutralise(text, false);
    g_autoptr(GString) line = begin_line(progress, service, step);
    g_string_append(line, safe);
    cut_to_width(line, width > 0 ? width : DEFAULT_WIDTH);
    progress_clear_line(progress);
    fputs(line->str, stderr);
    fflush(stderr);
    progress->has_live_line = true;
}

void progress_done(struct progress *progress, const char *service, const char *step, const char *text,
                   int64_t duration_ms, const char *extra)
{
    g_autoptr(GString) line = begin_line(progress, service, step);
    g_autofree char *safe = text_neutralise(text, false);
    append_padded(line, safe, TEXT_WIDTH);
    if (duration_ms >= 0) {
        g_string_append_printf(line, " %6.1f s", (double)duration_ms / 1000.0);
    } else if (extra != NULL) {
        g_string_append(line, "         ");
    }
    if (extra != NULL) {
        g_string_append_printf(line, "  %s", extra);
    }
    while (line->len > 0 && line->str[line->len - 1] == ' ') {
        g_string_truncate(line, line->len - 1);
    }
    progress_clear_line(progress);
    say(progress->cli, "%s", line->str);
}

void progress_say(struct progress *progress, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    progress_clear_line(progress);
    say(progress->cli, "%s", text);
}
