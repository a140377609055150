#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"

/* Debian 12's is 1.19; from 1.21 on Go fetches the version that go.mod asks for by itself. */
#define OWN_MINOR 19
#define BOOTSTRAP "go1.23.12"
#define CACHE "--mount=type=cache,id=enclii-go,target=/go/cache"

struct go_module {
    char *path;
    int64_t minor; /* of "go 1.N"; 0 when not said */
    bool is_local; /* replaces modules by folders: nothing can be fetched before the source is there */
};

static void go_module_clear(struct go_module *module)
{
    g_clear_pointer(&module->path, g_free);
}
typedef struct go_module go_module_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(go_module_t, go_module_clear)

static void read_line(struct go_module *module, const char *line)
{
    if (g_str_has_prefix(line, "module ") && module->path == NULL) {
        g_autofree char *value = g_strdup(line + 7);
        module->path = g_strdup(g_strstrip(g_strdelimit(value, "\"`", ' ')));
    }
    if (g_str_has_prefix(line, "go 1.")) {
        module->minor = (int64_t)g_ascii_strtoull(line + 5, NULL, 10);
    }
    module->is_local = module->is_local || strstr(line, "=> ./") != NULL || strstr(line, "=> ../") != NULL;
}

static bool read_module(const struct look *look, struct go_module *ret, GError **error)
{
    g_autofree char *text = folder_text(look->fd, "go.mod", error);
    if (text == NULL) {
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        read_line(ret, g_strstrip(*line));
    }
    if (ret->path == NULL || *ret->path == '\0') {
        return sy_fail(error, SY_INVALID_INPUT, "go.mod has no module line");
    }
    return true;
}

static bool is_main_file(const struct look *look, const char *path)
{
    g_autofree char *text = folder_text(look->fd, path, NULL);
    return text != NULL && g_regex_match_simple("^package[ \\t]+main\\b", text, G_REGEX_MULTILINE, 0);
}

static bool has_main(const struct look *look, const char *folder)
{
    g_auto(GStrv) names = folder_list(look->fd, folder);
    for (char **name = names; *name != NULL; name++) {
        g_autofree char *path = g_build_filename(folder, *name, NULL);
        if (g_str_has_suffix(*name, ".go") && !g_str_has_suffix(*name, "_test.go") && is_main_file(look, path)) {
            return true;
        }
    }
    return false;
}

static char **list_commands(const struct look *look)
{
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    g_auto(GStrv) names = folder_list(look->fd, "cmd");
    for (char **name = names; *name != NULL; name++) {
        g_autofree char *folder = g_build_filename("cmd", *name, NULL);
        if (is_plain_name(*name) && has_main(look, folder)) {
            g_strv_builder_add(found, *name);
        }
    }
    return g_strv_builder_end(found);
}

static char *last_name(const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    /* example.com/shop/v2 is called shop */
    if (name[0] == 'v' && name[1] != '\0' && strspn(name + 1, "0123456789") == strlen(name + 1)) {
        g_autofree char *parent = g_path_get_dirname(path);
        g_free(name);
        name = g_path_get_basename(parent);
    }
    return is_plain_name(name) && *name != '.' ? g_steal_pointer(&name) : g_strdup("server");
}

/* The one of cmd/ that serves: named by the Procfile, alone, or called as the module or server, web, api, app. */
static char *choose_command(const struct look *look, const char *module_name, char **commands)
{
    const char *const wanted[] = {module_name, "server", "web", "api", "app", NULL};
    if (look->web != NULL) {
        g_autofree char *name = g_path_get_basename(look->web[0]);
        if (g_strv_contains((const char *const *)commands, name)) {
            return g_steal_pointer(&name);
        }
    }
    if (g_strv_length(commands) == 1) {
        return g_strdup(commands[0]);
    }
    for (const char *const *name = wanted; *name != NULL; name++) {
        if (g_strv_contains((const char *const *)commands, *name)) {
            return g_strdup(*name);
        }
    }
    return NULL;
}

static bool find_main(const struct look *look, const struct go_module *module, char **ret_package, char **ret_name,
                      char **ret_where, GError **error)
{
    g_autofree char *module_name = last_name(module->path);
    if (has_main(look, ".")) {
        *ret_package = g_strdup(".");
        *ret_where = g_strdup("package main beside go.mod");
        *ret_name = g_steal_pointer(&module_name);
        return true;
    }
    g_auto(GStrv) commands = list_commands(look);
    g_autofree char *chosen = choose_command(look, module_name, commands);
    if (chosen == NULL) {
        g_autofree char *list = g_strjoinv(", ", commands);
        sy_fail(error, SY_NOT_DETECTED, "go.mod is there, but not which program to build: %s%s",
                *list == '\0' ? "no package main beside it or in cmd/*" : "cmd/ has ", list);
        sy_error_set_hint(error, "Name it in a Procfile (web: NAME), or add a Dockerfile.");
        return false;
    }
    *ret_package = g_strdup_printf("./cmd/%s", chosen);
    *ret_where = g_strdup_printf("package main in cmd/%s", chosen);
    *ret_name = g_steal_pointer(&chosen);
    return true;
}

/* The toolchain is a module too; its files come without the mode to run. */
static void text_toolchain(GString *text, const struct go_module *module)
{
    if (module->minor > OWN_MINOR) {
        text_line(text, "RUN " TEXT_CA " " CACHE " if [ -z \"$(go env GOTOOLCHAIN)\" ]; then "
                        "v=golang.org/toolchain@v0.0.1-" BOOTSTRAP ".linux-$(go env GOARCH) && go mod download $v && "
                        "cp -r /go/cache/mod/$v /opt/go && chmod -R u+w,+x /opt/go/bin /opt/go/pkg/tool; fi");
        text_line(text, "ENV PATH=/opt/go/bin:$PATH");
    }
}

static char *write_dockerfile(const struct look *look, const struct go_module *module, const char *package,
                              const char *name, char **command)
{
    GString *text = g_string_new(NULL);
    bool is_vendored = folder_has(look->fd, "vendor/modules.txt");
    bool has_sum = folder_has(look->fd, "go.sum");
    text_line(text, "FROM enclii/base-go:bookworm AS build");
    text_args(text, "GOPROXY GOFLAGS GONOSUMDB GONOSUMCHECK GOSUMDB GOPRIVATE");
    text_line(text, "ENV CGO_ENABLED=0 GOMODCACHE=/go/cache/mod GOCACHE=/go/cache/build SSL_CERT_FILE=" TEXT_CA_FILE);
    text_apt(text, look->apt_build);
    text_toolchain(text, module);
    text_line(text, "WORKDIR /src");
    if (!is_vendored && !module->is_local && !folder_has(look->fd, "go.work")) {
        text_line(text, "COPY go.mod %s./", has_sum ? "go.sum " : "");
        text_line(text, "RUN " TEXT_CA " " CACHE " go mod download");
    }
    text_line(text, "COPY . .");
    text_line(text, "RUN " TEXT_CA " " CACHE " go build -trimpath -tags timetzdata -ldflags=\"-s -w\" -o /out/%s %s",
              name, package);
    text_line(text, "%s", "");
    text_line(text, "FROM " TEXT_RUNTIME);
    text_apt(text, look->apt_run);
    text_line(text, "WORKDIR /app");
    text_line(text, "COPY --from=build " TEXT_CA_FILE " " TEXT_CA_FILE);
    text_data(text, look);
    text_line(text, "COPY --from=build /out/%s /app/bin/%s", name, name);
    text_line(text, "ENV PATH=/app/bin:$PATH");
    text_end(text, command);
    return g_string_free(text, FALSE);
}

/* The Procfile's words, with the program where the image has it. */
static char **make_command(const struct look *look, const char *name)
{
    g_autofree char *program = g_strdup_printf("/app/bin/%s", name);
    if (look->web == NULL) {
        return g_strdupv((char *[]){program, NULL});
    }
    g_auto(GStrv) argv = g_strdupv(look->web);
    g_autofree char *first = g_path_get_basename(argv[0]);
    if (strcmp(first, name) == 0 && *argv[0] != '/') {
        g_free(argv[0]);
        argv[0] = g_steal_pointer(&program);
    }
    return command_runnable(argv);
}

enum finding detect_go(const struct look *look, struct detection *ret, GError **error)
{
    g_auto(go_module_t) module = {0};
    g_autofree char *package = NULL;
    g_autofree char *name = NULL;
    g_autofree char *where = NULL;
    if (!folder_has(look->fd, "go.mod")) {
        return FINDING_NONE;
    }
    if (!read_module(look, &module, error) || !find_main(look, &module, &package, &name, &where, error)) {
        return FINDING_ERROR;
    }
    ret->builder = "go";
    ret->base = "go";
    ret->label = module.minor > 0 ? g_strdup_printf("Go 1.%" G_GINT64_FORMAT, module.minor) : g_strdup("Go");
    ret->reason = g_strdup_printf("go.mod, and %s%s", where, look->web != NULL ? "; the Procfile says what runs" : "");
    ret->command = make_command(look, name);
    ret->port = TEXT_PORT;
    ret->dockerfile = write_dockerfile(look, &module, package, name, ret->command);
    return FINDING_MATCH;
}
