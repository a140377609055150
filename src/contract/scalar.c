/* The kinds that hold one value. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/quantity.h"
#include "base/timestamp.h"
#include "contract/kind.h"

#define MAX_SAFE_INTEGER INT64_C(9007199254740991) /* RFC 8259 section 6: interoperable range */
#define TEXT_LENGTH 64

void field_bounds(const struct field *field, int64_t low, int64_t high, int64_t *ret_low, int64_t *ret_high)
{
    bool has_none = field->minimum == 0 && field->maximum == 0;
    *ret_low = has_none ? low : field->minimum;
    *ret_high = has_none ? high : field->maximum;
}

/* --- int64_t kinds share storage and differ in their text
 * ---------------------------------------------- */

static void int_set_absent(const struct field *field, void *slot)
{
    *(int64_t *)slot = CONTRACT_ABSENT;
}

static bool int_is_absent(const struct field *field, const void *slot)
{
    return *(const int64_t *)slot == CONTRACT_ABSENT;
}

static void int_copy(const struct field *field, void *to, const void *from)
{
    *(int64_t *)to = *(const int64_t *)from;
}

static bool int_equal(const struct field *field, const void *a, const void *b)
{
    return *(const int64_t *)a == *(const int64_t *)b;
}

/* What we store is written as it may be given; the API's replies always have a number, 0 for none. */
static void int_encode(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer)
{
    bool is_none = (field->flags & FIELD_NONE_IS_ZERO) != 0 && *(const int64_t *)slot == 0;
    if (is_none && view == ENCODE_STORED) {
        json_put_string(writer, "none");
        return;
    }
    json_put_int(writer, *(const int64_t *)slot);
}

static void store_int(struct decoder *decoder, const struct field *field, void *slot, int64_t value, int64_t low,
                      int64_t high)
{
    if (value < low || value > high) {
        decoder_issue(decoder, "range", "must be %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT, low, high);
        return;
    }
    *(int64_t *)slot = value;
}

/* 3.0 is an integer to JSON Schema, and to languages with one type of number. */
static bool is_whole(double value)
{
    return value >= -(double)MAX_SAFE_INTEGER && value <= (double)MAX_SAFE_INTEGER && value == (double)(int64_t)value;
}

static void int_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    int64_t low;
    int64_t high;
    field_bounds(field, 0, MAX_SAFE_INTEGER, &low, &high);
    int64_t value;
    bool takes_none = (field->flags & FIELD_NONE_IS_ZERO) != 0;
    if (takes_none && decoder->mode == DECODE_STORED && json_is_integer(json) && json_integer_value(json) == 0) {
        *(int64_t *)slot = 0; /* of a reply */
    } else if (json_is_integer(json)) {
        store_int(decoder, field, slot, json_integer_value(json), low, high);
    } else if (json_is_real(json) && is_whole(json_real_value(json))) {
        store_int(decoder, field, slot, (int64_t)json_real_value(json), low, high);
    } else if (takes_none && json_is_string(json) && strcmp(json_string_value(json), "none") == 0) {
        *(int64_t *)slot = 0;
    } else if (decoder->mode == DECODE_TEXT && json_is_string(json) &&
               int_parse(json_string_value(json), INT64_MIN + 1, INT64_MAX, &value)) {
        store_int(decoder, field, slot, value, low, high);
    } else {
        decoder_issue(decoder, "type", "must be a whole number %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT "%s", low, high,
                      takes_none ? ", or none" : "");
    }
}

static void int_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                         struct json_writer *writer)
{
    int64_t low;
    int64_t high;
    field_bounds(field, 0, MAX_SAFE_INTEGER, &low, &high);
    json_key(writer, "type");
    bool shows_none = use == SCHEMA_REPLY && (field->flags & FIELD_NONE_IS_ZERO) != 0;
    json_put_string(writer, "integer");
    json_member_int(writer, "minimum", shows_none ? MIN(low, 0) : low);
    json_member_int(writer, "maximum", high);
}

const struct kind_ops kind_int = {
    .set_absent = int_set_absent,
    .is_absent = int_is_absent,
    .clear = int_set_absent,
    .copy = int_copy,
    .equal = int_equal,
    .encode = int_encode,
    .decode = int_decode,
    .describe = int_describe,
};

static void text_describe(const char *pattern, const char *format, struct json_writer *writer)
{
    json_member_string(writer, "type", "string");
    if (format != NULL) {
        json_member_string(writer, "format", format);
    }
    if (pattern != NULL) {
        json_member_string(writer, "pattern", pattern);
    }
}

/* --- time
 * ------------------------------------------------------------------------------------------------
 */

static void time_encode(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer)
{
    char text[TIMESTAMP_LENGTH + 1];
    timestamp_format(*(const int64_t *)slot, text);
    json_put_string_len(writer, text, TIMESTAMP_LENGTH);
}

static void time_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    int64_t value;
    if (!json_is_string(json) || !timestamp_parse(json_string_value(json), &value)) {
        decoder_issue(decoder, "time", "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z");
        return;
    }
    *(int64_t *)slot = value;
}

static void time_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                          struct json_writer *writer)
{
    text_describe(NULL, "date-time", writer);
}

const struct kind_ops kind_time = {
    .set_absent = int_set_absent,
    .is_absent = int_is_absent,
    .clear = int_set_absent,
    .copy = int_copy,
    .equal = int_equal,
    .encode = time_encode,
    .decode = time_decode,
    .describe = time_describe,
};

/* --- duration, size, cpu: quantities with a unit
 * ----------------------------------------------------------- */

struct quantity {
    bool (*parse)(const char *text, int64_t *ret_value);
    void (*format)(int64_t value, char out[QUANTITY_LENGTH]);
    int64_t per_number; /* what a bare JSON number counts in */
    int64_t maximum;
    const char *example;
    const char *pattern;
};

static const struct quantity duration = {
    duration_parse,
    duration_format,
    1000,
    INT64_C(366) * 86400 * 1000,
    "a duration, such as 500ms, 5s or 1h30m",
    "^([0-9]{1,9}(ms|s|m|h|d))+$",
};
static const struct quantity size = {
    size_parse, size_format, 1, INT64_C(1) << 50, "a size, such as 256Mi or 1Gi", "^[0-9]{1,15}(Ki|Mi|Gi|Ti|k|M|G|T)?$",
};
static const struct quantity cpu = {
    cpu_parse, cpu_format, 1000, 1024 * 1000, "CPUs, such as 500m, 0.5 or 2", "^[0-9]{1,6}(m|\\.[0-9]{1,3})?$",
};

static void quantity_encode(const struct quantity *quantity, const void *slot, struct json_writer *writer)
{
    char text[QUANTITY_LENGTH];
    quantity->format(*(const int64_t *)slot, text);
    json_put_string(writer, text);
}

static void quantity_decode(const struct quantity *quantity, struct decoder *decoder, const struct field *field,
                            void *slot, const json_t *json)
{
    int64_t value = 0;
    bool ok = false;
    if (json_is_string(json)) {
        ok = quantity->parse(json_string_value(json), &value);
    } else if (json_is_number(json)) {
        double number = json_number_value(json) * (double)quantity->per_number;
        ok = isfinite(number) && number >= 0 && number <= (double)quantity->maximum;
        value = ok ? (int64_t)llround(number) : 0;
    }
    if (!ok) {
        decoder_issue(decoder, "quantity", "must be %s", quantity->example);
        return;
    }
    int64_t low;
    int64_t high;
    field_bounds(field, 0, quantity->maximum, &low, &high);
    if (value < low || value > high) {
        char low_text[QUANTITY_LENGTH];
        char high_text[QUANTITY_LENGTH];
        quantity->format(low, low_text);
        quantity->format(high, high_text);
        decoder_issue(decoder, "range", "must be %s..%s", low_text, high_text);
        return;
    }
    *(int64_t *)slot = value;
}

/* In requests a bare number is taken too: seconds, bytes, CPUs. */
static void quantity_describe(const struct quantity *quantity, enum schema_use use, struct json_writer *writer)
{
    if (use == SCHEMA_REPLY) {
        text_describe(quantity->pattern, NULL, writer);
        return;
    }
    json_key(writer, "anyOf");
    json_array_open(writer);
    json_object_open(writer);
    text_describe(quantity->pattern, NULL, writer);
    json_object_close(writer);
    json_put_raw(writer, "{\"type\":\"number\",\"minimum\":0}");
    json_array_close(writer);
}

#define QUANTITY_KIND(name)                                                                                            \
    static void name##_encode(const struct field *field, const void *slot, enum encode_view view,                      \
                              struct json_writer *writer)                                                              \
    {                                                                                                                  \
        quantity_encode(&name, slot, writer);                                                                          \
    }                                                                                                                  \
    static void name##_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)      \
    {                                                                                                                  \
        quantity_decode(&name, decoder, field, slot, json);                                                            \
    }                                                                                                                  \
    static void name##_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,  \
                                struct json_writer *writer)                                                            \
    {                                                                                                                  \
        quantity_describe(&(name), use, writer);                                                                       \
    }                                                                                                                  \
    const struct kind_ops kind_##name = {                                                                              \
        .set_absent = int_set_absent,                                                                                  \
        .is_absent = int_is_absent,                                                                                    \
        .clear = int_set_absent,                                                                                       \
        .copy = int_copy,                                                                                              \
        .equal = int_equal,                                                                                            \
        .encode = name##_encode,                                                                                       \
        .decode = name##_decode,                                                                                       \
        .describe = name##_describe,                                                                                   \
    }

QUANTITY_KIND(duration);
QUANTITY_KIND(size);
QUANTITY_KIND(cpu);

/* --- bool and enum: an int, -1 absent
 * ---------------------------------------------------------------------- */

static void index_set_absent(const struct field *field, void *slot)
{
    *(int *)slot = -1;
}

static bool index_is_absent(const struct field *field, const void *slot)
{
    return *(const int *)slot < 0;
}

static void index_copy(const struct field *field, void *to, const void *from)
{
    *(int *)to = *(const int *)from;
}

static bool index_equal(const struct field *field, const void *a, const void *b)
{
    return *(const int *)a == *(const int *)b;
}

static void bool_encode(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer)
{
    json_put_bool(writer, *(const int *)slot > 0);
}

static void bool_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    const char *text = decoder->mode == DECODE_TEXT ? json_string_value(json) : NULL;
    if (json_is_boolean(json)) {
        *(int *)slot = json_is_true(json);
    } else if (g_strcmp0(text, "true") == 0 || g_strcmp0(text, "false") == 0) {
        *(int *)slot = text[0] == 't';
    } else {
        decoder_issue(decoder, "type", "must be true or false");
    }
}

static void bool_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                          struct json_writer *writer)
{
    json_member_string(writer, "type", "boolean");
}

const struct kind_ops kind_bool = {
    .set_absent = index_set_absent,
    .is_absent = index_is_absent,
    .clear = index_set_absent,
    .copy = index_copy,
    .equal = index_equal,
    .encode = bool_encode,
    .decode = bool_decode,
    .describe = bool_describe,
};

static void enum_encode(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer)
{
    json_put_string(writer, field->names[*(const int *)slot]);
}

static void enum_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    const char *text = json_string_value(json);
    for (int i = 0; text != NULL && field->names[i] != NULL; i++) {
        if (strcmp(text, field->names[i]) == 0) {
            *(int *)slot = i;
            return;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)field->names);
    decoder_issue(decoder, "enum", "must be one of %s", all);
}

void describe_names_of(const char *const *names, struct json_writer *writer)
{
    json_member_string(writer, "type", "string");
    json_key(writer, "enum");
    json_array_open(writer);
    for (; *names != NULL; names++) {
        json_put_string(writer, *names);
    }
    json_array_close(writer);
}

static void enum_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                          struct json_writer *writer)
{
    describe_names_of(field->names, writer);
}

const struct kind_ops kind_enum = {
    .set_absent = index_set_absent,
    .is_absent = index_is_absent,
    .clear = index_set_absent,
    .copy = index_copy,
    .equal = index_equal,
    .encode = enum_encode,
    .decode = enum_decode,
    .describe = enum_describe,
};

/* --- string and json: a char *
 * ------------------------------------------------------------------------------ */

static void text_set_absent(const struct field *field, void *slot)
{
    *(char **)slot = NULL;
}

static bool text_is_absent(const struct field *field, const void *slot)
{
    return *(char *const *)slot == NULL;
}

static void text_clear(const struct field *field, void *slot)
{
    g_clear_pointer((char **)slot, g_free);
}

static void text_copy(const struct field *field, void *to, const void *from)
{
    *(char **)to = g_strdup(*(char *const *)from);
}

static bool text_equal(const struct field *field, const void *a, const void *b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b) == 0;
}

static void string_encode(const struct field *field, const void *slot, enum encode_view view,
                          struct json_writer *writer)
{
    json_put_string(writer, *(char *const *)slot);
}

static void string_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    if (!json_is_string(json)) {
        decoder_issue(decoder, "type", "must be a string");
        return;
    }
    int64_t low;
    int64_t high;
    field_bounds(field, 0, 4096, &low, &high);
    int64_t length = (int64_t)json_string_length(json);
    if (length < low || length > high) {
        decoder_issue(decoder, "length", "must be %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT " bytes long", low, high);
        return;
    }
    const char *value = json_string_value(json);
    const char *rule = field->check != NULL && decoder->mode != DECODE_STORED ? field->check(value) : NULL;
    if (rule != NULL) {
        decoder_issue(decoder, "pattern", "%s", rule);
        return;
    }
    g_free(*(char **)slot);
    *(char **)slot = g_strdup(value);
}

static void string_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                            struct json_writer *writer)
{
    int64_t low;
    int64_t high;
    field_bounds(field, 0, 4096, &low, &high);
    text_describe(field->check != NULL ? check_pattern(field->check) : NULL, field->check == check_uuid ? "uuid" : NULL,
                  writer);
    if (low > 0) {
        json_member_int(writer, "minLength", low);
    }
    json_member_int(writer, "maxLength", high);
}

const struct kind_ops kind_string = {
    .set_absent = text_set_absent,
    .is_absent = text_is_absent,
    .clear = text_clear,
    .copy = text_copy,
    .equal = text_equal,
    .encode = string_encode,
    .decode = string_decode,
    .describe = string_describe,
};

static void json_encode(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer)
{
    json_put_raw(writer, *(char *const *)slot);
}

static void json_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    int64_t low;
    int64_t high;
    field_bounds(field, 0, 1 << 20, &low, &high);
    if (text == NULL || strlen(text) > (size_t)high) {
        decoder_issue(decoder, "length", "must be at most %" G_GINT64_FORMAT " bytes of JSON", high);
    } else {
        g_free(*(char **)slot);
        *(char **)slot = g_strdup(text);
    }
    free(text);
}

static void json_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                          struct json_writer *writer)
{
}

const struct kind_ops kind_json = {
    .set_absent = text_set_absent,
    .is_absent = text_is_absent,
    .clear = text_clear,
    .copy = text_copy,
    .equal = text_equal,
    .encode = json_encode,
    .decode = json_decode,
    .describe = json_describe,
};
