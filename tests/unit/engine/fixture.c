#include "fixture.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/http_client.h"
#include "base/id.h"

#define BLOCK 512

/* --- the engine beside engine.h's back ------------------------------------------------------------------------------------------- */

static char *ask(const struct fixture *fixture, const char *method, const char *target, const char *type,
                 const void *body, size_t length, int status)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(http_client_t) client = http_client_new(fixture->endpoint, &error);
    g_assert_no_error(error);
    const struct http_header headers[] = {{"Content-Type", type}, {NULL, NULL}};
    const struct http_exchange exchange = {.method = method,
                                           .target = target,
                                           .headers = body != NULL ? headers : NULL,
                                           .body = body,
                                           .body_length = length,
                                           .timeout_ms = 60000};
    g_auto(http_reply_t) reply = {0};
    bool ok = http_client_call(client, &exchange, &reply, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    if (reply.status != status) {
        g_test_message("%s %s: %s", method, target, reply.body->str);
    }
    g_assert_cmpint(reply.status, ==, status);
    return g_strdup(reply.body->str);
}

char *fixture_ask(const struct fixture *fixture, const char *method, const char *target, const char *body, int status)
{
    return ask(fixture, method, target, "application/json", body, body != NULL ? strlen(body) : 0, status);
}

/* --- the image ----------------------------------------------------------------------------------------------------------------------- */

static void put_octal(char *field, size_t width, unsigned long value)
{
    g_snprintf(field, width, "%0*lo", (int)width - 1, value);
}

/* A ustar archive (POSIX.1-1988) with one executable file. */
static GString *archive(const char *name, const char *bytes, size_t length)
{
    char head[BLOCK] = {0};
    g_strlcpy(head, name, 100);
    put_octal(head + 100, 8, 0755);
    put_octal(head + 108, 8, 0);
    put_octal(head + 116, 8, 0);
    put_octal(head + 124, 12, length);
    put_octal(head + 136, 12, 0);
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257, "ustar\00000", 8);
    unsigned long sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        sum += (unsigned char)head[i];
    }
    put_octal(head + 148, 7, sum);
    GString *tar = g_string_new_len(head, BLOCK);
    g_string_append_len(tar, bytes, (gssize)length);
    size_t padded = (length + BLOCK - 1) / BLOCK * BLOCK + 2 * BLOCK;
    while (tar->len < BLOCK + padded) {
        g_string_append_c(tar, '\0');
    }
    return tar;
}

char *fixture_repository(const struct fixture *fixture)
{
    g_autofree char *prefix = engine_image_prefix(fixture->installation);
    return g_strconcat(prefix, "test/guest", NULL);
}

static void import_image(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    size_t length = 0;
    g_autofree char *program = file_read(g_getenv("GUEST"), 64 << 20, &length, &error);
    g_assert_no_error(error);
    g_autoptr(GString) tar = archive("guest", program, length);
    g_autofree char *repository = fixture_repository(fixture);
    fixture->image = g_strdup_printf("%s:v1", repository);
    g_autofree char *target = g_strdup_printf(
        "/v1.41/images/create?fromSrc=-&repo=%s&changes=ENTRYPOINT%%20%%5B%%22/guest%%22%%5D"
        "&changes=CMD%%20%%5B%%22say%%22,%%22default%%22%%5D&changes=EXPOSE%%208080&changes=EXPOSE%%2070/udp",
        fixture->image);
    g_autofree char *reply = ask(fixture, "POST", target, "application/x-tar", tar->str, tar->len, 200);
    g_assert_null(strstr(reply, "errorDetail"));
    struct engine_image *image = NULL;
    bool ok = fixture->engine->ops->image_inspect(fixture->engine, fixture->image, &image, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    fixture->image_id = g_steal_pointer(&image->id);
    engine_image_free(image);
}

/* --- begin and end -------------------------------------------------------------------------------------------------------------------- */

/* A /24 that no network of the engine uses. */
static char *free_subnet(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    fixture->engine->ops->network_list(fixture->engine, &names, &subnets, &error);
    g_assert_no_error(error);
    int start = g_random_int_range(0, 200);
    for (int i = 0; i < 200; i++) {
        g_autofree char *subnet = g_strdup_printf("10.213.%d.0/24", (start + i) % 200);
        if (!g_ptr_array_find_with_equal_func(subnets, subnet, g_str_equal, NULL)) {
            return g_steal_pointer(&subnet);
        }
    }
    g_assert_not_reached();
}

static void ensure_network(struct fixture *fixture)
{
    for (int attempt = 0; fixture->network == NULL; attempt++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *subnet = free_subnet(fixture);
        g_autofree char *gateway = g_strdup_printf("%.*s1", (int)strlen(subnet) - 4, subnet);
        g_autofree char *name = g_strdup_printf("%s-net", fixture->prefix);
        const char *const labels[] = {ENGINE_LABEL_ROLE "=network", NULL};
        if (fixture->engine->ops->network_ensure(fixture->engine, name, subnet, gateway, labels, &error)) {
            fixture->network = g_steal_pointer(&name);
            fixture->subnet = g_steal_pointer(&subnet);
        } else if (attempt == 20) { /* another test may have taken the subnet just before */
            g_assert_no_error(error);
        }
    }
}

bool fixture_begin(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    const char *endpoint = g_getenv("ENCLII_TEST_ENGINE");
    *fixture = (struct fixture){0};
    if (endpoint == NULL || *endpoint == '\0') {
        g_test_skip("ENCLII_TEST_ENGINE names no container engine");
        return false;
    }
    fixture->endpoint = g_strdup(endpoint);
    fixture->installation = uuid_new();
    /* The first characters of a UUIDv7 are the time: the last ones tell tests apart. */
    for (int i = 0; i < 8; i++) {
        fixture->installation[i] = fixture->installation[UUID_LENGTH - 8 + i];
    }
    fixture->prefix = g_strdup_printf("enclii-engine-test-%.8s", fixture->installation);
    fixture->containers = g_ptr_array_new_with_free_func(g_free);
    fixture->volumes = g_ptr_array_new_with_free_func(g_free);
    fixture->engine = engine_docker_new(endpoint, fixture->installation, &error);
    g_assert_no_error(error);
    struct engine_info info = {0};
    fixture->engine->ops->info(fixture->engine, &info, &error);
    g_assert_no_error(error);
    fixture->is_podman = strcmp(info.name, "podman") == 0;
    engine_info_clear(&info);
    import_image(fixture);
    ensure_network(fixture);
    return true;
}

void fixture_end(struct fixture *fixture)
{
    const struct engine_ops *ops = fixture->engine->ops;
    g_autoptr(GError) error = NULL;
    for (guint i = 0; i < fixture->containers->len; i++) {
        const char *id = g_ptr_array_index(fixture->containers, i);
        g_assert_true(ops->instance_stop(fixture->engine, id, 0, &error));
        g_assert_true(ops->instance_remove(fixture->engine, id, &error));
    }
    for (guint i = 0; i < fixture->volumes->len; i++) {
        g_assert_true(ops->volume_remove(fixture->engine, g_ptr_array_index(fixture->volumes, i), &error));
    }
    g_assert_true(ops->network_remove(fixture->engine, fixture->network, &error));
    g_assert_true(ops->image_remove(fixture->engine, fixture->image, fixture->image_id, &error));
    g_assert_no_error(error);
    engine_free(fixture->engine);
    g_ptr_array_unref(fixture->containers);
    g_ptr_array_unref(fixture->volumes);
    g_free(fixture->endpoint);
    g_free(fixture->installation);
    g_free(fixture->prefix);
    g_free(fixture->image);
    g_free(fixture->image_id);
    g_free(fixture->network);
    g_free(fixture->subnet);
}

/* --- containers ------------------------------------------------------------------------------------------------------------------------- */

struct engine_instance_spec fixture_spec(const struct fixture *fixture, const char *name, const char *const *command)
{
    static const char *const none[] = {NULL};
    return (struct engine_instance_spec){
        .name = name,
        .image = fixture->image,
        .labels = none,
        .command = command,
        .env = none,
        .network = fixture->network,
        .aliases = none,
        .memory_bytes = 64 << 20,
        .cpu_millis = 1000,
        .pids = 32,
        .user = 65532,
        .group = 65532,
        .add_capabilities = none,
        .stop_signal = "SIGTERM",
        .stop_grace_ms = 2000,
        .log_bytes = 1 << 20,
    };
}

const char *fixture_create(struct fixture *fixture, const struct engine_instance_spec *spec)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *full = g_strdup_printf("%s-%s", fixture->prefix, spec->name);
    struct engine_instance_spec named = *spec;
    char *id = NULL;
    named.name = full;
    fixture->engine->ops->instance_create(fixture->engine, &named, &id, &error);
    g_assert_no_error(error);
    g_ptr_array_add(fixture->containers, id);
    return id;
}

const char *fixture_start(struct fixture *fixture, const char *name, const char *const *command)
{
    g_autoptr(GError) error = NULL;
    struct engine_instance_spec spec = fixture_spec(fixture, name, command);
    const char *id = fixture_create(fixture, &spec);
    fixture->engine->ops->instance_start(fixture->engine, id, &error);
    g_assert_no_error(error);
    return id;
}

int fixture_wait(struct fixture *fixture, const char *id)
{
    g_autoptr(GError) error = NULL;
    int code = -1;
    fixture->engine->ops->instance_wait(fixture->engine, id, 30000, &code, &error);
    g_assert_no_error(error);
    return code;
}

static bool add_line(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg)
{
    g_assert_cmpint(time_us, >, INT64_C(1600000000) * G_USEC_PER_SEC);
    g_string_append(arg, is_stderr ? "err|" : "out|");
    g_string_append_len(arg, line, (gssize)length);
    g_string_append_c(arg, '\n');
    return true;
}

char *fixture_log(struct fixture *fixture, const char *id)
{
    g_autoptr(GError) error = NULL;
    GString *lines = g_string_new(NULL);
    fixture->engine->ops->instance_logs(fixture->engine, id, 0, false, add_line, lines, NULL, &error);
    g_assert_no_error(error);
    return g_string_free(lines, FALSE);
}

void fixture_await_log(struct fixture *fixture, const char *id, const char *text)
{
    int64_t deadline_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    for (;;) {
        g_autofree char *log = fixture_log(fixture, id);
        if (strstr(log, text) != NULL) {
            return;
        }
        if (g_get_monotonic_time() > deadline_us) {
            g_test_message("log: %s", log);
            g_assert_nonnull(strstr(log, text));
        }
        g_usleep(20000);
    }
}

char *fixture_run(struct fixture *fixture, const struct engine_instance_spec *spec)
{
    g_autoptr(GError) error = NULL;
    const char *id = fixture_create(fixture, spec);
    fixture->engine->ops->instance_start(fixture->engine, id, &error);
    g_assert_no_error(error);
    fixture_wait(fixture, id);
    return fixture_log(fixture, id);
}
