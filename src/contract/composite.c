/* The kinds that hold other values: structs, lists, maps. An absent list and an empty one are
 * equal. */
#include <string.h>

#include "contract/kind.h"

#define DEFAULT_MAX_ELEMENTS 256
#define ELEMENT_MAX_BYTES 32768

static void pointer_set_absent(const struct field *field, void *slot)
{
    *(void **)slot = NULL;
}

static bool pointer_is_absent(const struct field *field, const void *slot)
{
    return *(void *const *)slot == NULL;
}

static void describe_reference(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                               struct json_writer *writer)
{
    enum schema_use nested = use == SCHEMA_REPLY ? SCHEMA_REPLY : SCHEMA_CREATE;
    if (used != NULL) {
        g_hash_table_add(used, (gpointer)field->type);
    }
    g_autofree char *reference = g_strconcat(prefix, field->type->name, contract_schema_suffix(nested), NULL);
    json_member_string(writer, "$ref", reference);
}

static bool check_count(struct decoder *decoder, const struct field *field, size_t count)
{
    int64_t low;
    int64_t high;
    field_bounds(field, 0, DEFAULT_MAX_ELEMENTS, &low, &high);
    if ((int64_t)count < low || (int64_t)count > high) {
        decoder_issue(decoder, "count", "must have %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT " entries", low, high);
        return false;
    }
    return true;
}

static void describe_count(const struct field *field, const char *low_key, const char *high_key,
                           struct json_writer *writer)
{
    int64_t low;
    int64_t high;
    field_bounds(field, 0, DEFAULT_MAX_ELEMENTS, &low, &high);
    if (low > 0) {
        json_member_int(writer, low_key, low);
    }
    json_member_int(writer, high_key, high);
}

/* --- embedded struct
 * ---------------------------------------------------------------------------------------- */

static void struct_set_absent(const struct field *field, void *slot)
{
    contract_init(field->type, slot);
}

static bool struct_is_absent(const struct field *field, const void *slot)
{
    return false;
}

static void struct_clear(const struct field *field, void *slot)
{
    contract_clear(field->type, slot);
}

static void struct_copy(const struct field *field, void *to, const void *from)
{
    contract_copy(field->type, to, from);
}

static bool struct_equal(const struct field *field, const void *a, const void *b)
{
    return contract_equal(field->type, a, b);
}

static void struct_encode(const struct field *field, const void *slot, enum encode_view view,
                          struct json_writer *writer)
{
    contract_encode(field->type, slot, view, writer);
}

static void struct_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    decode_object(decoder, field->type, slot, json);
}

const struct kind_ops kind_struct = {
    .set_absent = struct_set_absent,
    .is_absent = struct_is_absent,
    .clear = struct_clear,
    .copy = struct_copy,
    .equal = struct_equal,
    .encode = struct_encode,
    .decode = struct_decode,
    .describe = describe_reference,
};

/* --- pointer to a struct
 * -------------------------------------------------------------------------------------- */

static void object_clear(const struct field *field, void *slot)
{
    contract_free(field->type, *(void **)slot);
    *(void **)slot = NULL;
}

static void object_copy(const struct field *field, void *to, const void *from)
{
    *(void **)to = contract_dup(field->type, *(void *const *)from);
}

static bool object_equal(const struct field *field, const void *a, const void *b)
{
    const void *left = *(void *const *)a;
    const void *right = *(void *const *)b;
    if (left == NULL || right == NULL) {
        return left == right;
    }
    return contract_equal(field->type, left, right);
}

static void object_encode(const struct field *field, const void *slot, enum encode_view view,
                          struct json_writer *writer)
{
    contract_encode(field->type, *(void *const *)slot, view, writer);
}

static void object_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    if (*(void **)slot == NULL) {
        *(void **)slot = contract_new(field->type);
    }
    decode_object(decoder, field->type, *(void **)slot, json);
}

const struct kind_ops kind_object = {
    .set_absent = pointer_set_absent,
    .is_absent = pointer_is_absent,
    .clear = object_clear,
    .copy = object_copy,
    .equal = object_equal,
    .encode = object_encode,
    .decode = object_decode,
    .describe = describe_reference,
};

/* --- arrays of structs
 * ------------------------------------------------------------------------------------------ */

static void array_clear(const struct field *field, void *slot)
{
    g_clear_pointer((GPtrArray **)slot, g_ptr_array_unref);
}

static void array_copy(const struct field *field, void *to, const void *from)
{
    const GPtrArray *array = *(GPtrArray *const *)from;
    GPtrArray *copy = array != NULL ? contract_array_new(field->type) : NULL;
    for (guint i = 0; array != NULL && i < array->len; i++) {
        g_ptr_array_add(copy, contract_dup(field->type, g_ptr_array_index(array, i)));
    }
    *(GPtrArray **)to = copy;
}

static guint length_of(const GPtrArray *array)
{
    return array != NULL ? array->len : 0;
}

static bool array_equal(const struct field *field, const void *a, const void *b)
{
    const GPtrArray *left = *(GPtrArray *const *)a;
    const GPtrArray *right = *(GPtrArray *const *)b;
    if (length_of(left) != length_of(right)) {
        return false;
    }
    for (guint i = 0; i < length_of(left); i++) {
        if (!contract_equal(field->type, g_ptr_array_index(left, i), g_ptr_array_index(right, i))) {
            return false;
        }
    }
    return true;
}

static void array_encode(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer)
{
    const GPtrArray *array = *(GPtrArray *const *)slot;
    json_array_open(writer);
    for (guint i = 0; i < length_of(array); i++) {
        contract_encode(field->type, g_ptr_array_index(array, i), view, writer);
    }
    json_array_close(writer);
}

static void array_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    if (!json_is_array(json)) {
        decoder_issue(decoder, "type", "must be a list");
        return;
    }
    if (!check_count(decoder, field, json_array_size(json))) {
        return;
    }
    GPtrArray *array = contract_array_new(field->type);
    for (size_t i = 0; i < json_array_size(json); i++) {
        void *element = contract_new(field->type);
        size_t length = decoder_enter_index(decoder, i);
        decode_object(decoder, field->type, element, json_array_get(json, i));
        decoder_leave(decoder, length);
        g_ptr_array_add(array, element);
    }
    array_clear(field, slot);
    *(GPtrArray **)slot = array;
}

static void array_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                           struct json_writer *writer)
{
    json_member_string(writer, "type", "array");
    json_key(writer, "items");
    json_object_open(writer);
    describe_reference(field, use, prefix, used, writer);
    json_object_close(writer);
    describe_count(field, "minItems", "maxItems", writer);
}

const struct kind_ops kind_array = {
    .set_absent = pointer_set_absent,
    .is_absent = pointer_is_absent,
    .clear = array_clear,
    .copy = array_copy,
    .equal = array_equal,
    .encode = array_encode,
    .decode = array_decode,
    .describe = array_describe,
};

/* --- lists of strings
 * ---------------------------------------------------------------------------------------------- */

static void strings_clear(const struct field *field, void *slot)
{
    g_clear_pointer((char ***)slot, g_strfreev);
}

static void strings_copy(const struct field *field, void *to, const void *from)
{
    *(char ***)to = g_strdupv(*(char **const *)from);
}

static bool strings_equal(const struct field *field, const void *a, const void *b)
{
    static const char *const empty[] = {NULL};
    const char *const *left = *(const char *const *const *)a;
    const char *const *right = *(const char *const *const *)b;
    return g_strv_equal(left != NULL ? left : empty, right != NULL ? right : empty);
}

static void strings_encode(const struct field *field, const void *slot, enum encode_view view,
                           struct json_writer *writer)
{
    char *const *strings = *(char **const *)slot;
    json_array_open(writer);
    for (; strings != NULL && *strings != NULL; strings++) {
        json_put_string(writer, *strings);
    }
    json_array_close(writer);
}

/* The text of an element, or NULL after reporting why it is none. */
static const char *element_text(struct decoder *decoder, field_check_fn check, const json_t *json)
{
    if (!json_is_string(json)) {
        decoder_issue(decoder, "type", "must be a string");
        return NULL;
    }
    if (json_string_length(json) > ELEMENT_MAX_BYTES) {
        decoder_issue(decoder, "length", "must be at most %d bytes long", ELEMENT_MAX_BYTES);
        return NULL;
    }
    const char *text = json_string_value(json);
    const char *rule = check != NULL && decoder->mode != DECODE_STORED ? check(text) : NULL;
    if (rule != NULL) {
        decoder_issue(decoder, "pattern", "%s", rule);
        return NULL;
    }
    return text;
}

static void strings_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    if (!json_is_array(json)) {
        decoder_issue(decoder, "type", "must be a list of strings, such as [\"./server\", \"--verbose\"]");
        return;
    }
    if (!check_count(decoder, field, json_array_size(json))) {
        return;
    }
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    unsigned issues = decoder->n_issues;
    for (size_t i = 0; i < json_array_size(json); i++) {
        size_t length = decoder_enter_index(decoder, i);
        const char *text = element_text(decoder, field->check, json_array_get(json, i));
        if (text != NULL && field->names != NULL && decoder->mode != DECODE_STORED &&
            !g_strv_contains(field->names, text)) {
            g_autofree char *all = g_strjoinv(", ", (char **)field->names);
            decoder_issue(decoder, "enum", "must be one of %s", all);
        } else if (text != NULL) {
            g_strv_builder_add(builder, text);
        }
        decoder_leave(decoder, length);
    }
    if (decoder->n_issues == issues) {
        strings_clear(field, slot);
        *(char ***)slot = g_strv_builder_end(builder);
    }
}

static void strings_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                             struct json_writer *writer)
{
    json_member_string(writer, "type", "array");
    json_key(writer, "items");
    json_object_open(writer);
    if (field->names != NULL) {
        describe_names_of(field->names, writer);
    } else {
        json_member_string(writer, "type", "string");
        json_member_int(writer, "maxLength", ELEMENT_MAX_BYTES);
    }
    if (field->check != NULL && check_pattern(field->check) != NULL) {
        json_member_string(writer, "pattern", check_pattern(field->check));
    }
    json_object_close(writer);
    describe_count(field, "minItems", "maxItems", writer);
}

const struct kind_ops kind_strings = {
    .set_absent = pointer_set_absent,
    .is_absent = pointer_is_absent,
    .clear = strings_clear,
    .copy = strings_copy,
    .equal = strings_equal,
    .encode = strings_encode,
    .decode = strings_decode,
    .describe = strings_describe,
};

/* --- maps: sorted arrays of entries; both entry structs begin with the key
 * -------------------------------------------- */

static int compare_keys(gconstpointer a, gconstpointer b)
{
    const struct map_entry *left = *(struct map_entry *const *)a;
    const struct map_entry *right = *(struct map_entry *const *)b;
    return strcmp(left->key, right->key);
}

static void pair_free(gpointer data)
{
    struct string_pair *pair = data;
    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

GPtrArray *string_map_new(void)
{
    return g_ptr_array_new_with_free_func(pair_free);
}

/* Index of the key, or -1. */
static int map_find(const GPtrArray *map, const char *key)
{
    for (guint i = 0; i < length_of(map); i++) {
        const struct map_entry *entry = g_ptr_array_index(map, i);
        if (strcmp(entry->key, key) == 0) {
            return (int)i;
        }
    }
    return -1;
}

void string_map_set(GPtrArray *map, const char *key, const char *value)
{
    int index = map_find(map, key);
    if (index >= 0) {
        struct string_pair *pair = g_ptr_array_index(map, (guint)index);
        g_free(pair->value);
        pair->value = g_strdup(value);
        return;
    }
    struct string_pair *pair = g_new(struct string_pair, 1);
    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    g_ptr_array_add(map, pair);
    g_ptr_array_sort(map, compare_keys);
}

const char *string_map_get(const GPtrArray *map, const char *key)
{
    int index = map_find(map, key);
    return index >= 0 ? ((struct string_pair *)g_ptr_array_index(map, (guint)index))->value : NULL;
}

static void entry_free(gpointer data)
{
    struct map_entry *entry = data;
    contract_object_free(entry->value);
    g_free(entry->key);
    g_free(entry);
}

GPtrArray *struct_map_new(const struct type *type)
{
    return g_ptr_array_new_with_free_func(entry_free);
}

void struct_map_set_take(GPtrArray *map, const char *key, void *value)
{
    g_return_if_fail(map_find(map, key) < 0);
    struct map_entry *entry = g_new(struct map_entry, 1);
    entry->key = g_strdup(key);
    entry->value = value;
    g_ptr_array_add(map, entry);
    g_ptr_array_sort(map, compare_keys);
}

void *struct_map_get(const GPtrArray *map, const char *key)
{
    int index = map_find(map, key);
    return index >= 0 ? ((struct map_entry *)g_ptr_array_index(map, (guint)index))->value : NULL;
}

static void string_map_clear(const struct field *field, void *slot)
{
    g_clear_pointer((GPtrArray **)slot, g_ptr_array_unref);
}

static void string_map_copy(const struct field *field, void *to, const void *from)
{
    const GPtrArray *map = *(GPtrArray *const *)from;
    GPtrArray *copy = map != NULL ? string_map_new() : NULL;
    for (guint i = 0; i < length_of(map); i++) {
        const struct string_pair *pair = g_ptr_array_index(map, i);
        string_map_set(copy, pair->key, pair->value);
    }
    *(GPtrArray **)to = copy;
}

static bool string_map_equal(const struct field *field, const void *a, const void *b)
{
    const GPtrArray *left = *(GPtrArray *const *)a;
    const GPtrArray *right = *(GPtrArray *const *)b;
    if (length_of(left) != length_of(right)) {
        return false;
    }
    for (guint i = 0; i < length_of(left); i++) {
        const struct string_pair *x = g_ptr_array_index(left, i);
        const struct string_pair *y = g_ptr_array_index(right, i);
        if (strcmp(x->key, y->key) != 0 || strcmp(x->value, y->value) != 0) {
            return false;
        }
    }
    return true;
}

static void string_map_encode(const struct field *field, const void *slot, enum encode_view view,
                              struct json_writer *writer)
{
    const GPtrArray *map = *(GPtrArray *const *)slot;
    json_object_open(writer);
    for (guint i = 0; i < length_of(map); i++) {
        const struct string_pair *pair = g_ptr_array_index(map, i);
        json_member_string(writer, pair->key, pair->value);
    }
    json_object_close(writer);
}

static bool check_key(struct decoder *decoder, const struct field *field, const char *key)
{
    const char *rule = field->check != NULL && decoder->mode != DECODE_STORED ? field->check(key) : NULL;
    if (rule != NULL) {
        decoder_issue(decoder, "pattern", "the name %s", rule);
    }
    return rule == NULL;
}

static void string_map_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    if (!json_is_object(json)) {
        decoder_issue(decoder, "type", "must be a map of names to strings");
        return;
    }
    if (!check_count(decoder, field, json_object_size(json))) {
        return;
    }
    g_autoptr(GPtrArray) map = string_map_new();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        size_t length = decoder_enter(decoder, key);
        const char *text = element_text(decoder, NULL, value);
        if (check_key(decoder, field, key) && text != NULL) {
            string_map_set(map, key, text);
        }
        decoder_leave(decoder, length);
    }
    string_map_clear(field, slot);
    *(GPtrArray **)slot = g_steal_pointer(&map);
}

static void describe_names(const struct field *field, struct json_writer *writer)
{
    if (field->check != NULL && check_pattern(field->check) != NULL) {
        json_key(writer, "propertyNames");
        json_object_open(writer);
        json_member_string(writer, "pattern", check_pattern(field->check));
        json_object_close(writer);
    }
    describe_count(field, "minProperties", "maxProperties", writer);
}

static void string_map_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                                struct json_writer *writer)
{
    json_member_string(writer, "type", "object");
    json_key(writer, "additionalProperties");
    json_object_open(writer);
    json_member_string(writer, "type", "string");
    json_member_int(writer, "maxLength", ELEMENT_MAX_BYTES);
    json_object_close(writer);
    describe_names(field, writer);
}

const struct kind_ops kind_string_map = {
    .set_absent = pointer_set_absent,
    .is_absent = pointer_is_absent,
    .clear = string_map_clear,
    .copy = string_map_copy,
    .equal = string_map_equal,
    .encode = string_map_encode,
    .decode = string_map_decode,
    .describe = string_map_describe,
};

static void map_copy(const struct field *field, void *to, const void *from)
{
    const GPtrArray *map = *(GPtrArray *const *)from;
    GPtrArray *copy = map != NULL ? struct_map_new(field->type) : NULL;
    for (guint i = 0; i < length_of(map); i++) {
        const struct map_entry *entry = g_ptr_array_index(map, i);
        struct_map_set_take(copy, entry->key, contract_dup(field->type, entry->value));
    }
    *(GPtrArray **)to = copy;
}

static bool map_equal(const struct field *field, const void *a, const void *b)
{
    const GPtrArray *left = *(GPtrArray *const *)a;
    const GPtrArray *right = *(GPtrArray *const *)b;
    if (length_of(left) != length_of(right)) {
        return false;
    }
    for (guint i = 0; i < length_of(left); i++) {
        const struct map_entry *x = g_ptr_array_index(left, i);
        const struct map_entry *y = g_ptr_array_index(right, i);
        if (strcmp(x->key, y->key) != 0 || !contract_equal(field->type, x->value, y->value)) {
            return false;
        }
    }
    return true;
}

static void map_encode(const struct field *field, const void *slot, enum encode_view view, struct json_writer *writer)
{
    const GPtrArray *map = *(GPtrArray *const *)slot;
    json_object_open(writer);
    for (guint i = 0; i < length_of(map); i++) {
        const struct map_entry *entry = g_ptr_array_index(map, i);
        json_key(writer, entry->key);
        contract_encode(field->type, entry->value, view, writer);
    }
    json_object_close(writer);
}

static void map_decode(struct decoder *decoder, const struct field *field, void *slot, const json_t *json)
{
    if (!json_is_object(json)) {
        decoder_issue(decoder, "type", "must be a map");
        return;
    }
    if (!check_count(decoder, field, json_object_size(json))) {
        return;
    }
    GPtrArray *map = struct_map_new(field->type);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        size_t length = decoder_enter(decoder, key);
        void *element = contract_new(field->type);
        check_key(decoder, field, key);
        if (!json_is_null(value)) {
            decode_object(decoder, field->type, element, value);
        }
        struct_map_set_take(map, key, element);
        decoder_leave(decoder, length);
    }
    string_map_clear(field, slot);
    *(GPtrArray **)slot = map;
}

static void map_describe(const struct field *field, enum schema_use use, const char *prefix, GHashTable *used,
                         struct json_writer *writer)
{
    json_member_string(writer, "type", "object");
    json_key(writer, "additionalProperties");
    json_object_open(writer);
    describe_reference(field, use, prefix, used, writer);
    json_object_close(writer);
    describe_names(field, writer);
}

const struct kind_ops kind_map = {
    .set_absent = pointer_set_absent,
    .is_absent = pointer_is_absent,
    .clear = string_map_clear,
    .copy = map_copy,
    .equal = map_equal,
    .encode = map_encode,
    .decode = map_decode,
    .describe = map_describe,
};
