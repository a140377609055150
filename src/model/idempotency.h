/* Stored replies of requests with an Idempotency-Key, kept for 24 hours. */
#pragma once

#include "contract/contract.h"

struct idempotency {
    char *id;
    char *body_sha256;
    int64_t status;
    char *body;
    char *headers; /* "Name: value" lines; NULL: none */
    int64_t created_us;
};
extern const struct type idempotency_type;
CONTRACT_AUTOPTR(idempotency)
