#include <string.h>

#include "base/error.h"
#include "base/json_writer.h"
#include "engine/docker/docker.h"

static bool check_owner(const struct docker *docker, const char *name, const struct http_reply *reply, GError **error)
{
    g_auto(parse_object_t) volume = {0};
    if (!parse_object(reply->body->str, reply->body->len, &volume, error)) {
        return false;
    }
    return strcmp(volume.installation, docker->engine.installation) == 0 ||
           sy_fail(error, SY_CONFLICT, "the volume %s is not of this installation", name);
}

/* Creating what exists gives the existing one, with the labels that it has. */
bool docker_volume_ensure(struct engine *engine, const char *name, const char *const *labels, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_auto(http_reply_t) reply = {0};
    g_autoptr(GString) body = g_string_new(NULL);
    struct json_writer writer;
    if (!docker_check_name(name, error)) {
        return false;
    }
    json_writer_init(&writer, body);
    json_object_open(&writer);
    json_member_string(&writer, "Name", name);
    json_member_string(&writer, "Driver", "local");
    docker_put_labels(&writer, engine->installation, labels);
    json_object_close(&writer);
    const struct docker_call call = {
        .method = "POST", .path = "/volumes/create", .body = body, .timeout_ms = DOCKER_CHANGE_MS};
    return docker_call(docker, &call, &reply, error) && check_owner(docker, name, &reply, error);
}

bool docker_volume_remove(struct engine *engine, const char *name, GError **error)
{
    struct docker *docker = docker_of(engine);
    g_auto(http_reply_t) reply = {0};
    GError *failure = NULL;
    if (!docker_check_name(name, error)) {
        return false;
    }
    g_autofree char *path = g_strdup_printf("/volumes/%s", name);
    if (!docker_get(docker, path, &reply, &failure)) {
        if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
            g_error_free(failure);
            return true;
        }
        g_propagate_error(error, failure);
        return false;
    }
    return check_owner(docker, name, &reply, error) && docker_change(docker, "DELETE", path, NULL, 404, error);
}

bool docker_volume_list(struct engine *engine, GPtrArray **ret_names, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    g_autofree char *filters = docker_filters(docker_of(engine), NULL);
    g_autofree char *path = g_strdup_printf("/volumes?filters=%s", filters);
    return docker_get(docker_of(engine), path, &reply, error) &&
           parse_volumes(reply.body->str, reply.body->len, engine->installation, ret_names, error);
}
