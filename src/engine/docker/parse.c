#include "engine/docker/parse.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "base/quantity.h"
#include "base/timestamp.h"
#include "contract/contract.h"
#include "engine/docker/parse_internal.h"

#define WORDS_LENGTH 1000

json_t *parse_json(const char *text, size_t length, json_type type, GError **error)
{
    json_t *json = json_parse(text, length, NULL);
    if (json == NULL || json_typeof(json) != type) {
        json_decref(json);
        sy_fail(error, SY_ENGINE_FAILED, "the engine's reply is not what its API says");
        return NULL;
    }
    return json;
}

const char *member_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

int64_t member_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

bool member_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

int64_t member_time(const json_t *object, const char *key)
{
    int64_t time_us = 0;
    return timestamp_parse(member_string(object, key), &time_us) ? time_us : 0;
}

char **member_strings(const json_t *object, const char *key)
{
    const json_t *array = json_object_get(object, key);
    size_t n = json_array_size(array);
    GPtrArray *strings = g_ptr_array_sized_new((guint)MIN(n, 1024) + 1);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (text != NULL) {
            g_ptr_array_add(strings, g_strdup(text));
        }
    }
    g_ptr_array_add(strings, NULL);
    return (char **)g_ptr_array_free(strings, FALSE);
}

/* --- networks and volumes ------------------------------------------------------------------------------------------------------- */

void parse_object_clear(struct parse_object *object)
{
    g_free(object->id);
    g_free(object->name);
    g_free(object->installation);
    g_free(object->subnet);
    g_free(object->created);
    *object = (struct parse_object){0};
}

static const char *subnet_at(const json_t *network, size_t index)
{
    const json_t *configs = json_object_get(json_object_get(network, "IPAM"), "Config");
    return member_string(json_array_get(configs, index), "Subnet");
}

static const char *owner_of(const json_t *object)
{
    return member_string(json_object_get(object, "Labels"), ENGINE_LABEL_INSTALLATION);
}

bool parse_object(const char *text, size_t length, struct parse_object *ret_object, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    *ret_object = (struct parse_object){
        .id = g_strdup(member_string(json, "Id")),
        .name = g_strdup(member_string(json, "Name")),
        .installation = g_strdup(owner_of(json)),
        .subnet = g_strdup(subnet_at(json, 0)),
        .created = g_strdup(member_string(json, "CreatedAt")),
    };
    return true;
}

static void add_named(GPtrArray *names, const json_t *object, const char *installation)
{
    const char *name = member_string(object, "Name");
    if (*name != '\0' && strcmp(owner_of(object), installation) == 0) {
        g_ptr_array_add(names, g_strdup(name));
    }
}

bool parse_networks(const char *text, size_t length, const char *installation, GPtrArray **ret_names,
                    GPtrArray **ret_all_subnets, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_ARRAY, error);
    if (json == NULL) {
        return false;
    }
    *ret_names = g_ptr_array_new_with_free_func(g_free);
    *ret_all_subnets = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *network = json_array_get(json, i);
        const json_t *configs = json_object_get(json_object_get(network, "IPAM"), "Config");
        for (size_t j = 0; j < json_array_size(configs); j++) {
            const char *subnet = subnet_at(network, j);
            if (*subnet != '\0') {
                g_ptr_array_add(*ret_all_subnets, g_strdup(subnet));
            }
        }
        add_named(*ret_names, network, installation);
    }
    return true;
}

bool parse_volumes(const char *text, size_t length, const char *installation, GPtrArray **ret_names, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    *ret_names = g_ptr_array_new_with_free_func(g_free);
    const json_t *volumes = json_object_get(json, "Volumes");
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        add_named(*ret_names, json_array_get(volumes, i), installation);
    }
    return true;
}

/* --- images ------------------------------------------------------------------------------------------------------------------------ */

static int64_t lowest_tcp_port(const json_t *config)
{
    int64_t lowest = 0;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(config, "ExposedPorts"), key, value)
    {
        g_auto(GStrv) parts = g_strsplit(key, "/", 2);
        int64_t port;
        bool is_tcp = parts[0] != NULL && (parts[1] == NULL || strcmp(parts[1], "tcp") == 0);
        if (is_tcp && int_parse(parts[0], 1, 65535, &port) && (lowest == 0 || port < lowest)) {
            lowest = port;
        }
    }
    return lowest;
}

static GPtrArray *labels_of(const json_t *config)
{
    GPtrArray *labels = string_map_new();
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(config, "Labels"), key, value)
    {
        if (json_is_string(value)) {
            string_map_set(labels, key, json_string_value(value));
        }
    }
    return labels;
}

bool parse_image(const char *text, size_t length, struct engine_image **ret_image, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    const json_t *config = json_object_get(json, "Config");
    struct engine_image *image = g_new0(struct engine_image, 1);
    image->id = g_strdup(member_string(json, "Id"));
    image->tags = member_strings(json, "RepoTags");
    image->size_bytes = member_int(json, "Size");
    image->created_us = member_time(json, "Created");
    image->command = member_strings(config, "Cmd");
    image->entrypoint = member_strings(config, "Entrypoint");
    image->user = g_strdup(member_string(config, "User"));
    image->exposed_port = lowest_tcp_port(config);
    image->labels = labels_of(config);
    *ret_image = image;
    return true;
}

/* Podman puts the registry in front of a short name: localhost/enclii/…, docker.io/enclii/… */
static const char *without_registry(const char *tag)
{
    static const char *const registries[] = {"localhost/", "docker.io/library/", "docker.io/"};
    for (size_t i = 0; i < G_N_ELEMENTS(registries); i++) {
        if (g_str_has_prefix(tag, registries[i])) {
            return tag + strlen(registries[i]);
        }
    }
    return tag;
}

bool parse_image_tags(const char *text, size_t length, const char *installation, const char *prefix,
                      GPtrArray **ret_tags, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_ARRAY, error);
    if (json == NULL) {
        return false;
    }
    *ret_tags = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *image = json_array_get(json, i);
        bool is_labelled = strcmp(owner_of(image), installation) == 0;
        g_auto(GStrv) tags = member_strings(image, "RepoTags");
        for (char **tag = tags; *tag != NULL; tag++) {
            const char *name = without_registry(*tag);
            bool is_prefixed = *prefix != '\0' && g_str_has_prefix(name, prefix);
            if ((is_labelled || is_prefixed) && strcmp(name, "<none>:<none>") != 0) {
                g_ptr_array_add(*ret_tags, g_strdup(name));
            }
        }
    }
    return true;
}

/* --- the machine's routes ------------------------------------------------------------------------------------------------------------ */

void parse_routes(const char *text, GPtrArray *subnets)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        unsigned base, mask;
        char address[INET_ADDRSTRLEN];
        /* Both are as in memory, in the order of the network; the heading has no such numbers. */
        if (sscanf(*line, "%*s %8x %*8x %*x %*d %*d %*d %8x", &base, &mask) != 2 || ntohl(mask) < 0xffff0000) {
            continue;
        }
        const struct in_addr in = {.s_addr = base};
        inet_ntop(AF_INET, &in, address, sizeof address);
        g_ptr_array_add(subnets, g_strdup_printf("%s/%d", address, __builtin_popcount(mask)));
    }
}

/* --- the engine itself --------------------------------------------------------------------------------------------------------------- */

void parse_version_clear(struct parse_version *version)
{
    g_free(version->version);
    g_free(version->api_version);
    g_free(version->runc);
    *version = (struct parse_version){0};
}

static bool parse_minor(const char *text, int *ret_minor)
{
    int64_t minor;
    if (!g_str_has_prefix(text, "1.") || !int_parse(text + 2, 0, 9999, &minor)) {
        return false;
    }
    *ret_minor = (int)minor;
    return true;
}

bool parse_version(const char *text, size_t length, struct parse_version *ret_version, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    struct parse_version version = {.has_init = true};
    if (!parse_minor(member_string(json, "ApiVersion"), &version.api_minor)) {
        return sy_fail(error, SY_ENGINE_FAILED, "this is no container engine: it does not tell its API's version");
    }
    if (!parse_minor(member_string(json, "MinAPIVersion"), &version.min_minor)) {
        version.min_minor = 0;
    }
    const json_t *components = json_object_get(json, "Components");
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *component = json_array_get(components, i);
        const char *name = member_string(component, "Name");
        version.is_podman |= g_str_has_prefix(name, "Podman");
        if (version.runc == NULL && strcmp(name, "runc") == 0) {
            version.runc = g_strdup(member_string(component, "Version"));
        }
        version.has_init &= strcmp(name, "docker-init") != 0 || strcmp(member_string(component, "Version"), "N/A") != 0;
    }
    version.version = g_strdup(member_string(json, "Version"));
    version.api_version = g_strdup(member_string(json, "ApiVersion"));
    *ret_version = version;
    return true;
}

bool parse_info(const char *text, size_t length, struct engine_info *info, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    g_auto(GStrv) options = member_strings(json, "SecurityOptions");
    info->root = g_strdup(member_string(json, "DockerRootDir"));
    info->has_cgroup_v2 = strcmp(member_string(json, "CgroupVersion"), "2") == 0;
    info->has_live_restore = member_bool(json, "LiveRestoreEnabled");
    info->is_rootless = member_bool(json, "Rootless");
    for (char **option = options; *option != NULL; option++) {
        info->is_rootless |= strcmp(*option, "name=rootless") == 0 || strcmp(*option, "rootless") == 0;
    }
    return true;
}

/* --- small replies --------------------------------------------------------------------------------------------------------------------- */

void parse_event_clear(struct parse_event *event)
{
    g_free(event->type);
    g_free(event->action);
    g_free(event->id);
    g_free(event->pair);
    g_free(event->installation);
    *event = (struct parse_event){0};
}

bool parse_event(const char *text, size_t length, struct parse_event *ret_event, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    const json_t *actor = json_object_get(json, "Actor");
    const json_t *labels = json_object_get(actor, "Attributes");
    *ret_event = (struct parse_event){
        .type = g_strdup(member_string(json, "Type")),
        .action = g_strdup(member_string(json, "Action")),
        .id = g_strdup(member_string(actor, "ID")),
        .pair = g_strdup(member_string(labels, ENGINE_LABEL_PAIR)),
        .installation = g_strdup(member_string(labels, ENGINE_LABEL_INSTALLATION)),
    };
    return true;
}

bool parse_id(const char *text, size_t length, char **ret_id, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    const char *id = member_string(json, "Id");
    if (*id == '\0') {
        return sy_fail(error, SY_ENGINE_FAILED, "the engine's reply has no Id");
    }
    *ret_id = g_strdup(id);
    return true;
}

bool parse_build_cache(const char *text, size_t length, int64_t *ret_bytes, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    size_t i;
    const json_t *record;
    int64_t sum = 0;
    json_array_foreach(json_object_get(json, "BuildCache"), i, record)
    {
        int64_t size = json_integer_value(json_object_get(record, "Size"));
        sum += CLAMP(size, 0, INT64_MAX / 2 - sum);
    }
    *ret_bytes = sum;
    return true;
}

bool parse_exit_code(const char *text, size_t length, int *ret_exit_code, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_OBJECT, error);
    if (json == NULL) {
        return false;
    }
    const json_t *code = json_object_get(json, "StatusCode");
    if (!json_is_integer(code)) {
        return sy_fail(error, SY_ENGINE_FAILED, "the engine's reply has no StatusCode");
    }
    *ret_exit_code = (int)CLAMP(json_integer_value(code), -1, G_MAXINT);
    return true;
}

bool parse_is_empty(const char *text, size_t length, bool *ret_is_empty, GError **error)
{
    g_autoptr(json_value) json = parse_json(text, length, JSON_ARRAY, error);
    if (json == NULL) {
        return false;
    }
    *ret_is_empty = json_array_size(json) == 0;
    return true;
}

static char *one_line(const char *text, size_t length)
{
    g_autofree char *bytes = g_strndup(text, MIN(length, WORDS_LENGTH));
    char *words = g_utf8_make_valid(bytes, -1);
    for (char *p = words; *p != '\0'; p++) {
        if (g_ascii_iscntrl(*p)) {
            *p = ' ';
        }
    }
    return g_strstrip(words);
}

char *parse_words(const char *text, size_t length)
{
    g_autoptr(json_value) json = json_parse(text, length, NULL);
    const char *words = member_string(json, "message");
    if (*words == '\0') {
        words = member_string(json, "error");
    }
    if (*words != '\0') {
        return one_line(words, strlen(words));
    }
    return length > 0 ? one_line(text, length) : g_strdup("it gave no reason");
}

char *parse_progress_failure(const char *text, size_t length)
{
    g_autoptr(json_value) json = json_parse(text, length, NULL);
    const char *words = member_string(json, "error");
    return *words != '\0' ? one_line(words, strlen(words)) : NULL;
}
