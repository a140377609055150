/* YAML 1.2 of a JSON value, in block style. Anything that is not plainly a word is double quoted, with JSON's escapes. */
#include <string.h>

#include "enclii/output.h"

static const char *const not_words[] = {"y", "n", "yes", "no", "true", "false", "on", "off", "null", NULL};

/* A word that no version of YAML takes for anything but text. */
static bool is_plain(const char *text)
{
    if (!g_ascii_isalpha(*text) || strlen(text) > 200) {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (!g_ascii_isalnum(*c) && strchr("_-./", *c) == NULL) {
            return false;
        }
    }
    g_autofree char *lower = g_ascii_strdown(text, -1);
    return !g_strv_contains(not_words, lower);
}

static void put_quoted(GString *out, const char *text, size_t length)
{
    g_string_append_c(out, '"');
    const char *end = text + length;
    for (const char *at = text; at < end; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c == '"' || c == '\\') {
            g_string_append_printf(out, "\\%c", (char)c);
        } else if (c == '\n') {
            g_string_append(out, "\\n");
        } else if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) {
            g_string_append_printf(out, "\\x%02x", (unsigned)c);
        } else if ((c >= 0x2000 && c <= 0x206F) || c == 0xFEFF || c >= 0xFFFE) {
            g_string_append_printf(out, c > 0xFFFF ? "\\U%08x" : "\\u%04x", (unsigned)c);
        } else {
            g_string_append_unichar(out, c);
        }
    }
    g_string_append_c(out, '"');
}

static void put_text(GString *out, const char *text, size_t length)
{
    if (strlen(text) == length && is_plain(text)) {
        g_string_append(out, text);
    } else {
        put_quoted(out, text, length);
    }
}

static void put_scalar(GString *out, const json_t *value)
{
    if (json_is_string(value)) {
        put_text(out, json_string_value(value), json_string_length(value));
        return;
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY); /* also {} and [] */
    g_string_append(out, text);
    free(text);
}

static bool is_nested(const json_t *value)
{
    return json_object_size(value) > 0 || json_array_size(value) > 0;
}

static void put_value(GString *out, const json_t *value, int indent, bool is_first_inline);

static void begin_line(GString *out, int indent, bool *is_inline)
{
    if (!*is_inline) {
        g_string_append_printf(out, "%*s", indent, "");
    }
    *is_inline = false;
}

static void put_object(GString *out, const json_t *value, int indent, bool is_inline)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member)
    {
        begin_line(out, indent, &is_inline);
        put_text(out, key, strlen(key));
        g_string_append_c(out, ':');
        if (is_nested(member)) {
            g_string_append_c(out, '\n');
            put_value(out, member, indent + 2, false);
        } else {
            g_string_append_c(out, ' ');
            put_scalar(out, member);
            g_string_append_c(out, '\n');
        }
    }
}

static void put_array(GString *out, const json_t *value, int indent, bool is_inline)
{
    size_t index;
    json_t *element;
    json_array_foreach(value, index, element)
    {
        begin_line(out, indent, &is_inline);
        g_string_append(out, "- ");
        put_value(out, element, indent + 2, true);
    }
}

static void put_value(GString *out, const json_t *value, int indent, bool is_first_inline)
{
    if (!is_nested(value)) {
        put_scalar(out, value);
        g_string_append_c(out, '\n');
    } else if (json_is_object(value)) {
        put_object(out, value, indent, is_first_inline);
    } else {
        put_array(out, value, indent, is_first_inline);
    }
}

char *yaml_from_json(const json_t *value)
{
    GString *out = g_string_new(NULL);
    put_value(out, value, 0, true);
    return g_string_free(out, FALSE);
}
