/* Makes HAProxy match a table. */
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "edge/internal.h"

#define CONFIGURATION_LIMIT ((size_t)256 << 20)
#define REMOVAL_US (1 * G_USEC_PER_SEC)
#define PAUSE_US (10 * 1000)

/* --- safety ------------------------------------------------------------------------------------------------------------ */

static bool check_shrink(const char *before, const char *after, unsigned flags, GError **error)
{
    int64_t had = before != NULL ? edge_file_servers(before) : 0;
    int64_t has = edge_file_servers(after);
    bool is_emptied = has == 0 && had > 0;
    bool is_halved = had - has >= 3 && has * 2 < had;
    if ((flags & EDGE_ALLOW_SHRINK) != 0 || (!is_emptied && !is_halved)) {
        return true;
    }
    sy_fail(error, SY_CONFLICT, "the edge would lose %" G_GINT64_FORMAT " of its %" G_GINT64_FORMAT " servers at once",
            had - has, had);
    sy_error_set_hint(error, "Nothing was changed. If that is what you want, stop or delete the services first.");
    return false;
}

/* --- servers --------------------------------------------------------------------------------------------------------------- */

static bool set_state(struct edge *edge, const char *path, const char *state, GError **error)
{
    g_autofree char *command = g_strdup_printf("set server %s state %s", path, state);
    return edge_order(edge, command, error);
}

static bool add_server(struct edge *edge, const struct edge_change *change, GError **error)
{
    g_autofree char *keywords = edge_server_keywords(change->backend);
    g_autofree char *add = g_strdup_printf("add server %s %s:%d %s", change->path, change->server->address,
                                           (int)change->server->port, keywords);
    g_autofree char *enable = g_strdup_printf("enable health %s", change->path);
    g_autoptr(GString) reply = edge_command(edge, EDGE_STATS_SOCKET, add, error);
    if (reply == NULL) {
        return false;
    }
    if (strstr(reply->str, "New server registered") == NULL) {
        return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy refused \"%s\": %.300s", add, g_strstrip(reply->str));
    }
    return edge_order(edge, enable, error) && set_state(edge, change->path, "ready", error);
}

static bool move_server(struct edge *edge, const struct edge_change *change, GError **error)
{
    g_autofree char *command = g_strdup_printf("set server %s addr %s port %d", change->path, change->server->address,
                                               (int)change->server->port);
    g_autoptr(GString) reply = edge_command(edge, EDGE_STATS_SOCKET, command, error);
    return reply != NULL &&
           (strstr(reply->str, "changed from") != NULL ||
            sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy refused \"%s\": %.300s", command, g_strstrip(reply->str)));
}

/* True when it is gone; one that still has sessions is refused and stays in maintenance. */
static bool try_delete(struct edge *edge, const char *path)
{
    g_autofree char *command = g_strdup_printf("del server %s", path);
    g_autoptr(GString) reply = edge_command(edge, EDGE_STATS_SOCKET, command, NULL);
    return reply != NULL &&
           (strstr(reply->str, "Server deleted") != NULL || strstr(reply->str, "No such server") != NULL);
}

static bool remove_servers(struct edge *edge, const GPtrArray *changes, GError **error)
{
    g_autoptr(GPtrArray) pending = g_ptr_array_new();
    for (guint i = 0; i < changes->len; i++) {
        const struct edge_change *change = g_ptr_array_index(changes, i);
        if (change->kind != EDGE_REMOVE) {
            continue;
        }
        if (!change->was_out && !set_state(edge, change->path, "maint", error)) {
            return false;
        }
        if (!try_delete(edge, change->path) && !change->was_out) {
            g_ptr_array_add(pending, change->path);
        }
    }
    for (int64_t deadline_us = g_get_monotonic_time() + REMOVAL_US;
         pending->len > 0 && g_get_monotonic_time() < deadline_us; g_usleep(PAUSE_US)) {
        for (guint i = pending->len; i > 0; i--) {
            if (try_delete(edge, g_ptr_array_index(pending, i - 1))) {
                g_ptr_array_remove_index_fast(pending, i - 1);
            }
        }
    }
    return true;
}

static bool change_servers(struct edge *edge, const GPtrArray *changes, bool before_hosts, GError **error)
{
    bool ok = true;
    for (guint i = 0; ok && i < changes->len; i++) {
        const struct edge_change *change = g_ptr_array_index(changes, i);
        if ((change->kind < EDGE_SET_DRAIN) != before_hosts) {
            continue;
        }
        switch (change->kind) {
        case EDGE_ADD:
            ok = add_server(edge, change, error);
            break;
        case EDGE_MOVE:
            ok = move_server(edge, change, error);
            break;
        case EDGE_SET_READY:
            ok = set_state(edge, change->path, "ready", error);
            break;
        case EDGE_SET_DRAIN:
            ok = set_state(edge, change->path, "drain", error);
            break;
        case EDGE_REMOVE:
            break; /* all together, afterwards */
        }
    }
    return ok && (before_hosts || remove_servers(edge, changes, error));
}

/* --- hosts ----------------------------------------------------------------------------------------------------------------- */

static GPtrArray *find_host_changes(struct edge *edge, const struct edge_table *table, GError **error)
{
    g_autofree char *command = g_strdup_printf("show map %s", edge->map_path);
    g_autoptr(GString) reply = edge_command(edge, EDGE_STATS_SOCKET, command, error);
    g_autoptr(GHashTable) hosts = NULL;
    if (reply == NULL || !edge_parse_map(reply->str, reply->len, &hosts, error)) {
        return NULL;
    }
    return edge_map_difference(hosts, table, edge->map_path);
}

static bool change_hosts(struct edge *edge, const struct edge_table *table, GError **error)
{
    g_autoptr(GPtrArray) commands = find_host_changes(edge, table, error);
    bool ok = commands != NULL;
    for (guint i = 0; ok && i < commands->len; i++) {
        ok = edge_order(edge, g_ptr_array_index(commands, i), error);
    }
    return ok;
}

/* --- the whole ----------------------------------------------------------------------------------------------------------- */

static bool write_if_other(const char *path, const GString *text, GError **error)
{
    g_autofree char *now = file_read(path, CONFIGURATION_LIMIT, NULL, NULL);
    return g_strcmp0(now, text->str) == 0 || file_replace(path, text->str, text->len, 0600, error);
}

struct intent {
    const struct edge_table *table;
    GString *configuration;
    GString *map;
};

/* What will differ, counted before anything does, and whether it takes a reload. */
static bool survey(struct edge *edge, const struct intent *intent, struct edge_apply_result *result, GError **error)
{
    g_auto(edge_info_t) info = {0};
    g_autoptr(GPtrArray) live = NULL;
    g_autofree char *structure = edge_structure(intent->configuration->str);
    g_autofree char *wanted = g_strconcat("structure:", structure, NULL);
    if (!edge_ask_info(edge, &info, error) || !edge_ask_servers(edge, &live, error)) {
        return false;
    }
    g_autoptr(GPtrArray) hosts = find_host_changes(edge, intent->table, error);
    if (hosts == NULL) {
        return false;
    }
    g_ptr_array_unref(edge_difference(live, intent->table, result)); /* counts */
    result->hosts_changed = (int)hosts->len;
    result->was_reloaded = g_strcmp0(info.description, wanted) != 0;
    return true;
}

static bool carry_out(struct edge *edge, const struct intent *intent, bool with_reload, GError **error)
{
    g_autoptr(GPtrArray) live = NULL;
    struct edge_apply_result ignored = {0};
    bool ok = with_reload ? edge_reload(edge, intent->configuration, intent->map, error)
                          : write_if_other(edge->map_path, intent->map, error) &&
                                write_if_other(edge->configuration_path, intent->configuration, error);
    if (!ok || !edge_ask_servers(edge, &live, error)) {
        return false;
    }
    g_autoptr(GPtrArray) changes = edge_difference(live, intent->table, &ignored);
    return change_servers(edge, changes, true, error) && change_hosts(edge, intent->table, error) &&
           change_servers(edge, changes, false, error);
}

static bool apply(struct edge *edge, const struct edge_table *table, unsigned flags, struct edge_apply_result *result,
                  GError **error)
{
    if (!edge_table_check(table, error) || !edge_ensure(edge, error)) {
        return false;
    }
    g_autofree char *before = file_read(edge->configuration_path, CONFIGURATION_LIMIT, NULL, NULL);
    g_autoptr(GString) configuration = edge_render(&edge->options, edge_port(edge), table);
    g_autoptr(GString) map = edge_render_map(table);
    const struct intent intent = {.table = table, .configuration = configuration, .map = map};
    return check_shrink(before, configuration->str, flags, error) && survey(edge, &intent, result, error) &&
           carry_out(edge, &intent, result->was_reloaded, error);
}

/* That HAProxy is not there is no refusal: it says nothing of the table. */
static void remember(struct edge *edge, const GError *failure)
{
    bool is_refusal = failure != NULL && sy_error_code(failure) != SY_EDGE_UNAVAILABLE;
    g_mutex_lock(&edge->stats_lock);
    g_free(edge->refusal);
    edge->refusal = is_refusal ? g_strdup(failure->message) : NULL;
    g_mutex_unlock(&edge->stats_lock);
}

bool edge_apply(struct edge *edge, const struct edge_table *table, unsigned flags, struct edge_apply_result *ret_result,
                GError **error)
{
    struct edge_apply_result result = {0};
    GError *failure = NULL;
    g_mutex_lock(&edge->lock);
    bool ok = apply(edge, table, flags, &result, &failure);
    remember(edge, failure);
    g_mutex_unlock(&edge->lock);
    if (ok) {
        *ret_result = result;
    } else {
        g_propagate_error(error, failure);
    }
    return ok;
}
