/* The HTTP client against peers that behave, misbehave and vanish. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/http_client.h"
#include "peer.h"

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* --- helpers -------------------------------------------------------------------------------------------------------- */

static struct http_client *client_of(const struct peer *peer)
{
    g_autoptr(GError) error = NULL;
    struct http_client *client = http_client_new(peer->endpoint, &error);
    g_assert_no_error(error);
    return client;
}

static void call_with(struct http_client *client, const struct http_exchange *exchange, int status, const char *body)
{
    g_autoptr(GError) error = NULL;
    g_auto(http_reply_t) reply = {0};
    bool ok = http_client_call(client, exchange, &reply, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(reply.status, ==, status);
    g_assert_cmpstr(reply.body->str, ==, body);
}

static void call(struct http_client *client, const char *method, int status, const char *body)
{
    const struct http_exchange exchange = {.method = method, .target = "/x", .timeout_ms = PEER_WAIT_MS};
    call_with(client, &exchange, status, body);
}

static void fail_with(struct http_client *client, const struct http_exchange *exchange, enum sy_code code)
{
    g_autoptr(GError) error = NULL;
    struct http_reply reply = {0};
    g_assert_false(http_client_call(client, exchange, &reply, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    g_assert_null(reply.headers);
    g_assert_null(reply.body);
}

static void fail(struct http_client *client, const char *method, enum sy_code code)
{
    const struct http_exchange exchange = {.method = method, .target = "/x", .timeout_ms = PEER_WAIT_MS};
    fail_with(client, &exchange, code);
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p++) {
        n++;
    }
    return n;
}

/* Answers every request of every connection with peer->arg. */
static void serve_all(struct peer *peer, int fd, int number)
{
    while (peer_read_request(peer, fd)) {
        peer_send(fd, peer->arg);
    }
}

/* Answers one request, then closes. */
static void serve_one(struct peer *peer, int fd, int number)
{
    if (peer_read_request(peer, fd)) {
        peer_send(fd, peer->arg);
    }
}

/* --- connections ------------------------------------------------------------------------------------------------------- */

static void speak(bool is_unix)
{
    struct peer *peer = peer_start(is_unix, serve_all,
                                   "HTTP/1.1 201 Created\r\nX-Thing:  a b \r\ncontent-length: 2\r\nEmpty:\r\n\r\n{}");
    struct http_client *client = client_of(peer);
    const struct http_header headers[] = {{"X-One", "1"}, {"X-Two", "zwei"}, {NULL, NULL}};
    const struct http_exchange exchange = {.method = "POST",
                                           .target = "/v1/things?a=b",
                                           .headers = headers,
                                           .body = "body",
                                           .body_length = 4,
                                           .timeout_ms = PEER_WAIT_MS};
    g_autoptr(GError) error = NULL;
    g_auto(http_reply_t) reply = {0};
    g_assert_true(http_client_call(client, &exchange, &reply, &error));
    g_assert_cmpint(reply.status, ==, 201);
    g_assert_cmpstr(reply.body->str, ==, "{}");
    g_assert_cmpstr(reply.headers->str, ==, "x-thing: a b\ncontent-length: 2\nempty: \n");
    g_autofree char *thing = http_reply_header(&reply, "x-thing");
    g_autofree char *empty = http_reply_header(&reply, "empty");
    g_assert_cmpstr(thing, ==, "a b");
    g_assert_cmpstr(empty, ==, "");
    g_assert_null(http_reply_header(&reply, "x-thin"));
    g_autofree char *request = peer_requests(peer);
    g_assert_true(g_str_has_prefix(request, "POST /v1/things?a=b HTTP/1.1\r\nHost: "));
    g_assert_nonnull(strstr(request, "\r\nX-One: 1\r\nX-Two: zwei\r\nContent-Length: 4\r\n\r\nbody"));
    http_client_free(client);
    peer_stop(peer);
}

static void speaks_over_a_unix_socket(void)
{
    speak(true);
}

static void speaks_over_tcp(void)
{
    speak(false);
}

static void one_connection_serves_many_calls(void)
{
    struct peer *peer = peer_start(true, serve_all, OK_HELLO);
    struct http_client *client = client_of(peer);
    for (int i = 0; i < 5; i++) {
        call(client, i % 2 == 0 ? "GET" : "POST", 200, "hello");
    }
    g_assert_cmpint(peer_connections(peer), ==, 1);
    http_client_free(client);
    peer_stop(peer);
}

static void a_connection_that_ends_is_not_kept(void)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n", /* more than was asked for */
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
        g_test_message("case %zu", i);
        struct peer *peer = peer_start(true, serve_one, replies[i]);
        struct http_client *client = client_of(peer);
        call(client, "POST", 200, "hello");
        call(client, "POST", 200, "hello");
        g_assert_cmpint(peer_connections(peer), ==, 2);
        http_client_free(client);
        peer_stop(peer);
    }
}

/* Nothing has been sent on it yet: any method may take a new one. */
static void a_kept_connection_that_was_closed_is_noticed(void)
{
    struct peer *peer = peer_start(true, serve_one, OK_HELLO);
    struct http_client *client = client_of(peer);
    for (int i = 0; i < 3; i++) {
        call(client, "POST", 200, "hello");
        peer_wait_served(peer, i + 1);
    }
    g_assert_cmpint(peer_connections(peer), ==, 3);
    http_client_free(client);
    peer_stop(peer);
}

/* The first connection answers once and then takes a request without answering; later ones answer. */
static void serve_then_hang_up(struct peer *peer, int fd, int number)
{
    if (number == 0) {
        serve_one(peer, fd, number);
        peer_read_request(peer, fd);
    } else {
        serve_all(peer, fd, number);
    }
}

static void only_what_may_be_repeated_is_sent_again(void)
{
    static const struct {
        const char *method;
        bool is_repeated;
    } cases[] = {{"GET", true}, {"HEAD", true}, {"PUT", true}, {"DELETE", true}, {"POST", false}, {"PATCH", false}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct peer *peer = peer_start(true, serve_then_hang_up, OK_HELLO);
        struct http_client *client = client_of(peer);
        call(client, "GET", 200, "hello");
        g_test_message("%s", cases[i].method);
        if (cases[i].is_repeated) {
            call(client, cases[i].method, 200, strcmp(cases[i].method, "HEAD") == 0 ? "" : "hello");
        } else {
            fail(client, cases[i].method, SY_UNAVAILABLE);
        }
        g_autofree char *requests = peer_requests(peer);
        g_autofree char *line = g_strconcat(cases[i].method, " /x HTTP/1.1\r\n", NULL);
        bool is_get = strcmp(cases[i].method, "GET") == 0;
        g_assert_cmpint(count(requests, line), ==, (cases[i].is_repeated ? 2 : 1) + is_get);
        http_client_free(client);
        peer_stop(peer);
    }
}

static void serve_nothing(struct peer *peer, int fd, int number)
{
    peer_read_request(peer, fd);
}

static void a_fresh_connection_that_fails_is_not_tried_again(void)
{
    struct peer *peer = peer_start(true, serve_nothing, NULL);
    struct http_client *client = client_of(peer);
    fail(client, "GET", SY_UNAVAILABLE);
    g_assert_cmpint(peer_connections(peer), ==, 1);
    http_client_free(client);
    peer_stop(peer);
}

static void nobody_there_is_told_with_the_endpoint(void)
{
    static const char *const endpoints[] = {"unix:/nonexistent/socket", "http://127.0.0.1:1"};
    for (size_t i = 0; i < G_N_ELEMENTS(endpoints); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(http_client_t) client = http_client_new(endpoints[i], &error);
        struct http_reply reply = {0};
        const struct http_exchange exchange = {.method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS};
        g_assert_false(http_client_call(client, &exchange, &reply, &error));
        g_assert_error(error, SY_ERROR, SY_UNAVAILABLE);
        g_assert_true(g_str_has_prefix(error->message, endpoints[i]));
    }
}

static void endpoints_are_checked(void)
{
    static const char *const good[] = {"unix:/run/x.sock",  "unix:///run/x.sock", "http://localhost",
                                       "http://[::1]:8080", "http://h:1/",        "https://example.com"};
    static const char *const bad[] = {"",
                                      "unix:",
                                      "/run/x.sock",
                                      "ftp://h",
                                      "http://",
                                      "http:///",
                                      "http://h:99999",
                                      "http://user@h",
                                      "http://h/path",
                                      "http://h?x",
                                      "http://h#x",
                                      "unix:/1234567890123456789012345678901234567890123456789012345678901234567890"
                                      "123456789012345678901234567890123456789"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(http_client_t) client = http_client_new(good[i], &error);
        g_assert_no_error(error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", bad[i]);
        g_assert_null(http_client_new(bad[i], &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    }
}

/* --- bodies ---------------------------------------------------------------------------------------------------------------- */

#define CHUNKED                                                                                                        \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n06;name=\"x\"\r\n world\r\n0\r\nTrailer: "     \
    "x\r\n\r\n"

/* Connection n sends the reply in two pieces, cut at n. */
static void serve_cut(struct peer *peer, int fd, int number)
{
    size_t cut = MIN((size_t)number, strlen(peer->arg));
    if (peer_read_request(peer, fd)) {
        peer_send_bytes(fd, peer->arg, cut);
        peer_wait_read(fd);
        peer_send(fd, (const char *)peer->arg + cut);
        peer_wait_closed(fd);
    }
}

static void a_reply_may_be_cut_anywhere(void)
{
    static const char *const replies[] = {CHUNKED, "HTTP/1.1 200 OK\r\ncontent-length:11\r\n\r\nhello world"};
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
        struct peer *peer = peer_start(true, serve_cut, replies[i]);
        for (size_t cut = 0; cut <= strlen(replies[i]); cut++) {
            struct http_client *client = client_of(peer);
            call(client, "GET", 200, "hello world");
            http_client_free(client);
        }
        peer_stop(peer);
    }
}

static void serve_bytewise(struct peer *peer, int fd, int number)
{
    while (peer_read_request(peer, fd)) {
        for (const char *p = peer->arg; *p != '\0'; p++) {
            peer_send_bytes(fd, p, 1);
            peer_wait_read(fd);
        }
    }
}

static void a_reply_may_come_byte_by_byte(void)
{
    struct peer *peer = peer_start(true, serve_bytewise, "HTTP/1.1 100 Continue\r\n\r\n" CHUNKED);
    struct http_client *client = client_of(peer);
    call(client, "GET", 200, "hello world");
    call(client, "GET", 200, "hello world");
    g_assert_cmpint(peer_connections(peer), ==, 1);
    http_client_free(client);
    peer_stop(peer);
}

static void replies_without_a_body_have_none(void)
{
    static const struct {
        const char *method, *reply;
        int status;
    } cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200},
        {"DELETE", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304},
        {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct peer *peer = peer_start(true, serve_all, cases[i].reply);
        struct http_client *client = client_of(peer);
        call(client, cases[i].method, cases[i].status, "");
        call(client, cases[i].method, cases[i].status, "");
        g_assert_cmpint(peer_connections(peer), ==, 1);
        http_client_free(client);
        peer_stop(peer);
    }
}

static void a_reply_that_breaks_off_is_an_error(void)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5",
        "HTTP/1.1 100 Continue\r\n\r\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
        g_test_message("case %zu", i);
        struct peer *peer = peer_start(true, serve_one, replies[i]);
        struct http_client *client = client_of(peer);
        fail(client, "GET", SY_UNAVAILABLE);
        http_client_free(client);
        peer_stop(peer);
    }
}

static void what_is_not_http_is_an_error(void)
{
    static const char *const replies[] = {
        "\r\n\r\n",
        "hello\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nblank : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
        g_test_message("case %zu", i);
        struct peer *peer = peer_start(true, serve_one, replies[i]);
        struct http_client *client = client_of(peer);
        fail(client, "GET", SY_INTERNAL);
        http_client_free(client);
        peer_stop(peer);
    }
}

static void serve_nul(struct peer *peer, int fd, int number)
{
    static const char bytes[] = "\0HTTP/1.1 200 OK\r\n\r\n";
    size_t start = number == 0 ? 0 : 1;
    if (peer_read_request(peer, fd)) {
        peer_send_bytes(fd, bytes + start, sizeof bytes - 1 - start - 4);
        peer_send_bytes(fd, "\r\nX: \0\r\n\r\n", 10);
    }
}

static void a_nul_in_the_head_is_an_error(void)
{
    struct peer *peer = peer_start(true, serve_nul, NULL);
    for (int i = 0; i < 2; i++) {
        struct http_client *client = client_of(peer);
        fail(client, "GET", SY_INTERNAL);
        http_client_free(client);
    }
    peer_stop(peer);
}

static void serve_endless(struct peer *peer, int fd, int number)
{
    g_autofree char *much = g_strnfill(200000, 'x');
    if (peer_read_request(peer, fd)) {
        peer_send(fd, peer->arg);
        peer_send(fd, much);
        peer_wait_closed(fd);
    }
}

static void endless_framing_is_cut_short(void)
{
    static const struct {
        const char *start;
        enum sy_code code;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nX: ", SY_TOO_LARGE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", SY_INTERNAL},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", SY_INTERNAL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct peer *peer = peer_start(true, serve_endless, cases[i].start);
        struct http_client *client = client_of(peer);
        fail(client, "GET", cases[i].code);
        http_client_free(client);
        peer_stop(peer);
    }
}

static void a_body_has_a_limit(void)
{
    static const char *const replies[] = {OK_HELLO, "HTTP/1.0 200 OK\r\n\r\nhello",
                                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                          "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
        struct peer *peer = peer_start(true, serve_one, replies[i]);
        struct http_client *client = client_of(peer);
        struct http_exchange exchange = {.method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS, .limit_bytes = 5};
        call_with(client, &exchange, 200, "hello");
        exchange.limit_bytes = 4;
        fail_with(client, &exchange, SY_TOO_LARGE);
        http_client_free(client);
        peer_stop(peer);
    }
}

/* --- time ---------------------------------------------------------------------------------------------------------------------- */

static void serve_hanging(struct peer *peer, int fd, int number)
{
    if (peer_read_request(peer, fd)) {
        peer_send(fd, peer->arg);
        peer_wait_closed(fd);
    }
}

static void a_peer_that_hangs_is_given_up(void)
{
    static const char *const starts[] = {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"};
    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        struct peer *peer = peer_start(true, serve_hanging, starts[i]);
        struct http_client *client = client_of(peer);
        const struct http_exchange exchange = {.method = "GET", .target = "/", .timeout_ms = 150};
        int64_t start_us = g_get_monotonic_time();
        fail_with(client, &exchange, SY_TIMEOUT);
        int64_t took_us = g_get_monotonic_time() - start_us;
        g_assert_cmpint(took_us, >=, 150000);
        g_assert_cmpint(took_us, <, 5000000);
        http_client_free(client);
        peer_stop(peer);
    }
}

/* A byte every 100 ms, 15 of them: longer than the time-out in all, never long between two. */
static void serve_trickle(struct peer *peer, int fd, int number)
{
    if (peer_read_request(peer, fd)) {
        peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n");
        for (int i = 0; i < 15; i++) {
            g_usleep(100000); /* the pace is what is tested */
            peer_send(fd, "x");
        }
    }
}

static bool count_bytes(const void *bytes, size_t length, void *arg)
{
    *(size_t *)arg += length;
    return true;
}

static void a_time_out_is_for_all_or_for_each_piece_of_a_stream(void)
{
    struct peer *peer = peer_start(true, serve_trickle, NULL);
    struct http_client *client = client_of(peer);
    size_t n = 0;
    struct http_exchange exchange = {
        .method = "GET", .target = "/", .timeout_ms = 1000, .on_body = count_bytes, .on_body_arg = &n};
    call_with(client, &exchange, 200, "");
    g_assert_cmpuint(n, ==, 15);
    exchange.on_body = NULL;
    fail_with(client, &exchange, SY_TIMEOUT);
    http_client_free(client);
    peer_stop(peer);
}

static gpointer cancel_when_connected(gpointer data)
{
    void **arg = data;
    struct peer *peer = arg[0];
    for (int i = 0; i < PEER_WAIT_MS && peer_connections(peer) == 0; i++) {
        g_usleep(1000);
    }
    g_atomic_int_set((int *)arg[1], 1);
    return NULL;
}

static void a_call_can_be_cancelled(void)
{
    int cancelled = 0;
    struct peer *peer = peer_start(true, serve_hanging, "HTTP/1.1 200 OK\r\n");
    struct http_client *client = client_of(peer);
    const struct http_exchange exchange = {.method = "GET", .target = "/", .cancelled = &cancelled};
    void *arg[] = {peer, &cancelled};
    GThread *thread = g_thread_new("cancel", cancel_when_connected, arg);
    fail_with(client, &exchange, SY_CANCELLED);
    g_thread_join(thread);
    http_client_free(client);
    peer_stop(peer);
}

/* --- streams ---------------------------------------------------------------------------------------------------------------------- */

static bool stop_at_five(const void *bytes, size_t length, void *arg)
{
    g_string_append_len(arg, bytes, (gssize)length);
    return ((GString *)arg)->len < 5;
}

static void a_stream_may_be_ended_by_its_reader(void)
{
    static const char *const replies[] = {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
                                          "HTTP/1.1 200 OK\r\n\r\nhello", CHUNKED};
    for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
        struct peer *peer = peer_start(true, serve_hanging, replies[i]);
        struct http_client *client = client_of(peer);
        for (int j = 0; j < 2; j++) {
            g_autoptr(GString) seen = g_string_new(NULL);
            g_autoptr(GError) error = NULL;
            g_auto(http_reply_t) reply = {0};
            const struct http_exchange exchange = {.method = "GET",
                                                   .target = "/",
                                                   .timeout_ms = PEER_WAIT_MS,
                                                   .on_body = stop_at_five,
                                                   .on_body_arg = seen};
            g_assert_true(http_client_call(client, &exchange, &reply, &error));
            g_assert_no_error(error);
            g_assert_true(reply.ended_early);
            g_assert_true(g_str_has_prefix(seen->str, "hello"));
        }
        g_assert_cmpint(peer_connections(peer), ==, 2);
        http_client_free(client);
        peer_stop(peer);
    }
}

static void an_error_is_collected_where_a_stream_was_wanted(void)
{
    size_t n = 0;
    struct peer *peer = peer_start(true, serve_all, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
    struct http_client *client = client_of(peer);
    const struct http_exchange exchange = {
        .method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS, .on_body = count_bytes, .on_body_arg = &n};
    call_with(client, &exchange, 404, "gone");
    g_assert_cmpuint(n, ==, 0);
    http_client_free(client);
    peer_stop(peer);
}

/* --- uploads ---------------------------------------------------------------------------------------------------------------------- */

/* A file of `length` bytes that has no name any more. */
static int make_file(size_t length)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("upload-XXXXXX", &name, NULL);
    g_autofree char *bytes = g_malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)('a' + i % 23);
    }
    g_assert_true(fd_write_all(fd, bytes, length, NULL));
    lseek(fd, 0, SEEK_SET);
    unlink(name);
    return fd;
}

static void a_file_is_sent_whole(void)
{
    static const size_t length = 1 << 20;
    struct peer *peer = peer_start(true, serve_all, OK_HELLO);
    struct http_client *client = client_of(peer);
    g_auto(fd_t) fd = make_file(length);
    const struct http_exchange exchange = {
        .method = "PUT", .target = "/", .body_fd = fd, .body_length = length, .timeout_ms = PEER_WAIT_MS};
    call_with(client, &exchange, 200, "hello");
    g_autofree char *requests = peer_requests(peer);
    const char *body = strstr(requests, "\r\n\r\n") + 4;
    g_assert_cmpuint(strlen(body), ==, length);
    for (size_t i = 0; i < length; i++) {
        if (body[i] != (char)('a' + i % 23)) {
            g_error("byte %zu is wrong", i);
        }
    }
    http_client_free(client);
    peer_stop(peer);
}

static void a_file_that_is_too_short_is_an_error(void)
{
    struct peer *peer = peer_start(true, serve_one, OK_HELLO);
    struct http_client *client = client_of(peer);
    g_auto(fd_t) fd = make_file(10);
    const struct http_exchange exchange = {
        .method = "PUT", .target = "/", .body_fd = fd, .body_length = 11, .timeout_ms = PEER_WAIT_MS};
    fail_with(client, &exchange, SY_IO_FAILED);
    http_client_free(client);
    peer_stop(peer);
}

/* Reads the head only, answers, and leaves the body in the socket. */
static void serve_refusal(struct peer *peer, int fd, int number)
{
    char byte;
    g_autoptr(GString) head = g_string_new(NULL);
    while (!g_str_has_suffix(head->str, "\r\n\r\n") && read(fd, &byte, 1) == 1) {
        g_string_append_c(head, byte);
    }
    peer_send(fd, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
    if (number == 0) {
        peer_wait_read(fd);
        peer_wait_closed(fd);
    }
}

/* The rest of the body was never sent, so the connection is of no further use. */
static void a_refusal_in_the_middle_of_an_upload_is_read(bool is_file)
{
    static const size_t length = 8 << 20;
    struct peer *peer = peer_start(true, serve_refusal, NULL);
    struct http_client *client = client_of(peer);
    g_auto(fd_t) fd = make_file(length);
    g_autofree char *body = g_malloc0(length);
    const struct http_exchange exchange = {.method = "POST",
                                           .target = "/",
                                           .body = is_file ? NULL : body,
                                           .body_fd = fd,
                                           .body_length = length,
                                           .timeout_ms = PEER_WAIT_MS};
    call_with(client, &exchange, 413, "big");
    call(client, "GET", 413, "big");
    g_assert_cmpint(peer_connections(peer), ==, 2);
    http_client_free(client);
    peer_stop(peer);
}

static void a_refusal_while_a_file_is_sent_is_read(void)
{
    a_refusal_in_the_middle_of_an_upload_is_read(true);
}

static void a_refusal_while_memory_is_sent_is_read(void)
{
    a_refusal_in_the_middle_of_an_upload_is_read(false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/http_client/" #name, name)
    ADD(speaks_over_a_unix_socket);
    ADD(speaks_over_tcp);
    ADD(one_connection_serves_many_calls);
    ADD(a_connection_that_ends_is_not_kept);
    ADD(a_kept_connection_that_was_closed_is_noticed);
    ADD(only_what_may_be_repeated_is_sent_again);
    ADD(a_fresh_connection_that_fails_is_not_tried_again);
    ADD(nobody_there_is_told_with_the_endpoint);
    ADD(endpoints_are_checked);
    ADD(a_reply_may_be_cut_anywhere);
    ADD(a_reply_may_come_byte_by_byte);
    ADD(replies_without_a_body_have_none);
    ADD(a_reply_that_breaks_off_is_an_error);
    ADD(what_is_not_http_is_an_error);
    ADD(a_nul_in_the_head_is_an_error);
    ADD(endless_framing_is_cut_short);
    ADD(a_body_has_a_limit);
    ADD(a_peer_that_hangs_is_given_up);
    ADD(a_time_out_is_for_all_or_for_each_piece_of_a_stream);
    ADD(a_call_can_be_cancelled);
    ADD(a_stream_may_be_ended_by_its_reader);
    ADD(an_error_is_collected_where_a_stream_was_wanted);
    ADD(a_file_is_sent_whole);
    ADD(a_file_that_is_too_short_is_an_error);
    ADD(a_refusal_while_a_file_is_sent_is_read);
    ADD(a_refusal_while_memory_is_sent_is_read);
    return g_test_run();
}
