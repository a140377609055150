/* Deployments: made, listed, followed, cancelled, undone. */
#include <string.h>

#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"

#define MAX_HISTORY 1000

static void reply_deployment(struct call *call)
{
    const struct deployment *deployment = call->row;
    reply_object(call->request, &deployment_type, deployment, deployment->revision);
}

static bool deploy(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct deploy_request *body = request_body(call->request);
    call_reset(call);
    const struct deploy_order order = {
        .scope = call->scope,
        .service_id = call_parameter(call, "id"),
        .environment_name = body->environment_name,
        .release = body->release_id,
        .replicas = body->replicas,
        .reason = body->reason,
        .actor = call->actor,
        .kind = DEPLOYMENT_DEPLOY,
        .now_us = call->now_us,
    };
    return operation_deploy(tx, call->app, &order, (struct deployment **)&call->row, error);
}

bool deployment_deploy(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_create(&call, deploy, reply_deployment, error)) {
        return false;
    }
    app_wake_pair(call.app, ((const struct deployment *)call.row)->pair_id);
    return true;
}

static bool list(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    struct page page;
    g_autofree char *cursor = NULL;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    return call_page(call, &page, &cursor, error) && call_service(tx, call, &service, error) &&
           deployment_list(tx, &call->scope, service->id, &page, &call->rows, error);
}

bool deployment_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    struct page page;
    g_autofree char *cursor = NULL;
    if (!call_page(&call, &page, &cursor, error) || !call_read(&call, list, error)) {
        return false;
    }
    reply_page(&call, "deployments", &deployment_type, &page);
    return true;
}

static bool get_latest(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const char *named = request_query(call->request, "environment");
    g_autoptr(service_t) service = NULL;
    g_autoptr(environment_t) environment = NULL;
    call_reset(call);
    struct latest_deployment *latest = contract_new(&latest_deployment_type);
    call->row = latest;
    if (!call_service(tx, call, &service, error) ||
        (named != NULL && !call_environment(tx, call, service, named, &environment, error)) ||
        !deployment_find_latest(tx, &call->scope, service->id, environment != NULL ? environment->id : NULL,
                                &latest->deployment, error)) {
        return false;
    }
    if (latest->deployment == NULL) {
        sy_fail(error, SY_NOT_FOUND, "%s has not been deployed yet", service->name);
        sy_error_set_hint(error, "Deploy it: enclii up");
        return false;
    }
    return release_by_id(tx, &call->scope, latest->deployment->release_id, &latest->release, error);
}

bool deployment_get_latest(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get_latest, error)) {
        return false;
    }
    reply_object(request, &latest_deployment_type, call.row, 0);
    return true;
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    return deployment_by_id(tx, &call->scope, call_parameter(call, "id"), (struct deployment **)&call->row, error);
}

bool deployment_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    reply_deployment(&call);
    return true;
}

static bool get_events(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    if (!get(tx, call, error)) {
        return false;
    }
    const struct event_filter filter = {.deployment_id = ((const struct deployment *)call->row)->id};
    return event_list(tx, &call->scope, &filter, 0, MAX_HISTORY, &call->rows, error);
}

bool deployment_get_events(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get_events, error)) {
        return false;
    }
    return reply_slice(&call, "events", &event_type, "id", error);
}

static bool cancel(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    return get(tx, call, error) && operation_cancel(tx, call->app, call->row, call->actor, call->now_us, error);
}

bool deployment_cancel(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, cancel, error)) {
        return false;
    }
    app_wake_pair(call.app, ((const struct deployment *)call.row)->pair_id);
    reply_deployment(&call);
    return true;
}

static bool rollback(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct rollback_request *body = request_body(call->request);
    call_reset(call);
    return operation_rollback(tx, call->app, &call->scope, call_parameter(call, "id"), body != NULL ? body->to : NULL,
                              body != NULL ? body->to_release : NULL, body != NULL ? body->reason : NULL, call->actor,
                              call->now_us, (struct deployment **)&call->row, error);
}

bool deployment_rollback(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_create(&call, rollback, reply_deployment, error)) {
        return false;
    }
    app_wake_pair(call.app, ((const struct deployment *)call.row)->pair_id);
    return true;
}
