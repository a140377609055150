/* The daemon's configuration: one table from which the file, the ENCLII_… variables, the flags, `switchyard config` and the
 * reference page come. Later sources win: default, file, environment, flag. */
#pragma once

#include "contract/contract.h"

struct config {
    char *data_dir;
    char *listen;
    char *socket;
    char *socket_group;
    char *edge_http;
    char *edge_trusted_proxies;
    char *base_domain;
    char *public_url;
    char *store;
    char *engine;
    char *roles;
    char *master_key;
    char *haproxy;
    char *docker;
    char *network_pool;
    char *log_level;
    char *ca_bundle;
    char *base_images;
    char *confinement;
    int allow_frontends;
    int allow_private_git;
    int64_t workers;
    int64_t loops;
    int64_t pool_size;
    int64_t builds;
    int64_t build_memory_bytes;
    int64_t build_cpu_millis;
    int64_t build_timeout_ms;
    int64_t source_limit_bytes;
    int64_t disk_reserve_bytes;
    int64_t disk_budget_bytes;
    int64_t keep_deployments;
    int64_t resync_ms;
    int64_t log_service_bytes;
    int64_t log_age_ms;
    int64_t drain_ms;
};

extern const struct type config_type;

/* Where each value came from, in field order: "default", "file PATH", "ENCLII_LISTEN", "--listen". */
struct config_origins {
    char **origins;
};

/* Reads `argv` (flags only; the sub-command is gone), the environment and the file. Unknown keys and flags are errors with
 * the nearest name. Relative paths become absolute; defaults that depend on others (store, socket) are filled in. */
struct config *config_read(int argc, char **argv, char **environment, struct config_origins *ret_origins,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
void config_free(struct config *config);
void config_origins_clear(struct config_origins *origins);

/* Key = value # origin, a line each; or a Markdown table for the reference page. */
GString *config_print(const struct config *config, const struct config_origins *origins);
GString *config_reference(void);
bool config_has_role(const struct config *config, const char *role);
