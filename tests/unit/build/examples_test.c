/* Every example, from its folder to a running service on a real engine, as the product runs it: unprivileged, read-only. */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/http_client.h"
#include "build/pipeline.h"

#define ANSWER_SECONDS 30
#define MIB (INT64_C(1) << 20)

static struct engine *engine;
static char *installation;

/* --- packing ----------------------------------------------------------------------------------------------------------------- */

static void pack_folder(struct archive *archive, const char *path, const char *name);

static void pack_file(struct archive *archive, const char *path, const char *name)
{
    g_autofree char *bytes = NULL;
    gsize length = 0;
    struct archive_entry *entry = archive_entry_new();
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)length);
    g_assert_cmpint(archive_write_header(archive, entry), ==, ARCHIVE_OK);
    g_assert_cmpint(archive_write_data(archive, bytes, length), ==, (la_ssize_t)length);
    archive_entry_free(entry);
}

static void pack_folder(struct archive *archive, const char *path, const char *name)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *child;
    g_assert_nonnull(folder);
    while ((child = g_dir_read_name(folder)) != NULL) {
        g_autofree char *below = g_build_filename(path, child, NULL);
        g_autofree char *below_name = g_build_filename(name, child, NULL);
        if (g_file_test(below, G_FILE_TEST_IS_DIR)) {
            pack_folder(archive, below, below_name);
        } else {
            pack_file(archive, below, below_name);
        }
    }
}

static char *pack(const char *folder, const char *example)
{
    char *path = g_build_filename(folder, "source.tar", NULL);
    g_autofree char *source = g_build_filename(EXAMPLES, example, NULL);
    struct archive *archive = archive_write_new();
    g_assert_cmpint(archive_write_set_format_pax_restricted(archive), ==, ARCHIVE_OK);
    g_assert_cmpint(archive_write_open_filename(archive, path), ==, ARCHIVE_OK);
    pack_folder(archive, source, ".");
    g_assert_cmpint(archive_write_free(archive), ==, ARCHIVE_OK);
    return path;
}

/* --- running ----------------------------------------------------------------------------------------------------------------- */

static void say(const char *line, size_t length, void *arg)
{
    g_string_append_len(arg, line, (gssize)length);
    g_string_append_c(arg, '\n');
}

/* False while nobody answers there. */
static bool ask(const char *endpoint, const char *target, int *ret_status, char **ret_text)
{
    g_autoptr(http_client_t) client = http_client_new(endpoint, NULL);
    g_auto(http_reply_t) reply = {0};
    const struct http_exchange exchange = {.method = "GET", .target = target, .timeout_ms = 5000};
    if (!http_client_call(client, &exchange, &reply, NULL)) {
        return false;
    }
    *ret_status = reply.status;
    *ret_text = g_strndup(reply.body->str, reply.body->len);
    return true;
}

static void wait_for_health(const char *endpoint)
{
    int64_t deadline_us = g_get_monotonic_time() + ANSWER_SECONDS * G_USEC_PER_SEC;
    int status = 0;
    while (status != 200) {
        g_autofree char *text = NULL;
        g_assert_cmpint(g_get_monotonic_time(), <, deadline_us);
        if (!ask(endpoint, "/healthz", &status, &text)) {
            g_usleep(50 * 1000);
        }
    }
}

static char *start(const char *example, const char *image)
{
    char *id = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *name = g_strdup_printf("enclii-%s-%s", installation, example);
    g_autofree char *label = g_strdup_printf(ENGINE_LABEL_INSTALLATION "=%s", installation);
    const char *const labels[] = {label, ENGINE_LABEL_ROLE "=instance", NULL};
    const char *const env[] = {"PORT=9123", NULL};
    const struct engine_instance_spec spec = {.name = name,
                                              .image = image,
                                              .labels = labels,
                                              .env = env,
                                              .network = "bridge",
                                              .memory_bytes = 256 * MIB,
                                              .cpu_millis = 1000,
                                              .pids = 256,
                                              .user = 65532,
                                              .group = 65532,
                                              .stop_signal = "SIGTERM",
                                              .stop_grace_ms = 30000,
                                              .log_bytes = MIB};
    bool ok =
        engine->ops->instance_create(engine, &spec, &id, &error) && engine->ops->instance_start(engine, id, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return id;
}

static struct engine_instance *inspect(const char *id)
{
    struct engine_instance *instance = NULL;
    g_assert_true(engine->ops->instance_inspect(engine, id, &instance, NULL));
    return instance;
}

/* Answers, says Hello, and ends by itself when it is told to. */
static void assert_serves(const char *example, const char *image)
{
    g_autofree char *id = start(example, image);
    struct engine_instance *running = inspect(id);
    g_autofree char *endpoint = g_strdup_printf("http://%s:9123", running->address);
    g_autofree char *greeting = NULL;
    g_autofree char *missing = NULL;
    int status = 0;
    engine_instance_free(running);
    wait_for_health(endpoint);
    g_assert_true(ask(endpoint, "/", &status, &greeting));
    g_assert_cmpint(status, ==, 200);
    g_assert_nonnull(strstr(greeting, "Hello from "));
    g_assert_nonnull(strstr(greeting, "version 1"));
    g_assert_true(ask(endpoint, "/missing", &status, &missing));
    g_assert_cmpint(status, ==, 404);
    g_assert_true(engine->ops->instance_stop(engine, id, 30000, NULL));
    struct engine_instance *ended = inspect(id);
    g_assert_cmpint(ended->exit_code, ==, 0);
    engine_instance_free(ended);
    g_assert_true(engine->ops->instance_remove(engine, id, NULL));
}

static void builds_serves_and_stops(gconstpointer data)
{
    const char *example = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) log = g_string_new(NULL);
    g_autofree char *folder = g_dir_make_tmp("enclii-examples-XXXXXX", NULL);
    g_autofree char *work = g_build_filename(folder, "work", NULL);
    g_autofree char *archive = pack(folder, example);
    g_autofree char *repository = g_strdup_printf("enclii/%.8s/examples/%s", installation, example);
    struct build_config *config = contract_new(&build_config_type);
    struct build_result result = {0};
    const struct build_options options = {.engine = engine,
                                          .engine_endpoint = g_getenv("ENCLII_TEST_ENGINE"),
                                          .work_folder = work,
                                          .ca_bundle = "/etc/ssl/certs/ca-certificates.crt",
                                          .base_images = "auto",
                                          .installation = installation,
                                          .memory_bytes = 2048 * MIB,
                                          .cpu_millis = 2000,
                                          .timeout_ms = 900000};
    const struct build_job job = {.release_id = "0191b2f4-7c1e-7d3a-8a5e-5d1f6a7b8c9d",
                                  .service = example,
                                  .project = "examples",
                                  .repository = repository,
                                  .tag = "v1",
                                  .archive = archive,
                                  .config = config,
                                  .on_line = say,
                                  .on_line_arg = log};
    bool ok = build_run(&options, &job, &result, &error);
    if (!ok) {
        g_test_message("%s", log->str);
    }
    g_assert_no_error(error);
    g_assert_true(ok);
    assert_serves(example, result.image_uri);
    g_assert_true(engine->ops->image_remove(engine, result.image_uri, NULL, NULL));
    build_result_clear(&result);
    contract_object_free(config);
    g_assert_true(folder_remove(folder, NULL));
}

int main(int argc, char **argv)
{
    static const char *const examples[] = {"c-hello",      "go-hello",    "node-hello",
                                           "python-hello", "static-site", "dockerfile-hello"};
    g_test_init(&argc, &argv, NULL);
    if (g_getenv("ENCLII_TEST_ENGINE") == NULL) {
        g_print("1..0 # SKIP ENCLII_TEST_ENGINE names no container engine\n");
        return 0;
    }
    installation = g_strdup_printf("t%08x", g_random_int());
    engine = engine_docker_new(g_getenv("ENCLII_TEST_ENGINE"), installation, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(examples); i++) {
        g_autofree char *path = g_strconcat("/examples/builds_serves_and_stops/", examples[i], NULL);
        g_test_add_data_func(path, examples[i], builds_serves_and_stops);
    }
    int status = g_test_run();
    engine_free(engine);
    g_free(installation);
    return status;
}
