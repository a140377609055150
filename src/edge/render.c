#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "base/quantity.h"
#include "contract/contract.h"
#include "edge/internal.h"

#define DEFAULT_CONNECTIONS 10000
#define DEFAULT_DRAIN_MS ((int64_t)3600 * 1000)
#define WAIT_MAX_MS 300000
#define SERVERS_LINE "# servers: "
#define STRUCTURE_LINE "    description structure:"

/* --- what may stand in a configuration ---------------------------------------------------------------------------------- */

static bool is_plain(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (!g_ascii_isalnum(*p) && strchr("/._-+:@", *p) == NULL) {
            return false;
        }
    }
    return *text != '\0';
}

bool edge_options_check(const struct edge_options *options, GError **error)
{
    size_t longest = strlen(options->folder) + strlen("/master.sock");
    if (!is_plain(options->folder) || options->folder[0] != '/') {
        sy_fail(error, SY_INVALID_INPUT, "the edge's folder %s has characters that HAProxy's configuration cannot hold",
                options->folder);
        sy_error_set_hint(error, "Choose a data_dir of letters, digits and any of / . _ - + : @");
        return false;
    }
    const char *rule = edge_check_proxies(options->trusted_proxies);
    if (rule != NULL) {
        return sy_fail(error, SY_INVALID_INPUT, "the edge's trusted proxies %s", rule);
    }
    if (longest > EDGE_SOCKET_PATH_MAX) {
        sy_fail(error, SY_INVALID_INPUT, "the edge's folder %s is too deep for unix sockets", options->folder);
        sy_error_set_hint(error, "Choose a data_dir whose path is at least %zu characters shorter.",
                          longest - EDGE_SOCKET_PATH_MAX);
        return false;
    }
    return true;
}

static int64_t clamp_or(int64_t value, int64_t fallback, int64_t low, int64_t high)
{
    return value <= 0 ? fallback : CLAMP(value, low, high);
}

/* --- the parts, top to bottom ------------------------------------------------------------------------------------------- */

static void add_global(GString *out, const struct edge_options *options)
{
    int64_t connections = clamp_or(options->max_connections, DEFAULT_CONNECTIONS, 10, 1000000);
    int64_t drain_ms = clamp_or(options->drain_hint_ms, DEFAULT_DRAIN_MS, 1000, 7 * 24 * DEFAULT_DRAIN_MS);
    const char *folder = options->folder;
    g_string_append_printf(out, "    maxconn %" G_GINT64_FORMAT "\n", connections);
    if (options->uid != 0) {
        g_string_append_printf(out, "    chroot %s/" EDGE_JAIL "\n    uid %u\n    gid %u\n", folder,
                               (unsigned)options->uid, (unsigned)options->gid);
    }
    g_string_append(out, "    no strict-limits\n    noreuseport\n");
    g_string_append_printf(out, "    hard-stop-after %" G_GINT64_FORMAT "ms\n", drain_ms);
    g_string_append_printf(out, "    stats socket %s/stats.sock mode 600 level admin expose-fd listeners\n", folder);
    g_string_append(out, "    stats timeout 30s\n");
    g_string_append_printf(out, "    server-state-file %s/servers.state\n", folder);
    g_string_append_printf(out, "    .if feature(LUA)\n    lua-load %s/wait.lua\n    .endif\n", folder);
}

static void add_defaults(GString *out, const char *folder)
{
    g_string_append(out, "\ndefaults\n"
                         "    mode http\n"
                         "    load-server-state-from-file global\n"
                         "    balance leastconn\n"
                         "    timeout connect 4s\n"
                         "    timeout client 5m\n"
                         "    timeout client-fin 30s\n"
                         "    timeout server 5m\n"
                         "    timeout tunnel 1h\n"
                         "    timeout http-request 10s\n"
                         "    timeout http-keep-alive 60s\n"
                         "    timeout queue 30s\n"
                         "    retries 3\n"
                         "    option redispatch 1\n"
                         "    retry-on conn-failure empty-response\n");
    static const struct {
        int status;
        const char *page;
    } pages[] = {{502, "bad-gateway"}, {503, "no-instance"}, {504, "gateway-timeout"}};
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        g_string_append_printf(out, "    http-error status %d content-type text/html lf-file %s/%s.html\n",
                               pages[i].status, folder, pages[i].page);
    }
}

/* One JSON object per request. No query: it may hold what nobody should read later. */
static const char log_format[] =
    "    log-format '{\"time_ms\":%Ts%ms,\"request_id\":\"%ID\",\"client\":\"%ci\",\"method\":\"%HM\","
    "\"host\":\"%[var(txn.host),json(utf8s)]\",\"path\":\"%[capture.req.uri,field(1,?),json(utf8s)]\","
    "\"protocol\":\"%HV\",\"status\":%ST,\"backend\":\"%b\",\"server\":\"%s\",\"bytes_in\":%U,\"bytes_out\":%B,"
    "\"ms\":%Ta,\"queue_ms\":%Tw,\"connect_ms\":%Tc,\"answer_ms\":%Tr,\"retries\":\"%rc\",\"end\":\"%ts\"}'\n";

static int64_t wait_of(const struct edge_backend *backend)
{
    return backend->is_maintenance ? 0 : CLAMP(backend->retry_wait_ms, 0, WAIT_MAX_MS);
}

static void add_once(GArray *values, int64_t value)
{
    for (guint i = 0; i < values->len; i++) {
        if (g_array_index(values, int64_t, i) == value) {
            return;
        }
    }
    g_array_append_val(values, value);
}

/* One rule per length of time, over lists of backends that only those requests are compared with that found no server. */
static void add_waiting_room(GString *out, const GPtrArray *backends)
{
    g_autoptr(GArray) waits = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (guint i = 0; i < backends->len; i++) {
        const struct edge_backend *backend = g_ptr_array_index(backends, i);
        int64_t wait_ms = wait_of(backend);
        if (wait_ms > 0) {
            g_string_append_printf(out, "    acl waits_%" G_GINT64_FORMAT " var(txn.backend) -m str %s\n", wait_ms,
                                   backend->name);
            add_once(waits, wait_ms);
        }
    }
    for (guint i = 0; i < waits->len; i++) {
        int64_t wait_ms = g_array_index(waits, int64_t, i);
        g_string_append_printf(out,
                               "    .if feature(LUA)\n    http-request lua.enclii_wait %" G_GINT64_FORMAT
                               " if { var(txn.is_empty) -m bool } waits_%" G_GINT64_FORMAT "\n    .endif\n",
                               wait_ms, wait_ms);
    }
}

/* Which backend, and whether it has a server. In a worker that stops none ever has; it says that it stops before, so what is
 * looked at last tells the two apart. A request that a stopping worker still takes, on a kept connection, or that waited in it,
 * is handed to the new one. */
static void add_choice(GString *out, const GPtrArray *backends, const char *folder)
{
    g_string_append_printf(out,
                           "    http-request set-var(txn.host) req.hdr(host),field(1,:),lower,rtrim(.)\n"
                           "    http-request set-var(txn.backend) var(txn.host),map(%s/hosts.map)\n"
                           "    http-request set-var(txn.is_empty) bool(true) if { var(txn.backend) -m found } "
                           "{ var(txn.backend),nbsrv eq 0 } !{ stopping }\n",
                           folder);
    add_waiting_room(out, backends);
    g_string_append(out, "    http-request set-var(txn.is_late) bool(true) if { stopping }\n"
                         "    http-request set-log-level err\n"
                         "    http-request set-log-level silent if { var(txn.is_late) -m bool }\n");
}

static void add_frontend(GString *out, const char *bind, const struct edge_options *options, const GPtrArray *backends)
{
    int64_t connections = clamp_or(options->max_connections, DEFAULT_CONNECTIONS, 10, 1000000);
    const char *folder = options->folder;
    g_string_append_printf(out, "\nfrontend http\n%s\n", bind);
    g_autofree char *owner = options->uid != 0 ? g_strdup_printf(" uid %u", (unsigned)options->uid) : g_strdup("");
    g_string_append_printf(out, "    bind unix@%s/" EDGE_JAIL "/" EDGE_LATE "%s mode 600 accept-proxy\n", folder,
                           owner);
    g_string_append_printf(out, "    maxconn %" G_GINT64_FORMAT "\n", connections);
    /* Requests are logged as errors, so that HAProxy's own notices do not come between the objects. */
    g_string_append(out, "    log stdout len 4096 format raw local0 err\n    option log-separate-errors\n");
    g_string_append(out, log_format);
    g_string_append(out, "    option dontlognull\n"
                         "    option idle-close-on-response\n"
                         "    unique-id-format %[uuid()]\n");
    add_choice(out, backends, folder);
    edge_add_request_rules(out, options);
    g_string_append(
        out, "    http-after-response set-header X-Request-Id %[unique-id] unless { var(txn.is_late) -m bool }\n");
    g_string_append(out, "    use_backend _late if { var(txn.is_late) -m bool }\n"
                         "    use_backend %[var(txn.backend)] if { var(txn.backend) -m found }\n"
                         "    default_backend _unknown_host\n");
    g_autofree char *jail = options->uid != 0 ? g_strdup("") : g_strconcat(folder, "/" EDGE_JAIL, NULL);
    g_string_append_printf(out, "\nbackend _late\n    server next unix@%s/" EDGE_LATE " send-proxy-v2\n", jail);
}

/* Page for people, JSON for programs. `condition` begins with " if " and may be empty. */
static void add_answer(GString *out, const char *folder, int status, const char *page, const char *code,
                       const char *words, const char *condition)
{
    const char *also = *condition != '\0' ? condition : " if";
    const char *headers =
        status == 503 ? " hdr Retry-After 5 hdr Cache-Control no-store" : " hdr Cache-Control no-store";
    g_string_append_printf(out,
                           "    http-request return status %d content-type application/problem+json lf-string "
                           "'{\"status\":%d,\"code\":\"%s\",\"error\":\"%s\",\"request_id\":\"%%[unique-id]\"}'%s%s "
                           "{ req.hdr(accept),lower -m sub application/json application/problem+json }\n",
                           status, status, code, words, headers, also);
    g_string_append_printf(out, "    http-request return status %d content-type text/html lf-file %s/%s.html%s%s\n",
                           status, folder, page, headers, condition);
}

static void add_unknown_host(GString *out, const char *folder)
{
    g_string_append(out, "\nbackend _unknown_host\n"
                         "    acl is_plain var(txn.host) -m reg ^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$\n");
    add_answer(out, folder, 404, "unknown-host-named", "UNKNOWN_HOST",
               "no application has the host name %[var(txn.host)]", " if is_plain");
    add_answer(out, folder, 404, "unknown-host", "UNKNOWN_HOST", "no application has this host name", "");
}

static void add_health(GString *out, const struct edge_backend *backend)
{
    g_string_append_printf(out, "    timeout check %" G_GINT64_FORMAT "ms\n",
                           clamp_or(backend->health_timeout_ms, 2000, 50, 60000));
    if (backend->health_path == NULL) {
        return;
    }
    g_autoptr(GString) path = g_string_new(backend->health_path);
    g_string_replace(path, "'", "%27", 0); /* the one character of a path that would end the quoted word */
    g_string_append(out, "    option httpchk\n");
    g_string_append_printf(out,
                           "    http-check send meth GET uri '%s' ver HTTP/1.1 hdr Host localhost hdr User-Agent "
                           "enclii-edge hdr Connection close\n",
                           path->str);
    g_string_append(out, "    http-check expect status 200-399\n");
}

static void add_backend(GString *out, const struct edge_backend *backend, const char *folder)
{
    g_string_append_printf(out, "\nbackend %s\n", backend->name);
    add_health(out, backend);
    if (backend->is_maintenance) {
        add_answer(out, folder, 503, "maintenance", "MAINTENANCE", "the application is stopped", "");
        return;
    }
    add_answer(out, folder, 503, "no-instance", "NO_INSTANCE", "the application has no healthy instance",
               " if { var(txn.is_empty) -m bool }");
}

char *edge_server_keywords(const struct edge_backend *backend)
{
    int64_t interval_ms = clamp_or(backend->health_interval_ms, 5000, 100, 300000);
    int64_t fast_ms = MIN(interval_ms, 1000);
    return g_strdup_printf("check inter %" G_GINT64_FORMAT "ms fastinter %" G_GINT64_FORMAT
                           "ms downinter %" G_GINT64_FORMAT "ms fall 2 rise 1 pool-purge-delay 1s",
                           interval_ms, fast_ms, fast_ms);
}

static void add_servers(GString *out, const struct edge_backend *backend)
{
    g_autofree char *keywords = edge_server_keywords(backend);
    for (guint i = 0; i < backend->servers->len; i++) {
        const struct edge_server *server = g_ptr_array_index(backend->servers, i);
        if (server->state == EDGE_READY) {
            g_string_append_printf(out, "    server %s %s:%d %s\n", server->name, server->address, (int)server->port,
                                   keywords);
        }
    }
}

/* --- the whole ------------------------------------------------------------------------------------------------------- */

static int compare_backends(gconstpointer a, gconstpointer b)
{
    return strcmp((*(struct edge_backend *const *)a)->name, (*(struct edge_backend *const *)b)->name);
}

static int compare_hosts(gconstpointer a, gconstpointer b)
{
    return strcmp((*(struct edge_host *const *)a)->host, (*(struct edge_host *const *)b)->host);
}

static GPtrArray *sorted(const GPtrArray *array, GCompareFunc compare)
{
    GPtrArray *copy = g_ptr_array_sized_new(array->len);
    for (guint i = 0; i < array->len; i++) {
        g_ptr_array_add(copy, g_ptr_array_index(array, i));
    }
    g_ptr_array_sort(copy, compare);
    return copy;
}

static void add_body(GString *out, const char *bind, const struct edge_options *options, const GPtrArray *backends,
                     bool with_servers)
{
    add_global(out, options);
    add_defaults(out, options->folder);
    add_frontend(out, bind, options, backends);
    add_unknown_host(out, options->folder);
    for (guint i = 0; i < backends->len; i++) {
        const struct edge_backend *backend = g_ptr_array_index(backends, i);
        add_backend(out, backend, options->folder);
        if (with_servers) {
            add_servers(out, backend);
        } else {
            g_autofree char *keywords = edge_server_keywords(backend); /* a changed check needs a reload */
            g_string_append(out, keywords);
        }
    }
}

static int64_t count_servers(const struct edge_table *table)
{
    int64_t n = 0;
    for (guint i = 0; i < table->backends->len; i++) {
        n += ((const struct edge_backend *)g_ptr_array_index(table->backends, i))->servers->len;
    }
    return n;
}

GString *edge_render(const struct edge_options *options, int port, const struct edge_table *table)
{
    struct edge_listen listen;
    if (port < 1 || port > 65535 || !edge_options_check(options, NULL) || !edge_table_check(table, NULL) ||
        !edge_listen_parse(options->listen, &listen, NULL)) {
        return NULL;
    }
    g_autofree char *bind = edge_listen_bind(&listen, port);
    g_autoptr(GPtrArray) backends = sorted(table->backends, compare_backends);
    g_autoptr(GString) skeleton = g_string_new(NULL);
    add_body(skeleton, bind, options, backends, false);
    for (const struct edge_file *file = edge_files; file->name != NULL; file++) {
        g_string_append(skeleton, file->text); /* HAProxy reads them when it loads the configuration */
    }
    g_autofree char *structure = sha256_hex(skeleton->str, skeleton->len);
    GString *out = g_string_new("# Written by switchyard, which replaces it at every change.\n");
    g_string_append_printf(out, SERVERS_LINE "%" G_GINT64_FORMAT "\n\nglobal\n" STRUCTURE_LINE "%s\n",
                           count_servers(table), structure);
    add_body(out, bind, options, backends, true);
    return out;
}

char *edge_structure(const char *configuration)
{
    const char *line = strstr(configuration, STRUCTURE_LINE);
    const char *hex = line != NULL ? line + strlen(STRUCTURE_LINE) : "";
    return g_strndup(hex, strcspn(hex, "\n"));
}

int64_t edge_file_servers(const char *configuration)
{
    const char *line = strstr(configuration, SERVERS_LINE);
    const char *digits = line != NULL ? line + strlen(SERVERS_LINE) : "";
    g_autofree char *number = g_strndup(digits, strcspn(digits, "\n"));
    int64_t n = -1;
    return int_parse(number, 0, INT64_MAX, &n) ? n : -1;
}

GString *edge_render_map(const struct edge_table *table)
{
    g_autoptr(GPtrArray) hosts = sorted(table->hosts, compare_hosts);
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < hosts->len; i++) {
        const struct edge_host *host = g_ptr_array_index(hosts, i);
        g_string_append_printf(out, "%s %s\n", host->host, host->backend);
    }
    return out;
}
