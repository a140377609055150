/* API tokens: made once, shown once, listed, revoked. */
#include <string.h>

#include "base/secret.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"

#define DAY_US (INT64_C(86400) * 1000000)

static bool create(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct token *body = request_body(call->request);
    call_reset(call);
    struct token *row = contract_dup(&token_type, body);
    call->row = row;
    g_autoptr(project_t) project = NULL;
    if ((row->project != NULL && !project_by_slug(tx, &call->scope, row->project, &project, error))) {
        return false;
    }
    row->id = uuid_new();
    row->organization_id = g_strdup(call->scope.organization_id);
    row->project_id = project != NULL ? g_strdup(project->id) : NULL;
    row->raw = token_make(&row->hash, &row->prefix);
    row->created_by = g_strdup(call->actor);
    row->created_us = call->now_us;
    row->expires_us =
        row->expires_in_days != CONTRACT_ABSENT ? call->now_us + row->expires_in_days * DAY_US : CONTRACT_ABSENT;
    g_autofree char *message = g_strdup_printf("token %s (%s…) created", row->name, row->prefix);
    const struct history what = {
        .type = "token.created", .project_id = row->project_id, .message = message, .actor = call->actor};
    return token_insert(tx, row, error) && history_append(tx, call->app, &what, call->now_us, error);
}

bool token_create(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, create, error)) {
        return false;
    }
    struct token *row = call.row;
    reply_header(request, "Cache-Control", "no-store");
    reply_object(request, &token_type, row, 0);
    secret_wipe(row->raw, strlen(row->raw));
    return true;
}

static bool list(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    return token_list(tx, &call->scope, &call->rows, error);
}

bool token_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, list, error)) {
        return false;
    }
    return reply_slice(&call, "tokens", &token_type, "id", error);
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    return token_by_id(tx, &call->scope, call_parameter(call, "token_id"), (struct token **)&call->row, error);
}

bool token_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    reply_object(request, &token_type, call.row, 0);
    return true;
}

static bool revoke_token(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    if (!get(tx, call, error)) {
        return false;
    }
    const struct token *row = call->row;
    g_autofree char *message = g_strdup_printf("token %s (%s…) revoked", row->name, row->prefix);
    const struct history what = {
        .type = "token.revoked", .project_id = row->project_id, .message = message, .actor = call->actor};
    return token_revoke(tx, row->id, call->now_us, error) && history_append(tx, call->app, &what, call->now_us, error);
}

bool token_delete(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, revoke_token, error)) {
        return false;
    }
    authenticator_forget(call.app->authenticator, ((const struct token *)call.row)->hash);
    reply_object(request, &token_type, call.row, 0);
    return true;
}
