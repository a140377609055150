/* The edge: keeps the table it was given, sees servers come up and go, and forgets nothing of what is still being answered. */
#include <string.h>

#include "base/error.h"
#include "edge/edge.h"
#include "switchyard/controllers/probe.h"
#include "world.h"

static struct edge_observed_server *find_server(const char *backend, const char *name)
{
    for (guint i = 0; i < world.servers->len; i++) {
        struct edge_observed_server *server = g_ptr_array_index(world.servers, i);
        if (strcmp(server->backend, backend) == 0 && strcmp(server->name, name) == 0) {
            return server;
        }
    }
    return NULL;
}

static bool is_in_table(const struct edge_table *table, const struct edge_observed_server *server)
{
    for (guint i = 0; i < table->backends->len; i++) {
        const struct edge_backend *backend = g_ptr_array_index(table->backends, i);
        for (guint j = 0; strcmp(backend->name, server->backend) == 0 && j < backend->servers->len; j++) {
            if (strcmp(((struct edge_server *)g_ptr_array_index(backend->servers, j))->name, server->name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int64_t busy_until(const char *name)
{
    const int64_t *until = g_hash_table_lookup(world.drained, name);
    return until != NULL ? *until : 0;
}

static void take_server(const struct edge_backend *backend, const struct edge_server *server)
{
    struct edge_observed_server *known = find_server(backend->name, server->name);
    bool drains = server->state == EDGE_DRAIN;
    if (known == NULL) {
        known = g_new0(struct edge_observed_server, 1);
        known->backend = g_strdup(backend->name);
        known->name = g_strdup(server->name);
        known->address = g_strdup(server->address);
        g_ptr_array_add(world.servers, known);
        if (!drains && !container_answers(world_at(server->address))) {
            const struct container *there = world_at(server->address);
            if (there == NULL || !there->was_killed) {
                world_tell("edge: took a server that does not answer");
            }
        }
    }
    if (drains && !known->is_draining) {
        int64_t *until = g_new(int64_t, 1);
        *until = world.now_us + world_between(0, 3 * SECOND);
        g_hash_table_replace(world.drained, g_strdup(server->name), until);
    }
    known->is_draining = drains;
}

static void drop_missing(const struct edge_table *table)
{
    for (guint i = world.servers->len; i-- > 0;) {
        struct edge_observed_server *server = g_ptr_array_index(world.servers, i);
        if (!is_in_table(table, server)) {
            g_ptr_array_remove_index(world.servers, i);
        }
    }
}

bool edge_apply(struct edge *edge, const struct edge_table *table, unsigned flags, struct edge_apply_result *ret_result,
                GError **error)
{
    if (!world_may("edge", SY_EDGE_UNAVAILABLE, error)) {
        return false;
    }
    for (guint i = 0; i < table->backends->len; i++) {
        const struct edge_backend *backend = g_ptr_array_index(table->backends, i);
        for (guint j = 0; j < backend->servers->len; j++) {
            take_server(backend, g_ptr_array_index(backend->servers, j));
        }
    }
    drop_missing(table);
    world.n_changes++;
    world.has_table = true;
    if (ret_result != NULL) {
        *ret_result = (struct edge_apply_result){0};
    }
    return world_replies("edge", SY_EDGE_UNAVAILABLE, error);
}

static void observed_free(gpointer data)
{
    struct edge_observed_server *server = data;
    g_free(server->backend);
    g_free(server->name);
    g_free(server->address);
    g_free(server);
}

bool edge_observe(struct edge *edge, GPtrArray **ret_servers, GError **error)
{
    if (!world_may("stat", SY_EDGE_UNAVAILABLE, error)) {
        return false;
    }
    GPtrArray *servers = g_ptr_array_new_with_free_func(observed_free);
    for (guint i = 0; i < world.servers->len; i++) {
        const struct edge_observed_server *server = g_ptr_array_index(world.servers, i);
        struct edge_observed_server *copy = g_memdup2(server, sizeof *server);
        copy->backend = g_strdup(server->backend);
        copy->name = g_strdup(server->name);
        copy->address = g_strdup(server->address);
        copy->is_up = container_answers(world_at(server->address));
        copy->current = server->is_draining && world.now_us < busy_until(server->name) && copy->is_up ? 1 : 0;
        g_ptr_array_add(servers, copy);
    }
    *ret_servers = servers;
    return true;
}

bool edge_start(struct edge *edge, GError **error)
{
    return world_may("edge_start", SY_EDGE_UNAVAILABLE, error);
}

char *edge_refusal(struct edge *edge)
{
    (void)edge;
    return NULL;
}

bool edge_status(struct edge *edge, struct edge_status *ret_status, GError **error)
{
    *ret_status = (struct edge_status){.is_running = true, .pid = world.edge_pid};
    return world_may("edge_status", SY_EDGE_UNAVAILABLE, error);
}

void edge_status_clear(struct edge_status *status)
{
}

int edge_port(const struct edge *edge)
{
    return 80;
}

void probe_instance(const char *address, int64_t port, const struct health_rule *rule, struct probe_result *ret_result)
{
    ret_result->is_ok = container_answers(world_at(address));
    g_strlcpy(ret_result->detail, ret_result->is_ok ? "GET /: 200" : "connection refused", sizeof ret_result->detail);
}
