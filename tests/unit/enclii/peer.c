#include "peer.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"

struct peer {
    char *folder;
    char *endpoint;
    int fd;
    char **replies;
    size_t piece_bytes;
    GThread *thread;
    GMutex lock;
    GCond came;
    GPtrArray *requests; /* under the lock */
};

static size_t content_length(const char *head)
{
    g_autofree char *lower = g_ascii_strdown(head, -1);
    const char *header = strstr(lower, "\r\ncontent-length:");
    return header != NULL ? (size_t)g_ascii_strtoull(header + 17, NULL, 10) : 0;
}

static bool is_whole(const GString *text)
{
    const char *end = strstr(text->str, "\r\n\r\n");
    return end != NULL && text->len >= (size_t)(end - text->str) + 4 + content_length(text->str);
}

static void read_request(struct peer *peer, int fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char bytes[4096];
    while (!is_whole(text)) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0) {
            break;
        }
        g_string_append_len(text, bytes, got);
    }
    g_mutex_lock(&peer->lock);
    g_ptr_array_add(peer->requests, g_strdup(text->str));
    g_cond_broadcast(&peer->came);
    g_mutex_unlock(&peer->lock);
}

static void answer(const struct peer *peer, int fd, const char *reply)
{
    size_t length = strlen(reply);
    size_t piece = peer->piece_bytes > 0 ? peer->piece_bytes : length;
    for (size_t at = 0; at < length; at += piece) {
        size_t left = MIN(piece, length - at);
        if (send(fd, reply + at, left, MSG_NOSIGNAL) != (ssize_t)left) {
            return;
        }
        if (left < length) {
            g_usleep(50); /* so that pieces arrive apart; a merged one only makes the test milder */
        }
    }
}

static gpointer run(gpointer data)
{
    struct peer *peer = data;
    for (char **reply = peer->replies; *reply != NULL; reply++) {
        g_auto(fd_t) fd = accept(peer->fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        read_request(peer, fd);
        answer(peer, fd, *reply);
    }
    return NULL;
}

struct peer *peer_new(const char *const *replies, size_t piece_bytes)
{
    struct peer *peer = g_new0(struct peer, 1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    peer->folder = g_dir_make_tmp("peer-XXXXXX", NULL);
    g_assert_nonnull(peer->folder);
    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/s", peer->folder);
    peer->endpoint = g_strconcat("unix:", address.sun_path, NULL);
    peer->replies = g_strdupv((char **)replies);
    peer->piece_bytes = piece_bytes;
    peer->requests = g_ptr_array_new_with_free_func(g_free);
    g_mutex_init(&peer->lock);
    g_cond_init(&peer->came);
    peer->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer->fd, (const struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(peer->fd, 8), ==, 0);
    peer->thread = g_thread_new("peer", run, peer);
    return peer;
}

void peer_free(struct peer *peer)
{
    shutdown(peer->fd, SHUT_RDWR); /* accept() returns */
    g_thread_join(peer->thread);
    close(peer->fd);
    g_assert_true(folder_remove(peer->folder, NULL));
    g_strfreev(peer->replies);
    g_ptr_array_unref(peer->requests);
    g_mutex_clear(&peer->lock);
    g_cond_clear(&peer->came);
    g_free(peer->folder);
    g_free(peer->endpoint);
    g_free(peer);
}

const char *peer_endpoint(const struct peer *peer)
{
    return peer->endpoint;
}

const char *peer_request(struct peer *peer, unsigned index)
{
    int64_t end_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    g_mutex_lock(&peer->lock);
    while (peer->requests->len <= index) {
        g_assert_true(g_cond_wait_until(&peer->came, &peer->lock, end_us));
    }
    const char *request = g_ptr_array_index(peer->requests, index);
    g_mutex_unlock(&peer->lock);
    return request;
}

char *peer_reply(int status, const char *headers, const char *body)
{
    return g_strdup_printf("HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s", status,
                           strlen(body), headers, body);
}
