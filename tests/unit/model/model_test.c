/* Every type of the model: its table is sound, and what is encoded decodes to the same. */
#include <glib.h>

#include "base/error.h"
#include "base/id.h"
#include "model/deployment.h"
#include "model/domain.h"
#include "model/environment.h"
#include "model/event.h"
#include "model/pair.h"
#include "model/project.h"
#include "model/release.h"
#include "model/reply.h"
#include "model/request.h"
#include "model/spec.h"
#include "model/token.h"
#include "model/variable.h"
#include "model/volume.h"

static const struct type *const all_types[] = {
    &project_type,
    &environment_type,
    &service_type,
    &pair_type,
    &release_type,
    &deployment_type,
    &deployment_value_type,
    &instance_type,
    &variable_type,
    &config_version_type,
    &variables_bulk_type,
    &domain_type,
    &token_type,
    &event_type,
    &volume_type,
    &build_request_type,
    &deploy_request_type,
    &rollback_request_type,
    &scale_request_type,
    &restart_request_type,
    &service_status_type,
    &latest_deployment_type,
    &log_record_type,
    &spec_result_type,
    &build_status_type,
    &doctor_report_type,
    &gc_report_type,
    &spec_type,
    &service_spec_type,
    &settings_type,
    &build_config_type,
    &build_spec_type,
};

/* Fills every field that can hold a value with one that its own rules accept. */
static void fill(const struct type *type, void *object, unsigned depth);

static char *sample_text(const struct field *field)
{
    static const char *const candidates[] = {"web", "/healthz", "/data", "A_B", "web.example.com", NULL};
    if (field->check == check_sha256) {
        return sha256_hex("x", 1);
    }
    if (field->check == NULL) {
        return g_strndup("sample-text-that-is-long-enough-to-be-cut", 3);
    }
    for (int i = 0; candidates[i] != NULL; i++) {
        if (field->check(candidates[i]) == NULL) {
            return g_strdup(candidates[i]);
        }
    }
    return field->check(".") == NULL ? g_strdup(".") : uuid_new();
}

static void fill_field(const struct field *field, void *slot, unsigned depth)
{
    switch (field->kind) {
    case KIND_BOOL:
    case KIND_ENUM:
        *(int *)slot = 1;
        break;
    case KIND_STRING:
        g_free(*(char **)slot);
        *(char **)slot = sample_text(field);
        break;
    case KIND_JSON:
        g_free(*(char **)slot);
        *(char **)slot = g_strdup("{\"a\":1}");
        break;
    case KIND_STRUCT:
        fill(field->type, slot, depth);
        break;
    case KIND_OBJECT:
        if (depth < 3) {
            contract_object_free(*(void **)slot);
            *(void **)slot = contract_new(field->type);
            fill(field->type, *(void **)slot, depth + 1);
        }
        break;
    case KIND_ARRAY: {
        GPtrArray *array = contract_array_new(field->type);
        void *element = contract_new(field->type);
        fill(field->type, element, depth + 1);
        g_ptr_array_add(array, element);
        *(GPtrArray **)slot = array;
        break;
    }
    case KIND_STRINGS:
        g_strfreev(*(char ***)slot);
        *(char ***)slot = g_strsplit("A_B", ",", -1);
        break;
    case KIND_STRING_MAP: {
        GPtrArray *map = string_map_new();
        string_map_set(map, field->check == check_slug ? "data" : "A_B", "/data");
        g_clear_pointer((GPtrArray **)slot, g_ptr_array_unref);
        *(GPtrArray **)slot = map;
        break;
    }
    case KIND_MAP: {
        GPtrArray *map = struct_map_new(field->type);
        void *element = contract_new(field->type);
        fill(field->type, element, depth + 1);
        struct_map_set_take(map, "web", element);
        *(GPtrArray **)slot = map;
        break;
    }
    default:
        *(int64_t *)slot = field->maximum > 0 ? field->maximum : 1000;
    }
}

static void fill(const struct type *type, void *object, unsigned depth)
{
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct field *field = &type->fields[i];
        if ((field->flags & (FIELD_SECRET | FIELD_INTERNAL)) == 0) {
            fill_field(field, (char *)object + field->offset, depth);
        }
    }
}

static void every_type_survives_encode_and_decode(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(all_types); i++) {
        const struct type *type = all_types[i];
        void *object = contract_new(type);
        fill(type, object, 0);
        g_autofree char *text = contract_encode_text(type, object, ENCODE_PUBLIC);
        void *again = contract_new(type);
        GError *error = NULL;
        bool ok = contract_decode_text(type, again, text, strlen(text), DECODE_STORED, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_auto(GStrv) differing = contract_diff(type, object, again);
        g_autofree char *names = g_strjoinv(",", differing);
        g_assert_cmpstr(names, ==, "");
        void *copy = contract_dup(type, object);
        g_assert_true(contract_equal(type, copy, object));
        contract_object_free(copy);
        contract_object_free(object);
        contract_object_free(again);
    }
}

static void every_table_is_sound(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(all_types); i++) {
        const struct type *type = all_types[i];
        for (size_t j = 0; j < type->n_fields; j++) {
            const struct field *field = &type->fields[j];
            g_assert_true(contract_find(type, field->name) == field); /* no name twice */
            g_assert_cmpint(field->minimum, <=, MAX(field->maximum, field->minimum));
            g_assert_cmpuint(field->offset, <, type->size);
        }
    }
}

static void a_finished_state_has_no_way_out(void)
{
    for (int from = RELEASE_READY; from <= RELEASE_CANCELLED; from++) {
        for (int to = 0; to <= RELEASE_CANCELLED; to++) {
            g_assert_false(release_may_become((enum release_status)from, (enum release_status)to));
        }
    }
    for (int from = DEPLOYMENT_FAILED; from <= DEPLOYMENT_CANCELLED; from++) {
        for (int to = 0; to <= DEPLOYMENT_CANCELLED; to++) {
            g_assert_false(deployment_may_become((enum deployment_status)from, (enum deployment_status)to));
        }
    }
    g_assert_true(deployment_may_become(DEPLOYMENT_DEPLOYING, DEPLOYMENT_RUNNING));
    g_assert_false(deployment_may_become(DEPLOYMENT_RUNNING, DEPLOYMENT_FAILED));
}

static struct spec *read_spec(const char *text, GError **error)
{
    json_t *json = json_loads(text, 0, NULL);
    struct spec *spec = spec_decode(json, DECODE_CREATE, error);
    json_decref(json);
    return spec;
}

static void spec_overrides_merge_maps(void)
{
    GError *error = NULL;
    g_autoptr(spec_t) spec =
        read_spec("{\"project\":\"shop\",\"services\":{\"web\":{\"build\":\".\",\"env\":{\"A\":\"1\",\"B\":"
                  "\"2\"}}},"
                  "\"environments\":{\"production\":{\"web\":{\"replicas\":5,\"env\":{\"B\":\"3\"}}}}}",
                  &error);
    g_assert_no_error(error);
    g_autofree char *overrides = spec_overrides(spec, "production", "web");
    const struct service_spec *web = struct_map_get(spec->services, "web");
    struct settings settings;
    contract_copy(&settings_type, &settings, &web->settings);
    g_assert_true(settings_apply_overrides(&settings, overrides, "", &error));
    g_assert_cmpint(settings.replicas, ==, 5);
    g_assert_cmpstr(string_map_get(settings.env, "A"), ==, "1");
    g_assert_cmpstr(string_map_get(settings.env, "B"), ==, "3");
    contract_clear(&settings_type, &settings);
}

/* An environment may make a worker of a service. */
static void spec_overrides_may_say_none(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_t) spec = read_spec("{\"project\":\"shop\",\"services\":{\"web\":{\"build\":\".\"}},"
                                       "\"environments\":{\"production\":{\"web\":{\"port\":\"none\"}}}}",
                                       &error);
    g_assert_no_error(error);
    g_autofree char *overrides = spec_overrides(spec, "production", "web");
    const struct service_spec *web = struct_map_get(spec->services, "web");
    struct settings settings;
    contract_copy(&settings_type, &settings, &web->settings);
    bool ok = settings_apply_overrides(&settings, overrides, "", &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(settings.port, ==, 0);
    contract_clear(&settings_type, &settings);
}

static void spec_findings_name_the_place(void)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{\"project\":\"shop\",\"services\":{\"web\":{\"port\":0}}}", "services.web.port: must be 1..65535"},
        {"{\"project\":\"shop\",\"services\":{\"web\":{\"cron\":\"* *\"}}}",
         "services.web.cron: is reserved for a later version; remove it for now"},
        {"{\"project\":\"shop\",\"services\":{\"web\":{\"helth\":\"/\"}}}",
         "services.web.helth: is not known here; did you mean health?"},
        {"{\"project\":\"shop\",\"services\":{\"web\":{\"replicas\":2,\"volumes\":{\"d\":\"/"
         "data\"}}}}",
         "services.web.replicas: must be 0 or 1 for a service with a volume, which has one writer"},
        {"{\"project\":\"shop\",\"services\":{\"web\":{}},\"environments\":{\"production\":{"
         "\"api\":{}}}}",
         "environments.production.api: is no service of this project"},
        {"{\"project\":\"shop\",\"services\":{\"web\":{}},\"environments\":{\"p\":{\"web\":{"
         "\"replicas\":101}}}}",
         "environments.p.web.replicas: must be 0..100"},
        {"{\"project\":\"shop\",\"services\":{}}", "services: must have 1..100 entries"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        g_assert_null(read_spec(cases[i].text, &error));
        g_assert_cmpstr(error->message, ==, cases[i].message);
        g_error_free(error);
    }
}

static void spec_tells_every_finding_at_once(void)
{
    static const struct {
        const char *text;
        const char *paths;
    } cases[] = {
        {"{\"project\":\"shop\",\"services\":{\"api\":{\"watch\":[]},\"web\":{\"cron\":\"* *\",\"egress\":{}}},"
         "\"environments\":{\"p\":{\"web\":{\"autoscale\":{}}}}}",
         "services.api.watch services.web.cron services.web.egress environments.p.web.autoscale"},
        {"{\"project\":\"shop\",\"services\":{\"api\":{\"env\":{\"PORT\":\"1\"}},\"web\":{\"env\":{\"PORT\":\"2\"}}}}",
         "services.api.env.PORT services.web.env.PORT"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) paths = g_string_new(NULL);
        g_assert_null(read_spec(cases[i].text, &error));
        const GPtrArray *issues = sy_error_issues(error);
        for (guint j = 0; issues != NULL && j < issues->len; j++) {
            const struct sy_issue *issue = g_ptr_array_index(issues, j);
            g_string_append_printf(paths, "%s%s", j > 0 ? " " : "", issue->path);
        }
        g_assert_cmpstr(paths->str, ==, cases[i].paths);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/every_type_survives_encode_and_decode", every_type_survives_encode_and_decode);
    g_test_add_func("/model/every_table_is_sound", every_table_is_sound);
    g_test_add_func("/model/a_finished_state_has_no_way_out", a_finished_state_has_no_way_out);
    g_test_add_func("/model/spec_overrides_merge_maps", spec_overrides_merge_maps);
    g_test_add_func("/model/spec_overrides_may_say_none", spec_overrides_may_say_none);
    g_test_add_func("/model/spec_findings_name_the_place", spec_findings_name_the_place);
    g_test_add_func("/model/spec_tells_every_finding_at_once", spec_tells_every_finding_at_once);
    return g_test_run();
}
