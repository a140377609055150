#include "switchyard/operations/configuration.h"

#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "logs/redactor.h"

static void entry_free(gpointer data)
{
    struct configuration_entry *entry = data;
    g_free(entry->key);
    secret_free(entry->value);
    g_free(entry);
}

static void add_entry(GPtrArray *entries, const char *key, struct secret *value_take, bool is_secret)
{
    struct configuration_entry *entry = g_new0(struct configuration_entry, 1);
    entry->key = g_strdup(key);
    entry->value = value_take;
    entry->is_secret = is_secret;
    g_ptr_array_add(entries, entry);
}

struct secret *variable_open(const struct app *app, const struct variable *variable, GError **error)
{
    if (variable->is_secret > 0) {
        return box_open_value(app->box, variable->id, variable->key, variable->value, error);
    }
    return secret_new(variable->value, strlen(variable->value));
}

void variable_seal(const struct app *app, struct variable *variable)
{
    if (variable->is_secret > 0) {
        char *sealed = box_seal(app->box, variable->id, variable->key, variable->value);
        secret_string_free(variable->value);
        variable->value = sealed;
    }
}

bool configuration_effective(struct tx *tx, const struct app *app, const char *service_id, const char *environment_id,
                             GPtrArray **ret_entries, GError **error)
{
    g_autoptr(GPtrArray) variables = NULL;
    if (!variable_list_effective(tx, service_id, environment_id, &variables, error)) {
        return false;
    }
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(entry_free);
    for (guint i = 0; i < variables->len; i++) {
        const struct variable *variable = g_ptr_array_index(variables, i);
        struct secret *value = variable_open(app, variable, error);
        if (value == NULL) {
            g_prefix_error(error, "variable %s: ", variable->key);
            return false;
        }
        add_entry(entries, variable->key, value, variable->is_secret > 0);
    }
    *ret_entries = g_steal_pointer(&entries);
    return true;
}

static bool open_entry(const struct app *app, const struct config_version *version, const json_t *json,
                       GPtrArray *entries, GError **error)
{
    const char *key = json_string_value(json_object_get(json, "key"));
    const char *value = json_string_value(json_object_get(json, "value"));
    bool is_secret = json_is_true(json_object_get(json, "is_secret"));
    if (key == NULL || value == NULL) {
        return sy_fail(error, SY_STORE_FAILED, "configuration version %s is damaged", version->id);
    }
    struct secret *plain =
        is_secret ? box_open_value(app->box, version->id, key, value, error) : secret_new(value, strlen(value));
    if (plain == NULL) {
        g_prefix_error(error, "variable %s: ", key);
        return false;
    }
    add_entry(entries, key, plain, is_secret);
    return true;
}

bool configuration_load(struct tx *tx, const struct app *app, const char *pair_id, int64_t version,
                        GPtrArray **ret_entries, GError **error)
{
    g_autoptr(config_version_t) row = NULL;
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(entry_free);
    if (version > 0 && !config_version_find(tx, pair_id, version, &row, error)) {
        return false;
    }
    if (version > 0 && row == NULL) {
        return sy_fail(error, SY_STORE_FAILED, "configuration version %" G_GINT64_FORMAT " is not there", version);
    }
    if (row != NULL) {
        json_t *list = json_loads(row->content, 0, NULL);
        bool ok =
            json_is_array(list) || sy_fail(error, SY_STORE_FAILED, "configuration version %s is damaged", row->id);
        for (size_t i = 0; ok && i < json_array_size(list); i++) {
            ok = open_entry(app, row, json_array_get(list, i), entries, error);
        }
        json_decref(list);
        if (!ok) {
            return false;
        }
    }
    *ret_entries = g_steal_pointer(&entries);
    return true;
}

static bool entries_equal(const GPtrArray *a, const GPtrArray *b)
{
    if (a->len != b->len) {
        return false;
    }
    for (guint i = 0; i < a->len; i++) {
        const struct configuration_entry *left = g_ptr_array_index(a, i);
        const struct configuration_entry *right = g_ptr_array_index(b, i);
        if (strcmp(left->key, right->key) != 0 || left->is_secret != right->is_secret ||
            !secret_equal(left->value, right->value)) {
            return false;
        }
    }
    return true;
}

static char *seal_entries(const struct app *app, const char *version_id, const GPtrArray *entries)
{
    GString *text = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, text);
    json_array_open(&writer);
    for (guint i = 0; i < entries->len; i++) {
        const struct configuration_entry *entry = g_ptr_array_index(entries, i);
        const char *plain = secret_reveal(entry->value);
        g_autofree char *sealed = entry->is_secret ? box_seal(app->box, version_id, entry->key, plain) : NULL;
        json_object_open(&writer);
        json_member_string(&writer, "key", entry->key);
        json_member_string(&writer, "value", sealed != NULL ? sealed : plain);
        json_member_bool(&writer, "is_secret", entry->is_secret);
        json_object_close(&writer);
    }
    json_array_close(&writer);
    return g_string_free(text, FALSE);
}

bool configuration_snapshot(struct tx *tx, const struct app *app, struct pair *pair, int64_t now_us, GError **error)
{
    g_autoptr(GPtrArray) now = NULL;
    g_autoptr(GPtrArray) last = NULL;
    if (!configuration_effective(tx, app, pair->service_id, pair->environment_id, &now, error) ||
        !configuration_load(tx, app, pair->id, pair->config_version, &last, error)) {
        return false;
    }
    if (entries_equal(now, last)) {
        return true;
    }
    g_autoptr(config_version_t) version = contract_new(&config_version_type);
    version->id = uuid_new();
    version->organization_id = g_strdup(pair->organization_id);
    version->pair_id = g_strdup(pair->id);
    version->version = pair->config_version + 1;
    version->content = seal_entries(app, version->id, now);
    version->created_us = now_us;
    if (!config_version_insert(tx, version, error)) {
        return false;
    }
    pair->config_version = version->version;
    return true;
}

static const struct configuration_entry *find_entry(const GPtrArray *entries, const char *key)
{
    for (guint i = 0; i < entries->len; i++) {
        const struct configuration_entry *entry = g_ptr_array_index(entries, i);
        if (strcmp(entry->key, key) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* The environment's own row for a key is written, so that rows which hold for every environment stay as they are. */
static bool put_own_row(struct tx *tx, const struct app *app, const struct pair *pair, const char *key,
                        const struct configuration_entry *entry, int64_t now_us, GError **error)
{
    g_autoptr(variable_t) row = NULL;
    if (!variable_find(tx, pair->service_id, pair->environment_id, key, &row, error)) {
        return false;
    }
    bool is_new = row == NULL;
    if (is_new) {
        row = contract_new(&variable_type);
        row->id = uuid_new();
        row->organization_id = g_strdup(pair->organization_id);
        row->service_id = g_strdup(pair->service_id);
        row->environment_id = g_strdup(pair->environment_id);
        row->key = g_strdup(key);
        row->created_us = now_us;
        row->updated_us = now_us;
        row->revision = 1;
    }
    secret_string_free(row->value);
    row->value = g_strdup(entry != NULL ? secret_reveal(entry->value) : "");
    row->is_secret = entry != NULL && entry->is_secret;
    row->is_removed = entry == NULL;
    variable_seal(app, row);
    return is_new ? variable_insert(tx, row, error) : variable_update(tx, row, now_us, error);
}

bool configuration_restore(struct tx *tx, const struct app *app, struct pair *pair, int64_t version, int64_t now_us,
                           GError **error)
{
    g_autoptr(GPtrArray) now = NULL;
    g_autoptr(GPtrArray) old = NULL;
    if (!configuration_effective(tx, app, pair->service_id, pair->environment_id, &now, error) ||
        !configuration_load(tx, app, pair->id, version, &old, error)) {
        return false;
    }
    for (guint i = 0; i < old->len; i++) {
        const struct configuration_entry *entry = g_ptr_array_index(old, i);
        const struct configuration_entry *current = find_entry(now, entry->key);
        bool same =
            current != NULL && current->is_secret == entry->is_secret && secret_equal(current->value, entry->value);
        if (!same && !put_own_row(tx, app, pair, entry->key, entry, now_us, error)) {
            return false;
        }
    }
    for (guint i = 0; i < now->len; i++) {
        const struct configuration_entry *entry = g_ptr_array_index(now, i);
        if (find_entry(old, entry->key) == NULL && !put_own_row(tx, app, pair, entry->key, NULL, now_us, error)) {
            return false;
        }
    }
    return configuration_snapshot(tx, app, pair, now_us, error);
}

char **configuration_environment(const struct deployment *deployment, const GPtrArray *entries,
                                 const char *service_name, const char *instance_name)
{
    const struct settings *settings = &deployment->value.settings;
    char **environment = NULL;
    for (guint i = 0; settings->env != NULL && i < settings->env->len; i++) {
        const struct string_pair *pair = g_ptr_array_index(settings->env, i);
        environment = g_environ_setenv(environment, pair->key, pair->value, TRUE);
    }
    for (guint i = 0; i < entries->len; i++) {
        const struct configuration_entry *entry = g_ptr_array_index(entries, i);
        environment = g_environ_setenv(environment, entry->key, secret_reveal(entry->value), TRUE);
    }
    if (settings->port > 0) {
        g_autofree char *port = g_strdup_printf("%" G_GINT64_FORMAT, settings->port);
        environment = g_environ_setenv(environment, "PORT", port, TRUE);
    }
    environment = g_environ_setenv(environment, "ENCLII_SERVICE", service_name, TRUE);
    environment = g_environ_setenv(environment, "ENCLII_ENVIRONMENT", deployment->environment, TRUE);
    environment = g_environ_setenv(environment, "ENCLII_RELEASE", deployment->release_version, TRUE);
    environment = g_environ_setenv(environment, "ENCLII_DEPLOYMENT", deployment->version, TRUE);
    return g_environ_setenv(environment, "ENCLII_INSTANCE", instance_name, TRUE);
}

bool configuration_check_secrets(const struct settings *settings, const GPtrArray *entries, GError **error)
{
    for (char **name = settings->secrets; name != NULL && *name != NULL; name++) {
        const struct configuration_entry *entry = find_entry(entries, *name);
        if (entry == NULL || secret_length(entry->value) == 0) {
            sy_fail(error, SY_SECRET_MISSING, "the secret %s has no value in this environment", *name);
            sy_error_set_hint(error, "Set it with: enclii env set --secret %s", *name);
            return false;
        }
    }
    return true;
}

struct redactor *configuration_redactor(const GPtrArray *entries)
{
    g_autoptr(GPtrArray) secrets = g_ptr_array_new();
    for (guint i = 0; i < entries->len; i++) {
        const struct configuration_entry *entry = g_ptr_array_index(entries, i);
        if (entry->is_secret) {
            g_ptr_array_add(secrets, entry->value);
        }
    }
    return secrets->len > 0 ? redactor_new((const struct secret *const *)secrets->pdata, secrets->len) : NULL;
}
