/* What each kind can do: one row of functions per kind. Internal to contract/.
 *
 * `slot` points at the field's storage inside the object. */
#pragma once

#include "contract/contract.h"

#define DECODER_MAX_ISSUES 50

struct decoder {
    enum decode_mode mode;
    GString *path;
    unsigned n_issues;
    GError *error;
};

void decoder_issue(struct decoder *decoder, const char *code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Appends ".name" (or "name" at the root) or "[index]"; returns the length to go back to. */
size_t decoder_enter(struct decoder *decoder, const char *name);
size_t decoder_enter_index(struct decoder *decoder, size_t index);
void decoder_leave(struct decoder *decoder, size_t length);

struct kind_ops {
    void (*set_absent)(const struct field *field, void *slot);
    bool (*is_absent)(const struct field *field, const void *slot);
    void (*clear)(const struct field *field, void *slot);
    void (*copy)(const struct field *field, void *to, const void *from);
    bool (*equal)(const struct field *field, const void *a, const void *b);
    void (*encode)(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer);
    /* Replaces the slot's value; on a finding reports it and leaves the slot valid. */
    void (*decode)(struct decoder *decoder, const struct field *field, void *slot, const json_t *json);
    /* Members of the schema object, without the braces. */
    void (*describe)(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                     struct json_writer *writer);
};

extern const struct kind_ops kind_bool, kind_int, kind_string, kind_enum, kind_time, kind_duration, kind_size, kind_cpu;
extern const struct kind_ops kind_struct, kind_object, kind_array, kind_strings, kind_string_map, kind_map, kind_json;

const struct kind_ops *kind_ops(enum kind kind);

/* An object of zeros: every field is to be given a value, if only set_absent or field_set_default. */
void *object_allocate(const struct type *type);

static inline void *field_slot(const struct field *field, void *object)
{
    return (char *)object + field->offset;
}

static inline const void *field_slot_const(const struct field *field, const void *object)
{
    return (const char *)object + field->offset;
}

/* minimum..maximum of the field, or the given bounds when the table has none. */
void field_bounds(const struct field *field, int64_t low, int64_t high, int64_t *ret_low, int64_t *ret_high);

/* The fallback as JSON, or NULL. */
json_t *field_fallback(const struct field *field);
void field_set_default(const struct field *field, void *slot);

void decode_object(struct decoder *decoder, const struct type *type, void *object, const json_t *json);

/* The pattern that says the same as a check, for schemas; NULL when there is none. */
const char *check_pattern(field_check_fn check);
void describe_names_of(const char *const *names, struct json_writer *writer); /* a string that is one of these */
