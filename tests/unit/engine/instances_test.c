/* Containers in a real engine: hardening, life, ownership. */
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "fixture.h"

static const char *const stay[] = {"stay", NULL};

static void a_container_is_hardened(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const report[] = {"report", NULL};
    const char *const env[] = {"TOKEN=quite \"secret\"", NULL};
    struct engine_instance_spec spec = fixture_spec(&fixture, "hard", report);
    spec.env = env;
    g_autofree char *log = fixture_run(&fixture, &spec);
    static const char *const expected[] = {
        "out|uid=65532\n",
        "out|gid=65532\n",
        "out|is_first=0\n",
        "out|CapEff=0000000000000000\n",
        "out|CapBnd=0000000000000000\n",
        "out|NoNewPrivs=1\n",
        "out|Seccomp=2\n",
        "out|root=Read-only file system\n",
        "out|temp=ok\n",
        "out|mount=Operation not permitted\n",
        "out|token=quite \"secret\"\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        if (strstr(log, expected[i]) == NULL) {
            g_test_message("no %s in\n%s", expected[i], log);
            g_test_fail();
        }
    }
    const char *tmp = strstr(log, "out|tmp=");
    g_assert_nonnull(tmp);
    g_autofree char *options = g_strndup(tmp, strcspn(tmp, "\n"));
    g_assert_nonnull(strstr(options, "nosuid"));
    g_assert_nonnull(strstr(options, "nodev"));
    g_assert_nonnull(strstr(options, "size=32768k"));
    const char *files = strstr(log, "nofile=");
    g_assert_cmpint(g_ascii_strtoll(files + strlen("nofile="), NULL, 10), <=, 20000);
    fixture_end(&fixture);
}

static void limits_reach_the_engine(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const capabilities[] = {"CAP_CHOWN", NULL};
    struct engine_instance_spec spec = fixture_spec(&fixture, "limits", stay);
    spec.restarts = true;
    spec.is_root_writable = true;
    spec.add_capabilities = capabilities;
    spec.cpu_millis = 250;
    spec.stop_signal = "SIGUSR1";
    spec.stop_grace_ms = 7400;
    const char *id = fixture_create(&fixture, &spec);
    g_autofree char *target = g_strdup_printf("/v1.41/containers/%s/json", id);
    g_autofree char *json = fixture_ask(&fixture, "GET", target, NULL, 200);
    static const struct {
        const char *text;
        bool is_docker_only; /* Podman's reply does not have it, or writes it otherwise */
    } expected[] = {
        {"\"Memory\":67108864,"},
        {"\"MemorySwap\":67108864,"},
        {"\"NanoCpus\":250000000,"},
        {"\"PidsLimit\":32,"},
        {"\"ReadonlyRootfs\":false,"},
        {"\"Name\":\"unless-stopped\""},
        {"\"max-size\":\"524288\"", true},
        {"\"max-file\":\"2\"", true},
        {"\"StopSignal\":\"SIGUSR1\"", true},
        {"\"StopTimeout\":8"},
        {"\"Init\":true"},
        {"CHOWN\"]", true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        bool is_expected = !fixture.is_podman || !expected[i].is_docker_only;
        if (is_expected && strstr(json, expected[i].text) == NULL) {
            g_test_message("no %s in\n%s", expected[i].text, json);
            g_test_fail();
        }
    }
    fixture_end(&fixture);
}

static void number_of_processes_is_bounded(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const fork_many[] = {"fork", NULL};
    struct engine_instance_spec spec = fixture_spec(&fixture, "fork", fork_many);
    g_autofree char *log = fixture_run(&fixture, &spec);
    const char *forked = strstr(log, "forked=");
    g_assert_nonnull(forked);
    int64_t n = g_ascii_strtoll(forked + strlen("forked="), NULL, 10);
    g_assert_cmpint(n, >, 10);
    g_assert_cmpint(n, <, 32);
    fixture_end(&fixture);
}

static void exit_code_is_told(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const leave[] = {"exit", "37", NULL};
    struct engine_instance *instance = NULL;
    g_autoptr(GError) error = NULL;
    const char *id = fixture_start(&fixture, "exit", leave);
    g_assert_cmpint(fixture_wait(&fixture, id), ==, 37);
    g_assert_true(fixture.engine->ops->instance_inspect(fixture.engine, id, &instance, &error));
    g_assert_cmpint(instance->state, ==, ENGINE_EXITED);
    g_assert_cmpint(instance->exit_code, ==, 37);
    g_assert_false(instance->was_oom_killed);
    g_assert_cmpstr(instance->address, ==, "");
    g_assert_cmpint(instance->created_us, >, 0);
    g_assert_cmpint(instance->started_us, >=, instance->created_us);
    g_assert_cmpint(instance->finished_us, >=,
                    instance->created_us); /* the engine notes the start when it gets round to it */
    engine_instance_free(instance);
    fixture_end(&fixture);
}

static void running_out_of_memory_is_told(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const eat[] = {"eat", "200", NULL};
    struct engine_instance *instance = NULL;
    g_autoptr(GError) error = NULL;
    const char *id = fixture_start(&fixture, "oom", eat);
    g_assert_cmpint(fixture_wait(&fixture, id), ==, 128 + SIGKILL);
    g_assert_true(fixture.engine->ops->instance_inspect(fixture.engine, id, &instance, &error));
    g_assert_true(instance->was_oom_killed || fixture.is_podman); /* Podman 4.3 does not notice it on cgroup v1 */
    engine_instance_free(instance);
    fixture_end(&fixture);
}

static void creating_twice_gives_the_same_container(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    struct engine_instance_spec spec = fixture_spec(&fixture, "twice", stay);
    g_autofree char *first = g_strdup(fixture_create(&fixture, &spec));
    g_assert_cmpstr(fixture_create(&fixture, &spec), ==, first);
    fixture_end(&fixture);
}

static void starting_and_stopping_may_be_repeated(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const struct engine_ops *ops = fixture.engine->ops;
    g_autoptr(GError) error = NULL;
    const char *id = fixture_start(&fixture, "repeat", stay);
    g_assert_true(ops->instance_start(fixture.engine, id, &error));
    fixture_await_log(&fixture, id, "out|ready");
    for (int i = 0; i < 2; i++) {
        g_assert_true(ops->instance_stop(fixture.engine, id, 5000, &error));
    }
    g_assert_cmpint(fixture_wait(&fixture, id), ==, 0);
    g_autofree char *log = fixture_log(&fixture, id);
    g_assert_nonnull(strstr(log, "out|got TERM"));
    for (int i = 0; i < 2; i++) {
        g_assert_true(ops->instance_remove(fixture.engine, id, &error));
    }
    g_assert_true(ops->instance_stop(fixture.engine, id, 5000, &error)); /* gone is stopped */
    g_assert_no_error(error);
    g_assert_false(ops->instance_start(fixture.engine, id, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_FOUND);
    fixture_end(&fixture);
}

static void who_ignores_the_signal_is_killed_after_the_grace(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    const char *const stubborn[] = {"stubborn", NULL};
    g_autoptr(GError) error = NULL;
    const char *id = fixture_start(&fixture, "stubborn", stubborn);
    fixture_await_log(&fixture, id, "out|ready");
    int64_t start_us = g_get_monotonic_time();
    g_assert_true(fixture.engine->ops->instance_stop(fixture.engine, id, 1500, &error));
    int64_t took_us = g_get_monotonic_time() - start_us;
    g_assert_cmpint(took_us, >=, 1500 * 1000);
    g_assert_cmpint(took_us, <, 15 * G_USEC_PER_SEC);
    g_assert_cmpint(fixture_wait(&fixture, id), ==, 128 + SIGKILL);
    fixture_end(&fixture);
}

static void the_stop_signal_is_the_one_asked_for(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct engine_instance_spec spec = fixture_spec(&fixture, "signal", stay);
    spec.stop_signal = "SIGUSR1";
    const char *id = fixture_create(&fixture, &spec);
    g_assert_true(fixture.engine->ops->instance_start(fixture.engine, id, &error));
    fixture_await_log(&fixture, id, "out|ready");
    g_assert_true(fixture.engine->ops->instance_stop(fixture.engine, id, 5000, &error));
    g_assert_cmpint(fixture_wait(&fixture, id), ==, 3);
    fixture_end(&fixture);
}

static void waiting_has_an_end(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    int code = -7;
    const char *id = fixture_start(&fixture, "wait", stay);
    g_assert_false(fixture.engine->ops->instance_wait(fixture.engine, id, 300, &code, &error));
    g_assert_error(error, SY_ERROR, SY_TIMEOUT);
    g_assert_cmpint(code, ==, -7);
    fixture_end(&fixture);
}

static void a_running_container_is_not_removed(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    const char *id = fixture_start(&fixture, "running", stay);
    g_assert_false(fixture.engine->ops->instance_remove(fixture.engine, id, &error));
    g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    fixture_end(&fixture);
}

static void a_missing_image_is_refused_in_words(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *id = NULL;
    struct engine_instance_spec spec = fixture_spec(&fixture, "enclii-test-no-image", stay);
    spec.image = "enclii/no-such-image:v1";
    g_assert_false(fixture.engine->ops->instance_create(fixture.engine, &spec, &id, &error));
    g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_nonnull(strstr(error->message, "no-such-image"));
    fixture_end(&fixture);
}

static void an_address_outside_the_subnet_is_refused_in_words(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    struct engine_instance_spec spec = fixture_spec(&fixture, "bad-address", stay);
    spec.address = "10.99.99.99"; /* outside of the subnet */
    g_autofree char *name = g_strdup_printf("%s-bad-address", fixture.prefix);
    char *id = NULL;
    spec.name = name;
    bool ok = fixture.engine->ops->instance_create(fixture.engine, &spec, &id, &error);
    if (ok) {
        g_ptr_array_add(fixture.containers, id);
        ok = fixture.engine->ops->instance_start(fixture.engine, id, &error);
    }
    g_assert_false(ok);
    g_assert_error(error, SY_ERROR, SY_ENGINE_FAILED);
    g_assert_cmpuint(strlen(error->message), >, 10);
    fixture_end(&fixture);
}

static bool lists(struct fixture *fixture, const char *id)
{
    g_autoptr(GPtrArray) instances = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(fixture->engine->ops->instance_list(fixture->engine, &instances, &error));
    for (guint i = 0; i < instances->len; i++) {
        const struct engine_instance *instance = g_ptr_array_index(instances, i);
        g_assert_cmpstr(instance->installation, ==, fixture->installation);
        if (strcmp(instance->id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* A container that looks like ours: our names, labels like ours, but not made by this installation. */
static char *make_foreign(struct fixture *fixture, const char *name, const char *labels)
{
    g_autofree char *target = g_strdup_printf("/v1.41/containers/create?name=%s-%s", fixture->prefix, name);
    g_autofree char *body =
        g_strdup_printf("{\"Image\":\"%s\",\"Cmd\":[\"stay\"],\"Labels\":%s}", fixture->image, labels);
    g_autofree char *reply = fixture_ask(fixture, "POST", target, body, 201);
    const char *id = strstr(reply, "\"Id\":\"");
    g_assert_nonnull(id);
    return g_strndup(id + strlen("\"Id\":\""), 64);
}

static void check_untouchable(struct fixture *fixture, const char *name, const char *id)
{
    const struct engine_ops *ops = fixture->engine->ops;
    g_autofree char *full = g_strdup_printf("%s-%s", fixture->prefix, name);
    const char *const handles[] = {id, full};
    for (size_t i = 0; i < G_N_ELEMENTS(handles); i++) {
        g_autoptr(GError) starting = NULL;
        g_autoptr(GError) stopping = NULL;
        g_autoptr(GError) removing = NULL;
        g_assert_false(ops->instance_start(fixture->engine, handles[i], &starting));
        g_assert_error(starting, SY_ERROR, SY_CONFLICT);
        g_assert_false(ops->instance_stop(fixture->engine, handles[i], 0, &stopping));
        g_assert_error(stopping, SY_ERROR, SY_CONFLICT);
        g_assert_false(ops->instance_remove(fixture->engine, handles[i], &removing));
        g_assert_error(removing, SY_ERROR, SY_CONFLICT);
    }
    g_autoptr(GError) creating = NULL;
    g_autofree char *made = NULL;
    struct engine_instance_spec spec = fixture_spec(fixture, full, stay);
    g_assert_false(ops->instance_create(fixture->engine, &spec, &made, &creating));
    g_assert_error(creating, SY_ERROR, SY_CONFLICT);
    g_assert_nonnull(strstr(creating->message, full));
    g_assert_false(lists(fixture, id));
    g_autofree char *target = g_strdup_printf("/v1.41/containers/%s?force=1", id);
    g_autofree char *removed = fixture_ask(fixture, "DELETE", target, NULL, 204); /* it was still there */
}

static void foreign_containers_are_not_touched(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autofree char *near = g_strdup_printf("{\"%s\":\"%sx\",\"%s\":\"i\"}", ENGINE_LABEL_INSTALLATION,
                                            fixture.installation, ENGINE_LABEL_INSTANCE);
    /* As a container has it that was run by hand from an image that carries our label. */
    g_autofree char *inherited = g_strdup_printf("{\"%s\":\"%s\"}", ENGINE_LABEL_INSTALLATION, fixture.installation);
    const char *const labels[] = {"{}", near, inherited};
    for (size_t i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autofree char *name = g_strdup_printf("foreign-%zu", i);
        g_autofree char *id = make_foreign(&fixture, name, labels[i]);
        check_untouchable(&fixture, name, id);
    }
    fixture_end(&fixture);
}

static void a_container_has_its_address_and_names(void)
{
    struct fixture fixture;
    if (!fixture_begin(&fixture)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *address = g_strdup_printf("%.*s77", (int)strlen(fixture.subnet) - 4, fixture.subnet);
    const char *const aliases[] = {"web", NULL};
    const char *const labels[] = {ENGINE_LABEL_PAIR "=p-1", ENGINE_LABEL_DEPLOYMENT "=d-1",
                                  ENGINE_LABEL_INSTANCE "=i-1", ENGINE_LABEL_ROLE "=instance", NULL};
    struct engine_instance_spec spec = fixture_spec(&fixture, "address", stay);
    spec.address = address;
    spec.aliases = aliases;
    spec.labels = labels;
    const char *id = fixture_create(&fixture, &spec);
    for (int i = 0; i < 2; i++) { /* again after a stop */
        g_autoptr(GPtrArray) instances = NULL;
        struct engine_instance *inspected = NULL;
        g_assert_true(fixture.engine->ops->instance_start(fixture.engine, id, &error));
        g_assert_true(fixture.engine->ops->instance_list(fixture.engine, &instances, &error));
        g_assert_cmpuint(instances->len, ==, 1);
        const struct engine_instance *listed = g_ptr_array_index(instances, 0);
        g_assert_cmpstr(listed->address, ==, address);
        g_assert_cmpint(listed->state, ==, ENGINE_RUNNING);
        g_assert_cmpstr(listed->pair, ==, "p-1");
        g_assert_cmpstr(listed->deployment, ==, "d-1");
        g_assert_cmpstr(listed->instance, ==, "i-1");
        g_assert_cmpstr(listed->role, ==, "instance");
        g_assert_true(g_str_has_prefix(listed->name, fixture.prefix));
        g_assert_true(g_str_has_suffix(listed->name, "-address"));
        g_assert_true(fixture.engine->ops->instance_inspect(fixture.engine, id, &inspected, &error));
        g_assert_cmpstr(inspected->address, ==, address);
        g_assert_cmpint(inspected->exit_code, ==, -1);
        g_assert_cmpstr(inspected->image_id, ==, listed->image_id);
        engine_instance_free(inspected);
        g_assert_true(fixture.engine->ops->instance_stop(fixture.engine, id, 1000, &error));
    }
    g_autofree char *target = g_strdup_printf("/v1.41/containers/%s/json", id);
    g_autofree char *json = fixture_ask(&fixture, "GET", target, NULL, 200);
    g_assert_nonnull(strstr(json, "\"Aliases\":[\"web\""));
    fixture_end(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/instances/a_container_is_hardened", a_container_is_hardened);
    g_test_add_func("/instances/limits_reach_the_engine", limits_reach_the_engine);
    g_test_add_func("/instances/number_of_processes_is_bounded", number_of_processes_is_bounded);
    g_test_add_func("/instances/exit_code_is_told", exit_code_is_told);
    g_test_add_func("/instances/running_out_of_memory_is_told", running_out_of_memory_is_told);
    g_test_add_func("/instances/creating_twice_gives_the_same_container", creating_twice_gives_the_same_container);
    g_test_add_func("/instances/starting_and_stopping_may_be_repeated", starting_and_stopping_may_be_repeated);
    g_test_add_func("/instances/who_ignores_the_signal_is_killed_after_the_grace",
                    who_ignores_the_signal_is_killed_after_the_grace);
    g_test_add_func("/instances/the_stop_signal_is_the_one_asked_for", the_stop_signal_is_the_one_asked_for);
    g_test_add_func("/instances/waiting_has_an_end", waiting_has_an_end);
    g_test_add_func("/instances/a_running_container_is_not_removed", a_running_container_is_not_removed);
    g_test_add_func("/instances/a_missing_image_is_refused_in_words", a_missing_image_is_refused_in_words);
    g_test_add_func("/instances/an_address_outside_the_subnet_is_refused_in_words",
                    an_address_outside_the_subnet_is_refused_in_words);
    g_test_add_func("/instances/foreign_containers_are_not_touched", foreign_containers_are_not_touched);
    g_test_add_func("/instances/a_container_has_its_address_and_names", a_container_has_its_address_and_names);
    return g_test_run();
}
