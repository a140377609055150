/* SQL columns: scalars as they are, everything else as one JSON value in text. */
#include <string.h>

#include "base/error.h"
#include "contract/kind.h"

static bool is_column(const struct field *field)
{
    return (field->flags & FIELD_NO_COLUMN) == 0;
}

static bool is_integer(enum kind kind)
{
    return kind == KIND_INT || kind == KIND_TIME || kind == KIND_DURATION || kind == KIND_SIZE || kind == KIND_CPU;
}

size_t contract_n_columns(const struct type *type)
{
    size_t n = 0;
    for (size_t i = 0; i < type->n_fields; i++) {
        n += is_column(&type->fields[i]);
    }
    return n;
}

const struct field *contract_column(const struct type *type, size_t index)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        if (is_column(&type->fields[i]) && index-- == 0) {
            return &type->fields[i];
        }
    }
    return NULL;
}

char *contract_column_list(const struct type *type, const char *alias)
{
    GString *list = g_string_new(NULL);
    for (size_t i = 0; i < type->n_fields; i++) {
        if (is_column(&type->fields[i])) {
            g_string_append_printf(list, "%s%s%s%s", list->len > 0 ? ", " : "", alias != NULL ? alias : "",
                                   alias != NULL ? "." : "", type->fields[i].name);
        }
    }
    return g_string_free(list, FALSE);
}

void sql_value_clear(struct sql_value *value)
{
    g_free(value->owned);
    *value = (struct sql_value){.kind = SQL_NULL};
}

void contract_get_column(const struct type *type, const struct field *field, const void *object,
                         struct sql_value *ret_value)
{
    const struct kind_ops *ops = kind_ops(field->kind);
    const void *slot = field_slot_const(field, object);
    *ret_value = (struct sql_value){.kind = SQL_NULL};
    if (ops->is_absent(field, slot)) {
        return;
    }
    if (is_integer(field->kind)) {
        *ret_value = (struct sql_value){.kind = SQL_INT, .integer = *(const int64_t *)slot};
    } else if (field->kind == KIND_BOOL) {
        *ret_value = (struct sql_value){.kind = SQL_INT, .integer = *(const int *)slot};
    } else if (field->kind == KIND_ENUM) {
        *ret_value = (struct sql_value){.kind = SQL_TEXT, .text = field->names[*(const int *)slot]};
    } else if (field->kind == KIND_STRING || field->kind == KIND_JSON) {
        *ret_value = (struct sql_value){.kind = SQL_TEXT, .text = *(char *const *)slot};
    } else {
        GString *text = g_string_new(NULL);
        struct json_writer writer;
        json_writer_init(&writer, text);
        ops->encode(field, slot, ENCODE_STORED, &writer);
        ret_value->kind = SQL_TEXT;
        ret_value->owned = g_string_free(text, FALSE);
        ret_value->text = ret_value->owned;
    }
}

static bool set_decoded(const struct field *field, void *slot, const json_t *json, GError **error)
{
    g_autoptr(GString) path = g_string_new(field->name);
    struct decoder decoder = {.mode = DECODE_STORED, .path = path};
    if (json == NULL) {
        return sy_fail(error, SY_STORE_FAILED, "column %s holds no JSON", field->name);
    }
    kind_ops(field->kind)->decode(&decoder, field, slot, json);
    if (decoder.n_issues > 0) {
        sy_fail(error, SY_STORE_FAILED, "stored value: %s", decoder.error->message);
        g_error_free(decoder.error);
        return false;
    }
    return true;
}

/* False for a word that is none of the names: decoding says so in its own way. */
static bool set_enum(const struct field *field, int *slot, const char *word)
{
    for (int i = 0; field->names[i] != NULL; i++) {
        if (strcmp(field->names[i], word) == 0) {
            *slot = i;
            return true;
        }
    }
    return false;
}

bool contract_set_column(const struct type *type, const struct field *field, void *object,
                         const struct sql_value *value, GError **error)
{
    const struct kind_ops *ops = kind_ops(field->kind);
    void *slot = field_slot(field, object);
    if (value->kind == SQL_NULL) {
        ops->clear(field, slot);
        ops->set_absent(field, slot);
        return true;
    }
    bool wants_integer = is_integer(field->kind) || field->kind == KIND_BOOL;
    if (wants_integer != (value->kind == SQL_INT)) {
        return sy_fail(error, SY_STORE_FAILED, "column %s holds a value of the wrong type", field->name);
    }
    if (is_integer(field->kind)) {
        *(int64_t *)slot = value->integer;
        return true;
    }
    if (field->kind == KIND_BOOL) {
        *(int *)slot = value->integer != 0;
        return true;
    }
    if (field->kind == KIND_STRING || field->kind == KIND_JSON) {
        g_free(*(char **)slot);
        *(char **)slot = g_strdup(value->text);
        return true;
    }
    if (field->kind == KIND_ENUM && set_enum(field, slot, value->text)) {
        return true;
    }
    json_t *json = field->kind == KIND_ENUM ? json_string(value->text) : json_loads(value->text, JSON_DECODE_ANY, NULL);
    bool ok = set_decoded(field, slot, json, error);
    json_decref(json);
    return ok;
}

void *contract_from_row(const struct type *type, const struct sql_value *values, size_t n_values, GError **error)
{
    size_t n_columns = contract_n_columns(type);
    if (n_values != n_columns) {
        sy_fail(error, SY_STORE_FAILED, "statement gives %zu columns, %s has %zu", n_values, type->name, n_columns);
        return NULL;
    }
    void *object = object_allocate(type);
    bool ok = true;
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (!is_column(field)) {
            field_set_default(field, field_slot(field, object));
            continue;
        }
        kind_ops(field->kind)->set_absent(field, field_slot(field, object));
        ok = ok && contract_set_column(type, field, object, values++, error);
    }
    if (!ok) {
        contract_free(type, object);
        return NULL;
    }
    return object;
}
