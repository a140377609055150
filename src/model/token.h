/* API tokens. Only a hash is stored; the raw token is shown once. */
#pragma once

#include "contract/contract.h"

struct token {
    char *id;
    char *organization_id;
    char *name;
    char *prefix;
    char *hash;
    char **scopes;
    char *project;
    char *project_id;
    int64_t expires_in_days;
    int64_t expires_us;
    int64_t last_used_us;
    char *created_by;
    int64_t created_us;
    int64_t revoked_us;
    char *raw;
};
extern const struct type token_type;
CONTRACT_AUTOPTR(token)
