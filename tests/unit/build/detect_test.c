/* What a folder is: every example, folders made here, and what is refused. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "build/detect.h"

/* "name", "content", …, NULL */
struct folder {
    char *path;
    int fd;
};

static struct folder folder_new(const char *const *files)
{
    struct folder folder = {.path = g_dir_make_tmp("enclii-detect-XXXXXX", NULL)};
    for (; *files != NULL; files += 2) {
        g_autofree char *path = g_build_filename(folder.path, files[0], NULL);
        g_autofree char *parent = g_path_get_dirname(path);
        g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
        g_assert_true(g_file_set_contents(path, files[1], -1, NULL));
    }
    folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder;
}

static void folder_end(struct folder *folder)
{
    close(folder->fd);
    g_assert_true(folder_remove(folder->path, NULL));
    g_free(folder->path);
}

static detection_t *detected(const struct build_config *config, const char *const *files)
{
    struct folder folder = folder_new(files);
    g_autoptr(GError) error = NULL;
    struct detection *detection = NULL;
    bool ok = detect(folder.fd, config, &detection, &error);
    folder_end(&folder);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_nonnull(detection->label);
    g_assert_nonnull(detection->reason);
    g_assert_nonnull(detection->how_to_change);
    return detection;
}
#define DETECTED(config, ...) detected(config, (const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(const struct build_config *config, enum sy_code code, const char *words,
                           const char *const *files)
{
    struct folder folder = folder_new(files);
    g_autoptr(GError) error = NULL;
    struct detection *detection = NULL;
    g_assert_false(detect(folder.fd, config, &detection, &error));
    folder_end(&folder);
    g_assert_error(error, SY_ERROR, (int)code);
    g_assert_null(detection);
    if (strstr(error->message, words) == NULL) {
        g_test_message("“%s” does not hold “%s”", error->message, words);
        g_test_fail();
    }
}
#define ASSERT_REFUSED(config, code, words, ...)                                                                       \
    assert_refused(config, code, words, (const char *const[]){__VA_ARGS__, NULL})

static void assert_command(const detection_t *detection, const char *expected)
{
    g_autofree char *joined = detection->command != NULL ? g_strjoinv("|", detection->command) : NULL;
    g_assert_cmpstr(joined, ==, expected);
}

static void assert_holds(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        g_test_message("no “%s” in:\n%s", part, text);
        g_test_fail();
    }
}

/* What holds for every Dockerfile that we write. */
static void assert_sound(const detection_t *detection)
{
    const char *text = detection->dockerfile;
    g_auto(GStrv) bases = dockerfile_bases(text, strlen(text));
    g_autofree char *own = g_strdup_printf("enclii/base-%s:bookworm", detection->base);
    assert_holds(text, "\nUSER 65532:65532\n");
    assert_holds(text, "\nEXPOSE 8080\n");
    g_assert_null(strstr(text, "<<"));
    g_assert_true(dockerfile_check(text, strlen(text), false, NULL));
    g_assert_true(g_strv_contains((const char *const *)bases, own) || strcmp(detection->base, "node") == 0);
    for (char **base = bases; *base != NULL; base++) {
        g_assert_true(strcmp(*base, "debian:bookworm-slim") == 0 || g_str_has_prefix(*base, "enclii/base-"));
    }
    g_assert_cmpint(detection->port, ==, 8080);
}

static void examples_are_detected(void)
{
    static const struct {
        const char *folder;
        const char *builder;
        const char *label;
        const char *command;
    } examples[] = {
        {"c-hello", "c", "C, by make", "/app/bin/server"},
        {"go-hello", "go", "Go 1.19", "/app/bin/go-hello"},
        {"node-hello", "node", "Node.js", "node|server.js"},
        {"python-hello", "python", "Python 3",
         "/usr/bin/env|-S|gunicorn --bind 0.0.0.0:${PORT} --worker-class gthread --threads 8 --worker-tmp-dir /tmp "
         "app:app"},
        {"static-site", "static", "static site",
         "/usr/local/bin/caddy|run|--config|/etc/caddy/Caddyfile|--adapter|caddyfile"},
        {"dockerfile-hello", "dockerfile", "Dockerfile", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(examples); i++) {
        g_autofree char *path = g_build_filename(EXAMPLES, examples[i].folder, NULL);
        g_auto(fd_t) fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_autoptr(detection_t) detection = NULL;
        g_autoptr(GError) error = NULL;
        g_assert_true(detect(fd, NULL, &detection, &error));
        g_assert_cmpstr(detection->builder, ==, examples[i].builder);
        g_assert_cmpstr(detection->label, ==, examples[i].label);
        g_assert_cmpint(detection->port, ==, 8080);
        assert_command(detection, examples[i].command);
        if (detection->dockerfile != NULL) {
            assert_sound(detection);
        } else {
            g_assert_cmpstr(detection->dockerfile_path, ==, "Dockerfile");
        }
    }
}

static void order_is_as_documented(void)
{
    static const struct {
        const char *builder;
        const char *files[2];
    } order[] = {{"dockerfile", {"Dockerfile", "FROM x\n"}},
                 {"go", {"go.mod", "module m\n"}},
                 {"node", {"package.json", "{\"scripts\":{\"start\":\"node x\"}}"}},
                 {"python", {"requirements.txt", "flask\n"}},
                 {"c", {"Makefile", "x:\n"}},
                 {"static", {"index.html", "x"}}};
    for (size_t first = 0; first < G_N_ELEMENTS(order); first++) {
        g_autoptr(GPtrArray) files = g_ptr_array_new();
        for (size_t i = first; i < G_N_ELEMENTS(order); i++) {
            g_ptr_array_add(files, (char *)order[i].files[0]);
            g_ptr_array_add(files, (char *)order[i].files[1]);
        }
        g_ptr_array_add(files, (char *)"main.c");
        g_ptr_array_add(files, (char *)"int main(void) {}");
        g_ptr_array_add(files, (char *)"main.go");
        g_ptr_array_add(files, (char *)"package main\n");
        g_ptr_array_add(files, NULL);
        g_autoptr(detection_t) detection = detected(NULL, (const char *const *)files->pdata);
        g_assert_cmpstr(detection->builder, ==, order[first].builder);
    }
}

static void configuration_comes_first(void)
{
    struct build_config type = {.type = BUILD_STATIC};
    struct build_config file = {.type = BUILD_AUTO, .dockerfile = (char *)"docker/prod"};
    struct build_config image = {.type = BUILD_IMAGE, .image = (char *)"x"};
    struct build_config buildpack = {.type = BUILD_BUILDPACK};
    struct build_config c = {.type = BUILD_C};
    g_autoptr(detection_t) by_type = DETECTED(&type, "Dockerfile", "FROM x", "index.html", "x");
    g_autoptr(detection_t) by_file = DETECTED(&file, "docker/prod", "FROM x\nEXPOSE 3000/tcp\n", "go.mod", "module m");
    g_autoptr(detection_t) by_image = DETECTED(&image, "go.mod", "module m");
    g_autoptr(detection_t) by_buildpack = DETECTED(&buildpack, "index.html", "x");
    g_assert_cmpstr(by_type->builder, ==, "static");
    g_assert_cmpstr(by_file->builder, ==, "dockerfile");
    g_assert_cmpstr(by_file->dockerfile_path, ==, "docker/prod");
    g_assert_cmpint(by_file->port, ==, 3000);
    g_assert_cmpstr(by_image->builder, ==, "image");
    g_assert_cmpstr(by_buildpack->builder, ==, "static");
    ASSERT_REFUSED(&file, SY_INVALID_INPUT, "docker/prod", "Dockerfile", "FROM x");
    ASSERT_REFUSED(&c, SY_NOT_DETECTED, "build.type is c", "index.html", "x");
}

static void nothing_found_lists_what_was_looked_for(void)
{
    ASSERT_REFUSED(NULL, SY_NOT_DETECTED, "go.mod; package.json;", "README.md", "x");
    ASSERT_REFUSED(NULL, SY_NOT_DETECTED, "index.html", "Makefile", "all:\n");
}

static void go_programs_are_found(void)
{
    static const char mod[] = "module example.com/a/shop/v2 // x\n\ngo 1.22.1\n";
    g_autoptr(detection_t) root =
        DETECTED(NULL, "go.mod", "module \"x\"\n", "a_test.go", "package main", "a.go", "// x\npackage main\n");
    g_autoptr(detection_t) one = DETECTED(NULL, "go.mod", mod, "cmd/tool/a.go", "package main\n", "templates/x", "y",
                                          "lib.go", "package shop\n");
    g_autoptr(detection_t) named =
        DETECTED(NULL, "go.mod", "module m/shop\n", "cmd/shop/a.go", "package main", "cmd/x/a.go", "package main");
    g_autoptr(detection_t) told = DETECTED(NULL, "go.mod", "module m\n", "cmd/a/a.go", "package main", "cmd/b/a.go",
                                           "package main", "Procfile", "web: bin/b --port $PORT\n");
    assert_command(root, "/app/bin/x");
    assert_holds(root->dockerfile, "COPY go.mod ./\n");
    assert_command(one, "/app/bin/tool");
    assert_holds(one->dockerfile, "COPY templates ./templates\n");
    assert_holds(one->dockerfile, "golang.org/toolchain");
    g_assert_null(strstr(root->dockerfile, "golang.org/toolchain"));
    assert_command(named, "/app/bin/shop");
    assert_command(told, "/usr/bin/env|-S|/app/bin/b --port ${PORT}");
    assert_sound(one);
    ASSERT_REFUSED(NULL, SY_NOT_DETECTED, "cmd/ has a, b", "go.mod", "module m\n", "cmd/a/a.go", "package main",
                   "cmd/b/a.go", "package main");
    ASSERT_REFUSED(NULL, SY_NOT_DETECTED, "no package main", "go.mod", "module m\n", "a.go", "package m\n");
    ASSERT_REFUSED(NULL, SY_INVALID_INPUT, "no module line", "go.mod", "go 1.19\n", "a.go", "package main\n");
}

static void go_sources_that_modules_need_come_first(void)
{
    g_autoptr(detection_t) local = DETECTED(NULL, "go.mod", "module m\nreplace x => ./x\n", "a.go", "package main");
    g_autoptr(detection_t) vendored =
        DETECTED(NULL, "go.mod", "module m\n", "a.go", "package main", "vendor/modules.txt", "");
    g_assert_null(strstr(local->dockerfile, "go mod download"));
    g_assert_null(strstr(vendored->dockerfile, "go mod download"));
}

static void node_commands_need_no_shell_where_they_can(void)
{
    g_autoptr(detection_t) direct =
        DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"next start -p $PORT\"}}", "package-lock.json", "{}");
    g_autoptr(detection_t) shell = DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"A=b node x\"}}");
    g_autoptr(detection_t) before =
        DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"node x\",\"prestart\":\"y\"}}");
    g_autoptr(detection_t) main_file =
        DETECTED(NULL, "package.json", "{\"main\":\"lib/a.js\"}", "lib/a.js", "", "index.js", "");
    g_autoptr(detection_t) index = DETECTED(NULL, "package.json", "{\"main\":\"../../etc/passwd\"}", "index.js", "");
    g_autoptr(detection_t) told =
        DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"x\"}}", "Procfile", "web: node y\n");
    assert_command(direct, "/usr/bin/env|-S|next start -p ${PORT}");
    assert_command(shell, "npm|start");
    assert_command(before, "npm|start");
    assert_command(main_file, "node|lib/a.js");
    assert_command(index, "node|index.js");
    assert_command(told, "node|y");
    assert_holds(shell->reason, "no lock file");
    assert_holds(direct->dockerfile, "npm ci --omit=dev\n");
    assert_sound(direct);
    ASSERT_REFUSED(NULL, SY_NOT_DETECTED, "no start script", "package.json", "{}");
    ASSERT_REFUSED(NULL, SY_INVALID_JSON, "package.json: line 1", "package.json", "{");
    ASSERT_REFUSED(NULL, SY_INVALID_INPUT, "not an object", "package.json", "[]");
    ASSERT_REFUSED(NULL, SY_NOT_DETECTED, "Yarn 2", "package.json", "{}", ".yarnrc.yml", "");
}

static void node_builds_and_managers_are_known(void)
{
    g_autoptr(detection_t) build = DETECTED(
        NULL, "package.json", "{\"scripts\":{\"start\":\"node x\",\"build\":\"tsc\"}}", "package-lock.json", "{}");
    g_autoptr(detection_t) pages = DETECTED(NULL, "package.json", "{\"scripts\":{\"build\":\"vite build\"}}",
                                            "package-lock.json", "{}", "index.html", "");
    g_autoptr(detection_t) pnpm =
        DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"node x\"}}", "pnpm-lock.yaml", "");
    g_autoptr(detection_t) yarn =
        DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"node x\"}}", "yarn.lock", "");
    g_autoptr(detection_t) early =
        DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"node x\",\"postinstall\":\"y\"}}");
    g_autoptr(detection_t) modules =
        DETECTED(NULL, "package.json", "{\"scripts\":{\"start\":\"node x\"}}", "node_modules/a/b", "");
    assert_holds(build->dockerfile, "npm run build\n");
    assert_holds(build->dockerfile, "npm prune --omit=dev\n");
    assert_holds(pages->dockerfile, "enclii/base-static");
    g_assert_cmpstr(pages->label, ==, "Node.js, static site");
    assert_holds(pnpm->dockerfile, "pnpm@9 install --frozen-lockfile\n");
    assert_holds(yarn->dockerfile, "yarn@1 install --frozen-lockfile\n");
    g_assert_null(strstr(early->dockerfile, "COPY package.json"));
    assert_holds(modules->dockerfile, "RUN rm -rf node_modules\n");
    assert_sound(pages);
    assert_sound(modules);
}

static void python_servers_are_known(void)
{
    static const char app[] = "from x import y\napp = y()\n";
    g_autoptr(detection_t) gunicorn = DETECTED(NULL, "requirements.txt", "Flask\nGunicorn==1\n", "app.py", app);
    g_autoptr(detection_t) uvicorn =
        DETECTED(NULL, "pyproject.toml", "[project]\ndependencies = [\"uvicorn[standard]>=1\"]\n", "main.py", app);
    g_autoptr(detection_t) wsgi = DETECTED(NULL, "requirements.txt", "gunicorn", "wsgi.py", "application = 1\n");
    g_autoptr(detection_t) django =
        DETECTED(NULL, "requirements.txt", "django\ngunicorn\n", "manage.py", "", "site1/wsgi.py", "application = 1\n");
    g_autoptr(detection_t) plain = DETECTED(NULL, "requirements.txt", "gunicorn-extras\n", "app.py", app);
    g_autoptr(detection_t) nothing = DETECTED(NULL, "setup.py", "x");
    g_autoptr(detection_t) venv = DETECTED(NULL, "requirements.txt", "", "main.py", "", ".venv/bin/python", "");
    assert_command(gunicorn, "/usr/bin/env|-S|gunicorn --bind 0.0.0.0:${PORT} app:app");
    assert_command(uvicorn, "/usr/bin/env|-S|uvicorn --host 0.0.0.0 --port ${PORT} main:app");
    assert_holds(uvicorn->dockerfile, "pip install .\n");
    assert_command(wsgi, "/usr/bin/env|-S|gunicorn --bind 0.0.0.0:${PORT} wsgi:application");
    assert_command(django, "/usr/bin/env|-S|gunicorn --bind 0.0.0.0:${PORT} site1.wsgi");
    assert_command(plain, "python3|app.py");
    assert_command(nothing, NULL);
    assert_holds(nothing->reason, "nothing says what runs");
    assert_holds(venv->dockerfile, "RUN rm -rf .venv\n");
    assert_sound(gunicorn);
    assert_sound(venv);
}

static void c_tools_are_known(void)
{
    g_autoptr(detection_t) meson = DETECTED(NULL, "meson.build", "", "Makefile", "", "a.c", "");
    g_autoptr(detection_t) cmake = DETECTED(NULL, "CMakeLists.txt", "", "src/a.cpp", "");
    g_autoptr(detection_t) told =
        DETECTED(NULL, "Makefile", "", "a.c", "", "Procfile", "web: ./out/serve --port=$PORT 'a b'");
    g_assert_cmpstr(meson->label, ==, "C, by meson");
    g_assert_cmpstr(cmake->label, ==, "C++, by cmake");
    assert_command(told, "/usr/bin/env|-S|/app/bin/serve --port=${PORT} \"a b\"");
    assert_holds(told->dockerfile, "-name serve ");
    assert_sound(cmake);
}

static void debian_packages_are_checked(void)
{
    g_autoptr(detection_t) apt =
        DETECTED(NULL, "Makefile", "", "a.c", "", "apt.txt", "# x\nlibpq-dev\n libpq5 # y\n\nlibstdc++6\n");
    g_autoptr(detection_t) aptfile = DETECTED(NULL, "requirements.txt", "", "Aptfile", "ffmpeg");
    assert_holds(apt->dockerfile, "--no-install-recommends libpq-dev libpq5 libstdc++6\n");
    assert_holds(apt->dockerfile, "--no-install-recommends libpq5 libstdc++6\n");
    assert_holds(aptfile->dockerfile, "--no-install-recommends ffmpeg\n");
    static const char *const bad[] = {"-o=x", "a", "A1", "a b", "a;b", "a$(b)", "../a", "libpq5=1", "a/b", "a\xC3\xA4"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup_printf("ok1\n%s\n", bad[i]);
        ASSERT_REFUSED(NULL, SY_INVALID_INPUT, "apt.txt, line 2", "requirements.txt", "", "apt.txt", text);
    }
}

static void static_sites_are_found(void)
{
    g_autoptr(detection_t) root = DETECTED(NULL, "index.html", "", "README.md", "");
    g_autoptr(detection_t) dist = DETECTED(NULL, "dist/index.html", "");
    assert_holds(root->dockerfile, "COPY . /site\n");
    assert_holds(root->dockerfile, "rm -rf enclii.yaml");
    assert_holds(dist->dockerfile, "COPY dist /site\n");
    assert_sound(root);
    assert_sound(dist);
}

static void procfiles_that_need_a_shell_stop_language_builders_only(void)
{
    g_autoptr(detection_t) own = DETECTED(NULL, "Dockerfile", "FROM x", "Procfile", "web: a | b\n");
    g_autoptr(detection_t) workers = DETECTED(NULL, "index.html", "", "Procfile", "worker: ./x\n");
    g_assert_cmpstr(own->builder, ==, "dockerfile");
    g_assert_cmpstr(workers->builder, ==, "static");
    ASSERT_REFUSED(NULL, SY_INVALID_INPUT, "not run by a shell", "requirements.txt", "", "Procfile", "web: a | b\n");
}

static void frontends_by_argument_are_refused(void)
{
    g_autoptr(GPtrArray) args = string_map_new();
    string_map_set(args, "BUILDKIT_SYNTAX", "evil/frontend");
    struct build_config config = {.type = BUILD_AUTO, .build_args = args};
    ASSERT_REFUSED(&config, SY_INVALID_INPUT, "BUILDKIT_SYNTAX", "Dockerfile", "FROM x");
}

static void links_are_followed_only_inside(void)
{
    struct folder folder = folder_new((const char *const[]){"docker/real", "FROM x\nEXPOSE 81\n", NULL});
    g_autoptr(GError) error = NULL;
    g_autoptr(detection_t) inside = NULL;
    struct detection *outside = NULL;
    g_assert_cmpint(symlinkat("docker/real", folder.fd, "Dockerfile"), ==, 0);
    g_assert_true(detect(folder.fd, NULL, &inside, &error));
    g_assert_cmpint(inside->port, ==, 81);
    static const char *const targets[] = {"/etc/passwd", "../../../../../../etc/passwd", "/proc/self/environ",
                                          "docker"};
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(GError) failure = NULL;
        g_assert_cmpint(unlinkat(folder.fd, "Dockerfile", 0), ==, 0);
        g_assert_cmpint(symlinkat(targets[i], folder.fd, "Dockerfile"), ==, 0);
        g_assert_false(detect(folder.fd, NULL, &outside, &failure));
        g_assert_error(failure, SY_ERROR, SY_NOT_DETECTED);
    }
    g_assert_cmpint(unlinkat(folder.fd, "Dockerfile", 0), ==, 0);
    g_assert_cmpint(mkfifoat(folder.fd, "Dockerfile", 0600), ==, 0);
    g_assert_false(detect(folder.fd, NULL, &outside, NULL));
    folder_end(&folder);
}

static void contexts_are_opened_beneath(void)
{
    struct folder folder = folder_new((const char *const[]){"apps/web/index.html", "x", NULL});
    static const char *const bad[] = {"..",  "../x",        "/", "/etc", "missing", "apps/web/index.html",
                                      "out", "apps/../../x"};
    g_assert_cmpint(symlinkat("/etc", folder.fd, "out"), ==, 0);
    g_auto(fd_t) fd = detect_open_folder(folder.fd, "./apps/web/", NULL);
    g_autoptr(detection_t) detection = NULL;
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(detect(fd, NULL, &detection, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", bad[i]);
        g_assert_cmpint(detect_open_folder(folder.fd, bad[i], &error), ==, -1);
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    }
    folder_end(&folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/detect/examples_are_detected", examples_are_detected);
    g_test_add_func("/detect/order_is_as_documented", order_is_as_documented);
    g_test_add_func("/detect/configuration_comes_first", configuration_comes_first);
    g_test_add_func("/detect/nothing_found_lists_what_was_looked_for", nothing_found_lists_what_was_looked_for);
    g_test_add_func("/detect/go_programs_are_found", go_programs_are_found);
    g_test_add_func("/detect/go_sources_that_modules_need_come_first", go_sources_that_modules_need_come_first);
    g_test_add_func("/detect/node_commands_need_no_shell_where_they_can", node_commands_need_no_shell_where_they_can);
    g_test_add_func("/detect/node_builds_and_managers_are_known", node_builds_and_managers_are_known);
    g_test_add_func("/detect/python_servers_are_known", python_servers_are_known);
    g_test_add_func("/detect/c_tools_are_known", c_tools_are_known);
    g_test_add_func("/detect/debian_packages_are_checked", debian_packages_are_checked);
    g_test_add_func("/detect/static_sites_are_found", static_sites_are_found);
    g_test_add_func("/detect/procfiles_that_need_a_shell_stop_language_builders_only",
                    procfiles_that_need_a_shell_stop_language_builders_only);
    g_test_add_func("/detect/frontends_by_argument_are_refused", frontends_by_argument_are_refused);
    g_test_add_func("/detect/links_are_followed_only_inside", links_are_followed_only_inside);
    g_test_add_func("/detect/contexts_are_opened_beneath", contexts_are_opened_beneath);
    return g_test_run();
}
