/* The variables of a pair: what holds now, the immutable versions that deployments point at, and what a container gets.
 * All functions that take a tx run inside a store transaction. */
#pragma once

#include "base/secret.h"
#include "switchyard/app.h"

struct configuration_entry {
    char *key;
    struct secret *value;
    bool is_secret;
};

/* Entries sorted by key; the array owns them. */
bool configuration_effective(struct tx *tx, const struct app *app, const char *service_id, const char *environment_id,
                             GPtrArray **ret_entries, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool configuration_load(struct tx *tx, const struct app *app, const char *pair_id, int64_t version,
                        GPtrArray **ret_entries, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The pair's version that holds what is effective now: the last one when nothing changed, else a new one (pair->config_version
 * is set, the row is not written). */
bool configuration_snapshot(struct tx *tx, const struct app *app, struct pair *pair, int64_t now_us,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes what is effective equal to an old version, by rows of the environment, and snapshots it as the newest. */
bool configuration_restore(struct tx *tx, const struct app *app, struct pair *pair, int64_t version, int64_t now_us,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* "K=V" for a container: the settings' env, then the entries, then PORT and what Enclii tells every instance. */
char **configuration_environment(const struct deployment *deployment, const GPtrArray *entries,
                                 const char *service_name, const char *instance_name);

/* SY_SECRET_MISSING names what has no value. */
bool configuration_check_secrets(const struct settings *settings, const GPtrArray *entries,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Replaces the secret values in text; NULL when there is none. */
struct redactor *configuration_redactor(const GPtrArray *entries);

/* The plain value of a variable's row. */
struct secret *variable_open(const struct app *app, const struct variable *variable,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Replaces variable->value by what is stored: sealed when it is secret. */
void variable_seal(const struct app *app, struct variable *variable);
