/* The HTTP client against a peer that says anything. First byte: the method; second: how the body is taken. */
#include "../../src/base/http_client.c" /* the connection is private, and put in place here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(const void *bytes, size_t length, void *arg)
{
    size_t *left = arg;
    *left -= MIN(*left, length);
    return *left > 0;
}

static void check(const struct http_reply *reply, const struct http_exchange *exchange)
{
    bool is_collected = exchange->on_body == NULL || reply->status < 200 || reply->status > 299;
    if (reply->status < 100 || reply->status > 999 || (!is_collected && reply->body->len > 0) ||
        reply->body->len > exchange->limit_bytes) {
        g_printerr("a reply that cannot be\n");
        abort();
    }
    g_autofree char *type = http_reply_header(reply, "content-type");
    if (type != NULL && strpbrk(type, "\r\n") != NULL) {
        g_printerr("a header of two lines\n");
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE"};
    int pair[2];
    size_t left = 100;
    if (size < 2 || size > 100000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return 0;
    }
    struct http_client *client = http_client_new("unix:/nonexistent/peer", NULL);
    struct http_exchange exchange = {
        .method = methods[data[0] % 4], .target = "/", .timeout_ms = 1000, .limit_bytes = 4096, .on_body_arg = &left};
    exchange.on_body = data[1] % 2 == 1 ? take : NULL;
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    ssize_t sent = send(pair[1], data + 2, size - 2, MSG_NOSIGNAL);
    shutdown(pair[1], SHUT_WR);
    client->fd = pair[0];
    struct http_reply reply = {.headers = g_string_new(NULL), .body = g_string_new(NULL)};
    struct exchange state = {.client = client, .given = &exchange, .reply = &reply, .in = g_string_new(NULL)};
    g_autoptr(GError) error = NULL;
    touch(&state);
    bool ok = sent >= 0 && run(&state, &error);
    if (ok) {
        check(&reply, &exchange);
    } else if (error == NULL) {
        g_printerr("a failure without an error\n");
        abort();
    }
    g_string_free(state.in, TRUE);
    http_reply_clear(&reply);
    http_client_free(client);
    close(pair[1]);
    return 0;
}
