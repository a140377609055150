#include "model/lease.h"

static const struct field lease_fields[] = {
    {.name = "id",
     .kind = KIND_STRING,
     .offset = offsetof(struct lease, id),
     .flags = FIELD_READ_ONLY,
     .doc = "name of what is leased"},
    {.name = "holder", .kind = KIND_STRING, .offset = offsetof(struct lease, holder), .flags = FIELD_READ_ONLY},
    {.name = "fence", .kind = KIND_INT, .offset = offsetof(struct lease, fence), .flags = FIELD_READ_ONLY},
    {.name = "until", .kind = KIND_TIME, .offset = offsetof(struct lease, until_us), .flags = FIELD_READ_ONLY},
};
const struct type lease_type = {
    .name = "Lease",
    .table = "leases",
    .size = sizeof(struct lease),
    .fields = lease_fields,
    .n_fields = G_N_ELEMENTS(lease_fields),
    .doc = "A lease.",
};
