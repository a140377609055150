#include "base/json_writer.h"

#include <math.h>
#include <string.h>

/* 0: copy as is; 1: needs an escape; 2: start of a multi-byte sequence, to be checked. */
static const unsigned char classes[256] = {
    [0 ... 31] = 1, ['"'] = 1, ['\\'] = 1, [127] = 1, [128 ... 255] = 2,
};

void json_writer_init(struct json_writer *writer, GString *out)
{
    *writer = (struct json_writer){.out = out};
}

/* Whether a comma stands before the value that begins now. */
static bool takes_comma(struct json_writer *writer)
{
    if (writer->after_key) {
        writer->after_key = false;
        return false;
    }
    uint64_t bit = UINT64_C(1) << writer->depth;
    bool is_later = (writer->comma & bit) != 0;
    writer->comma |= bit;
    return is_later;
}

static void begin_value(struct json_writer *writer)
{
    if (takes_comma(writer)) {
        g_string_append_c(writer->out, ',');
    }
}

static void open_container(struct json_writer *writer, char character)
{
    begin_value(writer);
    g_string_append_c(writer->out, character);
    g_assert(writer->depth < JSON_WRITER_DEPTH);
    writer->depth++;
    writer->comma &= ~(UINT64_C(1) << writer->depth);
}

static void close_container(struct json_writer *writer, char character)
{
    g_assert(writer->depth > 0 && !writer->after_key);
    writer->depth--;
    g_string_append_c(writer->out, character);
}

void json_object_open(struct json_writer *writer)
{
    open_container(writer, '{');
}

void json_object_close(struct json_writer *writer)
{
    close_container(writer, '}');
}

void json_array_open(struct json_writer *writer)
{
    open_container(writer, '[');
}

void json_array_close(struct json_writer *writer)
{
    close_container(writer, ']');
}

static void append_escape(GString *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    switch (byte) {
    case '"':
        g_string_append_len(out, "\\\"", 2);
        break;
    case '\\':
        g_string_append_len(out, "\\\\", 2);
        break;
    case '\n':
        g_string_append_len(out, "\\n", 2);
        break;
    case '\t':
        g_string_append_len(out, "\\t", 2);
        break;
    case '\r':
        g_string_append_len(out, "\\r", 2);
        break;
    default: {
        char text[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
        g_string_append_len(out, text, sizeof text);
    }
    }
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Whether one of eight bytes is not of class 0. For bytes below 128 the high bit of each sum says: not less than 32, not a quote,
 * not a backslash, not 127. One of 128 or above says so itself, and what its carries do to the others is of no interest. */
static inline bool needs_look(uint64_t x)
{
    uint64_t printable = (x | EACH_BYTE * 128) - EACH_BYTE * 32;
    uint64_t no_quote = (x ^ EACH_BYTE * '"') + EACH_BYTE * 127;
    uint64_t no_backslash = (x ^ EACH_BYTE * '\\') + EACH_BYTE * 127;
    uint64_t no_delete = (x ^ EACH_BYTE * 127) + EACH_BYTE * 127;
    return ((x | ~(printable & no_quote & no_backslash & no_delete)) & EACH_BYTE * 128) != 0;
}

static inline uint64_t eight_at(const char *text)
{
    uint64_t eight;
    memcpy(&eight, text, sizeof eight);
    return eight;
}

/* Most texts are. Ends are looked at twice rather than byte by byte. */
static bool is_plain(const char *value, size_t length)
{
    if (length >= 8) {
        for (size_t i = 0; i + 8 < length; i += 8) {
            if (needs_look(eight_at(value + i))) {
                return false;
            }
        }
        return !needs_look(eight_at(value + length - 8));
    }
    if (length >= 4) {
        uint32_t ends[2];
        memcpy(&ends[0], value, 4);
        memcpy(&ends[1], value + length - 4, 4);
        return !needs_look((uint64_t)ends[0] << 32 | ends[1]);
    }
    size_t i = 0;
    while (i < length && classes[(unsigned char)value[i]] == 0) {
        i++;
    }
    return i == length;
}

/* Room for n more bytes, which the caller writes; the terminator stands behind them. */
static char *extend(GString *out, size_t n)
{
    size_t at = out->len;
    if (n < out->allocated_len - at) {
        out->len = at + n;
        out->str[out->len] = '\0';
    } else {
        g_string_set_size(out, at + n);
    }
    return out->str + at;
}

static void append_escaped(GString *out, const char *value, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)value;
    size_t start = 0;
    size_t i = 0;
    while (i < length) {
        unsigned char class = classes[bytes[i]];
        if (class == 0) {
            i++;
            continue;
        }
        if (class == 2) {
            gunichar character = g_utf8_get_char_validated(value + i, (gssize)(length - i));
            if (character != (gunichar)-1 && character != (gunichar)-2) {
                i += (size_t)g_unichar_to_utf8(character, NULL);
                continue;
            }
        }
        g_string_append_len(out, value + start, (gssize)(i - start));
        if (class == 1) {
            append_escape(out, bytes[i]);
        } else {
            g_string_append_len(out, "\xef\xbf\xbd", 3);
        }
        start = ++i;
    }
    g_string_append_len(out, value + start, (gssize)(i - start));
}

/* A string, and the one character behind it: 0 for none. The comma before it is the writer's business. */
static void append_quoted(struct json_writer *writer, const char *value, size_t length, char behind)
{
    bool is_copied = is_plain(value, length);
    size_t n_before = takes_comma(writer) ? 1 : 0;
    size_t n_behind = behind != 0 ? 1 : 0;
    char *end = extend(writer->out, n_before + 1 + (is_copied ? length + 1 + n_behind : 0));
    *end = ',';
    end += n_before;
    *end++ = '"';
    if (is_copied) {
        memcpy(end, value, length);
        end[length] = '"';
        end[length + n_behind] = n_behind == 0 ? '"' : behind;
        return;
    }
    append_escaped(writer->out, value, length);
    g_string_append_c(writer->out, '"');
    if (n_behind > 0) {
        g_string_append_c(writer->out, behind);
    }
}

void json_key(struct json_writer *writer, const char *key)
{
    g_assert(!writer->after_key);
    append_quoted(writer, key, strlen(key), ':');
    writer->after_key = true;
}

void json_put_string(struct json_writer *writer, const char *value)
{
    if (value == NULL) {
        json_put_null(writer);
        return;
    }
    json_put_string_len(writer, value, strlen(value));
}

void json_put_string_len(struct json_writer *writer, const char *value, size_t length)
{
    append_quoted(writer, value, length, 0);
}

void json_put_int(struct json_writer *writer, int64_t value)
{
    begin_value(writer);
    char text[24];
    char *end = text + sizeof text;
    char *p = end;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) {
        *--p = '-';
    }
    g_string_append_len(writer->out, p, end - p);
}

void json_put_double(struct json_writer *writer, double value)
{
    if (!isfinite(value)) {
        json_put_null(writer);
        return;
    }
    begin_value(writer);
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append(writer->out, g_ascii_formatd(text, sizeof text, "%.15g", value));
}

void json_put_bool(struct json_writer *writer, bool value)
{
    json_put_raw(writer, value ? "true" : "false");
}

void json_put_null(struct json_writer *writer)
{
    json_put_raw(writer, "null");
}

void json_put_raw(struct json_writer *writer, const char *text)
{
    begin_value(writer);
    g_string_append(writer->out, text);
}

void json_member_string(struct json_writer *writer, const char *key, const char *value)
{
    json_key(writer, key);
    json_put_string(writer, value);
}

void json_member_int(struct json_writer *writer, const char *key, int64_t value)
{
    json_key(writer, key);
    json_put_int(writer, value);
}

void json_member_bool(struct json_writer *writer, const char *key, bool value)
{
    json_key(writer, key);
    json_put_bool(writer, value);
}
