/* Results on stdout: tables for people, JSON and YAML for programs.
 *
 * Text of others (servers, logs, names) may hold terminal escapes: on a terminal control characters
 * are shown as visible escapes and never sent. JSON is one value and a newline. */
#pragma once

#include "contract/contract.h"
#include "enclii/cli.h"

/* --- values ------------------------------------------------------------------------------------- */

/* As JSON or YAML, by -o (JSON when the format is table). Borrowed. */
bool output_json(const struct cli *cli, const json_t *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One JSON value on one line: for streams. */
void output_json_line(const json_t *value);

/* A list reply {list_key: […]}: as it is with -o json|yaml, else a table of the type's FIELD_SHOWN
 * columns. `empty` is what people read (on stderr) when there is nothing. */
bool output_list(const struct cli *cli, const struct type *type, const json_t *reply, const char *list_key,
                 const char *empty, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One object: as it is, else one line per field that has a value. */
bool output_object(const struct cli *cli, const struct type *type, const json_t *object,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Text and a newline on stdout; neutralised when it is a terminal. */
void output_line(const struct cli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* YAML of a JSON value, block style, newly allocated; parses back to the same value. */
char *yaml_from_json(const json_t *value);

/* --- tables ------------------------------------------------------------------------------------- */

struct table;
struct table *table_new(const char *first_header, ...) G_GNUC_NULL_TERMINATED;
struct table *table_new_columns(const struct type *type); /* FIELD_SHOWN */
void table_free(struct table *table);
typedef struct table table_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(table_t, table_free)

/* As many cells as headers; NULL is "–". */
void table_add(struct table *table, ...) G_GNUC_NULL_TERMINATED;
void table_add_take(struct table *table, char **cells);
unsigned table_n_rows(const struct table *table);

/* Aligned text; the last column is cut to `width` columns when that is > 0. Newly allocated. */
char *table_render(const struct table *table, int width, bool has_colour);
void table_print(const struct table *table, const struct cli *cli);

/* --- text --------------------------------------------------------------------------------------- */

/* "3 minutes ago", "in 2 days", "now"; newly allocated, "–" when absent. */
char *time_relative(int64_t time_us, int64_t now_us);

/* Columns that the text takes on a terminal. */
int text_width(const char *text);

/* The longest beginning of at most `width` columns, in bytes. */
size_t text_fit(const char *text, int width);

/* A copy in which control characters, invalid UTF-8 and characters that turn the writing direction
 * are visible escapes; newlines too unless `keep_lines`. */
char *text_neutralise(const char *text, bool keep_lines);
