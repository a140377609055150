/* Every folder of examples/ builds, in an engine that has the base images (or ENCLII_TEST_LONG, which makes them). */
#include <string.h>

#include "base/error.h"
#include "trial.h"

#define HOST_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

static const char *examples;

static const struct {
    const char *name, *builder, *base;
} cases[] = {
    {"c-hello", "c", "enclii/base-c:bookworm"},
    {"dockerfile-hello", "dockerfile", "debian:bookworm-slim"},
    {"go-hello", "go", "enclii/base-go:bookworm"},
    {"node-hello", "node", "enclii/base-node:bookworm"},
    {"python-hello", "python", "enclii/base-python:bookworm"},
    {"static-site", "static", "enclii/base-static:bookworm"},
};

static bool is_in_engine(const char *reference)
{
    struct engine_image *image = NULL;
    bool is_there = engine->ops->image_inspect(engine, reference, &image, NULL);
    engine_image_free(image);
    return is_there;
}

/* What switchyard would forward. */
static char **host_variables(void)
{
    char **variables = NULL;
    for (const char *const *name = build_forward_names; *name != NULL; name++) {
        if (g_getenv(*name) != NULL) {
            variables = g_environ_setenv(variables, *name, g_getenv(*name), TRUE);
        }
    }
    return variables;
}

static void example_builds(gconstpointer data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    struct trial trial;
    g_autofree char *folder = g_build_filename(examples, cases[i].name, NULL);
    g_auto(GStrv) variables = host_variables();
    if (g_getenv("ENCLII_TEST_LONG") == NULL && !is_in_engine(cases[i].base)) {
        g_test_skip("its base image is not there and making it takes minutes: set ENCLII_TEST_LONG");
        return;
    }
    trial_begin(&trial);
    trial.options.ca_bundle = g_file_test(HOST_BUNDLE, G_FILE_TEST_IS_REGULAR) ? HOST_BUNDLE : NULL;
    trial.options.forward = (const char *const *)variables;
    trial.options.base_images = "auto";
    trial.options.timeout_ms = 600000;
    trial_pack(&trial, folder);
    int64_t start_us = g_get_monotonic_time();
    trial_run_well(&trial);
    g_test_message("%s: %.1f s, %" G_GINT64_FORMAT " bytes", cases[i].name,
                   (double)(g_get_monotonic_time() - start_us) / 1e6, trial.result.size_bytes);
    g_assert_cmpstr(trial.result.builder, ==, cases[i].builder);
    g_assert_true(trial_has_image(&trial));
    trial_end(&trial);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!trials_begin(NULL)) {
        return 0;
    }
    examples = argv[1];
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/examples/builds/%s", cases[i].name);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), example_builds);
    }
    int status = g_test_run();
    trials_end();
    return status;
}
