#include "app.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

struct item {
    char *id;
    char *name;
    int64_t size;
    int64_t revision;
};

static const struct field item_fields[] = {
    {.name = "id", .kind = KIND_STRING, .offset = offsetof(struct item, id), .flags = FIELD_READ_ONLY},
    {.name = "name", .kind = KIND_STRING, .offset = offsetof(struct item, name), .flags = FIELD_REQUIRED},
    {.name = "size",
     .kind = KIND_INT,
     .offset = offsetof(struct item, size),
     .minimum = 1,
     .maximum = 100,
     .fallback = "7"},
};
static const struct type item_type = {
    .name = "Item", .size = sizeof(struct item), .fields = item_fields, .n_fields = G_N_ELEMENTS(item_fields)};

static void note(struct app *app, const char *what)
{
    g_mutex_lock(&app->lock);
    g_string_append_printf(app->calls, "%s%s", app->calls->len > 0 ? " " : "", what);
    g_mutex_unlock(&app->lock);
}

char *app_calls(struct app *app)
{
    g_mutex_lock(&app->lock);
    char *calls = g_strdup(app->calls->str);
    g_mutex_unlock(&app->lock);
    return calls;
}

int app_read_int(struct app *app, const int *value)
{
    g_mutex_lock(&app->lock);
    int copy = *value;
    g_mutex_unlock(&app->lock);
    return copy;
}

/* --- handlers ------------------------------------------------------------------------------------------- */

static bool health(struct request *request, GError **error)
{
    reply_json_take(request, 200, g_string_new("{\"status\":\"ok\"}"));
    return true;
}

static struct item *item_new(const char *id, const char *name)
{
    struct item *item = contract_new(&item_type);
    item->id = g_strdup(id);
    item->name = g_strdup(name);
    return item;
}

static bool list_items(struct request *request, GError **error)
{
    GPtrArray *items = contract_array_new(&item_type);
    int64_t limit = request_query_int(request, "limit", 2);
    for (int64_t i = 0; i < limit; i++) {
        g_ptr_array_add(items, item_new("id", request_query(request, "name")));
    }
    g_autofree char *cursor = cursor_encode("last");
    reply_list(request, "items", &item_type, items, request_query_bool(request, "more") ? cursor : NULL);
    g_ptr_array_unref(items);
    return true;
}

static bool create_item(struct request *request, GError **error)
{
    note(request_app(request), "handler");
    const struct item *item = request_body(request);
    if (strcmp(item->name, "fail") == 0) {
        return sy_fail(error, SY_ALREADY_EXISTS, "it exists");
    }
    if (strcmp(item->name, "forbidden") == 0) {
        return sy_fail(error, SY_NOT_ALLOWED, "not this one");
    }
    reply_object(request, &item_type, item, 3);
    return true;
}

static bool show_item(struct request *request, GError **error)
{
    struct item *item = item_new(request_parameter(request, "id"), "shown");
    reply_object(request, &item_type, item, 12);
    contract_free(&item_type, item);
    return true;
}

static bool patch_item(struct request *request, GError **error)
{
    if (!request_check_match(request, 12, error)) {
        return false;
    }
    struct item *item = item_new("id", "old");
    bool is_fine = contract_decode(&item_type, item, request_json(request), DECODE_PATCH, error);
    if (is_fine) {
        reply_object(request, &item_type, item, 13);
    }
    contract_free(&item_type, item);
    return is_fine;
}

static bool delete_item(struct request *request, GError **error)
{
    reply_empty(request, 204);
    return true;
}

static bool maybe_body(struct request *request, GError **error)
{
    reply_json_take(request, 200, g_string_new(request_body(request) != NULL ? "\"body\"" : "\"none\""));
    return true;
}

static bool wait_at_gate(struct request *request, GError **error)
{
    struct app *app = request_app(request);
    bool is_abandoned = false;
    g_mutex_lock(&app->lock);
    app->waiting++;
    g_cond_broadcast(&app->changed);
    while (!app->is_open && !is_abandoned) {
        g_cond_wait_until(&app->changed, &app->lock, g_get_monotonic_time() + 5000);
        is_abandoned = request_is_abandoned(request);
    }
    app->waiting--;
    app->abandoned += is_abandoned;
    g_cond_broadcast(&app->changed);
    g_mutex_unlock(&app->lock);
    reply_json_take(request, 200, g_string_new("{\"waited\":true}"));
    return true;
}

static void on_close(void *arg)
{
    struct app *app = arg;
    g_mutex_lock(&app->lock);
    app->closed++;
    g_cond_broadcast(&app->changed);
    g_mutex_unlock(&app->lock);
}

static void keep_stream(struct app *app, struct stream *stream)
{
    stream_on_close(stream, on_close, app);
    g_mutex_lock(&app->lock);
    g_clear_pointer(&app->stream, stream_unref);
    app->stream = stream;
    g_cond_broadcast(&app->changed);
    g_mutex_unlock(&app->lock);
}

static bool events(struct request *request, GError **error)
{
    struct stream *stream = reply_stream(request, STREAM_SSE);
    const char *last = request_header(request, "Last-Event-ID");
    if (last != NULL) {
        stream_send(stream, NULL, "resumed", last, strlen(last));
    }
    keep_stream(request_app(request), stream);
    return true;
}

static bool download(struct request *request, GError **error)
{
    keep_stream(request_app(request), reply_stream(request, STREAM_BYTES));
    return true;
}

static bool socket_route(struct request *request, GError **error)
{
    struct stream *stream = reply_websocket(request, error);
    if (stream == NULL) {
        return false;
    }
    keep_stream(request_app(request), stream);
    return true;
}

static void free_state(void *state)
{
    on_close(state);
    struct app *app = state;
    g_mutex_lock(&app->lock);
    app->states_freed++;
    g_mutex_unlock(&app->lock);
}

static bool upload_piece(struct request *request, const void *bytes, size_t length, bool is_last, GError **error)
{
    struct app *app = request_app(request);
    if (request_state(request) == NULL) {
        request_set_state(request, app, free_state);
        note(app, "first");
    }
    g_mutex_lock(&app->lock);
    app->uploaded += (int64_t)length;
    g_checksum_update(app->digest, bytes, (gssize)length);
    bool must_fail = app->must_fail_body;
    g_mutex_unlock(&app->lock);
    if (is_last) {
        note(app, "last");
    }
    return must_fail ? sy_fail(error, SY_SOURCE_REFUSED, "not this body") : true;
}

static bool upload(struct request *request, GError **error)
{
    note(request_app(request), "handler");
    reply_empty(request, 204);
    return true;
}

static bool peer(struct request *request, GError **error)
{
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
    bool is_known = request_peer(request, &uid, &gid, &pid);
    GString *json = g_string_new(NULL);
    g_string_printf(json, "{\"address\":\"%s\",\"known\":%s,\"uid\":%d,\"pid\":%d}", request_client_address(request),
                    is_known ? "true" : "false", (int)uid, (int)pid);
    reply_json_take(request, 200, json);
    return true;
}

static bool internal_failure(struct request *request, GError **error)
{
    return sy_fail(error, SY_INTERNAL, "secret words");
}

/* --- callbacks -------------------------------------------------------------------------------------------- */

static bool authenticate(struct request *request, const char *authorization, struct caller *ret_caller, GError **error)
{
    struct app *app = request_app(request);
    note(app, "authenticate");
    if (authorization != NULL && strcmp(authorization, "Bearer often") == 0) {
        return sy_fail(error, SY_RATE_LIMITED, "too often");
    }
    if (authorization != NULL && g_str_has_prefix(authorization, "Bearer ")) {
        ret_caller->name = g_strconcat("token:", authorization + strlen("Bearer "), NULL);
        ret_caller->principal = g_strdup("principal");
        ret_caller->principal_free = g_free;
        return true;
    }
    return sy_fail(error, SY_NOT_SIGNED_IN, "no token");
}

static bool authorise(struct request *request, const struct route *route, GError **error)
{
    note(request_app(request), "authorise");
    if (strcmp(request_caller(request)->name, "token:weak") == 0) {
        return sy_fail(error, SY_NOT_ALLOWED, "needs %s", route->permission);
    }
    return true;
}

static bool begin(struct request *request, const char *key, const char *digest, bool *ret_replayed, GError **error)
{
    struct app *app = request_app(request);
    note(app, "begin");
    if (g_strcmp0(app->stored_key, key) != 0) {
        return true;
    }
    if (strcmp(app->stored_digest, digest) != 0) {
        return sy_fail(error, SY_IDEMPOTENCY_MISMATCH, "another body");
    }
    *ret_replayed = true;
    reply_json_take(request, 201, g_string_new(app->stored_body));
    return true;
}

static void finish(struct request *request, const char *key, const char *digest, int status, const char *body,
                   size_t length)
{
    struct app *app = request_app(request);
    g_autofree char *what = g_strdup_printf("%s:%d", body != NULL ? "finish" : "release", status);
    note(app, what);
    g_clear_pointer(&app->stored_key, g_free);
    g_clear_pointer(&app->stored_digest, g_free);
    g_clear_pointer(&app->stored_body, g_free);
    if (body == NULL) {
        return;
    }
    app->stored_key = g_strdup(key);
    app->stored_digest = g_strdup(digest);
    app->stored_body = g_strndup(body, length);
}

/* --- routes ------------------------------------------------------------------------------------------------ */

static const struct query_parameter list_query[] = {
    {.name = "limit", .kind = KIND_INT, .minimum = 1, .maximum = 200},
    {.name = "name", .kind = KIND_STRING, .maximum = 10},
    {.name = "more", .kind = KIND_BOOL},
    {0},
};

#define FREE ROUTE_PUBLIC
static const struct route routes[] = {
    {.method = "GET", .path = "/health", .flags = ROUTE_INLINE | FREE, .status = 200, .handler = health},
    {.method = "GET",
     .path = "/v1/items",
     .permission = "item.read",
     .status = 200,
     .query = list_query,
     .handler = list_items},
    {.method = "POST",
     .path = "/v1/items",
     .permission = "item.write",
     .request = &item_type,
     .status = 201,
     .flags = ROUTE_IDEMPOTENT | ROUTE_DRY_RUN,
     .handler = create_item},
    {.method = "GET", .path = "/v1/items/{id}", .flags = FREE, .status = 200, .handler = show_item},
    {.method = "PATCH",
     .path = "/v1/items/{id}",
     .flags = FREE,
     .request = &item_type,
     .mode = DECODE_PATCH,
     .status = 200,
     .handler = patch_item},
    {.method = "DELETE", .path = "/v1/items/{id}", .flags = FREE, .status = 204, .handler = delete_item},
    {.method = "POST",
     .path = "/v1/maybe",
     .flags = FREE | ROUTE_BODY_OPTIONAL,
     .request = &item_type,
     .status = 200,
     .handler = maybe_body},
    {.method = "GET", .path = "/v1/gate", .flags = FREE, .status = 200, .handler = wait_at_gate},
    {.method = "GET", .path = "/v1/events", .flags = FREE | ROUTE_STREAMS, .status = 200, .handler = events},
    {.method = "GET", .path = "/v1/download", .flags = FREE | ROUTE_STREAMS, .status = 200, .handler = download},
    {.method = "GET", .path = "/v1/socket", .flags = FREE | ROUTE_WEBSOCKET, .status = 101, .handler = socket_route},
    {.method = "PUT",
     .path = "/v1/blobs/{name}",
     .permission = "blob.write",
     .flags = ROUTE_BODY_STREAM,
     .status = 204,
     .handler = upload,
     .body = upload_piece},
    {.method = "GET", .path = "/v1/peer", .flags = FREE, .status = 200, .handler = peer},
    {.method = "GET", .path = "/v1/failure", .flags = FREE, .status = 200, .handler = internal_failure},
};

/* --- life --------------------------------------------------------------------------------------------------- */

struct app *app_start(const struct server_options *given)
{
    struct app *app = g_new0(struct app, 1);
    g_mutex_init(&app->lock);
    g_cond_init(&app->changed);
    app->calls = g_string_new(NULL);
    app->digest = g_checksum_new(G_CHECKSUM_SHA256);
    app->folder = g_dir_make_tmp("http-test-XXXXXX", NULL);
    app->socket_path = g_build_filename(app->folder, "api.sock", NULL);
    struct server_options options = given != NULL ? *given : (struct server_options){0};
    options.listen = "127.0.0.1:0";
    options.socket_path = app->socket_path;
    options.socket_mode = options.socket_mode != 0 ? options.socket_mode : 0600;
    options.socket_group = (gid_t)-1;
    struct server_callbacks callbacks = {.app = app,
                                         .authenticate = authenticate,
                                         .authorise = authorise,
                                         .idempotency_begin = begin,
                                         .idempotency_finish = finish};
    GError *error = NULL;
    app->server = server_start(&options, routes, G_N_ELEMENTS(routes), &callbacks, &error);
    g_assert_no_error(error);
    app->port = server_port(app->server);
    return app;
}

void app_stop(struct app *app)
{
    app_open_gate(app);
    if (app->server != NULL) {
        server_stop(app->server, 2000);
    }
    stream_unref(app->stream);
    g_string_free(app->calls, TRUE);
    g_checksum_free(app->digest);
    g_free(app->stored_key);
    g_free(app->stored_digest);
    g_free(app->stored_body);
    g_assert_true(folder_remove(app->folder, NULL));
    g_free(app->folder);
    g_free(app->socket_path);
    g_mutex_clear(&app->lock);
    g_cond_clear(&app->changed);
    g_free(app);
}

void app_open_gate(struct app *app)
{
    g_mutex_lock(&app->lock);
    app->is_open = true;
    g_cond_broadcast(&app->changed);
    g_mutex_unlock(&app->lock);
}

void app_wait_for_waiting(struct app *app, int n)
{
    int64_t end_us = g_get_monotonic_time() + CLIENT_WAIT_MS * 1000;
    g_mutex_lock(&app->lock);
    while (app->waiting != n) {
        g_assert_true(g_cond_wait_until(&app->changed, &app->lock, end_us));
    }
    g_mutex_unlock(&app->lock);
}

struct stream *app_wait_for_stream(struct app *app)
{
    int64_t end_us = g_get_monotonic_time() + CLIENT_WAIT_MS * 1000;
    g_mutex_lock(&app->lock);
    while (app->stream == NULL) {
        g_assert_true(g_cond_wait_until(&app->changed, &app->lock, end_us));
    }
    struct stream *stream = app->stream;
    g_mutex_unlock(&app->lock);
    return stream;
}

struct expectation {
    struct server *server;
    int connections;
};

static bool has_connections(void *arg)
{
    struct expectation *expected = arg;
    struct server_stats stats;
    server_stats(expected->server, &stats);
    return stats.connections == expected->connections;
}

void app_wait_for_connections(struct app *app, int n)
{
    struct expectation expected = {.server = app->server, .connections = n};
    wait_until(has_connections, &expected);
}
