/* The life of one exchange, from its request line to the reply.
 *
 * MHD calls request_on_call once when the head is there, once per piece of body, once at the end, and again
 * each time the connection is resumed where it had been suspended; `phase` says where we are. */
#include <poll.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "http/internal.h"
#include "http/problem.h"

/* --- life ------------------------------------------------------------------------------------------------------ */

struct request *request_new(struct connection *connection, const char *target)
{
    struct request *request = g_new0(struct request, 1);
    request->connection = connection;
    request->server = connection->loop->server;
    request->framing.content_length = -1;
    request->started_us = g_get_monotonic_time();
    request->target = g_strdup(target);
    return request;
}

void request_free(struct request *request)
{
    if (request == NULL) {
        return;
    }
    if (request->state_destroy != NULL) {
        request->state_destroy(request->state);
    }
    if (request->has_caller && request->caller.principal_free != NULL) {
        request->caller.principal_free(request->caller.principal);
    }
    g_free(request->caller.name);
    reply_clear(&request->reply);
    for (size_t i = 0; i < ROUTE_MAX_PARAMETERS; i++) {
        g_free(request->parameters[i]);
    }
    if (request->body != NULL) {
        g_string_free(request->body, TRUE);
    }
    if (request->object != NULL) {
        contract_free(request->route->request, request->object);
    }
    json_decref(request->json);
    g_clear_error(&request->error);
    g_free(request->target);
    g_free(request);
}

/* --- on a worker, or on the loop for inline routes -------------------------------------------------------------- */

static bool admit(struct request *request, GError **error)
{
    const struct server_callbacks *callbacks = &request->server->callbacks;
    if (request->is_admitted || (request->route->flags & ROUTE_PUBLIC) != 0) {
        return true;
    }
    const char *authorization = request_header(request, "Authorization");
    if (!callbacks->authenticate(request, authorization, &request->caller, error)) {
        return false;
    }
    request->has_caller = true;
    request->is_admitted = callbacks->authorise(request, request->route, error);
    return request->is_admitted;
}

static bool call_handler(struct request *request, GError **error)
{
    if (!request->route->handler(request, error)) {
        return false;
    }
    if (!request->reply.is_set) {
        return sy_fail(error, SY_INTERNAL, "the handler of %s %s set no reply", request->route->method,
                       request->route->path);
    }
    return true;
}

static bool is_key(const char *key)
{
    size_t n = strlen(key);
    for (const char *p = key; *p != '\0'; p++) {
        if (!g_ascii_isgraph(*p)) {
            return false;
        }
    }
    return n > 0 && n <= 255;
}

/* A reply is kept when doing the request again would change nothing about it. */
static bool is_kept(int status)
{
    bool is_refusal = status >= 400 && status < 500 && status != 401 && status != 403 && status != 429;
    return (status >= 200 && status < 300) || is_refusal;
}

static void digest_text(GChecksum *digest, const char *text)
{
    g_checksum_update(digest, (const guchar *)text, (gssize)strlen(text) + 1);
}

/* What was asked, beside the route: path and query parameters, then the body. Each part ends in a NUL, which none holds. */
static char *digest_of_request(const struct request *request)
{
    g_autoptr(GChecksum) digest = g_checksum_new(G_CHECKSUM_SHA256);
    for (size_t i = 0; i < ROUTE_MAX_PARAMETERS && request->parameters[i] != NULL; i++) {
        digest_text(digest, request->parameters[i]);
    }
    for (size_t i = 0; i < request->n_query; i++) {
        digest_text(digest, request->query[i].name);
        digest_text(digest, request->query[i].value);
    }
    digest_text(digest, "");
    if (request->body != NULL) {
        g_checksum_update(digest, (const guchar *)request->body->str, (gssize)request->body->len);
    }
    return g_strdup(g_checksum_get_string(digest));
}

static bool call_once(struct request *request, const char *key, GError **error)
{
    const struct server_callbacks *callbacks = &request->server->callbacks;
    if (!is_key(key)) {
        sy_error_add_issue(error, "header.Idempotency-Key", "pattern", "must be 1..255 printable characters");
        return false;
    }
    g_autofree char *digest = digest_of_request(request);
    bool is_replayed = false;
    if (!callbacks->idempotency_begin(request, key, digest, &is_replayed, error)) {
        return false;
    }
    if (is_replayed) {
        return true;
    }
    GError *failure = NULL;
    if (!call_handler(request, &failure)) {
        reply_error(request, failure, 0);
        g_error_free(failure);
    }
    const struct reply *reply = &request->reply;
    const char *body = reply->body != NULL ? reply->body->str : "";
    bool keeps = is_kept(reply->status) && reply->stream == NULL;
    callbacks->idempotency_finish(request, key, digest, reply->status, keeps ? body : NULL,
                                  keeps && reply->body != NULL ? reply->body->len : 0);
    return true;
}

static bool feed(struct request *request, bool is_last, GError **error)
{
    GString *body = request->body;
    body_fn fn = request->route->body;
    if (body != NULL && body->len > 0 && !fn(request, body->str, body->len, false, error)) {
        return false;
    }
    if (body != NULL) {
        g_string_truncate(body, 0);
    }
    return !is_last || fn(request, "", 0, true, error);
}

static bool run(struct request *request, GError **error)
{
    const struct route *route = request->route;
    if (!admit(request, error) || !request_check_query(request, error)) {
        return false;
    }
    if ((route->flags & ROUTE_BODY_STREAM) != 0) {
        return feed(request, true, error) && call_handler(request, error);
    }
    if (!request_decode_body(request, error)) {
        return false;
    }
    const char *key = request_header(request, "Idempotency-Key");
    bool is_once =
        (route->flags & ROUTE_IDEMPOTENT) != 0 && key != NULL && request->server->callbacks.idempotency_begin != NULL;
    return is_once ? call_once(request, key, error) : call_handler(request, error);
}

static void run_and_reply(struct request *request)
{
    g_autoptr(GError) error = NULL;
    if (!run(request, &error)) {
        if (error == NULL) {
            sy_fail(&error, SY_INTERNAL, "%s %s failed without an error", request->route->method, request->route->path);
        }
        reply_error(request, error, 0);
    }
}

void request_work(struct request *request)
{
    struct MHD_Connection *mhd = request_mhd(request);
    struct loop *loop = request->connection->loop;
    log_set_request_id(request->id);
    switch (request->phase) {
    case PHASE_ADMITTING:
        /* The query of a streamed upload is checked before its first piece, not after its last. */
        if (admit(request, &request->error) && (request->route->flags & ROUTE_BODY_STREAM) != 0) {
            request->is_admitted = request_check_query(request, &request->error);
            request->query_text = NULL;
        }
        break;
    case PHASE_FEEDING:
        if (!feed(request, false, &request->error)) {
            log_set_request_id(NULL);
            loop_post_abort(loop, request);
            return;
        }
        request->phase = PHASE_BODY;
        break;
    default:
        run_and_reply(request);
        break;
    }
    log_set_request_id(NULL);
    loop_resume(loop, mhd);
}

/* --- on the loop ------------------------------------------------------------------------------------------------ */

static bool awaits_body(const struct request *request)
{
    return request->framing.is_chunked || request->framing.content_length > 0;
}

static bool expects_continue(const struct request *request)
{
    const char *expect = request_header(request, "Expect");
    return expect != NULL && g_ascii_strcasecmp(expect, "100-continue") == 0;
}

/* Refuses at the head. Without a body the connection stays usable: the reply waits for MHD's last call. With
 * one we answer at once; unless the client waits for our word, the body is swallowed for a while, because
 * closing on unread bytes would reset the connection and lose the reply. */
static enum MHD_Result refuse(struct request *request, const GError *error, int status)
{
    struct connection *connection = request->connection;
    reply_error(request, error, status);
    if (!awaits_body(request)) {
        request->phase = PHASE_REPLY;
        return MHD_YES;
    }
    if (expects_continue(request)) {
        request->reply.must_close = true;
        return reply_queue(request);
    }
    reply_raw(connection, request, error, status);
    request->phase = PHASE_SWALLOW;
    return MHD_YES;
}

/* As refuse, for a head that cannot be trusted: where it ends is unclear, so the connection must end. What follows is swallowed
 * for a while and never looked at as a request (on_call: is_lingering). */
static enum MHD_Result refuse_framing(struct request *request, const GError *error, int status)
{
    atomic_fetch_add_explicit(&request->server->rejected, 1, memory_order_relaxed);
    reply_error(request, error, status);
    reply_raw(request->connection, request, error, status);
    request->phase = PHASE_SWALLOW;
    return MHD_YES;
}

static bool hand_over(struct request *request, enum phase phase)
{
    struct MHD_Connection *mhd = request_mhd(request);
    enum phase before = request->phase;
    request->phase = phase;
    MHD_suspend_connection(mhd);
    if (worker_pool_push(request->server->workers, request)) {
        return true;
    }
    loop_resume(request->connection->loop, mhd);
    request->phase = before;
    atomic_fetch_add_explicit(&request->server->rejected, 1, memory_order_relaxed);
    return false;
}

static GError *overload(void)
{
    GError *error = NULL;
    sy_fail(&error, SY_UNAVAILABLE, "too many requests are waiting for a worker");
    return error;
}

struct header_list {
    struct guard_header items[GUARD_MAX_HEADERS];
    size_t n;
    bool is_too_long;
};

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct header_list *list = cls;
    if (list->n == GUARD_MAX_HEADERS) {
        list->is_too_long = true;
        return MHD_NO;
    }
    list->items[list->n++] = (struct guard_header){.name = name, .value = value != NULL ? value : ""};
    return MHD_YES;
}

/* 0 when fine, else the status: 400 or 431. */
static int guard_head(struct request *request, const char *method, const char *version, GError **error)
{
    struct MHD_Connection *mhd = request_mhd(request);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t size = info != NULL ? info->header_size : 0;
    if ((int64_t)size > request->server->options.header_bytes) {
        sy_fail(error, SY_TOO_LARGE, "the request's head is larger than %" G_GINT64_FORMAT " bytes",
                request->server->options.header_bytes);
        return 431;
    }
    struct header_list list;
    list.n = 0;
    list.is_too_long = false;
    MHD_get_connection_values(mhd, MHD_HEADER_KIND, collect_header, &list);
    if (list.is_too_long) {
        sy_fail(error, SY_TOO_LARGE, "the request has more than %d headers", GUARD_MAX_HEADERS);
        return 431;
    }
    struct guard_head head = {
        .method = method,
        .target = request->target,
        .version = version,
        .end = request->server->knows_layout && size > 0 ? method + size : NULL,
        .headers = list.items,
        .n_headers = list.n,
    };
    return guard_check(&head, &request->framing, error) ? 0 : 400;
}

static bool is_good_id(const char *text)
{
    size_t n = 0;
    for (; g_ascii_isalnum(text[n]) || (text[n] != '\0' && strchr("._-", text[n]) != NULL); n++) {
        if (n == REQUEST_ID_MAX) {
            return false;
        }
    }
    return n >= 1 && text[n] == '\0';
}

static void choose_id(struct request *request)
{
    const char *given = request_header(request, "X-Request-Id");
    if (given != NULL && is_good_id(given)) {
        g_strlcpy(request->id, given, sizeof request->id);
    } else {
        uuid_make(g_get_real_time(), request->id);
    }
}

/* Splits the target into path and query; an absolute-form target (RFC 9112 section 3.2.2) loses its origin. */
static void split_target(struct request *request)
{
    char *path = request->target;
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_ascii_strncasecmp(path, schemes[i], strlen(schemes[i])) == 0) {
            path += strlen(schemes[i]);
            path += strcspn(path, "/?");
            break;
        }
    }
    request->path = path;
    request->query_text = strchr(path, '?');
    if (request->query_text != NULL) {
        *request->query_text++ = '\0';
    }
}

static bool find_route(struct request *request, const char *method, GError **error)
{
    struct router_match match;
    enum router_outcome outcome = router_find(request->server->router, method, request->path, &match);
    if (outcome == ROUTER_NO_PATH) {
        return sy_fail(error, SY_NOT_FOUND, "there is nothing at this path");
    }
    if (outcome == ROUTER_NO_METHOD) {
        reply_header(request, "Allow", match.allow);
        return sy_fail(error, SY_METHOD_NOT_ALLOWED, "this path takes %s", match.allow);
    }
    request->route = match.route;
    request->counters = &request->server->counters[match.index];
    return request_parse_path(request, &match, error);
}

static bool check_body_limit(struct request *request, int64_t bytes, GError **error)
{
    const struct server_options *options = &request->server->options;
    bool is_stream = (request->route->flags & ROUTE_BODY_STREAM) != 0;
    int64_t limit = is_stream ? options->stream_body_bytes : options->body_bytes;
    if (bytes > limit) {
        return sy_fail(error, SY_TOO_LARGE, "the body is larger than %" G_GINT64_FORMAT " bytes", limit);
    }
    return true;
}

static bool check_head(struct request *request, const char *method, GError **error)
{
    if (!find_route(request, method, error)) {
        return false;
    }
    return check_body_limit(request, request->framing.content_length, error);
}

/* Large, open-ended and streamed bodies are read only after the caller is known. */
static bool must_admit_first(const struct request *request)
{
    unsigned flags = request->route->flags;
    if ((flags & (ROUTE_PUBLIC | ROUTE_INLINE)) != 0 && (flags & ROUTE_BODY_STREAM) == 0) {
        return false;
    }
    return (flags & ROUTE_BODY_STREAM) != 0 || request->framing.is_chunked ||
           request->framing.content_length > AUTH_FIRST_BYTES || (awaits_body(request) && expects_continue(request));
}

static enum MHD_Result on_head(struct request *request, const char *method, const char *version)
{
    g_autoptr(GError) error = NULL;
    request->is_head_only = strcmp(method, "HEAD") == 0;
    choose_id(request);
    int status = guard_head(request, method, version, &error);
    if (status != 0) {
        return refuse_framing(request, error, status);
    }
    split_target(request);
    if (!check_head(request, method, &error)) {
        return refuse(request, error, 0);
    }
    if ((request->route->flags & ROUTE_BODY_STREAM) != 0) {
        request->connection->deadline_us = g_get_monotonic_time() + request->server->options.stream_request_ms * 1000;
    }
    if (must_admit_first(request)) {
        if (!hand_over(request, PHASE_ADMITTING)) {
            error = overload();
            return refuse(request, error, 0);
        }
        return MHD_YES;
    }
    request->phase = PHASE_BODY;
    return MHD_YES;
}

static enum MHD_Result on_admitted(struct request *request)
{
    if (request->error != NULL) {
        return refuse(request, request->error, 0);
    }
    request->phase = PHASE_BODY;
    return MHD_YES;
}

static enum MHD_Result on_piece(struct request *request, const char *bytes, size_t length)
{
    g_autoptr(GError) error = NULL;
    request->body_bytes += (int64_t)length;
    if (!check_body_limit(request, request->body_bytes, &error)) {
        reply_error(request, error, 0);
        reply_raw(request->connection, request, error, 0);
        request->phase = PHASE_SWALLOW;
        return MHD_YES;
    }
    if (request->body == NULL) {
        int64_t expected = MAX(request->framing.content_length, 0);
        request->body = g_string_sized_new((size_t)MIN(expected, PIECE_BYTES) + 1);
    }
    g_string_append_len(request->body, bytes, (gssize)length);
    bool is_stream = (request->route->flags & ROUTE_BODY_STREAM) != 0;
    if (is_stream && request->body->len >= PIECE_BYTES && !hand_over(request, PHASE_FEEDING)) {
        error = overload();
        reply_error(request, error, 0);
        reply_raw(request->connection, request, error, 0);
        request->phase = PHASE_SWALLOW;
    }
    return MHD_YES;
}

static enum MHD_Result on_end(struct request *request)
{
    request->connection->deadline_us = 0;
    if ((request->route->flags & ROUTE_INLINE) != 0) {
        log_set_request_id(request->id);
        run_and_reply(request);
        log_set_request_id(NULL);
        return reply_queue(request);
    }
    if (!hand_over(request, PHASE_RUNNING)) {
        g_autoptr(GError) error = overload();
        reply_error(request, error, 0);
        return reply_queue(request);
    }
    return MHD_YES;
}

static bool is_suspended(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
    return info != NULL && info->suspended == MHD_YES;
}

enum MHD_Result request_on_call(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_size, void **context)
{
    struct request *request = *context;
    /* With several chunks in its buffer MHD calls again although we have just suspended: the request is the
     * worker's now, and the bytes stay where they are. */
    if (is_suspended(mhd)) {
        return MHD_YES;
    }
    size_t length = *upload_size;
    switch (request->phase) {
    case PHASE_HEAD:
        g_strlcpy(request->method, method, sizeof request->method);
        return request->connection->is_lingering ? MHD_NO : on_head(request, method, version);
    case PHASE_ADMITTING:
        return on_admitted(request);
    case PHASE_BODY:
        *upload_size = 0;
        return length > 0 ? on_piece(request, upload, length) : on_end(request);
    case PHASE_SWALLOW:
        *upload_size = 0;
        return length > 0 ? MHD_YES : MHD_NO;
    case PHASE_REPLY:
        request->connection->deadline_us = 0;
        return reply_queue(request);
    case PHASE_RUNNING:
        return reply_queue(request);
    default:
        return MHD_NO;
    }
}

void request_abort(struct request *request)
{
    reply_error(request, request->error, 0);
    reply_raw(request->connection, request, request->error, 0);
    request->phase = PHASE_SWALLOW;
    loop_resume(request->connection->loop, request_mhd(request));
}

/* --- what a handler reads ---------------------------------------------------------------------------------------- */

void *request_app(const struct request *request)
{
    return request->server->callbacks.app;
}

const struct route *request_route(const struct request *request)
{
    return request->route;
}

const char *request_method(const struct request *request)
{
    return request->method;
}

const char *request_path(const struct request *request)
{
    return request->path != NULL ? request->path : "";
}

const char *request_id(const struct request *request)
{
    return request->id;
}

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request_mhd(request), MHD_HEADER_KIND, name);
}

const struct caller *request_caller(const struct request *request)
{
    return request->has_caller ? &request->caller : NULL;
}

const char *request_client_address(const struct request *request)
{
    return request->connection->address;
}

bool request_peer(const struct request *request, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid)
{
    const struct connection *connection = request->connection;
    if (connection->has_peer) {
        *ret_uid = connection->uid;
        *ret_gid = connection->gid;
        *ret_pid = connection->pid;
    }
    return connection->has_peer;
}

bool request_is_abandoned(const struct request *request)
{
    struct pollfd fd = {.fd = request->connection->fd, .events = POLLRDHUP};
    bool is_gone = poll(&fd, 1, 0) > 0; /* it tells of nothing but hang-ups and errors */
    return is_gone || atomic_load(&request->server->must_end);
}

void *request_state(const struct request *request)
{
    return request->state;
}

void request_set_state(struct request *request, void *state, GDestroyNotify destroy)
{
    if (request->state_destroy != NULL && request->state != state) {
        request->state_destroy(request->state);
    }
    request->state = state;
    request->state_destroy = destroy;
}
