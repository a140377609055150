/* The engine: containers that start, become ready, crash and stay away; idempotent as engine.h asks, and fallible. */
#include <string.h>

#include "base/error.h"
#include "world.h"

static bool is_ours(const struct engine *engine, const struct container *container)
{
    return !container->is_foreign && g_strcmp0(container->installation, engine->installation) == 0;
}

struct container *world_container(const char *id_or_name)
{
    for (guint i = 0; i < world.containers->len; i++) {
        struct container *container = g_ptr_array_index(world.containers, i);
        if (g_strcmp0(container->id, id_or_name) == 0 || g_strcmp0(container->name, id_or_name) == 0) {
            return container;
        }
    }
    return NULL;
}

struct container *world_at(const char *address)
{
    for (guint i = 0; i < world.containers->len; i++) {
        struct container *container = g_ptr_array_index(world.containers, i);
        if (container->state == ENGINE_RUNNING && g_strcmp0(container->address, address) == 0) {
            return container;
        }
    }
    return NULL;
}

bool container_answers(const struct container *container)
{
    return container != NULL && container->state == ENGINE_RUNNING && world.now_us >= container->ready_us;
}

enum image_kind image_kind_of(const char *image)
{
    return strstr(image, "refused") != NULL ? IMAGE_REFUSED
           : strstr(image, "bad") != NULL   ? IMAGE_BAD
           : strstr(image, "crash") != NULL ? IMAGE_CRASHING
           : strstr(image, "slow") != NULL  ? IMAGE_SLOW
                                            : IMAGE_GOOD;
}

static struct container *find_ours(struct engine *engine, const char *id, GError **error)
{
    struct container *container = world_container(id);
    if (container == NULL) {
        sy_fail(error, SY_NOT_FOUND, "no container %s", id);
        return NULL;
    }
    if (!is_ours(engine, container)) {
        world_violation("asked the engine to touch the foreign container %s", container->name);
        sy_fail(error, SY_CONFLICT, "%s is not ours", id);
        return NULL;
    }
    return container;
}

static char *label(const struct engine_instance_spec *spec, const char *key)
{
    for (const char *const *entry = spec->labels; *entry != NULL; entry++) {
        size_t length = strlen(key);
        if (strncmp(*entry, key, length) == 0 && (*entry)[length] == '=') {
            return g_strdup(*entry + length + 1);
        }
    }
    return g_strdup("");
}

static void check_address(const struct engine_instance_spec *spec)
{
    for (guint i = 0; spec->address != NULL && i < world.containers->len; i++) {
        const struct container *other = g_ptr_array_index(world.containers, i);
        if (g_strcmp0(other->address, spec->address) == 0) {
            world_violation("%s is given the address %s of %s", spec->name, spec->address, other->name);
        }
    }
}

static bool instance_create(struct engine *engine, const struct engine_instance_spec *spec, char **ret_id,
                            GError **error)
{
    if (!world_may("create", SY_ENGINE_UNAVAILABLE, error)) {
        return false;
    }
    struct container *container = world_container(spec->name);
    if (container != NULL && !is_ours(engine, container)) {
        return sy_fail(error, SY_CONFLICT, "%s is somebody else's", spec->name);
    }
    if (!g_hash_table_contains(world.networks, spec->network)) {
        return sy_fail(error, SY_ENGINE_FAILED, "no network %s", spec->network);
    }
    if (image_kind_of(spec->image) == IMAGE_REFUSED) {
        return sy_fail(error, SY_ENGINE_FAILED, "no program in %s", spec->image);
    }
    if (container == NULL) {
        check_address(spec);
        container = g_new0(struct container, 1);
        container->id = g_strdup_printf("c%" G_GINT64_FORMAT, world.n_effects);
        container->name = g_strdup(spec->name);
        container->image = g_strdup(spec->image);
        container->address = g_strdup(spec->address);
        container->volume = spec->n_mounts > 0 ? g_strdup(spec->mounts[0].volume) : NULL;
        container->installation = g_strdup(engine->installation);
        container->pair = label(spec, ENGINE_LABEL_PAIR);
        container->deployment = label(spec, ENGINE_LABEL_DEPLOYMENT);
        container->instance = label(spec, ENGINE_LABEL_INSTANCE);
        container->role = label(spec, ENGINE_LABEL_ROLE);
        container->state = ENGINE_CREATED;
        g_ptr_array_add(world.containers, container);
        world_tell("engine: created one of %s", spec->image);
    }
    char *id = g_strdup(container->id);
    if (!world_replies("create", SY_ENGINE_UNAVAILABLE, error)) {
        g_free(id);
        return false;
    }
    *ret_id = id;
    return true;
}

static void check_one_writer(const struct container *container)
{
    for (guint i = 0; container->volume != NULL && i < world.containers->len; i++) {
        const struct container *other = g_ptr_array_index(world.containers, i);
        if (other != container && other->state == ENGINE_RUNNING && g_strcmp0(other->volume, container->volume) == 0) {
            world_violation("two writers of one volume: %s and %s", container->name, other->name);
        }
    }
}

static void start(struct container *container)
{
    enum image_kind kind = image_kind_of(container->image);
    container->state = ENGINE_RUNNING;
    container->exit_code = -1;
    container->started_us = world.now_us;
    container->ready_us = kind == IMAGE_BAD        ? INT64_MAX
                          : kind == IMAGE_CRASHING ? INT64_MAX
                          : kind == IMAGE_SLOW     ? world.now_us + world_between(2 * SECOND, 8 * SECOND)
                                                   : world.now_us + world_between(10 * MS, 900 * MS);
    container->ends_us = kind == IMAGE_CRASHING ? world.now_us + world_between(50 * MS, 500 * MS) : INT64_MAX;
    check_one_writer(container);
}

static bool instance_start(struct engine *engine, const char *id, GError **error)
{
    struct container *container = NULL;
    if (!world_may("start", SY_ENGINE_UNAVAILABLE, error) || (container = find_ours(engine, id, error)) == NULL) {
        return false;
    }
    if (container->state != ENGINE_RUNNING) {
        start(container);
        world_tell("engine: started one of %s", container->image);
    }
    return world_replies("start", SY_ENGINE_UNAVAILABLE, error);
}

static bool instance_stop(struct engine *engine, const char *id, int64_t grace_ms, GError **error)
{
    if (!world_may("stop", SY_ENGINE_UNAVAILABLE, error)) {
        return false;
    }
    struct container *container = world_container(id);
    if (container == NULL) {
        return true;
    }
    if (find_ours(engine, id, error) == NULL) {
        return false;
    }
    if (container->state == ENGINE_RUNNING || container->state == ENGINE_RESTARTING) {
        container->state = ENGINE_EXITED;
        container->exit_code = 0;
        world_tell("engine: stopped one of %s", container->image);
    }
    return world_replies("stop", SY_ENGINE_UNAVAILABLE, error);
}

static bool instance_remove(struct engine *engine, const char *id, GError **error)
{
    if (!world_may("remove", SY_ENGINE_UNAVAILABLE, error)) {
        return false;
    }
    struct container *container = world_container(id);
    if (container == NULL) {
        return true;
    }
    if (find_ours(engine, id, error) == NULL) {
        return false;
    }
    if (container->state == ENGINE_RUNNING) {
        return sy_fail(error, SY_ENGINE_FAILED, "%s runs", id);
    }
    world_tell("engine: removed one of %s", container->image);
    g_ptr_array_remove(world.containers, container);
    return world_replies("remove", SY_ENGINE_UNAVAILABLE, error);
}

static bool instance_wait(struct engine *engine, const char *id, int64_t timeout_ms, int *ret_exit_code, GError **error)
{
    struct container *container = NULL;
    if (!world_may("wait", SY_ENGINE_UNAVAILABLE, error) || (container = find_ours(engine, id, error)) == NULL) {
        return false;
    }
    container->state = ENGINE_EXITED;
    container->exit_code = image_kind_of(container->image) == IMAGE_CRASHING ? 3 : 0;
    *ret_exit_code = container->exit_code;
    return world_replies("wait", SY_ENGINE_UNAVAILABLE, error);
}

static struct engine_instance *describe(const struct container *container, bool with_end)
{
    struct engine_instance *instance = g_new0(struct engine_instance, 1);
    instance->id = g_strdup(container->id);
    instance->name = g_strdup(container->name);
    instance->image_id = g_strdup(container->image);
    instance->address = g_strdup(container->address != NULL ? container->address : "");
    instance->state = container->state;
    instance->exit_code = with_end ? container->exit_code : -1;
    instance->restarts = container->restarts;
    instance->started_us = container->started_us;
    instance->installation = g_strdup(container->installation);
    instance->pair = g_strdup(container->pair);
    instance->deployment = g_strdup(container->deployment);
    instance->instance = g_strdup(container->instance);
    instance->role = g_strdup(container->role);
    return instance;
}

static bool instance_inspect(struct engine *engine, const char *id, struct engine_instance **ret, GError **error)
{
    struct container *container = NULL;
    if (!world_may("inspect", SY_ENGINE_UNAVAILABLE, error) || (container = find_ours(engine, id, error)) == NULL) {
        return false;
    }
    *ret = describe(container, true);
    return true;
}

static GPtrArray *list_ours(const struct engine *engine)
{
    GPtrArray *instances = g_ptr_array_new_with_free_func((GDestroyNotify)engine_instance_free);
    for (guint i = 0; i < world.containers->len; i++) {
        const struct container *container = g_ptr_array_index(world.containers, i);
        if (is_ours(engine, container)) {
            g_ptr_array_add(instances, describe(container, false));
        }
    }
    return instances;
}

/* Now and then what the engine says is some moments old. */
static bool instance_list(struct engine *engine, GPtrArray **ret_instances, GError **error)
{
    if (!world_may("list", SY_ENGINE_UNAVAILABLE, error)) {
        return false;
    }
    if (world.stale != NULL && !world.is_quiet && world_chance(world.misfortune)) {
        world_tell("engine: gave a stale list");
        world.n_faults++;
        *ret_instances = g_steal_pointer(&world.stale);
    } else {
        *ret_instances = list_ours(engine);
    }
    if (world_chance(0.1)) {
        g_clear_pointer(&world.stale, g_ptr_array_unref);
        world.stale = list_ours(engine);
    }
    return true;
}

static bool ensure(GHashTable *set, const char *what, const char *name, GError **error)
{
    if (!world_may(what, SY_ENGINE_UNAVAILABLE, error)) {
        return false;
    }
    g_hash_table_add(set, g_strdup(name));
    return world_replies(what, SY_ENGINE_UNAVAILABLE, error);
}

static bool network_ensure(struct engine *engine, const char *name, const char *subnet, const char *gateway,
                           const char *const *labels, GError **error)
{
    return ensure(world.networks, "network", name, error);
}

/* Nobody prunes here. */
static bool image_inspect(struct engine *engine, const char *reference, struct engine_image **ret_image, GError **error)
{
    *ret_image = g_new0(struct engine_image, 1);
    return true;
}

static bool network_list(struct engine *engine, GPtrArray **ret_names, GPtrArray **ret_all_subnets, GError **error)
{
    if (!world_may("networks", SY_ENGINE_UNAVAILABLE, error)) {
        return false;
    }
    *ret_names = g_ptr_array_new_with_free_func(g_free);
    *ret_all_subnets = g_ptr_array_new_with_free_func(g_free);
    return true;
}

static bool volume_ensure(struct engine *engine, const char *name, const char *const *labels, GError **error)
{
    return ensure(world.volumes, "volume", name, error);
}

static bool instance_logs(struct engine *engine, const char *id, int64_t since_us, bool follow, engine_log_fn fn,
                          void *arg, const int *cancelled, GError **error)
{
    return true;
}

static void free_engine(struct engine *engine)
{
    g_free(engine->installation);
    g_free(engine);
}

struct engine *world_engine_new(const char *installation)
{
    static const struct engine_ops ops = {
        .name = "simulated",
        .free = free_engine,
        .network_ensure = network_ensure,
        .network_list = network_list,
        .volume_ensure = volume_ensure,
        .instance_create = instance_create,
        .instance_start = instance_start,
        .instance_stop = instance_stop,
        .instance_remove = instance_remove,
        .instance_wait = instance_wait,
        .instance_inspect = instance_inspect,
        .instance_list = instance_list,
        .instance_logs = instance_logs,
        .image_inspect = image_inspect,
    };
    struct engine *engine = g_new0(struct engine, 1);
    engine->ops = &ops;
    engine->installation = g_strdup(installation);
    return engine;
}

void world_kill(struct container *container)
{
    container->state = ENGINE_EXITED;
    container->exit_code = 137;
    container->was_killed = true;
    world_tell("misfortune: one of %s was killed", container->image);
}

/* Names and labels that look like ours, and are not. */
void world_add_foreign(const char *installation)
{
    static const char *const names[] = {"web-shop-production-v1-0-abc", "postgres", "enclii-db"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct container *container = g_new0(struct container, 1);
        container->id = g_strdup_printf("f%zu", i);
        container->name = g_strdup(names[i]);
        container->image = g_strdup("foreign");
        container->installation = i == 2 ? g_strdup("another-installation") : g_strdup("");
        container->pair = container->deployment = container->instance = NULL;
        container->role = g_strdup("instance");
        container->is_foreign = true;
        container->state = ENGINE_RUNNING;
        container->ready_us = container->ends_us = INT64_MAX;
        g_ptr_array_add(world.containers, container);
    }
}

void world_add_stray(const char *installation, const char *pair_id)
{
    struct container *container = g_new0(struct container, 1);
    container->id = g_strdup_printf("stray%" G_GINT64_FORMAT, ++world.n_strays);
    container->name = g_strdup(container->id);
    container->image = g_strdup("stray");
    container->installation = g_strdup(installation);
    container->pair = g_strdup(pair_id);
    container->instance = g_strdup(container->id);
    container->role = g_strdup("instance");
    container->state = ENGINE_RUNNING;
    container->ready_us = container->ends_us = INT64_MAX;
    g_ptr_array_add(world.containers, container);
    world.n_changes++;
}

void world_check_foreign(void)
{
    int n = 0;
    for (guint i = 0; i < world.containers->len; i++) {
        const struct container *container = g_ptr_array_index(world.containers, i);
        n += container->is_foreign && container->state == ENGINE_RUNNING;
    }
    if (n != 3) {
        world_violation("%d of 3 foreign containers are left", n);
    }
}
