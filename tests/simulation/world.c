/* Time, chance, the trace; and what the controller calls that is neither engine nor edge. */
#include "world.h"

#include <string.h>

#include "base/error.h"
#include "logs/log_store.h"
#include "logs/redactor.h"
#include "store/store.h"
#include "switchyard/controllers/log_collector.h"

struct world world;

/* --- trace ----------------------------------------------------------------------------------------------------------- */

#define STORY_BYTES 12000

void world_tell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    world.n_changes++;
    for (const char *at = text; *at != '\0'; at++) {
        world.trace = (world.trace ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    }
    world.trace = (world.trace ^ (uint64_t)world.now_us) * UINT64_C(0x100000001b3);
    g_string_append_printf(world.story, "  %9.3f s  %s%s\n", (double)world.now_us / 1e6,
                           world.process != NULL && world.process->number > 0 ? "(second) " : "", text);
    if (world.story->len > 2 * STORY_BYTES) {
        g_string_erase(world.story, 0, (gssize)(world.story->len - STORY_BYTES));
    }
}

void world_violation(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    world_tell("VIOLATION: %s", text);
    if (world.violation == NULL) {
        world.violation = g_steal_pointer(&text);
    }
}

bool world_chance(double probability)
{
    return g_rand_double(world.random) < probability;
}

int64_t world_between(int64_t low, int64_t high)
{
    return low + (int64_t)(g_rand_double(world.random) * (double)(high - low));
}

/* --- misfortune -------------------------------------------------------------------------------------------------------- */

bool world_may(const char *what, int code, GError **error)
{
    struct process *process = world.process;
    if (process == NULL) {
        return true; /* a user, not the control plane */
    }
    world.n_effects++;
    process->effects++;
    if (!process->is_crashed && process->effects >= process->crash_at) {
        process->is_crashed = true;
        world.n_crashes++;
        world_tell("misfortune: the process dies before “%s”", what);
    }
    if (process->is_crashed) {
        return sy_fail(error, (enum sy_code)code, "this process is dead");
    }
    if (!world.is_quiet && world_chance(world.misfortune)) {
        world.n_faults++;
        world_tell("misfortune: “%s” is not carried out", what);
        return sy_fail(error, (enum sy_code)code, "%s: no connection", what);
    }
    if (!world.is_quiet && world_chance(world.misfortune)) {
        world_advance(world.now_us + world_between(1 * MS, 2 * SECOND)); /* slow */
    }
    return true;
}

bool world_replies(const char *what, int code, GError **error)
{
    if (world.process != NULL && !world.is_quiet && world_chance(world.misfortune)) {
        world.n_faults++;
        world_tell("misfortune: the reply to “%s” is lost", what);
        return sy_fail(error, (enum sy_code)code, "%s: connection lost", what);
    }
    return true;
}

bool __real_store_write(struct store *store, const char *name, store_fn fn, void *arg, GError **error);
bool __wrap_store_write(struct store *store, const char *name, store_fn fn, void *arg, GError **error);
bool __real_store_read(struct store *store, const char *name, store_fn fn, void *arg, GError **error);
bool __wrap_store_read(struct store *store, const char *name, store_fn fn, void *arg, GError **error);

bool __wrap_store_write(struct store *store, const char *name, store_fn fn, void *arg, GError **error)
{
    world.n_changes++;
    return world_may(name, SY_STORE_UNAVAILABLE, error) && __real_store_write(store, name, fn, arg, error) &&
           world_replies(name, SY_STORE_UNAVAILABLE, error);
}

bool __wrap_store_read(struct store *store, const char *name, store_fn fn, void *arg, GError **error)
{
    return world_may(name, SY_STORE_UNAVAILABLE, error) && __real_store_read(store, name, fn, arg, error);
}

/* --- time ---------------------------------------------------------------------------------------------------------------- */

static void pass_time(struct container *container)
{
    if (container->state == ENGINE_RUNNING && world.now_us >= container->ends_us) {
        container->state = ENGINE_EXITED; /* the engine would start it again; that it does not is the harder case */
        container->exit_code = 1;
        world.n_changes++;
    }
    if (container->was_killed && container_answers(container)) {
        container->was_killed = false;
    }
}

void world_advance(int64_t to_us)
{
    world.wall_us += MAX(to_us - world.now_us, 0);
    world.now_us = MAX(world.now_us, to_us);
    for (guint i = 0; i < world.containers->len; i++) {
        pass_time(g_ptr_array_index(world.containers, i));
    }
}

static void container_free(gpointer data)
{
    struct container *container = data;
    g_free(container->id);
    g_free(container->name);
    g_free(container->image);
    g_free(container->address);
    g_free(container->volume);
    g_free(container->installation);
    g_free(container->pair);
    g_free(container->deployment);
    g_free(container->instance);
    g_free(container->role);
    g_free(container);
}

static void server_free(gpointer data)
{
    struct edge_observed_server *server = data;
    g_free(server->backend);
    g_free(server->name);
    g_free(server->address);
    g_free(server);
}

void world_begin(guint32 seed)
{
    g_random_set_seed(seed);
    world = (struct world){
        .random = g_rand_new_with_seed(seed),
        .now_us = 1000 * SECOND,
        .wall_us = INT64_C(1790000000) * SECOND,
        .trace = UINT64_C(0xcbf29ce484222325),
        .story = g_string_new(NULL),
        .containers = g_ptr_array_new_with_free_func(container_free),
        .networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .volumes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .servers = g_ptr_array_new_with_free_func(server_free),
        .drained = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .edge_pid = 4711,
    };
}

void world_end(void)
{
    g_rand_free(world.random);
    g_string_free(world.story, TRUE);
    g_ptr_array_unref(world.containers);
    g_hash_table_unref(world.networks);
    g_hash_table_unref(world.volumes);
    g_ptr_array_unref(world.servers);
    g_hash_table_unref(world.drained);
    g_clear_pointer(&world.stale, g_ptr_array_unref);
    g_free(world.violation);
}

/* --- logs: nothing is printed in this world -------------------------------------------------------------------------------- */

bool log_store_read(struct log_store *store, const char *key, const struct log_query *query, log_line_fn fn, void *arg,
                    GError **error)
{
    return true;
}

bool log_store_append(struct log_store *store, const char *key, const struct log_line *lines, size_t n_lines,
                      const struct redactor *redactor, size_t *ret_appended, GError **error)
{
    return true;
}

void log_collector_watch(struct log_collector *collector, const char *engine_id, const char *key, const char *source,
                         struct redactor *redactor)
{
}

void log_collector_unwatch(struct log_collector *collector, const char *engine_id)
{
}

bool log_collector_drain(struct log_collector *collector, const char *engine_id, int64_t timeout_ms)
{
    return true;
}
