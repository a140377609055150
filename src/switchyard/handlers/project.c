/* Projects. */
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/operations/deletion.h"

#define UNDO_US (INT64_C(48) * 3600 * 1000000)

static bool make_environment(struct tx *tx, struct call *call, const struct project *project, const char *name,
                             GError **error)
{
    g_autoptr(environment_t) environment = contract_new(&environment_type);
    g_free(environment->name);
    environment->name = g_strdup(name);
    return environment_make(tx, call, project, environment, error);
}

bool project_make(struct tx *tx, struct call *call, struct project *project, GError **error)
{
    project->id = uuid_new();
    project->organization_id = g_strdup(call->scope.organization_id);
    project->created_us = call->now_us;
    project->updated_us = call->now_us;
    project->revision = 1;
    const struct history what = {
        .type = "project.created", .project_id = project->id, .message = "project created", .actor = call->actor};
    return project_insert(tx, project, error) && history_append(tx, call->app, &what, call->now_us, error) &&
           make_environment(tx, call, project, "production", error) &&
           make_environment(tx, call, project, "preview", error);
}

static bool create(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    call->row = contract_dup(&project_type, request_body(call->request));
    return project_make(tx, call, call->row, error);
}

static void reply_created(struct call *call)
{
    reply_object(call->request, &project_type, call->row, ((const struct project *)call->row)->revision);
}

bool project_create(struct request *request, GError **error)
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
    call_reset(call);
    return call_page(call, &page, &cursor, error) && project_list(tx, &call->scope, &page, &call->rows, error);
}

bool project_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    struct page page;
    g_autofree char *cursor = NULL;
    if (!call_page(&call, &page, &cursor, error) || !call_read(&call, list, error)) {
        return false;
    }
    reply_page(&call, "projects", &project_type, &page);
    return true;
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    return call_project(tx, call, (struct project **)&call->row, error);
}

bool project_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    reply_object(request, &project_type, call.row, ((const struct project *)call.row)->revision);
    return true;
}

static bool update(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    struct project *project = NULL;
    if (!call_project(tx, call, &project, error)) {
        return false;
    }
    call->row = project;
    return request_check_match(call->request, project->revision, error) &&
           contract_decode(&project_type, project, request_json(call->request), DECODE_PATCH, error) &&
           project_update(tx, project, call->now_us, error);
}

bool project_patch(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, update, error)) {
        return false;
    }
    reply_object(request, &project_type, call.row, ((const struct project *)call.row)->revision);
    return true;
}

/* What a deletion takes, in words; and whether anything runs. */
static bool describe(struct tx *tx, struct call *call, const struct project *project, GPtrArray *services,
                     struct spec_result *result, bool *ret_runs, GError **error)
{
    g_autoptr(GStrvBuilder) changes = g_strv_builder_new();
    int64_t n_running = 0;
    for (guint i = 0; i < services->len; i++) {
        const struct service *service = g_ptr_array_index(services, i);
        g_autoptr(GPtrArray) pairs = NULL;
        if (!pair_list(tx, service->id, NULL, &pairs, error)) {
            return false;
        }
        g_autofree char *text = g_strdup_printf("service %s is deleted", service->name);
        g_strv_builder_add(changes, text);
        for (guint j = 0; j < pairs->len; j++) {
            const struct pair *pair = g_ptr_array_index(pairs, j);
            n_running += pair->desired_deployment_id != NULL;
        }
    }
    *ret_runs = n_running > 0;
    g_autofree char *pace = NULL;
    if (!operation_deletion_pace(tx, n_running, &pace, error)) {
        return false;
    }
    if (pace != NULL) {
        g_strv_builder_add(changes, pace);
    }
    g_autofree char *text =
        g_strdup_printf("project %s is deleted; volumes are kept, and it can be restored for 48 hours", project->slug);
    g_strv_builder_add(changes, text);
    result->project = g_strdup(project->slug);
    result->changes = g_strv_builder_end(changes);
    return true;
}

static bool remove_project(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct page all = {.limit = 10000};
    call_reset(call);
    call->more = g_ptr_array_new_with_free_func(g_free);
    struct spec_result *result = contract_new(&spec_result_type);
    call->row = result;
    g_autoptr(project_t) project = NULL;
    g_autoptr(GPtrArray) services = NULL;
    bool runs = false;
    if (!call_project(tx, call, &project, error) || !request_check_match(call->request, project->revision, error) ||
        !service_list(tx, &call->scope, project->id, &all, &services, error) ||
        !describe(tx, call, project, services, result, &runs, error)) {
        return false;
    }
    if (is_dry_run(call->request)) {
        return true;
    }
    if (runs && !request_query_bool(call->request, "force")) {
        sy_fail(error, SY_CONFLICT, "project %s still has running services", project->slug);
        sy_error_set_hint(error, "Delete its services first, or add ?force=true.");
        return false;
    }
    result->applied = 1;
    return operation_delete_project(tx, call->app, project, call->actor, call->now_us, call->more, error);
}

static void wake_all(const struct call *call)
{
    for (guint i = 0; i < call->more->len; i++) {
        app_wake_pair(call->app, g_ptr_array_index(call->more, i));
    }
}

bool project_delete(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    bool ok = is_dry_run(request) ? call_read(&call, remove_project, error) : call_write(&call, remove_project, error);
    if (!ok) {
        return false;
    }
    wake_all(&call);
    reply_object(request, &spec_result_type, call.row, 0);
    return true;
}

static bool restore(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(project_t) here = NULL;
    g_autoptr(GError) absent = NULL;
    call_reset(call);
    if (call_project(tx, call, &here, &absent)) {
        return sy_fail(error, SY_CONFLICT, "project %s is not deleted", here->slug);
    }
    if (!g_error_matches(absent, SY_ERROR, SY_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&absent));
        return false;
    }
    return project_restore_rows(tx, &call->scope, call_parameter(call, "slug"), call->now_us - UNDO_US, call->now_us,
                                (struct project **)&call->row, error);
}

bool project_restore(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, restore, error)) {
        return false;
    }
    reply_object(request, &project_type, call.row, ((const struct project *)call.row)->revision);
    return true;
}
