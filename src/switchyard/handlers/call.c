#include "switchyard/handlers/call.h"

#include <string.h>

#include "base/crash_point.h"
#include "switchyard/handlers/access.h"

#define UNPAGED_LIMIT 1000

void call_init(struct call *call, struct request *request)
{
    const struct caller *caller = request_caller(request);
    *call = (struct call){.app = request_app(request), .request = request, .actor = "public"};
    call->now_us = g_get_real_time();
    call->scope = app_scope(call->app);
    if (caller != NULL && caller->principal != NULL) {
        call->scope = principal_scope(caller->principal);
        call->actor = caller->name;
    }
}

void call_reset(struct call *call)
{
    g_clear_pointer(&call->row, contract_object_free);
    g_clear_pointer(&call->second, contract_object_free);
    g_clear_pointer(&call->rows, g_ptr_array_unref);
    g_clear_pointer(&call->more, g_ptr_array_unref);
    g_clear_pointer(&call->text, g_free);
}

void call_clear(struct call *call)
{
    call_reset(call);
}

bool call_read(struct call *call, store_fn fn, GError **error)
{
    return store_read(call->app->store, request_route(call->request)->operation_id, fn, call, error);
}

bool call_write(struct call *call, store_fn fn, GError **error)
{
    if (!store_write(call->app->store, request_route(call->request)->operation_id, fn, call, error)) {
        return false;
    }
    app_wake_events(call->app);
    return true;
}

static bool create_and_reply(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    if (!call->fn(tx, call, error)) {
        return false;
    }
    call->reply(call);
    crash_point("request.before_key");
    bool ok = access_keep_reply(call->request, tx, error);
    crash_point("request.before_commit");
    return ok;
}

bool call_create(struct call *call, store_fn fn, call_reply_fn reply, GError **error)
{
    call->fn = fn;
    call->reply = reply;
    if (!call_write(call, create_and_reply, error)) {
        reply_discard(call->request);
        return false;
    }
    crash_point("request.after_commit");
    return true;
}

bool call_page(const struct call *call, struct page *ret_page, char **ret_cursor, GError **error)
{
    const char *cursor = request_query(call->request, "cursor");
    *ret_cursor = NULL;
    if (cursor != NULL && (*ret_cursor = cursor_decode(cursor, error)) == NULL) {
        return false;
    }
    *ret_page = (struct page){.after = *ret_cursor, .limit = request_query_int(call->request, "limit", UNPAGED_LIMIT)};
    return true;
}

/* Every listed type begins with its id. */
void reply_page(struct call *call, const char *key, const struct type *type, const struct page *page)
{
    g_autofree char *next = NULL;
    if (call->rows->len > 0 && (int64_t)call->rows->len == page->limit) {
        const struct field *id = contract_find(type, "id");
        g_autofree char *last = contract_text(id, g_ptr_array_index(call->rows, call->rows->len - 1));
        next = cursor_encode(last);
    }
    reply_list(call->request, key, type, call->rows, next);
}

bool reply_slice(struct call *call, const char *key, const struct type *type, const char *key_field, GError **error)
{
    struct page page;
    g_autofree char *cursor = NULL;
    g_autofree char *next = NULL;
    const struct field *field = contract_find(type, key_field);
    if (!call_page(call, &page, &cursor, error)) {
        return false;
    }
    guint first = 0;
    for (guint i = 0; cursor != NULL && i < call->rows->len; i++) {
        g_autofree char *text = contract_text(field, g_ptr_array_index(call->rows, i));
        if (strcmp(text, cursor) == 0) {
            first = i + 1;
            break;
        }
    }
    if (first > 0) {
        g_ptr_array_remove_range(call->rows, 0, first);
    }
    if (call->rows->len > page.limit) {
        g_ptr_array_set_size(call->rows, (gint)page.limit);
        g_autofree char *last = contract_text(field, g_ptr_array_index(call->rows, call->rows->len - 1));
        next = cursor_encode(last);
    }
    reply_list(call->request, key, type, call->rows, next);
    return true;
}

bool call_project(struct tx *tx, struct call *call, struct project **ret, GError **error)
{
    return project_by_slug(tx, &call->scope, call_parameter(call, "slug"), ret, error);
}

bool call_service(struct tx *tx, struct call *call, struct service **ret, GError **error)
{
    return service_by_id(tx, &call->scope, call_parameter(call, "id"), ret, error);
}

bool call_environment(struct tx *tx, struct call *call, const struct service *service, const char *named,
                      struct environment **ret, GError **error)
{
    if (named != NULL && uuid_is_valid(named)) {
        return environment_by_id(tx, &call->scope, named, ret, error) &&
               (strcmp((*ret)->project_id, service->project_id) == 0 ||
                sy_fail(error, SY_NOT_FOUND, "the environment belongs to another project"));
    }
    if (named != NULL) {
        return environment_by_name(tx, &call->scope, service->project_id, named, ret, error);
    }
    g_autoptr(deployment_t) latest = NULL;
    g_autoptr(environment_t) production = NULL;
    g_autoptr(pair_t) pair = NULL;
    g_autoptr(GError) gone = NULL; /* somebody may have deleted production */
    if (!deployment_find_latest(tx, &call->scope, service->id, NULL, &latest, error)) {
        return false;
    }
    bool has_production = environment_by_name(tx, &call->scope, service->project_id, "production", &production, &gone);
    if (has_production && !pair_find(tx, service->id, production->id, &pair, error)) {
        return false;
    }
    if (pair == NULL && latest != NULL) {
        return environment_by_id(tx, &call->scope, latest->environment_id, ret, error);
    }
    if (!has_production) {
        g_propagate_error(error, g_steal_pointer(&gone));
        return false;
    }
    *ret = g_steal_pointer(&production);
    return true;
}

bool is_dry_run(const struct request *request)
{
    return request_query_bool(request, "dry_run");
}
