/* Life, the table of functions, and what the engine says about itself. */
#include "engine/docker/docker.h"

#include "base/error.h"

static void docker_free(struct engine *engine)
{
    struct docker *docker = docker_of(engine);
    g_ptr_array_unref(docker->idle);
    g_hash_table_unref(docker->owned_volumes);
    g_mutex_clear(&docker->lock);
    g_mutex_clear(&docker->network_lock);
    g_free(docker->endpoint);
    g_free(docker->engine.installation);
    g_free(docker);
}

static bool docker_ping(struct engine *engine, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    const struct docker_call call = {
        .method = "GET", .path = "/_ping", .timeout_ms = DOCKER_PING_MS, .is_unversioned = true};
    return docker_call(docker_of(engine), &call, &reply, error);
}

static bool docker_info(struct engine *engine, struct engine_info *ret_info, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_auto(http_reply_t) version_reply = {0};
    g_auto(http_reply_t) info_reply = {0};
    struct parse_version version = {0};
    struct engine_info info = {0};
    const struct docker_call ask_version = {
        .method = "GET", .path = "/version", .timeout_ms = DOCKER_PING_MS, .is_unversioned = true};
    if (!docker_call(docker, &ask_version, &version_reply, error) ||
        !parse_version(version_reply.body->str, version_reply.body->len, &version, error)) {
        return false;
    }
    bool ok = docker_get(docker, "/info", &info_reply, error) &&
              parse_info(info_reply.body->str, info_reply.body->len, &info, error);
    if (ok) {
        info.name = g_strdup(version.is_podman ? "podman" : "docker");
        info.version = g_steal_pointer(&version.version);
        info.api_version = g_steal_pointer(&version.api_version);
        info.runc = g_steal_pointer(&version.runc);
        *ret_info = info;
    }
    parse_version_clear(&version);
    return ok;
}

static const struct engine_ops ops = {
    .name = "docker",
    .free = docker_free,
    .info = docker_info,
    .ping = docker_ping,
    .network_ensure = docker_network_ensure,
    .network_remove = docker_network_remove,
    .network_list = docker_network_list,
    .volume_ensure = docker_volume_ensure,
    .volume_remove = docker_volume_remove,
    .volume_list = docker_volume_list,
    .instance_create = docker_instance_create,
    .instance_start = docker_instance_start,
    .instance_stop = docker_instance_stop,
    .instance_remove = docker_instance_remove,
    .instance_wait = docker_instance_wait,
    .instance_inspect = docker_instance_inspect,
    .instance_list = docker_instance_list,
    .instance_logs = docker_instance_logs,
    .image_inspect = docker_image_inspect,
    .image_tag = docker_image_tag,
    .image_pull = docker_image_pull,
    .image_remove = docker_image_remove,
    .image_list = docker_image_list,
    .build_cache_bytes = docker_build_cache_bytes,
    .events = docker_events,
};

struct engine *engine_docker_new(const char *endpoint, const char *installation, GError **error)
{
    if (!g_str_has_prefix(endpoint, "unix:")) { /* over TCP everybody on the way would be root here */
        sy_fail(error, SY_INVALID_INPUT, "%s is no endpoint of a container engine", endpoint);
        sy_error_set_hint(error, "Give its socket: unix:/var/run/docker.sock");
        return NULL;
    }
    struct http_client *client = http_client_new(endpoint, error);
    if (client == NULL || !docker_check_name(installation, error)) {
        http_client_free(client);
        return NULL;
    }
    struct docker *docker = g_new0(struct docker, 1);
    docker->engine.ops = &ops;
    docker->engine.installation = g_strdup(installation);
    docker->endpoint = g_strdup(endpoint);
    docker->idle = g_ptr_array_new_with_free_func((GDestroyNotify)http_client_free);
    docker->owned_volumes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_mutex_init(&docker->lock);
    g_mutex_init(&docker->network_lock);
    http_client_free(client);
    return &docker->engine;
}

void engine_docker_stats(const struct engine *engine, struct engine_stats *ret_stats)
{
    struct docker *docker = docker_of((struct engine *)engine);
    g_mutex_lock(&docker->lock);
    *ret_stats = docker->stats;
    g_mutex_unlock(&docker->lock);
}
