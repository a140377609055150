#include "engine/docker/create.h"

#include <string.h>

#include "base/error.h"
#include "base/json_writer.h"
#include "engine/docker/docker.h"

#define MIB (INT64_C(1) << 20)
#define MOST_SECONDS 86400

static bool check(const struct engine_instance_spec *spec, GError **error)
{
    if (!docker_check_name(spec->name, error) || !docker_check_name(spec->network, error)) {
        return false;
    }
    if (spec->pids <= 0 || spec->cpu_millis < 0 || spec->memory_bytes < 0 || spec->log_bytes < 0) {
        return sy_fail(error, SY_INVALID_INPUT, "%s: limits must be positive", spec->name);
    }
    for (const char *const *entry = spec->env; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        if (equals == NULL || equals == *entry) {
            return sy_fail(error, SY_INVALID_INPUT, "%s: a variable without a name", spec->name);
        }
    }
    for (size_t i = 0; i < spec->n_mounts; i++) {
        const char *path = spec->mounts[i].path;
        if (!docker_check_name(spec->mounts[i].volume, error)) {
            return false;
        }
        if (path == NULL || path[0] != '/') {
            return sy_fail(error, SY_INVALID_INPUT, "%s: a volume needs an absolute path", spec->name);
        }
    }
    return true;
}

void docker_put_strings(struct json_writer *writer, const char *key, const char *const *strings)
{
    json_key(writer, key);
    json_array_open(writer);
    for (const char *const *string = strings; string != NULL && *string != NULL; string++) {
        json_put_string(writer, *string);
    }
    json_array_close(writer);
}

static void put_user(struct json_writer *writer, const struct engine_instance_spec *spec)
{
    if (spec->user < 0) {
        return;
    }
    g_autofree char *user = spec->group >= 0
                                ? g_strdup_printf("%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT, spec->user, spec->group)
                                : g_strdup_printf("%" G_GINT64_FORMAT, spec->user);
    json_member_string(writer, "User", user);
}

/* Every container names an instance: that tells it from one that merely inherits the labels of our image. */
static void put_labels(struct json_writer *writer, const struct engine_instance_spec *spec,
                       const struct create_facts *facts)
{
    g_autoptr(GPtrArray) labels = g_ptr_array_new();
    g_autofree char *own = g_strdup_printf(ENGINE_LABEL_INSTANCE "=%s", spec->name);
    bool has_own = false;
    for (const char *const *label = spec->labels; label != NULL && *label != NULL; label++) {
        has_own |= g_str_has_prefix(*label, ENGINE_LABEL_INSTANCE "=");
        g_ptr_array_add(labels, (gpointer)*label);
    }
    g_ptr_array_add(labels, has_own ? NULL : own);
    g_ptr_array_add(labels, NULL);
    docker_put_labels(writer, facts->installation, (const char *const *)labels->pdata);
}

static void put_program(struct json_writer *writer, const struct engine_instance_spec *spec,
                        const struct create_facts *facts)
{
    json_member_string(writer, "Image", spec->image);
    if (spec->command != NULL) {
        docker_put_strings(writer, "Cmd", spec->command);
    }
    docker_put_strings(writer, "Env", spec->env);
    put_user(writer, spec);
    json_member_bool(writer, "Tty", false);
    json_member_bool(writer, "OpenStdin", false);
    if (spec->stop_signal != NULL) {
        json_member_string(writer, "StopSignal", spec->stop_signal);
    }
    json_member_int(writer, "StopTimeout", CLAMP((spec->stop_grace_ms + 999) / 1000, 0, MOST_SECONDS));
    put_labels(writer, spec, facts);
}

static void put_network(struct json_writer *writer, const struct engine_instance_spec *spec)
{
    json_key(writer, "NetworkingConfig");
    json_object_open(writer);
    json_key(writer, "EndpointsConfig");
    json_object_open(writer);
    json_key(writer, spec->network);
    json_object_open(writer);
    if (spec->address != NULL) {
        json_key(writer, "IPAMConfig");
        json_object_open(writer);
        json_member_string(writer, "IPv4Address", spec->address);
        json_object_close(writer);
    }
    docker_put_strings(writer, "Aliases", spec->aliases);
    json_object_close(writer);
    json_object_close(writer);
    json_object_close(writer);
}

/* Memory and swap together equal the memory: nothing is swapped, the limit is the limit. */
static void put_limits(struct json_writer *writer, const struct engine_instance_spec *spec,
                       const struct create_facts *facts)
{
    if (spec->memory_bytes > 0) {
        json_member_int(writer, "Memory", spec->memory_bytes);
        json_member_int(writer, "MemorySwap", spec->memory_bytes);
    }
    if (spec->cpu_millis > 0) {
        json_member_int(writer, "NanoCpus", spec->cpu_millis * 1000000);
    }
    json_member_int(writer, "PidsLimit", spec->pids);
    json_key(writer, "Ulimits");
    json_array_open(writer);
    json_object_open(writer);
    json_member_string(writer, "Name", "nofile");
    json_member_int(writer, "Soft", facts->open_files);
    json_member_int(writer, "Hard", facts->open_files);
    json_object_close(writer);
    json_array_close(writer);
}

static bool is_mounted(const struct engine_instance_spec *spec, const char *path)
{
    for (size_t i = 0; i < spec->n_mounts; i++) {
        if (strcmp(spec->mounts[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

/* A /tmp of its own, in memory, counted within the memory limit; programs may unpack libraries there and load them. */
static void put_tmp(struct json_writer *writer, const struct engine_instance_spec *spec)
{
    if (is_mounted(spec, "/tmp")) {
        return;
    }
    int64_t bytes = spec->memory_bytes > 0 ? CLAMP(spec->memory_bytes / 2, 4 * MIB, 1024 * MIB) : 256 * MIB;
    g_autofree char *options = g_strdup_printf("rw,exec,nosuid,nodev,mode=1777,size=%" G_GINT64_FORMAT, bytes);
    json_key(writer, "Tmpfs");
    json_object_open(writer);
    json_member_string(writer, "/tmp", options);
    json_object_close(writer);
}

/* The labels are for a volume that has vanished just now and is made anew. */
void docker_put_mounts(struct json_writer *writer, const struct engine_instance_spec *spec, const char *installation,
                       bool is_filled)
{
    json_key(writer, "Mounts");
    json_array_open(writer);
    for (size_t i = 0; i < spec->n_mounts; i++) {
        json_object_open(writer);
        json_member_string(writer, "Type", "volume");
        json_member_string(writer, "Source", spec->mounts[i].volume);
        json_member_string(writer, "Target", spec->mounts[i].path);
        json_key(writer, "VolumeOptions");
        json_object_open(writer);
        json_member_bool(writer, "NoCopy", is_filled);
        docker_put_labels(writer, installation, NULL);
        json_object_close(writer);
        json_object_close(writer);
    }
    json_array_close(writer);
}

/* The engine keeps two files of half the bound each; our own log store has copied them long before they turn over. */
static void put_log(struct json_writer *writer, const struct engine_instance_spec *spec)
{
    json_key(writer, "LogConfig");
    json_object_open(writer);
    json_member_string(writer, "Type", "json-file");
    json_key(writer, "Config");
    json_object_open(writer);
    if (spec->log_bytes > 0) {
        g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, MAX(spec->log_bytes / 2, 4096));
        json_member_string(writer, "max-size", size);
        json_member_string(writer, "max-file", "2");
    }
    json_object_close(writer);
    json_object_close(writer);
}

static void put_restart(struct json_writer *writer, const struct engine_instance_spec *spec)
{
    json_key(writer, "RestartPolicy");
    json_object_open(writer);
    json_member_string(writer, "Name", spec->restarts ? "unless-stopped" : "no");
    json_object_close(writer);
}

static void put_host(struct json_writer *writer, const struct engine_instance_spec *spec,
                     const struct create_facts *facts)
{
    static const char *const all[] = {"ALL", NULL};
    static const char *const no_new_privileges[] = {"no-new-privileges", NULL};
    json_key(writer, "HostConfig");
    json_object_open(writer);
    json_member_string(writer, "NetworkMode", spec->network);
    json_member_bool(writer, "ReadonlyRootfs", !spec->is_root_writable);
    json_member_bool(writer, "Privileged", false);
    docker_put_strings(writer, "CapDrop", all);
    docker_put_strings(writer, "CapAdd", spec->add_capabilities);
    docker_put_strings(writer, "SecurityOpt", no_new_privileges);
    if (facts->has_init) { /* reaps orphans, passes signals on to a program that never asked to be process 1 */
        json_member_bool(writer, "Init", true);
    }
    put_limits(writer, spec, facts);
    put_tmp(writer, spec);
    docker_put_mounts(writer, spec, facts->installation, facts->is_filled);
    put_log(writer, spec);
    put_restart(writer, spec);
    json_object_close(writer);
}

GString *create_body(const struct engine_instance_spec *spec, const struct create_facts *facts, GError **error)
{
    if (!check(spec, error)) {
        return NULL;
    }
    GString *body = g_string_sized_new(4096);
    struct json_writer writer;
    json_writer_init(&writer, body);
    json_object_open(&writer);
    put_program(&writer, spec, facts);
    put_network(&writer, spec);
    put_host(&writer, spec, facts);
    json_object_close(&writer);
    return body;
}
