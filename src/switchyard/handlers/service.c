/* Services: what is defined, how it is doing, how many run. */
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/operations/deletion.h"

static bool check_build(const struct service *service, GError **error)
{
    if (service->build_config.type == BUILD_IMAGE && service->build_config.image == NULL) {
        sy_error_add_issue(error, "build_config.image", "required", "is missing: type image needs one");
        return false;
    }
    return settings_check(&service->settings, "", error);
}

static bool create(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    g_autoptr(project_t) project = NULL;
    if (!call_project(tx, call, &project, error)) {
        return false;
    }
    struct service *service = contract_dup(&service_type, request_body(call->request));
    call->row = service;
    service->id = uuid_new();
    service->organization_id = g_strdup(project->organization_id);
    service->project_id = g_strdup(project->id);
    service->project = g_strdup(project->slug);
    service->created_us = call->now_us;
    service->updated_us = call->now_us;
    service->revision = 1;
    g_autofree char *message = g_strdup_printf("service %s created", service->name);
    const struct history what = {.type = "service.created",
                                 .project_id = project->id,
                                 .service_id = service->id,
                                 .message = message,
                                 .actor = call->actor};
    return check_build(service, error) && service_insert(tx, service, error) &&
           history_append(tx, call->app, &what, call->now_us, error);
}

static void reply_created(struct call *call)
{
    reply_object(call->request, &service_type, call->row, ((const struct service *)call->row)->revision);
}

bool service_create(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    return call_create(&call, create, reply_created, error);
}

static bool list(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    struct page page;
    g_autofree char *cursor = NULL;
    g_autoptr(project_t) project = NULL;
    call_reset(call);
    return call_page(call, &page, &cursor, error) && call_project(tx, call, &project, error) &&
           service_list(tx, &call->scope, project->id, &page, &call->rows, error);
}

bool service_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    struct page page;
    g_autofree char *cursor = NULL;
    if (!call_page(&call, &page, &cursor, error) || !call_read(&call, list, error)) {
        return false;
    }
    reply_page(&call, "services", &service_type, &page);
    return true;
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    return call_service(tx, call, (struct service **)&call->row, error);
}

bool service_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    reply_object(request, &service_type, call.row, ((const struct service *)call.row)->revision);
    return true;
}

static bool update(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    struct service *service = NULL;
    if (!call_service(tx, call, &service, error)) {
        return false;
    }
    call->row = service;
    return request_check_match(call->request, service->revision, error) &&
           contract_decode(&service_type, service, request_json(call->request), DECODE_PATCH, error) &&
           check_build(service, error) && service_update(tx, service, call->now_us, error);
}

bool service_patch(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, update, error)) {
        return false;
    }
    reply_object(request, &service_type, call.row, ((const struct service *)call.row)->revision);
    return true;
}

static bool describe_deletion(struct tx *tx, const struct service *service, const GPtrArray *pairs,
                              struct spec_result *result, GError **error)
{
    g_autoptr(GStrvBuilder) changes = g_strv_builder_new();
    for (guint i = 0; i < pairs->len; i++) {
        const struct pair *pair = g_ptr_array_index(pairs, i);
        g_autoptr(GPtrArray) volumes = NULL;
        g_autoptr(GPtrArray) instances = NULL;
        if (!volume_list(tx, pair->id, &volumes, error) || !instance_list(tx, pair->id, &instances, error)) {
            return false;
        }
        if (instances->len > 0) {
            g_autofree char *text = g_strdup_printf("%u running instances stop: %s", instances->len, pair->host);
            g_strv_builder_add(changes, text);
        }
        for (guint j = 0; j < volumes->len; j++) {
            const struct volume *volume = g_ptr_array_index(volumes, j);
            g_autofree char *text =
                g_strdup_printf("volume %s is kept (tombstoned): %s in the engine", volume->name, volume->engine_name);
            g_strv_builder_add(changes, text);
        }
    }
    g_autofree char *text =
        g_strdup_printf("service %s, its variables, releases and history are deleted", service->name);
    g_strv_builder_add(changes, text);
    result->project = g_strdup(service->project);
    result->changes = g_strv_builder_end(changes);
    return true;
}

static bool remove_service(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    call->more = g_ptr_array_new_with_free_func(g_free);
    struct spec_result *result = contract_new(&spec_result_type);
    call->row = result;
    g_autoptr(service_t) service = NULL;
    g_autoptr(GPtrArray) pairs = NULL;
    if (!call_service(tx, call, &service, error) || !request_check_match(call->request, service->revision, error) ||
        !pair_list(tx, service->id, NULL, &pairs, error) || !describe_deletion(tx, service, pairs, result, error)) {
        return false;
    }
    if (is_dry_run(call->request)) {
        return true;
    }
    result->applied = 1;
    return operation_delete_service(tx, call->app, service, call->actor, call->now_us, call->more, error);
}

bool service_delete(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    bool ok = is_dry_run(request) ? call_read(&call, remove_service, error) : call_write(&call, remove_service, error);
    if (!ok) {
        return false;
    }
    for (guint i = 0; i < call.more->len; i++) {
        app_wake_pair(call.app, g_ptr_array_index(call.more, i));
    }
    reply_object(request, &spec_result_type, call.row, 0);
    return true;
}

/* --- status --------------------------------------------------------------------------------------------------------------- */

static bool fill_status(struct tx *tx, struct call *call, struct service_status *status, const struct pair *pair,
                        GError **error)
{
    g_autoptr(deployment_t) serving = NULL;
    status->status = g_strdup(pair_statuses[pair->status]);
    status->reason = g_strdup(pair->status_reason);
    if (!instance_list(tx, pair->id, &status->instances, error) ||
        !deployment_find_latest(tx, &call->scope, pair->service_id, pair->environment_id, &status->latest_deployment,
                                error) ||
        (pair->serving_deployment_id != NULL &&
         !deployment_by_id(tx, &call->scope, pair->serving_deployment_id, &serving, error))) {
        return false;
    }
    status->pods = status->instances->len;
    for (guint i = 0; i < status->instances->len; i++) {
        struct instance *instance = g_ptr_array_index(status->instances, i);
        instance->restarts = MAX(instance->restarts, 0) + MAX(instance->engine_restarts, 0);
        /* Without an engine_id its container was lost and could not be made again. */
        status->running_pods += instance->state == INSTANCE_ROUTED && instance->engine_id != NULL;
    }
    if (serving != NULL) {
        status->version = g_strdup(serving->release_version);
        status->replicas = serving->value.settings.replicas;
        status->url = g_strdup(serving->url);
        status->uptime =
            serving->finished_us != CONTRACT_ABSENT ? MAX(call->now_us - serving->finished_us, 0) / 1000000 : 0;
        status->exceptions = settings_exceptions(&serving->value.settings);
    } else if (status->latest_deployment != NULL) {
        status->replicas = status->latest_deployment->replicas;
    }
    bool is_healthy = pair->status == PAIR_RUNNING || (pair->status == PAIR_DEPLOYING && serving != NULL);
    status->health = g_strdup(is_healthy                                                     ? "healthy"
                              : pair->status == PAIR_DEGRADED || pair->status == PAIR_FAILED ? "unhealthy"
                                                                                             : "unknown");
    return true;
}

static bool read_status(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    struct service_status *status = contract_new(&service_status_type);
    call->row = status;
    g_autoptr(environment_t) environment = NULL;
    g_autoptr(pair_t) pair = NULL;
    if (!call_service(tx, call, &status->service, error) ||
        !call_environment(tx, call, status->service, request_query(call->request, "environment"), &environment,
                          error) ||
        !pair_find(tx, status->service->id, environment->id, &pair, error)) {
        return false;
    }
    status->environment = g_strdup(environment->name);
    status->replicas = 0;
    status->uptime = 0;
    status->pods = 0;
    status->running_pods = 0;
    if (pair != NULL) {
        return fill_status(tx, call, status, pair, error);
    }
    status->status = g_strdup("idle");
    status->health = g_strdup("unknown");
    return true;
}

bool service_get_status(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, read_status, error)) {
        return false;
    }
    reply_object(request, &service_status_type, call.row, 0);
    return true;
}

/* --- scale, restart ----------------------------------------------------------------------------------------------------------- */

static bool repeat(struct tx *tx, struct call *call, enum deployment_kind kind, const char *environment,
                   int64_t replicas, GError **error)
{
    call_reset(call);
    const struct deploy_order order = {
        .scope = call->scope,
        .service_id = call_parameter(call, "id"),
        .environment_name = environment,
        .replicas = replicas,
        .actor = call->actor,
        .kind = kind,
        .now_us = call->now_us,
    };
    return operation_repeat(tx, call->app, &order, (struct deployment **)&call->row, error);
}

static bool scale(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct scale_request *body = request_body(call->request);
    return repeat(tx, call, DEPLOYMENT_SCALE, body->environment_name, body->replicas, error);
}

static bool restart(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct restart_request *body = request_body(call->request);
    const char *environment = body != NULL ? body->environment_name : "production";
    return repeat(tx, call, DEPLOYMENT_RESTART, environment, CONTRACT_ABSENT, error);
}

static void reply_deployment(struct call *call)
{
    const struct deployment *deployment = call->row;
    reply_object(call->request, &deployment_type, deployment, deployment->revision);
}

static bool reply_repeated(struct request *request, store_fn fn, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_create(&call, fn, reply_deployment, error)) {
        return false;
    }
    app_wake_pair(call.app, ((const struct deployment *)call.row)->pair_id);
    return true;
}

bool service_scale(struct request *request, GError **error)
{
    return reply_repeated(request, scale, error);
}

bool service_restart(struct request *request, GError **error)
{
    return reply_repeated(request, restart, error);
}
