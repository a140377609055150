#include "enclii/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/timestamp.h"

/* A result that did not get out is no result. */
static bool flush(GError **error)
{
    return (fflush(stdout) == 0 && ferror(stdout) == 0) || sy_fail(error, SY_IO_FAILED, "writing to stdout failed");
}

bool output_json(const struct cli *cli, const json_t *value, GError **error)
{
    if (cli->output == OUTPUT_YAML) {
        g_autofree char *yaml = yaml_from_json(value);
        fputs(yaml, stdout);
        return flush(error);
    }
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    if (text == NULL) {
        return sy_fail(error, SY_INTERNAL, "the reply is no JSON that can be written");
    }
    /* json_dumps escapes controls below U+0020 only; C1 controls are escapes to some terminals. */
    if (cli->is_output_terminal) {
        g_autofree char *safe = text_neutralise(text, true);
        puts(safe);
    } else {
        puts(text);
    }
    free(text);
    return flush(error);
}

void output_json_line(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    puts(text);
    free(text);
    fflush(stdout);
}

void output_line(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree char *safe = cli->is_output_terminal ? text_neutralise(text, true) : NULL;
    puts(safe != NULL ? safe : text);
}

/* --- values of fields ---------------------------------------------------------------------------- */

static char *join(const json_t *array)
{
    g_autoptr(GString) out = g_string_new(NULL);
    size_t index;
    json_t *element;
    json_array_foreach(array, index, element)
    {
        char *text = json_is_string(element) ? NULL : json_dumps(element, JSON_COMPACT | JSON_ENCODE_ANY);
        g_string_append_printf(out, "%s%s", index > 0 ? ", " : "", text != NULL ? text : json_string_value(element));
        free(text);
    }
    return g_strdup(out->str);
}

/* As a person reads it; "" when absent. */
static char *show(const struct field *field, const json_t *value, int64_t now_us)
{
    int64_t time_us;
    if (value == NULL || json_is_null(value)) {
        return g_strdup("");
    }
    if (field->kind == KIND_TIME && json_is_string(value) && timestamp_parse(json_string_value(value), &time_us)) {
        return time_relative(time_us, now_us);
    }
    if (json_is_string(value)) {
        return g_strdup(json_string_value(value));
    }
    if (json_is_boolean(value)) {
        return g_strdup(json_is_true(value) ? "yes" : "no");
    }
    if (json_is_array(value)) {
        return join(value);
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    char *copy = g_strdup(text);
    free(text);
    return copy;
}

static char **show_row(const struct type *type, const json_t *object, int64_t now_us)
{
    GPtrArray *cells = g_ptr_array_new();
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if ((field->flags & FIELD_SHOWN) != 0) {
            g_ptr_array_add(cells, show(field, json_object_get(object, field->name), now_us));
        }
    }
    g_ptr_array_add(cells, NULL);
    return (char **)g_ptr_array_free(cells, FALSE);
}

bool output_list(const struct cli *cli, const struct type *type, const json_t *reply, const char *list_key,
                 const char *empty, GError **error)
{
    if (cli->output != OUTPUT_TABLE) {
        return output_json(cli, reply, error);
    }
    g_autoptr(table_t) table = table_new_columns(type);
    int64_t now_us = g_get_real_time();
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(reply, list_key), index, entry)
    {
        table_add_take(table, show_row(type, entry, now_us));
    }
    if (table_n_rows(table) == 0) {
        say(cli, "%s", empty);
        return true;
    }
    table_print(table, cli);
    return flush(error);
}

bool output_object(const struct cli *cli, const struct type *type, const json_t *object, GError **error)
{
    if (cli->output != OUTPUT_TABLE) {
        return output_json(cli, object, error);
    }
    int64_t now_us = g_get_real_time();
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        const json_t *value = json_object_get(object, field->name);
        g_autofree char *text = show(field, value, now_us);
        if (*text != '\0' && !json_is_object(value)) {
            g_autofree char *safe = text_neutralise(text, false);
            output_line(cli, "%-18s %s", field->name, safe);
        }
    }
    return flush(error);
}
