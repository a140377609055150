/* The installation itself: health, metrics, contract, doctor, clean-up. */
#include <string.h>

#include "base/file.h"
#include "switchyard/doctor.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/health.h"
#include "switchyard/metrics.h"
#include "switchyard/openapi.h"
#include "switchyard/operations/gc.h"

bool system_health(struct request *request, GError **error)
{
    struct app *app = request_app(request);
    GString *out = g_string_sized_new(512);
    enum health_level level = health_report(app->health, out);
    reply_json_take(request, level == HEALTH_DOWN ? 503 : 200, out);
    return true;
}

bool system_live(struct request *request, GError **error)
{
    reply_json_take(request, 200, g_string_new("{\"status\":\"ok\"}"));
    return true;
}

bool system_ready(struct request *request, GError **error)
{
    struct app *app = request_app(request);
    if (health_is_ready(app->health)) {
        reply_json_take(request, 200, g_string_new("{\"status\":\"ready\"}"));
    } else {
        reply_header(request, "Retry-After", "1");
        reply_json_take(request, 503, g_string_new("{\"status\":\"not ready\"}"));
    }
    return true;
}

bool system_metrics(struct request *request, GError **error)
{
    reply_bytes_take(request, 200, "text/plain; version=0.0.4; charset=utf-8", metrics_write(request_app(request)));
    return true;
}

bool system_version(struct request *request, GError **error)
{
    struct version_info info = {
        .service = (char *)"switchyard", .version = (char *)ENCLII_VERSION, .api = (char *)"v1"};
    reply_object(request, &version_info_type, &info, 0);
    return true;
}

bool system_openapi(struct request *request, GError **error)
{
    reply_json_take(request, 200, openapi_write());
    return true;
}

static bool read_counts(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    struct build_status *status = call->row;
    g_clear_pointer(&status->recent, g_ptr_array_unref);
    return release_counts(tx, &status->queued, &status->building, &status->recent, error);
}

bool system_build_status(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    struct build_status *status = contract_new(&build_status_type);
    call.row = status;
    status->status = g_strdup("ok");
    if (!call_read(&call, read_counts, error)) {
        return false;
    }
    reply_object(request, &build_status_type, status, 0);
    return true;
}

bool system_doctor(struct request *request, GError **error)
{
    g_autoptr(doctor_report_t) report = doctor_examine(request_app(request));
    reply_object(request, &doctor_report_type, report, 0);
    return true;
}

bool system_gc(struct request *request, GError **error)
{
    struct app *app = request_app(request);
    g_autoptr(gc_report_t) report = NULL;
    unsigned flags =
        (is_dry_run(request) ? GC_DRY_RUN : 0) | (request_query_bool(request, "everything") ? GC_EVERYTHING : 0);
    if (!gc_run(app, flags, &report, error)) {
        return false;
    }
    reply_object(request, &gc_report_type, report, 0);
    return true;
}

static void write_engine(const struct app *app, struct json_writer *writer)
{
    struct engine_info info = {0};
    g_autoptr(GError) ignored = NULL;
    json_key(writer, "engine");
    json_object_open(writer);
    json_member_string(writer, "endpoint", app->config->engine);
    if (app->engine->ops->info(app->engine, &info, &ignored)) {
        json_member_string(writer, "name", info.name);
        json_member_string(writer, "version", info.version);
        engine_info_clear(&info);
    } else {
        json_member_string(writer, "error", ignored->message);
    }
    json_object_close(writer);
}

static void write_edge(const struct app *app, struct json_writer *writer)
{
    struct edge_status status = {0};
    g_autoptr(GError) ignored = NULL;
    json_key(writer, "edge");
    json_object_open(writer);
    if (app->edge != NULL && edge_status(app->edge, &status, &ignored)) {
        json_member_bool(writer, "is_running", status.is_running);
        json_member_string(writer, "version", status.version);
        json_member_int(writer, "port", edge_port(app->edge));
        json_member_int(writer, "reloads", status.reloads);
        json_member_int(writer, "requests", status.total_requests);
    } else if (ignored != NULL) {
        json_member_string(writer, "error", ignored->message);
    }
    json_object_close(writer);
    edge_status_clear(&status);
}

static void write_disk(const struct app *app, struct json_writer *writer)
{
    int64_t free_bytes = 0;
    int64_t total_bytes = 0;
    g_autoptr(GError) ignored = NULL;
    json_key(writer, "disk");
    json_object_open(writer);
    if (disk_space(app->config->data_dir, &free_bytes, &total_bytes, &ignored)) {
        json_member_int(writer, "free_bytes", free_bytes);
        json_member_int(writer, "total_bytes", total_bytes);
    }
    json_member_int(writer, "log_bytes", log_store_bytes(app->logs));
    json_object_close(writer);
}

static bool list_volumes(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    return volume_list(tx, NULL, &call->rows, error);
}

/* Volumes of what was deleted: nobody removes them by himself, so they must be found. */
static void write_kept_volumes(const GPtrArray *volumes, struct json_writer *writer)
{
    json_key(writer, "kept_volumes");
    json_array_open(writer);
    for (guint i = 0; volumes != NULL && i < volumes->len; i++) {
        const struct volume *volume = g_ptr_array_index(volumes, i);
        if (volume->tombstoned_us != CONTRACT_ABSENT) {
            contract_encode(&volume_type, volume, ENCODE_PUBLIC, writer);
        }
    }
    json_array_close(writer);
}

bool system_get(struct request *request, GError **error)
{
    const struct app *app = request_app(request);
    g_auto(call_t) call;
    call_init(&call, request);
    bool sees_all = call.scope.project_id == NULL;
    if (sees_all && !call_read(&call, list_volumes, error)) {
        return false;
    }
    GString *out = g_string_sized_new(1024);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_open(&writer);
    json_member_string(&writer, "installation_id", app->installation_id);
    json_member_string(&writer, "version", ENCLII_VERSION);
    json_member_string(&writer, "roles", app->config->roles);
    json_member_string(&writer, "store", store_dialect(app->store) == STORE_SQLITE ? "sqlite" : "postgresql");
    json_member_string(&writer, "base_domain", app->config->base_domain);
    json_member_int(&writer, "source_limit_bytes", app->config->source_limit_bytes);
    json_member_int(&writer, "uptime", (g_get_real_time() - app->started_us) / 1000000);
    write_engine(app, &writer);
    write_edge(app, &writer);
    write_disk(app, &writer);
    if (sees_all) {
        write_kept_volumes(call.rows, &writer);
    }
    json_object_close(&writer);
    reply_json_take(request, 200, out);
    return true;
}
