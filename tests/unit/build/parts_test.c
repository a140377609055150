/* The small parts of a build: its fingerprint, the docker client, mirrors, names of images, work folders. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "build/apt_sources.h"
#include "build/base_recipe.h"
#include "build/detect.h"
#include "build/docker_client.h"
#include "build/pipeline.h"
#include "build/workspace.h"

/* --- fingerprint ------------------------------------------------------------------------------------------------------- */

static void fingerprint_tells_every_input_apart(void)
{
    struct build_config *config = contract_new(&build_config_type);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_assert_true(g_hash_table_add(seen, build_fingerprint("a", NULL, NULL, config)));
    g_assert_true(g_hash_table_add(seen, build_fingerprint("b", NULL, NULL, config)));
    g_assert_true(g_hash_table_add(seen, build_fingerprint(NULL, "a", NULL, config)));
    g_assert_true(g_hash_table_add(seen, build_fingerprint(NULL, NULL, "a", config)));
    g_assert_true(g_hash_table_add(seen, build_fingerprint(NULL, "a", "a", config)));
    g_assert_true(g_hash_table_add(seen, build_fingerprint(NULL, "", NULL, config)));
    g_assert_true(g_hash_table_add(seen, build_fingerprint(NULL, NULL, NULL, config)));
    config->target = g_strdup("test");
    g_assert_true(g_hash_table_add(seen, build_fingerprint("a", NULL, NULL, config)));
    config->build_args = string_map_new();
    string_map_set(config->build_args, "A", "1");
    g_assert_true(g_hash_table_add(seen, build_fingerprint("a", NULL, NULL, config)));
    string_map_set(config->build_args, "A", "2");
    g_assert_true(g_hash_table_add(seen, build_fingerprint("a", NULL, NULL, config)));
    contract_object_free(config);
}

static void fingerprint_of_the_same_is_the_same(void)
{
    struct build_config *config = contract_new(&build_config_type);
    struct build_config *other = contract_new(&build_config_type);
    config->build_args = string_map_new();
    other->build_args = string_map_new();
    string_map_set(config->build_args, "A", "1");
    string_map_set(config->build_args, "B", "2");
    string_map_set(other->build_args, "B", "2");
    string_map_set(other->build_args, "A", "1");
    g_autofree char *one = build_fingerprint("a", NULL, NULL, config);
    g_autofree char *two = build_fingerprint("a", NULL, NULL, other);
    g_assert_cmpstr(one, ==, two);
    g_assert_true(sha256_hex_is_valid(one));
    contract_object_free(config);
    contract_object_free(other);
}

/* --- docker client ------------------------------------------------------------------------------------------------------- */

static void client_versions_are_read(void)
{
    g_assert_cmpint(docker_major_version("Docker version 20.10.24+dfsg1, build 297e128\n"), ==, 20);
    g_assert_cmpint(docker_major_version("Docker version 28.2.2, build e6534b4\n"), ==, 28);
    g_assert_cmpint(docker_major_version("podman version 4.3.1\n"), ==, -1);
    g_assert_cmpint(docker_major_version(""), ==, -1);
}

static void endpoints_become_what_the_client_takes(void)
{
    g_autofree char *plain = docker_endpoint("unix:/run/docker.sock");
    g_autofree char *slashes = docker_endpoint("unix:///run/docker.sock");
    g_assert_cmpstr(plain, ==, "unix:///run/docker.sock");
    g_assert_cmpstr(slashes, ==, "unix:///run/docker.sock");
}

static char *write_program(const char *folder, const char *name, const char *text)
{
    char *path = g_build_filename(folder, name, NULL);
    g_assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
    return path;
}

static void find_client(const char *text, const char *expected_lack)
{
    g_autofree char *folder = g_dir_make_tmp("enclii-client-XXXXXX", NULL);
    g_autofree char *program = write_program(folder, "docker", text);
    g_auto(docker_client_t) client = {0};
    g_autoptr(GError) error = NULL;
    bool ok = docker_client_find(program, "unix:/x", folder, folder, NULL, &client, &error);
    if (expected_lack == NULL) {
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpstr(client.program, ==, program);
    } else {
        g_assert_error(error, SY_ERROR, SY_NOT_SUPPORTED);
        g_assert_nonnull(strstr(error->message, expected_lack));
        g_assert_nonnull(strstr(sy_error_hint(error), "buildx"));
    }
    g_assert_true(folder_remove(folder, NULL));
}

static void client_without_buildkit_is_refused_with_what_to_install(void)
{
    find_client("#!/bin/sh\necho 'Docker version 20.10.24, build 1'\n", NULL);
    find_client("#!/bin/sh\n[ \"$1\" = buildx ] && exit 1\necho 'Docker version 28.2.2, build 1'\n", "plugin buildx");
    find_client("#!/bin/sh\necho 'Docker version 28.2.2, build 1'\n", NULL);
    find_client("#!/bin/sh\necho 'Docker version 17.3.0, build 1'\n", "too old");
    find_client("#!/bin/sh\necho hello\n", "no docker client");
}

static void client_gets_an_environment_of_its_own(void)
{
    const char *const forward[] = {"GOPROXY=https://mirror.example", "HOME=/elsewhere", "nonsense", NULL};
    g_autofree char *folder = g_dir_make_tmp("enclii-client-XXXXXX", NULL);
    g_autofree char *program = write_program(folder, "docker", "#!/bin/sh\necho 'Docker version 20.10.24, build 1'\n");
    g_auto(docker_client_t) client = {0};
    g_setenv("ENCLII_TEST_LEAK", "1", TRUE);
    g_assert_true(docker_client_find(program, "unix:/x", folder, folder, forward, &client, NULL));
    g_assert_cmpstr(g_environ_getenv(client.env, "GOPROXY"), ==, "https://mirror.example");
    g_assert_cmpstr(g_environ_getenv(client.env, "HOME"), ==, folder);
    g_assert_cmpstr(g_environ_getenv(client.env, "ENCLII_TEST_LEAK"), ==, NULL);
    g_assert_true(folder_remove(folder, NULL));
}

static void values_that_are_forwarded_stay_out_of_the_arguments(void)
{
    const char *const forward[] = {"HTTPS_PROXY=http://user:secret@proxy.example", NULL};
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    docker_client_add_inputs(builder, "/etc/a,\"b\".pem", forward);
    g_auto(GStrv) argv = g_strv_builder_end(builder);
    g_autofree char *line = g_strjoinv(" ", argv);
    g_assert_cmpstr(line, ==, "--secret id=ca,\"src=/etc/a,\"\"b\"\".pem\" --build-arg HTTPS_PROXY");
}

/* --- mirrors -------------------------------------------------------------------------------------------------------------- */

static void only_debians_own_entries_are_taken(void)
{
    g_auto(apt_sources_t) sources = {.stanzas = g_string_new(NULL), .lines = g_string_new(NULL)};
    apt_sources_add_stanzas(&sources,
                            "# the mirror\nTypes: deb\nURIs: http://mirror.example/debian\n"
                            "Suites: bookworm bookworm-updates\nComponents: main\n"
                            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
                            "Types: deb\nURIs: https://third.example/x\nSuites: bookworm\nComponents: main\n"
                            "Signed-By: /etc/apt/keyrings/third.gpg\n\n"
                            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n");
    g_assert_cmpstr(
        sources.stanzas->str, ==,
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n");
    apt_sources_add_lines(&sources,
                          "deb http://mirror.example/debian bookworm main contrib\n"
                          "deb-src http://mirror.example/debian bookworm main\n"
                          "# deb http://off.example/debian bookworm main\n"
                          "deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.gpg] https://d.example bookworm main\n"
                          "deb cdrom:[x]/ bookworm main\n"
                          "deb http://pg.example bookworm-pgdg main\n"
                          "deb\n");
    g_assert_cmpstr(sources.lines->str, ==, "deb http://mirror.example/debian bookworm main contrib\n");
}

/* --- names of images --------------------------------------------------------------------------------------------------------- */

static void names_of_one_image_are_one(void)
{
    static const char *const pairs[][2] = {{"docker.io/library/debian:12", "debian:12"},
                                           {"library/debian:12", "debian:12"},
                                           {"golang", "golang:latest"},
                                           {"host.example:5000/a/b", "host.example:5000/a/b:latest"},
                                           {"a/b@sha256:0123", "a/b@sha256:0123"}};
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *name = base_normal_name(pairs[i][0]);
        g_assert_cmpstr(name, ==, pairs[i][1]);
    }
    g_assert_true(base_is_debian("debian:12"));
    g_assert_false(base_is_debian("debian:latest"));
}

static void every_language_has_a_recipe_that_ends_from_debian(void)
{
    static const char *const languages[] = {"go", "node", "python", "c", "static"};
    for (size_t i = 0; i < G_N_ELEMENTS(languages); i++) {
        g_autofree char *name = g_strdup_printf("enclii/base-%s:bookworm", languages[i]);
        const struct base_recipe *recipe = base_recipe_find(name);
        g_assert_nonnull(recipe);
        g_auto(GStrv) bases = dockerfile_bases(recipe->dockerfile, strlen(recipe->dockerfile));
        g_assert_cmpuint(g_strv_length(bases), >=, 1);
        g_assert_cmpstr(bases[0], ==, BASE_DEBIAN);
    }
}

/* --- work folders -------------------------------------------------------------------------------------------------------------- */

static guint count_entries(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint n = 0;
    while (dir != NULL && g_dir_read_name(dir) != NULL) {
        n++;
    }
    return n;
}

static void what_a_crash_left_is_swept_and_what_runs_is_not(void)
{
    g_autofree char *below = g_dir_make_tmp("enclii-work-XXXXXX", NULL);
    g_autofree char *left = g_build_filename(below, "left-by-a-crash", "source", NULL);
    g_assert_cmpint(g_mkdir_with_parents(left, 0700), ==, 0);
    struct workspace *one = workspace_open(below, "same", NULL);
    struct workspace *two = workspace_open(below, "same", NULL);
    g_assert_nonnull(one);
    g_assert_nonnull(two);
    g_assert_cmpuint(count_entries(below), ==, 2);
    g_assert_true(g_file_test(one->path, G_FILE_TEST_IS_DIR));
    workspace_close(one);
    workspace_close(two);
    g_assert_cmpint(g_rmdir(below), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/build/fingerprint_tells_every_input_apart", fingerprint_tells_every_input_apart);
    g_test_add_func("/build/fingerprint_of_the_same_is_the_same", fingerprint_of_the_same_is_the_same);
    g_test_add_func("/build/client_versions_are_read", client_versions_are_read);
    g_test_add_func("/build/endpoints_become_what_the_client_takes", endpoints_become_what_the_client_takes);
    g_test_add_func("/build/client_without_buildkit_is_refused_with_what_to_install",
                    client_without_buildkit_is_refused_with_what_to_install);
    g_test_add_func("/build/client_gets_an_environment_of_its_own", client_gets_an_environment_of_its_own);
    g_test_add_func("/build/values_that_are_forwarded_stay_out_of_the_arguments",
                    values_that_are_forwarded_stay_out_of_the_arguments);
    g_test_add_func("/build/only_debians_own_entries_are_taken", only_debians_own_entries_are_taken);
    g_test_add_func("/build/names_of_one_image_are_one", names_of_one_image_are_one);
    g_test_add_func("/build/every_language_has_a_recipe_that_ends_from_debian",
                    every_language_has_a_recipe_that_ends_from_debian);
    g_test_add_func("/build/what_a_crash_left_is_swept_and_what_runs_is_not",
                    what_a_crash_left_is_swept_and_what_runs_is_not);
    return g_test_run();
}
