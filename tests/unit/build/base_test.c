/* Base images in a real engine. Assembling takes minutes: only with ENCLII_TEST_LONG, or when they are there already. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "build/pipeline.h"

#define HOST_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

static struct engine *engine;
static char *folder;

static void on_line(const char *line, size_t length, void *arg)
{
    g_test_message("%.*s", (int)length, line);
}

static struct build_options options(void)
{
    bool has_bundle = g_file_test(HOST_BUNDLE, G_FILE_TEST_IS_REGULAR);
    return (struct build_options){.engine = engine,
                                  .engine_endpoint = g_getenv("ENCLII_TEST_ENGINE"),
                                  .work_folder = folder,
                                  .ca_bundle = has_bundle ? HOST_BUNDLE : NULL,
                                  .base_images = "auto",
                                  .installation = "base-test",
                                  .timeout_ms = 900000};
}

static bool is_there(const char *reference)
{
    struct engine_image *image = NULL;
    bool is_there = engine->ops->image_inspect(engine, reference, &image, NULL);
    engine_image_free(image);
    return is_there;
}

static void ensured_image_is_in_the_engine(gconstpointer data)
{
    const char *reference = data;
    g_autoptr(GError) error = NULL;
    struct build_options given = options();
    if (g_getenv("ENCLII_TEST_LONG") == NULL && !is_there(reference)) {
        g_test_skip("assembling takes minutes: set ENCLII_TEST_LONG");
        return;
    }
    bool ok = base_image_ensure(&given, reference, false, on_line, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_true(is_there(reference));
}

/* No registry has it, and it cannot be assembled. */
static void unknown_image_fails_with_the_ways_out(void)
{
    g_autoptr(GError) error = NULL;
    struct build_options given = options();
    g_assert_false(base_image_ensure(&given, "enclii-test.invalid/none:1", false, on_line, NULL, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_BUILD_FAILED);
    g_assert_nonnull(strstr(error->message, "enclii-test.invalid/none:1"));
    g_assert_nonnull(strstr(sy_error_hint(error), "docker load"));
}

static void what_is_no_name_is_refused(void)
{
    static const char *const names[] = {"", "-v", "a b", "a;b", "a\nb", "$X", "../x", NULL};
    struct build_options given = options();
    for (size_t i = 0; names[i] != NULL; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(base_image_ensure(&given, names[i], false, on_line, NULL, NULL, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    }
}

static void cancelled_before_it_begins_makes_nothing(void)
{
    g_autoptr(GError) error = NULL;
    struct build_options given = options();
    int cancelled = 1;
    g_assert_false(base_image_ensure(&given, "enclii-test.invalid/none:2", false, on_line, NULL, &cancelled, &error));
    g_assert_error(error, SY_ERROR, SY_CANCELLED);
}

static gpointer ensure_nobodys(gpointer data)
{
    GError *error = NULL;
    struct build_options given = options();
    g_assert_false(base_image_ensure(&given, "enclii-test.invalid/none:3", false, NULL, NULL, NULL, &error));
    return error;
}

static void those_who_wait_for_one_image_fail_each(void)
{
    GThread *threads[4];
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("ensure", ensure_nobodys, NULL);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_autoptr(GError) error = g_thread_join(threads[i]);
        g_assert_error(error, SY_ERROR, SY_BUILD_FAILED);
    }
}

int main(int argc, char **argv)
{
    static const char *const images[] = {"debian:bookworm-slim",        "debian:12",
                                         "enclii/base-go:bookworm",     "enclii/base-node:bookworm",
                                         "enclii/base-python:bookworm", "enclii/base-c:bookworm",
                                         "enclii/base-static:bookworm"};
    g_test_init(&argc, &argv, NULL);
    if (g_getenv("ENCLII_TEST_ENGINE") == NULL) {
        g_print("1..0 # SKIP ENCLII_TEST_ENGINE names no container engine\n");
        return 0;
    }
    folder = g_dir_make_tmp("enclii-base-XXXXXX", NULL);
    engine = engine_docker_new(g_getenv("ENCLII_TEST_ENGINE"), "base-test", NULL);
    g_test_add_func("/base/unknown_image_fails_with_the_ways_out", unknown_image_fails_with_the_ways_out);
    g_test_add_func("/base/what_is_no_name_is_refused", what_is_no_name_is_refused);
    g_test_add_func("/base/cancelled_before_it_begins_makes_nothing", cancelled_before_it_begins_makes_nothing);
    g_test_add_func("/base/those_who_wait_for_one_image_fail_each", those_who_wait_for_one_image_fail_each);
    for (size_t i = 0; i < G_N_ELEMENTS(images); i++) {
        g_autofree char *name = g_strdup_printf("/base/ensured_image_is_in_the_engine/%zu", i);
        g_test_add_data_func(name, images[i], ensured_image_is_in_the_engine);
    }
    int status = g_test_run();
    g_assert_cmpint(g_rmdir(folder), ==, 0); /* nothing was left in it */
    g_free(folder);
    engine_free(engine);
    return status;
}
