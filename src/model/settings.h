/* How a service runs: the part that enclii.yaml, the service, an environment's overrides and an
 * immutable deployment value have in common. Described once by SETTINGS_FIELDS and embedded by
 * each. */
#pragma once

#include "contract/contract.h"

#define MAX_REPLICAS 100
#define DEFAULT_USER 65532 /* "nonroot" by convention of the distroless images */

struct health_rule {
    char *path; /* NULL: an accepted TCP connection is healthy */
    int64_t interval_ms, timeout_ms, grace_ms;
};

struct resources {
    int64_t cpu_millis, memory_bytes, pids;
};

struct stop_rule {
    int signal; /* index into stop_signals */
    int64_t grace_ms;
};

struct security {
    int64_t user; /* numeric UID and GID */
    int is_read_only;
};

struct settings {
    char **command;
    int64_t port; /* 0: serves nothing */
    int is_public;
    struct health_rule health;
    int64_t replicas;
    struct resources resources;
    GPtrArray *env; /* string map */
    char **secrets;
    char **domains;
    GPtrArray *volumes; /* string map: name → path */
    char **release;
    struct stop_rule stop;
    struct security security;
};

extern const struct type health_rule_type, resources_type, stop_rule_type, security_type, settings_type;
extern const char *const stop_signals[]; /* "TERM", "INT", … */

/* Rows for a struct S that embeds struct settings as `member`. */
#define SETTINGS_FIELDS(S, member)                                                                                     \
    {.name = "command",                                                                                                \
     .kind = KIND_STRINGS,                                                                                             \
     .offset = offsetof(S, member.command),                                                                            \
     .doc = "argv of the program, never a shell line; empty: the image's own or the Procfile's"},                      \
        {.name = "port",                                                                                               \
         .kind = KIND_INT,                                                                                             \
         .offset = offsetof(S, member.port),                                                                           \
         .minimum = 1,                                                                                                 \
         .maximum = 65535,                                                                                             \
         .flags = FIELD_NONE_IS_ZERO,                                                                                  \
         .fallback = "8080",                                                                                           \
         .doc = "TCP port the program listens on; PORT is set to it; none: it serves nothing"},                        \
        {.name = "public",                                                                                             \
         .kind = KIND_BOOL,                                                                                            \
         .offset = offsetof(S, member.is_public),                                                                      \
         .fallback = "true",                                                                                           \
         .doc = "false: reachable by its name inside the environment only"},                                           \
        {.name = "health",                                                                                             \
         .kind = KIND_STRUCT,                                                                                          \
         .offset = offsetof(S, member.health),                                                                         \
         .type = &health_rule_type,                                                                                    \
         .doc = "when an instance counts as healthy"},                                                                 \
        {.name = "replicas",                                                                                           \
         .kind = KIND_INT,                                                                                             \
         .offset = offsetof(S, member.replicas),                                                                       \
         .minimum = 0,                                                                                                 \
         .maximum = MAX_REPLICAS,                                                                                      \
         .fallback = "1",                                                                                              \
         .doc = "instances; 0: stopped"},                                                                              \
        {.name = "resources",                                                                                          \
         .kind = KIND_STRUCT,                                                                                          \
         .offset = offsetof(S, member.resources),                                                                      \
         .type = &resources_type,                                                                                      \
         .doc = "limits of one instance"},                                                                             \
        {.name = "env",                                                                                                \
         .kind = KIND_STRING_MAP,                                                                                      \
         .offset = offsetof(S, member.env),                                                                            \
         .check = check_variable,                                                                                      \
         .doc = "plain variables; values set with `enclii env set` win"},                                              \
        {.name = "secrets",                                                                                            \
         .kind = KIND_STRINGS,                                                                                         \
         .offset = offsetof(S, member.secrets),                                                                        \
         .check = check_variable,                                                                                      \
         .doc = "names of variables that must have a value before a deploy"},                                          \
        {.name = "domains",                                                                                            \
         .kind = KIND_STRINGS,                                                                                         \
         .offset = offsetof(S, member.domains),                                                                        \
         .check = check_dns_name,                                                                                      \
         .maximum = 64,                                                                                                \
         .doc = "custom host names of production; another environment has those that its own settings name"},          \
        {.name = "volumes",                                                                                            \
         .kind = KIND_STRING_MAP,                                                                                      \
         .offset = offsetof(S, member.volumes),                                                                        \
         .check = check_slug,                                                                                          \
         .maximum = 16,                                                                                                \
         .doc = "name and absolute path; a service with a volume has one writer"},                                     \
        {.name = "release",                                                                                            \
         .kind = KIND_STRINGS,                                                                                         \
         .offset = offsetof(S, member.release),                                                                        \
         .doc = "argv run once before traffic, without the volumes, for the old version still writes to them; "        \
                "failing stops the deploy"},                                                                           \
        {.name = "stop",                                                                                               \
         .kind = KIND_STRUCT,                                                                                          \
         .offset = offsetof(S, member.stop),                                                                           \
         .type = &stop_rule_type,                                                                                      \
         .doc = "how an instance is asked to end"},                                                                    \
    {                                                                                                                  \
        .name = "security", .kind = KIND_STRUCT, .offset = offsetof(S, member.security), .type = &security_type,       \
        .doc = "exceptions from the hardened defaults; shown by status and doctor"                                     \
    }

/* Checks that need more than one field; `prefix` begins each path ("services.web"). Adds its findings to an error that has
 * some already. */
bool settings_check(const struct settings *settings, const char *prefix, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Exceptions from the hardened defaults in words ("runs as user 999"), NULL-ended; empty when there
 * are none. */
char **settings_exceptions(const struct settings *settings);
