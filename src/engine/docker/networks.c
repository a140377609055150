#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "engine/docker/docker.h"

#define ROUTES_BYTES ((size_t)1 << 20)

/* By name. *ret_found false when there is none; ids that begin like the name do not count. */
static bool find(struct docker *docker, const char *name, struct parse_object *ret_network, bool *ret_found,
                 GError **error)
{
    g_auto(http_reply_t) reply = {0};
    GError *failure = NULL;
    g_autofree char *path = g_strdup_printf("/networks/%s", name);
    *ret_found = false;
    if (!docker_get(docker, path, &reply, &failure)) {
        if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
            g_error_free(failure);
            return true;
        }
        g_propagate_error(error, failure);
        return false;
    }
    struct parse_object network = {0};
    if (!parse_object(reply.body->str, reply.body->len, &network, error)) {
        return false;
    }
    *ret_found = strcmp(network.name, name) == 0;
    if (*ret_found) {
        *ret_network = network;
    } else {
        parse_object_clear(&network);
    }
    return true;
}

static bool check_owner(const struct docker *docker, const struct parse_object *network, GError **error)
{
    return strcmp(network->installation, docker->engine.installation) == 0 ||
           sy_fail(error, SY_CONFLICT, "the network %s is not of this installation", network->name);
}

static GString *network_body(const struct docker *docker, const char *name, const char *subnet, const char *gateway,
                             const char *const *labels)
{
    GString *body = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, body);
    json_object_open(&writer);
    json_member_string(&writer, "Name", name);
    json_member_bool(&writer, "CheckDuplicate", true);
    json_member_string(&writer, "Driver", "bridge");
    json_key(&writer, "IPAM");
    json_object_open(&writer);
    json_member_string(&writer, "Driver", "default");
    json_key(&writer, "Config");
    json_array_open(&writer);
    json_object_open(&writer);
    json_member_string(&writer, "Subnet", subnet);
    json_member_string(&writer, "Gateway", gateway);
    json_object_close(&writer);
    json_array_close(&writer);
    json_object_close(&writer);
    docker_put_labels(&writer, docker->engine.installation, labels);
    json_object_close(&writer);
    return body;
}

/* There already: is it what was asked for? */
static bool check_existing(const struct docker *docker, const struct parse_object *network, const char *subnet,
                           GError **error)
{
    if (!check_owner(docker, network, error)) {
        return false;
    }
    return strcmp(network->subnet, subnet) == 0 ||
           sy_fail(error, SY_CONFLICT, "the network %s has the subnet %s instead of %s", network->name, network->subnet,
                   subnet);
}

static bool ensure(struct docker *docker, const char *name, const char *subnet, const char *gateway,
                   const char *const *labels, GError **error)
{
    bool found = false;
    g_auto(parse_object_t) network = {0};
    if (!find(docker, name, &network, &found, error)) {
        return false;
    }
    if (found) {
        return check_existing(docker, &network, subnet, error);
    }
    GError *failure = NULL;
    g_autoptr(GString) body = network_body(docker, name, subnet, gateway, labels);
    if (docker_change(docker, "POST", "/networks/create", body, 0, &failure)) {
        return true;
    }
    /* Another process may have been faster: the same name and subnet cannot be made twice. */
    g_autoptr(GError) ignored = NULL;
    if (find(docker, name, &network, &found, &ignored) && found) {
        g_error_free(failure);
        return check_existing(docker, &network, subnet, error);
    }
    g_propagate_prefixed_error(error, failure, "network %s: ", name);
    return false;
}

bool docker_network_ensure(struct engine *engine, const char *name, const char *subnet, const char *gateway,
                           const char *const *labels, GError **error)
{
    struct docker *docker = docker_of(engine);
    if (!docker_check_name(name, error)) {
        return false;
    }
    g_mutex_lock(&docker->network_lock);
    bool ok = ensure(docker, name, subnet, gateway, labels, error);
    g_mutex_unlock(&docker->network_lock);
    return ok;
}

/* Podman removes a network that is in use, and with it the containers' way to the others; Docker refuses that itself. */
static bool check_unused(struct docker *docker, const char *name, GError **error)
{
    struct docker_facts facts;
    g_auto(http_reply_t) reply = {0};
    bool is_empty = true;
    if (!docker_negotiate(docker, &facts, error)) {
        return false;
    }
    if (!facts.is_podman) {
        return true;
    }
    g_autofree char *filters = g_strdup_printf("%%7B%%22network%%22%%3A%%5B%%22%s%%22%%5D%%7D", name);
    g_autofree char *path = g_strdup_printf("/containers/json?all=1&filters=%s", filters);
    if (!docker_get(docker, path, &reply, error) ||
        !parse_is_empty(reply.body->str, reply.body->len, &is_empty, error)) {
        return false;
    }
    return is_empty || sy_fail(error, SY_ENGINE_FAILED, "the network %s is in use", name);
}

bool docker_network_remove(struct engine *engine, const char *name, GError **error)
{
    struct docker *docker = docker_of(engine);
    bool found = false;
    g_auto(parse_object_t) network = {0};
    if (!docker_check_name(name, error) || !find(docker, name, &network, &found, error)) {
        return false;
    }
    if (!found) {
        return true;
    }
    g_autofree char *path = g_strdup_printf("/networks/%s", network.id);
    return check_owner(docker, &network, error) && check_unused(docker, name, error) &&
           docker_change(docker, "DELETE", path, NULL, 404, error);
}

/* Another engine on this machine, or a tunnel, has its ranges too; the engine knows them not, and takes them all the same. */
static void add_routes(GPtrArray *subnets)
{
    g_autoptr(GError) ignored = NULL; /* without them it is as good as the engine knows */
    g_autofree char *text = file_read("/proc/net/route", ROUTES_BYTES, NULL, &ignored);
    if (text != NULL) {
        parse_routes(text, subnets);
    }
}

bool docker_network_list(struct engine *engine, GPtrArray **ret_names, GPtrArray **ret_all_subnets, GError **error)
{
    g_auto(http_reply_t) reply = {0};
    if (!docker_get(docker_of(engine), "/networks", &reply, error) ||
        !parse_networks(reply.body->str, reply.body->len, engine->installation, ret_names, ret_all_subnets, error)) {
        return false;
    }
    add_routes(*ret_all_subnets);
    return true;
}
