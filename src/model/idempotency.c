#include "model/idempotency.h"

static const struct field idempotency_fields[] = {
    {.name = "id",
     .kind = KIND_STRING,
     .offset = offsetof(struct idempotency, id),
     .flags = FIELD_INTERNAL,
     .doc = "caller, method, path and key, hashed"},
    {.name = "body_sha256",
     .kind = KIND_STRING,
     .offset = offsetof(struct idempotency, body_sha256),
     .flags = FIELD_INTERNAL},
    {.name = "status", .kind = KIND_INT, .offset = offsetof(struct idempotency, status), .flags = FIELD_INTERNAL},
    {.name = "body", .kind = KIND_STRING, .offset = offsetof(struct idempotency, body), .flags = FIELD_INTERNAL},
    {.name = "headers", .kind = KIND_STRING, .offset = offsetof(struct idempotency, headers), .flags = FIELD_INTERNAL},
    {.name = "created_at",
     .kind = KIND_TIME,
     .offset = offsetof(struct idempotency, created_us),
     .flags = FIELD_INTERNAL},
};
const struct type idempotency_type = {
    .name = "Idempotency",
    .table = "idempotency",
    .size = sizeof(struct idempotency),
    .fields = idempotency_fields,
    .n_fields = G_N_ELEMENTS(idempotency_fields),
    .doc = "A stored reply.",
};
