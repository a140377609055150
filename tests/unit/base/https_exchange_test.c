/* What goes over HTTPS and what comes back: a real HAProxy ends TLS in front of a peer whose every byte the test decides. */
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/http_client.h"
#include "certificate.h"
#include "peer.h"

/* The socket that HAProxy accepts from, bound here: nobody has to guess a free port. */
#define LISTEN_FD 11

struct setup {
    char *folder, *certificate;
    struct peer *peer;
    GPid haproxy;
    struct http_client *client;
};

static int listen_somewhere(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, length), ==, 0);
    g_assert_cmpint(listen(fd, 16), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void start_haproxy(struct setup *setup, int fd)
{
    g_autofree char *path = g_build_filename(setup->folder, "haproxy.cfg", NULL);
    g_autofree char *text =
        g_strdup_printf("defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n"
                        "  timeout server 60s\nlisten tls\n  bind fd@%d ssl crt %s\n  server peer %s\n",
                        LISTEN_FD, setup->certificate, setup->peer->endpoint + strlen("http://"));
    g_autoptr(GError) error = NULL;
    g_assert_true(file_replace(path, text, strlen(text), 0600, &error));
    const char *const argv[] = {"haproxy", "-q", "-db", "-f", path, NULL};
    const int targets[] = {LISTEN_FD};
    g_spawn_async_with_pipes_and_fds(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, -1,
                                     -1, -1, &fd, targets, 1, &setup->haproxy, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
}

static bool setup_begin(struct setup *setup, serve_fn serve, const void *arg)
{
    g_autofree char *haproxy = g_find_program_in_path("haproxy");
    g_autofree char *openssl = g_find_program_in_path("openssl");
    if (haproxy == NULL || openssl == NULL) {
        g_test_skip("haproxy or openssl is not installed");
        return false;
    }
    int port = 0;
    g_autoptr(GError) error = NULL;
    *setup = (struct setup){.folder = g_dir_make_tmp("https-exchange-XXXXXX", NULL)};
    setup->certificate = g_build_filename(setup->folder, "certificate.pem", NULL);
    setup->peer = peer_start(false, serve, arg);
    g_autofree char *key = g_strconcat(setup->certificate, ".key", NULL); /* where HAProxy looks for it */
    certificate_make(setup->certificate, key);
    g_auto(fd_t) fd = listen_somewhere(&port);
    start_haproxy(setup, fd);
    g_autofree char *endpoint = g_strdup_printf("https://127.0.0.1:%d", port);
    setup->client = http_client_new(endpoint, &error);
    g_assert_no_error(error);
    http_client_set_authorities(setup->client, setup->certificate, NULL);
    return true;
}

static void setup_end(struct setup *setup)
{
    http_client_free(setup->client);
    kill(setup->haproxy, SIGKILL);
    g_assert_cmpint(waitpid(setup->haproxy, NULL, 0), ==, setup->haproxy);
    peer_stop(setup->peer);
    g_assert_true(folder_remove(setup->folder, NULL));
    g_free(setup->folder);
    g_free(setup->certificate);
}

/* Answers each connection's requests with `arg`. */
static void serve_text(struct peer *peer, int fd, int number)
{
    while (peer_read_request(peer, fd)) {
        peer_send(fd, peer->arg);
    }
}

static void serve_then_close(struct peer *peer, int fd, int number)
{
    if (peer_read_request(peer, fd)) {
        peer_send(fd, peer->arg);
    }
}

static void serve_then_hang(struct peer *peer, int fd, int number)
{
    serve_then_close(peer, fd, number);
    peer_wait_closed(fd);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: greeting\r\n\r\nhello"

static void check_ok(struct setup *setup, const struct http_exchange *exchange, const char *body)
{
    g_autoptr(GError) error = NULL;
    g_auto(http_reply_t) reply = {0};
    bool ok = http_client_call(setup->client, exchange, &reply, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(reply.status, ==, 200);
    g_assert_cmpstr(reply.body->str, ==, body);
    g_autofree char *kind = http_reply_header(&reply, "x-kind");
    g_assert_cmpstr(kind, ==, "greeting");
}

static char *check_failed(struct setup *setup, const struct http_exchange *exchange, enum sy_code code)
{
    g_autoptr(GError) error = NULL;
    struct http_reply reply = {0};
    g_assert_false(http_client_call(setup->client, exchange, &reply, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    g_assert_null(reply.body);
    g_assert_null(reply.headers);
    return g_strdup(error->message);
}

static void head_and_body_are_sent(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_text, OK_HELLO)) {
        return;
    }
    const struct http_header headers[] = {{"Authorization", "Bearer hush"}, {"X-Twice", "1"}, {NULL, NULL}};
    g_autofree char *body = g_strnfill(300000, 'b');
    const struct http_exchange exchange = {.method = "POST",
                                           .target = "/v1/projects?x=1",
                                           .headers = headers,
                                           .body = body,
                                           .body_length = 300000,
                                           .timeout_ms = PEER_WAIT_MS};
    check_ok(&setup, &exchange, "hello");
    g_autofree char *requests = peer_requests(setup.peer);
    g_assert_true(g_str_has_prefix(requests, "POST /v1/projects?x=1 HTTP/1.1\r\n"));
    g_assert_nonnull(strstr(requests, "\r\nAuthorization: Bearer hush\r\n"));
    g_assert_nonnull(strstr(requests, "\r\nX-Twice: 1\r\n"));
    g_assert_null(strstr(requests, "Expect:"));
    g_assert_cmpstr(strstr(requests, "\r\n\r\n") + 4, ==, body);
    setup_end(&setup);
}

static int make_file(const char *text)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("upload-XXXXXX", &name, NULL);
    g_assert_true(fd_write_all(fd, text, strlen(text), NULL));
    lseek(fd, 0, SEEK_SET);
    unlink(name);
    return fd;
}

static void a_file_is_sent_whole_or_not_at_all(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_text, OK_HELLO)) {
        return;
    }
    g_auto(fd_t) fd = make_file("0123456789");
    struct http_exchange exchange = {
        .method = "PUT", .target = "/", .body_fd = fd, .body_length = 10, .timeout_ms = PEER_WAIT_MS};
    check_ok(&setup, &exchange, "hello");
    g_autofree char *requests = peer_requests(setup.peer);
    g_assert_true(g_str_has_suffix(requests, "\r\n\r\n0123456789"));
    lseek(fd, 0, SEEK_SET);
    exchange.body_length = 11; /* it has become shorter meanwhile */
    g_autofree char *message = check_failed(&setup, &exchange, SY_IO_FAILED);
    g_assert_cmpstr(message, ==, "the body of the request ended early"); /* and nobody cancelled it */
    g_autofree char *after = peer_requests(setup.peer);
    g_assert_cmpstr(after, ==, requests);
    setup_end(&setup);
}

static void a_head_has_no_body(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind: greeting\r\n\r\n")) {
        return;
    }
    const struct http_exchange exchange = {.method = "HEAD", .target = "/", .timeout_ms = PEER_WAIT_MS};
    check_ok(&setup, &exchange, "");
    setup_end(&setup);
}

static void a_body_has_a_limit(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_text, OK_HELLO)) {
        return;
    }
    struct http_exchange exchange = {.method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS, .limit_bytes = 5};
    check_ok(&setup, &exchange, "hello");
    exchange.limit_bytes = 4;
    g_autofree char *message = check_failed(&setup, &exchange, SY_TOO_LARGE);
    g_assert_nonnull(strstr(message, "is larger than 4 bytes"));
    setup_end(&setup);
}

static void a_reply_that_breaks_off_is_an_error(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_then_close, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")) {
        return;
    }
    const struct http_exchange exchange = {.method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS};
    g_autofree char *message = check_failed(&setup, &exchange, SY_UNAVAILABLE);
    g_assert_true(g_str_has_prefix(message, "https://127.0.0.1:"));
    setup_end(&setup);
}

static bool collect(const void *bytes, size_t length, void *arg)
{
    GString *text = arg;
    g_string_append_len(text, bytes, (gssize)length);
    return strstr(text->str, "stop") == NULL;
}

static void a_stream_may_be_ended_by_its_reader(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_then_hang, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nand so on stop")) {
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(http_reply_t) reply = {0};
    const struct http_exchange exchange = {
        .method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS, .on_body = collect, .on_body_arg = text};
    bool ok = http_client_call(setup.client, &exchange, &reply, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_true(reply.ended_early);
    g_assert_cmpstr(text->str, ==, "and so on stop");
    g_assert_cmpuint(reply.body->len, ==, 0);
    setup_end(&setup);
}

static void a_silent_stream_is_given_up(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_then_hang, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")) {
        return;
    }
    g_autoptr(GString) text = g_string_new(NULL);
    int64_t begin_us = g_get_monotonic_time();
    const struct http_exchange exchange = {
        .method = "GET", .target = "/", .timeout_ms = 1000, .on_body = collect, .on_body_arg = text};
    g_free(check_failed(&setup, &exchange, SY_TIMEOUT));
    g_assert_cmpstr(text->str, ==, "hello");
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 8 * G_USEC_PER_SEC);
    setup_end(&setup);
}

static void an_error_is_collected_where_a_stream_was_wanted(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_text, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nstop")) {
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(http_reply_t) reply = {0};
    const struct http_exchange exchange = {
        .method = "GET", .target = "/", .timeout_ms = PEER_WAIT_MS, .on_body = collect, .on_body_arg = text};
    bool ok = http_client_call(setup.client, &exchange, &reply, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpint(reply.status, ==, 403);
    g_assert_cmpstr(reply.body->str, ==, "stop");
    g_assert_cmpstr(text->str, ==, "");
    setup_end(&setup);
}

struct cancel {
    int cancelled;
    int64_t at_us; /* read after the thread has ended */
};

static gpointer cancel_soon(gpointer data)
{
    struct cancel *cancel = data;
    g_usleep(100000);
    cancel->at_us = g_get_monotonic_time();
    g_atomic_int_set(&cancel->cancelled, 1);
    return NULL;
}

static void a_call_can_be_cancelled(void)
{
    struct setup setup;
    if (!setup_begin(&setup, serve_then_hang, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")) {
        return;
    }
    struct cancel cancel = {0};
    GThread *thread = g_thread_new("cancel", cancel_soon, &cancel);
    const struct http_exchange exchange = {
        .method = "GET", .target = "/", .timeout_ms = 60000, .cancelled = &cancel.cancelled};
    g_free(check_failed(&setup, &exchange, SY_CANCELLED));
    int64_t end_us = g_get_monotonic_time();
    g_thread_join(thread);
    g_assert_cmpint(end_us - cancel.at_us, <, G_USEC_PER_SEC);
    setup_end(&setup);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("NO_PROXY", "127.0.0.1", TRUE);
#define ADD(name) g_test_add_func("/https/exchange/" #name, name)
    ADD(head_and_body_are_sent);
    ADD(a_file_is_sent_whole_or_not_at_all);
    ADD(a_head_has_no_body);
    ADD(a_body_has_a_limit);
    ADD(a_reply_that_breaks_off_is_an_error);
    ADD(a_stream_may_be_ended_by_its_reader);
    ADD(a_silent_stream_is_given_up);
    ADD(an_error_is_collected_where_a_stream_was_wanted);
    ADD(a_call_can_be_cancelled);
    return g_test_run();
}
