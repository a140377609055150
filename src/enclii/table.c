#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enclii/output.h"
#include "enclii/term.h"

#define GAP 2
#define NARROWEST 12

struct table {
    char **headers;
    unsigned n_columns;
    GPtrArray *rows; /* char ** of n_columns cells */
};

static struct table *table_take(char **headers)
{
    struct table *table = g_new0(struct table, 1);
    table->headers = headers;
    table->n_columns = g_strv_length(headers);
    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    return table;
}

struct table *table_new(const char *first_header, ...)
{
    g_autoptr(GStrvBuilder) headers = g_strv_builder_new();
    va_list arguments;
    va_start(arguments, first_header);
    for (const char *header = first_header; header != NULL; header = va_arg(arguments, const char *)) {
        g_strv_builder_add(headers, header);
    }
    va_end(arguments);
    return table_take(g_strv_builder_end(headers));
}

/* release_version → RELEASE; created_at → CREATED */
static char *header_of(const struct field *field)
{
    char *header = g_ascii_strup(field->name, -1);
    if (g_str_has_suffix(header, "_AT")) {
        header[strlen(header) - 3] = '\0';
    }
    return g_strdelimit(header, "_", ' ');
}

struct table *table_new_columns(const struct type *type)
{
    g_autoptr(GStrvBuilder) headers = g_strv_builder_new();
    for (size_t i = 0; i < type->n_fields; i++) {
        if ((type->fields[i].flags & FIELD_SHOWN) != 0) {
            g_autofree char *header = header_of(&type->fields[i]);
            g_strv_builder_add(headers, header);
        }
    }
    return table_take(g_strv_builder_end(headers));
}

void table_free(struct table *table)
{
    if (table != NULL) {
        g_strfreev(table->headers);
        g_ptr_array_unref(table->rows);
        g_free(table);
    }
}

void table_add_take(struct table *table, char **cells)
{
    g_return_if_fail(g_strv_length(cells) == table->n_columns);
    for (unsigned i = 0; i < table->n_columns; i++) {
        char *safe = *cells[i] != '\0' ? text_neutralise(cells[i], false) : g_strdup("–");
        g_free(cells[i]);
        cells[i] = safe;
    }
    g_ptr_array_add(table->rows, cells);
}

void table_add(struct table *table, ...)
{
    char **cells = g_new0(char *, table->n_columns + 1);
    va_list arguments;
    va_start(arguments, table);
    for (unsigned i = 0; i < table->n_columns; i++) {
        const char *cell = va_arg(arguments, const char *);
        cells[i] = g_strdup(cell != NULL ? cell : "");
    }
    va_end(arguments);
    table_add_take(table, cells);
}

unsigned table_n_rows(const struct table *table)
{
    return table->rows->len;
}

/* --- rendering ----------------------------------------------------------------------------------- */

static int column_width(const struct table *table, unsigned column)
{
    int width = text_width(table->headers[column]);
    for (guint i = 0; i < table->rows->len; i++) {
        char **cells = g_ptr_array_index(table->rows, i);
        width = MAX(width, text_width(cells[column]));
    }
    return width;
}

/* Only the last column is cut, and only on a terminal: what is cut is lost. */
static void append_last(GString *out, const char *cell, int left)
{
    if (left <= 0 || text_width(cell) <= left) {
        g_string_append(out, cell);
        return;
    }
    g_string_append_len(out, cell, (gssize)text_fit(cell, left - 1));
    g_string_append(out, "…");
}

static void append_row(GString *out, const struct table *table, char *const *cells, const int *widths, int width)
{
    int used = 0;
    for (unsigned i = 0; i < table->n_columns; i++) {
        bool is_last = i + 1 == table->n_columns;
        if (is_last) {
            append_last(out, cells[i], width > 0 ? MAX(width - used, NARROWEST) : 0);
        } else {
            g_string_append_printf(out, "%s%*s", cells[i], widths[i] - text_width(cells[i]) + GAP, "");
            used += widths[i] + GAP;
        }
    }
    g_string_append_c(out, '\n');
}

char *table_render(const struct table *table, int width, bool has_colour)
{
    GString *out = g_string_new(NULL);
    g_autofree int *widths = g_new0(int, table->n_columns);
    for (unsigned i = 0; i < table->n_columns; i++) {
        widths[i] = column_width(table, i);
    }
    g_string_append(out, has_colour ? "\033[1m" : "");
    append_row(out, table, table->headers, widths, width);
    if (has_colour) {
        g_string_insert(out, (gssize)out->len - 1, "\033[0m");
    }
    for (guint i = 0; i < table->rows->len; i++) {
        append_row(out, table, g_ptr_array_index(table->rows, i), widths, width);
    }
    return g_string_free(out, FALSE);
}

void table_print(const struct table *table, const struct cli *cli)
{
    g_autofree char *text = table_render(table, term_width(STDOUT_FILENO), cli->has_colour);
    fputs(text, stdout);
}
