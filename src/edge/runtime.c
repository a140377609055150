/* HAProxy's two sockets: one command, one connection, one deadline, one bounded reply. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "edge/internal.h"

#define DEADLINE_US (10 * G_USEC_PER_SEC)
#define REPLY_LIMIT ((size_t)64 << 20)
#define MASTER_PATIENCE_US (3 * G_USEC_PER_SEC) /* the master is away for a moment while it reloads */
#define PAUSE_US (5 * 1000)

static bool is_in_time(int fd, short events, int64_t deadline_us)
{
    for (;;) {
        int64_t left_us = deadline_us - g_get_monotonic_time();
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int ready = left_us > 0 ? poll(&poll_fd, 1, (int)(left_us / 1000) + 1) : 0;
        if (ready >= 0 || errno != EINTR) {
            return ready > 0;
        }
    }
}

static int open_socket(const char *path, int64_t deadline_us, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_auto(fd_t) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int failure = fd < 0 ? errno : EAGAIN;
    while (failure == EAGAIN || failure == EINTR) { /* EAGAIN: its queue is full for the moment */
        failure = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
        if (failure == EAGAIN && g_get_monotonic_time() < deadline_us) {
            g_usleep(PAUSE_US);
        } else if (failure == EAGAIN) {
            failure = ETIMEDOUT;
        }
    }
    if (failure != 0) {
        sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy does not answer on %s: %s", path, g_strerror(failure));
        return -1;
    }
    int opened = fd;
    fd = -1;
    return opened;
}

static bool send_all(int fd, const char *text, size_t length, int64_t deadline_us, GError **error)
{
    while (length > 0) {
        ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
        if (sent > 0) {
            text += sent;
            length -= (size_t)sent;
        } else if (errno == EAGAIN && is_in_time(fd, POLLOUT, deadline_us)) {
            continue;
        } else if (errno != EINTR) {
            return sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy does not take a command: %s", g_strerror(errno));
        }
    }
    shutdown(fd, SHUT_WR); /* the master keeps the connection until its client has said all */
    return true;
}

static GString *receive_all(int fd, int64_t deadline_us, GError **error)
{
    g_autoptr(GString) reply = g_string_new(NULL);
    char bytes[16384];
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got == 0) {
            return g_steal_pointer(&reply);
        }
        if (got > 0 && reply->len + (size_t)got <= REPLY_LIMIT) {
            g_string_append_len(reply, bytes, got);
        } else if (got > 0) {
            sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy's reply is too large");
            return NULL;
        } else if (errno == EAGAIN && !is_in_time(fd, POLLIN, deadline_us)) {
            sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy does not answer in time");
            return NULL;
        } else if (errno != EAGAIN && errno != EINTR) {
            sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy broke off: %s", g_strerror(errno));
            return NULL;
        }
    }
}

static GString *ask(const char *path, const char *command, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + DEADLINE_US;
    g_auto(fd_t) fd = open_socket(path, deadline_us, error);
    g_autofree char *line = g_strconcat(command, "\n", NULL);
    if (fd < 0 || !send_all(fd, line, strlen(line), deadline_us, error)) {
        return NULL;
    }
    return receive_all(fd, deadline_us, error);
}

GString *edge_command(struct edge *edge, enum edge_socket socket, const char *command, GError **error)
{
    int64_t start_us = g_get_monotonic_time();
    GString *reply = ask(edge->socket_paths[socket], command, error);
    if (reply == NULL) {
        g_prefix_error(error, "%.*s: ", (int)strcspn(command, "\n"), command);
    }
    g_mutex_lock(&edge->stats_lock);
    edge->stats.calls++;
    edge->stats.failures += reply == NULL;
    edge->stats.us_total += g_get_monotonic_time() - start_us;
    g_mutex_unlock(&edge->stats_lock);
    return reply;
}

bool edge_order(struct edge *edge, const char *command, GError **error)
{
    g_autoptr(GString) reply = edge_command(edge, EDGE_STATS_SOCKET, command, error);
    if (reply == NULL) {
        return false;
    }
    g_strstrip(reply->str);
    return reply->str[0] == '\0' ||
           sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy refused \"%s\": %.300s", command, reply->str);
}

bool edge_ask_info(struct edge *edge, struct edge_info *ret_info, GError **error)
{
    g_autoptr(GString) reply = edge_command(edge, EDGE_STATS_SOCKET, "show info", error);
    return reply != NULL && edge_parse_info(reply->str, reply->len, ret_info, error);
}

bool edge_ask_servers(struct edge *edge, GPtrArray **ret_servers, GError **error)
{
    g_autoptr(GString) reply = edge_command(edge, EDGE_STATS_SOCKET, "show servers state", error);
    return reply != NULL && edge_parse_servers_state(reply->str, reply->len, ret_servers, error);
}

/* Of the master; waits out its absence during a reload when there has been one. */
static GString *ask_master(struct edge *edge, const char *command, GError **error)
{
    int64_t deadline_us = g_get_monotonic_time() + MASTER_PATIENCE_US;
    for (;;) {
        g_autoptr(GError) failure = NULL;
        GString *reply = edge_command(edge, EDGE_MASTER_SOCKET, command, &failure);
        if (reply != NULL && reply->len > 0) {
            return reply;
        }
        if (reply != NULL) { /* cut off by a reload */
            g_string_free(reply, TRUE);
            sy_fail(&failure, SY_EDGE_UNAVAILABLE, "HAProxy's master gives no answer to \"%s\"", command);
        }
        if (g_get_monotonic_time() > deadline_us || !edge_master_may_live(edge)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
        g_usleep(PAUSE_US);
    }
}

bool edge_ask_processes(struct edge *edge, struct edge_processes *ret_processes, GError **error)
{
    g_autoptr(GString) reply = ask_master(edge, "show proc", error);
    if (reply == NULL || !edge_parse_processes(reply->str, reply->len, ret_processes, error)) {
        return false;
    }
    g_atomic_int_set(&edge->master, (int)ret_processes->master);
    return true;
}

/* What the master says in a worker's place when that ended before, or while, it was asked: nothing, or that it cannot find or
 * cannot connect to "the target". */
static bool is_of_ended_worker(const GString *reply)
{
    return strspn(reply->str, "\r\n ") == reply->len || g_str_has_prefix(reply->str, "Can't ");
}

GString *edge_ask_worker(struct edge *edge, int64_t pid, const char *command, GError **error)
{
    g_autofree char *line = g_strdup_printf("@!%" G_GINT64_FORMAT " %s", pid, command);
    g_autoptr(GString) reply = ask_master(edge, line, error);
    if (reply != NULL && is_of_ended_worker(reply)) {
        sy_fail(error, SY_NOT_FOUND, "HAProxy's worker %" G_GINT64_FORMAT " has ended", pid);
        return NULL;
    }
    return g_steal_pointer(&reply);
}
