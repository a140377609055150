/* Networks, volumes and images in a real engine. */
#include <string.h>

#include "base/error.h"
#include "contract/contract.h"
#include "fixture.h"

static bool contains(const GPtrArray *strings, const char *text)
{
    return g_ptr_array_find_with_equal_func((GPtrArray *)strings, text, g_str_equal, NULL);
}

/* --- networks ------------------------------------------------------------------------------------------------------------------------- */

static void a_network_is_ensured_once(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const struct engine_ops *ops = fixture.engine->ops;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) conflict = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    const char *const labels[] = {NULL};
    g_autofree char *gateway = g_strdup_printf("%.*s1", (int)strlen(fixture.subnet) - 4, fixture.subnet);
    g_assert_true(ops->network_ensure(fixture.engine, fixture.network, fixture.subnet, gateway, labels, &error));
    g_assert_true(ops->network_list(fixture.engine, &names, &subnets, &error));
    g_assert_cmpuint(names->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(names, 0), ==, fixture.network);
    g_assert_true(contains(subnets, fixture.subnet));
    g_assert_cmpuint(subnets->len, >, 1); /* the engine's own bridge at least */
    g_assert_false(
        ops->network_ensure(fixture.engine, fixture.network, "10.214.0.0/24", "10.214.0.1", labels, &conflict));
    g_assert_error(conflict, SY_ERROR, SY_CONFLICT);
    fixture_end(&fixture);
}

struct racer {
    struct fixture *fixture;
    const char *name, *subnet, *gateway;
};

static gpointer race(gpointer data)
{
    const struct racer *racer = data;
    const char *const labels[] = {NULL};
    g_autoptr(GError) error = NULL;
    racer->fixture->engine->ops->network_ensure(racer->fixture->engine, racer->name, racer->subnet, racer->gateway,
                                                labels, &error);
    g_assert_no_error(error);
    return NULL;
}

static void threads_that_ensure_the_same_network_make_one(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const struct engine_ops *ops = fixture.engine->ops;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    GThread *threads[6];
    g_assert_true(ops->network_remove(fixture.engine, fixture.network, &error));
    g_autofree char *gateway = g_strdup_printf("%.*s1", (int)strlen(fixture.subnet) - 4, fixture.subnet);
    struct racer racer = {&fixture, fixture.network, fixture.subnet, gateway};
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("race", race, &racer);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    g_assert_true(ops->network_list(fixture.engine, &names, &subnets, &error));
    g_assert_cmpuint(names->len, ==, 1);
    fixture_end(&fixture);
}

static void a_foreign_network_is_not_touched(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const struct engine_ops *ops = fixture.engine->ops;
    g_autoptr(GError) ensuring = NULL;
    g_autoptr(GError) removing = NULL;
    const char *const labels[] = {NULL};
    g_autofree char *name = g_strdup_printf("%s-foreign", fixture.prefix);
    g_autofree char *body = g_strdup_printf("{\"Name\":\"%s\",\"Labels\":{\"%s\":\"%s0\"}}", name,
                                            ENGINE_LABEL_INSTALLATION, fixture.installation);
    g_autofree char *made = fixture_ask(&fixture, "POST", "/v1.41/networks/create", body, 201);
    g_assert_false(ops->network_ensure(fixture.engine, name, "10.215.0.0/24", "10.215.0.1", labels, &ensuring));
    g_assert_error(ensuring, SY_ERROR, SY_CONFLICT);
    g_assert_false(ops->network_remove(fixture.engine, name, &removing));
    g_assert_error(removing, SY_ERROR, SY_CONFLICT);
    g_autofree char *target = g_strdup_printf("/v1.41/networks/%s", name);
    g_autofree char *removed = fixture_ask(&fixture, "DELETE", target, NULL, 204);
    fixture_end(&fixture);
}

static void a_network_in_use_stays(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    const char *const stay[] = {"stay", NULL};
    fixture_start(&fixture, "guest", stay);
    g_assert_false(fixture.engine->ops->network_remove(fixture.engine, fixture.network, &error));
    g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    fixture_end(&fixture);
}

static void removing_what_is_not_there_is_success(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    const struct engine_ops *ops = fixture.engine->ops;
    g_assert_true(ops->network_remove(fixture.engine, "enclii-engine-test-none", &error));
    g_assert_true(ops->volume_remove(fixture.engine, "enclii-engine-test-none", &error));
    g_assert_true(ops->instance_remove(fixture.engine, "enclii-engine-test-none", &error));
    g_assert_true(ops->image_remove(fixture.engine, "enclii/engine-test-none:v1", NULL, &error));
    fixture_end(&fixture);
}

/* --- volumes ---------------------------------------------------------------------------------------------------------------------------- */

static char *ensure_volume(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    char *name = g_strdup_printf("%s-volume", fixture->prefix);
    const char *const labels[] = {ENGINE_LABEL_OBJECT "=v-1", NULL};
    fixture->engine->ops->volume_ensure(fixture->engine, name, labels, &error);
    g_assert_no_error(error);
    if (!contains(fixture->volumes, name)) {
        g_ptr_array_add(fixture->volumes, g_strdup(name));
    }
    return name;
}

static void a_volume_is_ensured_and_listed(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autofree char *name = ensure_volume(&fixture);
    g_free(ensure_volume(&fixture));
    g_assert_true(fixture.engine->ops->volume_list(fixture.engine, &names, &error));
    g_assert_cmpuint(names->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(names, 0), ==, name);
    fixture_end(&fixture);
}

static void a_foreign_volume_is_not_touched(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const struct engine_ops *ops = fixture.engine->ops;
    g_autoptr(GError) ensuring = NULL;
    g_autoptr(GError) removing = NULL;
    const char *const labels[] = {NULL};
    g_autofree char *name = g_strdup_printf("%s-foreign", fixture.prefix);
    g_autofree char *body = g_strdup_printf("{\"Name\":\"%s\"}", name);
    g_autofree char *made = fixture_ask(&fixture, "POST", "/v1.41/volumes/create", body, 201);
    g_assert_false(ops->volume_ensure(fixture.engine, name, labels, &ensuring));
    g_assert_error(ensuring, SY_ERROR, SY_CONFLICT);
    g_assert_false(ops->volume_remove(fixture.engine, name, &removing));
    g_assert_error(removing, SY_ERROR, SY_CONFLICT);
    g_autofree char *target = g_strdup_printf("/v1.41/volumes/%s", name);
    g_autofree char *removed = fixture_ask(&fixture, "DELETE", target, NULL, 204);
    fixture_end(&fixture);
}

static char *run_writer(struct fixture *fixture, const char *name, const char *volume, int64_t user)
{
    const char *const write_file[] = {"write", "/var/lib/data/file", NULL};
    struct engine_mount mount = {.volume = (char *)volume, .path = (char *)"/var/lib/data"};
    struct engine_instance_spec spec = fixture_spec(fixture, name, write_file);
    spec.mounts = &mount;
    spec.n_mounts = 1;
    spec.user = user;
    spec.group = user;
    char *log = fixture_run(fixture, &spec);
    g_test_message("%s: %s", name, log);
    return log;
}

static void a_fresh_volume_belongs_to_the_user_of_the_container(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autofree char *volume = ensure_volume(&fixture);
    g_autofree char *first = run_writer(&fixture, "first", volume, 65532);
    g_assert_nonnull(strstr(first, "owner=65532:65532"));
    g_assert_nonnull(strstr(first, "file=ok"));
    fixture_end(&fixture);
}

static void a_volume_keeps_what_was_written_and_its_owner(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autofree char *volume = ensure_volume(&fixture);
    g_autofree char *first = run_writer(&fixture, "first", volume, 4242);
    g_autofree char *second = run_writer(&fixture, "second", volume, 65532);
    g_assert_nonnull(strstr(first, "file=ok"));
    g_assert_nonnull(strstr(second, "owner=4242:4242")); /* it is in use: whoever owns it goes on owning it */
    g_assert_nonnull(strstr(second, "file=Permission denied"));
    fixture_end(&fixture);
}

/* --- images ------------------------------------------------------------------------------------------------------------------------------- */

static void an_image_is_inspected(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    struct engine_image *image = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(fixture.engine->ops->image_inspect(fixture.engine, fixture.image, &image, &error));
    g_assert_true(g_str_has_prefix(image->id, "sha256:"));
    g_assert_cmpint(image->exposed_port, ==, 8080);
    g_assert_cmpint(image->size_bytes, >, 100000);
    g_assert_cmpint(image->created_us, >, 0);
    g_assert_cmpuint(g_strv_length(image->entrypoint), ==, 1);
    g_assert_cmpstr(image->entrypoint[0], ==, "/guest");
    g_assert_cmpuint(g_strv_length(image->command), ==, 2);
    g_assert_cmpstr(image->command[1], ==, "default");
    g_assert_cmpuint(g_strv_length(image->tags), ==, 1);
    engine_image_free(image);
    g_assert_false(fixture.engine->ops->image_inspect(fixture.engine, "enclii/none:v0", &image, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_FOUND);
    fixture_end(&fixture);
}

static void only_the_tag_given_is_removed(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const struct engine_ops *ops = fixture.engine->ops;
    struct engine_image *image = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *repository = fixture_repository(&fixture);
    g_autofree char *second = g_strdup_printf("%s:v2", repository);
    g_autofree char *prefix = engine_image_prefix(fixture.installation);
    g_autoptr(GPtrArray) both = NULL;
    g_autoptr(GPtrArray) one = NULL;
    g_assert_true(ops->image_tag(fixture.engine, fixture.image, repository, "v2", &error));
    g_assert_true(ops->image_list(fixture.engine, prefix, &both, &error));
    g_assert_cmpuint(both->len, ==, 2);
    g_assert_true(contains(both, second));
    g_assert_true(ops->image_remove(fixture.engine, second, fixture.image_id, &error));
    g_assert_true(ops->image_list(fixture.engine, prefix, &one, &error));
    g_assert_cmpuint(one->len, ==, 1);
    g_assert_true(contains(one, fixture.image));
    g_assert_true(ops->image_inspect(fixture.engine, fixture.image, &image, &error));
    engine_image_free(image);
    fixture_end(&fixture);
}

static void an_image_in_use_stays(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    const char *const stay[] = {"stay", NULL};
    fixture_start(&fixture, "guest", stay);
    g_assert_false(fixture.engine->ops->image_remove(fixture.engine, fixture.image, fixture.image_id, &error));
    g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    fixture_end(&fixture);
}

static void a_foreign_image_is_not_touched(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const struct engine_ops *ops = fixture.engine->ops;
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) conflict = NULL;
    g_autofree char *foreign = g_strdup_printf("%s-foreign:v1", fixture.prefix);
    g_autofree char *repository = g_strdup_printf("%s-foreign", fixture.prefix);
    g_autofree char *prefix = engine_image_prefix(fixture.installation);
    g_autoptr(GPtrArray) tags = NULL;
    g_assert_true(ops->image_tag(fixture.engine, fixture.image, repository, "v1", &error));
    g_assert_true(ops->image_list(fixture.engine, prefix, &tags, &error));
    g_assert_false(contains(tags, foreign));
    g_assert_false(ops->image_remove(fixture.engine, foreign, fixture.image_id, &conflict));
    g_assert_error(conflict, SY_ERROR, SY_CONFLICT);
    g_autofree char *target = g_strdup_printf("/v1.41/images/%s", foreign);
    g_autofree char *removed = fixture_ask(&fixture, "DELETE", target, NULL, 200);
    fixture_end(&fixture);
}

/* Anybody can name an image as we do, or move a tag of ours to another image. */
static void a_name_alone_proves_nothing(void)
{
    static const char *const wrong[] = {NULL,
                                        "sha256:0000000000000000000000000000000000000000000000000000000000000000"};
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(fixture.engine->ops->image_remove(fixture.engine, fixture.image, wrong[i], &error));
        g_assert_error(error, SY_ERROR, SY_CONFLICT);
    }
    fixture_end(&fixture);
}

static void a_pull_that_cannot_succeed_says_why(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    /* Nobody listens there. */
    g_assert_false(fixture.engine->ops->image_pull(fixture.engine, "127.0.0.1:1/enclii/none:v1", 20000, &error));
    g_assert_nonnull(strstr(error->message, "127.0.0.1:1/enclii/none:v1"));
    g_assert_true(sy_error_code(error) == SY_ENGINE_FAILED || sy_error_code(error) == SY_NOT_FOUND);
    fixture_end(&fixture);
}

/* --- the engine ------------------------------------------------------------------------------------------------------------------------------ */

static void the_engine_tells_what_it_is(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    struct engine_info info = {0};
    struct engine_stats stats = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(fixture.engine->ops->ping(fixture.engine, &error));
    g_assert_true(fixture.engine->ops->info(fixture.engine, &info, &error));
    g_assert_true(strcmp(info.name, "docker") == 0 || strcmp(info.name, "podman") == 0);
    g_assert_cmpuint(strlen(info.version), >, 0);
    g_assert_true(g_str_has_prefix(info.api_version, "1."));
    g_assert_true(g_str_has_prefix(info.root, "/"));
    g_assert_true(info.runc == NULL || g_ascii_isdigit(info.runc[0]));
    engine_info_clear(&info);
    engine_docker_stats(fixture.engine, &stats);
    g_assert_cmpint(stats.calls, >, 3);
    g_assert_cmpint(stats.failures, ==, 0);
    g_assert_cmpint(stats.us_total, >, 0);
    fixture_end(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/objects/a_network_is_ensured_once", a_network_is_ensured_once);
    g_test_add_func("/objects/threads_that_ensure_the_same_network_make_one",
                    threads_that_ensure_the_same_network_make_one);
    g_test_add_func("/objects/a_foreign_network_is_not_touched", a_foreign_network_is_not_touched);
    g_test_add_func("/objects/a_network_in_use_stays", a_network_in_use_stays);
    g_test_add_func("/objects/removing_what_is_not_there_is_success", removing_what_is_not_there_is_success);
    g_test_add_func("/objects/a_volume_is_ensured_and_listed", a_volume_is_ensured_and_listed);
    g_test_add_func("/objects/a_foreign_volume_is_not_touched", a_foreign_volume_is_not_touched);
    g_test_add_func("/objects/a_fresh_volume_belongs_to_the_user_of_the_container",
                    a_fresh_volume_belongs_to_the_user_of_the_container);
    g_test_add_func("/objects/a_volume_keeps_what_was_written_and_its_owner",
                    a_volume_keeps_what_was_written_and_its_owner);
    g_test_add_func("/objects/an_image_is_inspected", an_image_is_inspected);
    g_test_add_func("/objects/only_the_tag_given_is_removed", only_the_tag_given_is_removed);
    g_test_add_func("/objects/an_image_in_use_stays", an_image_in_use_stays);
    g_test_add_func("/objects/a_foreign_image_is_not_touched", a_foreign_image_is_not_touched);
    g_test_add_func("/objects/a_name_alone_proves_nothing", a_name_alone_proves_nothing);
    g_test_add_func("/objects/a_pull_that_cannot_succeed_says_why", a_pull_that_cannot_succeed_says_why);
    g_test_add_func("/objects/the_engine_tells_what_it_is", the_engine_tells_what_it_is);
    return g_test_run();
}
