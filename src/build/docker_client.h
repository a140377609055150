/* The docker client program: found, and run with an environment of its own.
 *
 * Up to version 22 a client speaks to the engine's BuildKit by itself; from 23 on it needs the plugin buildx. Both take the
 * same arguments. It gets a home of its own, so nobody's settings, contexts or credentials leak into a build. */
#pragma once

#include "base/process.h"

struct docker_client {
    char *program;
    char *endpoint; /* unix:///… */
    char **env;
};

/* `wanted` alone, else /usr/bin/docker, else what is in PATH: the first that can build. `forward` ("K=V", may be NULL) goes
 * into its environment. SY_NOT_SUPPORTED tells what each lacked; the hint, what to install. */
bool docker_client_find(const char *wanted, const char *endpoint, const char *home, const char *temporary,
                        const char *const *forward, struct docker_client *ret_client,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
void docker_client_clear(struct docker_client *client);
typedef struct docker_client docker_client_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(docker_client_t, docker_client_clear)

/* "program -H endpoint" as the beginning of an argv that owns its strings (g_strv_builder_end or the like frees them). */
GStrvBuilder *docker_client_argv(const struct docker_client *client);

/* Options of `build` for what this host gives to all builds: the CA bundle as secret `ca`, `forward` as build arguments. */
void docker_client_add_inputs(GStrvBuilder *argv, const char *ca_bundle, const char *const *forward);

/* "20.10.24" of "Docker version 20.10.24+dfsg1, build 297e128": 20; -1 when it is something else. */
int docker_major_version(const char *text);
/* "unix:PATH" and "unix://PATH" → "unix://PATH". */
char *docker_endpoint(const char *endpoint);
