/* One table describes each type, once.
 *
 * A struct type lists the fields of a C struct: name, kind, offset, bounds, flags, one line of
 * documentation. From the table come JSON decode with validation, JSON encode, JSON Schema, SQL
 * columns, CLI tables, copy, clear, equal and redaction. Nothing about a field is written twice.
 *
 * Memory: a struct whose table this is begins zeroed ({0} or contract_new) and is ended by
 * contract_clear (or contract_free), which releases every pointer field; strings are g_malloc'ed,
 * lists are GPtrArrays that own their elements. Functions here never keep a reference to what they
 * are given. Tables are constant and shared by all threads.
 *
 * Absence: a pointer kind is absent as NULL; INT, TIME, DURATION, SIZE and CPU are absent as
 * CONTRACT_ABSENT; BOOL and ENUM are int-sized and absent as -1. contract_new and contract_decode
 * fill absent fields with their default when the table has one. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_writer.h"

#define CONTRACT_ABSENT INT64_MIN

enum kind {
    KIND_BOOL,       /* int: 0, 1, -1 absent */
    KIND_INT,        /* int64_t */
    KIND_STRING,     /* char *, UTF-8 without NUL; min..max bytes */
    KIND_ENUM,       /* int, index into `names`; -1 absent */
    KIND_TIME,       /* int64_t, microseconds; RFC 3339 in JSON */
    KIND_DURATION,   /* int64_t, milliseconds; "5s" in JSON */
    KIND_SIZE,       /* int64_t, bytes; "256Mi" in JSON */
    KIND_CPU,        /* int64_t, thousandths; "500m" in JSON */
    KIND_STRUCT,     /* an embedded struct of `type` */
    KIND_OBJECT,     /* pointer to a struct of `type`; NULL absent */
    KIND_ARRAY,      /* GPtrArray * of pointers to structs of `type` */
    KIND_STRINGS,    /* char **, NULL-ended */
    KIND_STRING_MAP, /* GPtrArray * of struct string_pair *, sorted by key */
    KIND_MAP,        /* GPtrArray * of struct map_entry *, sorted by key; values of `type` */
    KIND_JSON,       /* char *, one JSON value as text */
};

enum field_flag {
    FIELD_REQUIRED = 1 << 0,     /* must be in a create request */
    FIELD_READ_ONLY = 1 << 1,    /* set by the server; accepted in input and ignored */
    FIELD_IMMUTABLE = 1 << 2,    /* settable at creation only */
    FIELD_SECRET = 1 << 3,       /* never encoded: write-only */
    FIELD_INTERNAL = 1 << 4,     /* an SQL column that JSON does not know */
    FIELD_NO_COLUMN = 1 << 5,    /* computed: in JSON, not in SQL */
    FIELD_SHOWN = 1 << 6,        /* a column of the CLI's default table */
    FIELD_NONE_IS_ZERO = 1 << 7, /* INT: the string "none" means 0 */
};

/* A further check of a value that is already of the right kind and within bounds. Returns NULL when
 * fine, else the rule that is broken ("must be a DNS label"). */
typedef const char *(*field_check_fn)(const char *value);

struct type;

struct field {
    const char *name;
    enum kind kind;
    unsigned flags;
    size_t offset;
    int64_t minimum; /* value, bytes or elements; minimum == maximum == 0: the kind's own default
                        bounds */
    int64_t maximum;
    const char *const *names; /* ENUM; STRINGS whose elements are words of a list; NULL-ended */
    const struct type *type;  /* STRUCT, OBJECT, ARRAY, MAP */
    const char *fallback;     /* default, in its JSON text form without quotes ("8080", "5s", "auto") */
    field_check_fn check;     /* STRING; elements of STRINGS; keys of maps */
    const char *doc;
};

struct type {
    const char *name;  /* PascalCase: the OpenAPI schema's name */
    const char *table; /* SQL table, or NULL */
    size_t size;       /* of the C struct */
    const struct field *fields;
    size_t n_fields;
    const char *shorthand; /* field that a bare JSON string (or number) stands for: health: /healthz */
    const char *doc;
};

struct string_pair {
    char *key;
    char *value;
};

struct map_entry {
    char *key;
    void *value;
};

/* --- life
 * ------------------------------------------------------------------------------------------------
 */

/* Zeroed, then every field absent or at its default. */
void contract_init(const struct type *type, void *object);
void *contract_new(const struct type *type);
void contract_clear(const struct type *type, void *object);
void contract_free(const struct type *type, void *object); /* what contract_new or contract_dup made */
void contract_object_free(void *object);                   /* the same without naming the type; a GDestroyNotify */
void contract_copy(const struct type *type, void *to, const void *from); /* `to` is overwritten, not cleared */
void *contract_dup(const struct type *type, const void *from);
bool contract_equal(const struct type *type, const void *a, const void *b);

/* Names of the top-level fields that differ; NULL-ended, newly allocated. */
char **contract_diff(const struct type *type, const void *a, const void *b);

/* g_autoptr(project_t) project = …, for objects of contract_new. */
#define CONTRACT_AUTOPTR(name)                                                                                         \
    typedef struct name name##_t;                                                                                      \
    G_DEFINE_AUTOPTR_CLEANUP_FUNC(name##_t, contract_object_free)

GPtrArray *contract_array_new(const struct type *type); /* owns its elements, which contract_new made */
GPtrArray *string_map_new(void);
void string_map_set(GPtrArray *map, const char *key, const char *value);
const char *string_map_get(const GPtrArray *map, const char *key); /* map may be NULL */
GPtrArray *struct_map_new(const struct type *type);
void struct_map_set_take(GPtrArray *map, const char *key, void *value);
void *struct_map_get(const GPtrArray *map, const char *key); /* borrowed; map may be NULL */

/* --- JSON
 * ------------------------------------------------------------------------------------------------
 */

enum decode_mode {
    DECODE_CREATE, /* required fields must be there, defaults are filled in; `object` must be
                      contract_init'ed */
    DECODE_PATCH,  /* only members present are changed; an IMMUTABLE one that differs is an issue;
                      null resets  to the default */
    DECODE_TEXT,   /* as CREATE, every scalar given as text: YAML, configuration files */
    DECODE_STORED, /* text that we wrote: read-only and internal fields too, unknown members are
                      ignored */
};

/* Every finding becomes an issue of *error (at most 50); `object` must be cleared by the caller
 * even then. */
bool contract_decode(const struct type *type, void *object, const json_t *json, enum decode_mode mode,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* As contract_decode; every path begins with `prefix`. */
bool contract_decode_at(const struct type *type, void *object, const json_t *json, enum decode_mode mode,
                        const char *prefix, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Parses text strictly (RFC 8259, duplicate names refused, depth ≤ 32) and decodes it. */
bool contract_decode_text(const struct type *type, void *object, const char *text, size_t length, enum decode_mode mode,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
json_t *json_parse(const char *text, size_t length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

enum encode_view {
    ENCODE_PUBLIC, /* what the API shows: no secret, no internal field; absent fields are null */
    ENCODE_SPARSE, /* as PUBLIC, absent fields left out */
    ENCODE_STORED, /* everything but SQL-only fields, sparse: for a JSON column or an immutable
                      value */
};
void contract_encode(const struct type *type, const void *object, enum encode_view view, struct json_writer *writer);
char *contract_encode_text(const struct type *type, const void *object, enum encode_view view);

enum schema_use {
    SCHEMA_REPLY,  /* what ENCODE_PUBLIC writes: every member required, absent ones null */
    SCHEMA_CREATE, /* what DECODE_CREATE takes: no read-only members, no unknown ones; "<Name>Input"
                    */
    SCHEMA_PATCH,  /* what DECODE_PATCH takes: nothing required; "<Name>Patch" */
};

/* JSON Schema 2020-12 of the type. Nested types are referenced as "<prefix><Name><suffix>" and
 * added to `used` (a set of const struct type *, by pointer) for the caller to emit; nested types
 * of a patch are inputs. */
void contract_schema(const struct type *type, enum schema_use use, const char *prefix, GHashTable *used,
                     struct json_writer *writer);
const char *contract_schema_suffix(enum schema_use use);

/* --- SQL
 * -------------------------------------------------------------------------------------------------
 */

/* A value on its way to or from a database. Text is borrowed from the object, or from `owned`. */
struct sql_value {
    enum { SQL_NULL, SQL_INT, SQL_TEXT } kind;
    int64_t integer;
    const char *text;
    char *owned; /* freed by sql_value_clear; text == owned then */
};
void sql_value_clear(struct sql_value *value);

/* Fields that are columns, in table order. */
size_t contract_n_columns(const struct type *type);
const struct field *contract_column(const struct type *type, size_t index);

/* "id, name, …", each with an optional "alias." before it; constant text, safe to splice. */
char *contract_column_list(const struct type *type, const char *alias);
void contract_get_column(const struct type *type, const struct field *field, const void *object,
                         struct sql_value *ret_value);

/* `text` is copied. False (SY_STORE_FAILED) when the stored value does not fit the field. */
bool contract_set_column(const struct type *type, const struct field *field, void *object,
                         const struct sql_value *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A new object of a row's values, in table order of the columns; its other fields have their defaults. NULL with
 * SY_STORE_FAILED when a value does not fit its field or there are more or fewer than columns. */
void *contract_from_row(const struct type *type, const struct sql_value *values, size_t n_values,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- fields
 * ---------------------------------------------------------------------------------------------- */

const struct field *contract_find(const struct type *type, const char *name);

/* The field's value as a person reads it in a table; newly allocated, "" when absent. */
char *contract_text(const struct field *field, const void *object);

/* Shared checks for struct field.check. */
const char *check_slug(const char *value); /* DNS label */
const char *check_dns_name(const char *value);
const char *check_variable(const char *value);  /* ^[A-Za-z_][A-Za-z0-9_]{0,254}$ */
const char *check_path(const char *value);      /* absolute URL path, no blanks or controls */
const char *check_absolute(const char *value);  /* absolute file path without "." and ".." parts */
const char *check_relative(const char *value);  /* file path that stays beneath its folder */
const char *check_printable(const char *value); /* no control characters */
const char *check_uuid(const char *value);
const char *check_sha256(const char *value); /* 64 lower-case hex digits */
