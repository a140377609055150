#include "switchyard/metrics.h"

#include <stdio.h>
#include <unistd.h>

#include "switchyard/controllers/builder.h"
#include "switchyard/controllers/controller.h"
#include "switchyard/hub.h"

static void head(GString *out, const char *name, const char *kind, const char *help)
{
    g_string_append_printf(out, "# HELP enclii_%s %s\n# TYPE enclii_%s %s\n", name, help, name, kind);
}

static void gauge(GString *out, const char *name, const char *help, int64_t value)
{
    head(out, name, "gauge", help);
    g_string_append_printf(out, "enclii_%s %" G_GINT64_FORMAT "\n", name, value);
}

static void counter(GString *out, const char *name, const char *help, int64_t value)
{
    head(out, name, "counter", help);
    g_string_append_printf(out, "enclii_%s %" G_GINT64_FORMAT "\n", name, value);
}

static void seconds(GString *out, const char *name, const char *help, int64_t value_us)
{
    head(out, name, "counter", help);
    g_string_append_printf(out, "enclii_%s %.6f\n", name, (double)value_us / 1e6);
}

static void seconds_gauge(GString *out, const char *name, const char *help, int64_t value_us)
{
    head(out, name, "gauge", help);
    g_string_append_printf(out, "enclii_%s %.6f\n", name, (double)value_us / 1e6);
}

static void write_requests(const struct route *route, const int64_t by_class[5],
                           const int64_t buckets[SERVER_N_BOUNDS + 1], double sum_seconds, void *arg)
{
    GString *out = arg;
    for (int i = 0; i < 5; i++) {
        if (by_class[i] > 0) {
            g_string_append_printf(
                out, "enclii_http_requests_total{method=\"%s\",route=\"%s\",status=\"%dxx\"} %" G_GINT64_FORMAT "\n",
                route->method, route->path, i + 1, by_class[i]);
        }
    }
}

static void write_latencies(const struct route *route, const int64_t by_class[5],
                            const int64_t buckets[SERVER_N_BOUNDS + 1], double sum_seconds, void *arg)
{
    GString *out = arg;
    static const char *const name = "enclii_http_request_seconds";
    for (int i = 0; i < SERVER_N_BOUNDS; i++) {
        g_string_append_printf(out, "%s_bucket{method=\"%s\",route=\"%s\",le=\"%g\"} %" G_GINT64_FORMAT "\n", name,
                               route->method, route->path, server_latency_bounds[i], buckets[i]);
    }
    g_string_append_printf(out, "%s_bucket{method=\"%s\",route=\"%s\",le=\"+Inf\"} %" G_GINT64_FORMAT "\n", name,
                           route->method, route->path, buckets[SERVER_N_BOUNDS]);
    g_string_append_printf(out, "%s_sum{method=\"%s\",route=\"%s\"} %.6f\n", name, route->method, route->path,
                           sum_seconds);
    g_string_append_printf(out, "%s_count{method=\"%s\",route=\"%s\"} %" G_GINT64_FORMAT "\n", name, route->method,
                           route->path, buckets[SERVER_N_BOUNDS]);
}

static void write_server(struct app *app, GString *out)
{
    struct server_stats stats;
    server_stats(app->server, &stats);
    head(out, "http_requests_total", "counter", "Requests by route and class of status.");
    server_route_stats(app->server, write_requests, out);
    head(out, "http_request_seconds", "histogram", "From the head of a request to its reply.");
    server_route_stats(app->server, write_latencies, out);
    gauge(out, "http_connections", "Open connections.", stats.connections);
    gauge(out, "http_workers_busy", "Workers that serve a request.", stats.workers_busy);
    gauge(out, "http_queue_length", "Requests that wait for a worker.", stats.queue_length);
    gauge(out, "http_streams", "Open event and log streams.", stats.streams);
    counter(out, "http_rejected_total", "Requests refused because the queue was full.", stats.rejected);
    gauge(out, "event_subscribers", "Streams of events.", hub_subscribers(app->hub));
}

static void write_store(struct app *app, GString *out)
{
    struct store_stats stats;
    store_stats(app->store, &stats);
    counter(out, "store_writes_total", "Units of work that wrote.", stats.writes);
    counter(out, "store_reads_total", "Units of work that read.", stats.reads);
    counter(out, "store_commits_total", "Commits; several writes may share one.", stats.commits);
    counter(out, "store_retries_total", "Units run again after a soft error.", stats.retries);
    counter(out, "store_failures_total", "Units that failed.", stats.failures);
    gauge(out, "store_connections_in_use", "Connections in use.", stats.in_use);
    gauge(out, "store_waiting", "Callers that wait for a connection.", stats.waiting);
    seconds(out, "store_commit_seconds_total", "Time spent in commits.", stats.commit_us_total);
}

static void write_engine(struct app *app, GString *out)
{
    struct engine_stats stats;
    engine_docker_stats(app->engine, &stats);
    counter(out, "engine_calls_total", "Calls of the container engine.", stats.calls);
    counter(out, "engine_failures_total", "Calls that failed.", stats.failures);
    seconds(out, "engine_seconds_total", "Time spent in calls.", stats.us_total);
}

static void write_edge(struct app *app, GString *out)
{
    struct edge_stats stats;
    edge_stats(app->edge, &stats);
    counter(out, "edge_calls_total", "Calls of HAProxy's runtime API.", stats.calls);
    counter(out, "edge_failures_total", "Calls that failed.", stats.failures);
    counter(out, "edge_reloads_total", "Reloads of HAProxy.", stats.reloads);
    seconds(out, "edge_seconds_total", "Time spent in calls.", stats.us_total);
}

static void write_controller(struct app *app, GString *out)
{
    struct controller_stats stats;
    controller_stats(app->controller, &stats);
    gauge(out, "reconcile_queue_length", "Services and environments that wait to be looked at.", stats.queue_length);
    counter(out, "reconcile_passes_total", "Looks at one service in one environment.", stats.passes);
    counter(out, "reconcile_actions_total", "Actions carried out.", stats.actions);
    counter(out, "reconcile_action_failures_total", "Actions that failed.", stats.action_failures);
    counter(out, "reconcile_edge_syncs_total", "Comparisons of the edge's table.", stats.edge_syncs);
    counter(out, "reconcile_resyncs_total", "Looks at everything, for what has changed.", stats.resyncs);
    seconds_gauge(out, "reconcile_resync_seconds", "How long the last look at everything took.", stats.last_resync_us);
    gauge(out, "reconcile_is_leader", "1 when this process acts.", stats.is_leader);
}

static void write_builder(struct app *app, GString *out)
{
    struct builder_stats stats;
    builder_stats(app->builder, &stats);
    gauge(out, "builds_running", "Builds at work in this process.", stats.running);
    head(out, "builds_total", "counter", "Builds that ended, by outcome.");
    g_string_append_printf(out, "enclii_builds_total{outcome=\"ready\"} %" G_GINT64_FORMAT "\n", stats.built);
    g_string_append_printf(out, "enclii_builds_total{outcome=\"failed\"} %" G_GINT64_FORMAT "\n", stats.failed);
    g_string_append_printf(out, "enclii_builds_total{outcome=\"cancelled\"} %" G_GINT64_FORMAT "\n", stats.cancelled);
}

static void write_count(const char *status, int64_t count, void *arg)
{
    g_string_append_printf(arg, "enclii_deployments{status=\"%s\"} %" G_GINT64_FORMAT "\n", status, count);
}

static bool read_counts(struct tx *tx, void *arg, GError **error)
{
    g_string_truncate(arg, 0);
    return deployment_counts(tx, write_count, arg, error);
}

/* From the store, so that every process tells the same. */
static void write_deployments(struct app *app, GString *out)
{
    g_autoptr(GString) rows = g_string_new(NULL);
    g_autoptr(GError) ignored = NULL; /* a database that is away is told by enclii_store_failures_total */
    if (store_read(app->store, "metrics_deployments", read_counts, rows, &ignored)) {
        head(out, "deployments", "gauge", "Deployments by status.");
        g_string_append(out, rows->str);
    }
}

static void write_process(struct app *app, GString *out)
{
    long pages_total = 0;
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%ld %ld", &pages_total, &pages) == 2) {
            gauge(out, "process_resident_memory_bytes", "Resident memory.", (int64_t)pages * sysconf(_SC_PAGESIZE));
        }
        fclose(file);
    }
    gauge(out, "process_uptime_seconds", "Since the start.", (g_get_real_time() - app->started_us) / 1000000);
    gauge(out, "log_store_bytes", "Logs on disk.", log_store_bytes(app->logs));
}

GString *metrics_write(struct app *app)
{
    GString *out = g_string_sized_new(16384);
    write_server(app, out);
    write_store(app, out);
    write_engine(app, out);
    if (app->edge != NULL) {
        write_edge(app, out);
    }
    if (app->controller != NULL) {
        write_controller(app, out);
    }
    if (app->builder != NULL) {
        write_builder(app, out);
    }
    write_deployments(app, out);
    write_process(app, out);
    return out;
}
