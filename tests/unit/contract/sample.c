#include "sample.h"

#include <string.h>

static const struct field inner_fields[] = {
    {.name = "path", .kind = KIND_STRING, .offset = offsetof(struct inner, path), .check = check_path},
    {.name = "interval",
     .kind = KIND_DURATION,
     .offset = offsetof(struct inner, interval_ms),
     .fallback = "5s",
     .minimum = 100,
     .maximum = 60000},
};
const struct type inner_type = {
    .name = "Inner",
    .size = sizeof(struct inner),
    .fields = inner_fields,
    .n_fields = G_N_ELEMENTS(inner_fields),
    .shorthand = "path",
};

static const char *const types[] = {"auto", "dockerfile", NULL};
#define F(member) .offset = offsetof(struct sample, member)
static const struct field sample_fields[] = {
    {.name = "id", .kind = KIND_STRING, F(id), .flags = FIELD_READ_ONLY},
    {.name = "name", .kind = KIND_STRING, F(name), .flags = FIELD_REQUIRED | FIELD_IMMUTABLE, .check = check_slug},
    {.name = "port",
     .kind = KIND_INT,
     F(port),
     .minimum = 1,
     .maximum = 65535,
     .fallback = "8080",
     .flags = FIELD_NONE_IS_ZERO},
    {.name = "public", .kind = KIND_BOOL, F(is_public), .fallback = "true"},
    {.name = "type", .kind = KIND_ENUM, F(type), .names = types, .fallback = "auto"},
    {.name = "memory", .kind = KIND_SIZE, F(memory_bytes)},
    {.name = "cpu", .kind = KIND_CPU, F(cpu_millis)},
    {.name = "created_at", .kind = KIND_TIME, F(created_us), .flags = FIELD_READ_ONLY},
    {.name = "health", .kind = KIND_STRUCT, F(health), .type = &inner_type},
    {.name = "other", .kind = KIND_OBJECT, F(other), .type = &inner_type},
    {.name = "list", .kind = KIND_ARRAY, F(list), .type = &inner_type},
    {.name = "command", .kind = KIND_STRINGS, F(command)},
    {.name = "env", .kind = KIND_STRING_MAP, F(env), .check = check_variable},
    {.name = "services", .kind = KIND_MAP, F(services), .type = &inner_type, .check = check_slug},
    {.name = "token", .kind = KIND_STRING, F(token), .flags = FIELD_SECRET},
    {.name = "revision", .kind = KIND_INT, F(revision), .flags = FIELD_INTERNAL},
    {.name = "raw", .kind = KIND_JSON, F(raw)},
    {.name = "scopes", .kind = KIND_STRINGS, F(scopes), .names = types},
};
const struct type sample_type = {
    .name = "Sample",
    .table = "samples",
    .size = sizeof(struct sample),
    .fields = sample_fields,
    .n_fields = G_N_ELEMENTS(sample_fields),
};

const char sample_full[] =
    "{\"name\":\"web\",\"port\":81,\"public\":false,\"type\":\"dockerfile\",\"memory\":\"256Mi\","
    "\"cpu\":\"500m\",\"health\":{\"path\":\"/h\",\"interval\":\"2s\"},\"other\":\"/short\","
    "\"list\":[{\"path\":\"/a\"},\"/b\"],\"command\":[\"./"
    "x\",\"-v\"],\"env\":{\"B\":\"2\",\"A\":\"1\"},"
    "\"services\":{\"api\":{\"path\":\"/\"}},\"token\":\"hush\",\"raw\":{\"z\":[1,2]}}";

void *sample_decode(const char *text, enum decode_mode mode, GError **error)
{
    void *object = contract_new(&sample_type);
    if (!contract_decode_text(&sample_type, object, text, strlen(text), mode, error)) {
        contract_object_free(object);
        return NULL;
    }
    return object;
}
