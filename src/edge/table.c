/* The table and its check: nothing that is not plainly a name, an address or a path reaches HAProxy. */
#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "contract/contract.h"
#include "edge/internal.h"

static void server_free(gpointer data)
{
    struct edge_server *server = data;
    g_free(server->name);
    g_free(server->address);
    g_free(server);
}

static void backend_free(gpointer data)
{
    struct edge_backend *backend = data;
    g_free(backend->name);
    g_free(backend->health_path);
    g_ptr_array_unref(backend->servers);
    g_free(backend);
}

static void host_free(gpointer data)
{
    struct edge_host *host = data;
    g_free(host->host);
    g_free(host->backend);
    g_free(host);
}

struct edge_table *edge_table_new(void)
{
    struct edge_table *table = g_new0(struct edge_table, 1);
    table->backends = g_ptr_array_new_with_free_func(backend_free);
    table->hosts = g_ptr_array_new_with_free_func(host_free);
    return table;
}

void edge_table_free(struct edge_table *table)
{
    if (table != NULL) {
        g_ptr_array_unref(table->backends);
        g_ptr_array_unref(table->hosts);
        g_free(table);
    }
}

struct edge_backend *edge_table_add_backend(struct edge_table *table, const char *name)
{
    struct edge_backend *backend = g_new0(struct edge_backend, 1);
    backend->name = g_strdup(name);
    backend->servers = g_ptr_array_new_with_free_func(server_free);
    g_ptr_array_add(table->backends, backend);
    return backend;
}

void edge_backend_add_server(struct edge_backend *backend, const char *name, const char *address, int64_t port,
                             enum edge_server_state state)
{
    struct edge_server *server = g_new0(struct edge_server, 1);
    server->name = g_strdup(name);
    server->address = g_strdup(address);
    server->port = port;
    server->state = state;
    g_ptr_array_add(backend->servers, server);
}

void edge_table_add_host(struct edge_table *table, const char *host, const char *backend)
{
    struct edge_host *entry = g_new0(struct edge_host, 1);
    entry->host = g_strdup(host);
    entry->backend = g_strdup(backend);
    g_ptr_array_add(table->hosts, entry);
}

/* --- the check ----------------------------------------------------------------------------------------------------- */

static bool is_name(const char *text, size_t longest)
{
    size_t length = text != NULL ? strlen(text) : 0;
    return length >= 1 && length <= longest && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool is_host(const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    return length >= 1 && length <= 253 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length &&
           g_ascii_isalnum(text[0]) && text[length - 1] != '.';
}

static bool is_ipv4(const char *text)
{
    struct in_addr address;
    return text != NULL && inet_pton(AF_INET, text, &address) == 1;
}

static bool refuse(GError **error, const char *what, const char *value)
{
    g_autofree char *shown = g_strescape(value != NULL ? value : "(none)", NULL);
    return sy_fail(error, SY_INVALID_INPUT, "%s \"%.200s\" does not belong into the edge's configuration", what, shown);
}

static bool check_server(const struct edge_server *server, GHashTable *names, GError **error)
{
    if (!is_name(server->name, 64) || !g_hash_table_add(names, server->name)) {
        return refuse(error, "the server name", server->name);
    }
    if (!is_ipv4(server->address)) {
        return refuse(error, "the server address", server->address);
    }
    return (server->port >= 1 && server->port <= 65535) ||
           sy_fail(error, SY_INVALID_INPUT, "server %s has port %" G_GINT64_FORMAT, server->name, server->port);
}

static bool check_backend(const struct edge_backend *backend, GHashTable *names, GError **error)
{
    if (!is_name(backend->name, 128) || !g_hash_table_add(names, backend->name)) {
        return refuse(error, "the backend name", backend->name);
    }
    if (backend->health_path != NULL && check_path(backend->health_path) != NULL) {
        return refuse(error, "the health path", backend->health_path);
    }
    g_autoptr(GHashTable) servers = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < backend->servers->len; i++) {
        if (!check_server(g_ptr_array_index(backend->servers, i), servers, error)) {
            g_prefix_error(error, "backend %s: ", backend->name);
            return false;
        }
    }
    return true;
}

bool edge_table_check(const struct edge_table *table, GError **error)
{
    g_autoptr(GHashTable) backends = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) hosts = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < table->backends->len; i++) {
        if (!check_backend(g_ptr_array_index(table->backends, i), backends, error)) {
            return false;
        }
    }
    for (guint i = 0; i < table->hosts->len; i++) {
        const struct edge_host *host = g_ptr_array_index(table->hosts, i);
        if (!is_host(host->host) || !g_hash_table_add(hosts, host->host)) {
            return refuse(error, "the host", host->host);
        }
        if (host->backend == NULL || !g_hash_table_contains(backends, host->backend)) {
            return refuse(error, "the backend of a host", host->backend);
        }
    }
    return true;
}
