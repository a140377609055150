/* Containers: one entry of GET /containers/json, or GET /containers/{id}/json. */
#include <string.h>

#include "engine/docker/parse.h"
#include "engine/docker/parse_internal.h"

static enum engine_state parse_state(const char *text)
{
    static const struct {
        const char *name;
        enum engine_state state;
    } states[] = {
        {"created", ENGINE_CREATED},       {"configured", ENGINE_CREATED}, {"initialized", ENGINE_CREATED},
        {"running", ENGINE_RUNNING},       {"stopping", ENGINE_RUNNING},   {"paused", ENGINE_PAUSED},
        {"restarting", ENGINE_RESTARTING}, {"exited", ENGINE_EXITED},      {"stopped", ENGINE_EXITED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        if (strcmp(text, states[i].name) == 0) {
            return states[i].state;
        }
    }
    return ENGINE_DEAD; /* dead, removing, and whatever is invented later */
}

static char *first_address(const json_t *container)
{
    const char *key;
    json_t *network;
    json_object_foreach(json_object_get(json_object_get(container, "NetworkSettings"), "Networks"), key, network)
    {
        return g_strdup(member_string(network, "IPAddress"));
    }
    return g_strdup("");
}

static char *without_slash(const char *name)
{
    return g_strdup(*name == '/' ? name + 1 : name);
}

static void take_labels(struct engine_instance *instance, const json_t *labels)
{
    instance->installation = g_strdup(member_string(labels, ENGINE_LABEL_INSTALLATION));
    instance->pair = g_strdup(member_string(labels, ENGINE_LABEL_PAIR));
    instance->deployment = g_strdup(member_string(labels, ENGINE_LABEL_DEPLOYMENT));
    instance->instance = g_strdup(member_string(labels, ENGINE_LABEL_INSTANCE));
    instance->role = g_strdup(member_string(labels, ENGINE_LABEL_ROLE));
}

static struct engine_instance *take_listed(const json_t *entry)
{
    struct engine_instance *instance = g_new0(struct engine_instance, 1);
    const char *name = json_string_value(json_array_get(json_object_get(entry, "Names"), 0));
    instance->id = g_strdup(member_string(entry, "Id"));
    instance->name = without_slash(name != NULL ? name : "");
    instance->image_id = g_strdup(member_string(entry, "ImageID"));
    instance->state = parse_state(member_string(entry, "State"));
    instance->address = first_address(entry);
    instance->exit_code = -1;
    int64_t created = member_int(entry, "Created");
    instance->created_us = created > 0 && created < INT64_MAX / G_USEC_PER_SEC ? created * G_USEC_PER_SEC : 0;
    take_labels(instance, json_object_get(entry, "Labels"));
    return instance;
}

bool parse_is_ours(const struct engine_instance *instance, const char *installation)
{
    return strcmp(instance->installation, installation) == 0 && *instance->instance != '\0';
}

bool parse_instances(const char *text, size_t length, const char *installation, GPtrArray **ret_instances,
                     GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_ARRAY, error);
    if (json == NULL) {
        return false;
    }
    *ret_instances = g_ptr_array_new_with_free_func((GDestroyNotify)engine_instance_free);
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct engine_instance *instance = take_listed(json_array_get(json, i));
        if (*instance->id != '\0' && parse_is_ours(instance, installation)) {
            g_ptr_array_add(*ret_instances, instance);
        } else {
            engine_instance_free(instance);
        }
    }
    return true;
}

/* A container that never ran has the code 0, unless its start failed. */
static int exit_code_of(enum engine_state state, int64_t code)
{
    bool has_ended = state == ENGINE_EXITED || state == ENGINE_DEAD || state == ENGINE_RESTARTING ||
                     (state == ENGINE_CREATED && code != 0);
    return has_ended ? (int)CLAMP(code, -1, G_MAXINT) : -1;
}

bool parse_instance(const char *text, size_t length, struct engine_instance **ret_instance, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    const json_t *state = json_object_get(json, "State");
    struct engine_instance *instance = g_new0(struct engine_instance, 1);
    instance->id = g_strdup(member_string(json, "Id"));
    instance->name = without_slash(member_string(json, "Name"));
    instance->image_id = g_strdup(member_string(json, "Image"));
    instance->state = parse_state(member_string(state, "Status"));
    instance->address = first_address(json);
    instance->exit_code = exit_code_of(instance->state, member_int(state, "ExitCode"));
    const char *start_error = member_string(state, "Error");
    instance->start_error = *start_error != '\0' ? parse_words(start_error, strlen(start_error)) : NULL;
    instance->was_oom_killed = member_bool(state, "OOMKilled");
    instance->restarts = member_int(json, "RestartCount");
    instance->created_us = member_time(json, "Created");
    instance->started_us = member_time(state, "StartedAt");
    instance->finished_us = member_time(state, "FinishedAt");
    take_labels(instance, json_object_get(json_object_get(json, "Config"), "Labels"));
    *ret_instance = instance;
    return true;
}
