/* Life of an object: initialise, clear, copy, compare. */
#include <stdalign.h>
#include <string.h>

#include "contract/kind.h"

/* Heap objects carry their type in front, so that lists can own elements of any type. */
struct header {
    alignas(16) const struct type *type;
};

const struct kind_ops *kind_ops(enum kind kind)
{
    static const struct kind_ops *const table[] = {
        [KIND_BOOL] = &kind_bool,
        [KIND_INT] = &kind_int,
        [KIND_STRING] = &kind_string,
        [KIND_ENUM] = &kind_enum,
        [KIND_TIME] = &kind_time,
        [KIND_DURATION] = &kind_duration,
        [KIND_SIZE] = &kind_size,
        [KIND_CPU] = &kind_cpu,
        [KIND_STRUCT] = &kind_struct,
        [KIND_OBJECT] = &kind_object,
        [KIND_ARRAY] = &kind_array,
        [KIND_STRINGS] = &kind_strings,
        [KIND_STRING_MAP] = &kind_string_map,
        [KIND_MAP] = &kind_map,
        [KIND_JSON] = &kind_json,
    };
    return table[kind];
}

json_t *field_fallback(const struct field *field)
{
    if (field->fallback == NULL) {
        return NULL;
    }
    if (field->kind == KIND_INT) {
        return json_integer(g_ascii_strtoll(field->fallback, NULL, 10));
    }
    if (field->kind == KIND_BOOL) {
        return json_boolean(strcmp(field->fallback, "true") == 0);
    }
    return json_string(field->fallback);
}

void field_set_default(const struct field *field, void *slot)
{
    kind_ops(field->kind)->set_absent(field, slot);
    json_t *fallback = field_fallback(field);
    if (fallback == NULL) {
        return;
    }
    struct decoder decoder = {.mode = DECODE_STORED, .path = g_string_new(NULL)};
    kind_ops(field->kind)->decode(&decoder, field, slot, fallback);
    g_assert(decoder.n_issues == 0); /* a wrong default is a defect of the table */
    g_string_free(decoder.path, TRUE);
    json_decref(fallback);
}

void contract_init(const struct type *type, void *object)
{
    memset(object, 0, type->size);
    for (size_t i = 0; i < type->n_fields; i++) {
        field_set_default(&type->fields[i], field_slot(&type->fields[i], object));
    }
}

void *object_allocate(const struct type *type)
{
    struct header *header = g_malloc0(sizeof *header + type->size);
    header->type = type;
    return header + 1;
}

void *contract_new(const struct type *type)
{
    void *object = object_allocate(type);
    contract_init(type, object);
    return object;
}

void contract_clear(const struct type *type, void *object)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        kind_ops(field->kind)->clear(field, field_slot(field, object));
    }
}

void contract_object_free(void *object)
{
    if (object != NULL) {
        struct header *header = (struct header *)object - 1;
        contract_clear(header->type, object);
        g_free(header);
    }
}

void contract_free(const struct type *type, void *object)
{
    g_return_if_fail(object == NULL || ((struct header *)object - 1)->type == type);
    contract_object_free(object);
}

void contract_copy(const struct type *type, void *to, const void *from)
{
    memset(to, 0, type->size);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        kind_ops(field->kind)->copy(field, field_slot(field, to), field_slot_const(field, from));
    }
}

void *contract_dup(const struct type *type, const void *from)
{
    if (from == NULL) {
        return NULL;
    }
    void *object = object_allocate(type);
    contract_copy(type, object, from);
    return object;
}

bool contract_equal(const struct type *type, const void *a, const void *b)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (!kind_ops(field->kind)->equal(field, field_slot_const(field, a), field_slot_const(field, b))) {
            return false;
        }
    }
    return true;
}

char **contract_diff(const struct type *type, const void *a, const void *b)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if (!kind_ops(field->kind)->equal(field, field_slot_const(field, a), field_slot_const(field, b))) {
            g_strv_builder_add(names, field->name);
        }
    }
    return g_strv_builder_end(names);
}

GPtrArray *contract_array_new(const struct type *type)
{
    return g_ptr_array_new_with_free_func(contract_object_free);
}

const struct field *contract_find(const struct type *type, const char *name)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        if (strcmp(type->fields[i].name, name) == 0) {
            return &type->fields[i];
        }
    }
    return NULL;
}
