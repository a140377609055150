#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"
#include "contract/contract.h"

#define CACHE "--mount=type=cache,id=enclii-npm,target=/cache/npm"

/* A package manager is known by its lock file. */
struct manager {
    const char *lock;
    const char *install;
    const char *run_build;
    const char *prune;
};

static const struct manager managers[] = {
    {"package-lock.json", "npm ci", "npm run build", "npm prune --omit=dev"},
    {"npm-shrinkwrap.json", "npm ci", "npm run build", "npm prune --omit=dev"},
    {"pnpm-lock.yaml", "npx --yes pnpm@9 install --frozen-lockfile", "npx --yes pnpm@9 run build",
     "CI=true npx --yes pnpm@9 prune --prod"},
    {"yarn.lock", "npx --yes yarn@1 install --frozen-lockfile", "npx --yes yarn@1 run build",
     "npx --yes yarn@1 install --frozen-lockfile --production --ignore-scripts --offline"},
    {NULL, "npm install", "npm run build", "npm prune --omit=dev"},
};

struct package {
    json_t *json;
    const struct manager *manager;
    const char *start; /* scripts.start, borrowed */
    const char *main;
    bool has_build;
    bool needs_source; /* scripts that run at installation, or workspaces: the source must be there before */
    const char *file;  /* what is run when no script says so */
};

static void package_clear(struct package *package)
{
    json_decref(package->json);
    package->json = NULL;
}
typedef struct package package_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(package_t, package_clear)

static const char *script(const struct package *package, const char *name)
{
    return json_string_value(json_object_get(json_object_get(package->json, "scripts"), name));
}

static const char *find_file(const struct look *look)
{
    static const char *const files[] = {"server.js",  "index.js",  "app.js",        "main.js",
                                        "server.mjs", "index.mjs", "src/server.js", "src/index.js"};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (folder_has(look->fd, files[i])) {
            return files[i];
        }
    }
    return NULL;
}

static bool read_package(const struct look *look, struct package *ret, GError **error)
{
    static const char *const early[] = {"preinstall", "install", "postinstall", "prepare"};
    g_autofree char *text = folder_text(look->fd, "package.json", error);
    ret->json = text != NULL ? json_parse(text, strlen(text), error) : NULL;
    if (ret->json == NULL || !json_is_object(ret->json)) {
        if (error != NULL && *error == NULL) {
            return sy_fail(error, SY_INVALID_INPUT, "package.json is not an object");
        }
        g_prefix_error(error, "package.json: ");
        return false;
    }
    ret->manager = managers;
    while (ret->manager->lock != NULL && !folder_has(look->fd, ret->manager->lock)) {
        ret->manager++;
    }
    ret->start = script(ret, "start");
    ret->main = json_string_value(json_object_get(ret->json, "main"));
    ret->has_build = script(ret, "build") != NULL;
    ret->needs_source = json_object_get(ret->json, "workspaces") != NULL || folder_has(look->fd, "pnpm-workspace.yaml");
    for (size_t i = 0; i < G_N_ELEMENTS(early); i++) {
        ret->needs_source = ret->needs_source || script(ret, early[i]) != NULL;
    }
    ret->file = ret->main != NULL && folder_has(look->fd, ret->main) ? ret->main : find_file(look);
    return true;
}

/* `npm start` starts a shell that starts the program; where no shell is needed the program is started itself, so that it
 * gets the signals. */
static char **start_command(const struct package *package)
{
    const char *reason;
    g_auto(GStrv) argv = NULL;
    if (script(package, "prestart") == NULL && script(package, "poststart") == NULL) {
        argv = command_split(package->start, &reason);
    }
    return argv != NULL ? command_runnable(argv) : g_strdupv((char *[]){(char *)"npm", (char *)"start", NULL});
}

static char **choose_command(const struct look *look, const struct package *package, char **ret_reason)
{
    if (look->web != NULL) {
        *ret_reason = g_strdup("package.json; the Procfile says what runs");
        return command_runnable(look->web);
    }
    if (package->start != NULL) {
        *ret_reason = g_strdup("package.json has a start script");
        return start_command(package);
    }
    if (package->file != NULL) {
        *ret_reason = g_strdup_printf("package.json without a start script; %s is there", package->file);
        return g_strdupv((char *[]){(char *)"node", (char *)package->file, NULL});
    }
    return NULL;
}

static void text_install(GString *text, const struct look *look, const struct package *package, const char *source)
{
    const struct manager *manager = package->manager;
    bool has_npmrc = folder_has(look->fd, ".npmrc");
    bool is_npm = g_str_has_prefix(manager->install, "npm ");
    const char *omit = !package->has_build && is_npm ? " --omit=dev" : "";
    if (package->needs_source) {
        text_line(text, "COPY %s", source);
    } else {
        text_line(text, "COPY package.json %s%s%s./", manager->lock != NULL ? manager->lock : "",
                  manager->lock != NULL ? " " : "", has_npmrc ? ".npmrc " : "");
    }
    text_line(text, "RUN " TEXT_CA " " CACHE " %s%s", manager->install, omit);
    if (!package->needs_source) {
        text_line(text, "COPY %s", source);
    }
    if (package->has_build) {
        text_line(text, "RUN " TEXT_CA " " CACHE " %s", manager->run_build);
    }
    if (package->has_build || !is_npm) {
        text_line(text, "RUN " TEXT_CA " " CACHE " %s", manager->prune);
    }
}

static void text_build_stage(GString *text, const struct look *look, const struct package *package)
{
    static const char *const left_out[] = {"node_modules", NULL};
    const char *source = text_source(text, look, left_out);
    text_line(text, "FROM enclii/base-node:bookworm AS build");
    text_args(text, "NPM_CONFIG_REGISTRY");
    text_line(
        text,
        "ENV NODE_EXTRA_CA_CERTS=" TEXT_CA_FILE " SSL_CERT_FILE=" TEXT_CA_FILE
        " NPM_CONFIG_CACHE=/cache/npm NPM_CONFIG_UPDATE_NOTIFIER=false NPM_CONFIG_FUND=false NPM_CONFIG_AUDIT=false");
    text_apt(text, look->apt_build);
    text_line(text, "WORKDIR /app");
    text_install(text, look, package, source);
    text_line(text, "%s", "");
}

static char *write_server(const struct look *look, const struct package *package, char **command)
{
    GString *text = g_string_new(NULL);
    text_build_stage(text, look, package);
    text_line(text, "FROM enclii/base-node:bookworm");
    text_apt(text, look->apt_run);
    text_line(text, "WORKDIR /app");
    text_line(text, "COPY --from=build /app /app");
    text_line(text, "ENV NODE_ENV=production NPM_CONFIG_CACHE=/tmp/.npm NPM_CONFIG_UPDATE_NOTIFIER=false "
                    "PATH=/app/node_modules/.bin:$PATH");
    text_end(text, command);
    return g_string_free(text, FALSE);
}

/* A program that only builds pages: vite, react-scripts, astro and the like. */
static char *write_site(const struct look *look, const struct package *package, char ***ret_command)
{
    GString *text = g_string_new(NULL);
    text_build_stage(text, look, package);
    text_line(text, "FROM enclii/base-node:bookworm AS pages");
    text_line(text, "COPY --from=build /app /app");
    text_line(text, "WORKDIR /app");
    text_line(text,
              "RUN for d in dist build out _site public; do if [ -f $d/index.html ]; then mv $d /site && exit 0; fi; "
              "done; echo 'The build made no index.html in dist, build, out, _site or public.'; exit 1");
    text_line(text, "%s", "");
    text_site(text, "pages", "/site", ret_command);
    return g_string_free(text, FALSE);
}

static bool check_manager(const struct look *look, GError **error)
{
    if (!folder_has(look->fd, ".yarnrc.yml")) {
        return true;
    }
    sy_fail(error, SY_NOT_DETECTED,
            "package.json is there, but Yarn 2 or newer (.yarnrc.yml) is not known to the builder");
    sy_error_set_hint(error, "Add a Dockerfile, or a package-lock.json made by npm.");
    return false;
}

enum finding detect_node(const struct look *look, struct detection *ret, GError **error)
{
    g_auto(package_t) package = {0};
    if (!folder_has(look->fd, "package.json")) {
        return FINDING_NONE;
    }
    if (!check_manager(look, error) || !read_package(look, &package, error)) {
        return FINDING_ERROR;
    }
    g_autofree char *reason = NULL;
    char **command = choose_command(look, &package, &reason);
    if (command == NULL && !package.has_build) {
        sy_fail(error, SY_NOT_DETECTED,
                "package.json is there, but not what to run: no start script, no server.js or index.js");
        sy_error_set_hint(
            error, "Add \"scripts\": {\"start\": \"node FILE\"} to package.json, or a Procfile (web: node FILE).");
        return FINDING_ERROR;
    }
    ret->builder = "node";
    ret->base = "node";
    ret->label = g_strdup(command != NULL ? "Node.js" : "Node.js, static site");
    ret->dockerfile = command != NULL ? write_server(look, &package, command) : write_site(look, &package, &command);
    if (reason == NULL) {
        reason = g_strdup("package.json has a build script and nothing that serves");
    }
    ret->reason = g_strdup_printf("%s; %s", reason,
                                  package.manager->lock != NULL ? package.manager->lock
                                                                : "no lock file: versions may change between builds");
    ret->command = command;
    ret->port = TEXT_PORT;
    return FINDING_MATCH;
}
