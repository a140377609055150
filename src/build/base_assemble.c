#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "build/apt_sources.h"
#include "build/base_internal.h"
#include "build/build_log.h"

#define ASSEMBLE_MS (INT64_C(20) * 60 * 1000)
#define IMPORT_MS (INT64_C(5) * 60 * 1000)
#define QUESTION_MS 10000
#define CA_LIMIT (8 << 20)

/* --- shared ------------------------------------------------------------------------------------ */

void workshop_clear(struct workshop *shop)
{
    docker_client_clear(&shop->client);
    workspace_close(shop->workspace);
}
bool workshop_open(struct workshop *shop, const struct build_options *options, GError **error)
{
    const char *folder = options->assembly_folder != NULL ? options->assembly_folder : options->work_folder;
    shop->workspace = workspace_open(folder, "base", error);
    if (shop->workspace == NULL) {
        return false;
    }
    g_autofree char *home = workspace_path(shop->workspace, "home");
    g_autofree char *temporary = workspace_path(shop->workspace, "tmp");
    return docker_client_find(options->docker, options->engine_endpoint, home, temporary, options->forward,
                              &shop->client, error);
}

void base_say(const struct base *base, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (base->on_line != NULL) {
        base->on_line(text, strlen(text), base->arg);
    }
}

bool base_judge(const struct base *base, const struct process_result *result, const char *what, const char *words,
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
    if (length > 3 && strncmp(line, "I: ", 3) == 0 && strstr(line, "tempdir") == NULL &&
        strstr(line, "as requested") == NULL) {
        base_say(base, "  %s", line + 3);
    }
}

static bool run_mmdebstrap(const struct base *base, const struct workshop *shop, const char *tar, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    /* Nothing is mounted: a process under Landlock may not, and none of these packages needs it. */
    g_strv_builder_add_many(builder, "mmdebstrap", "--variant=minbase", "--mode=root", "--skip=chroot/mount",
                            "--include=ca-certificates", NULL);
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
           base_judge(base, &result, "mmdebstrap", result.last_lines != NULL ? result.last_lines : "", error);
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
    base_say(base, "  importing it into the engine");
    return process_run(&spec, &result, error) && base_judge(base, &result, "its import", result.last_lines, error);
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

bool base_assemble_debian(const struct base *base, GError **error)
{
    g_auto(workshop_t) shop = {0};
    if (!check_root(base, error) || !workshop_open(&shop, base->options, error)) {
        return false;
    }
    g_autofree char *tar = workspace_path(shop.workspace, "base.tar");
    base_say(base, "assembling %s from Debian packages, once", base->reference);
    return run_mmdebstrap(base, &shop, tar, error) && import(base, &shop, tar, BASE_DEBIAN, error);
}

/* --- a language's, by BuildKit --------------------------------------------------------------------------------------------------- */

static char **recipe_argv(const struct base *base, const struct workshop *shop, const char *dockerfile,
                          const char *context)
{
    g_autoptr(GStrvBuilder) argv = docker_client_argv(&shop->client);
    g_strv_builder_add_many(argv, "build", "--progress=plain", "-t", base->reference, "-f", dockerfile, NULL);
    if (base->is_fresh) {
        g_strv_builder_add(argv, "--no-cache");
    }
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
    return base_judge(base, &result, verdict.step != NULL ? verdict.step : "the build", words, error);
}

bool base_assemble_recipe(const struct base *base, const struct base_recipe *recipe, GError **error)
{
    g_auto(workshop_t) shop = {0};
    base_say(base, "assembling %s, once", base->reference);
    return workshop_open(&shop, base->options, error) && run_recipe(base, &shop, recipe, error);
}
