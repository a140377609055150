#include "base/http_client.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/http_client_internal.h"
#include "base/quantity.h"

#define DEFAULT_LIMIT (16 << 20)
#define HEAD_LIMIT (64 << 10)
#define PIECE (64 << 10)
#define SLICE_MS 100

struct http_client {
    char *endpoint;
    char *path;        /* unix */
    char *host, *port; /* TCP */
    bool is_https;
    char *authority_file, *authority_folder;
    int fd; /* the kept connection, or -1 */
};

/* --- endpoints ---------------------------------------------------------------------------------------------------------------- */

static bool parse_url(struct http_client *client, const char *endpoint, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(endpoint, G_URI_FLAGS_NONE, NULL);
    const char *scheme = uri != NULL ? g_uri_get_scheme(uri) : NULL;
    bool is_known = scheme != NULL && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    bool is_bare = is_known && g_uri_get_userinfo(uri) == NULL && g_uri_get_query(uri) == NULL &&
                   g_uri_get_fragment(uri) == NULL && g_uri_get_path(uri)[strspn(g_uri_get_path(uri), "/")] == '\0';
    if (!is_bare || g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0') {
        sy_fail(error, SY_INVALID_INPUT, "%s is no endpoint", endpoint);
        sy_error_set_hint(error, "Give unix:PATH, http://HOST:PORT or https://HOST.");
        return false;
    }
    client->is_https = strcmp(scheme, "https") == 0;
    client->host = g_strdup(g_uri_get_host(uri));
    client->port = g_strdup_printf("%d", g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : 80);
    return true;
}

struct http_client *http_client_new(const char *endpoint, GError **error)
{
    struct http_client *client = g_new0(struct http_client, 1);
    client->fd = -1;
    client->endpoint = g_strdup(endpoint);
    if (g_str_has_suffix(client->endpoint, "/") && !g_str_has_prefix(endpoint, "unix:")) {
        client->endpoint[strlen(endpoint) - 1] = '\0';
    }
    if (g_str_has_prefix(endpoint, "unix:")) {
        const char *path = endpoint + strlen("unix:");
        client->path = g_strdup(g_str_has_prefix(path, "//") ? path + 2 : path);
        if (*client->path == '\0' || strlen(client->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
            sy_fail(error, SY_INVALID_INPUT, "%s: the path of a socket has 1 to 107 bytes", endpoint);
            g_clear_pointer(&client, http_client_free);
        }
    } else if (!parse_url(client, endpoint, error)) {
        g_clear_pointer(&client, http_client_free);
    }
    return client;
}

static void disconnect(struct http_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
}

void http_client_set_authorities(struct http_client *client, const char *file, const char *folder)
{
    g_free(client->authority_file);
    g_free(client->authority_folder);
    client->authority_file = g_strdup(file);
    client->authority_folder = g_strdup(folder);
}

void http_client_free(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    disconnect(client);
    g_free(client->authority_file);
    g_free(client->authority_folder);
    g_free(client->endpoint);
    g_free(client->path);
    g_free(client->host);
    g_free(client->port);
    g_free(client);
}

/* --- waiting ------------------------------------------------------------------------------------------------------------------ */

struct exchange {
    struct http_client *client;
    const struct http_exchange *given;
    struct http_reply *reply;
    int64_t deadline_us; /* INT64_MAX: none */
    GString *in;         /* received, not yet used */
    bool has_received;   /* a byte of the reply has come */
    bool is_answered;    /* the reply began before the whole request was out: the rest is not sent */
    bool is_end;         /* the peer has closed */
    bool is_1_0;         /* of the reply: closed by default */
};

static void touch(struct exchange *exchange)
{
    exchange->deadline_us =
        exchange->given->timeout_ms > 0 ? g_get_monotonic_time() + exchange->given->timeout_ms * 1000 : INT64_MAX;
}

static bool wait_for(struct exchange *exchange, short events, GError **error)
{
    const struct http_exchange *given = exchange->given;
    for (;;) {
        int64_t left_us = exchange->deadline_us - g_get_monotonic_time();
        if (given->cancelled != NULL && g_atomic_int_get(given->cancelled) != 0) {
            return sy_fail(error, SY_CANCELLED, "cancelled");
        }
        if (left_us <= 0) {
            return sy_fail(error, SY_TIMEOUT, "%s did not answer within %" G_GINT64_FORMAT " ms",
                           exchange->client->endpoint, given->timeout_ms);
        }
        struct pollfd poll_fd = {.fd = exchange->client->fd, .events = events};
        int64_t slice = given->cancelled != NULL ? SLICE_MS : 60000;
        int ready = poll(&poll_fd, 1, (int)MIN(slice, left_us / 1000 + 1));
        if (ready > 0) {
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            return sy_fail_errno(error, errno, "poll");
        }
    }
}

/* --- connecting ----------------------------------------------------------------------------------------------------------------- */

static bool refuse(const struct http_client *client, int saved_errno, GError **error)
{
    return sy_fail(error, SY_UNAVAILABLE, "%s: %s", client->endpoint, g_strerror(saved_errno));
}

/* Non-blocking. True when it is connected. */
static bool connect_to(struct exchange *exchange, const struct sockaddr *address, socklen_t length, GError **error)
{
    struct http_client *client = exchange->client;
    client->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0) {
        return refuse(client, errno, error);
    }
    if (connect(client->fd, address, length) == 0) {
        return true;
    }
    int failure = errno;
    if (failure == EINPROGRESS) {
        socklen_t size = sizeof failure;
        if (!wait_for(exchange, POLLOUT, error)) {
            disconnect(client);
            return false;
        }
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    if (failure != 0) {
        disconnect(client);
        return refuse(client, failure, error);
    }
    return true;
}

static bool connect_unix(struct exchange *exchange, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, exchange->client->path, strlen(exchange->client->path));
    return connect_to(exchange, (struct sockaddr *)&address, sizeof address, error);
}

static bool connect_tcp(struct exchange *exchange, GError **error)
{
    struct http_client *client = exchange->client;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(client->host, client->port, &hints, &found);
    if (failure != 0) {
        return sy_fail(error, SY_UNAVAILABLE, "%s: %s", client->endpoint, gai_strerror(failure));
    }
    bool ok = false;
    for (struct addrinfo *item = found; item != NULL && !ok; item = item->ai_next) {
        g_clear_error(error);
        ok = connect_to(exchange, item->ai_addr, item->ai_addrlen, error);
    }
    freeaddrinfo(found);
    if (ok) {
        int one = 1;
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return ok;
}

/* --- sending ---------------------------------------------------------------------------------------------------------------------- */

/* A refusal (413, 401) may come before the whole body is out; then we stop sending and read it. */
static bool has_answer(struct exchange *exchange)
{
    struct pollfd poll_fd = {.fd = exchange->client->fd, .events = POLLIN};
    exchange->is_answered = poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLIN) != 0;
    return exchange->is_answered;
}

/* True when all is out, or when the peer has answered before. */
static bool send_all(struct exchange *exchange, const char *bytes, size_t length, GError **error)
{
    struct http_client *client = exchange->client;
    while (length > 0) {
        ssize_t sent = send(client->fd, bytes, length, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if (sent < 0 && errno == EAGAIN) {
            if (!wait_for(exchange, POLLOUT | POLLIN, error)) {
                return false;
            }
            if (has_answer(exchange)) {
                return true;
            }
        } else if (errno != EINTR) {
            return refuse(client, errno, error);
        }
    }
    return true;
}

static bool send_file(struct exchange *exchange, GError **error)
{
    g_autofree char *piece = g_malloc(PIECE);
    size_t left = exchange->given->body_length;
    while (left > 0 && !has_answer(exchange)) {
        ssize_t got = read(exchange->given->body_fd, piece, MIN(left, PIECE));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return sy_fail(error, SY_IO_FAILED, "the body of the request ended early");
        }
        if (!send_all(exchange, piece, (size_t)got, error)) {
            return false;
        }
        left -= (size_t)got;
    }
    return true;
}

static GString *make_head(const struct exchange *exchange)
{
    const struct http_exchange *given = exchange->given;
    const struct http_client *client = exchange->client;
    GString *head = g_string_sized_new(512);
    bool is_v6 = client->host != NULL && strchr(client->host, ':') != NULL;
    g_string_append_printf(head, "%s %s HTTP/1.1\r\nHost: %s%s%s%s%s\r\n", given->method, given->target,
                           is_v6 ? "[" : "", client->host != NULL ? client->host : "localhost", is_v6 ? "]" : "",
                           client->port != NULL ? ":" : "", client->port != NULL ? client->port : "");
    for (const struct http_header *h = given->headers; h != NULL && h->name != NULL; h++) {
        g_string_append_printf(head, "%s: %s\r\n", h->name, h->value);
    }
    bool may_have_body = strcmp(given->method, "GET") != 0 && strcmp(given->method, "HEAD") != 0;
    if (given->body_length > 0 || may_have_body) {
        g_string_append_printf(head, "Content-Length: %zu\r\n", given->body_length);
    }
    g_string_append(head, "\r\n");
    return head;
}

static bool send_request(struct exchange *exchange, GError **error)
{
    const struct http_exchange *given = exchange->given;
    g_autoptr(GString) head = make_head(exchange);
    if (given->body != NULL && given->body_length <= PIECE) {
        g_string_append_len(head, given->body, (gssize)given->body_length);
        return send_all(exchange, head->str, head->len, error);
    }
    return send_all(exchange, head->str, head->len, error) &&
           (given->body_length == 0 || (given->body != NULL ? send_all(exchange, given->body, given->body_length, error)
                                                            : send_file(exchange, error)));
}

/* --- receiving ---------------------------------------------------------------------------------------------------------------------- */

/* More bytes, or the end of the connection (is_end). */
static bool receive(struct exchange *exchange, GError **error)
{
    struct http_client *client = exchange->client;
    char bytes[16384];
    for (;;) {
        ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);
        if (got > 0) {
            exchange->has_received = true;
            g_string_append_len(exchange->in, bytes, got);
            if (exchange->given->on_body != NULL) {
                touch(exchange); /* a stream's time-out is between two pieces */
            }
            return true;
        }
        if (got == 0) {
            exchange->is_end = true;
            return true;
        }
        if (errno == EAGAIN) {
            if (!wait_for(exchange, POLLIN, error)) {
                return false;
            }
        } else if (errno != EINTR) {
            return refuse(client, errno, error);
        }
    }
}

static bool no_http(const struct exchange *exchange, const char *what, GError **error)
{
    return sy_fail(error, SY_INTERNAL, "%s does not speak HTTP: %s", exchange->client->endpoint, what);
}

static bool closed_early(const struct exchange *exchange, GError **error)
{
    return sy_fail(error, SY_UNAVAILABLE, "%s closed the connection in the middle of its reply",
                   exchange->client->endpoint);
}

/* The head's length including the empty line; 0 while it is not whole. */
static size_t head_length(const GString *in)
{
    const char *end = memmem(in->str, in->len, "\r\n\r\n", 4);
    return end != NULL ? (size_t)(end - in->str) + 4 : 0;
}

static bool parse_status(struct exchange *exchange, const char *line, GError **error)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7]) || line[8] != ' ' || line[9] < '1' ||
        line[9] > '9' || !isdigit((unsigned char)line[10]) || !isdigit((unsigned char)line[11]) ||
        (line[12] != ' ' && line[12] != '\0')) {
        return no_http(exchange, "no status line", error);
    }
    exchange->is_1_0 = line[7] == '0';
    exchange->reply->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    return true;
}

static bool parse_head(struct exchange *exchange, size_t length, GError **error)
{
    bool has_nul = memchr(exchange->in->str, '\0', length) != NULL;
    g_autofree char *text = g_strndup(exchange->in->str, length);
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
    g_string_erase(exchange->in, 0, (gssize)length);
    g_string_truncate(exchange->reply->headers, 0);
    if (has_nul) {
        return no_http(exchange, "a NUL in its head", error);
    }
    if (!parse_status(exchange, lines[0], error)) {
        return false;
    }
    for (char **line = lines + 1; *line != NULL && **line != '\0'; line++) {
        char *colon = strchr(*line, ':');
        size_t name_length = strcspn(*line, ": \t");
        bool is_whole = colon == *line + name_length && name_length > 0 && (*line)[strcspn(*line, "\r\n")] == '\0';
        if (!is_whole) {
            return no_http(exchange, "a broken header", error);
        }
        *colon = '\0';
        g_autofree char *name = g_ascii_strdown(*line, -1);
        g_string_append_printf(exchange->reply->headers, "%s: %s\n", name, g_strstrip(colon + 1));
    }
    return true;
}

static bool read_head(struct exchange *exchange, GError **error)
{
    do {
        size_t length;
        while ((length = head_length(exchange->in)) == 0) {
            if (exchange->in->len > HEAD_LIMIT) {
                return sy_fail(error, SY_TOO_LARGE, "the head of the reply is larger than %d bytes", HEAD_LIMIT);
            }
            if (!receive(exchange, error)) {
                return false;
            }
            if (exchange->is_end) {
                return exchange->in->len > 0 ? no_http(exchange, "it closed within the head", error)
                                             : closed_early(exchange, error);
            }
        }
        if (!parse_head(exchange, length, error)) {
            return false;
        }
    } while (exchange->reply->status >= 100 && exchange->reply->status < 200 && exchange->reply->status != 101);
    return true;
}

/* False with ended_early set: the caller of the exchange has enough. */
static bool deliver(struct exchange *exchange, const char *bytes, size_t length, GError **error)
{
    const struct http_exchange *given = exchange->given;
    struct http_reply *reply = exchange->reply;
    if (length == 0) {
        return true;
    }
    if (given->on_body != NULL && reply->status >= 200 && reply->status < 300) {
        reply->ended_early = !given->on_body(bytes, length, given->on_body_arg);
        return !reply->ended_early;
    }
    size_t limit = given->limit_bytes > 0 ? given->limit_bytes : DEFAULT_LIMIT;
    if (reply->body->len + length > limit) {
        return sy_fail(error, SY_TOO_LARGE, "the reply of %s is larger than %zu bytes", exchange->client->endpoint,
                       limit);
    }
    g_string_append_len(reply->body, bytes, (gssize)length);
    return true;
}

/* Hands out at most `left` of what has been received; 0 left: all. Returns how much, or -1. */
static ssize_t deliver_some(struct exchange *exchange, int64_t left, GError **error)
{
    size_t length = exchange->in->len;
    if (left >= 0 && (int64_t)length > left) {
        length = (size_t)left;
    }
    if (!deliver(exchange, exchange->in->str, length, error)) {
        return -1;
    }
    g_string_erase(exchange->in, 0, (gssize)length);
    return (ssize_t)length;
}

static bool read_sized(struct exchange *exchange, int64_t left, GError **error)
{
    while (left > 0) {
        if (exchange->in->len == 0) {
            if (!receive(exchange, error)) {
                return false;
            }
            if (exchange->is_end) {
                return closed_early(exchange, error);
            }
        }
        ssize_t length = deliver_some(exchange, left, error);
        if (length < 0) {
            return false;
        }
        left -= length;
    }
    return true;
}

static bool read_to_end(struct exchange *exchange, GError **error)
{
    while (!exchange->is_end) {
        if (deliver_some(exchange, -1, error) < 0 || !receive(exchange, error)) {
            return false;
        }
    }
    return deliver_some(exchange, -1, error) >= 0;
}

/* A line of the chunked framing, without CRLF; taken out of `in`. */
static char *read_line(struct exchange *exchange, GError **error)
{
    const char *end;
    while ((end = memmem(exchange->in->str, exchange->in->len, "\r\n", 2)) == NULL) {
        if (exchange->in->len > 8192) {
            no_http(exchange, "an endless chunk head", error);
            return NULL;
        }
        if (!receive(exchange, error)) {
            return NULL;
        }
        if (exchange->is_end) {
            closed_early(exchange, error);
            return NULL;
        }
    }
    size_t length = (size_t)(end - exchange->in->str);
    char *line = g_strndup(exchange->in->str, length);
    g_string_erase(exchange->in, 0, (gssize)length + 2);
    return line;
}

/* RFC 9112 section 7.1 */
static bool read_chunked(struct exchange *exchange, GError **error)
{
    for (;;) {
        g_autofree char *line = read_line(exchange, error);
        if (line == NULL) {
            return false;
        }
        size_t digits = strspn(line, "0123456789abcdefABCDEF");
        if (digits == 0 || digits > 15) {
            return no_http(exchange, "a broken chunk size", error);
        }
        int64_t size = g_ascii_strtoll(line, NULL, 16);
        if (size == 0) {
            break;
        }
        if (!read_sized(exchange, size, error)) {
            return false;
        }
        g_autofree char *empty = read_line(exchange, error);
        if (empty == NULL) {
            return false;
        }
        if (*empty != '\0') {
            return no_http(exchange, "a chunk longer than it said", error);
        }
    }
    for (;;) { /* trailers */
        g_autofree char *line = read_line(exchange, error);
        if (line == NULL) {
            return false;
        }
        if (*line == '\0') {
            return true;
        }
    }
}

static bool read_body(struct exchange *exchange, bool *ret_keep, GError **error)
{
    const struct http_reply *reply = exchange->reply;
    g_autofree char *encoding = http_reply_header(reply, "transfer-encoding");
    g_autofree char *length = http_reply_header(reply, "content-length");
    g_autofree char *connection = http_reply_header(reply, "connection");
    *ret_keep = connection != NULL ? g_ascii_strcasecmp(connection, "close") != 0 : !exchange->is_1_0;
    bool has_none = strcmp(exchange->given->method, "HEAD") == 0 || reply->status == 204 || reply->status == 304;
    if (has_none) {
        return true;
    }
    if (encoding != NULL) {
        *ret_keep = *ret_keep && length == NULL; /* RFC 9112 section 6.3: such a message is not to be trusted */
        return g_ascii_strcasecmp(encoding, "chunked") == 0
                   ? read_chunked(exchange, error)
                   : no_http(exchange, "a transfer encoding that nobody asked for", error);
    }
    int64_t size;
    if (length != NULL) {
        return int_parse(length, 0, INT64_MAX, &size) ? read_sized(exchange, size, error)
                                                      : no_http(exchange, "a broken Content-Length", error);
    }
    *ret_keep = false;
    return read_to_end(exchange, error);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------------ */

/* What can be read from an idle connection is its end, or belongs to no request of ours. */
static void drop_if_closed(struct exchange *exchange)
{
    if (exchange->client->fd >= 0 && has_answer(exchange)) {
        disconnect(exchange->client);
    }
    exchange->is_answered = false;
}

static bool run(struct exchange *exchange, GError **error)
{
    struct http_client *client = exchange->client;
    bool keep = false;
    bool ok =
        (client->fd >= 0 || (client->path != NULL ? connect_unix(exchange, error) : connect_tcp(exchange, error)));
    if (!ok) {
        return false;
    }
    GError *send_error = NULL;
    bool sent = send_request(exchange, &send_error);
    if (!sent && !g_error_matches(send_error, SY_ERROR, SY_UNAVAILABLE)) {
        g_propagate_error(error, send_error);
        disconnect(client);
        return false;
    }
    /* A peer that refuses a body closes while we send; its reply may be there all the same. */
    g_clear_error(&send_error);
    ok = read_head(exchange, error) && read_body(exchange, &keep, error);
    if (!ok && exchange->reply->ended_early) {
        g_clear_error(error);
        ok = true;
        keep = false;
    }
    if (!ok || !keep || !sent || exchange->is_answered || exchange->in->len > 0 || exchange->is_end) {
        disconnect(client);
    }
    return ok;
}

static bool is_repeatable(const char *method)
{
    static const char *const repeatable[] = {"GET", "HEAD", "PUT", "DELETE", NULL};
    return g_strv_contains(repeatable, method);
}

bool http_client_call(struct http_client *client, const struct http_exchange *given, struct http_reply *ret_reply,
                      GError **error)
{
    struct exchange exchange = {.client = client, .given = given, .reply = ret_reply};
    *ret_reply = (struct http_reply){.headers = g_string_new(NULL), .body = g_string_new(NULL)};
    if (client->is_https) {
        const struct http_authorities authorities = {client->authority_file, client->authority_folder};
        bool ok = http_curl_call(client->endpoint, &authorities, given, ret_reply, error);
        if (!ok) {
            http_reply_clear(ret_reply);
        }
        return ok;
    }
    drop_if_closed(&exchange);
    bool was_kept = client->fd >= 0;
    GError *failure = NULL;
    exchange.in = g_string_new(NULL);
    touch(&exchange);
    bool ok = run(&exchange, &failure);
    bool is_stale = !ok && was_kept && !exchange.has_received && g_error_matches(failure, SY_ERROR, SY_UNAVAILABLE) &&
                    is_repeatable(given->method) && (given->body != NULL || given->body_length == 0);
    if (is_stale) {
        g_clear_error(&failure);
        exchange.is_end = false;
        ok = run(&exchange, &failure);
    }
    g_string_free(exchange.in, TRUE);
    if (!ok) {
        http_reply_clear(ret_reply);
        g_propagate_error(error, failure);
    }
    return ok;
}

char *http_reply_header(const struct http_reply *reply, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = reply->headers->str; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            return g_strndup(line + length + 2, (gsize)(end - line) - length - 2);
        }
        line = end != NULL ? end + 1 : NULL;
    }
    return NULL;
}

void http_reply_clear(struct http_reply *reply)
{
    if (reply->headers != NULL) {
        g_string_free(g_steal_pointer(&reply->headers), TRUE);
    }
    if (reply->body != NULL) {
        g_string_free(g_steal_pointer(&reply->body), TRUE);
    }
}
