#include "enclii/dotenv.h"

#include <string.h>

#include "base/error.h"
#include "contract/contract.h"

struct reader {
    const char *name;
    const char *at, *end;
    unsigned line;
};

static bool refuse(const struct reader *reader, unsigned line, const char *what, GError **error)
{
    sy_fail(error, SY_INVALID_INPUT, "%s:%u: %s", reader->name, line, what);
    sy_error_set_hint(error, "Each line is KEY=VALUE; quote values with blanks, quotes or # in them.");
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && is_blank(*reader->at)) {
        reader->at++;
    }
}

static bool is_line_over(const struct reader *reader)
{
    return reader->at == reader->end || *reader->at == '\n' ||
           (*reader->at == '\r' && reader->at + 1 < reader->end && reader->at[1] == '\n');
}

static void skip_line(struct reader *reader)
{
    while (reader->at < reader->end && *reader->at != '\n') {
        reader->at++;
    }
    if (reader->at < reader->end) {
        reader->at++;
        reader->line++;
    }
}

static char unescape(char c)
{
    return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
}

static bool read_quoted(struct reader *reader, GString *value, GError **error)
{
    unsigned first_line = reader->line;
    char quote = *reader->at++;
    for (; reader->at < reader->end && *reader->at != quote; reader->at++) {
        char c = *reader->at;
        bool is_escape = quote == '"' && c == '\\' && reader->at + 1 < reader->end && strchr("nrt\"\\$", reader->at[1]);
        if (is_escape) {
            reader->at++;
            c = unescape(*reader->at);
        }
        reader->line += c == '\n' && !is_escape;
        g_string_append_c(value, c);
    }
    if (reader->at == reader->end) {
        return refuse(reader, first_line, "the quote is never closed", error);
    }
    reader->at++;
    skip_blanks(reader);
    return is_line_over(reader) || *reader->at == '#' ||
           refuse(reader, reader->line, "something stands after the closing quote", error);
}

static void read_plain(struct reader *reader, GString *value)
{
    const char *start = reader->at;
    while (!is_line_over(reader)) {
        if (*reader->at == '#' && (reader->at == start || is_blank(reader->at[-1]))) {
            break;
        }
        g_string_append_c(value, *reader->at++);
    }
    g_strchomp(value->str);
    g_string_truncate(value, strlen(value->str));
}

static bool read_value(struct reader *reader, GString *value, GError **error)
{
    skip_blanks(reader);
    if (reader->at < reader->end && (*reader->at == '"' || *reader->at == '\'')) {
        return read_quoted(reader, value, error);
    }
    read_plain(reader, value);
    return true;
}

static char *read_key(struct reader *reader, GError **error)
{
    static const char word[] = "export";
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) > length && strncmp(reader->at, word, length) == 0 &&
        is_blank(reader->at[length])) {
        reader->at += length;
        skip_blanks(reader);
    }
    const char *start = reader->at;
    while (!is_line_over(reader) && *reader->at != '=') {
        reader->at++;
    }
    g_autofree char *key = g_strchomp(g_strndup(start, (gsize)(reader->at - start)));
    if (is_line_over(reader)) {
        refuse(reader, reader->line, "there is no `=`", error);
        return NULL;
    }
    reader->at++;
    if (check_variable(key) != NULL) {
        g_autofree char *what = g_strdup_printf("%s is no name of a variable", key);
        refuse(reader, reader->line, what, error);
        return NULL;
    }
    return g_steal_pointer(&key);
}

GPtrArray *dotenv_parse(const char *text, size_t length, const char *name, GError **error)
{
    struct reader reader = {.name = name, .at = text, .end = text + length, .line = 1};
    g_autoptr(GPtrArray) map = string_map_new();
    if (memchr(text, '\0', length) != NULL || !g_utf8_validate(text, (gssize)length, NULL)) {
        sy_fail(error, SY_INVALID_INPUT, "%s is no text in UTF-8", name);
        return NULL;
    }
    while (reader.at < reader.end) {
        skip_blanks(&reader);
        if (!is_line_over(&reader) && *reader.at != '#') {
            g_autofree char *key = read_key(&reader, error);
            g_autoptr(GString) value = g_string_new(NULL);
            if (key == NULL || !read_value(&reader, value, error)) {
                return NULL;
            }
            string_map_set(map, key, value->str);
        }
        skip_line(&reader);
    }
    return g_steal_pointer(&map);
}
