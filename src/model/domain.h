/* Host names: custom domains of a pair. */
#pragma once

#include "contract/contract.h"

enum domain_status { DOMAIN_PENDING, DOMAIN_ACTIVE };
extern const char *const domain_statuses[];

struct domain {
    char *id;
    char *organization_id;
    char *service_id;
    char *pair_id;
    char *domain;
    char *environment;
    char *environment_id;
    int tls_enabled;
    char *tls_issuer;
    int status;
    int from_spec;
    int64_t created_us;
};
extern const struct type domain_type;
CONTRACT_AUTOPTR(domain)
