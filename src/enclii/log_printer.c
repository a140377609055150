#include "enclii/log_printer.h"

#include <stdio.h>
#include <string.h>

#include "base/timestamp.h"
#include "enclii/output.h"
#include "enclii/term.h"

void log_printer_init(struct log_printer *printer, const struct cli *cli, bool has_names)
{
    *printer = (struct log_printer){.cli = cli, .has_names = has_names};
    g_mutex_init(&printer->lock);
    printer->names = g_ptr_array_new_with_free_func(g_free);
}

void log_printer_clear(struct log_printer *printer)
{
    g_mutex_clear(&printer->lock);
    g_clear_pointer(&printer->names, g_ptr_array_unref);
}

bool log_printer_is_open(struct log_printer *printer)
{
    g_mutex_lock(&printer->lock);
    bool is_open = !printer->is_closed;
    g_mutex_unlock(&printer->lock);
    return is_open;
}

static char *paint_name(struct log_printer *printer, const char *service)
{
    static const enum colour colours[] = {COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BOLD, COLOUR_RED};
    guint index = 0;
    if (!g_ptr_array_find_with_equal_func(printer->names, service, g_str_equal, &index)) {
        index = printer->names->len;
        g_ptr_array_add(printer->names, g_strdup(service));
    }
    return term_paint(printer->cli, colours[index % G_N_ELEMENTS(colours)], service);
}

/* "14:05:09.123", in the time zone of the reader. */
static char *clock_time(const char *text)
{
    int64_t time_us;
    if (text == NULL || !timestamp_parse(text, &time_us)) {
        return NULL;
    }
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(time_us / G_USEC_PER_SEC);
    g_autoptr(GDateTime) local = utc != NULL ? g_date_time_to_local(utc) : NULL;
    g_autofree char *seconds = local != NULL ? g_date_time_format(local, "%H:%M:%S") : NULL;
    return seconds != NULL ? g_strdup_printf("%s.%03d", seconds, (int)(time_us % G_USEC_PER_SEC / 1000)) : NULL;
}

static void put_text(struct log_printer *printer, const char *service, const json_t *line)
{
    const struct cli *cli = printer->cli;
    const char *text = json_string_value(json_object_get(line, "text"));
    const char *instance = json_string_value(json_object_get(line, "instance"));
    g_autofree char *time = clock_time(json_string_value(json_object_get(line, "time")));
    g_autofree char *faint = time != NULL ? term_paint(cli, COLOUR_DIM, time) : NULL;
    g_autofree char *name = printer->has_names ? paint_name(printer, service) : NULL;
    g_autofree char *safe = cli->is_output_terminal ? text_neutralise(text != NULL ? text : "", false) : g_strdup(text);
    bool has_instance = cli->verbose && instance != NULL;
    printf("%s%s%s%s%s%s%s\n", faint != NULL ? faint : "", faint != NULL ? "  " : "", name != NULL ? name : "",
           name != NULL ? "  " : "", has_instance ? instance : "", has_instance ? "  " : "", safe != NULL ? safe : "");
}

void log_printer_put(struct log_printer *printer, const char *service, const json_t *line)
{
    if (!json_is_object(line)) {
        return;
    }
    g_mutex_lock(&printer->lock);
    if (printer->cli->output == OUTPUT_TABLE) {
        put_text(printer, service, line);
    } else {
        json_t *with_name = json_copy((json_t *)line);
        json_object_set_new(with_name, "service", json_string(service));
        output_json_line(with_name);
        json_decref(with_name);
    }
    printer->is_closed = fflush(stdout) != 0 || ferror(stdout) != 0;
    g_mutex_unlock(&printer->lock);
}

void log_printer_say(struct log_printer *printer, const char *service, const char *data)
{
    json_t *json = json_loads(data, 0, NULL);
    const json_t *missed = json_object_get(json, "missed");
    const char *status = json_string_value(json_object_get(json, "status"));
    g_mutex_lock(&printer->lock);
    if (json_is_integer(missed)) {
        say(printer->cli, "%s: %" JSON_INTEGER_FORMAT " lines were missed; they came faster than they could be sent",
            service, json_integer_value(missed));
    } else if (status != NULL) {
        say(printer->cli, "%s: the build has ended: %s", service, status);
    }
    g_mutex_unlock(&printer->lock);
    json_decref(json);
}
