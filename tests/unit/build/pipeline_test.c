/* Whole builds against a real engine. Everything is FROM scratch with one static program, so no base image is needed. */
#include <archive.h>
#include <archive_entry.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "build/build_limits.h"
#include "build/pipeline.h"

#define STEP "FROM scratch\nCOPY step /step\n"
#define MIB (INT64_C(1) << 20)

static struct engine *engine;
static const char *step_program;
static char *installation;

/* One build, with what it said. */
struct trial {
    char *folder; /* holds the archive and the work folder */
    char *work;
    char *archive;
    char *repository;
    struct build_config *config;
    struct build_options options;
    struct build_job job;
    struct build_result result;
    GString *log;
    GError *error;
    int cancelled;
    const char *cancel_at; /* when a line holds this */
};

static void on_line(const char *line, size_t length, void *arg)
{
    struct trial *trial = arg;
    g_string_append_len(trial->log, line, (gssize)length);
    g_string_append_c(trial->log, '\n');
    if (trial->cancel_at != NULL && strstr(trial->log->str, trial->cancel_at) != NULL) {
        g_atomic_int_set(&trial->cancelled, 1);
    }
}

static void trial_begin(struct trial *trial)
{
    *trial = (struct trial){.log = g_string_new(NULL), .config = contract_new(&build_config_type)};
    trial->folder = g_dir_make_tmp("enclii-build-XXXXXX", NULL);
    trial->work = g_build_filename(trial->folder, "work", NULL);
    trial->archive = g_build_filename(trial->folder, "source.tar", NULL);
    trial->repository = g_strdup_printf("enclii/%s/test/web", installation);
    trial->options = (struct build_options){.engine = engine,
                                            .engine_endpoint = g_getenv("ENCLII_TEST_ENGINE"),
                                            .work_folder = trial->work,
                                            .base_images = "assemble",
                                            .installation = installation,
                                            .memory_bytes = 2048 * MIB,
                                            .cpu_millis = 2000,
                                            .timeout_ms = 120000};
    trial->job = (struct build_job){.release_id = "0191b2f4-7c1e-7d3a-8a5e-5d1f6a7b8c9d",
                                    .service = "web",
                                    .project = "test",
                                    .repository = trial->repository,
                                    .tag = "v1",
                                    .archive = trial->archive,
                                    .config = trial->config,
                                    .cancelled = &trial->cancelled,
                                    .on_line = on_line,
                                    .on_line_arg = trial};
}

static void assert_work_folder_is_empty(const struct trial *trial)
{
    g_autoptr(GDir) dir = g_dir_open(trial->work, 0, NULL);
    const char *left = dir != NULL ? g_dir_read_name(dir) : NULL;
    g_assert_cmpstr(left, ==, NULL);
}

static void trial_end(struct trial *trial)
{
    g_autofree char *tag = g_strdup_printf("%s:%s", trial->repository, trial->job.tag);
    assert_work_folder_is_empty(trial);
    g_assert_true(engine->ops->image_remove(engine, tag, NULL));
    g_assert_true(folder_remove(trial->folder, NULL));
    build_result_clear(&trial->result);
    g_clear_error(&trial->error);
    g_string_free(trial->log, TRUE);
    contract_object_free(trial->config);
    g_free(trial->folder);
    g_free(trial->work);
    g_free(trial->archive);
    g_free(trial->repository);
}

static void add_entry(struct archive *archive, const char *name, mode_t mode, const char *bytes, size_t length)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, S_ISLNK(mode) ? AE_IFLNK : AE_IFREG);
    archive_entry_set_perm(entry, mode & 0777);
    if (S_ISLNK(mode)) {
        archive_entry_set_symlink(entry, bytes);
    } else {
        archive_entry_set_size(entry, (int64_t)length);
    }
    g_assert_cmpint(archive_write_header(archive, entry), ==, ARCHIVE_OK);
    if (!S_ISLNK(mode)) {
        g_assert_cmpint(archive_write_data(archive, bytes, length), ==, (la_ssize_t)length);
    }
    archive_entry_free(entry);
}

/* A tar with the step program, a Dockerfile and, when named, a file or link more. */
static void write_source(const struct trial *trial, const char *dockerfile, const char *more, mode_t mode,
                         const char *text)
{
    g_autofree char *program = NULL;
    gsize length;
    struct archive *archive = archive_write_new();
    g_assert_true(g_file_get_contents(step_program, &program, &length, NULL));
    g_assert_cmpint(archive_write_set_format_pax_restricted(archive), ==, ARCHIVE_OK);
    g_assert_cmpint(archive_write_open_filename(archive, trial->archive), ==, ARCHIVE_OK);
    add_entry(archive, "step", 0755, program, length);
    add_entry(archive, "Dockerfile", 0644, dockerfile, strlen(dockerfile));
    if (more != NULL) {
        add_entry(archive, more, mode, text, strlen(text));
    }
    g_assert_cmpint(archive_write_close(archive), ==, ARCHIVE_OK);
    archive_write_free(archive);
}

static bool run(struct trial *trial)
{
    bool ok = build_run(&trial->options, &trial->job, &trial->result, &trial->error);
    g_assert_cmpint(ok, ==, trial->error == NULL);
    return ok;
}

static void run_well(struct trial *trial)
{
    run(trial);
    g_assert_no_error(trial->error);
}

static bool image_is_there(const struct trial *trial)
{
    g_autofree char *tag = g_strdup_printf("%s:%s", trial->repository, trial->job.tag);
    struct engine_image *image = NULL;
    bool is_there = engine->ops->image_inspect(engine, tag, &image, NULL);
    engine_image_free(image);
    return is_there;
}

/* --- builds that succeed --------------------------------------------------------------------------------------------------- */

static void image_carries_tag_labels_and_port(void)
{
    struct trial trial;
    struct engine_image *image = NULL;
    trial_begin(&trial);
    write_source(&trial, STEP "EXPOSE 9000\nCMD [\"/step\"]\n", NULL, 0, NULL);
    run_well(&trial);
    g_assert_true(g_str_has_suffix(trial.result.image_uri, "/test/web:v1"));
    g_assert_true(g_str_has_prefix(trial.result.image_digest, "sha256:"));
    g_assert_cmpstr(trial.result.builder, ==, "dockerfile");
    g_assert_cmpint(trial.result.default_port, ==, 9000);
    g_assert_cmpint(trial.result.size_bytes, >, 100000);
    g_assert_true(engine->ops->image_inspect(engine, trial.result.image_uri, &image, NULL));
    g_assert_cmpstr(image->id, ==, trial.result.image_digest);
    g_assert_cmpstr(string_map_get(image->labels, ENGINE_LABEL_INSTALLATION), ==, installation);
    g_assert_cmpstr(string_map_get(image->labels, BUILD_LABEL_RELEASE), ==, trial.job.release_id);
    engine_image_free(image);
    trial_end(&trial);
}

static void second_build_of_the_same_is_quick_and_says_unchanged(void)
{
    struct trial trial;
    trial_begin(&trial);
    write_source(&trial, STEP "RUN [\"/step\", \"allocate\", \"3\"]\n", NULL, 0, NULL);
    run_well(&trial);
    build_result_clear(&trial.result);
    g_string_truncate(trial.log, 0);
    int64_t start_us = g_get_monotonic_time();
    run_well(&trial);
    int64_t took_us = g_get_monotonic_time() - start_us;
    g_test_message("%.2f s", (double)took_us / 1e6);
    g_assert_cmpint(took_us, <, 5 * G_USEC_PER_SEC);
    g_assert_nonnull(strstr(trial.log->str, "RUN [\"/step\", \"allocate\", \"3\"]\n  unchanged\n"));
    trial_end(&trial);
}

static void arguments_of_configuration_and_host_reach_the_build(void)
{
    static const char *const forward[] = {"GOPROXY=https://mirror.example", NULL};
    struct trial trial;
    g_autofree char *unique = g_strdup_printf("value-%08x", g_random_int());
    trial_begin(&trial);
    trial.options.forward = forward;
    trial.config->build_args = string_map_new();
    string_map_set(trial.config->build_args, "GREETING", unique);
    trial.config->target = g_strdup("wanted");
    write_source(&trial,
                 "FROM scratch AS wanted\nCOPY step /step\nARG GREETING\nARG GOPROXY\n"
                 "RUN [\"/step\", \"variable\", \"GREETING\"]\nRUN [\"/step\", \"variable\", \"GOPROXY\"]\n"
                 "FROM scratch\nCOPY nothing /\n",
                 NULL, 0, NULL);
    run_well(&trial);
    g_autofree char *greeting = g_strdup_printf("\n  GREETING is %s\n", unique);
    g_assert_nonnull(strstr(trial.log->str, greeting));
    g_assert_nonnull(strstr(trial.log->str, "\n  GOPROXY is https://mirror.example\n"));
    trial_end(&trial);
}

/* The step that copies it shows that it was there; the same without copying, that it is not in the image. */
static void bundle_reaches_steps_but_not_the_image(void)
{
    struct trial trial;
    struct engine_image *with = NULL;
    g_autofree char *bundle = NULL;
    g_autofree char *text = g_strnfill(50000, 'c');
    trial_begin(&trial);
    bundle = g_build_filename(trial.folder, "a, \"b\".pem", NULL);
    g_assert_true(g_file_set_contents(bundle, text, -1, NULL));
    trial.options.ca_bundle = bundle;
    write_source(&trial,
                 "FROM scratch AS x\nCOPY step /step\n"
                 "RUN --mount=type=secret,id=ca,target=/ca [\"/step\", \"copy\", \"/ca\", \"/seen\"]\n"
                 "FROM scratch\nCOPY --from=x /seen /seen\n",
                 NULL, 0, NULL);
    run_well(&trial);
    g_assert_cmpint(trial.result.size_bytes, ==, 50000);
    build_result_clear(&trial.result);
    write_source(&trial,
                 "FROM scratch\nCOPY step /step\n"
                 "RUN --mount=type=secret,id=ca,target=/ca [\"/step\", \"copy\", \"/ca\", \"/dev/null\"]\n",
                 NULL, 0, NULL);
    run_well(&trial);
    struct stat status;
    g_assert_cmpint(stat(step_program, &status), ==, 0);
    g_assert_true(engine->ops->image_inspect(engine, trial.result.image_uri, &with, NULL));
    g_assert_cmpint(with->size_bytes, <, status.st_size + 1000);
    engine_image_free(with);
    trial_end(&trial);
}

static void image_of_the_configuration_is_tagged(void)
{
    struct trial built;
    struct trial trial;
    trial_begin(&built);
    write_source(&built, STEP "EXPOSE 7000\n", NULL, 0, NULL);
    run_well(&built);
    trial_begin(&trial);
    trial.config->type = BUILD_IMAGE;
    trial.config->image = g_strdup(built.result.image_uri);
    trial.job.archive = NULL;
    trial.job.tag = "v2";
    run_well(&trial);
    g_assert_cmpstr(trial.result.image_digest, ==, built.result.image_digest);
    g_assert_cmpstr(trial.result.builder, ==, "image");
    g_assert_cmpint(trial.result.default_port, ==, 7000);
    g_assert_true(image_is_there(&trial));
    trial_end(&trial);
    trial_end(&built);
}

struct parallel {
    struct trial trial;
    char *tag;
};

static gpointer run_one(gpointer data)
{
    struct parallel *one = data;
    run(&one->trial);
    return NULL;
}

static void several_builds_at_once_do_not_meet(void)
{
    struct parallel builds[4];
    GThread *threads[4];
    for (size_t i = 0; i < 4; i++) {
        g_autofree char *dockerfile =
            g_strdup_printf(STEP "EXPOSE %zu\nRUN [\"/step\", \"allocate\", \"%zu\"]\n", 9000 + i, i);
        trial_begin(&builds[i].trial);
        builds[i].trial.job.tag = builds[i].tag = g_strdup_printf("p%zu", i);
        write_source(&builds[i].trial, dockerfile, NULL, 0, NULL);
        threads[i] = g_thread_new("build", run_one, &builds[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
        g_assert_no_error(builds[i].trial.error);
        g_assert_cmpint(builds[i].trial.result.default_port, ==, 9000 + (int)i);
        trial_end(&builds[i].trial);
        g_free(builds[i].tag);
    }
}

/* --- builds that fail -------------------------------------------------------------------------------------------------------- */

static void failed_step_is_named_with_its_last_lines(void)
{
    struct trial trial;
    trial_begin(&trial);
    write_source(&trial, STEP "RUN [\"/step\", \"fail\", \"3\"]\n", NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_BUILD_FAILED);
    g_assert_cmpstr(
        trial.error->message, ==,
        "RUN [\"/step\", \"fail\", \"3\"] failed: exit code 3\n  compiling shop.c\n  shop.c:3: error: no such thing");
    g_assert_false(image_is_there(&trial));
    trial_end(&trial);
}

static void broken_dockerfile_fails_with_buildkits_words(void)
{
    struct trial trial;
    trial_begin(&trial);
    write_source(&trial, "FROM scratch\nCOPPY step /step\n", NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_BUILD_FAILED);
    g_assert_nonnull(strstr(trial.error->message, "COPPY"));
    trial_end(&trial);
}

static void base_that_nobody_has_is_named(void)
{
    struct trial trial;
    trial_begin(&trial);
    write_source(&trial, "FROM golang:1.22-enclii-test\n", NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_BUILD_FAILED);
    g_assert_nonnull(strstr(trial.error->message, "golang:1.22-enclii-test"));
    g_assert_nonnull(strstr(sy_error_hint(trial.error), "docker load"));
    trial_end(&trial);
}

static void foreign_frontend_is_refused(void)
{
    struct trial trial;
    trial_begin(&trial);
    write_source(&trial, "# syntax=evil.example/frontend\n" STEP, NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_INVALID_INPUT);
    trial_end(&trial);
}

static void archive_that_leaves_its_folder_is_refused(void)
{
    static const struct {
        const char *name;
        mode_t mode;
        const char *text;
    } entries[] = {{"../outside", 0644, "x"}, {"link", S_IFLNK | 0777, "/etc/passwd"}};
    for (size_t i = 0; i < G_N_ELEMENTS(entries); i++) {
        struct trial trial;
        trial_begin(&trial);
        write_source(&trial, STEP, entries[i].name, entries[i].mode, entries[i].text);
        g_assert_false(run(&trial));
        g_assert_error(trial.error, SY_ERROR, SY_SOURCE_REFUSED);
        trial_end(&trial);
    }
}

static void context_and_dockerfile_outside_the_source_are_refused(void)
{
    struct trial trial;
    trial_begin(&trial);
    write_source(&trial, STEP, NULL, 0, NULL);
    g_free(trial.config->context);
    trial.config->context = g_strdup("../..");
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_INVALID_INPUT);
    g_clear_error(&trial.error);
    g_free(trial.config->context);
    trial.config->context = NULL;
    trial.config->dockerfile = g_strdup("../../source.tar");
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_INVALID_INPUT);
    trial_end(&trial);
}

static void too_little_space_is_told_with_figures(void)
{
    struct trial trial;
    trial_begin(&trial);
    trial.options.disk_reserve_bytes = INT64_C(1) << 60;
    write_source(&trial, STEP, NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_DISK_FULL);
    g_assert_nonnull(strstr(trial.error->message, "MiB free of"));
    trial_end(&trial);
}

static void engine_that_does_not_answer_is_told(void)
{
    struct trial trial;
    trial_begin(&trial);
    g_autofree char *endpoint = g_strdup_printf("unix:%s/none.sock", trial.folder);
    struct engine *none = engine_docker_new(endpoint, installation, NULL);
    trial.options.engine = none;
    trial.options.engine_endpoint = endpoint;
    write_source(&trial, STEP, NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_ENGINE_UNAVAILABLE);
    engine_free(none);
    trial_end(&trial);
}

/* --- builds that are ended ------------------------------------------------------------------------------------------------------ */

/* Processes of build steps whose command line ends with this argument. */
static int count_steps(const char *argument)
{
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *name;
    int n = 0;
    while ((name = g_dir_read_name(proc)) != NULL) {
        g_autofree char *path = g_build_filename("/proc", name, "cmdline", NULL);
        g_autofree char *text = g_ascii_isdigit(*name) ? file_read(path, 4096, NULL, NULL) : NULL;
        n += text != NULL && strcmp(text, "/step") == 0 && strcmp(text + strlen("/step") + 1, "wait") == 0 &&
             strcmp(text + strlen("/step") + 1 + strlen("wait") + 1, argument) == 0;
    }
    return n;
}

static void assert_steps_end(const char *argument)
{
    int left = count_steps(argument);
    for (int i = 0; i < 1000 && left > 0; i++) {
        g_usleep(10000);
        left = count_steps(argument);
    }
    g_assert_cmpint(left, ==, 0);
}

static void cancelling_ends_the_step_in_the_engine(void)
{
    struct trial trial;
    g_autofree char *seconds = g_strdup_printf("%u", 1000 + g_random_int_range(0, 1000000));
    g_autofree char *dockerfile = g_strdup_printf(STEP "RUN [\"/step\", \"wait\", \"%s\"]\n", seconds);
    trial_begin(&trial);
    trial.cancel_at = "\n  waiting\n";
    write_source(&trial, dockerfile, NULL, 0, NULL);
    int64_t start_us = g_get_monotonic_time();
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_CANCELLED);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 30 * G_USEC_PER_SEC);
    assert_steps_end(seconds);
    g_assert_false(image_is_there(&trial));
    trial_end(&trial);
}

static void time_out_ends_the_step_in_the_engine(void)
{
    struct trial trial;
    g_autofree char *seconds = g_strdup_printf("%u", 1000 + g_random_int_range(0, 1000000));
    g_autofree char *dockerfile = g_strdup_printf(STEP "RUN [\"/step\", \"wait\", \"%s\"]\n", seconds);
    trial_begin(&trial);
    trial.options.timeout_ms = 6000;
    write_source(&trial, dockerfile, NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_BUILD_TIMEOUT);
    g_assert_nonnull(strstr(trial.error->message, "6s"));
    g_assert_nonnull(strstr(trial.log->str, "waiting"));
    assert_steps_end(seconds);
    trial_end(&trial);
}

static void cancelled_before_it_begins_does_nothing(void)
{
    struct trial trial;
    trial_begin(&trial);
    trial.cancelled = 1;
    write_source(&trial, STEP, NULL, 0, NULL);
    g_assert_false(run(&trial));
    g_assert_error(trial.error, SY_ERROR, SY_CANCELLED);
    g_assert_cmpstr(trial.log->str, ==, "");
    trial_end(&trial);
}

/* --- memory ------------------------------------------------------------------------------------------------------------------------ */

static char *start_neighbour(const struct trial *trial)
{
    static const char *const command[] = {"/step", "wait", "1000", NULL};
    g_autofree char *label = g_strdup_printf("%s=%s", ENGINE_LABEL_INSTALLATION, installation);
    g_autofree char *name = g_strdup_printf("enclii-build-test-%s", installation);
    const char *const labels[] = {label, NULL};
    const struct engine_instance_spec spec = {.name = name,
                                              .image = trial->result.image_uri,
                                              .labels = labels,
                                              .command = command,
                                              .network = "bridge",
                                              .pids = 16,
                                              .user = -1,
                                              .group = -1,
                                              .log_bytes = 1 << 20};
    g_autoptr(GError) error = NULL;
    char *id = NULL;
    bool ok =
        engine->ops->instance_create(engine, &spec, &id, &error) && engine->ops->instance_start(engine, id, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return id;
}

static bool is_running(const char *id)
{
    struct engine_instance *instance = NULL;
    g_assert_true(engine->ops->instance_inspect(engine, id, &instance, NULL));
    bool is_running = instance->state == ENGINE_RUNNING;
    engine_instance_free(instance);
    return is_running;
}

/* The limit is one for all builds on this engine, so it is low only while this test runs. */
static void step_beyond_the_limit_is_killed_and_a_container_is_not(void)
{
    struct trial trial;
    g_autofree char *reason = NULL;
    if (!build_limits_apply(2048 * MIB, 2000, &reason)) {
        g_test_skip(reason);
        return;
    }
    trial_begin(&trial);
    write_source(&trial, STEP, NULL, 0, NULL);
    run_well(&trial);
    g_autofree char *neighbour = start_neighbour(&trial);
    build_result_clear(&trial.result);
    trial.options.memory_bytes = 200 * MIB;
    write_source(&trial, STEP "RUN [\"/step\", \"allocate\", \"400\"]\n", NULL, 0, NULL);
    g_assert_false(run(&trial));
    bool is_unhurt = is_running(neighbour);
    bool is_raised = build_limits_apply(0, 0, NULL);
    g_assert_true(engine->ops->instance_stop(engine, neighbour, 0, NULL));
    g_assert_true(engine->ops->instance_remove(engine, neighbour, NULL));
    g_assert_error(trial.error, SY_ERROR, SY_BUILD_OUT_OF_MEMORY);
    g_assert_nonnull(strstr(trial.error->message, "200Mi (build_memory)"));
    g_assert_null(strstr(trial.log->str, "took 400 MiB"));
    g_assert_true(is_unhurt);
    g_assert_true(is_raised);
    trial_end(&trial);
}

static void same_step_below_the_limit_succeeds(void)
{
    struct trial trial;
    g_autofree char *dockerfile =
        g_strdup_printf(STEP "ENV X=%08x\nRUN [\"/step\", \"allocate\", \"400\"]\n", g_random_int());
    trial_begin(&trial);
    write_source(&trial, dockerfile, NULL, 0, NULL);
    run_well(&trial);
    g_assert_nonnull(strstr(trial.log->str, "took 400 MiB"));
    trial_end(&trial);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_getenv("ENCLII_TEST_ENGINE") == NULL) {
        g_print("1..0 # SKIP ENCLII_TEST_ENGINE names no container engine\n");
        return 0;
    }
    step_program = argv[1];
    installation = g_strdup_printf("t%08x", g_random_int());
    engine = engine_docker_new(g_getenv("ENCLII_TEST_ENGINE"), installation, NULL);
    g_test_add_func("/pipeline/image_carries_tag_labels_and_port", image_carries_tag_labels_and_port);
    g_test_add_func("/pipeline/second_build_of_the_same_is_quick_and_says_unchanged",
                    second_build_of_the_same_is_quick_and_says_unchanged);
    g_test_add_func("/pipeline/arguments_of_configuration_and_host_reach_the_build",
                    arguments_of_configuration_and_host_reach_the_build);
    g_test_add_func("/pipeline/bundle_reaches_steps_but_not_the_image", bundle_reaches_steps_but_not_the_image);
    g_test_add_func("/pipeline/image_of_the_configuration_is_tagged", image_of_the_configuration_is_tagged);
    g_test_add_func("/pipeline/several_builds_at_once_do_not_meet", several_builds_at_once_do_not_meet);
    g_test_add_func("/pipeline/failed_step_is_named_with_its_last_lines", failed_step_is_named_with_its_last_lines);
    g_test_add_func("/pipeline/broken_dockerfile_fails_with_buildkits_words",
                    broken_dockerfile_fails_with_buildkits_words);
    g_test_add_func("/pipeline/base_that_nobody_has_is_named", base_that_nobody_has_is_named);
    g_test_add_func("/pipeline/foreign_frontend_is_refused", foreign_frontend_is_refused);
    g_test_add_func("/pipeline/archive_that_leaves_its_folder_is_refused", archive_that_leaves_its_folder_is_refused);
    g_test_add_func("/pipeline/context_and_dockerfile_outside_the_source_are_refused",
                    context_and_dockerfile_outside_the_source_are_refused);
    g_test_add_func("/pipeline/too_little_space_is_told_with_figures", too_little_space_is_told_with_figures);
    g_test_add_func("/pipeline/engine_that_does_not_answer_is_told", engine_that_does_not_answer_is_told);
    g_test_add_func("/pipeline/cancelling_ends_the_step_in_the_engine", cancelling_ends_the_step_in_the_engine);
    g_test_add_func("/pipeline/time_out_ends_the_step_in_the_engine", time_out_ends_the_step_in_the_engine);
    g_test_add_func("/pipeline/cancelled_before_it_begins_does_nothing", cancelled_before_it_begins_does_nothing);
    g_test_add_func("/pipeline/step_beyond_the_limit_is_killed_and_a_container_is_not",
                    step_beyond_the_limit_is_killed_and_a_container_is_not);
    g_test_add_func("/pipeline/same_step_below_the_limit_succeeds", same_step_below_the_limit_succeeds);
    int status = g_test_run();
    engine_free(engine);
    g_free(installation);
    return status;
}
