#include "build/docker_client.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/quantity.h"

#define QUESTION_MS 10000
#define OUTPUT_LIMIT 4096
#define FIRST_WITH_BUILDKIT 19
#define FIRST_THAT_NEEDS_BUILDX 23

int docker_major_version(const char *text)
{
    static const char before[] = "Docker version ";
    int64_t major;
    if (!g_str_has_prefix(text, before)) {
        return -1;
    }
    const char *number = text + strlen(before);
    g_autofree char *digits = g_strndup(number, strspn(number, "0123456789"));
    return int_parse(digits, 0, 10000, &major) ? (int)major : -1;
}

char *docker_endpoint(const char *endpoint)
{
    const char *path = endpoint + (g_str_has_prefix(endpoint, "unix:") ? strlen("unix:") : 0);
    path += g_str_has_prefix(path, "//") ? 2 : 0;
    return g_strconcat("unix://", path, NULL);
}

static char **make_environment(const char *home, const char *temporary, const char *const *forward)
{
    char **env = NULL;
    for (; forward != NULL && *forward != NULL; forward++) {
        const char *equals = strchr(*forward, '=');
        g_autofree char *name = equals != NULL ? g_strndup(*forward, (gsize)(equals - *forward)) : NULL;
        env = name != NULL ? g_environ_setenv(env, name, equals + 1, TRUE) : env;
    }
    g_autofree char *settings = g_build_filename(home, ".docker", NULL);
    env = g_environ_setenv(env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", TRUE);
    env = g_environ_setenv(env, "LANG", "C.UTF-8", TRUE);
    env = g_environ_setenv(env, "HOME", home, TRUE);
    env = g_environ_setenv(env, "TMPDIR", temporary, TRUE);
    env = g_environ_setenv(env, "DOCKER_CONFIG", settings, TRUE);
    env = g_environ_setenv(env, "DOCKER_BUILDKIT", "1", TRUE);
    /* One image per build: attestations would make it an index, whose digest is not the image's. */
    return g_environ_setenv(env, "BUILDX_NO_DEFAULT_ATTESTATIONS", "1", TRUE);
}

/* Standard output when it ended well, else NULL. */
static char *ask(const struct docker_client *client, const char *argument, const char *second)
{
    const char *const argv[] = {client->program, argument, second, NULL};
    const struct process_spec spec = {.argv = argv,
                                      .env = (const char *const *)client->env,
                                      .stdin_fd = -1,
                                      .timeout_ms = QUESTION_MS,
                                      .capture_bytes = OUTPUT_LIMIT};
    g_auto(process_result_t) result = {0};
    g_autoptr(GError) ignored = NULL;
    bool ok = process_run(&spec, &result, &ignored) && result.exit_status == 0;
    return ok ? g_strdup(result.output) : NULL;
}

/* NULL when it can build; else why not. */
static char *what_it_lacks(const struct docker_client *client)
{
    g_autofree char *version = ask(client, "--version", NULL);
    int major = version != NULL ? docker_major_version(version) : -1;
    if (major < 0) {
        return g_strdup_printf("%s is no docker client", client->program);
    }
    if (major < FIRST_WITH_BUILDKIT) {
        return g_strdup_printf("%s is of version %d, which is too old", client->program, major);
    }
    if (major >= FIRST_THAT_NEEDS_BUILDX) {
        g_autofree char *buildx = ask(client, "buildx", "version");
        return buildx != NULL ? NULL
                              : g_strdup_printf("%s is of version %d, which builds only with the plugin buildx",
                                                client->program, major);
    }
    return NULL;
}

static bool none_can_build(const GPtrArray *lacks, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < lacks->len; i++) {
        g_string_append_printf(text, "%s%s", i > 0 ? "; " : "", (const char *)g_ptr_array_index(lacks, i));
    }
    sy_fail(error, SY_NOT_SUPPORTED, "no docker client here can build: %s",
            text->len > 0 ? text->str : "there is none");
    sy_error_set_hint(error,
                      "Install docker.io of Debian 12 (apt-get install docker.io), or, beside a newer client, its "
                      "plugin (docker-buildx-plugin, docker-buildx); or name a client: docker = PATH.");
    return false;
}

bool docker_client_find(const char *wanted, const char *endpoint, const char *home, const char *temporary,
                        const char *const *forward, struct docker_client *ret_client, GError **error)
{
    g_autoptr(GPtrArray) lacks = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *in_path = g_find_program_in_path("docker");
    const char *const candidates[] = {wanted != NULL ? wanted : "/usr/bin/docker", wanted != NULL ? NULL : in_path};
    g_auto(docker_client_t)
        client = {.endpoint = docker_endpoint(endpoint), .env = make_environment(home, temporary, forward)};
    for (size_t i = 0; i < G_N_ELEMENTS(candidates); i++) {
        if (candidates[i] == NULL) {
            continue;
        }
        g_free(client.program);
        client.program = g_strdup(candidates[i]);
        char *lack = what_it_lacks(&client);
        if (lack == NULL) {
            *ret_client = client;
            client = (struct docker_client){0};
            return true;
        }
        g_ptr_array_add(lacks, lack);
    }
    return none_can_build(lacks, error);
}

void docker_client_clear(struct docker_client *client)
{
    g_clear_pointer(&client->program, g_free);
    g_clear_pointer(&client->endpoint, g_free);
    g_clear_pointer(&client->env, g_strfreev);
}

GStrvBuilder *docker_client_argv(const struct docker_client *client)
{
    GStrvBuilder *argv = g_strv_builder_new();
    g_strv_builder_add_many(argv, client->program, "-H", client->endpoint, NULL);
    return argv;
}

/* By name only: the client takes the value from its environment, where `ps` does not show it. */
static void add_forwarded(GStrvBuilder *argv, const char *const *forward)
{
    for (; forward != NULL && *forward != NULL; forward++) {
        const char *equals = strchr(*forward, '=');
        if (equals != NULL && equals != *forward) {
            g_autofree char *name = g_strndup(*forward, (gsize)(equals - *forward));
            g_strv_builder_add_many(argv, "--build-arg", name, NULL);
        }
    }
}

/* The option is one record of CSV (RFC 4180 section 2): quoted, so that any path is one field. */
static void add_secret(GStrvBuilder *argv, const char *path)
{
    if (path != NULL) {
        g_auto(GStrv) parts = g_strsplit(path, "\"", -1);
        g_autofree char *quoted = g_strjoinv("\"\"", parts);
        g_autofree char *secret = g_strdup_printf("id=ca,\"src=%s\"", quoted);
        g_strv_builder_add_many(argv, "--secret", secret, NULL);
    }
}

void docker_client_add_inputs(GStrvBuilder *argv, const char *ca_bundle, const char *const *forward)
{
    add_secret(argv, ca_bundle);
    add_forwarded(argv, forward);
}
