/* Configuration variables of a service, for all its environments or for one. */
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/operations/configuration.h"

#define MASK "********"

/* What a list may show. */
static void mask(struct variable *variable)
{
    if (variable->is_secret > 0) {
        secret_string_free(variable->value);
        variable->value = g_strdup(MASK);
    }
}

static struct variable *new_row(const struct call *call, const struct service *service, const char *environment_id,
                                const char *key)
{
    struct variable *row = contract_new(&variable_type);
    row->id = uuid_new();
    row->organization_id = g_strdup(service->organization_id);
    row->service_id = g_strdup(service->id);
    row->environment_id = g_strdup(environment_id);
    g_free(row->key);
    row->key = g_strdup(key);
    row->is_removed = 0;
    row->created_us = call->now_us;
    row->updated_us = call->now_us;
    row->revision = 1;
    return row;
}

static void set_value(const struct app *app, struct variable *row, const char *value, bool is_secret)
{
    secret_string_free(row->value);
    row->value = g_strdup(value);
    row->is_secret = is_secret;
    row->is_removed = 0;
    variable_seal(app, row);
}

/* PORT is the service's own `port`; another value would be hidden by it. */
static bool check_key(const struct variable *variable, const char *path, GError **error)
{
    if (strcmp(variable->key, "PORT") == 0) {
        sy_error_add_issue(error, path, "reserved", "PORT is set from the service's port; change that");
        return false;
    }
    return true;
}

/* The environment in the body must belong to the service's project. */
static bool check_environment(struct tx *tx, struct call *call, const struct service *service,
                              const char *environment_id, GError **error)
{
    g_autoptr(environment_t) environment = NULL;
    return environment_id == NULL || call_environment(tx, call, service, environment_id, &environment, error);
}

static bool tell(struct tx *tx, const struct call *call, const struct service *service, const struct variable *row,
                 const char *verb, GError **error)
{
    g_autofree char *message = g_strdup_printf("variable %s of %s %s", row->key, service->name, verb);
    g_autofree char *type = g_strdup_printf("variable.%s", verb);
    const struct history what = {.type = type,
                                 .project_id = service->project_id,
                                 .service_id = service->id,
                                 .environment_id = row->environment_id,
                                 .message = message,
                                 .actor = call->actor};
    return history_append(tx, call->app, &what, call->now_us, error);
}

/* --- ?deploy=true: what changed goes into service at once ------------------------------------------------------------------ */

static bool redeploy(struct tx *tx, struct call *call, const struct service *service, const char *environment_id,
                     GError **error)
{
    g_autoptr(environment_t) environment = NULL;
    g_autoptr(pair_t) pair = NULL;
    const char *named = environment_id != NULL ? environment_id : request_query(call->request, "environment");
    if (!request_query_bool(call->request, "deploy") ||
        !call_environment(tx, call, service, named, &environment, error) ||
        !pair_find(tx, service->id, environment->id, &pair, error)) {
        return !request_query_bool(call->request, "deploy");
    }
    if (pair == NULL || pair->desired_deployment_id == NULL) {
        return true; /* the first deploy will take it */
    }
    const struct deploy_order order = {
        .scope = call->scope,
        .service_id = service->id,
        .environment_name = environment->name,
        .replicas = CONTRACT_ABSENT,
        .reason = "variables changed",
        .actor = call->actor,
        .kind = DEPLOYMENT_CONFIG,
        .now_us = call->now_us,
    };
    return operation_repeat(tx, call->app, &order, (struct deployment **)&call->second, error);
}

static void tell_deployed(const struct call *call)
{
    const struct deployment *deployment = call->second;
    if (deployment != NULL) {
        reply_header(call->request, "X-Deployment-Id", deployment->id);
    }
}

static void wake_deployed(const struct call *call)
{
    const struct deployment *deployment = call->second;
    if (deployment != NULL) {
        app_wake_pair(call->app, deployment->pair_id);
    }
}

/* --- one variable ------------------------------------------------------------------------------------------------------------ */

static bool create(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct variable *body = request_body(call->request);
    g_autoptr(service_t) service = NULL;
    g_autoptr(variable_t) hidden = NULL;
    call_reset(call);
    if (!check_key(body, "key", error) || !call_service(tx, call, &service, error) ||
        !check_environment(tx, call, service, body->environment_id, error) ||
        !variable_find(tx, service->id, body->environment_id, body->key, &hidden, error)) {
        return false;
    }
    if (hidden != NULL && hidden->is_removed <= 0) {
        return sy_fail(error, SY_ALREADY_EXISTS, "the variable %s exists already", body->key);
    }
    bool is_new = hidden == NULL;
    struct variable *row = is_new ? new_row(call, service, body->environment_id, body->key) : g_steal_pointer(&hidden);
    call->row = row;
    set_value(call->app, row, body->value, body->is_secret > 0);
    return (is_new ? variable_insert(tx, row, error) : variable_update(tx, row, call->now_us, error)) &&
           tell(tx, call, service, row, "created", error) && redeploy(tx, call, service, row->environment_id, error);
}

static void reply_variable(struct call *call)
{
    mask(call->row);
    tell_deployed(call);
    reply_object(call->request, &variable_type, call->row, ((const struct variable *)call->row)->revision);
}

static bool reply_written(struct request *request, store_fn fn, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_create(&call, fn, reply_variable, error)) {
        return false;
    }
    wake_deployed(&call);
    return true;
}

bool variable_create(struct request *request, GError **error)
{
    return reply_written(request, create, error);
}

static bool list(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const char *environment_id = request_query(call->request, "environment_id");
    const char *named = request_query(call->request, "environment");
    g_autoptr(service_t) service = NULL;
    g_autoptr(environment_t) environment = NULL;
    call_reset(call);
    if (!call_service(tx, call, &service, error)) {
        return false;
    }
    named = named != NULL ? named : environment_id;
    if (named != NULL && !call_environment(tx, call, service, named, &environment, error)) {
        return false;
    }
    return environment != NULL ? variable_list_effective(tx, service->id, environment->id, &call->rows, error)
                               : variable_list(tx, &call->scope, service->id, NULL, &call->rows, error);
}

bool variable_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, list, error)) {
        return false;
    }
    for (guint i = call.rows->len; i-- > 0;) {
        struct variable *variable = g_ptr_array_index(call.rows, i);
        mask(variable);
        if (variable->is_removed > 0) {
            g_ptr_array_remove_index(call.rows, i);
        }
    }
    return reply_slice(&call, "environment_variables", &variable_type, "id", error);
}

static bool find(struct tx *tx, struct call *call, struct service **ret_service, GError **error)
{
    return call_service(tx, call, ret_service, error) &&
           variable_by_id(tx, &call->scope, (*ret_service)->id, call_parameter(call, "var_id"),
                          (struct variable **)&call->row, error);
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    g_autoptr(service_t) service = NULL;
    call_reset(arg);
    return find(tx, arg, &service, error);
}

bool variable_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    mask(call.row);
    reply_object(request, &variable_type, call.row, ((const struct variable *)call.row)->revision);
    return true;
}

/* A PUT that only has a new value keeps everything else as it is. */
static bool put(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    if (!find(tx, call, &service, error)) {
        return false;
    }
    struct variable *row = call->row;
    g_autoptr(variable_t) wanted = contract_dup(&variable_type, row);
    if (!request_check_match(call->request, row->revision, error) ||
        !contract_decode(&variable_type, wanted, request_json(call->request), DECODE_PATCH, error)) {
        return false;
    }
    if (json_object_get(request_json(call->request), "value") == NULL) {
        sy_error_add_issue(error, "value", "required", "is missing");
        return false;
    }
    set_value(call->app, row, wanted->value, wanted->is_secret > 0);
    return variable_update(tx, row, call->now_us, error) && tell(tx, call, service, row, "updated", error) &&
           redeploy(tx, call, service, row->environment_id, error);
}

bool variable_put(struct request *request, GError **error)
{
    return reply_written(request, put, error);
}

static bool remove_variable(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    if (!find(tx, call, &service, error)) {
        return false;
    }
    const struct variable *row = call->row;
    return request_check_match(call->request, row->revision, error) && variable_delete(tx, row->id, error) &&
           tell(tx, call, service, row, "deleted", error) && redeploy(tx, call, service, row->environment_id, error);
}

bool variable_remove(struct request *request, GError **error)
{
    return reply_written(request, remove_variable, error);
}

/* --- many at once --------------------------------------------------------------------------------------------------------------- */

/* Whether the i-th of the body's variables is a secret: one that does not say stays what its row is. */
static bool is_secret_now(const struct call *call, guint i, const struct variable *wanted, const struct variable *row)
{
    const json_t *given = json_array_get(json_object_get(request_json(call->request), "variables"), i);
    bool says = json_is_boolean(json_object_get(given, "is_secret"));
    bool was = row != NULL && row->is_secret > 0 && row->is_removed <= 0;
    return wanted->is_secret > 0 || (was && !says);
}

static bool put_one(struct tx *tx, struct call *call, const struct service *service, const char *environment_id,
                    guint i, GError **error)
{
    const struct variables_bulk *body = request_body(call->request);
    const struct variable *wanted = g_ptr_array_index(body->variables, i);
    const char *place = wanted->environment_id != NULL ? wanted->environment_id : environment_id;
    g_autoptr(variable_t) row = NULL;
    if (!check_environment(tx, call, service, place, error) ||
        !variable_find(tx, service->id, place, wanted->key, &row, error)) {
        return false;
    }
    bool is_new = row == NULL;
    bool is_secret = is_secret_now(call, i, wanted, row);
    if (is_new) {
        row = new_row(call, service, place, wanted->key);
    }
    set_value(call->app, row, wanted->value, is_secret);
    bool ok = (is_new ? variable_insert(tx, row, error) : variable_update(tx, row, call->now_us, error)) &&
              tell(tx, call, service, row, is_new ? "created" : "updated", error);
    if (ok) {
        mask(row);
        g_ptr_array_add(call->rows, g_steal_pointer(&row));
    }
    return ok;
}

static bool check_keys(const struct variables_bulk *body, GError **error)
{
    bool ok = true;
    for (guint i = 0; i < body->variables->len; i++) {
        g_autofree char *path = g_strdup_printf("variables[%u].key", i);
        ok = check_key(g_ptr_array_index(body->variables, i), path, error) && ok;
    }
    return ok;
}

static bool put_bulk(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct variables_bulk *body = request_body(call->request);
    g_autoptr(service_t) service = NULL;
    g_autoptr(environment_t) environment = NULL;
    call_reset(call);
    call->rows = contract_array_new(&variable_type);
    const char *named = body->environment_id != NULL ? body->environment_id : body->environment_name;
    if (!check_keys(body, error) || !call_service(tx, call, &service, error) ||
        (named != NULL && !call_environment(tx, call, service, named, &environment, error))) {
        return false;
    }
    const char *environment_id = environment != NULL ? environment->id : NULL;
    for (guint i = 0; i < body->variables->len; i++) {
        if (!put_one(tx, call, service, environment_id, i, error)) {
            return false;
        }
    }
    return redeploy(tx, call, service, environment_id, error);
}

bool variable_put_bulk(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, put_bulk, error)) {
        return false;
    }
    tell_deployed(&call);
    wake_deployed(&call);
    reply_list(request, "environment_variables", &variable_type, call.rows, NULL);
    return true;
}

/* --- reveal: a permission of its own, and always in the history --------------------------------------------------------------------- */

static bool reveal(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    if (!find(tx, call, &service, error)) {
        return false;
    }
    const struct variable *row = call->row;
    g_autoptr(sy_secret) plain = variable_open(call->app, row, error);
    if (plain == NULL || !tell(tx, call, service, row, "revealed", error)) {
        return false;
    }
    struct revealed_value *value = contract_new(&revealed_value_type);
    call->second = value;
    value->key = g_strdup(row->key);
    value->value = g_strdup(secret_reveal(plain));
    return true;
}

bool variable_reveal(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, reveal, error)) {
        return false;
    }
    struct revealed_value *value = call.second;
    reply_header(request, "Cache-Control", "no-store");
    reply_object(request, &revealed_value_type, value, 0);
    secret_wipe(value->value, strlen(value->value));
    return true;
}
