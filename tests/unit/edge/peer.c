#include "peer.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_S 30

struct peer {
    char *name;
    int fd, port;
    GThread *thread;
    GMutex lock;
    GCond changed;
    bool is_healthy, is_released;
    int served, held, connections;
    GPtrArray *open; /* of GINT_TO_POINTER(fd) */
};

struct connection {
    struct peer *peer;
    int fd;
};

/* --- bytes ------------------------------------------------------------------------------------------------------------- */

static void set_patience(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

bool client_send(int fd, const void *bytes, size_t length)
{
    const char *p = bytes;
    while (length > 0) {
        ssize_t sent = send(fd, p, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        p += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* Reads until the head is whole; what follows it stays in `buffer` after `*ret_head`. */
static bool read_head(int fd, GString *buffer, char **ret_head)
{
    char *end;
    while ((end = strstr(buffer->str, "\r\n\r\n")) == NULL) {
        char bytes[4096];
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0 || buffer->len > 65536) {
            return false;
        }
        g_string_append_len(buffer, bytes, got);
    }
    *ret_head = g_ascii_strdown(buffer->str, end + 4 - buffer->str);
    g_string_erase(buffer, 0, end + 4 - buffer->str);
    return true;
}

static char *header_of(const char *head, const char *name)
{
    g_autofree char *start = g_strdup_printf("\r\n%s:", name);
    const char *line = strstr(head, start);
    return line != NULL ? g_strstrip(g_strndup(line + strlen(start), strcspn(line + strlen(start), "\r"))) : NULL;
}

static int64_t body_length(const char *head)
{
    g_autofree char *text = header_of(head, "content-length");
    return text != NULL ? g_ascii_strtoll(text, NULL, 10) : 0;
}

/* --- server ------------------------------------------------------------------------------------------------------------- */

static bool reply(int fd, int status, const char *body)
{
    g_autofree char *text = g_strdup_printf("HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nX-Request-Id: theirs\r\n"
                                            "Content-Length: %zu\r\n\r\n%s",
                                            status, strlen(body), body);
    return client_send(fd, text, strlen(text));
}

static int64_t swallow(int fd, GString *buffer, int64_t length)
{
    char bytes[65536];
    int64_t got = MIN((int64_t)buffer->len, length);
    g_string_erase(buffer, 0, got);
    while (got < length) {
        ssize_t n = recv(fd, bytes, (size_t)MIN((int64_t)sizeof bytes, length - got), 0);
        if (n <= 0) {
            break;
        }
        got += n;
    }
    return got;
}

static void echo(int fd, GString *buffer)
{
    static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char bytes[1024];
    bool ok = client_send(fd, upgraded, strlen(upgraded)) && client_send(fd, buffer->str, buffer->len);
    while (ok) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        ok = got > 0 && client_send(fd, bytes, (size_t)got);
    }
}

static void hold(struct peer *peer)
{
    g_mutex_lock(&peer->lock);
    peer->held++;
    g_cond_broadcast(&peer->changed);
    while (!peer->is_released) {
        g_cond_wait(&peer->changed, &peer->lock);
    }
    peer->held--;
    g_mutex_unlock(&peer->lock);
}

static bool answer_one(struct peer *peer, int fd, GString *buffer)
{
    g_autofree char *head = NULL;
    if (!read_head(fd, buffer, &head)) {
        return false;
    }
    bool is_check = g_str_has_prefix(head, "get /healthz");
    g_mutex_lock(&peer->lock);
    bool is_healthy = peer->is_healthy;
    peer->served += !is_check;
    g_mutex_unlock(&peer->lock);
    if (is_check) {
        return reply(fd, is_healthy ? 204 : 500, "") && strstr(head, "connection: close") == NULL;
    }
    if (strstr(head, "upgrade: websocket") != NULL) {
        echo(fd, buffer);
        return false;
    }
    if (g_str_has_prefix(head, "get /held")) {
        hold(peer);
    }
    if (g_str_has_prefix(head, "post ")) {
        g_autofree char *body = g_strdup_printf("%" G_GINT64_FORMAT, swallow(fd, buffer, body_length(head)));
        return reply(fd, 200, body);
    }
    return reply(fd, 200, g_str_has_prefix(head, "get /headers") ? head : peer->name);
}

static gpointer serve_connection(gpointer data)
{
    struct connection *connection = data;
    struct peer *peer = connection->peer;
    g_autoptr(GString) buffer = g_string_new(NULL);
    set_patience(connection->fd);
    while (answer_one(peer, connection->fd, buffer)) {
    }
    g_mutex_lock(&peer->lock);
    g_ptr_array_remove_fast(peer->open, GINT_TO_POINTER(connection->fd));
    close(connection->fd);
    peer->connections--;
    g_cond_broadcast(&peer->changed);
    g_mutex_unlock(&peer->lock);
    g_free(connection);
    return NULL;
}

static gpointer accept_all(gpointer data)
{
    struct peer *peer = data;
    int fd;
    while ((fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = g_new0(struct connection, 1);
        connection->peer = peer;
        connection->fd = fd;
        g_mutex_lock(&peer->lock);
        peer->connections++;
        g_ptr_array_add(peer->open, GINT_TO_POINTER(fd));
        g_mutex_unlock(&peer->lock);
        g_thread_unref(g_thread_new("peer", serve_connection, connection));
    }
    return NULL;
}

struct peer *peer_new(const char *name)
{
    struct peer *peer = g_new0(struct peer, 1);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    g_mutex_init(&peer->lock);
    g_cond_init(&peer->changed);
    peer->name = g_strdup(name);
    peer->is_healthy = true;
    peer->open = g_ptr_array_new();
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer->fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(peer->fd, 512), ==, 0);
    g_assert_cmpint(getsockname(peer->fd, (struct sockaddr *)&address, &length), ==, 0);
    peer->port = ntohs(address.sin_port);
    peer->thread = g_thread_new("peer", accept_all, peer);
    return peer;
}

void peer_free(struct peer *peer)
{
    shutdown(peer->fd, SHUT_RDWR);
    g_thread_join(peer->thread);
    close(peer->fd);
    peer_release(peer);
    g_mutex_lock(&peer->lock);
    for (guint i = 0; i < peer->open->len; i++) {
        shutdown(GPOINTER_TO_INT(g_ptr_array_index(peer->open, i)), SHUT_RDWR);
    }
    while (peer->connections > 0) {
        g_cond_wait(&peer->changed, &peer->lock);
    }
    g_mutex_unlock(&peer->lock);
    g_ptr_array_unref(peer->open);
    g_mutex_clear(&peer->lock);
    g_cond_clear(&peer->changed);
    g_free(peer->name);
    g_free(peer);
}

int peer_port(const struct peer *peer)
{
    return peer->port;
}

void peer_set_healthy(struct peer *peer, bool is_healthy)
{
    g_mutex_lock(&peer->lock);
    peer->is_healthy = is_healthy;
    g_mutex_unlock(&peer->lock);
}

static int read_counter(struct peer *peer, const int *counter)
{
    g_mutex_lock(&peer->lock);
    int value = *counter;
    g_mutex_unlock(&peer->lock);
    return value;
}

int peer_served(struct peer *peer)
{
    return read_counter(peer, &peer->served);
}

int peer_held(struct peer *peer)
{
    return read_counter(peer, &peer->held);
}

void peer_release(struct peer *peer)
{
    g_mutex_lock(&peer->lock);
    peer->is_released = true;
    g_cond_broadcast(&peer->changed);
    g_mutex_unlock(&peer->lock);
}

/* --- client ------------------------------------------------------------------------------------------------------------ */

void answer_clear(struct answer *answer)
{
    g_clear_pointer(&answer->head, g_free);
    g_clear_pointer(&answer->body, g_free);
    answer->status = 0;
}

char *answer_header(const struct answer *answer, const char *name)
{
    return answer->head != NULL ? header_of(answer->head, name) : NULL;
}

int client_connect_from(const char *source, int port)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(inet_pton(AF_INET, source, &own.sin_addr), ==, 1);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    set_patience(fd);
    return fd;
}

int client_connect(int port)
{
    return client_connect_from("127.0.0.1", port);
}

void client_receive(int fd, struct answer *ret_answer)
{
    g_autoptr(GString) buffer = g_string_new(NULL);
    *ret_answer = (struct answer){0};
    if (!read_head(fd, buffer, &ret_answer->head)) {
        return;
    }
    int64_t length = body_length(ret_answer->head);
    while ((int64_t)buffer->len < length) {
        char bytes[4096];
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0) {
            return;
        }
        g_string_append_len(buffer, bytes, got);
    }
    ret_answer->status = (int)g_ascii_strtoll(ret_answer->head + strlen("http/1.1 "), NULL, 10);
    ret_answer->body = g_string_free(g_steal_pointer(&buffer), FALSE);
}

void client_get(int port, const char *host, const char *path, const char *more, struct answer *ret_answer)
{
    client_get_from("127.0.0.1", port, host, path, more, ret_answer);
}

void client_get_from(const char *source, int port, const char *host, const char *path, const char *more,
                     struct answer *ret_answer)
{
    int fd = client_connect_from(source, port);
    g_autofree char *request =
        g_strdup_printf("GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", path, host, more);
    *ret_answer = (struct answer){0};
    if (fd >= 0 && client_send(fd, request, strlen(request))) {
        client_receive(fd, ret_answer);
    }
    if (fd >= 0) {
        close(fd);
    }
}
