/* From what HAProxy has to what the table wants. Pure. */
#include <string.h>

#include "edge/internal.h"

static void change_free(gpointer data)
{
    struct edge_change *change = data;
    g_free(change->path);
    g_free(change);
}

static struct edge_change *add_change(GPtrArray *changes, enum edge_change_kind kind, const char *path)
{
    struct edge_change *change = g_new0(struct edge_change, 1);
    change->kind = kind;
    change->path = g_strdup(path);
    g_ptr_array_add(changes, change);
    return change;
}

/* By kind, which is the order of safety; the order within a kind does not matter. */
static int compare_changes(gconstpointer a, gconstpointer b)
{
    const struct edge_change *one = *(struct edge_change *const *)a;
    const struct edge_change *two = *(struct edge_change *const *)b;
    return one->kind != two->kind ? (int)one->kind - (int)two->kind : strcmp(one->path, two->path);
}

static void compare_server(GPtrArray *changes, const struct edge_live_server *live, const struct edge_backend *backend,
                           const struct edge_server *server, const char *path)
{
    enum edge_change_kind kinds[2];
    size_t n = 0;
    bool is_out = (live != NULL) && (live->admin & EDGE_ADMIN_MAINT) != 0;
    bool is_draining = (live != NULL) && (live->admin & EDGE_ADMIN_DRAIN) != 0;
    if (live == NULL) {
        if (server->state == EDGE_READY) {
            kinds[n++] = EDGE_ADD;
        } /* and what HAProxy does not know it need not drain */
    } else {
        if (strcmp(live->address, server->address) != 0 || live->port != server->port) {
            kinds[n++] = EDGE_MOVE;
        }
        if (server->state == EDGE_READY && (is_out || is_draining)) {
            kinds[n++] = EDGE_SET_READY;
        } else if (server->state == EDGE_DRAIN && (is_out || !is_draining)) {
            kinds[n++] = EDGE_SET_DRAIN;
        }
    }
    for (size_t i = 0; i < n; i++) {
        struct edge_change *change = add_change(changes, kinds[i], path);
        change->backend = backend;
        change->server = server;
    }
}

static void count(const GPtrArray *changes, struct edge_apply_result *result)
{
    for (guint i = 0; i < changes->len; i++) {
        const struct edge_change *change = g_ptr_array_index(changes, i);
        if (change->kind == EDGE_ADD) {
            result->servers_added++;
        } else if (change->kind != EDGE_REMOVE) {
            result->servers_changed++;
        } else if (!change->was_out) {
            result->servers_removed++;
        }
    }
}

GPtrArray *edge_difference(const GPtrArray *live, const struct edge_table *table, struct edge_apply_result *ret_result)
{
    GPtrArray *changes = g_ptr_array_new_with_free_func(change_free);
    g_autoptr(GHashTable) rest = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < live->len; i++) {
        struct edge_live_server *server = g_ptr_array_index(live, i);
        g_hash_table_insert(rest, g_strdup_printf("%s/%s", server->backend, server->name), server);
    }
    for (guint b = 0; b < table->backends->len; b++) {
        const struct edge_backend *backend = g_ptr_array_index(table->backends, b);
        for (guint i = 0; i < backend->servers->len; i++) {
            const struct edge_server *server = g_ptr_array_index(backend->servers, i);
            g_autofree char *path = g_strdup_printf("%s/%s", backend->name, server->name);
            compare_server(changes, g_hash_table_lookup(rest, path), backend, server, path);
            g_hash_table_remove(rest, path);
        }
    }
    GHashTableIter iter;
    gpointer path;
    gpointer server;
    g_hash_table_iter_init(&iter, rest);
    while (g_hash_table_iter_next(&iter, &path, &server)) {
        struct edge_change *change = add_change(changes, EDGE_REMOVE, path);
        change->was_out = (((const struct edge_live_server *)server)->admin & EDGE_ADMIN_MAINT) != 0;
    }
    g_ptr_array_sort(changes, compare_changes);
    count(changes, ret_result);
    return changes;
}

GPtrArray *edge_map_difference(GHashTable *live, const struct edge_table *table, const char *map)
{
    GPtrArray *commands = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < table->hosts->len; i++) {
        const struct edge_host *host = g_ptr_array_index(table->hosts, i);
        const char *backend = g_hash_table_lookup(live, host->host);
        g_hash_table_add(wanted, host->host);
        if (g_strcmp0(backend, host->backend) != 0) {
            g_ptr_array_add(commands, g_strdup_printf("%s map %s %s %s", backend != NULL ? "set" : "add", map,
                                                      host->host, host->backend));
        }
    }
    GHashTableIter iter;
    gpointer host;
    g_hash_table_iter_init(&iter, live);
    while (g_hash_table_iter_next(&iter, &host, NULL)) {
        if (!g_hash_table_contains(wanted, host)) {
            g_ptr_array_add(commands, g_strdup_printf("del map %s %s", map, (const char *)host));
        }
    }
    return commands;
}
