/* A hitless reload: validated before, carried over, waited for. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "edge/internal.h"

#define PAUSE_US (5 * 1000)
#define RELOAD_US (60 * G_USEC_PER_SEC)
#define STOPPING_US (5 * G_USEC_PER_SEC)
#define CONFIGURATION_LIMIT ((size_t)256 << 20)

static bool validate(struct edge *edge, const GString *configuration, GError **error)
{
    g_autofree char *candidate = g_strconcat(edge->configuration_path, ".new", NULL);
    bool ok = file_replace(candidate, configuration->str, configuration->len, 0600, error) &&
              edge_validate(edge, candidate, error);
    unlink(candidate);
    return ok;
}

static char *bind_line(const char *configuration)
{
    const char *line = configuration != NULL ? strstr(configuration, "\n    bind ") : NULL;
    return line != NULL ? g_strndup(line + 1, strcspn(line + 1, "\n")) : NULL;
}

/* A listener that HAProxy has already is handed from worker to worker; only a new one can be taken by somebody. */
static bool check_port(struct edge *edge, const char *before, const char *after, GError **error)
{
    g_autofree char *old = bind_line(before);
    g_autofree char *new = bind_line(after);
    return g_strcmp0(old, new) == 0 || edge_listen_check(&edge->listen, edge_port(edge), error);
}

/* Servers keep what the checks have found; without that a dead one would get traffic until the checks find it again. */
static bool save_state(struct edge *edge, GError **error)
{
    g_autoptr(GString) state = edge_command(edge, EDGE_STATS_SOCKET, "show servers state", error);
    return state != NULL && file_replace(edge->state_path, state->str, state->len, 0600, error);
}

static bool wait_for_worker(struct edge *edge, const struct edge_processes *before, int64_t offset,
                            struct edge_processes *ret_after, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + RELOAD_US;
    for (;;) {
        struct edge_processes now = {0};
        if (!edge_ask_processes(edge, &now, error)) {
            g_autofree char *words = edge_complaints(edge, offset);
            g_prefix_error(error, "HAProxy is gone after a reload (%s): ", words);
            return false;
        }
        if (now.reloads != before->reloads && now.failed_reloads > 0) {
            g_autofree char *words = edge_complaints(edge, offset);
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy cannot reload: %s", words);
        }
        if (now.reloads != before->reloads && now.worker != 0 && now.worker != before->worker) {
            *ret_after = now;
            return true;
        }
        if (g_get_monotonic_time() > deadline_us) {
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy does not finish its reload");
        }
        g_usleep(PAUSE_US);
    }
}

static bool is_stopping(struct edge *edge, int64_t pid)
{
    g_autoptr(GString) reply = edge_ask_worker(edge, pid, "show info", NULL);
    g_auto(edge_info_t) info = {0};
    return reply == NULL || !edge_parse_info(reply->str, reply->len, &info, NULL) || info.is_stopping;
}

/* Until the stats socket is the new worker's and the former one hands late requests on. */
static bool wait_for_switch(struct edge *edge, int64_t former, int64_t worker, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + STOPPING_US;
    for (;;) {
        g_auto(edge_info_t) info = {0};
        if (edge_ask_info(edge, &info, NULL) && info.pid == worker && (former == 0 || is_stopping(edge, former))) {
            return true;
        }
        if (g_get_monotonic_time() > deadline_us) {
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy's old worker does not give way");
        }
        g_usleep(PAUSE_US);
    }
}

static bool reload(struct edge *edge, GError **error)
{
    struct edge_processes before = {0};
    struct edge_processes after = {0};
    int64_t offset = edge_complaints_offset(edge);
    if (!edge_ask_processes(edge, &before, error)) {
        return false;
    }
    g_autoptr(GString) ignored = edge_command(edge, EDGE_MASTER_SOCKET, "reload", error);
    if (ignored == NULL) {
        return false;
    }
    g_mutex_lock(&edge->stats_lock);
    edge->stats.reloads++;
    g_mutex_unlock(&edge->stats_lock);
    return wait_for_worker(edge, &before, offset, &after, error) &&
           wait_for_switch(edge, before.worker, after.worker, error);
}

bool edge_reload(struct edge *edge, const GString *configuration, const GString *map, GError **error)
{
    g_autofree char *before = file_read(edge->configuration_path, CONFIGURATION_LIMIT, NULL, NULL);
    if (!check_port(edge, before, configuration->str, error) || !edge_write_files(edge, error) ||
        !validate(edge, configuration, error) || !save_state(edge, error) ||
        !file_replace(edge->map_path, map->str, map->len, 0600, error) ||
        !file_replace(edge->configuration_path, configuration->str, configuration->len, 0600, error)) {
        return false;
    }
    bool ok = reload(edge, error);
    GError *ignored = NULL; /* a stale state is of no harm that the next check does not mend */
    if (!file_replace(edge->state_path, "1\n", 2, 0600, &ignored)) {
        g_clear_error(&ignored);
    }
    if (!ok && before != NULL && !file_replace(edge->configuration_path, before, strlen(before), 0600, &ignored)) {
        g_clear_error(&ignored);
    }
    return ok;
}
