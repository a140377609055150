#include "base/quantity.h"

#include <glib.h>
#include <string.h>

#define TEN_YEARS_MS (INT64_C(10) * 366 * 86400 * 1000)

/* Digits only; false on overflow or when there are none. */
static bool take_number(const char **text, int64_t *ret_value)
{
    int64_t value = 0;
    const char *p = *text;
    if (!g_ascii_isdigit(*p)) {
        return false;
    }
    for (; g_ascii_isdigit(*p); p++) {
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value)) {
            return false;
        }
    }
    *text = p;
    *ret_value = value;
    return true;
}

bool int_parse(const char *text, int64_t low, int64_t high, int64_t *ret_value)
{
    bool negative = *text == '-';
    int64_t value;
    if (negative) {
        text++;
    }
    if (!take_number(&text, &value) || *text != '\0') {
        return false;
    }
    value = negative ? -value : value;
    if (value < low || value > high) {
        return false;
    }
    *ret_value = value;
    return true;
}

struct unit {
    const char *suffix;
    int64_t factor;
};

/* Falling order; the suffix "m" is matched before "ms" by length below. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static const struct unit sizes[] = {
    {"Ti", INT64_C(1) << 40},
    {"Gi", INT64_C(1) << 30},
    {"Mi", INT64_C(1) << 20},
    {"Ki", INT64_C(1) << 10},
    {"T", INT64_C(1000000000000)},
    {"G", 1000000000},
    {"M", 1000000},
    {"k", 1000},
    {"", 1},
};

static size_t letters(const char *text)
{
    size_t n = 0;
    while (g_ascii_isalpha(text[n])) {
        n++;
    }
    return n;
}

bool duration_parse(const char *text, int64_t *ret_ms)
{
    int64_t total = 0;
    size_t next_unit = 0;
    bool bare = text[strspn(text, "0123456789")] == '\0';
    do {
        int64_t value;
        if (!take_number(&text, &value)) {
            return false;
        }
        size_t length = letters(text);
        int64_t factor = 0;
        for (size_t i = next_unit; i < G_N_ELEMENTS(durations); i++) {
            if (length == strlen(durations[i].suffix) && strncmp(text, durations[i].suffix, length) == 0) {
                factor = durations[i].factor;
                next_unit = i + 1;
                break;
            }
        }
        if (bare) {
            factor = 1000;
        }
        if (factor == 0 || __builtin_mul_overflow(value, factor, &value) ||
            __builtin_add_overflow(total, value, &total) || total > TEN_YEARS_MS) {
            return false;
        }
        text += length;
    } while (*text != '\0');
    *ret_ms = total;
    return true;
}

void duration_format(int64_t ms, char out[QUANTITY_LENGTH])
{
    for (size_t i = 0; i < G_N_ELEMENTS(durations); i++) {
        if (ms != 0 && ms % durations[i].factor == 0) {
            g_snprintf(out, QUANTITY_LENGTH, "%" G_GINT64_FORMAT "%s", ms / durations[i].factor, durations[i].suffix);
            return;
        }
    }
    g_strlcpy(out, "0s", QUANTITY_LENGTH);
}

bool size_parse(const char *text, int64_t *ret_bytes)
{
    int64_t value;
    if (!take_number(&text, &value)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (strcmp(text, sizes[i].suffix) == 0) {
            if (__builtin_mul_overflow(value, sizes[i].factor, &value)) {
                return false;
            }
            *ret_bytes = value;
            return true;
        }
    }
    return false;
}

void size_format(int64_t bytes, char out[QUANTITY_LENGTH])
{
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        bool binary = strlen(sizes[i].suffix) == 2 || sizes[i].factor == 1;
        if (binary && (bytes != 0 || sizes[i].factor == 1) && bytes % sizes[i].factor == 0) {
            g_snprintf(out, QUANTITY_LENGTH, "%" G_GINT64_FORMAT "%s", bytes / sizes[i].factor, sizes[i].suffix);
            return;
        }
    }
}

bool cpu_parse(const char *text, int64_t *ret_millis)
{
    int64_t whole;
    if (!take_number(&text, &whole)) {
        return false;
    }
    if (strcmp(text, "m") == 0) {
        *ret_millis = whole;
        return true;
    }
    int64_t millis = 0;
    if (*text == '.') {
        text++;
        int digits = 0;
        for (; g_ascii_isdigit(*text) && digits < 3; text++, digits++) {
            millis = millis * 10 + (*text - '0');
        }
        if (digits == 0) {
            return false;
        }
        for (; digits < 3; digits++) {
            millis *= 10;
        }
    }
    if (*text != '\0' || __builtin_mul_overflow(whole, 1000, &whole) || __builtin_add_overflow(whole, millis, &whole)) {
        return false;
    }
    *ret_millis = whole;
    return true;
}

void cpu_format(int64_t millis, char out[QUANTITY_LENGTH])
{
    if (millis % 1000 == 0) {
        g_snprintf(out, QUANTITY_LENGTH, "%" G_GINT64_FORMAT, millis / 1000);
    } else {
        g_snprintf(out, QUANTITY_LENGTH, "%" G_GINT64_FORMAT "m", millis);
    }
}
