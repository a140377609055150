/* What the server refuses or puts off: large heads and bodies, ambiguous framing, uploads, too much at once. */
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "base/id.h"
#include "http/internal.h"

#define HOST "Host: localhost\r\n"
#define TOKEN "Authorization: Bearer good\r\n"
#define JSON "Content-Type: application/json\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define PUT_BLOB "PUT /v1/blobs/a HTTP/1.1\r\n" HOST

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        g_test_message("'%s' is not in '%s'", part, text);
        g_test_fail();
    }
}

/* Said once: two of them are no valid reply (RFC 9110 sections 5.2, 10.2.3). */
static void assert_retry_after(const struct client_reply *reply, const char *seconds)
{
    g_autofree char *after = client_reply_header(reply, "Retry-After");
    const char *first = strstr(reply->head, "Retry-After:");
    g_assert_cmpstr(after, ==, seconds);
    g_assert_null(strstr(first + 1, "Retry-After:"));
}

/* The status, with the code and a part of the detail in the problem. */
static void assert_problem(const struct client_reply *reply, int status, const char *code, const char *detail)
{
    g_assert_nonnull(reply);
    g_autofree char *member = g_strdup_printf("\"code\":\"%s\"", code);
    g_test_message("%s%s", reply->head, reply->body->str);
    g_assert_cmpint(reply->status, ==, status);
    assert_contains(reply->body->str, member);
    assert_contains(reply->body->str, detail);
}

static void refuse(struct app *app, const char *text, int status, const char *code, const char *detail)
{
    g_autoptr(client_reply_t) reply = client_request(app->port, text);
    assert_problem(reply, status, code, detail);
}

static void assert_calls(struct app *app, const char *expected)
{
    g_autofree char *calls = app_calls(app);
    g_assert_cmpstr(calls, ==, expected);
}

static int64_t rejected(struct app *app)
{
    struct server_stats stats;
    server_stats(app->server, &stats);
    return stats.rejected;
}

/* --- heads ----------------------------------------------------------------------------------------------------------- */

static void a_head_over_its_limit_is_refused(void)
{
    const struct server_options options = {.header_bytes = 1024};
    struct app *app = app_start(&options);
    g_autofree char *filling = g_strnfill(2000, 'x');
    g_autofree char *large = g_strconcat("GET /health HTTP/1.1\r\n" HOST "X: ", filling, "\r\n\r\n", NULL);
    refuse(app, large, 431, "TOO_LARGE", "larger than 1024 bytes");
    filling[900] = '\0';
    g_autofree char *fine = g_strconcat("GET /health HTTP/1.1\r\n" HOST "X: ", filling, "\r\n\r\n", NULL);
    g_autoptr(client_reply_t) reply = client_request(app->port, fine);
    g_assert_cmpint(reply->status, ==, 200);
    g_assert_cmpint(rejected(app), ==, 1);
    app_stop(app);
}

static void the_hundred_and_first_header_is_refused(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(GString) text = g_string_new("GET /health HTTP/1.1\r\n" HOST);
    for (int i = 1; i < GUARD_MAX_HEADERS; i++) {
        g_string_append_printf(text, "X-%d: y\r\n", i);
    }
    g_autofree char *most = g_strconcat(text->str, "\r\n", NULL);
    g_autoptr(client_reply_t) reply = client_request(app->port, most);
    g_assert_cmpint(reply->status, ==, 200);
    g_autofree char *more = g_strconcat(text->str, "X: y\r\n\r\n", NULL);
    refuse(app, more, 431, "TOO_LARGE", "more than 100 headers");
    app_stop(app);
}

static void count_hits(const struct route *route, const int64_t by_class[5], const int64_t buckets[SERVER_N_BOUNDS + 1],
                       double sum_seconds, void *arg)
{
    *(int64_t *)arg += buckets[SERVER_N_BOUNDS];
}

static int64_t hits(struct app *app)
{
    int64_t n = 0;
    app_wait_for_connections(app, 0);
    server_route_stats(app->server, count_hits, &n);
    return n;
}

/* Whoever reads the message another way would see a second request in it: we never do. */
static void nothing_after_an_ambiguous_head_is_a_request(void)
{
    static const char *const heads[] = {
        "POST /v1/maybe HTTP/1.1\r\n" HOST CHUNKED "Content-Length: 3\r\n\r\n0\r\n\r\n",
        "GET /health HTTP/1.1\r\n" HOST HOST "\r\n",
        "POST /v1/maybe HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
        struct app *app = app_start(NULL);
        int fd = client_connect(app->port);
        g_autofree char *both = g_strconcat(heads[i], "DELETE /v1/items/1 HTTP/1.1\r\n" HOST "\r\n", NULL);
        client_send(fd, both);
        g_autoptr(client_reply_t) reply = client_read(fd, false);
        assert_problem(reply, 400, "INVALID_REQUEST", "");
        g_assert_true(reply->is_closed);
        g_autoptr(client_reply_t) second = client_read(fd, false);
        g_assert_null(second);
        close(fd);
        g_assert_cmpint(hits(app), ==, 0);
        g_assert_cmpint(rejected(app), ==, 1);
        app_stop(app);
    }
}

static void a_parser_of_unknown_layout_is_checked_by_its_list(void)
{
    struct app *app = app_start(NULL);
    app->server->knows_layout = false;
    g_autoptr(client_reply_t) fine = client_request(app->port, "GET /health HTTP/1.1\r\n" HOST "\r\n");
    g_assert_cmpint(fine->status, ==, 200);
    refuse(app, "GET /health HTTP/1.1\r\n" HOST HOST "\r\n", 400, "INVALID_REQUEST", "Host is repeated");
    app_stop(app);
}

static void what_comes_after_a_time_out_is_no_request(void)
{
    static const char head[] = "DELETE /v1/items/1 HTTP/1.1\r\n" HOST "\r\n";
    static const size_t cuts[] = {10, sizeof head - 3}; /* in the request line; before the blank line */
    const struct server_options options = {.request_ms = 100};
    for (size_t i = 0; i < G_N_ELEMENTS(cuts); i++) {
        struct app *app = app_start(&options);
        int fd = client_connect(app->port);
        client_send_bytes(fd, head, cuts[i]);
        g_autoptr(client_reply_t) reply = client_read(fd, false);
        assert_problem(reply, 408, "TIMEOUT", "did not arrive within 100 ms");
        client_send(fd, head + cuts[i]);
        g_autoptr(client_reply_t) second = client_read(fd, false);
        g_assert_null(second);
        g_assert_cmpint(hits(app), ==, 0); /* by itself the server ends the connection */
        close(fd);
        app_stop(app);
    }
}

static void an_id_is_taken_over_up_to_64_letters(void)
{
    static const struct {
        size_t length;
        const char *tail;
        bool is_taken;
    } cases[] = {{1, "", true},  {64, "", true},  {63, "-", true},  {65, "", false}, {64, "!", false},
                 {0, "", false}, {3, "!", false}, {3, "/x", false}, {0, "é", false}};
    struct app *app = app_start(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *letters = g_strnfill(cases[i].length, 'a');
        g_autofree char *id = g_strconcat(letters, cases[i].tail, NULL);
        g_autofree char *text = g_strdup_printf("GET /health HTTP/1.1\r\n" HOST "X-Request-Id: %s\r\n\r\n", id);
        g_autoptr(client_reply_t) reply = client_request(app->port, text);
        g_autofree char *got = client_reply_header(reply, "X-Request-Id");
        g_test_message("'%s' -> %s", id, got);
        g_assert_cmpint(strcmp(got, id) == 0, ==, cases[i].is_taken);
        g_assert_true(cases[i].is_taken || uuid_is_valid(got));
    }
    app_stop(app);
}

/* RFC 9112 section 3.2.2 */
static void an_absolute_target_loses_its_origin(void)
{
    static const struct {
        const char *target;
        int status;
        const char *part;
    } cases[] = {
        {"http://localhost/v1/items/7", 200, "\"id\":\"7\""},
        {"HTTPS://LOCALHOST/api/v1/items/7", 200, "\"id\":\"7\""},
        {"http://localhost/v1/items?limit=0", 400, "\"path\":\"query.limit\""},
        {"http://localhost?limit=0", 404, "nothing at this path"},
        {"http://localhost", 404, "nothing at this path"},
        {"/http://localhost/v1/items/7", 404, "nothing at this path"},
    };
    struct app *app = app_start(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("GET %s HTTP/1.1\r\n" HOST TOKEN "\r\n", cases[i].target);
        g_autoptr(client_reply_t) reply = client_request(app->port, text);
        g_test_message("%s -> %d", cases[i].target, reply->status);
        g_assert_cmpint(reply->status, ==, cases[i].status);
        assert_contains(reply->body->str, cases[i].part);
    }
    app_stop(app);
}

static void a_parameter_that_is_no_text_is_named(void)
{
    struct app *app = app_start(NULL);
    refuse(app, "GET /v1/items/%ff HTTP/1.1\r\n" HOST "\r\n", 400, "INVALID_INPUT", "\"path\":\"id\"");
    app_stop(app);
}

/* --- collected bodies ------------------------------------------------------------------------------------------------ */

static void a_body_over_its_limit_is_refused_at_its_head(void)
{
    const struct server_options options = {.body_bytes = 100};
    struct app *app = app_start(&options);
    int fd = client_connect(app->port);
    client_send(fd, "POST /v1/maybe HTTP/1.1\r\n" HOST JSON "Content-Length: 101\r\n\r\n");
    g_autoptr(client_reply_t) early = client_read(fd, false);
    assert_problem(early, 413, "TOO_LARGE", "larger than 100 bytes");
    g_assert_true(early->is_closed);
    client_send(fd, "{}");
    close(fd);
    fd = client_connect(app->port);
    client_send(fd, "POST /v1/maybe HTTP/1.1\r\n" HOST JSON "Expect: 100-continue\r\nContent-Length: 101\r\n\r\n");
    g_autoptr(client_reply_t) expected = client_read(fd, false); /* not a 100 */
    assert_problem(expected, 413, "TOO_LARGE", "larger than 100 bytes");
    g_assert_true(expected->is_closed);
    close(fd);
    app_stop(app);
}

static void a_chunked_body_is_refused_where_it_passes_its_limit(void)
{
    const struct server_options options = {.body_bytes = 100};
    struct app *app = app_start(&options);
    g_autofree char *filling = g_strnfill(48, ' ');
    g_autofree char *fine = g_strdup_printf("POST /v1/maybe HTTP/1.1\r\n" HOST JSON CHUNKED
                                            "\r\n30\r\n%s\r\n30\r\n%s\r\n4\r\n{\"na\r\n0\r\n\r\n",
                                            filling, filling);
    refuse(app, fine, 400, "INVALID_JSON", ""); /* exactly 100, and read to its end */
    g_autofree char *large = g_strdup_printf("POST /v1/maybe HTTP/1.1\r\n" HOST JSON CHUNKED
                                             "\r\n30\r\n%s\r\n30\r\n%s\r\n5\r\n{\"nam\r\n0\r\n\r\n",
                                             filling, filling);
    refuse(app, large, 413, "TOO_LARGE", "larger than 100 bytes");
    app_stop(app);
}

static void the_rest_of_a_refused_body_is_swallowed(void)
{
    const struct server_options options = {.body_bytes = 100};
    struct app *app = app_start(&options);
    g_autofree char *filling = g_strnfill(4096, 'x');
    int fd = client_connect(app->port);
    client_send(fd, "POST /v1/maybe HTTP/1.1\r\n" HOST JSON "Content-Length: 409600\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        client_send(fd, filling);
    }
    client_send(fd, "GET /health HTTP/1.1\r\n" HOST "\r\n");
    g_autoptr(client_reply_t) reply = client_read(fd, false); /* it arrives: no reset came before it */
    assert_problem(reply, 413, "TOO_LARGE", "");
    g_autoptr(client_reply_t) second = client_read(fd, false);
    g_assert_null(second);
    close(fd);
    app_stop(app);
}

/* A body that is large, of unknown length or waited with is not read for strangers. */
static void strangers_are_refused_before_their_body(void)
{
    static const char *const framings[] = {"Content-Length: 20000\r\n", CHUNKED,
                                           "Expect: 100-continue\r\nContent-Length: 2\r\n"};
    struct app *app = app_start(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(framings); i++) {
        g_autofree char *unknown = g_strconcat("POST /v1/items HTTP/1.1\r\n" HOST JSON, framings[i], "\r\n", NULL);
        refuse(app, unknown, 401, "NOT_SIGNED_IN", "no token");
        g_autofree char *weak = g_strconcat("POST /v1/items HTTP/1.1\r\n" HOST JSON "Authorization: Bearer weak\r\n",
                                            framings[i], "\r\n", NULL);
        refuse(app, weak, 403, "NOT_ALLOWED", "item.write");
    }
    assert_calls(app, "authenticate authenticate authorise authenticate authenticate authorise "
                      "authenticate authenticate authorise");
    app_stop(app);
}

static void who_tries_too_often_is_told_for_how_long_once(void)
{
    static const char *const framings[] = {"Content-Length: 0\r\n", "Content-Length: 20000\r\n"};
    struct app *app = app_start(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(framings); i++) { /* through MHD, and past it */
        g_autofree char *text = g_strconcat("POST /v1/items HTTP/1.1\r\n" HOST "Authorization: Bearer often\r\n",
                                            framings[i], "\r\n", NULL);
        g_autoptr(client_reply_t) reply = client_request(app->port, text);
        assert_problem(reply, 429, "RATE_LIMITED", "too often");
        assert_retry_after(reply, "5");
    }
    app_stop(app);
}

static void a_caller_is_asked_for_once(void)
{
    struct app *app = app_start(NULL);
    g_autofree char *filling = g_strnfill(20000 - 14, ' ');
    g_autofree char *text = g_strdup_printf(
        "POST /v1/items HTTP/1.1\r\n" HOST TOKEN JSON "Content-Length: 20000\r\n\r\n%s{\"name\":\"web\"}", filling);
    g_autoptr(client_reply_t) reply = client_request(app->port, text);
    g_assert_cmpint(reply->status, ==, 201);
    assert_calls(app, "authenticate authorise handler");
    app_stop(app);
}

static void who_waits_for_our_word_gets_it(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect(app->port);
    client_send(fd, "POST /v1/items HTTP/1.1\r\n" HOST TOKEN JSON "Expect: 100-Continue\r\nContent-Length: 14\r\n\r\n");
    g_autoptr(client_reply_t) word = client_read(fd, false);
    g_assert_cmpint(word->status, ==, 100);
    client_send(fd, "{\"name\":\"web\"}");
    g_autoptr(client_reply_t) reply = client_read(fd, false);
    g_assert_cmpint(reply->status, ==, 201);
    close(fd);
    app_stop(app);
}

static void an_expectation_we_do_not_know_is_ignored(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(client_reply_t) reply =
        client_request(app->port, "POST /v1/items HTTP/1.1\r\n" HOST TOKEN JSON
                                  "Expect: tea\r\nContent-Length: 14\r\n\r\n{\"name\":\"web\"}");
    g_assert_cmpint(reply->status, ==, 201);
    app_stop(app);
}

/* --- uploads --------------------------------------------------------------------------------------------------------- */

static char *digest_of(struct app *app)
{
    g_mutex_lock(&app->lock);
    char *digest = g_strdup(g_checksum_get_string(app->digest));
    g_mutex_unlock(&app->lock);
    return digest;
}

static GString *make_bytes(size_t length)
{
    GString *bytes = g_string_sized_new(length + 1);
    for (size_t i = 0; i < length; i++) {
        g_string_append_c(bytes, (char)(i * 7 + i / 251));
    }
    return bytes;
}

static struct client_reply *upload(struct app *app, const char *headers, const void *body, size_t length)
{
    int fd = client_connect(app->port);
    g_autofree char *head = g_strconcat(PUT_BLOB, headers, "\r\n", NULL);
    client_send(fd, head);
    client_send_bytes(fd, body, length);
    struct client_reply *reply = client_read(fd, false);
    close(fd);
    return reply;
}

static struct client_reply *upload_sized(struct app *app, const char *headers, const GString *body)
{
    g_autofree char *all = g_strdup_printf("%sContent-Length: %zu\r\n", headers, body->len);
    return upload(app, all, body->str, body->len);
}

static bool is_state_freed(void *app)
{
    return app_read_int(app, &((struct app *)app)->states_freed) == 1;
}

static void an_upload_comes_whole_and_in_order(void)
{
    static const size_t lengths[] = {0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 500000};
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        struct app *app = app_start(NULL);
        g_autoptr(GString) body = make_bytes(lengths[i]);
        g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)body->str, body->len);
        g_autoptr(client_reply_t) reply = upload_sized(app, TOKEN, body);
        g_autofree char *got = digest_of(app);
        g_assert_cmpint(reply->status, ==, 204);
        g_assert_cmpstr(got, ==, sum);
        assert_calls(app, "authenticate authorise first last handler");
        wait_until(is_state_freed, app);
        app_stop(app);
    }
}

static void an_upload_in_many_chunks_comes_whole(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(GString) body = make_bytes(400000);
    g_autoptr(GString) chunks = g_string_new(NULL);
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)body->str, body->len);
    for (size_t at = 0; at < body->len; at += 250) { /* many in one buffer of the parser */
        g_string_append(chunks, "fa\r\n");
        g_string_append_len(chunks, body->str + at, 250);
        g_string_append(chunks, "\r\n");
    }
    g_string_append(chunks, "0\r\n\r\n");
    g_autoptr(client_reply_t) reply = upload(app, TOKEN CHUNKED, chunks->str, chunks->len);
    g_autofree char *got = digest_of(app);
    g_assert_cmpint(reply->status, ==, 204);
    g_assert_cmpstr(got, ==, sum);
    app_stop(app);
}

static void an_upload_over_its_limit_is_refused(void)
{
    const struct server_options options = {.stream_body_bytes = 200000, .body_bytes = 10};
    struct app *app = app_start(&options);
    g_autoptr(GString) body = make_bytes(200001);
    g_autoptr(client_reply_t) told = upload_sized(app, TOKEN, body);
    assert_problem(told, 413, "TOO_LARGE", "larger than 200000 bytes");
    assert_calls(app, "");
    g_autoptr(GString) chunk = g_string_new("30d41\r\n");
    g_string_append_len(chunk, body->str, (gssize)body->len);
    g_string_append(chunk, "\r\n0\r\n\r\n");
    g_autoptr(client_reply_t) seen = upload(app, TOKEN CHUNKED, chunk->str, chunk->len);
    assert_problem(seen, 413, "TOO_LARGE", "larger than 200000 bytes");
    assert_calls(app, "authenticate authorise first");
    app_stop(app);
}

static void an_upload_is_refused_before_its_first_piece(void)
{
    struct app *app = app_start(NULL);
    g_autoptr(GString) body = make_bytes(300000);
    g_autoptr(client_reply_t) unknown = upload_sized(app, "", body);
    assert_problem(unknown, 401, "NOT_SIGNED_IN", "");
    refuse(app, "PUT /v1/blobs/a?b=c HTTP/1.1\r\n" HOST TOKEN "Content-Length: 300000\r\n\r\n", 400, "INVALID_INPUT",
           "\"path\":\"query.b\"");
    assert_calls(app, "authenticate authenticate authorise");
    app_stop(app);
}

static void an_upload_that_is_refused_half_way_ends_there(void)
{
    static const struct {
        size_t length;
        const char *calls;
    } cases[] = {{0, "authenticate authorise first last"}, /* at its end */
                 {10, "authenticate authorise first"},     /* at what was left for its end */
                 {300000, "authenticate authorise first"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct app *app = app_start(NULL);
        app->must_fail_body = true;
        g_autoptr(GString) body = make_bytes(cases[i].length);
        g_autoptr(client_reply_t) reply = upload_sized(app, TOKEN, body);
        assert_problem(reply, 400, "SOURCE_REFUSED", "not this body");
        assert_calls(app, cases[i].calls);
        wait_until(is_state_freed, app);
        app_stop(app);
    }
}

/* --- too much at once ------------------------------------------------------------------------------------------------ */

struct crowd {
    struct app *app;
    int at_work, queued; /* connections */
};

static bool has_queue(void *app)
{
    struct server_stats stats;
    server_stats(((struct app *)app)->server, &stats);
    return stats.queue_length == 1;
}

static struct app *start_small(void)
{
    const struct server_options options = {.n_workers = 1, .worker_queue = 1};
    return app_start(&options);
}

/* The only worker is busy, and the only place in its queue is taken. */
static struct crowd crowd_come(struct app *app)
{
    struct crowd crowd = {.app = app, .at_work = client_connect(app->port), .queued = client_connect(app->port)};
    client_send(crowd.at_work, "GET /v1/gate HTTP/1.1\r\n" HOST "\r\n");
    app_wait_for_waiting(app, 1);
    client_send(crowd.queued, "GET /v1/items/1 HTTP/1.1\r\n" HOST "\r\n");
    wait_until(has_queue, app);
    return crowd;
}

static void crowd_leave(const struct crowd *crowd)
{
    app_open_gate(crowd->app);
    g_autoptr(client_reply_t) first = client_read(crowd->at_work, false);
    g_autoptr(client_reply_t) second = client_read(crowd->queued, false);
    g_assert_cmpint(first->status, ==, 200);
    g_assert_cmpint(second->status, ==, 200);
    close(crowd->at_work);
    close(crowd->queued);
}

static void assert_put_off(const struct client_reply *reply)
{
    assert_problem(reply, 503, "UNAVAILABLE", "too many requests are waiting");
    assert_retry_after(reply, "1");
}

static void who_finds_the_queue_full_is_put_off(void)
{
    struct app *app = start_small();
    struct crowd crowd = crowd_come(app);
    static const char *const texts[] = {
        "GET /v1/items/2 HTTP/1.1\r\n" HOST "\r\n",
        "POST /v1/items HTTP/1.1\r\n" HOST TOKEN JSON CHUNKED "\r\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(client_reply_t) reply = client_request(app->port, texts[i]);
        assert_put_off(reply);
        g_assert_cmpint(rejected(app), ==, (int)i + 1);
    }
    g_autoptr(client_reply_t) inlined = client_request(app->port, "GET /health HTTP/1.1\r\n" HOST "\r\n");
    g_assert_cmpint(inlined->status, ==, 200);
    crowd_leave(&crowd);
    assert_calls(app, "");
    app_stop(app);
}

static void an_upload_that_finds_the_queue_full_is_put_off(void)
{
    struct app *app = start_small();
    int fd = client_connect(app->port);
    client_send(fd, PUT_BLOB TOKEN "Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n");
    g_autoptr(client_reply_t) word = client_read(fd, false);
    g_assert_cmpint(word->status, ==, 100);
    struct crowd crowd = crowd_come(app);
    g_autoptr(GString) body = make_bytes(300000);
    client_send_bytes(fd, body->str, body->len);
    g_autoptr(client_reply_t) reply = client_read(fd, false);
    assert_put_off(reply);
    g_assert_true(reply->is_closed);
    close(fd);
    crowd_leave(&crowd);
    assert_calls(app, "authenticate authorise");
    app_stop(app);
}

static bool has_abandoned(void *app)
{
    return app_read_int(app, &((struct app *)app)->abandoned) == 1;
}

static void a_handler_learns_that_its_client_has_gone(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect(app->port);
    client_send(fd, "GET /v1/gate HTTP/1.1\r\n" HOST "\r\n");
    app_wait_for_waiting(app, 1);
    g_assert_cmpint(app_read_int(app, &app->abandoned), ==, 0);
    close(fd);
    wait_until(has_abandoned, app);
    app_stop(app);
}

static void a_handler_learns_that_the_server_ends(void)
{
    struct app *app = app_start(NULL);
    int fd = client_connect(app->port);
    client_send(fd, "GET /v1/gate HTTP/1.1\r\n" HOST "\r\n");
    app_wait_for_waiting(app, 1);
    server_stop(g_steal_pointer(&app->server), 20);
    g_assert_cmpint(app_read_int(app, &app->abandoned), ==, 1);
    close(fd);
    app_stop(app);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/limits/" #name, name)
    ADD(a_head_over_its_limit_is_refused);
    ADD(the_hundred_and_first_header_is_refused);
    ADD(nothing_after_an_ambiguous_head_is_a_request);
    ADD(a_parser_of_unknown_layout_is_checked_by_its_list);
    ADD(what_comes_after_a_time_out_is_no_request);
    ADD(an_id_is_taken_over_up_to_64_letters);
    ADD(an_absolute_target_loses_its_origin);
    ADD(a_parameter_that_is_no_text_is_named);
    ADD(a_body_over_its_limit_is_refused_at_its_head);
    ADD(a_chunked_body_is_refused_where_it_passes_its_limit);
    ADD(the_rest_of_a_refused_body_is_swallowed);
    ADD(strangers_are_refused_before_their_body);
    ADD(who_tries_too_often_is_told_for_how_long_once);
    ADD(a_caller_is_asked_for_once);
    ADD(who_waits_for_our_word_gets_it);
    ADD(an_expectation_we_do_not_know_is_ignored);
    ADD(an_upload_comes_whole_and_in_order);
    ADD(an_upload_in_many_chunks_comes_whole);
    ADD(an_upload_over_its_limit_is_refused);
    ADD(an_upload_is_refused_before_its_first_piece);
    ADD(an_upload_that_is_refused_half_way_ends_there);
    ADD(who_finds_the_queue_full_is_put_off);
    ADD(an_upload_that_finds_the_queue_full_is_put_off);
    ADD(a_handler_learns_that_its_client_has_gone);
    ADD(a_handler_learns_that_the_server_ends);
    return g_test_run();
}
