/* What HAProxy answers on its sockets (management.txt of 2.6, sections 9.1, 9.3 and 9.4). Columns are found by name. */
#include <string.h>

#include "base/error.h"
#include "base/quantity.h"
#include "edge/internal.h"

#define COLUMNS_MAX 256

static bool is_missing(GError **error, const char *what)
{
    return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy's reply has no %s", what);
}

static int64_t number(const char *text)
{
    int64_t value = 0;
    return text != NULL && int_parse(text, 0, INT64_MAX, &value) ? value : 0;
}

/* --- rows of columns: CSV (RFC 4180 without line breaks in quotes) or separated by blanks ----------------------------- */

struct rows {
    char *text; /* owned; cut into cells in place */
    char *next;
    bool is_csv;
    char *cells[COLUMNS_MAX];
    size_t n;
    size_t needed; /* cells that a row must have for every column that was looked for */
};

/* Takes a quoted cell's quotes away in place; returns what follows it. */
static char *unquote(char *cell)
{
    char *out = cell;
    char *p = cell + 1;
    for (; *p != '\0' && (*p != '"' || p[1] == '"'); p++) {
        p += *p == '"'; /* a doubled quote stands for one */
        *out++ = *p;
    }
    p += *p == '"';
    *out = '\0'; /* before p: the opening quote made room */
    return p;
}

static char *next_csv_cell(char **cursor)
{
    char *cell = *cursor;
    char *end = *cell == '"' ? unquote(cell) : cell;
    end += strcspn(end, ",");
    *cursor = *end == ',' ? end + 1 : NULL;
    *end = '\0';
    return cell;
}

static char *next_word(char **cursor)
{
    char *cell = *cursor + strspn(*cursor, " \t");
    char *end = cell + strcspn(cell, " \t");
    *cursor = *end != '\0' && end[strspn(end, " \t")] != '\0' ? end + 1 : NULL;
    *end = '\0';
    return cell;
}

/* The next line that is not empty, cut into cells. */
static bool next_row(struct rows *rows)
{
    while (rows->next != NULL && *rows->next != '\0') {
        char *line = rows->next;
        size_t length = strcspn(line, "\n");
        rows->next = line[length] == '\n' ? line + length + 1 : NULL;
        line[length] = '\0';
        if (length > 0 && line[length - 1] == '\r') {
            line[length - 1] = '\0';
        }
        if (*line == '\0') {
            continue;
        }
        rows->n = 0;
        for (char *cursor = line; cursor != NULL && rows->n < COLUMNS_MAX;) {
            rows->cells[rows->n++] = rows->is_csv ? next_csv_cell(&cursor) : next_word(&cursor);
        }
        return true;
    }
    return false;
}

/* A reply with a zero byte ends there: no reply of HAProxy's has one. */
static void rows_init(struct rows *rows, const char *text, size_t length, bool is_csv)
{
    *rows = (struct rows){.text = g_strndup(text, length), .is_csv = is_csv};
    rows->next = rows->text;
}

static const char *cell(const struct rows *rows, int column)
{
    return column >= 0 && (size_t)column < rows->n ? rows->cells[column] : NULL;
}

struct column {
    const char *name;
    int *ret_index;
};

/* Reads the heading "# first,second,…" or "# first second …". */
static bool find_columns(struct rows *rows, const struct column *columns, GError **error)
{
    g_autofree char *first_line = g_strndup(rows->text, strcspn(rows->text, "\r\n"));
    do {
        if (!next_row(rows)) {
            g_autofree char *shown = g_strescape(first_line, NULL);
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy's reply has no heading but \"%.100s\"", shown);
        }
    } while (rows->cells[0][0] != '#');
    bool is_apart = rows->cells[0][1] == '\0'; /* "#" is a word of its own */
    if (!is_apart) {
        rows->cells[0] += 1 + strspn(rows->cells[0] + 1, " ");
    }
    for (size_t c = 0; columns[c].name != NULL; c++) {
        *columns[c].ret_index = -1;
        for (size_t i = is_apart ? 1 : 0; i < rows->n; i++) {
            if (strcmp(rows->cells[i], columns[c].name) == 0) {
                *columns[c].ret_index = (int)i - (is_apart ? 1 : 0);
            }
        }
        if (*columns[c].ret_index < 0) {
            return is_missing(error, columns[c].name);
        }
        rows->needed = MAX(rows->needed, (size_t)*columns[c].ret_index + 1);
    }
    return true;
}

/* --- show stat ----------------------------------------------------------------------------------------------------- */

static void observed_free(gpointer data)
{
    struct edge_observed_server *server = data;
    g_free(server->backend);
    g_free(server->name);
    g_free(server->address);
    g_free(server);
}

static int compare_observed(gconstpointer a, gconstpointer b)
{
    const struct edge_observed_server *one = *(struct edge_observed_server *const *)a;
    const struct edge_observed_server *two = *(struct edge_observed_server *const *)b;
    int order = strcmp(one->backend, two->backend);
    return order != 0 ? order : strcmp(one->name, two->name);
}

void edge_sort_observed(GPtrArray *servers)
{
    g_ptr_array_sort(servers, compare_observed);
}

struct stat_columns {
    int backend, name, type, status, current, total, connection_errors, response_errors, address;
};

static int64_t read_errors(const struct rows *rows, const struct stat_columns *at)
{
    int64_t errors = number(cell(rows, at->connection_errors));
    int64_t response_errors = number(cell(rows, at->response_errors));
    return errors > INT64_MAX - response_errors ? INT64_MAX : errors + response_errors;
}

static struct edge_observed_server *read_stat(const struct rows *rows, const struct stat_columns *at)
{
    struct edge_observed_server *server = g_new0(struct edge_observed_server, 1);
    const char *status = cell(rows, at->status);
    const char *address = cell(rows, at->address);
    const char *colon = strrchr(address, ':');
    server->backend = g_strdup(cell(rows, at->backend));
    server->name = g_strdup(cell(rows, at->name));
    server->address = colon != NULL ? g_strndup(address, (gsize)(colon - address)) : g_strdup(address);
    server->is_draining = g_str_has_prefix(status, "DRAIN") || g_str_has_prefix(status, "MAINT");
    server->is_up =
        g_str_has_prefix(status, "UP") || g_str_has_prefix(status, "DRAIN") || g_str_has_prefix(status, "no check");
    server->current = number(cell(rows, at->current));
    server->total = number(cell(rows, at->total));
    server->errors = read_errors(rows, at);
    return server;
}

static void give_backend_errors(GPtrArray *servers, GHashTable *errors)
{
    for (guint i = 0; i < servers->len; i++) {
        struct edge_observed_server *server = g_ptr_array_index(servers, i);
        const int64_t *of_backend = g_hash_table_lookup(errors, server->backend);
        server->backend_errors = of_backend != NULL ? *of_backend : server->errors;
    }
}

static bool read_stats(struct rows *rows, GPtrArray *servers, GError **error)
{
    struct stat_columns at;
    const struct column columns[] = {{"pxname", &at.backend},
                                     {"svname", &at.name},
                                     {"type", &at.type},
                                     {"status", &at.status},
                                     {"scur", &at.current},
                                     {"stot", &at.total},
                                     {"econ", &at.connection_errors},
                                     {"eresp", &at.response_errors},
                                     {"addr", &at.address},
                                     {NULL, NULL}};
    if (!find_columns(rows, columns, error)) {
        return false;
    }
    g_autoptr(GHashTable) errors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    while (next_row(rows)) {
        if (rows->n < rows->needed) {
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy's statistics end in the middle of a row");
        }
        const char *type = cell(rows, at.type);
        if (rows->cells[at.backend][0] == '_') {
            continue; /* our own */
        }
        if (strcmp(type, "2") == 0) {
            g_ptr_array_add(servers, read_stat(rows, &at));
        } else if (strcmp(type, "1") == 0) {
            int64_t *of_backend = g_new(int64_t, 1);
            *of_backend = read_errors(rows, &at);
            g_hash_table_replace(errors, g_strdup(cell(rows, at.backend)), of_backend);
        }
    }
    give_backend_errors(servers, errors);
    return true;
}

bool edge_parse_stat(const char *text, size_t length, GPtrArray **ret_servers, GError **error)
{
    struct rows rows;
    g_autoptr(GPtrArray) servers = g_ptr_array_new_with_free_func(observed_free);
    rows_init(&rows, text, length, true);
    bool ok = read_stats(&rows, servers, error);
    g_free(rows.text);
    if (ok) {
        edge_sort_observed(servers);
        *ret_servers = g_steal_pointer(&servers);
    }
    return ok;
}

/* --- show servers state -------------------------------------------------------------------------------------------------- */

static void live_free(gpointer data)
{
    struct edge_live_server *server = data;
    g_free(server->backend);
    g_free(server->name);
    g_free(server->address);
    g_free(server);
}

static bool read_states(struct rows *rows, GPtrArray *servers, GError **error)
{
    int backend;
    int name;
    int address;
    int port;
    int admin;
    const struct column columns[] = {{"be_name", &backend},       {"srv_name", &name}, {"srv_addr", &address},
                                     {"srv_admin_state", &admin}, {"srv_port", &port}, {NULL, NULL}};
    if (!find_columns(rows, columns, error)) {
        return false;
    }
    while (next_row(rows)) {
        if (rows->n < rows->needed) {
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy's list of servers ends in the middle of a row");
        }
        if (cell(rows, backend)[0] == '_') {
            continue;
        }
        struct edge_live_server *server = g_new0(struct edge_live_server, 1);
        server->backend = g_strdup(cell(rows, backend));
        server->name = g_strdup(cell(rows, name));
        server->address = g_strdup(cell(rows, address));
        server->port = number(cell(rows, port));
        server->admin = number(cell(rows, admin));
        g_ptr_array_add(servers, server);
    }
    return true;
}

bool edge_parse_servers_state(const char *text, size_t length, GPtrArray **ret_servers, GError **error)
{
    struct rows rows;
    g_autoptr(GPtrArray) servers = g_ptr_array_new_with_free_func(live_free);
    rows_init(&rows, text, length, false);
    bool ok = read_states(&rows, servers, error);
    g_free(rows.text);
    if (ok) {
        *ret_servers = g_steal_pointer(&servers);
    }
    return ok;
}

/* --- show info ------------------------------------------------------------------------------------------------------- */

void edge_info_clear(struct edge_info *info)
{
    g_clear_pointer(&info->version, g_free);
    g_clear_pointer(&info->description, g_free);
}

bool edge_parse_info(const char *text, size_t length, struct edge_info *ret_info, GError **error)
{
    g_autofree char *copy = g_strndup(text, length);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", 1000);
    struct edge_info info = {0};
    for (size_t i = 0; lines[i] != NULL; i++) {
        char *colon = strstr(lines[i], ": ");
        if (colon == NULL) {
            continue;
        }
        *colon = '\0';
        const char *value = g_strchomp(colon + 2);
        if (strcmp(lines[i], "Version") == 0 && info.version == NULL) {
            info.version = g_strdup(value);
        } else if (strcmp(lines[i], "description") == 0 && info.description == NULL) {
            info.description = g_strdup(value);
        } else if (strcmp(lines[i], "Pid") == 0) {
            info.pid = number(value);
        } else if (strcmp(lines[i], "CurrConns") == 0) {
            info.current_connections = number(value);
        } else if (strcmp(lines[i], "CumReq") == 0) {
            info.total_requests = number(value);
        } else if (strcmp(lines[i], "Stopping") == 0) {
            info.is_stopping = number(value) != 0;
        }
    }
    if (info.version == NULL || info.pid <= 0) {
        edge_info_clear(&info);
        return is_missing(error, "version and pid");
    }
    *ret_info = info;
    return true;
}

/* --- show proc ------------------------------------------------------------------------------------------------------- */

/* "1d02h03m04s" */
static int64_t uptime_seconds(const char *text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t sum = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        char *end = NULL;
        uint64_t value = g_ascii_strtoull(text, &end, 10);
        if (end == text || *end != units[i].unit || value > 1000000) {
            return 0;
        }
        sum += (int64_t)value * units[i].seconds;
        text = end + 1;
    }
    return sum;
}

/* "PID master RELOADS [failed: N] UPTIME VERSION", the part in brackets being three words of 2.6. */
static void read_master(const struct rows *rows, struct edge_processes *processes)
{
    processes->master = number(cell(rows, 0));
    processes->reloads = number(cell(rows, 2));
    size_t at = 3;
    if (rows->n > 5 && strcmp(rows->cells[3], "[failed:") == 0) {
        g_autofree char *failed = g_strdup(rows->cells[4]);
        failed[strcspn(failed, "]")] = '\0';
        processes->failed_reloads = number(failed);
        at = 5;
    }
    processes->uptime_seconds = cell(rows, (int)at) != NULL ? uptime_seconds(cell(rows, (int)at)) : 0;
}

static void read_processes(struct rows *rows, struct edge_processes *processes)
{
    bool is_old = false;
    while (next_row(rows)) {
        if (rows->cells[0][0] == '#') {
            is_old = cell(rows, 1) != NULL && strcmp(cell(rows, 1), "old") == 0;
        } else if (rows->n < 3 || number(cell(rows, 0)) == 0) {
            continue;
        } else if (strcmp(rows->cells[1], "master") == 0) {
            read_master(rows, processes);
        } else if (strcmp(rows->cells[1], "worker") == 0 && !is_old) {
            processes->worker = number(cell(rows, 0));
        } else if (strcmp(rows->cells[1], "worker") == 0 && processes->n_old < EDGE_OLD_WORKERS) {
            processes->old[processes->n_old++] = number(cell(rows, 0));
        }
    }
}

bool edge_parse_processes(const char *text, size_t length, struct edge_processes *ret_processes, GError **error)
{
    struct rows rows;
    struct edge_processes processes = {0};
    rows_init(&rows, text, length, false);
    read_processes(&rows, &processes);
    g_free(rows.text);
    if (processes.master == 0) {
        return is_missing(error, "master process");
    }
    *ret_processes = processes;
    return true;
}

/* --- show map -------------------------------------------------------------------------------------------------------- */

bool edge_parse_map(const char *text, size_t length, GHashTable **ret_hosts, GError **error)
{
    struct rows rows;
    bool ok = true;
    g_autoptr(GHashTable) hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    rows_init(&rows, text, length, false);
    while (ok && next_row(&rows)) {
        ok = rows.n == 3 && g_str_has_prefix(rows.cells[0], "0x");
        if (ok) {
            g_hash_table_insert(hosts, g_strdup(rows.cells[1]), g_strdup(rows.cells[2]));
        }
    }
    if (!ok) {
        sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy answered instead of its hosts: %.100s", rows.cells[0]);
    }
    g_free(rows.text);
    if (ok) {
        *ret_hosts = g_steal_pointer(&hosts);
    }
    return ok;
}
