/* The daemon's own rules: the programs that it starts do their work under them, and what they are to keep out stays out.
 * Each check forks: there is no way back. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "build/source.h"
#include "switchyard/confinement.h"

#define ASSEMBLE_MS 600000

struct fixture {
    char *folder, *data, *outside, *repository;
    struct config *config;
};

static bool run_program(const char *const *argv, const char *cwd, int64_t timeout_ms)
{
    const struct process_spec spec = {.argv = argv, .cwd = cwd, .stdin_fd = -1, .timeout_ms = timeout_ms};
    g_auto(process_result_t) result = {0};
    g_autoptr(GError) error = NULL;
    if (!process_run(&spec, &result, &error)) {
        g_printerr("# %s\n", error->message);
        return false;
    }
    if (result.exit_status != 0) {
        g_printerr("# %s: exit %d: %s\n", argv[0], result.exit_status, result.last_lines);
    }
    return result.exit_status == 0;
}

static struct config *make_config(const char *data, const char *how)
{
    g_autoptr(GError) error = NULL;
    struct config_origins origins = {0};
    char *argv[] = {(char *)"--data-dir",    (char *)data,      (char *)"--confinement", (char *)how,
                    (char *)"--base-images", (char *)"assemble"};
    char *environment[] = {(char *)"ENCLII_CONFIG=/dev/null", NULL};
    struct config *config = config_read(G_N_ELEMENTS(argv), argv, environment, &origins, &error);
    g_assert_no_error(error);
    config_origins_clear(&origins);
    return config;
}

/* Before confinement: it reads the settings of whoever runs the test. */
static bool make_repository(const char *folder)
{
    const char *const init[] = {"git", "init", "--quiet", "--initial-branch=main", ".", NULL};
    const char *const commit[] = {
        "git",           "-c",      "user.name=t", "-c", "user.email=t@example.test", "commit", "-m", "one",
        "--allow-empty", "--quiet", NULL};
    return run_program(init, folder, 30000) && run_program(commit, folder, 30000);
}

/* data/ for the daemon with data/repository.git, a repository with one commit; outside/ beside it with a file. */
static void fixture_init(struct fixture *fixture, const char *how)
{
    g_autoptr(GError) error = NULL;
    fixture->folder = g_dir_make_tmp("confinement-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->data = g_build_filename(fixture->folder, "data", NULL);
    fixture->outside = g_build_filename(fixture->folder, "outside", NULL);
    fixture->repository = g_build_filename(fixture->data, "repository", NULL);
    fixture->config = make_config(fixture->data, how);
    g_autofree char *secret = g_build_filename(fixture->outside, "secret", NULL);
    g_assert_true(folder_ensure(fixture->outside, 0700, &error) && folder_ensure(fixture->repository, 0700, &error) &&
                  file_replace(secret, "secret", 6, 0600, &error));
    g_assert_true(make_repository(fixture->repository));
}

static void fixture_done(struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(folder_remove(fixture->folder, &error));
    config_free(fixture->config);
    g_free(fixture->folder);
    g_free(fixture->data);
    g_free(fixture->outside);
    g_free(fixture->repository);
}

typedef int (*act_fn)(const struct fixture *fixture);

/* What `act` says after the rules were applied; 0 is well. */
static int confined(const struct fixture *fixture, act_fn act)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        g_autoptr(GError) error = NULL;
        struct confinement confinement = {0};
        if (!confinement_apply(fixture->config, &confinement, &error)) {
            g_printerr("# %s\n", error->message);
            _exit(99);
        }
        _exit(act(fixture));
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(const char *how, act_fn act, int expected)
{
    struct fixture fixture;
    g_autofree char *why = NULL;
    if (confine_files_version(&why) < 2) {
        g_test_skip(why != NULL ? why : "this kernel's Landlock is too old");
        return;
    }
    fixture_init(&fixture, how);
    g_assert_cmpint(confined(&fixture, act), ==, expected);
    fixture_done(&fixture);
}

static bool can_open(const char *folder, const char *name, int flags)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_auto(fd_t) fd = open(path, flags | O_CLOEXEC, 0600);
    return fd >= 0;
}

/* --- what is kept out -------------------------------------------------------------------------------------------------------- */

/* A bit for each that is possible. */
static int reach_out(const struct fixture *fixture)
{
    g_autofree char *tool = g_build_filename(fixture->data, "tool", NULL);
    const char *const argv[] = {tool, NULL};
    bool is_written = file_replace(tool, "#!/bin/true\n", 12, 0700, NULL);
    return (can_open(fixture->outside, "secret", O_RDONLY) ? 1 : 0) |
           (can_open(fixture->outside, "new", O_WRONLY | O_CREAT) ? 2 : 0) |
           (can_open("/tmp", "", O_RDONLY | O_DIRECTORY) ? 4 : 0) |
           (can_open(g_get_home_dir(), "", O_RDONLY | O_DIRECTORY) ? 8 : 0) |
           (run_program(argv, NULL, 10000) ? 16 : 0) | (is_written ? 0 : 32);
}

static void what_lies_outside_is_out_of_reach(void)
{
    expect("on", reach_out, 0);
}

/* Without confinement each of these is possible, so the test above can fail. */
static void without_it_all_of_that_is_possible(void)
{
    expect("off", reach_out, 1 | 2 | 4 | 8 | 16);
}

/* --- what goes on ------------------------------------------------------------------------------------------------------------- */

static int fetch_source(const struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *url = g_strconcat("file://", fixture->repository, NULL);
    g_autofree char *clone = g_build_filename(fixture->data, "builds", "clone", NULL);
    g_autofree char *commit = NULL;
    if (!folder_ensure(clone, 0700, &error)) {
        return 1;
    }
    const struct source_git wanted = {.url = url, .ref = "main", .flags = SOURCE_GIT_ALLOW_FILE, .timeout_ms = 60000};
    bool ok = source_fetch_git(&wanted, clone, &commit, &error);
    if (!ok) {
        g_printerr("# %s\n", error->message);
    }
    return ok ? 0 : 2;
}

static void git_fetches(void)
{
    expect("on", fetch_source, 0);
}

/* Programs that are there: each must start and end well. */
static int ask_versions(const struct fixture *fixture)
{
    static const char *const programs[][4] = {{"/usr/sbin/haproxy", "-vv", NULL},
                                              {"/usr/bin/docker", "--version", NULL},
                                              {"/usr/bin/ssh", "-V", NULL},
                                              {"/usr/bin/apt-config", "dump", NULL},
                                              {"/usr/bin/dpkg", "--print-foreign-architectures", NULL},
                                              {"/usr/bin/mmdebstrap", "--version", NULL},
                                              {"/usr/bin/getent", "hosts", "localhost", NULL}};
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        if (access(programs[i][0], X_OK) == 0 && !run_program(programs[i], NULL, 30000)) {
            return (int)i + 1;
        }
    }
    return 0;
}

static void programs_start(void)
{
    expect("on", ask_versions, 0);
}

/* As src/build/base_assemble.c does it; the archive must hold more than the essential packages. */
static int assemble(const struct fixture *fixture)
{
    static const char *const argv[] = {"mmdebstrap",
                                       "--variant=minbase",
                                       "--mode=root",
                                       "--skip=chroot/mount",
                                       "--include=ca-certificates",
                                       "--customize-hook=upload ca.crt /usr/local/share/ca-certificates/host.crt",
                                       "bookworm",
                                       "base.tar",
                                       NULL};
    struct stat status;
    g_autofree char *folder = confinement_assembly_folder(fixture->config);
    g_autofree char *tar = g_build_filename(folder, "base.tar", NULL);
    g_autofree char *certificate = g_build_filename(folder, "ca.crt", NULL);
    g_setenv("TMPDIR", folder, TRUE);
    return !file_replace(certificate, "", 0, 0644, NULL)                          ? 1
           : !run_program(argv, folder, ASSEMBLE_MS)                              ? 2
           : stat(tar, &status) != 0 || status.st_size < INT64_C(100) * (1 << 20) ? 3
                                                                                  : 0;
}

static void debian_is_assembled(void)
{
    if (g_getenv("ENCLII_TEST_LONG") == NULL || geteuid() != 0) {
        g_test_skip("assembling needs root, a mirror and half a minute: set ENCLII_TEST_LONG");
        return;
    }
    expect("on", assemble, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/switchyard/confinement/outside", what_lies_outside_is_out_of_reach);
    g_test_add_func("/switchyard/confinement/off", without_it_all_of_that_is_possible);
    g_test_add_func("/switchyard/confinement/git", git_fetches);
    g_test_add_func("/switchyard/confinement/programs", programs_start);
    g_test_add_func("/switchyard/confinement/assemble", debian_is_assembled);
    return g_test_run();
}
