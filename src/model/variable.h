/* Configuration variables, and the immutable versions of a pair's configuration. */
#pragma once

#include "contract/contract.h"

struct variable {
    char *id;
    char *organization_id;
    char *service_id;
    char *environment_id;
    char *key;
    char *value;
    int is_secret;
    int is_removed; /* hides the service's variable in this environment */
    int64_t created_us;
    int64_t updated_us;
    int64_t revision; /* of the row: the ETag */
};
extern const struct type variable_type;
CONTRACT_AUTOPTR(variable)

struct config_version {
    char *id;
    char *organization_id;
    char *pair_id;
    int64_t version;
    char *content; /* [{key, value, is_secret}]; secret values are sealed with this row's id and the
                      key as associated data */
    int64_t created_us;
};
extern const struct type config_version_type;
CONTRACT_AUTOPTR(config_version)

struct variables_bulk {
    GPtrArray *variables;
    char *environment_id;
    char *environment_name;
};
extern const struct type variables_bulk_type;
CONTRACT_AUTOPTR(variables_bulk)

struct revealed_value {
    char *key;
    char *value;
};
extern const struct type revealed_value_type;
CONTRACT_AUTOPTR(revealed_value)
