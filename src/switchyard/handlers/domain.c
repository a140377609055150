/* Custom host names. */
#include <netdb.h>

#include "base/error.h"
#include "model/spec.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"

static bool tell(struct tx *tx, const struct call *call, const struct service *service, const struct domain *row,
                 const char *type, const char *verb, GError **error)
{
    g_autofree char *message = g_strdup_printf("host name %s %s", row->domain, verb);
    const struct history what = {.type = type,
                                 .project_id = service->project_id,
                                 .service_id = service->id,
                                 .environment_id = row->environment_id,
                                 .message = message,
                                 .actor = call->actor};
    return history_append(tx, call->app, &what, call->now_us, error);
}

/* A name that nothing can ever be routed to would only look as if it worked. */
static bool check_is_routed(const struct service *service, const struct pair *pair, GError **error)
{
    struct settings settings;
    contract_copy(&settings_type, &settings, &service->settings);
    bool ok = settings_apply_overrides(&settings, pair->overrides, "", error);
    if (ok && settings.port == 0) {
        ok = sy_fail(error, SY_CONFLICT, "%s has no port, so nothing can be routed to it", service->name);
        sy_error_set_hint(error, "Give it a port in enclii.yaml first, then deploy.");
    } else if (ok && settings.is_public == 0) {
        ok = sy_fail(error, SY_CONFLICT, "%s is not public: it is reached by its name inside the environment only",
                     service->name);
        sy_error_set_hint(error, "Remove public: false in enclii.yaml first, then deploy.");
    }
    contract_clear(&settings_type, &settings);
    return ok;
}

static bool create(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct domain *body = request_body(call->request);
    g_autoptr(service_t) service = NULL;
    g_autoptr(environment_t) environment = NULL;
    g_autoptr(pair_t) pair = NULL;
    call_reset(call);
    const char *named = body->environment_id != NULL ? body->environment_id : body->environment;
    if (!call_service(tx, call, &service, error) ||
        !call_environment(tx, call, service, named != NULL ? named : "production", &environment, error) ||
        !pair_ensure(tx, service, environment, service->project, call->app->config->base_domain, call->now_us, &pair,
                     error) ||
        !check_is_routed(service, pair, error)) {
        return false;
    }
    struct domain *row = contract_dup(&domain_type, body);
    call->row = row;
    row->id = uuid_new();
    row->organization_id = g_strdup(service->organization_id);
    row->service_id = g_strdup(service->id);
    row->pair_id = g_strdup(pair->id);
    g_free(row->environment);
    row->environment = g_strdup(environment->name);
    g_free(row->environment_id);
    row->environment_id = g_strdup(environment->id);
    row->from_spec = 0;
    row->status = DOMAIN_ACTIVE; /* it is routed from now on; whether it resolves to us is what verify asks */
    row->created_us = call->now_us;
    return domain_insert(tx, row, error) && tell(tx, call, service, row, "domain.added", "added", error);
}

static void reply_domain(struct call *call)
{
    reply_object(call->request, &domain_type, call->row, 0);
}

bool domain_create(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_create(&call, create, reply_domain, error)) {
        return false;
    }
    app_wake_edge(call.app);
    return true;
}

static bool list(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    return call_service(tx, call, &service, error) && domain_list(tx, &call->scope, service->id, &call->rows, error);
}

bool domain_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, list, error)) {
        return false;
    }
    return reply_slice(&call, "domains", &domain_type, "id", error);
}

static bool find(struct tx *tx, struct call *call, struct service **ret_service, GError **error)
{
    return call_service(tx, call, ret_service, error) &&
           domain_by_id(tx, &call->scope, (*ret_service)->id, call_parameter(call, "domain_id"),
                        (struct domain **)&call->row, error);
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    g_autoptr(service_t) service = NULL;
    call_reset(arg);
    return find(tx, arg, &service, error);
}

/* Does the name resolve at all? Where it must point to, only the operator knows: a proxy may stand before the edge. */
bool domain_verify(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    const struct domain *row = call.row;
    struct addrinfo *addresses = NULL;
    int failure = getaddrinfo(row->domain, NULL, NULL, &addresses);
    if (failure != 0) {
        sy_fail(error, SY_CONFLICT, "%s does not resolve: %s", row->domain, gai_strerror(failure));
        sy_error_set_hint(error, "Add an A or AAAA record for it that points to this server, then verify again.");
        return false;
    }
    freeaddrinfo(addresses);
    reply_object(request, &domain_type, row, 0);
    return true;
}

static bool remove_domain(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    if (!find(tx, call, &service, error)) {
        return false;
    }
    const struct domain *row = call->row;
    if (row->from_spec > 0) {
        sy_fail(error, SY_CONFLICT, "%s is named in enclii.yaml", row->domain);
        sy_error_set_hint(error, "Remove it there and deploy.");
        return false;
    }
    return domain_delete(tx, row->id, error) && tell(tx, call, service, row, "domain.removed", "removed", error);
}

bool domain_remove(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, remove_domain, error)) {
        return false;
    }
    app_wake_edge(call.app);
    reply_object(request, &domain_type, call.row, 0);
    return true;
}
