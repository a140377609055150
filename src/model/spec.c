#include "model/spec.h"

#include <string.h>

#include "base/error.h"

static const struct field service_spec_fields[] = {
    {.name = "build",
     .kind = KIND_STRUCT,
     .offset = offsetof(struct service_spec, build),
     .type = &build_spec_type,
     .doc = "folder to build, or {context, dockerfile, target, args, type}"},
    {.name = "image",
     .kind = KIND_STRING,
     .offset = offsetof(struct service_spec, image),
     .minimum = 1,
     .maximum = 512,
     .check = check_printable,
     .doc = "an image to run instead of a build: name@sha256:…"},
    SETTINGS_FIELDS(struct service_spec, settings),
};
const struct type service_spec_type = {
    .name = "ServiceSpec",
    .size = sizeof(struct service_spec),
    .fields = service_spec_fields,
    .n_fields = G_N_ELEMENTS(service_spec_fields),
    .doc = "One service of enclii.yaml.",
};

static const struct field spec_fields[] = {
    {.name = "project",
     .kind = KIND_STRING,
     .offset = offsetof(struct spec, project),
     .flags = FIELD_REQUIRED,
     .minimum = 3,
     .maximum = 50,
     .check = check_slug,
     .doc = "the project's slug"},
    {.name = "services",
     .kind = KIND_MAP,
     .offset = offsetof(struct spec, services),
     .flags = FIELD_REQUIRED,
     .minimum = 1,
     .maximum = 100,
     .type = &service_spec_type,
     .check = check_slug,
     .doc = "by name"},
    {.name = "environments",
     .kind = KIND_JSON,
     .offset = offsetof(struct spec, environments),
     .doc = "per environment and service: settings that differ there"},
};
const struct type spec_type = {
    .name = "Spec",
    .size = sizeof(struct spec),
    .fields = spec_fields,
    .n_fields = G_N_ELEMENTS(spec_fields),
    .doc = "enclii.yaml: a project and its services.",
};

static const char *const reserved[] = {"cron", "autoscale", "egress", "watch", NULL};

static void merge_map(json_t *patch, const char *member, const GPtrArray *map)
{
    json_t *given = json_object_get(patch, member);
    for (guint i = 0; json_is_object(given) && map != NULL && i < map->len; i++) {
        const struct string_pair *pair = g_ptr_array_index(map, i);
        if (json_object_get(given, pair->key) == NULL) {
            json_object_set_new(given, pair->key, json_string(pair->value));
        }
    }
}

static bool apply_json(struct settings *settings, const json_t *overrides, enum decode_mode mode, const char *prefix,
                       GError **error)
{
    json_t *patch = json_deep_copy(overrides);
    merge_map(patch, "env", settings->env);
    merge_map(patch, "volumes", settings->volumes);
    bool ok = contract_decode_at(&settings_type, settings, patch, mode, prefix, error) &&
              settings_check(settings, prefix, error);
    json_decref(patch);
    return ok;
}

bool settings_apply_overrides(struct settings *settings, const char *overrides, const char *prefix, GError **error)
{
    if (overrides == NULL) {
        return true;
    }
    json_t *json = json_parse(overrides, strlen(overrides), error);
    bool ok = json != NULL && apply_json(settings, json, DECODE_PATCH, prefix, error);
    json_decref(json);
    return ok;
}

static bool find_reserved(const json_t *services, const char *prefix, GError **error)
{
    bool is_free = true;
    const char *name;
    json_t *service;
    json_object_foreach((json_t *)services, name, service)
    {
        for (int i = 0; reserved[i] != NULL; i++) {
            if (json_object_get(service, reserved[i]) != NULL) {
                g_autofree char *path = g_strdup_printf("%s.%s.%s", prefix, name, reserved[i]);
                sy_error_add_issue(error, path, "reserved", "is reserved for a later version; remove it for now");
                is_free = false;
            }
        }
    }
    return is_free;
}

/* All at once: who removes one should not be told of the next. */
static bool refuse_reserved(const json_t *spec, GError **error)
{
    bool is_free = find_reserved(json_object_get(spec, "services"), "services", error);
    const char *name;
    json_t *services;
    json_object_foreach(json_object_get(spec, "environments"), name, services)
    {
        g_autofree char *prefix = g_strdup_printf("environments.%s", name);
        is_free = find_reserved(services, prefix, error) && is_free;
    }
    return is_free;
}

/* Text mode decodes plain text, so a patch in it is a DECODE_TEXT over existing values: required
 * members do not occur in Settings, and defaults stay as they are. */
static bool check_override(const struct service_spec *service, const json_t *overrides, enum decode_mode mode,
                           const char *path, struct settings *settings, GError **error)
{
    contract_copy(&settings_type, settings, &service->settings);
    return apply_json(settings, overrides, mode == DECODE_TEXT ? DECODE_TEXT : DECODE_PATCH, path, error);
}

/* Stores the members that were given, decoded, as proper JSON: text "5" of YAML becomes the
 * number 5. */
static json_t *normalise(const struct settings *settings, const json_t *overrides)
{
    g_autofree char *text = contract_encode_text(&settings_type, settings, ENCODE_PUBLIC);
    json_t *all = json_loads(text, 0, NULL);
    json_t *kept = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)overrides, key, value)
    {
        const struct field *field = contract_find(&settings_type, key);
        const json_t *shown = json_object_get(all, key);
        /* It is applied as input again, where 0 is written none. */
        bool is_none = field != NULL && (field->flags & FIELD_NONE_IS_ZERO) != 0 && json_is_integer(shown) &&
                       json_integer_value(shown) == 0;
        json_object_set_new(kept, key, is_none ? json_string("none") : json_incref((json_t *)shown));
    }
    json_decref(all);
    return kept;
}

static bool check_environment(const struct spec *spec, const char *name, const json_t *services, enum decode_mode mode,
                              json_t *out, GError **error)
{
    g_autofree char *path = g_strdup_printf("environments.%s", name);
    const char *rule = check_slug(name);
    if (rule != NULL || !json_is_object(services)) {
        sy_error_add_issue(error, path, "pattern", rule != NULL ? rule : "must be a map of services");
        return false;
    }
    json_t *checked = json_object();
    json_object_set_new(out, name, checked);
    const char *service_name;
    json_t *overrides;
    json_object_foreach((json_t *)services, service_name, overrides)
    {
        g_autofree char *service_path = g_strdup_printf("%s.%s", path, service_name);
        const struct service_spec *service = struct_map_get(spec->services, service_name);
        if (service == NULL || !json_is_object(overrides)) {
            sy_error_add_issue(error, service_path, "unknown",
                               service == NULL ? "is no service of this project" : "must be a map");
            return false;
        }
        struct settings settings;
        bool ok = check_override(service, overrides, mode, service_path, &settings, error);
        if (ok) {
            json_object_set_new(checked, service_name, normalise(&settings, overrides));
        }
        contract_clear(&settings_type, &settings);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool check_environments(struct spec *spec, const json_t *environments, enum decode_mode mode, GError **error)
{
    if (environments == NULL || json_is_null(environments)) {
        return true;
    }
    if (!json_is_object(environments) || json_object_size(environments) > 64) {
        sy_error_add_issue(error, "environments", "type", "must be a map of at most 64 environments");
        return false;
    }
    json_t *out = json_object();
    bool ok = true;
    const char *name;
    json_t *services;
    json_object_foreach((json_t *)environments, name, services)
    {
        ok = ok && check_environment(spec, name, services, mode, out, error);
    }
    char *text = json_dumps(out, JSON_COMPACT | JSON_SORT_KEYS);
    g_free(spec->environments);
    spec->environments = g_strdup(text);
    free(text);
    json_decref(out);
    return ok;
}

static bool check_services(const struct spec *spec, GError **error)
{
    bool ok = true;
    for (guint i = 0; i < spec->services->len; i++) {
        const struct map_entry *entry = g_ptr_array_index(spec->services, i);
        const struct service_spec *service = entry->value;
        g_autofree char *prefix = g_strdup_printf("services.%s", entry->key);
        ok = settings_check(&service->settings, prefix, error) && ok;
        if (service->build.type == BUILD_IMAGE && service->image == NULL) {
            g_autofree char *path = g_strdup_printf("%s.image", prefix);
            sy_error_add_issue(error, path, "required", "is missing: type image needs one");
            ok = false;
        }
    }
    return ok;
}

struct spec *spec_decode(const json_t *json, enum decode_mode mode, GError **error)
{
    g_autoptr(spec_t) spec = contract_new(&spec_type);
    if (!refuse_reserved(json, error) || !contract_decode(&spec_type, spec, json, mode, error) ||
        !check_services(spec, error) || !check_environments(spec, json_object_get(json, "environments"), mode, error)) {
        return NULL;
    }
    return g_steal_pointer(&spec);
}

char *spec_overrides(const struct spec *spec, const char *environment, const char *service)
{
    if (spec->environments == NULL) {
        return NULL;
    }
    json_t *all = json_loads(spec->environments, 0, NULL);
    json_t *found = json_object_get(json_object_get(all, environment), service);
    char *text = found != NULL ? json_dumps(found, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    char *copy = g_strdup(text);
    free(text);
    json_decref(all);
    return copy;
}

void service_spec_build_config(const struct service_spec *spec, struct build_config *ret_config)
{
    contract_copy(&build_config_type, ret_config, &spec->build);
    if (spec->image != NULL) {
        ret_config->type = BUILD_IMAGE;
        g_free(ret_config->image);
        ret_config->image = g_strdup(spec->image);
    }
}
