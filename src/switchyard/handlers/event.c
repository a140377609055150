/* What happened: as a stream that resumes, and as a list. */
#include <errno.h>
#include <stdlib.h>

#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"

/* ?project= (slug or id), ?service=, ?deployment=; a token bound to a project sees that one only. */
static bool find_filter(struct tx *tx, struct call *call, struct hub_filter *filter, GError **error)
{
    const char *named = request_query(call->request, "project");
    g_autoptr(project_t) project = NULL;
    if (named != NULL) {
        bool ok = uuid_is_valid(named) ? project_by_id(tx, &call->scope, named, &project, error)
                                       : project_by_slug(tx, &call->scope, named, &project, error);
        if (!ok) {
            return false;
        }
    }
    g_free(filter->project_id);
    g_free(filter->service_id);
    g_free(filter->deployment_id);
    filter->project_id = g_strdup(project != NULL ? project->id : call->scope.project_id);
    filter->service_id = g_strdup(request_query(call->request, "service"));
    filter->deployment_id = g_strdup(request_query(call->request, "deployment"));
    return true;
}

static bool read_filter(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    return find_filter(tx, call, call->argument, error);
}

static bool last_event_id(const struct request *request, int64_t *ret_after, GError **error)
{
    const char *text = request_header(request, "Last-Event-ID");
    if (text == NULL) {
        text = request_query(request, "after");
    }
    *ret_after = -1;
    if (text == NULL) {
        return true;
    }
    char *end = NULL;
    errno = 0;
    *ret_after = g_ascii_strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *ret_after < 0) {
        sy_error_add_issue(error, "header.Last-Event-ID", "pattern", "must be the id of an event");
        return false;
    }
    return true;
}

bool event_stream(struct request *request, GError **error)
{
    g_auto(call_t) call;
    struct hub_filter filter = {0};
    int64_t after;
    call_init(&call, request);
    call.argument = &filter;
    if (!last_event_id(request, &after, error) || !call_read(&call, read_filter, error)) {
        return false;
    }
    struct stream *stream = reply_stream(request, STREAM_SSE);
    bool ok = hub_subscribe(call.app->hub, stream, filter, after, error);
    stream_unref(stream);
    return ok;
}

static bool read_activity(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    struct hub_filter *named = call->argument;
    call_reset(call);
    if (!find_filter(tx, call, named, error)) {
        return false;
    }
    const char *cursor = request_query(call->request, "cursor");
    g_autofree char *decoded = NULL;
    int64_t before = INT64_MAX;
    if (cursor != NULL) {
        decoded = cursor_decode(cursor, error);
        if (decoded == NULL) {
            return false;
        }
        before = g_ascii_strtoll(decoded, NULL, 10);
    }
    const struct event_filter filter = {named->project_id, named->service_id, named->deployment_id};
    return event_list_newest(tx, &call->scope, &filter, before, request_query_int(call->request, "limit", 50),
                             &call->rows, error);
}

bool event_activity(struct request *request, GError **error)
{
    g_auto(call_t) call;
    struct hub_filter filter = {0};
    call_init(&call, request);
    call.argument = &filter;
    bool ok = call_read(&call, read_activity, error);
    g_free(filter.project_id);
    g_free(filter.service_id);
    g_free(filter.deployment_id);
    if (!ok) {
        return false;
    }
    g_autofree char *next = NULL;
    if (call.rows->len > 0 && (int64_t)call.rows->len == request_query_int(request, "limit", 50)) {
        const struct event *last = g_ptr_array_index(call.rows, call.rows->len - 1);
        g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, last->number);
        next = cursor_encode(number);
    }
    reply_list(request, "events", &event_type, call.rows, next);
    return true;
}
