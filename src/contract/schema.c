/* JSON Schema 2020-12, as OpenAPI 3.1 embeds it. */
#include <string.h>

#include "contract/kind.h"

const char *contract_schema_suffix(enum schema_use use)
{
    static const char *const suffixes[] = {"", "Input", "Patch"};
    return suffixes[use];
}

static bool is_described(const struct field *field, enum schema_use use)
{
    unsigned hidden = use == SCHEMA_REPLY ? FIELD_SECRET | FIELD_INTERNAL : FIELD_READ_ONLY | FIELD_INTERNAL;
    if (use == SCHEMA_PATCH) {
        hidden |= FIELD_IMMUTABLE; /* taken when it is the same, so that a reply can be sent back; that is no promise */
    }
    return (field->flags & hidden) == 0;
}

static bool may_be_null(const struct field *field, enum schema_use use)
{
    switch (field->kind) {
    case KIND_STRUCT:
        return use == SCHEMA_PATCH; /* back to the defaults */
    case KIND_JSON:
        return false;
    case KIND_ARRAY:
    case KIND_STRINGS:
    case KIND_STRING_MAP:
    case KIND_MAP:
        return use != SCHEMA_REPLY && (field->flags & FIELD_REQUIRED) == 0;
    default:
        return (field->flags & FIELD_REQUIRED) == 0 && (field->fallback == NULL || use != SCHEMA_REPLY);
    }
}

static void describe_value(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                           struct json_writer *writer)
{
    kind_ops(field->kind)->describe(field, use, prefix, used, writer);
}

static void describe_field(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                           struct json_writer *writer)
{
    json_key(writer, field->name);
    json_object_open(writer);
    bool takes_none = use != SCHEMA_REPLY && (field->flags & FIELD_NONE_IS_ZERO) != 0;
    if (may_be_null(field, use) || takes_none) {
        json_key(writer, "anyOf");
        json_array_open(writer);
        json_object_open(writer);
        describe_value(field, use, prefix, used, writer);
        json_object_close(writer);
        if (takes_none) {
            json_put_raw(writer, "{\"const\":\"none\"}");
        }
        if (may_be_null(field, use)) {
            json_put_raw(writer, "{\"type\":\"null\"}");
        }
        json_array_close(writer);
    } else {
        describe_value(field, use, prefix, used, writer);
    }
    json_t *fallback = use == SCHEMA_REPLY ? NULL : field_fallback(field);
    if (fallback != NULL) {
        char *text = json_dumps(fallback, JSON_ENCODE_ANY);
        json_key(writer, "default");
        json_put_raw(writer, text);
        free(text);
        json_decref(fallback);
    }
    if (field->doc != NULL) {
        json_member_string(writer, "description", field->doc);
    }
    json_object_close(writer);
}

static void describe_required(const struct type *type, enum schema_use use, struct json_writer *writer)
{
    json_key(writer, "required");
    json_array_open(writer);
    for (size_t i = 0; use != SCHEMA_PATCH && i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (is_described(field, use) && (use == SCHEMA_REPLY || (field->flags & FIELD_REQUIRED) != 0)) {
            json_put_string(writer, field->name);
        }
    }
    json_array_close(writer);
}

static void describe_members(const struct type *type, enum schema_use use, const char *prefix, GHashTable *used,
                             struct json_writer *writer)
{
    json_member_string(writer, "type", "object");
    json_key(writer, "properties");
    json_object_open(writer);
    for (size_t i = 0; i < type->n_fields; i++) {
        if (is_described(&type->fields[i], use)) {
            describe_field(&type->fields[i], use, prefix, used, writer);
        }
    }
    json_object_close(writer);
    describe_required(type, use, writer);
    if (use != SCHEMA_REPLY) {
        /* Read-only members are taken and ignored, so that a reply can be sent back; all others are
         * refused. */
        g_autoptr(GString) names = g_string_new(NULL);
        for (size_t i = 0; i < type->n_fields; i++) {
            if ((type->fields[i].flags & (FIELD_READ_ONLY | FIELD_INTERNAL)) == FIELD_READ_ONLY) {
                g_string_append_printf(names, "%s%s", names->len > 0 ? "|" : "", type->fields[i].name);
            }
        }
        if (names->len > 0) {
            g_autofree char *pattern = g_strdup_printf("^(%s)$", names->str);
            json_key(writer, "patternProperties");
            json_object_open(writer);
            json_key(writer, pattern);
            json_put_raw(writer, "true");
            json_object_close(writer);
        }
        json_key(writer, "additionalProperties");
        json_put_bool(writer, false);
    }
}

void contract_schema(const struct type *type, enum schema_use use, const char *prefix, GHashTable *used,
                     struct json_writer *writer)
{
    json_object_open(writer);
    if (type->shorthand != NULL && use != SCHEMA_REPLY) {
        const struct field *shorthand = contract_find(type, type->shorthand);
        json_key(writer, "anyOf");
        json_array_open(writer);
        json_object_open(writer);
        describe_members(type, use, prefix, used, writer);
        json_object_close(writer);
        json_object_open(writer);
        describe_value(shorthand, use, prefix, used, writer);
        json_object_close(writer);
        json_array_close(writer);
    } else {
        describe_members(type, use, prefix, used, writer);
    }
    if (type->doc != NULL) {
        json_member_string(writer, "description", type->doc);
    }
    json_object_close(writer);
}
