/* JSON in: strict, with the path of every finding. */
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "contract/kind.h"

#define MAX_DEPTH 32

void decoder_issue(struct decoder *decoder, const char *code, const char *format, ...)
{
    decoder->n_issues++;
    if (decoder->n_issues > DECODER_MAX_ISSUES) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *detail = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    sy_error_add_issue(&decoder->error, decoder->path->str, code, detail);
}

size_t decoder_enter(struct decoder *decoder, const char *name)
{
    size_t length = decoder->path->len;
    if (length > 0) {
        g_string_append_c(decoder->path, '.');
    }
    g_string_append_len(decoder->path, name, (gssize)strnlen(name, 128));
    return length;
}

size_t decoder_enter_index(struct decoder *decoder, size_t index)
{
    size_t length = decoder->path->len;
    g_string_append_printf(decoder->path, "[%zu]", index);
    return length;
}

void decoder_leave(struct decoder *decoder, size_t length)
{
    g_string_truncate(decoder->path, length);
}

static bool is_input_field(const struct field *field)
{
    return (field->flags & (FIELD_READ_ONLY | FIELD_INTERNAL)) == 0;
}

static void report_unknown(struct decoder *decoder, const struct type *type, const char *key)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < type->n_fields; i++) {
        if (is_input_field(&type->fields[i])) {
            g_ptr_array_add(names, (gpointer)type->fields[i].name);
        }
    }
    g_ptr_array_add(names, NULL);
    const char *nearest = nearest_word(key, (const char *const *)names->pdata);
    if (nearest != NULL) {
        decoder_issue(decoder, "unknown", "is not known here; did you mean %s?", nearest);
    } else {
        g_autofree char *all = g_strjoinv(", ", (char **)names->pdata);
        decoder_issue(decoder, "unknown", "is not known here; known are %s", all);
    }
}

/* An immutable field keeps its value; naming the same value again is fine. */
static void decode_immutable(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    const struct kind_ops *ops = kind_ops(field->kind);
    g_autofree void *scratch = g_malloc0(field->kind == KIND_STRUCT ? field->type->size : sizeof(int64_t));
    ops->set_absent(field, scratch);
    unsigned issues = decoder->n_issues;
    ops->decode(decoder, field, scratch, json);
    if (decoder->n_issues == issues && !ops->equal(field, slot, scratch)) {
        decoder_issue(decoder, "immutable", "cannot be changed after creation");
    }
    ops->clear(field, scratch);
}

static void decode_member(struct decoder *decoder, const struct field *field, void *object, const json_t *json)
{
    const struct kind_ops *ops = kind_ops(field->kind);
    void *slot = field_slot(field, object);
    if (decoder->mode == DECODE_PATCH && (field->flags & FIELD_IMMUTABLE) != 0) {
        decode_immutable(decoder, field, slot, json);
    } else if (json_is_null(json)) {
        if ((field->flags & FIELD_REQUIRED) != 0) {
            decoder_issue(decoder, "required", "must have a value");
        } else if (decoder->mode == DECODE_PATCH) {
            ops->clear(field, slot);
            field_set_default(field, slot);
        }
    } else {
        ops->decode(decoder, field, slot, json);
    }
}

static void check_required(struct decoder *decoder, const struct type *type, const json_t *json)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if ((field->flags & FIELD_REQUIRED) != 0 && json_object_get(json, field->name) == NULL) {
            size_t length = decoder_enter(decoder, field->name);
            decoder_issue(decoder, "required", "is missing");
            decoder_leave(decoder, length);
        }
    }
}

static void decode_members(struct decoder *decoder, const struct type *type, void *object, const json_t *json)
{
    bool is_stored = decoder->mode == DECODE_STORED;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        const struct field *field = contract_find(type, key);
        size_t length = decoder_enter(decoder, key);
        if (field != NULL && (is_stored || is_input_field(field))) {
            decode_member(decoder, field, object, value);
        } else if (!is_stored && (field == NULL || (field->flags & FIELD_INTERNAL) != 0)) {
            report_unknown(decoder, type, key);
        }
        decoder_leave(decoder, length);
    }
    if (decoder->mode == DECODE_CREATE || decoder->mode == DECODE_TEXT) {
        check_required(decoder, type, json);
    }
}

void decode_object(struct decoder *decoder, const struct type *type, void *object, const json_t *json)
{
    if (json_is_object(json)) {
        decode_members(decoder, type, object, json);
    } else if (type->shorthand != NULL && json_is_string(json)) {
        decode_member(decoder, contract_find(type, type->shorthand), object, json);
    } else if (type->shorthand != NULL) {
        decoder_issue(decoder, "type", "must be a map, or the %s as text", type->shorthand);
    } else {
        decoder_issue(decoder, "type", "must be a map");
    }
}

bool contract_decode(const struct type *type, void *object, const json_t *json, enum decode_mode mode, GError **error)
{
    return contract_decode_at(type, object, json, mode, "", error);
}

bool contract_decode_at(const struct type *type, void *object, const json_t *json, enum decode_mode mode,
                        const char *prefix, GError **error)
{
    g_autoptr(GString) path = g_string_new(prefix);
    struct decoder decoder = {.mode = mode, .path = path};
    decode_object(&decoder, type, object, json);
    if (decoder.n_issues == 0) {
        return true;
    }
    if (decoder.n_issues > 1) {
        g_autofree char *message = g_strdup_printf("%s (and %u more)", decoder.error->message, decoder.n_issues - 1);
        g_free(decoder.error->message);
        decoder.error->message = g_steal_pointer(&message);
    }
    g_propagate_error(error, decoder.error);
    return false;
}

static unsigned depth_of(const json_t *json, unsigned limit)
{
    unsigned deepest = 0;
    if (limit == 0) {
        return 1;
    }
    if (json_is_object(json)) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)json, key, value)
        {
            unsigned depth = depth_of(value, limit - 1); /* not inside MAX, which evaluates twice: 2^limit calls */
            deepest = MAX(deepest, depth);
        }
    } else if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++) {
            unsigned depth = depth_of(json_array_get(json, i), limit - 1);
            deepest = MAX(deepest, depth);
        }
    }
    return deepest + 1;
}

json_t *json_parse(const char *text, size_t length, GError **error)
{
    json_error_t failure;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &failure);
    if (json == NULL) {
        sy_fail(error, SY_INVALID_JSON, "line %d, column %d: %s", failure.line, failure.column, failure.text);
        return NULL;
    }
    if (depth_of(json, MAX_DEPTH + 1) > MAX_DEPTH) {
        json_decref(json);
        sy_fail(error, SY_INVALID_JSON, "nested deeper than %d levels", MAX_DEPTH);
        return NULL;
    }
    return json;
}

bool contract_decode_text(const struct type *type, void *object, const char *text, size_t length, enum decode_mode mode,
                          GError **error)
{
    json_t *json = json_parse(text, length, error);
    if (json == NULL) {
        return false;
    }
    bool ok = contract_decode(type, object, json, mode, error);
    json_decref(json);
    return ok;
}
