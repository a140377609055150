/* enclii.yaml and settings: what is refused and why, and what the stored forms of them become. */
#include <glib.h>

#include "base/error.h"
#include "base/id.h"
#include "model/deployment.h"
#include "model/release.h"
#include "model/settings.h"
#include "model/spec.h"

static struct spec *read_spec(const char *text, enum decode_mode mode, GError **error)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    g_assert_nonnull(json);
    struct spec *spec = spec_decode(json, mode, error);
    json_decref(json);
    return spec;
}

#define WEB "{\"project\":\"shop\",\"services\":{\"web\":"

static void specs_of_the_wrong_shape_are_refused(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"[]", "must be a map"},
        {"null", "must be a map"},
        {"{\"project\":\"shop\",\"services\":[]}", "services: must be a map"},
        {"{\"project\":\"shop\",\"services\":{\"web\":[]}}", "services.web: must be a map"},
        {"{\"project\":\"shop\"}", "services: is missing"},
        {WEB "{\"build\":{\"type\":\"image\"}}}}", "services.web.image: is missing: type image needs one"},
        {WEB "{}},\"environments\":[]}", "environments: must be a map of at most 64 environments"},
        {WEB "{}},\"environments\":{\"Production\":{}}}", "environments.Production: must be a DNS label: "},
        {WEB "{}},\"environments\":{\"production\":[]}}", "environments.production: must be a map of services"},
        {WEB "{}},\"environments\":{\"production\":{\"web\":[]}}}", "environments.production.web: must be a map"},
        {WEB "{}},\"environments\":{\"production\":{\"web\":null}}}", "environments.production.web: must be a map"},
        {WEB "{}},\"environments\":{\"production\":{\"web\":{\"build\":\".\"}}}}",
         "environments.production.web.build: is not known here; known are "},
        {WEB "{\"volumes\":{\"data\":\"/data\"}}},\"environments\":{\"production\":{\"web\":{\"replicas\":2}}}}",
         "environments.production.web.replicas: must be 0 or 1 for a service with a volume, which has one writer"},
        {WEB "{}},\"environments\":{\"production\":{\"web\":{\"env\":[]}}}}",
         "environments.production.web.env: must be a map of names to strings"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(read_spec(cases[i].text, DECODE_CREATE, &error));
        g_assert_cmpint((int)sy_error_code(error), ==, SY_INVALID_INPUT);
        g_autofree char *begin = g_strndup(error->message, strlen(cases[i].message));
        g_assert_cmpstr(begin, ==, cases[i].message);
    }
}

static void too_many_environments_are_refused(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(WEB "{}},\"environments\":{");
    for (int i = 0; i < 65; i++) {
        g_string_append_printf(text, "%s\"e%d\":{}", i > 0 ? "," : "", i);
    }
    g_string_append(text, "}}");
    g_assert_null(read_spec(text->str, DECODE_CREATE, &error));
    g_assert_cmpstr(error->message, ==, "environments: must be a map of at most 64 environments");
}

static void a_spec_without_environments_has_no_overrides(void)
{
    static const char *const texts[] = {WEB "{}}}", WEB "{}},\"environments\":null}", WEB "{}},\"environments\":{}}",
                                        WEB "{}},\"environments\":{\"production\":{}}}"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(spec_t) spec = read_spec(texts[i], DECODE_CREATE, &error);
        g_assert_no_error(error);
        g_autofree char *overrides = spec_overrides(spec, "production", "web");
        g_assert_null(overrides);
        g_assert_true(settings_apply_overrides(NULL, overrides, "", &error)); /* nothing to change */
        g_assert_no_error(error);
    }
}

/* YAML gives text; what is stored, and applied to a later service, is numbers. */
static void overrides_given_as_text_are_stored_as_json(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_t) spec = read_spec(
        WEB "{\"replicas\":\"2\"}},\"environments\":{\"production\":{\"web\":{\"replicas\":\"5\",\"public\":\"false\","
            "\"health\":\"/up\",\"stop\":{\"grace\":\"1m\"}}}}}",
        DECODE_TEXT, &error);
    g_assert_no_error(error);
    g_autofree char *overrides = spec_overrides(spec, "production", "web");
    json_t *json = json_loads(overrides, 0, NULL);
    g_assert_cmpint(json_integer_value(json_object_get(json, "replicas")), ==, 5);
    g_assert_true(json_is_false(json_object_get(json, "public")));
    g_assert_cmpuint(json_object_size(json), ==, 4);
    json_decref(json);

    const struct service_spec *web = struct_map_get(spec->services, "web");
    g_assert_cmpint(web->settings.replicas, ==, 2);
    struct settings settings;
    contract_copy(&settings_type, &settings, &web->settings);
    bool ok = settings_apply_overrides(&settings, overrides, "", &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(settings.replicas, ==, 5);
    g_assert_cmpint(settings.is_public, ==, 0);
    g_assert_cmpstr(settings.health.path, ==, "/up");
    g_assert_cmpint(settings.stop.grace_ms, ==, 60000);
    contract_clear(&settings_type, &settings);
}

/* Settings of the service may have changed since the overrides were stored: they are judged together, and with their place. */
static void overrides_are_judged_with_the_settings_they_change(void)
{
    static const struct {
        const char *overrides;
        const char *message;
    } cases[] = {
        {"{\"replicas\":2}",
         "environments.p.web.replicas: must be 0 or 1 for a service with a volume, which has one writer"},
        {"{\"port\":\"none\",\"domains\":[\"shop.example.com\"]}",
         "environments.p.web.domains: need a port to route to; remove them, or set port"},
        {"{\"port\":\"none\",\"health\":\"/up\"}",
         "environments.p.web.health.path: needs a port to ask; remove it, or set port"},
        {"{\"env\":{\"PORT\":\"1\"}}", "environments.p.web.env.PORT: is set from port; remove it here"},
        {"[]", "environments.p.web: must be a map"},
        {"{\"replicas\":", "line 1, column 12: "},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        struct settings settings;
        contract_init(&settings_type, &settings);
        settings.volumes = string_map_new();
        string_map_set(settings.volumes, "data", "/data");
        g_assert_false(settings_apply_overrides(&settings, cases[i].overrides, "environments.p.web", &error));
        g_autofree char *begin = g_strndup(error->message, strlen(cases[i].message));
        g_assert_cmpstr(begin, ==, cases[i].message);
        contract_clear(&settings_type, &settings);
    }
}

/* NULL when the settings are fine, else the finding. */
static char *finding_of_volumes(const char *first, const char *second)
{
    g_autoptr(GError) error = NULL;
    struct settings settings;
    contract_init(&settings_type, &settings);
    settings.volumes = string_map_new();
    string_map_set(settings.volumes, "a", first);
    if (second != NULL) {
        string_map_set(settings.volumes, "b", second);
    }
    bool ok = settings_check(&settings, "", &error);
    g_assert_true(ok == (error == NULL));
    contract_clear(&settings_type, &settings);
    return ok ? NULL : g_strdup(error->message);
}

static void volumes_are_refused_where_they_would_break_the_instance(void)
{
    static const char *const wrong[] = {"/tmp", "/proc", "/proc/1", "/sys", "/sys/fs", "/dev", "/dev/shm"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *finding = finding_of_volumes(wrong[i], NULL);
        g_assert_cmpstr(finding, ==, "volumes.a: must not be /tmp, /proc, /sys or /dev");
    }
    g_autofree char *relative = finding_of_volumes("data", NULL);
    g_assert_cmpstr(relative, ==, "volumes.a: must be an absolute path without . and .., such as /data");
    static const char *const fine[] = {"/data", "/tmp/cache", "/tmpfiles", "/system", "/devices", "/processed"};
    for (size_t i = 0; i < G_N_ELEMENTS(fine); i++) {
        g_autofree char *finding = finding_of_volumes(fine[i], NULL);
        g_assert_cmpstr(finding, ==, NULL);
    }
}

/* No engine starts such an instance. */
static void two_volumes_at_one_path_are_refused(void)
{
    g_autofree char *same = finding_of_volumes("/data", "/data");
    g_assert_cmpstr(same, ==, "volumes.b: must not be the path of another volume");
    g_autofree char *within = finding_of_volumes("/data", "/data/uploads");
    g_assert_cmpstr(within, ==, NULL);
}

static void exceptions_from_the_hardened_defaults_are_told(void)
{
    struct settings settings;
    contract_init(&settings_type, &settings);
    g_auto(GStrv) none = settings_exceptions(&settings);
    g_assert_cmpuint(g_strv_length(none), ==, 0);
    settings.security.user = 0;
    settings.security.is_read_only = 0;
    g_auto(GStrv) both = settings_exceptions(&settings);
    g_autofree char *words = g_strjoinv("; ", both);
    g_assert_cmpstr(words, ==, "runs as user 0; its root file system is writable");
    contract_clear(&settings_type, &settings);
}

static void an_image_is_no_build(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_t) spec =
        read_spec("{\"project\":\"shop\",\"services\":{\"db\":{\"image\":\"registry.example/db@sha256:1\"},"
                  "\"web\":{\"build\":\"./apps/web\"}}}",
                  DECODE_CREATE, &error);
    g_assert_no_error(error);
    struct build_config config;
    service_spec_build_config(struct_map_get(spec->services, "db"), &config);
    g_assert_cmpint((int)config.type, ==, BUILD_IMAGE);
    g_assert_cmpstr(config.image, ==, "registry.example/db@sha256:1");
    contract_clear(&build_config_type, &config);
    service_spec_build_config(struct_map_get(spec->services, "web"), &config);
    g_assert_cmpint((int)config.type, !=, BUILD_IMAGE);
    g_assert_cmpstr(config.context, ==, "./apps/web");
    g_assert_null(config.image);
    contract_clear(&build_config_type, &config);
}

static char *template_with(void (*change)(struct deployment_value *), const char *salt)
{
    g_autoptr(GError) error = NULL;
    struct deployment_value *value = contract_new(&deployment_value_type);
    change(value);
    char *template = deployment_template(value, salt);
    contract_object_free(value);
    g_assert_true(sha256_hex_is_valid(template));
    return template;
}

static void change_nothing(struct deployment_value *value)
{
}

static void change_what_instances_do_not_see(struct deployment_value *value)
{
    value->settings.replicas = 7;
    value->settings.is_public = 0;
    value->settings.domains = g_strsplit("shop.example.com", ",", -1);
    value->settings.release = g_strsplit("./migrate", ",", -1);
}

static void change_the_memory(struct deployment_value *value)
{
    value->settings.resources.memory_bytes = 64 << 20;
}

/* Equal templates share their instances: to scale or to route is no reason to start new ones; other limits and another key are. */
static void the_template_is_of_what_an_instance_sees(void)
{
    g_autofree char *base = template_with(change_nothing, "salt");
    g_autofree char *routed = template_with(change_what_instances_do_not_see, "salt");
    g_autofree char *smaller = template_with(change_the_memory, "salt");
    g_autofree char *salted = template_with(change_nothing, "other");
    g_assert_cmpstr(routed, ==, base);
    g_assert_cmpstr(smaller, !=, base);
    g_assert_cmpstr(salted, !=, base);
}

static void a_release_has_its_image_until_it_is_collected_or_lost(void)
{
    struct release *release = contract_new(&release_type);
    release->status = RELEASE_READY;
    g_assert_true(release_has_image(release));
    release->image_removed_us = 1;
    g_assert_false(release_has_image(release));
    release->image_removed_us = CONTRACT_ABSENT;
    release->image_lost_us = 1;
    g_assert_false(release_has_image(release));
    release->image_lost_us = CONTRACT_ABSENT;
    release->status = RELEASE_FAILED;
    g_assert_false(release_has_image(release));
    contract_object_free(release);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/model/spec/" #name, name)
    TEST(specs_of_the_wrong_shape_are_refused);
    TEST(too_many_environments_are_refused);
    TEST(a_spec_without_environments_has_no_overrides);
    TEST(overrides_given_as_text_are_stored_as_json);
    TEST(overrides_are_judged_with_the_settings_they_change);
    TEST(volumes_are_refused_where_they_would_break_the_instance);
    TEST(two_volumes_at_one_path_are_refused);
    TEST(exceptions_from_the_hardened_defaults_are_told);
    TEST(an_image_is_no_build);
    TEST(the_template_is_of_what_an_instance_sees);
    TEST(a_release_has_its_image_until_it_is_collected_or_lost);
    return g_test_run();
}
