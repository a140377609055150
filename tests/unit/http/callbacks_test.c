/* What the server makes of what its application gives back: replies, callers, stored replies, state. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "client.h"
#include "http/server.h"

#define HOST "Host: localhost\r\n"
#define KEY "Idempotency-Key: k\r\n"

/* Written by the worker and the loop; all under lock, but the server. */
struct world {
    GMutex lock;
    struct server *server;
    GString *replied;  /* "METHOD path status; " */
    GString *finished; /* "kept 200 2 bytes; " */
    GPtrArray *digests;
    int handled;
    int destroyed[2]; /* states */
};

static void note(struct world *world, GString *into, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void note(struct world *world, GString *into, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_mutex_lock(&world->lock);
    g_string_append_vprintf(into, format, arguments);
    g_mutex_unlock(&world->lock);
    va_end(arguments);
}

static char *noted(struct world *world, const GString *from)
{
    g_mutex_lock(&world->lock);
    char *copy = g_strdup(from->str);
    g_mutex_unlock(&world->lock);
    return copy;
}

static int read_int(struct world *world, const int *value)
{
    g_mutex_lock(&world->lock);
    int copy = *value;
    g_mutex_unlock(&world->lock);
    return copy;
}

static void add_one(struct world *world, int *value)
{
    g_mutex_lock(&world->lock);
    (*value)++;
    g_mutex_unlock(&world->lock);
}

/* --- handlers -------------------------------------------------------------------------------------------------------- */

static bool no_reply(struct request *request, GError **error)
{
    return true;
}

static bool no_error(struct request *request, GError **error)
{
    return false;
}

static bool describe(struct request *request, GError **error)
{
    const struct caller *caller = request_caller(request);
    GString *json = g_string_new(NULL);
    g_string_printf(json, "%s %s %s %s %s", request_method(request), request_path(request), request_id(request),
                    request_route(request)->operation_id, caller != NULL ? caller->name : "nobody");
    reply_bytes_take(request, 200, "text/plain", json);
    return true;
}

/* Replies with the status in the path; 2xx other than 204, and errors, have a body. */
static bool answer(struct request *request, GError **error)
{
    struct world *world = request_app(request);
    int status = (int)g_ascii_strtoll(request_parameter(request, "status"), NULL, 10);
    add_one(world, &world->handled);
    if (status == 204 || status == 304) {
        reply_empty(request, status);
    } else {
        reply_json_take(request, status, g_string_new("{}"));
    }
    return true;
}

static bool stream_once(struct request *request, GError **error)
{
    struct stream *stream = reply_stream(request, STREAM_BYTES);
    stream_end(stream);
    stream_unref(stream);
    return true;
}

static bool upgrade(struct request *request, GError **error)
{
    struct stream *stream = reply_websocket(request, error);
    if (stream == NULL) {
        return false;
    }
    stream_end(stream);
    stream_unref(stream);
    return true;
}

struct state {
    struct world *world;
    int number;
};

static void state_free(void *data)
{
    struct state *state = data;
    add_one(state->world, &state->world->destroyed[state->number]);
    g_free(state);
}

static struct state *state_new(struct world *world, int number)
{
    struct state *state = g_new0(struct state, 1);
    *state = (struct state){.world = world, .number = number};
    return state;
}

static bool keep_state(struct request *request, GError **error)
{
    struct world *world = request_app(request);
    request_set_state(request, state_new(world, 0), state_free);
    request_set_state(request, request_state(request), state_free);
    int same = read_int(world, &world->destroyed[0]);
    request_set_state(request, state_new(world, 1), state_free);
    GString *text = g_string_new(NULL);
    g_string_printf(text, "same %d, other %d %d", same, read_int(world, &world->destroyed[0]),
                    read_int(world, &world->destroyed[1]));
    reply_bytes_take(request, 200, "text/plain", text);
    return true;
}

static bool take_piece(struct request *request, const void *bytes, size_t length, bool is_last, GError **error)
{
    return true;
}

static bool refuse_upload(struct request *request, GError **error)
{
    return sy_fail(error, SY_SOURCE_REFUSED, "all of it");
}

/* --- callbacks ------------------------------------------------------------------------------------------------------- */

static bool let_in(struct request *request, const char *authorization, struct caller *ret_caller, GError **error)
{
    ret_caller->name = g_strdup("me");
    ret_caller->principal = (void *)"static"; /* without a destructor: it is not the request's */
    return true;
}

static bool allow(struct request *request, const struct route *route, GError **error)
{
    return true;
}

static bool begin(struct request *request, const char *key, const char *digest, bool *ret_replayed, GError **error)
{
    struct world *world = request_app(request);
    g_mutex_lock(&world->lock);
    g_ptr_array_add(world->digests, g_strdup(digest));
    g_mutex_unlock(&world->lock);
    return true;
}

static void finish(struct request *request, const char *key, const char *digest, int status, const char *body,
                   size_t length)
{
    struct world *world = request_app(request);
    note(world, world->finished, "%s %d, %zu bytes", body != NULL ? "kept" : "not kept", status, length);
}

static void on_replied(const struct request *request, int status, int64_t duration_us)
{
    struct world *world = request_app(request);
    g_assert_cmpint(duration_us, >=, 0);
    note(world, world->replied, "%s '%s' %d; ", request_method(request), request_path(request), status);
}

#define ROUTE(m, p, f, h)                                                                                              \
    {                                                                                                                  \
        .method = m, .path = p, .flags = (f) | ROUTE_PUBLIC, .handler = h, .operation_id = #h                          \
    }
static const struct route routes[] = {
    ROUTE("GET", "/no-reply", 0, no_reply),
    ROUTE("GET", "/no-error", 0, no_error),
    ROUTE("GET", "/open/{x}", 0, describe),
    ROUTE("POST", "/answer/{status}", ROUTE_IDEMPOTENT, answer),
    ROUTE("POST", "/four/{status}/{b}/{c}/{d}", ROUTE_IDEMPOTENT, answer),
    ROUTE("GET", "/stream", ROUTE_IDEMPOTENT | ROUTE_STREAMS, stream_once),
    ROUTE("GET", "/socket", ROUTE_IDEMPOTENT | ROUTE_WEBSOCKET, upgrade),
    ROUTE("GET", "/state", 0, keep_state),
    {.method = "PUT",
     .path = "/upload",
     .flags = ROUTE_PUBLIC | ROUTE_BODY_STREAM,
     .handler = describe,
     .body = take_piece,
     .operation_id = "upload"},
    {.method = "PUT",
     .path = "/refused",
     .flags = ROUTE_PUBLIC | ROUTE_BODY_STREAM,
     .handler = refuse_upload,
     .body = take_piece},
    {.method = "GET", .path = "/closed", .permission = "p", .handler = describe, .operation_id = "describe"},
};

static const struct server_callbacks all = {.authenticate = let_in,
                                            .authorise = allow,
                                            .idempotency_begin = begin,
                                            .idempotency_finish = finish,
                                            .replied = on_replied};

static struct world *world_start(const struct server_callbacks *given)
{
    struct world *world = g_new0(struct world, 1);
    g_mutex_init(&world->lock);
    world->replied = g_string_new(NULL);
    world->finished = g_string_new(NULL);
    world->digests = g_ptr_array_new_with_free_func(g_free);
    const struct server_options options = {.listen = "127.0.0.1:0", .n_workers = 1, .n_loops = 1};
    struct server_callbacks callbacks = *given;
    callbacks.app = world;
    g_autoptr(GError) error = NULL;
    size_t n_routes =
        G_N_ELEMENTS(routes) - (given->authenticate == NULL ? 1 : 0); /* without the last, which is not public */
    world->server = server_start(&options, routes, n_routes, &callbacks, &error);
    g_assert_no_error(error);
    return world;
}

static void world_stop(struct world *world)
{
    server_stop(world->server, 2000);
    g_string_free(world->replied, TRUE);
    g_string_free(world->finished, TRUE);
    g_ptr_array_unref(world->digests);
    g_mutex_clear(&world->lock);
    g_free(world);
}

static struct client_reply *ask(struct world *world, const char *line, const char *headers)
{
    g_autofree char *text = g_strdup_printf("%s HTTP/1.1\r\n" HOST "%s\r\n", line, headers);
    struct client_reply *reply = client_request(server_port(world->server), text);
    g_assert_nonnull(reply);
    return reply;
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        g_test_message("'%s' is not in '%s'", part, text);
        g_test_fail();
    }
}

/* --- handlers that keep no promise ----------------------------------------------------------------------------------- */

static void a_handler_without_reply_or_error_is_a_defect(void)
{
    struct world *world = world_start(&all);
    static const char *const lines[] = {"GET /no-reply", "GET /no-error"};
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autoptr(client_reply_t) reply = ask(world, lines[i], "");
        g_assert_cmpint(reply->status, ==, 500);
        assert_contains(reply->body->str, "\"code\":\"INTERNAL\"");
    }
    world_stop(world);
}

/* --- callers --------------------------------------------------------------------------------------------------------- */

static void without_both_callbacks_a_guarded_route_is_refused(void)
{
    const struct server_options options = {.listen = "127.0.0.1:0"};
    const struct server_callbacks callbacks[] = {{0}, {.authenticate = let_in}, {.authorise = allow}};
    for (size_t i = 0; i < G_N_ELEMENTS(callbacks); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(server_start(&options, routes, G_N_ELEMENTS(routes), &callbacks[i], &error));
        g_assert_error(error, SY_ERROR, SY_INTERNAL);
        g_assert_cmpstr(error->message, ==, "route GET /closed needs a permission, but nobody can check it");
    }
}

static void a_handler_sees_what_was_asked_and_by_whom(void)
{
    struct world *world = world_start(&all);
    g_autoptr(client_reply_t) open = ask(world, "GET /open/%31?", "X-Request-Id: a1\r\n");
    g_assert_cmpstr(open->body->str, ==, "GET /open/%31 a1 describe nobody");
    g_autoptr(client_reply_t) closed = ask(world, "GET /closed", "X-Request-Id: a2\r\n");
    g_assert_cmpstr(closed->body->str, ==, "GET /closed a2 describe me");
    world_stop(world);
}

static void a_public_upload_asks_for_nobody(void)
{
    struct world *world = world_start(&all);
    g_autoptr(client_reply_t) reply = ask(world, "PUT /upload", "X-Request-Id: a3\r\nContent-Length: 0\r\n");
    g_assert_cmpint(reply->status, ==, 200);
    g_assert_cmpstr(reply->body->str, ==, "PUT /upload a3 upload nobody");
    g_autoptr(client_reply_t) wrong = ask(world, "PUT /upload?a=b", "Content-Length: 1\r\n");
    g_assert_cmpint(wrong->status, ==, 400);
    assert_contains(wrong->body->str, "\"path\":\"query.a\"");
    world_stop(world);
}

static void an_upload_may_be_refused_when_all_of_it_is_there(void)
{
    struct world *world = world_start(&all);
    g_autoptr(client_reply_t) reply = ask(world, "PUT /refused", "Content-Length: 1\r\n\r\nx");
    g_assert_cmpint(reply->status, ==, 400);
    assert_contains(reply->body->str, "\"code\":\"SOURCE_REFUSED\"");
    assert_contains(reply->body->str, "all of it");
    world_stop(world);
}

static void every_reply_is_told_even_to_what_has_no_path(void)
{
    struct world *world = world_start(&all);
    g_autoptr(client_reply_t) found = ask(world, "GET /open/1?", "");
    g_autoptr(client_reply_t) missing = ask(world, "GET /nothing?x", "");
    g_autoptr(client_reply_t) ambiguous = ask(world, "GET /open/1", HOST);
    g_assert_cmpint(ambiguous->status, ==, 400);
    g_autofree char *replied = noted(world, world->replied);
    g_assert_cmpstr(replied, ==, "GET '/open/1' 200; GET '/nothing' 404; GET '' 400; ");
    world_stop(world);
}

/* --- stored replies -------------------------------------------------------------------------------------------------- */

static void only_what_would_be_the_same_again_is_kept(void)
{
    static const struct {
        int status;
        const char *finished;
    } cases[] = {
        {200, "kept 200, 2 bytes"},     {201, "kept 201, 2 bytes"},     {204, "kept 204, 0 bytes"},
        {299, "kept 299, 2 bytes"},     {304, "not kept 304, 0 bytes"}, {400, "kept 400, 2 bytes"},
        {401, "not kept 401, 0 bytes"}, {403, "not kept 403, 0 bytes"}, {404, "kept 404, 2 bytes"},
        {409, "kept 409, 2 bytes"},     {429, "not kept 429, 0 bytes"}, {499, "kept 499, 2 bytes"},
        {500, "not kept 500, 0 bytes"}, {503, "not kept 503, 0 bytes"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct world *world = world_start(&all);
        g_autofree char *line = g_strdup_printf("POST /answer/%d", cases[i].status);
        g_autoptr(client_reply_t) reply = ask(world, line, KEY);
        g_autofree char *finished = noted(world, world->finished);
        g_assert_cmpint(reply->status, ==, cases[i].status);
        g_assert_cmpstr(finished, ==, cases[i].finished);
        world_stop(world);
    }
}

static void a_stream_is_never_kept(void)
{
    static const struct {
        const char *line, *headers, *finished;
        int status;
    } cases[] = {
        {"GET /stream", KEY, "not kept 200, 0 bytes", 200},
        {"GET /socket",
         KEY "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         "not kept 101, 0 bytes", 101},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct world *world = world_start(&all);
        g_autoptr(client_reply_t) reply = ask(world, cases[i].line, cases[i].headers);
        g_autofree char *finished = noted(world, world->finished);
        g_assert_cmpint(reply->status, ==, cases[i].status);
        g_assert_cmpstr(finished, ==, cases[i].finished);
        world_stop(world);
    }
}

static void a_key_is_printable_and_not_long(void)
{
    g_autofree char *most = g_strnfill(255, 'k');
    g_autofree char *long_key = g_strnfill(256, 'k');
    const struct {
        const char *key;
        int status;
    } cases[] = {{"k", 200}, {"!~", 200},  {most, 200},   {long_key, 400},
                 {"", 400},  {"a b", 400}, {"a\tb", 400}, {"é", 400}};
    struct world *world = world_start(&all);
    int handled = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *header = g_strdup_printf("Idempotency-Key: %s\r\n", cases[i].key);
        g_autoptr(client_reply_t) reply = ask(world, "POST /answer/200", header);
        g_test_message("'%s' -> %d %s", cases[i].key, reply->status, reply->body->str);
        g_assert_cmpint(reply->status, ==, cases[i].status);
        handled += cases[i].status == 200;
        g_assert_cmpint(read_int(world, &world->handled), ==, handled);
        if (cases[i].status == 400) {
            assert_contains(reply->body->str, "\"path\":\"header.Idempotency-Key\"");
        }
    }
    world_stop(world);
}

/* Every part of what was asked counts, and so does where one part ends and the next begins. */
static void whatever_is_asked_has_its_own_digest(void)
{
    static const struct {
        const char *line, *headers;
    } cases[] = {
        {"POST /answer/200", KEY},
        {"POST /answer/201", KEY},
        {"POST /answer/200", KEY "Content-Length: 1\r\n\r\nx"},
        {"POST /answer/200", KEY "Content-Length: 2\r\n\r\nxy"},
        {"POST /four/200/b/c/d", KEY},
        {"POST /four/200/b/c/e", KEY},
        {"POST /four/200/bc/c/d", KEY},
        {"POST /four/200/b/cc/d", KEY},
        {"POST /four/200/b/c/cd", KEY},
    };
    struct world *world = world_start(&all);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(client_reply_t) reply = ask(world, cases[i].line, cases[i].headers);
        g_test_message("%s", cases[i].line);
        g_assert_cmpint(reply->status, <, 300);
    }
    g_assert_cmpuint(world->digests->len, ==, G_N_ELEMENTS(cases));
    for (guint i = 0; i < world->digests->len; i++) {
        g_assert_true(g_hash_table_add(seen, g_ptr_array_index(world->digests, i)));
    }
    g_autoptr(client_reply_t) again = ask(world, cases[0].line, cases[0].headers);
    g_assert_cmpint(again->status, ==, 200);
    g_assert_cmpstr(g_ptr_array_index(world->digests, G_N_ELEMENTS(cases)), ==, g_ptr_array_index(world->digests, 0));
    world_stop(world);
}

static void without_a_store_a_key_changes_nothing(void)
{
    const struct server_callbacks none = {0};
    struct world *world = world_start(&none);
    for (int i = 1; i <= 2; i++) {
        g_autoptr(client_reply_t) reply = ask(world, "POST /answer/200", "Idempotency-Key: a b\r\n");
        g_assert_cmpint(reply->status, ==, 200);
        g_assert_cmpint(read_int(world, &world->handled), ==, i);
    }
    world_stop(world);
}

/* --- state ----------------------------------------------------------------------------------------------------------- */

static bool is_second_destroyed(void *arg)
{
    struct world *world = arg;
    return read_int(world, &world->destroyed[1]) == 1;
}

static void state_is_destroyed_when_replaced_and_at_the_end(void)
{
    struct world *world = world_start(&all);
    g_autoptr(client_reply_t) reply = ask(world, "GET /state", "");
    g_assert_cmpstr(reply->body->str, ==, "same 0, other 1 0");
    wait_until(is_second_destroyed, world);
    g_assert_cmpint(read_int(world, &world->destroyed[0]), ==, 1);
    world_stop(world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/callbacks/" #name, name)
    ADD(a_handler_without_reply_or_error_is_a_defect);
    ADD(without_both_callbacks_a_guarded_route_is_refused);
    ADD(a_handler_sees_what_was_asked_and_by_whom);
    ADD(a_public_upload_asks_for_nobody);
    ADD(an_upload_may_be_refused_when_all_of_it_is_there);
    ADD(every_reply_is_told_even_to_what_has_no_path);
    ADD(only_what_would_be_the_same_again_is_kept);
    ADD(a_stream_is_never_kept);
    ADD(a_key_is_printable_and_not_long);
    ADD(whatever_is_asked_has_its_own_digest);
    ADD(without_a_store_a_key_changes_nothing);
    ADD(state_is_destroyed_when_replaced_and_at_the_end);
    return g_test_run();
}
