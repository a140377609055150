/* enclii.yaml: what is taken, and where every refusal points. */
#include <string.h>

#include "base/error.h"
#include "enclii/spec_file.h"
#include "scratch.h"

static struct spec_file *parse(const char *text, GError **error)
{
    return spec_file_parse(text, strlen(text), "enclii.yaml", error);
}

struct refusal {
    const char *name;
    const char *text;
    const char *place; /* of the first finding */
    const char *words;
};

static const struct refusal refusals[] = {
    {"unknown_key", "project: shop\nservices:\n  web:\n    prot: 8080\n", "enclii.yaml:4:5: services.web.prot ",
     "did you mean port?"},
    {"unknown_top_key", "project: shop\nservises: {}\n", "enclii.yaml:2:1: servises ", "services"},
    {"range", "project: shop\nservices:\n  web:\n    port: 70000\n", "enclii.yaml:4:11: services.web.port ", "65535"},
    {"pattern", "project: Shop\nservices:\n  web: {}\n", "enclii.yaml:1:10: project ", "Shop"},
    {"duration", "project: shop\nservices:\n  web:\n    health: {timeout: soon}\n",
     "enclii.yaml:4:23: services.web.health.timeout ", "soon"},
    {"duplicate", "project: shop\nservices:\n  web:\n    port: 80\n    port: 81\n", "enclii.yaml:5:5: ", "port"},
    {"tab", "project: shop\nservices:\n\tweb: {}\n", "enclii.yaml:3:1: ", "tab"},
    {"reserved", "project: shop\nservices:\n  web: {cron: '* * * * *'}\n", "enclii.yaml:3:9: services.web.cron ",
     "later version"},
    {"missing", "services:\n  web: {}\n", "enclii.yaml:1:1: project ", "is missing"},
    {"list_element", "project: shop\nservices:\n  web:\n    secrets:\n      - GOOD\n      - not good\n",
     "enclii.yaml:6:9: services.web.secrets[1] ", "letters"},
    {"override", "project: shop\nservices: {web: {}}\nenvironments:\n  production:\n    web: {replicas: many}\n",
     "enclii.yaml:5:21: environments.production.web.replicas ", "whole number"},
    {"override_of_no_service", "project: shop\nservices: {web: {}}\nenvironments:\n  production: {wbe: {}}\n",
     "enclii.yaml:4:", "is no service"},
    {"alias", "project: shop\nx: &a [1]\ny: *a\n", "enclii.yaml:2:", "anchors"},
    {"tag", "project: !!str shop\n", "enclii.yaml:1:", "tags"},
    {"second_document", "project: shop\nservices: {web: {}}\n---\nproject: shop\n",
     "enclii.yaml:3:1: ", "second document"},
    {"empty", "", "enclii.yaml:1:1: ", "holds nothing"},
    {"only_comments", "# nothing\n", "enclii.yaml:1:1: ", "holds nothing"},
    {"scalar", "hello\n", "enclii.yaml:1:1: ", "must be a map"},
    {"list", "- a\n- b\n", "enclii.yaml:1:1: ", "must be a map"},
    {"open_quote", "project: \"shop\n", "enclii.yaml:", "|"},
    {"open_flow", "project: shop\nservices: {web: {\n", "enclii.yaml:3:1: ", "expected"},
    {"not_utf8", "project: sh\xFFop\n", "enclii.yaml:1:12: ", "UTF-8"},
    {"list_as_key", "project: shop\n? [a, b]\n: c\n", "enclii.yaml:2:", "key"},
};

static void refusal_names_the_place(gconstpointer data)
{
    const struct refusal *refusal = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_file_t) file = parse(refusal->text, &error);
    g_assert_null(file);
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_test_message("%s", error->message);
    if (!g_str_has_prefix(error->message, refusal->place)) {
        g_error("%s does not begin with %s", error->message, refusal->place);
    }
    if (strstr(error->message, refusal->words) == NULL) {
        g_error("%s does not say %s", error->message, refusal->words);
    }
}

static void all_findings_are_told(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_file_t) file =
        parse("project: shop\nservices:\n  web:\n    port: 0\n    replicas: 1000\n    colour: red\n", &error);
    g_assert_null(file);
    for (int line = 4; line <= 6; line++) {
        g_autofree char *place = g_strdup_printf("enclii.yaml:%d:", line);
        g_assert_nonnull(strstr(error->message, place));
    }
}

static void excerpt_marks_the_column(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_file_t) file = parse("project: shop\nservices:\n  web:\n    prot: 8080\n", &error);
    g_assert_null(file);
    g_assert_nonnull(strstr(error->message, "\n      4 |     prot: 8080\n        |     ^"));
}

static void scalars_reach_their_types(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(spec_file_t) file = parse("project: shop\n"
                                        "services:\n"
                                        "  web:\n"
                                        "    build: ./apps/web\n"
                                        "    command: [\"./server\", --fast]\n"
                                        "    port: 9000\n"
                                        "    public: false\n"
                                        "    health: {path: /healthz, grace: 90s}\n"
                                        "    env: {VERSION: 1.10, EMPTY: \"\", YES: yes}\n"
                                        "  worker: {port: none}\n"
                                        "  plain:\n"
                                        "environments:\n"
                                        "  production: {web: {replicas: 5}}\n",
                                        &error);
    g_assert_no_error(error);
    const struct service_spec *web = struct_map_get(file->spec->services, "web");
    g_assert_cmpstr(web->build.context, ==, "./apps/web");
    g_assert_cmpstr(web->settings.command[1], ==, "--fast");
    g_assert_cmpint(web->settings.port, ==, 9000);
    g_assert_cmpint(web->settings.is_public, ==, 0);
    g_assert_cmpint(web->settings.health.grace_ms, ==, 90000);
    g_assert_cmpstr(string_map_get(web->settings.env, "VERSION"), ==, "1.10");
    g_assert_cmpstr(string_map_get(web->settings.env, "YES"), ==, "yes");
    g_assert_cmpstr(string_map_get(web->settings.env, "EMPTY"), ==, "");
    const struct service_spec *worker = struct_map_get(file->spec->services, "worker");
    g_assert_cmpint(worker->settings.port, ==, 0);
    g_autofree char *overrides = spec_overrides(file->spec, "production", "web");
    g_assert_cmpstr(overrides, ==, "{\"replicas\":5}");
}

static void alias_bomb_is_refused_at_once(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        g_string_append_printf(text, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i - 1, i - 1,
                               i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    int64_t start_us = g_get_monotonic_time();
    g_assert_null(parse(text->str, &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, G_USEC_PER_SEC);
}

static void deep_nesting_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new("project: ");
    for (int i = 0; i < 5000; i++) {
        g_string_append_c(text, '[');
    }
    g_assert_null(parse(text->str, &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
}

static void large_file_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strnfill((1 << 20) + 1, '#');
    g_assert_null(parse(text, &error));
    g_assert_error(error, SY_ERROR, SY_TOO_LARGE);
}

static void file_is_found_from_below_but_not_beyond_git(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GError) error = NULL;
    scratch_write(folder, "enclii.yaml", "project: shop\nservices: {web: {}}\n");
    scratch_write(folder, "apps/web/main.go", "");
    scratch_write(folder, "other/.git/HEAD", "ref: refs/heads/main\n");
    g_autofree char *below = g_build_filename(folder, "apps/web", NULL);
    g_autofree char *other = g_build_filename(folder, "other", NULL);
    g_autofree char *expected = g_build_filename(folder, "enclii.yaml", NULL);
    g_autofree char *found = spec_file_find(below, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, expected);
    g_assert_null(spec_file_find(other, &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_nonnull(strstr(sy_error_hint(error), "enclii init"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strdup_printf("/spec_file/refusal_names_the_place/%s", refusals[i].name);
        g_test_add_data_func(path, &refusals[i], refusal_names_the_place);
    }
    g_test_add_func("/spec_file/all_findings_are_told", all_findings_are_told);
    g_test_add_func("/spec_file/excerpt_marks_the_column", excerpt_marks_the_column);
    g_test_add_func("/spec_file/scalars_reach_their_types", scalars_reach_their_types);
    g_test_add_func("/spec_file/alias_bomb_is_refused_at_once", alias_bomb_is_refused_at_once);
    g_test_add_func("/spec_file/deep_nesting_is_refused", deep_nesting_is_refused);
    g_test_add_func("/spec_file/large_file_is_refused", large_file_is_refused);
    g_test_add_func("/spec_file/file_is_found_from_below_but_not_beyond_git",
                    file_is_found_from_below_but_not_beyond_git);
    return g_test_run();
}
