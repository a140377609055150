#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int client_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

int client_connect_unix(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

void client_send_bytes(int fd, const void *bytes, size_t length)
{
    const char *p = bytes;
    while (length > 0) {
        ssize_t n = send(fd, p, length, MSG_NOSIGNAL);
        if (n < 0) {
            return; /* the server may refuse to read on */
        }
        p += n;
        length -= (size_t)n;
    }
}

void client_send(int fd, const char *text)
{
    client_send_bytes(fd, text, strlen(text));
}

/* Appends what comes; 0 at the end of the stream, -1 when nothing comes in time. */
static ssize_t read_some(int fd, GString *into)
{
    char buffer[65536];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, CLIENT_WAIT_MS) <= 0) {
        return -1;
    }
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n > 0) {
        g_string_append_len(into, buffer, n);
    }
    return n < 0 ? 0 : n;
}

char *client_reply_header(const struct client_reply *reply, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(reply->head, "\r\n", -1);
    g_autofree char *prefix = g_strconcat(name, ": ", NULL);
    for (char **line = lines; *line != NULL; line++) {
        if (g_ascii_strncasecmp(*line, prefix, strlen(prefix)) == 0) {
            return g_strdup(*line + strlen(prefix));
        }
    }
    return NULL;
}

/* Reads exactly one byte at a time up to the blank line, so that a following reply stays in the socket. */
static GString *read_head(int fd)
{
    GString *head = g_string_new(NULL);
    while (!g_str_has_suffix(head->str, "\r\n\r\n")) {
        char c;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, CLIENT_WAIT_MS) <= 0 || recv(fd, &c, 1, 0) != 1) {
            g_string_free(head, TRUE);
            return NULL;
        }
        g_string_append_c(head, c);
    }
    return head;
}

static bool read_exactly(int fd, GString *into, size_t length)
{
    while (length > 0) {
        char buffer[65536];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, CLIENT_WAIT_MS) <= 0) {
            return false;
        }
        ssize_t n = recv(fd, buffer, MIN(length, sizeof buffer), 0);
        if (n <= 0) {
            return false;
        }
        g_string_append_len(into, buffer, n);
        length -= (size_t)n;
    }
    return true;
}

static bool read_chunks(int fd, GString *into)
{
    while (true) {
        g_autoptr(GString) line = g_string_new(NULL);
        while (!g_str_has_suffix(line->str, "\r\n")) {
            if (!read_exactly(fd, line, 1)) {
                return false;
            }
        }
        size_t size = g_ascii_strtoull(line->str, NULL, 16);
        g_autoptr(GString) end = g_string_new(NULL);
        if (!read_exactly(fd, into, size) || !read_exactly(fd, end, 2)) {
            return false;
        }
        if (size == 0) {
            return true;
        }
    }
}

struct client_reply *client_read(int fd, bool is_head)
{
    GString *head = read_head(fd);
    if (head == NULL) {
        return NULL;
    }
    struct client_reply *reply = g_new0(struct client_reply, 1);
    reply->head = g_string_free(head, FALSE);
    reply->body = g_string_new(NULL);
    reply->status = (int)g_ascii_strtoll(reply->head + strlen("HTTP/1.1 "), NULL, 10);
    g_autofree char *length = client_reply_header(reply, "Content-Length");
    g_autofree char *coding = client_reply_header(reply, "Transfer-Encoding");
    bool has_body = !is_head && reply->status >= 200 && reply->status != 204 && reply->status != 304;
    if (has_body && coding != NULL) {
        g_assert_true(read_chunks(fd, reply->body));
    } else if (has_body && length != NULL) {
        g_assert_true(read_exactly(fd, reply->body, g_ascii_strtoull(length, NULL, 10)));
    } else if (has_body) {
        while (read_some(fd, reply->body) > 0) {
        }
    }
    g_autofree char *connection = client_reply_header(reply, "Connection");
    reply->is_closed = connection != NULL && g_ascii_strcasecmp(connection, "close") == 0;
    return reply;
}

void client_reply_free(struct client_reply *reply)
{
    if (reply != NULL) {
        g_free(reply->head);
        g_string_free(reply->body, TRUE);
        g_free(reply);
    }
}

char *client_read_until(int fd, const char *text)
{
    g_autoptr(GString) seen = g_string_new(NULL);
    while (strstr(seen->str, text) == NULL) {
        if (read_some(fd, seen) <= 0) {
            return NULL;
        }
    }
    return g_strdup(seen->str);
}

bool client_is_closed(int fd)
{
    g_autoptr(GString) rest = g_string_new(NULL);
    ssize_t n;
    while ((n = read_some(fd, rest)) > 0) {
    }
    return n == 0;
}

struct client_reply *client_request(int port, const char *text)
{
    int fd = client_connect(port);
    client_send(fd, text);
    bool is_head = g_str_has_prefix(text, "HEAD ");
    struct client_reply *reply = client_read(fd, is_head);
    close(fd);
    return reply;
}

void wait_until(bool (*fn)(void *arg), void *arg)
{
    int64_t end_us = g_get_monotonic_time() + CLIENT_WAIT_MS * 1000;
    while (!fn(arg)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
    }
}
