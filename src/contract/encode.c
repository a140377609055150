/* JSON out. */
#include <string.h>

#include "contract/kind.h"

static bool is_collection(enum kind kind)
{
    return kind == KIND_ARRAY || kind == KIND_STRINGS || kind == KIND_STRING_MAP || kind == KIND_MAP;
}

void contract_encode(const struct type *type, const void *object, enum encode_view view, struct json_writer *writer)
{
    json_object_open(writer);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if ((field->flags & (FIELD_SECRET | FIELD_INTERNAL)) != 0) {
            continue;
        }
        const struct kind_ops *ops = kind_ops(field->kind);
        const void *slot = field_slot_const(field, object);
        bool is_absent = ops->is_absent(field, slot);
        if (is_absent && view != ENCODE_PUBLIC) {
            continue;
        }
        json_key(writer, field->name);
        if (is_absent && !is_collection(field->kind)) {
            json_put_null(writer);
        } else {
            ops->encode(field, slot, view, writer);
        }
    }
    json_object_close(writer);
}

char *contract_encode_text(const struct type *type, const void *object, enum encode_view view)
{
    GString *text = g_string_sized_new(512);
    struct json_writer writer;
    json_writer_init(&writer, text);
    contract_encode(type, object, view, &writer);
    return g_string_free(text, FALSE);
}

char *contract_text(const struct field *field, const void *object)
{
    const struct kind_ops *ops = kind_ops(field->kind);
    const void *slot = field_slot_const(field, object);
    if (ops->is_absent(field, slot)) {
        return g_strdup("");
    }
    if (field->kind == KIND_STRING) {
        return g_strdup(*(char *const *)slot);
    }
    g_autoptr(GString) text = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, text);
    ops->encode(field, slot, ENCODE_SPARSE, &writer);
    if (text->len >= 2 && text->str[0] == '"') {
        return g_strndup(text->str + 1, text->len - 2);
    }
    return g_strdup(text->str);
}
