#include "peer.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"

static int listen_unix(struct peer *peer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    peer->folder = g_dir_make_tmp("peer-XXXXXX", NULL);
    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", peer->folder);
    peer->endpoint = g_strconcat("unix:", address.sun_path, NULL);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

static int listen_tcp(struct peer *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &length), ==, 0);
    peer->endpoint = g_strdup_printf("http://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static void *accept_all(void *data)
{
    struct peer *peer = data;
    int fd;
    while ((fd = accept(peer->listen_fd, NULL, NULL)) >= 0) {
        g_mutex_lock(&peer->lock);
        int number = peer->n_connections++;
        g_mutex_unlock(&peer->lock);
        peer->serve(peer, fd, number);
        close(fd);
        g_mutex_lock(&peer->lock);
        peer->n_served++;
        g_cond_broadcast(&peer->changed);
        g_mutex_unlock(&peer->lock);
    }
    return NULL;
}

struct peer *peer_start(bool is_unix, serve_fn serve, const void *arg)
{
    struct peer *peer = g_new0(struct peer, 1);
    g_mutex_init(&peer->lock);
    g_cond_init(&peer->changed);
    peer->requests = g_string_new(NULL);
    peer->serve = serve;
    peer->arg = arg;
    peer->listen_fd = is_unix ? listen_unix(peer) : listen_tcp(peer);
    g_assert_cmpint(listen(peer->listen_fd, 16), ==, 0);
    peer->thread = g_thread_new("peer", accept_all, peer);
    return peer;
}

void peer_stop(struct peer *peer)
{
    shutdown(peer->listen_fd, SHUT_RDWR); /* ends accept() */
    g_thread_join(peer->thread);
    close(peer->listen_fd);
    if (peer->folder != NULL) {
        g_assert_true(folder_remove(peer->folder, NULL));
    }
    g_string_free(peer->requests, TRUE);
    g_free(peer->folder);
    g_free(peer->endpoint);
    g_mutex_clear(&peer->lock);
    g_cond_clear(&peer->changed);
    g_free(peer);
}

int peer_connections(struct peer *peer)
{
    g_mutex_lock(&peer->lock);
    int n = peer->n_connections;
    g_mutex_unlock(&peer->lock);
    return n;
}

void peer_wait_served(struct peer *peer, int n)
{
    int64_t end_us = g_get_monotonic_time() + PEER_WAIT_MS * 1000;
    g_mutex_lock(&peer->lock);
    while (peer->n_served < n) {
        g_assert_true(g_cond_wait_until(&peer->changed, &peer->lock, end_us));
    }
    g_mutex_unlock(&peer->lock);
}

char *peer_requests(struct peer *peer)
{
    g_mutex_lock(&peer->lock);
    char *text = g_strdup(peer->requests->str);
    g_mutex_unlock(&peer->lock);
    return text;
}

/* 0 at the end; the test fails when nothing comes in time. */
static size_t read_some(int fd, char *bytes, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    g_assert_cmpint(poll(&poll_fd, 1, PEER_WAIT_MS), ==, 1);
    ssize_t n = recv(fd, bytes, size, 0);
    return n > 0 ? (size_t)n : 0;
}

static size_t body_length(const char *head)
{
    const char *line = strstr(head, "Content-Length: ");
    return line != NULL ? g_ascii_strtoull(line + strlen("Content-Length: "), NULL, 10) : 0;
}

bool peer_read_request(struct peer *peer, int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char byte;
    while (!g_str_has_suffix(text->str, "\r\n\r\n")) {
        if (read_some(fd, &byte, 1) == 0) {
            return false;
        }
        g_string_append_c(text, byte);
    }
    size_t left = body_length(text->str);
    while (left > 0) {
        char bytes[65536];
        size_t n = read_some(fd, bytes, MIN(left, sizeof bytes));
        if (n == 0) {
            return false;
        }
        g_string_append_len(text, bytes, (gssize)n);
        left -= n;
    }
    g_mutex_lock(&peer->lock);
    g_string_append_len(peer->requests, text->str, (gssize)text->len);
    g_mutex_unlock(&peer->lock);
    return true;
}

void peer_send_bytes(int fd, const void *bytes, size_t length)
{
    const char *p = bytes;
    while (length > 0) {
        ssize_t n = send(fd, p, length, MSG_NOSIGNAL);
        if (n < 0) {
            return; /* the client may have gone */
        }
        p += n;
        length -= (size_t)n;
    }
}

void peer_send(int fd, const char *text)
{
    peer_send_bytes(fd, text, strlen(text));
}

void peer_wait_read(int fd)
{
    int64_t end_us = g_get_monotonic_time() + PEER_WAIT_MS * 1000;
    int unread = 1;
    while (ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        g_thread_yield();
    }
}

void peer_wait_closed(int fd)
{
    char bytes[4096];
    while (read_some(fd, bytes, sizeof bytes) > 0) {
    }
}
