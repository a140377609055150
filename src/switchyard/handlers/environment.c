/* Environments of a project. */
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/operations/deletion.h"

bool environment_make(struct tx *tx, struct call *call, const struct project *project, struct environment *environment,
                      GError **error)
{
    environment->id = uuid_new();
    environment->organization_id = g_strdup(project->organization_id);
    environment->project_id = g_strdup(project->id);
    environment->created_us = call->now_us;
    environment->updated_us = call->now_us;
    environment->revision = 1;
    g_autofree char *message = g_strdup_printf("environment %s created", environment->name);
    const struct history what = {.type = "environment.created",
                                 .project_id = project->id,
                                 .environment_id = environment->id,
                                 .message = message,
                                 .actor = call->actor};
    return environment_insert(tx, environment, error) && history_append(tx, call->app, &what, call->now_us, error);
}

static bool create(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    g_autoptr(project_t) project = NULL;
    if (!call_project(tx, call, &project, error)) {
        return false;
    }
    call->row = contract_dup(&environment_type, request_body(call->request));
    return environment_make(tx, call, project, call->row, error);
}

static void reply_created(struct call *call)
{
    reply_object(call->request, &environment_type, call->row, ((const struct environment *)call->row)->revision);
}

bool environment_create(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    return call_create(&call, create, reply_created, error);
}

static bool list(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    g_autoptr(project_t) project = NULL;
    return call_project(tx, call, &project, error) &&
           environment_list(tx, &call->scope, project->id, &call->rows, error);
}

bool environment_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, list, error)) {
        return false;
    }
    return reply_slice(&call, "environments", &environment_type, "id", error);
}

static bool find(struct tx *tx, struct call *call, GError **error)
{
    g_autoptr(project_t) project = NULL;
    return call_project(tx, call, &project, error) &&
           environment_by_name(tx, &call->scope, project->id, call_parameter(call, "name"),
                               (struct environment **)&call->row, error);
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    call_reset(arg);
    return find(tx, arg, error);
}

bool environment_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    reply_object(request, &environment_type, call.row, ((const struct environment *)call.row)->revision);
    return true;
}

static bool update(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    if (!find(tx, call, error)) {
        return false;
    }
    struct environment *environment = call->row;
    return request_check_match(call->request, environment->revision, error) &&
           contract_decode(&environment_type, environment, request_json(call->request), DECODE_PATCH, error) &&
           environment_update(tx, environment, call->now_us, error);
}

bool environment_patch(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, update, error)) {
        return false;
    }
    reply_object(request, &environment_type, call.row, ((const struct environment *)call.row)->revision);
    return true;
}

/* What a deletion takes, in words; and whether anything runs. */
static bool describe(struct tx *tx, struct call *call, const struct environment *environment, const GPtrArray *pairs,
                     bool *ret_runs, GError **error)
{
    g_autoptr(GStrvBuilder) changes = g_strv_builder_new();
    struct spec_result *result = contract_new(&spec_result_type);
    call->second = result;
    int64_t n_running = 0;
    for (guint i = 0; i < pairs->len; i++) {
        const struct pair *pair = g_ptr_array_index(pairs, i);
        g_autoptr(service_t) service = NULL;
        if (pair->desired_deployment_id == NULL) {
            continue;
        }
        if (!service_by_id(tx, &call->scope, pair->service_id, &service, error)) {
            return false;
        }
        n_running++;
        g_autofree char *text = g_strdup_printf("%s stops in %s", service->name, environment->name);
        g_strv_builder_add(changes, text);
    }
    *ret_runs = n_running > 0;
    g_autofree char *pace = NULL;
    if (!operation_deletion_pace(tx, n_running, &pace, error)) {
        return false;
    }
    if (pace != NULL) {
        g_strv_builder_add(changes, pace);
    }
    g_autofree char *text = g_strdup_printf("environment %s is deleted; volumes are kept", environment->name);
    g_strv_builder_add(changes, text);
    result->project = g_strdup(call_parameter(call, "slug"));
    result->changes = g_strv_builder_end(changes);
    return true;
}

static bool remove_environment(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(GPtrArray) pairs = NULL;
    bool runs = false;
    call_reset(call);
    call->more = g_ptr_array_new_with_free_func(g_free);
    if (!find(tx, call, error)) {
        return false;
    }
    struct environment *environment = call->row;
    if (!request_check_match(call->request, environment->revision, error) ||
        !pair_list(tx, NULL, environment->id, &pairs, error) || !describe(tx, call, environment, pairs, &runs, error)) {
        return false;
    }
    if (is_dry_run(call->request)) {
        return true;
    }
    if (runs && !request_query_bool(call->request, "force")) {
        sy_fail(error, SY_CONFLICT, "environment %s still has running services", environment->name);
        sy_error_set_hint(error, "Delete or scale them to 0 first, or add ?force=true.");
        return false;
    }
    ((struct spec_result *)call->second)->applied = 1;
    return operation_delete_environment(tx, call->app, environment, call->actor, call->now_us, call->more, error);
}

bool environment_delete(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    bool ok = is_dry_run(request) ? call_read(&call, remove_environment, error)
                                  : call_write(&call, remove_environment, error);
    if (!ok) {
        return false;
    }
    for (guint i = 0; i < call.more->len; i++) {
        app_wake_pair(call.app, g_ptr_array_index(call.more, i));
    }
    reply_object(request, &spec_result_type, call.second, 0);
    return true;
}
