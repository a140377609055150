#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/http_client.h"
#include "build/apt_sources.h"
#include "build/base_recipe.h"
#include "build/build_log.h"
#include "build/docker_client.h"
#include "build/pipeline.h"
#include "build/workspace.h"

#define ANSWER_MS 5000
#define PULL_MS (INT64_C(20) * 60 * 1000)
#define ASSEMBLE_MS (INT64_C(20) * 60 * 1000)
#define ANSWER_LIMIT (1 << 20)
#define IMPORT_MS (INT64_C(5) * 60 * 1000)
#define QUESTION_MS 10000
#define CA_LIMIT (8 << 20)

/* One base image being made sure of. */
struct base {
    const struct build_options *options;
    const char *reference; /* normal name */
    process_line_fn on_line;
    void *arg;
    const int *cancelled;
};

static void say(const struct base *base, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(const struct base *base, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (base->on_line != NULL) {
        base->on_line(text, strlen(text), base->arg);
    }
}

static bool is_cancelled(const struct base *base)
{
    return base->cancelled != NULL && g_atomic_int_get(base->cancelled) != 0;
}

/* --- one at a time -------------------------------------------------------------------------------------------------------- */

/* References that somebody is making; guarded by `lock`. A language's image is taken before Debian's, never the other way. */
static GMutex lock;
static GCond left;
static GHashTable *busy;

static bool enter(const struct base *base, GError **error)
{
    g_mutex_lock(&lock);
    if (busy == NULL) {
        busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    while (g_hash_table_contains(busy, base->reference) && !is_cancelled(base)) {
        g_cond_wait_until(&left, &lock, g_get_monotonic_time() + 100000);
    }
    bool ok = !is_cancelled(base) && g_hash_table_add(busy, g_strdup(base->reference));
    g_mutex_unlock(&lock);
    return ok || sy_fail(error, SY_CANCELLED, "the build was cancelled");
}

static void leave(const struct base *base)
{
    g_mutex_lock(&lock);
    g_hash_table_remove(busy, base->reference);
    if (g_hash_table_size(busy) == 0) {
        g_clear_pointer(&busy, g_hash_table_unref);
    }
    g_cond_broadcast(&left);
    g_mutex_unlock(&lock);
}

/* --- the engine ------------------------------------------------------------------------------------------------------------- */

static bool is_there(const struct base *base, const char *reference, bool *ret_is_there, GError **error)
{
    struct engine *engine = base->options->engine;
    struct engine_image *image = NULL;
    g_autoptr(GError) failure = NULL;
    *ret_is_there = engine->ops->image_inspect(engine, reference, &image, &failure);
    if (*ret_is_there) {
        engine_image_free(image);
        return true;
    }
    if (sy_error_code(failure) != SY_NOT_FOUND) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    return true;
}

static bool give_name(const struct base *base, const char *from, const char *name, GError **error)
{
    struct engine *engine = base->options->engine;
    const char *colon = strrchr(name, ':');
    g_autofree char *repository = g_strndup(name, (gsize)(colon - name));
    return engine->ops->image_tag(engine, from, repository, colon + 1, error);
}

/* Asks the engine to ask the registry (Engine API, /distribution): what the engine reaches counts, not what we reach. */
static bool registry_answers(const struct base *base, const char *reference)
{
    g_autofree char *target = g_strdup_printf("/distribution/%s/json", reference);
    g_autoptr(http_client_t) client = http_client_new(base->options->engine_endpoint, NULL);
    const struct http_exchange exchange = {.method = "GET",
                                           .target = target,
                                           .timeout_ms = ANSWER_MS,
                                           .limit_bytes = ANSWER_LIMIT,
                                           .cancelled = base->cancelled};
    g_auto(http_reply_t) reply = {0};
    g_autoptr(GError) ignored = NULL;
    /* 500: it could not be reached; the others are its own answers. */
    return client != NULL && http_client_call(client, &exchange, &reply, &ignored) && reply.status < 500;
}

/* --- a folder and a client for the making ------------------------------------------------------------------------------------ */

struct workshop {
    struct workspace *workspace;
    struct docker_client client;
};

static void workshop_clear(struct workshop *shop)
{
    docker_client_clear(&shop->client);
    workspace_close(shop->workspace);
}
typedef struct workshop workshop_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(workshop_t, workshop_clear)

static bool workshop_open(struct workshop *shop, const struct build_options *options, GError **error)
{
    shop->workspace = workspace_open(options->work_folder, "base", error);
    if (shop->workspace == NULL) {
        return false;
    }
    g_autofree char *home = workspace_path(shop->workspace, "home");
    g_autofree char *temporary = workspace_path(shop->workspace, "tmp");
    return docker_client_find(options->docker, options->engine_endpoint, home, temporary, options->forward,
                              &shop->client, error);
}

/* What the program's end means; `words` are its last ones. */
static bool judge(const struct base *base, const struct process_result *result, const char *what, const char *words,
                  GError **error)
{
    if (result->cancelled) {
        return sy_fail(error, SY_CANCELLED, "the build was cancelled");
    }
    if (result->timed_out) {
        return sy_fail(error, SY_BUILD_TIMEOUT, "base image %s: %s took too long", base->reference, what);
    }
    return result->exit_status == 0 ||
           sy_fail(error, SY_BUILD_FAILED, "base image %s: %s failed: %s", base->reference, what, words);
}

/* --- Debian, by mmdebstrap ----------------------------------------------------------------------------------------------------- */

static bool write_text(const struct workspace *workspace, const char *name, const GString *text, GError **error)
{
    g_autofree char *path = workspace_path(workspace, name);
    return file_replace(path, text->str, text->len, 0600, error);
}

/* mmdebstrap's own hooks, not the shell's (mmdebstrap(1), SPECIAL HOOKS). They split words, so the bundle is taken by a
 * short name from the folder that the program runs in. */
static bool add_ca_hooks(GStrvBuilder *argv, const struct base *base, const struct workspace *workspace, GError **error)
{
    g_autofree char *copy = workspace_path(workspace, "ca.crt");
    size_t length;
    if (base->options->ca_bundle == NULL) {
        return true;
    }
    g_autofree char *bundle = file_read(base->options->ca_bundle, CA_LIMIT, &length, error);
    if (bundle == NULL || !file_replace(copy, bundle, length, 0644, error)) {
        g_prefix_error(error, "ca_bundle: ");
        return false;
    }
    g_strv_builder_add_many(argv, "--customize-hook=upload ca.crt /etc/ssl/certs/ca-certificates.crt",
                            /* where update-ca-certificates finds it again */
                            "--customize-hook=upload ca.crt /usr/local/share/ca-certificates/host.crt", NULL);
    return true;
}

/* Own mirrors where the host has some of this Debian, else mmdebstrap's default ones. */
static bool add_mirrors(GStrvBuilder *argv, const struct workspace *workspace, GError **error)
{
    g_auto(apt_sources_t) sources = {0};
    if (!apt_sources_read("/etc/apt", &sources)) {
        return true;
    }
    const struct {
        const char *name;
        const GString *text;
    } files[] = {{"debian.sources", sources.stanzas}, {"debian.list", sources.lines}};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (files[i].text->len > 0) {
            g_autofree char *path = workspace_path(workspace, files[i].name);
            if (!write_text(workspace, files[i].name, files[i].text, error)) {
                return false;
            }
            g_strv_builder_add(argv, path);
        }
    }
    return true;
}

/* The host's apt may know a proxy that its environment does not: Acquire::http::Proxy "http://…"; */
static char **add_apt_proxy(char **env)
{
    const char *const argv[] = {"apt-config", "dump", "--format", "%v%n", "Acquire::http::Proxy", NULL};
    const struct process_spec spec = {.argv = argv, .stdin_fd = -1, .timeout_ms = QUESTION_MS, .capture_bytes = 1024};
    g_auto(process_result_t) result = {0};
    g_autoptr(GError) ignored = NULL;
    if (g_environ_getenv(env, "http_proxy") != NULL || !process_run(&spec, &result, &ignored)) {
        return env;
    }
    char *proxy = g_strstrip(result.output);
    return g_str_has_prefix(proxy, "http://") && strchr(proxy, '\n') == NULL
               ? g_environ_setenv(env, "http_proxy", proxy, TRUE)
               : env;
}

/* "I: downloading packages with apt..." */
static void on_assembly_line(const char *line, size_t length, void *arg)
{
    const struct base *base = arg;
    if (length > 3 && strncmp(line, "I: ", 3) == 0 && strstr(line, "tempdir") == NULL) {
        say(base, "  %s", line + 3);
    }
}

static bool run_mmdebstrap(const struct base *base, const struct workshop *shop, const char *tar, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_strv_builder_add_many(builder, "mmdebstrap", "--variant=minbase", "--mode=root", "--include=ca-certificates",
                            NULL);
    if (!add_ca_hooks(builder, base, shop->workspace, error)) {
        return false;
    }
    g_strv_builder_add_many(builder, "bookworm", tar, NULL);
    if (!add_mirrors(builder, shop->workspace, error)) {
        return false;
    }
    g_auto(GStrv) argv = g_strv_builder_end(builder);
    g_auto(GStrv) env = add_apt_proxy(g_strdupv(shop->client.env));
    const struct process_spec spec = {.argv = (const char *const *)argv,
                                      .env = (const char *const *)env,
                                      .cwd = shop->workspace->path,
                                      .stdin_fd = -1,
                                      .timeout_ms = ASSEMBLE_MS,
                                      .cancelled = base->cancelled,
                                      .on_line = on_assembly_line,
                                      .on_line_arg = (void *)base};
    g_auto(process_result_t) result = {0};
    return process_run(&spec, &result, error) &&
           judge(base, &result, "mmdebstrap", result.last_lines != NULL ? result.last_lines : "", error);
}

static bool import(const struct base *base, const struct workshop *shop, const char *tar, const char *name,
                   GError **error)
{
    g_autoptr(GStrvBuilder) builder = docker_client_argv(&shop->client);
    g_strv_builder_add_many(builder, "import", "--change", "CMD [\"bash\"]", tar, name, NULL);
    g_auto(GStrv) argv = g_strv_builder_end(builder);
    const struct process_spec spec = {.argv = (const char *const *)argv,
                                      .env = (const char *const *)shop->client.env,
                                      .stdin_fd = -1,
                                      .timeout_ms = IMPORT_MS,
                                      .cancelled = base->cancelled};
    g_auto(process_result_t) result = {0};
    say(base, "  importing it into the engine");
    return process_run(&spec, &result, error) && judge(base, &result, "its import", result.last_lines, error);
}

static bool check_root(const struct base *base, GError **error)
{
    if (geteuid() == 0) {
        return true;
    }
    sy_fail(error, SY_BUILD_FAILED, "base image %s: assembling it from Debian packages needs root", base->reference);
    sy_error_set_hint(error, "Run switchyard as root, or give the engine the image: docker pull %s, or docker load.",
                      base->reference);
    return false;
}

static bool assemble_debian(const struct base *base, GError **error)
{
    g_auto(workshop_t) shop = {0};
    if (!check_root(base, error) || !workshop_open(&shop, base->options, error)) {
        return false;
    }
    g_autofree char *tar = workspace_path(shop.workspace, "base.tar");
    say(base, "assembling %s from Debian packages, once", base->reference);
    return run_mmdebstrap(base, &shop, tar, error) && import(base, &shop, tar, BASE_DEBIAN, error);
}

/* --- a language's, by BuildKit --------------------------------------------------------------------------------------------------- */

static char **recipe_argv(const struct base *base, const struct workshop *shop, const char *dockerfile,
                          const char *context)
{
    g_autoptr(GStrvBuilder) argv = docker_client_argv(&shop->client);
    g_strv_builder_add_many(argv, "build", "--progress=plain", "-t", base->reference, "-f", dockerfile, NULL);
    docker_client_add_inputs(argv, base->options->ca_bundle, base->options->forward);
    g_strv_builder_add(argv, context);
    return g_strv_builder_end(argv);
}

static bool run_recipe(const struct base *base, const struct workshop *shop, const struct base_recipe *recipe,
                       GError **error)
{
    g_autofree char *dockerfile = workspace_path(shop->workspace, "Dockerfile");
    g_autofree char *context = workspace_path(shop->workspace, "tmp");
    g_auto(GStrv) argv = recipe_argv(base, shop, dockerfile, context);
    g_autoptr(build_log_t) log = build_log_new(base->on_line, base->arg);
    const struct process_spec spec = {.argv = (const char *const *)argv,
                                      .env = (const char *const *)shop->client.env,
                                      .stdin_fd = -1,
                                      .timeout_ms = ASSEMBLE_MS,
                                      .cancelled = base->cancelled,
                                      .on_line = build_log_take,
                                      .on_line_arg = log};
    g_auto(process_result_t) result = {0};
    g_auto(build_verdict_t) verdict = {0};
    if (!file_replace(dockerfile, recipe->dockerfile, strlen(recipe->dockerfile), 0600, error) ||
        !process_run(&spec, &result, error)) {
        return false;
    }
    build_log_verdict(log, &verdict);
    g_autofree char *words = g_strconcat(verdict.reason, verdict.lines, NULL);
    return judge(base, &result, verdict.step != NULL ? verdict.step : "the build", words, error);
}

static bool build_recipe(const struct base *base, const struct base_recipe *recipe, GError **error)
{
    if (!base_image_ensure(base->options, BASE_DEBIAN, base->on_line, base->arg, base->cancelled, error)) {
        return false;
    }
    g_auto(workshop_t) shop = {0};
    say(base, "assembling %s, once", base->reference);
    return workshop_open(&shop, base->options, error) && run_recipe(base, &shop, recipe, error);
}

/* --- both ways ------------------------------------------------------------------------------------------------------------------- */

static bool assemble(const struct base *base, GError **error)
{
    const struct base_recipe *recipe = base_recipe_find(base->reference);
    if (recipe != NULL) {
        return build_recipe(base, recipe, error);
    }
    if (strcmp(base->reference, BASE_DEBIAN) == 0) {
        return assemble_debian(base, error);
    }
    if (base_is_debian(base->reference)) { /* another name of the same */
        return base_image_ensure(base->options, BASE_DEBIAN, base->on_line, base->arg, base->cancelled, error) &&
               give_name(base, BASE_DEBIAN, base->reference, error);
    }
    sy_fail(error, SY_BUILD_FAILED,
            "base image %s is not in the engine, no image registry is reachable, and it is none "
            "that can be assembled here",
            base->reference);
    sy_error_set_hint(error,
                      "Use debian:bookworm-slim or scratch as base, leave the Dockerfile out so that the builder is "
                      "detected, or load the image once: docker load (docs/how-to/without-a-registry.md).");
    return false;
}

static const char *upstream_of(const struct base *base)
{
    const struct base_recipe *recipe = base_recipe_find(base->reference);
    return recipe == NULL ? base->reference : recipe->upstream != NULL ? recipe->upstream : BASE_DEBIAN;
}

static bool pull(const struct base *base, GError **error)
{
    struct engine *engine = base->options->engine;
    const struct base_recipe *recipe = base_recipe_find(base->reference);
    const char *upstream = upstream_of(base);
    if (recipe != NULL && recipe->upstream == NULL) {
        return build_recipe(base, recipe, error);
    }
    say(base, "pulling %s", upstream);
    if (!engine->ops->image_pull(engine, upstream, PULL_MS, error)) {
        return false;
    }
    return recipe == NULL || give_name(base, upstream, recipe->name, error);
}

/* The engine's words, under the code that says whose turn it is. */
static bool fail_pull(const struct base *base, GError *failure, GError **error)
{
    enum sy_code code = sy_error_code(failure);
    if (code == SY_CANCELLED || code == SY_ENGINE_UNAVAILABLE || code == SY_BUILD_FAILED || code == SY_DISK_FULL) {
        g_propagate_error(error, failure);
        return false;
    }
    sy_fail(error, SY_BUILD_FAILED, "base image %s cannot be pulled: %s", base->reference, failure->message);
    sy_error_set_hint(error,
                      "Is the name right? Without a registry: base_images = assemble, or load the image once: docker "
                      "load (docs/how-to/without-a-registry.md).");
    g_error_free(failure);
    return false;
}

static bool can_be_assembled(const struct base *base)
{
    return base_is_debian(base->reference) || base_recipe_find(base->reference) != NULL;
}

static bool make(const struct base *base, GError **error)
{
    const char *mode = base->options->base_images != NULL ? base->options->base_images : "auto";
    GError *failure = NULL;
    if (strcmp(mode, "assemble") == 0 || (strcmp(mode, "auto") == 0 && !registry_answers(base, upstream_of(base)))) {
        return is_cancelled(base) ? sy_fail(error, SY_CANCELLED, "the build was cancelled") : assemble(base, error);
    }
    if (pull(base, &failure)) {
        return true;
    }
    if (strcmp(mode, "auto") == 0 && can_be_assembled(base) && !is_cancelled(base)) {
        say(base, "  %s", failure->message);
        g_error_free(failure);
        return assemble(base, error);
    }
    return fail_pull(base, failure, error);
}

bool base_image_ensure(const struct build_options *options, const char *reference, process_line_fn on_line, void *arg,
                       const int *cancelled, GError **error)
{
    g_autofree char *name = base_normal_name(reference);
    struct base base = {.options = options, .reference = name, .on_line = on_line, .arg = arg, .cancelled = cancelled};
    bool is_present = false;
    if (name == NULL) {
        return sy_fail(error, SY_INVALID_INPUT, "FROM %.200s: this is no name of an image", reference);
    }
    if (!is_there(&base, name, &is_present, error)) {
        return false;
    }
    if (is_present) {
        return true;
    }
    if (!enter(&base, error)) {
        return false;
    }
    bool ok = is_there(&base, name, &is_present, error) && (is_present || make(&base, error));
    leave(&base);
    return ok;
}
