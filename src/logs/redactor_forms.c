#include "logs/redactor_forms.h"

#include <glib.h>
#include <string.h>

/* --- base64 ------------------------------------------------------------------------------------ */

static const char *const alphabets[] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

static unsigned bit_at(const uint8_t *bytes, size_t length, size_t bit)
{
    return bit / 8 < length ? (bytes[bit / 8] >> (7 - bit % 8)) & 1u : 0;
}

/* The characters from bit `first` on, the last filled up with zero bits; returns how many. */
static size_t encode(const char *alphabet, const uint8_t *bytes, size_t length, size_t first, uint8_t *out)
{
    size_t n = 0;
    for (size_t bit = first; bit < length * 8; bit += 6) {
        unsigned index = 0;
        for (size_t i = 0; i < 6; i++) {
            index = index << 1 | bit_at(bytes, length, bit + i);
        }
        out[n++] = (uint8_t)alphabet[index];
    }
    return n;
}

static void give(const uint8_t *form, size_t length, form_fn fn, void *arg)
{
    if (length >= FORM_MIN) {
        fn(form, length, arg);
    }
}

/* The lines of a wrapped encoding. */
static void give_wrapped(const uint8_t *form, size_t length, size_t width, form_fn fn, void *arg)
{
    for (size_t at = 0; length > width && at < length; at += width) {
        size_t n = MIN(width, length - at);
        if (n >= LINE_MIN) {
            fn(form + at, n, arg);
        }
    }
}

/* What the characters are that hold bits of this value only, wherever in a group it begins; and its encoding when it
 * stands alone, with and without padding. */
static void give_base64(const uint8_t *bytes, size_t length, const char *alphabet, uint8_t *out, form_fn fn, void *arg)
{
    static const size_t first_bits[3] = {0, 4, 2}; /* of the value, at which a character begins */
    for (size_t alignment = 0; alignment < 3; alignment++) {
        size_t whole = (length * 8 - first_bits[alignment]) / 6;
        size_t n = encode(alphabet, bytes, length, first_bits[alignment], out);
        give(out, whole, fn, arg);
        if (alignment == 0 && n > whole) {
            give(out, n, fn, arg);
            size_t padded = n;
            while (padded % 4 != 0) {
                out[padded++] = '=';
            }
            give(out, padded, fn, arg);
            n = padded;
        }
        if (alignment == 0) {
            give_wrapped(out, n, 64, fn, arg);
            give_wrapped(out, n, 76, fn, arg);
        }
    }
}

/* --- values ------------------------------------------------------------------------------------ */

static void give_value(const uint8_t *bytes, size_t length, size_t least, form_fn fn, void *arg)
{
    if (length < least) {
        return;
    }
    size_t size = length / 3 * 4 + 8;
    uint8_t *out = g_malloc(size);
    fn(bytes, length, arg);
    for (size_t i = 0; i < G_N_ELEMENTS(alphabets); i++) {
        give_base64(bytes, length, alphabets[i], out, fn, arg);
    }
    secret_wipe(out, size);
    g_free(out);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Without white space around it, when it has any. */
static void give_stripped(const uint8_t *bytes, size_t length, size_t least, form_fn fn, void *arg)
{
    size_t begin = 0;
    size_t end = length;
    while (begin < end && is_space(bytes[begin])) {
        begin++;
    }
    while (end > begin && is_space(bytes[end - 1])) {
        end--;
    }
    if (begin > 0 || end < length) {
        give_value(bytes + begin, end - begin, least, fn, arg);
    }
}

void secret_forms(const struct secret *secret, form_fn fn, void *arg)
{
    const uint8_t *bytes = (const uint8_t *)secret_reveal(secret);
    size_t length = secret_length(secret);
    give_value(bytes, length, FORM_MIN, fn, arg);
    give_stripped(bytes, length, FORM_MIN, fn, arg);
    if (length == 0 || memchr(bytes, '\n', length) == NULL) {
        return;
    }
    for (size_t begin = 0; begin < length;) {
        const uint8_t *newline = memchr(bytes + begin, '\n', length - begin);
        size_t n = newline != NULL ? (size_t)(newline - bytes) - begin : length - begin;
        give_value(bytes + begin, n, LINE_MIN, fn, arg);
        give_stripped(bytes + begin, n, LINE_MIN, fn, arg);
        begin += n + 1;
    }
}

/* --- decoding ---------------------------------------------------------------------------------- */

/* The value of `digits` hexadecimal digits, or -1. */
static int32_t hex_value(const uint8_t *text, size_t left, size_t digits)
{
    int32_t value = 0;
    if (left < digits) {
        return -1;
    }
    for (size_t i = 0; i < digits; i++) {
        int digit = g_ascii_xdigit_value((char)text[i]);
        if (digit < 0) {
            return -1;
        }
        value = value << 4 | digit;
    }
    return value;
}

static size_t decode_url(const uint8_t *text, size_t length, bool plus_is_space, uint8_t *out, size_t *places)
{
    size_t n = 0;
    for (size_t i = 0; i < length;) {
        int32_t value = text[i] == '%' ? hex_value(text + i + 1, length - i - 1, 2) : -1;
        places[n] = i;
        if (value >= 0) {
            out[n++] = (uint8_t)value;
            i += 3;
        } else {
            out[n++] = plus_is_space && text[i] == '+' ? ' ' : text[i];
            i++;
        }
    }
    places[n] = length;
    return n;
}

size_t decode_percent(const uint8_t *text, size_t length, uint8_t *out, size_t *places)
{
    return decode_url(text, length, false, out, places);
}

size_t decode_form(const uint8_t *text, size_t length, uint8_t *out, size_t *places)
{
    return decode_url(text, length, true, out, places);
}

/* \uXXXX, or two of them for one character beyond the basic plane; its length in *ret_length. */
static int32_t unicode_escape(const uint8_t *text, size_t left, size_t *ret_length)
{
    int32_t value = hex_value(text + 2, left - 2, 4);
    *ret_length = 6;
    if (value >= 0xD800 && value < 0xDC00 && left >= 12 && text[6] == '\\' && text[7] == 'u') {
        int32_t low = hex_value(text + 8, left - 8, 4);
        if (low >= 0xDC00 && low < 0xE000) {
            *ret_length = 12;
            return 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return value >= 0xD800 && value < 0xE000 ? -1 : value;
}

/* The bytes that the escape at `text` stands for (at most 4); 0 when it is none. */
static size_t decode_escape(const uint8_t *text, size_t left, uint8_t *out, size_t *ret_length)
{
    static const char letters[] = "\"\\/'bfnrt0";
    static const char meant[] = "\"\\/'\b\f\n\r\t";
    if (left < 2 || text[0] != '\\') {
        return 0;
    }
    int32_t value = -1;
    const char *letter = text[1] != '\0' ? strchr(letters, text[1]) : NULL;
    if (letter != NULL) {
        *ret_length = 2;
        *out = (uint8_t)meant[letter - letters];
        return 1;
    }
    if (text[1] == 'x' && (value = hex_value(text + 2, left - 2, 2)) >= 0) {
        *ret_length = 4;
        *out = (uint8_t)value;
        return 1;
    }
    value = text[1] == 'u' ? unicode_escape(text, left, ret_length) : -1;
    return value >= 0 ? (size_t)g_unichar_to_utf8((gunichar)value, (char *)out) : 0;
}

size_t decode_escapes(const uint8_t *text, size_t length, uint8_t *out, size_t *places)
{
    size_t n = 0;
    for (size_t i = 0; i < length;) {
        size_t escape_length = 1;
        size_t bytes = decode_escape(text + i, length - i, out + n, &escape_length);
        if (bytes == 0) {
            out[n] = text[i];
            bytes = 1;
            escape_length = 1;
        }
        for (size_t k = 0; k < bytes; k++) {
            places[n++] = i;
        }
        i += escape_length;
    }
    places[n] = length;
    return n;
}
