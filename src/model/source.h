/* Uploaded source archives, known by the SHA-256 of their bytes. */
#pragma once

#include "contract/contract.h"

struct source {
    char *id;
    char *organization_id;
    char *project_id;
    char *sha256;
    int64_t size_bytes;
    int64_t created_us;
    int64_t last_used_us;
};
extern const struct type source_type;
CONTRACT_AUTOPTR(source)
