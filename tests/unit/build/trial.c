#include "trial.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"

struct engine *engine;
char *installation;
const char *trial_step;

bool trials_begin(const char *step_program)
{
    const char *endpoint = g_getenv("ENCLII_TEST_ENGINE");
    if (endpoint == NULL) {
        g_print("1..0 # SKIP ENCLII_TEST_ENGINE names no container engine\n");
        return false;
    }
    trial_step = step_program;
    installation = g_strdup_printf("t%08x", g_random_int());
    engine = engine_docker_new(endpoint, installation, NULL);
    return engine != NULL;
}

void trials_end(void)
{
    bool is_raised = build_limits_apply(0, 0, NULL); /* the engine is not ours alone */
    (void)is_raised;
    engine_free(engine);
    g_free(installation);
}

static void on_line(const char *line, size_t length, void *arg)
{
    struct trial *trial = arg;
    g_string_append_len(trial->log, line, (gssize)length);
    g_string_append_c(trial->log, '\n');
    if (trial->cancel_at != NULL && strstr(trial->log->str, trial->cancel_at) != NULL) {
        g_atomic_int_set(&trial->cancelled, 1);
    }
}

void trial_begin(struct trial *trial)
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

void trial_end(struct trial *trial)
{
    g_autofree char *tag = g_strdup_printf("%s:%s", trial->repository, trial->job.tag);
    assert_work_folder_is_empty(trial);
    g_assert_true(engine->ops->image_remove(engine, tag, NULL, NULL));
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

void trial_write_source(const struct trial *trial, const char *dockerfile, const char *more, mode_t mode,
                        const char *text)
{
    g_autofree char *program = NULL;
    gsize length;
    struct archive *archive = archive_write_new();
    g_assert_true(g_file_get_contents(trial_step, &program, &length, NULL));
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

bool trial_run(struct trial *trial)
{
    bool ok = build_run(&trial->options, &trial->job, &trial->result, &trial->error);
    g_assert_cmpint(ok, ==, trial->error == NULL);
    return ok;
}

void trial_run_well(struct trial *trial)
{
    trial_run(trial);
    g_assert_no_error(trial->error);
}

bool trial_has_image(const struct trial *trial)
{
    g_autofree char *tag = g_strdup_printf("%s:%s", trial->repository, trial->job.tag);
    struct engine_image *image = NULL;
    bool is_there = engine->ops->image_inspect(engine, tag, &image, NULL);
    engine_image_free(image);
    return is_there;
}

void trial_pack(const struct trial *trial, const char *folder)
{
    const char *const argv[] = {"tar", "-C", folder, "-cf", trial->archive, ".", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = 30000};
    g_auto(process_result_t) result = {0};
    g_assert_true(process_run(&spec, &result, NULL));
    g_assert_cmpint(result.exit_status, ==, 0);
}
