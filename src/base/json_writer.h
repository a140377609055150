/* An append-only JSON writer (RFC 8259).
 *
 * Writes straight into a GString that the caller owns. The writer places commas and colons; the
 * caller opens and closes containers in order. Strings must be UTF-8: an invalid byte becomes
 * U+FFFD, and control characters, quote and backslash are escaped, so the output is always valid
 * JSON. Nesting deeper than JSON_WRITER_DEPTH is a caller bug. Not thread-safe; copy-free. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define JSON_WRITER_DEPTH 63

struct json_writer {
    GString *out;
    uint64_t comma; /* bit d: a value already stands at depth d */
    unsigned depth;
    bool after_key;
};

void json_writer_init(struct json_writer *writer, GString *out);
void json_object_open(struct json_writer *writer);
void json_object_close(struct json_writer *writer);
void json_array_open(struct json_writer *writer);
void json_array_close(struct json_writer *writer);
void json_key(struct json_writer *writer, const char *key);

/* NULL becomes null. */
void json_put_string(struct json_writer *writer, const char *value);
void json_put_string_len(struct json_writer *writer, const char *value, size_t length);
void json_put_int(struct json_writer *writer, int64_t value);
void json_put_double(struct json_writer *writer, double value);
void json_put_bool(struct json_writer *writer, bool value);
void json_put_null(struct json_writer *writer);

/* Text that is already one JSON value; not checked. */
void json_put_raw(struct json_writer *writer, const char *text);

/* json_key + value, the common pair. */
void json_member_string(struct json_writer *writer, const char *key, const char *value);
void json_member_int(struct json_writer *writer, const char *key, int64_t value);
void json_member_bool(struct json_writer *writer, const char *key, bool value);
