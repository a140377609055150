/* A type that has every kind of field, for the tests of the tables. */
#pragma once

#include "contract/contract.h"

struct inner {
    char *path;
    int64_t interval_ms;
};

struct sample {
    char *id;
    char *name;
    int64_t port;
    int is_public;
    int type;
    int64_t memory_bytes;
    int64_t cpu_millis;
    int64_t created_us;
    struct inner health;
    struct inner *other;
    GPtrArray *list;
    char **command;
    GPtrArray *env;
    GPtrArray *services;
    char *token;
    int64_t revision;
    char *raw;
    char **scopes;
};

extern const struct type inner_type;
extern const struct type sample_type;

/* A request that names nearly every field. */
extern const char sample_full[];

/* NULL when it is refused; ended by contract_object_free. */
void *sample_decode(const char *text, enum decode_mode mode, GError **error);
