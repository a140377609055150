/* What a handler replies, and how it becomes MHD's response. */
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "http/internal.h"
#include "http/problem.h"

static void pair_clear(void *data)
{
    struct text_pair *pair = data;
    g_free(pair->name);
    g_free(pair->value);
}

void reply_clear(struct reply *reply)
{
    if (reply->body != NULL) {
        g_string_free(reply->body, TRUE);
    }
    g_clear_pointer(&reply->headers, g_array_unref);
    if (reply->stream != NULL) {
        stream_abort(reply->stream);
        stream_unref(reply->stream);
    }
    g_free(reply->websocket_accept);
    *reply = (struct reply){0};
}

/* A second reply replaces the first; headers that were set stay. */
static void reply_set(struct request *request, int status, const char *content_type, GString *body)
{
    struct reply *reply = &request->reply;
    if (reply->body != NULL) {
        g_string_free(reply->body, TRUE);
    }
    if (reply->stream != NULL) {
        stream_abort(reply->stream);
        g_clear_pointer(&reply->stream, stream_unref);
    }
    reply->is_set = true;
    reply->status = status;
    reply->content_type = content_type;
    reply->body = body;
}

void reply_header(struct request *request, const char *name, const char *value)
{
    struct reply *reply = &request->reply;
    if (reply->headers == NULL) {
        reply->headers = g_array_new(FALSE, FALSE, sizeof(struct text_pair));
        g_array_set_clear_func(reply->headers, pair_clear);
    }
    for (guint i = 0; i < reply->headers->len; i++) {
        struct text_pair *pair = &g_array_index(reply->headers, struct text_pair, i);
        if (g_ascii_strcasecmp(pair->name, name) == 0) {
            g_free(pair->value);
            pair->value = g_strdup(value);
            return;
        }
    }
    struct text_pair pair = {.name = g_strdup(name), .value = g_strdup(value)};
    g_array_append_val(reply->headers, pair);
}

char *reply_headers(const struct request *request)
{
    const GArray *headers = request->reply.headers;
    g_autoptr(GString) lines = g_string_new(NULL);
    for (guint i = 0; headers != NULL && i < headers->len; i++) {
        const struct text_pair *pair = &g_array_index(headers, struct text_pair, i);
        g_string_append_printf(lines, "%s: %s\n", pair->name, pair->value);
    }
    return lines->len > 0 ? g_string_free(g_steal_pointer(&lines), FALSE) : NULL;
}

void reply_headers_set(struct request *request, const char *lines)
{
    g_auto(GStrv) all = g_strsplit(lines, "\n", -1);
    for (char **line = all; *line != NULL; line++) {
        char *value = strstr(*line, ": ");
        if (value != NULL) {
            *value = '\0';
            reply_header(request, *line, value + strlen(": "));
        }
    }
}

static const char *find_header(const struct reply *reply, const char *name)
{
    for (guint i = 0; reply->headers != NULL && i < reply->headers->len; i++) {
        const struct text_pair *pair = &g_array_index(reply->headers, struct text_pair, i);
        if (g_ascii_strcasecmp(pair->name, name) == 0) {
            return pair->value;
        }
    }
    return NULL;
}

void reply_status_object(struct request *request, int status, const struct type *type, const void *object,
                         int64_t revision)
{
    GString *body = g_string_sized_new(1024);
    struct json_writer writer;
    json_writer_init(&writer, body);
    contract_encode(type, object, ENCODE_PUBLIC, &writer);
    if (revision > 0) {
        char etag[32];
        g_snprintf(etag, sizeof etag, "\"r%" G_GINT64_FORMAT "\"", revision);
        reply_header(request, "ETag", etag);
    }
    reply_set(request, status, "application/json", body);
}

void reply_object(struct request *request, const struct type *type, const void *object, int64_t revision)
{
    reply_status_object(request, request->route->status, type, object, revision);
}

void reply_list(struct request *request, const char *key, const struct type *type, const GPtrArray *objects,
                const char *next_cursor)
{
    guint n = objects != NULL ? objects->len : 0;
    GString *body = g_string_sized_new(64 + 512 * (size_t)MIN(n, 1000));
    struct json_writer writer;
    json_writer_init(&writer, body);
    json_object_open(&writer);
    json_key(&writer, key);
    json_array_open(&writer);
    for (guint i = 0; i < n; i++) {
        contract_encode(type, g_ptr_array_index(objects, i), ENCODE_PUBLIC, &writer);
    }
    json_array_close(&writer);
    json_member_string(&writer, "next_cursor", next_cursor);
    json_object_close(&writer);
    reply_set(request, request->route->status, "application/json", body);
}

void reply_json_take(struct request *request, int status, GString *json)
{
    reply_set(request, status, "application/json", json);
}

const GString *reply_body(const struct request *request, int *ret_status)
{
    *ret_status = request->reply.status;
    return request->reply.body;
}

void reply_discard(struct request *request)
{
    reply_clear(&request->reply);
}

/* Content types are few: interning lets the reply borrow them. */
void reply_bytes_take(struct request *request, int status, const char *content_type, GString *bytes)
{
    reply_set(request, status, g_intern_string(content_type), bytes);
}

void reply_empty(struct request *request, int status)
{
    reply_set(request, status, NULL, NULL);
}

struct stream *reply_stream(struct request *request, enum stream_format format)
{
    const char *accept = request_header(request, "Accept");
    bool wants_lines = accept != NULL && strstr(accept, "application/x-ndjson") != NULL;
    if (format == STREAM_SSE && wants_lines) {
        format = STREAM_NDJSON;
    }
    int status = request->route->status != 0 ? request->route->status : 200;
    struct stream *stream = stream_new(request->server, format);
    reply_set(request, status, stream_content_type(stream), NULL);
    request->reply.stream = stream_ref(stream);
    return stream;
}

void reply_error(struct request *request, const GError *error, int status)
{
    status = status != 0 ? status : problem_status(error);
    if (status >= 500 && sy_error_code(error) != SY_UNAVAILABLE) {
        log_failure("http.request_failed", error, "method", request->route != NULL ? request->route->method : NULL,
                    "path", request->route != NULL ? request->route->path : NULL, NULL);
    }
    reply_set(request, status, "application/problem+json", problem_render(error, status, request->id));
    if (status == 401 && find_header(&request->reply, "WWW-Authenticate") == NULL) {
        reply_header(request, "WWW-Authenticate", "Bearer");
    }
    bool must_wait = status == 429 || status == 503 || (status >= 500 && sy_code_info(sy_error_code(error))->retryable);
    if (must_wait && find_header(&request->reply, "Retry-After") == NULL) {
        reply_header(request, "Retry-After", status >= 500 ? "1" : "5");
    }
}

bool request_check_match(const struct request *request, int64_t revision, GError **error)
{
    const char *condition = request_header(request, "If-Match");
    if (condition == NULL) {
        return true;
    }
    char etag[32];
    g_snprintf(etag, sizeof etag, "r%" G_GINT64_FORMAT, revision);
    g_auto(GStrv) tags = g_strsplit(condition, ",", 16);
    for (char **tag = tags; *tag != NULL; tag++) {
        char *text = g_strstrip(*tag);
        size_t length = strlen(text);
        if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
            text[length - 1] = '\0';
            text++;
        }
        if (strcmp(text, "*") == 0 || strcmp(text, etag) == 0) {
            return true;
        }
    }
    return sy_fail(error, SY_STALE, "it is at revision %s, If-Match names another", etag);
}

/* --- towards MHD --------------------------------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *response, const struct request *request)
{
    const struct reply *reply = &request->reply;
    MHD_add_response_header(response, "X-Request-Id", request->id);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (find_header(reply, "Cache-Control") == NULL) {
        MHD_add_response_header(response, "Cache-Control", "no-store");
    }
    if (reply->content_type != NULL) {
        MHD_add_response_header(response, "Content-Type", reply->content_type);
    }
    for (guint i = 0; reply->headers != NULL && i < reply->headers->len; i++) {
        const struct text_pair *pair = &g_array_index(reply->headers, struct text_pair, i);
        MHD_add_response_header(response, pair->name, pair->value);
    }
    bool must_close = reply->must_close || atomic_load_explicit(&request->server->is_draining, memory_order_relaxed);
    if (must_close && reply->websocket_accept == NULL) {
        MHD_add_response_header(response, "Connection", "close");
    }
}

static struct MHD_Response *make_response(struct reply *reply)
{
    if (reply->websocket_accept != NULL) {
        return websocket_response(reply->stream, reply->websocket_accept);
    }
    if (reply->stream != NULL) {
        return stream_response(reply->stream);
    }
    if (reply->body == NULL) {
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    size_t length = reply->body->len;
    char *bytes = g_string_free(g_steal_pointer(&reply->body), FALSE);
    return MHD_create_response_from_buffer_with_free_callback_cls(length, bytes, g_free, bytes);
}

static void tell_replied(const struct request *request, int status)
{
    if (request->server->callbacks.replied != NULL) {
        request->server->callbacks.replied(request, status, g_get_monotonic_time() - request->started_us);
    }
}

enum MHD_Result reply_queue(struct request *request)
{
    struct reply *reply = &request->reply;
    struct MHD_Response *response = make_response(reply);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(response, request);
    if (reply->stream != NULL) {
        stream_attach(reply->stream, request->connection);
        if (reply->websocket_accept == NULL) {
            g_clear_pointer(&reply->stream, stream_unref); /* the response holds it now */
        }
        stats_count(request->counters, reply->status, g_get_monotonic_time() - request->started_us);
        request->counters = NULL;
    }
    tell_replied(request, reply->status);
    request->phase = PHASE_REPLIED;
    enum MHD_Result queued = MHD_queue_response(request_mhd(request), (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return queued;
}

static void append_headers(GString *out, const struct request *request)
{
    const GArray *headers = request != NULL ? request->reply.headers : NULL;
    for (guint i = 0; headers != NULL && i < headers->len; i++) {
        const struct text_pair *pair = &g_array_index(headers, struct text_pair, i);
        if (strpbrk(pair->value, "\r\n") == NULL) {
            g_string_append_printf(out, "%s: %s\r\n", pair->name, pair->value);
        }
    }
}

void reply_raw(struct connection *connection, const struct request *request, const GError *error, int status)
{
    status = status != 0 ? status : problem_status(error);
    const char *id = request != NULL ? request->id : NULL;
    GString *body = problem_render(error, status, id);
    g_autoptr(GString) out = g_string_sized_new(256 + body->len);
    g_string_append_printf(out,
                           "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\n"
                           "Content-Length: %zu\r\nX-Content-Type-Options: nosniff\r\n"
                           "Cache-Control: no-store\r\nConnection: close\r\n",
                           status, problem_title(status), body->len);
    if (id != NULL) {
        g_string_append_printf(out, "X-Request-Id: %s\r\n", id);
    }
    append_headers(out, request);
    g_string_append_printf(out, "\r\n%s", body->str);
    g_string_free(body, TRUE);
    if (request != NULL) {
        tell_replied(request, status);
    }
    /* Nothing is in the socket's buffer, which is larger than this: a short write means a dead peer. */
    ssize_t sent = send(connection->fd, out->str, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    shutdown(connection->fd, SHUT_WR);
    connection->is_lingering = true;
    connection->deadline_us = g_get_monotonic_time() + LINGER_US;
}
