/* Typed routes, problems, request ids, limits: what an ordinary client meets. */
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "base/id.h"

#define HOST "Host: localhost\r\n"
#define TOKEN "Authorization: Bearer good\r\n"
#define JSON "Content-Type: application/json\r\n"

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        g_test_message("'%s' is not in '%s'", part, text);
        g_test_fail();
    }
}

static struct client_reply *post(struct app *app, const char *path, const char *headers, const char *body)
{
    g_autofree char *text = g_strdup_printf("POST %s HTTP/1.1\r\n" HOST JSON "%sContent-Length: %zu\r\n\r\n%s", path,
                                            headers, strlen(body), body);
    return client_request(app->port, text);
}

static struct client_reply *get(struct app *app, const char *path, const char *headers)
{
    g_autofree char *text = g_strdup_printf("GET %s HTTP/1.1\r\n" HOST "%s\r\n", path, headers);
    return client_request(app->port, text);
}

static void inline_route_answers(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply = get(app, "/health", "");
    g_assert_cmpint(reply->status, ==, 200);
    g_assert_cmpstr(reply->body->str, ==, "{\"status\":\"ok\"}");
    assert_contains(reply->head, "X-Content-Type-Options: nosniff\r\n");
    assert_contains(reply->head, "Cache-Control: no-store\r\n");
    assert_contains(reply->head, "Content-Type: application/json\r\n");
    app_stop(app);
}

static void typed_route_decodes_and_encodes(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply = post(app, "/v1/items", TOKEN, "{\"name\":\"web\"}");
    g_assert_cmpint(reply->status, ==, 201);
    g_assert_cmpstr(reply->body->str, ==, "{\"id\":null,\"name\":\"web\",\"size\":7}");
    assert_contains(reply->head, "ETag: \"r3\"\r\n");
    app_stop(app);
}

static void api_prefix_reaches_the_same_route(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply = get(app, "/api/v1/items/a%2Fb", "");
    g_assert_cmpint(reply->status, ==, 200);
    assert_contains(reply->body->str, "\"id\":\"a/b\"");
    app_stop(app);
}

static void connection_is_kept_across_requests(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect(app->port);
    static const char *const paths[] = {"/health", "/v1/items/1", "/nothing", "/health"};
    static const int statuses[] = {200, 200, 404, 200};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *text = g_strdup_printf("GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        client_send(fd, text);
        g_autoptr(client_reply_t) reply = client_read(fd, false);
        g_assert_nonnull(reply);
        g_assert_cmpint(reply->status, ==, statuses[i]);
        g_assert_false(reply->is_closed);
    }
    close(fd);
    app_stop(app);
}

static void pipelined_requests_are_answered_in_order(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect(app->port);
    client_send(fd, "GET /v1/items/1 HTTP/1.1\r\n" HOST "\r\nGET /health HTTP/1.1\r\n" HOST "\r\n"
                    "GET /v1/items/3 HTTP/1.1\r\n" HOST "\r\n");
    g_autoptr(client_reply_t) first = client_read(fd, false);
    g_autoptr(client_reply_t) second = client_read(fd, false);
    g_autoptr(client_reply_t) third = client_read(fd, false);
    assert_contains(first->body->str, "\"id\":\"1\"");
    assert_contains(second->body->str, "ok");
    assert_contains(third->body->str, "\"id\":\"3\"");
    close(fd);
    app_stop(app);
}

static void issues_are_reported_as_a_problem(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply = post(app, "/v1/items", TOKEN, "{\"size\":1000,\"nam\":1}");
    g_assert_cmpint(reply->status, ==, 400);
    assert_contains(reply->head, "Content-Type: application/problem+json\r\n");
    static const char *const parts[] = {"\"type\":\"https://enclii.dev/errors/INVALID_INPUT\"",
                                        "\"title\":\"Bad Request\"",
                                        "\"status\":400",
                                        "\"code\":\"INVALID_INPUT\"",
                                        "\"hint\":",
                                        "\"error\":",
                                        "\"path\":\"size\"",
                                        "\"path\":\"nam\"",
                                        "\"path\":\"name\"",
                                        "\"request_id\":"};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        assert_contains(reply->body->str, parts[i]);
    }
    app_stop(app);
}

static void internal_errors_keep_their_words(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply = get(app, "/v1/failure", "");
    g_assert_cmpint(reply->status, ==, 500);
    g_assert_null(strstr(reply->body->str, "secret words"));
    app_stop(app);
}

static void unknown_path_is_404_and_known_path_405_with_allow(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) missing = get(app, "/v1/item", "");
    g_assert_cmpint(missing->status, ==, 404);
    g_autoptr(client_reply_t) wrong = client_request(app->port, "PUT /v1/items HTTP/1.1\r\n" HOST "\r\n");
    g_assert_cmpint(wrong->status, ==, 405);
    g_autofree char *allow = client_reply_header(wrong, "Allow");
    g_assert_cmpstr(allow, ==, "GET, HEAD, POST");
    app_stop(app);
}

static void head_is_get_without_a_body(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect(app->port);
    client_send(fd, "HEAD /health HTTP/1.1\r\n" HOST "\r\nHEAD /v1/items/1 HTTP/1.1\r\n" HOST "\r\n"
                    "GET /health HTTP/1.1\r\n" HOST "\r\n");
    g_autoptr(client_reply_t) inlined = client_read(fd, true);
    g_autoptr(client_reply_t) worked = client_read(fd, true);
    g_autoptr(client_reply_t) after = client_read(fd, false);
    g_autofree char *length = client_reply_header(inlined, "Content-Length");
    g_assert_cmpstr(length, ==, "15");
    g_assert_cmpint(worked->status, ==, 200);
    g_assert_cmpstr(after->body->str, ==, "{\"status\":\"ok\"}");
    close(fd);
    app_stop(app);
}

static void delete_answers_204_without_a_body(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply = client_request(app->port, "DELETE /v1/items/1 HTTP/1.1\r\n" HOST "\r\n");
    g_assert_cmpint(reply->status, ==, 204);
    g_assert_null(strstr(reply->head, "\r\nContent-Type"));
    app_stop(app);
}

static void query_is_checked_against_the_table(void)
{
    static const struct {
        const char *query;
        int status;
        const char *part;
    } cases[] = {
        {"", 200, "\"next_cursor\":null"},
        {"?limit=1&name=a%20b+c&more=true", 200, "\"name\":\"a b c\""},
        {"?limit=1&more=1", 200, "\"next_cursor\":\"bGFzdA\""},
        {"?limti=1", 400, "did you mean limit?"},
        {"?limit=0", 400, "must be 1..200"},
        {"?limit=201", 400, "\"path\":\"query.limit\""},
        {"?limit=1x", 400, "must be a whole number"},
        {"?limit=", 400, "must be a whole number"},
        {"?limit=1&limit=2", 400, "may be given once"},
        {"?name=12345678901", 400, "bytes long"},
        {"?name=%00", 400, "encoding"},
        {"?name=%ff", 400, "encoding"},
        {"?name=%4", 400, "encoding"},
        {"?more=yes", 400, "true or false"},
        {"?dry_run=true", 400, "unknown"},
    };
    struct app *app = app_start(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/v1/items", cases[i].query, NULL);
        g_autoptr(client_reply_t) reply = get(app, path, TOKEN);
        g_test_message("%s -> %d %s", path, reply->status, reply->body->str);
        g_assert_cmpint(reply->status, ==, cases[i].status);
        assert_contains(reply->body->str, cases[i].part);
    }
    g_autoptr(client_reply_t) dry = post(app, "/v1/items?dry_run=true", TOKEN, "{\"name\":\"web\"}");
    g_assert_cmpint(dry->status, ==, 201);
    app_stop(app);
}

static void caller_must_be_known_and_allowed(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) unknown = get(app, "/v1/items", "");
    g_assert_cmpint(unknown->status, ==, 401);
    assert_contains(unknown->head, "WWW-Authenticate: Bearer\r\n");
    g_autoptr(client_reply_t) weak = get(app, "/v1/items?nonsense=1", "Authorization: Bearer weak\r\n");
    g_assert_cmpint(weak->status, ==, 403);
    g_autoptr(client_reply_t) often = get(app, "/v1/items", "Authorization: Bearer often\r\n");
    g_assert_cmpint(often->status, ==, 429);
    assert_contains(often->head, "Retry-After: 5\r\n");
    app_stop(app);
}

static void request_id_is_taken_over_or_made(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) given = get(app, "/v1/items", "X-Request-Id: abc-DEF_1.2\r\n");
    assert_contains(given->head, "X-Request-Id: abc-DEF_1.2\r\n");
    assert_contains(given->body->str, "\"request_id\":\"abc-DEF_1.2\"");
    g_autoptr(client_reply_t) bad = get(app, "/health", "X-Request-Id: not a token\r\n");
    g_autofree char *made = client_reply_header(bad, "X-Request-Id");
    g_assert_true(uuid_is_valid(made));
    app_stop(app);
}

static void media_type_is_checked_where_a_body_is_expected(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) text = client_request(
        app->port, "POST /v1/items HTTP/1.1\r\n" HOST TOKEN "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
    g_assert_cmpint(text->status, ==, 415);
    g_autoptr(client_reply_t) plain = get(app, "/v1/items/1", JSON);
    g_assert_cmpint(plain->status, ==, 200);
    g_autoptr(client_reply_t) empty = post(app, "/v1/items", TOKEN, "");
    g_assert_cmpint(empty->status, ==, 400);
    g_autoptr(client_reply_t) optional = client_request(app->port, "POST /v1/maybe HTTP/1.1\r\n" HOST "\r\n");
    g_assert_cmpstr(optional->body->str, ==, "\"none\"");
    g_autoptr(client_reply_t) ignored =
        client_request(app->port, "DELETE /v1/items/1 HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}");
    g_assert_cmpint(ignored->status, ==, 204);
    app_stop(app);
}

static void json_is_told_by_its_media_type(void)
{
    static const struct {
        const char *header;
        int status;
    } cases[] = {
        {"Content-Type: application/json\r\n", 200},
        {"Content-Type: Application/JSON; charset=utf-8\r\n", 200},
        {"Content-Type: application/merge-patch+json\r\n", 200},
        {"Content-Type: application/xml\r\n", 415},
        {"Content-Type: application/jsonp\r\n", 415},
        {"Content-Type: text/x+json\r\n", 415},
        {"Content-Type:\r\n", 415},
        {"", 415},
    };
    struct app *app = app_start(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf(
            "POST /v1/maybe HTTP/1.1\r\n" HOST "%sContent-Length: 14\r\n\r\n{\"name\":\"web\"}", cases[i].header);
        g_autoptr(client_reply_t) reply = client_request(app->port, text);
        g_test_message("%s -> %d", cases[i].header, reply->status);
        g_assert_cmpint(reply->status, ==, cases[i].status);
        assert_contains(reply->body->str, reply->status == 200 ? "\"body\"" : "must be application/json");
    }
    app_stop(app);
}

static void patch_hands_the_json_to_the_handler(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply =
        client_request(app->port, "PATCH /v1/items/1 HTTP/1.1\r\n" HOST JSON
                                  "If-Match: \"r12\"\r\nContent-Length: 11\r\n\r\n{\"size\":42}");
    g_assert_cmpint(reply->status, ==, 200);
    g_assert_cmpstr(reply->body->str, ==, "{\"id\":\"id\",\"name\":\"old\",\"size\":42}");
    g_autoptr(client_reply_t) stale =
        client_request(app->port, "PATCH /v1/items/1 HTTP/1.1\r\n" HOST JSON
                                  "If-Match: \"r11\"\r\nContent-Length: 11\r\n\r\n{\"size\":42}");
    g_assert_cmpint(stale->status, ==, 412);
    app_stop(app);
}

static void idempotency_hooks_run_around_the_handler(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) first = post(app, "/v1/items", TOKEN "Idempotency-Key: k1\r\n", "{\"name\":\"web\"}");
    g_autofree char *calls = app_calls(app);
    g_assert_cmpstr(calls, ==, "authenticate authorise begin handler finish:201");
    g_autoptr(client_reply_t) again = post(app, "/v1/items", TOKEN "Idempotency-Key: k1\r\n", "{\"name\":\"web\"}");
    g_assert_cmpstr(again->body->str, ==, first->body->str);
    g_autoptr(client_reply_t) other = post(app, "/v1/items", TOKEN "Idempotency-Key: k1\r\n", "{\"name\":\"two\"}");
    g_assert_cmpint(other->status, ==, 409);
    g_autofree char *all = app_calls(app);
    g_assert_cmpstr(all, ==,
                    "authenticate authorise begin handler finish:201 authenticate authorise begin "
                    "authenticate authorise begin");
    app_stop(app);
}

static void idempotency_tells_queries_apart(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) first = post(app, "/v1/items", TOKEN "Idempotency-Key: k1\r\n", "{\"name\":\"web\"}");
    g_autoptr(client_reply_t) plan =
        post(app, "/v1/items?dry_run=true", TOKEN "Idempotency-Key: k1\r\n", "{\"name\":\"web\"}");
    g_assert_cmpint(first->status, ==, 201);
    g_assert_cmpint(plan->status, ==, 409);
    app_stop(app);
}

static void idempotency_keeps_refusals_but_not_denials(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) refused = post(app, "/v1/items", TOKEN "Idempotency-Key: k2\r\n", "{\"name\":\"fail\"}");
    g_assert_cmpint(refused->status, ==, 409);
    g_autoptr(client_reply_t) denied =
        post(app, "/v1/items", TOKEN "Idempotency-Key: k3\r\n", "{\"name\":\"forbidden\"}");
    g_assert_cmpint(denied->status, ==, 403);
    g_autofree char *calls = app_calls(app);
    g_assert_cmpstr(calls, ==,
                    "authenticate authorise begin handler finish:409 "
                    "authenticate authorise begin handler release:403");
    app_stop(app);
}

static void unix_socket_names_its_peer(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect_unix(app->socket_path);
    client_send(fd, "GET /v1/peer HTTP/1.1\r\n" HOST "\r\n");
    g_autoptr(client_reply_t) reply = client_read(fd, false);
    g_autofree char *expected =
        g_strdup_printf("{\"address\":\"unix\",\"known\":true,\"uid\":%d,\"pid\":%d}", (int)getuid(), (int)getpid());
    g_assert_cmpstr(reply->body->str, ==, expected);
    close(fd);
    g_autoptr(client_reply_t) tcp = get(app, "/v1/peer", "");
    assert_contains(tcp->body->str, "{\"address\":\"127.0.0.1\",\"known\":false");
    app_stop(app);
}

/* Fills the gate with n requests, one connection each. */
static void fill_gate(struct app *app, int *ret_fds, int n)
{
    for (int i = 0; i < n; i++) {
        ret_fds[i] = client_connect(app->port);
        client_send(ret_fds[i], "GET /v1/gate HTTP/1.1\r\n" HOST "\r\n");
    }
}

static void open_gate(struct app *app, const int *fds, int n)
{
    app_open_gate(app);
    for (int i = 0; i < n; i++) {
        g_autoptr(client_reply_t) reply = client_read(fds[i], false);
        g_assert_nonnull(reply);
        g_assert_cmpint(reply->status, ==, 200);
        close(fds[i]);
    }
}

static void slow_requests_get_every_worker(void)
{
    enum { N_WORKERS = 6 };
    int fds[N_WORKERS];
    struct app *app = app_start(&(struct server_options){.n_workers = N_WORKERS});
    fill_gate(app, fds, N_WORKERS);
    app_wait_for_waiting(app, N_WORKERS);
    open_gate(app, fds, N_WORKERS);
    app_stop(app);
}

static void slow_requests_hold_up_no_quick_one_while_a_worker_is_free(void)
{
    enum { N_WORKERS = 4 };
    int fds[N_WORKERS - 1];
    struct app *app = app_start(&(struct server_options){.n_workers = N_WORKERS});
    fill_gate(app, fds, N_WORKERS - 1);
    app_wait_for_waiting(app, N_WORKERS - 1);
    for (int i = 0; i < 20; i++) {
        g_autoptr(client_reply_t) reply = client_request(app->port, "GET /v1/items/1 HTTP/1.1\r\n" HOST "\r\n");
        g_assert_nonnull(reply);
        g_assert_cmpint(reply->status, ==, 200);
    }
    open_gate(app, fds, N_WORKERS - 1);
    app_stop(app);
}

static void more_slow_requests_than_workers_are_all_answered(void)
{
    enum { N_WORKERS = 2, N = 9 };
    int fds[N];
    struct app *app = app_start(&(struct server_options){.n_workers = N_WORKERS});
    fill_gate(app, fds, N);
    app_wait_for_waiting(app, N_WORKERS);
    open_gate(app, fds, N);
    app_stop(app);
}

static void count_route(const struct route *route, const int64_t by_class[5],
                        const int64_t buckets[SERVER_N_BOUNDS + 1], double sum_seconds, void *arg)
{
    GString *out = arg;
    g_string_append_printf(out, "%s %s %d/%d/%d of %d; ", route->method, route->path, (int)by_class[1],
                           (int)by_class[3], (int)by_class[4], (int)buckets[SERVER_N_BOUNDS]);
}

static void requests_are_counted_per_route(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect(app->port);
    static const char *const texts[] = {
        "GET /health HTTP/1.1\r\n" HOST "\r\n", "GET /v1/failure HTTP/1.1\r\n" HOST "\r\n",
        "GET /v1/items HTTP/1.1\r\n" HOST "\r\n", "GET /health HTTP/1.1\r\n" HOST "\r\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        client_send(fd, texts[i]);
        g_autoptr(client_reply_t) reply = client_read(fd, false);
        g_assert_nonnull(reply);
    }
    close(fd);
    app_wait_for_connections(app, 0);
    g_autoptr(GString) counts = g_string_new(NULL);
    server_route_stats(app->server, count_route, counts);
    g_assert_cmpstr(counts->str, ==, "GET /health 2/0/0 of 2; GET /v1/items 0/1/0 of 1; GET /v1/failure 0/0/1 of 1; ");
    app_stop(app);
}

static void cursors_survive_and_strangers_do_not(void)
{
    g_autofree char *text = cursor_encode("2026-11-23|ü?>");
    g_autofree char *key = cursor_decode(text, NULL);
    g_assert_cmpstr(key, ==, "2026-11-23|ü?>");
    static const char *const bad[] = {"", "=", "!", "YWJj=", "YWJ", "/w", "AA", "YW Jj"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        g_test_message("%s", bad[i]);
        g_assert_null(cursor_decode(bad[i], &error));
        g_clear_error(&error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http/inline_route_answers", inline_route_answers);
    g_test_add_func("/http/typed_route_decodes_and_encodes", typed_route_decodes_and_encodes);
    g_test_add_func("/http/api_prefix_reaches_the_same_route", api_prefix_reaches_the_same_route);
    g_test_add_func("/http/connection_is_kept_across_requests", connection_is_kept_across_requests);
    g_test_add_func("/http/pipelined_requests_are_answered_in_order", pipelined_requests_are_answered_in_order);
    g_test_add_func("/http/issues_are_reported_as_a_problem", issues_are_reported_as_a_problem);
    g_test_add_func("/http/internal_errors_keep_their_words", internal_errors_keep_their_words);
    g_test_add_func("/http/unknown_path_is_404_and_known_path_405_with_allow",
                    unknown_path_is_404_and_known_path_405_with_allow);
    g_test_add_func("/http/head_is_get_without_a_body", head_is_get_without_a_body);
    g_test_add_func("/http/delete_answers_204_without_a_body", delete_answers_204_without_a_body);
    g_test_add_func("/http/query_is_checked_against_the_table", query_is_checked_against_the_table);
    g_test_add_func("/http/caller_must_be_known_and_allowed", caller_must_be_known_and_allowed);
    g_test_add_func("/http/request_id_is_taken_over_or_made", request_id_is_taken_over_or_made);
    g_test_add_func("/http/media_type_is_checked_where_a_body_is_expected",
                    media_type_is_checked_where_a_body_is_expected);
    g_test_add_func("/http/json_is_told_by_its_media_type", json_is_told_by_its_media_type);
    g_test_add_func("/http/patch_hands_the_json_to_the_handler", patch_hands_the_json_to_the_handler);
    g_test_add_func("/http/idempotency_hooks_run_around_the_handler", idempotency_hooks_run_around_the_handler);
    g_test_add_func("/http/idempotency_tells_queries_apart", idempotency_tells_queries_apart);
    g_test_add_func("/http/idempotency_keeps_refusals_but_not_denials", idempotency_keeps_refusals_but_not_denials);
    g_test_add_func("/http/unix_socket_names_its_peer", unix_socket_names_its_peer);
    g_test_add_func("/http/slow_requests_get_every_worker", slow_requests_get_every_worker);
    g_test_add_func("/http/slow_requests_hold_up_no_quick_one_while_a_worker_is_free",
                    slow_requests_hold_up_no_quick_one_while_a_worker_is_free);
    g_test_add_func("/http/more_slow_requests_than_workers_are_all_answered",
                    more_slow_requests_than_workers_are_all_answered);
    g_test_add_func("/http/requests_are_counted_per_route", requests_are_counted_per_route);
    g_test_add_func("/http/cursors_survive_and_strangers_do_not", cursors_survive_and_strangers_do_not);
    return g_test_run();
}
