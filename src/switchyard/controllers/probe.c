#include "switchyard/controllers/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/quantity.h"

#define REST_US 100000
#define MAX_REST_READS 16

static bool wait_for(int fd, short events, int64_t deadline_us)
{
    int64_t left_ms = (deadline_us - g_get_monotonic_time()) / 1000;
    struct pollfd poller = {.fd = fd, .events = events};
    return left_ms > 0 && poll(&poller, 1, (int)left_ms) == 1;
}

/* 0 when connected, else an errno. */
static int connect_within(int fd, const struct sockaddr_in *peer, int64_t deadline_us)
{
    if (connect(fd, (const struct sockaddr *)peer, sizeof *peer) == 0) {
        return 0;
    }
    if (errno != EINPROGRESS) {
        return errno;
    }
    if (!wait_for(fd, POLLOUT, deadline_us)) {
        return ETIMEDOUT;
    }
    int failure = 0;
    socklen_t length = sizeof failure;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length) == 0 ? failure : errno;
}

/* The rest of the reply, as far as it comes at once: closing on unread bytes resets the connection, and the program's log
 * would fill with complaints about us. */
static void read_rest(int fd, int64_t deadline_us)
{
    char rest[4096];
    int64_t end_us = MIN(deadline_us, g_get_monotonic_time() + REST_US);
    for (int i = 0; i < MAX_REST_READS && wait_for(fd, POLLIN, end_us) && recv(fd, rest, sizeof rest, 0) > 0; i++) {
    }
}

/* The status of an HTTP/1.x reply, 0 when the peer does not speak HTTP, -1 when nothing came in time. */
static int ask(int fd, const char *host, const char *path, int64_t deadline_us)
{
    g_autofree char *request = g_strdup_printf(
        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: enclii-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n", path,
        host);
    size_t length = strlen(request);
    if (send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length) {
        return -1;
    }
    char reply[64];
    size_t got = 0;
    while (got < 12) {
        if (!wait_for(fd, POLLIN, deadline_us)) {
            return -1;
        }
        ssize_t n = recv(fd, reply + got, sizeof reply - 1 - got, 0);
        if (n <= 0) {
            return got == 0 ? -1 : 0;
        }
        got += (size_t)n;
    }
    reply[got] = '\0';
    read_rest(fd, deadline_us);
    int64_t status;
    reply[12] = '\0';
    bool is_http = strncmp(reply, "HTTP/1.", 7) == 0 && int_parse(reply + 9, 100, 599, &status);
    return is_http ? (int)status : 0;
}

void probe_instance(const char *address, int64_t port, const struct health_rule *rule, struct probe_result *ret_result)
{
    *ret_result = (struct probe_result){0};
    int64_t deadline_us = g_get_monotonic_time() + rule->timeout_ms * 1000;
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    g_auto(fd_t) fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1) {
        g_strlcpy(ret_result->detail, "has no address", sizeof ret_result->detail);
        return;
    }
    int failure = connect_within(fd, &peer, deadline_us);
    if (failure != 0) {
        bool has_path = rule->path != NULL;
        g_snprintf(ret_result->detail, sizeof ret_result->detail, "%s%.64s%sport %" G_GINT64_FORMAT ": %s",
                   has_path ? "GET " : "", has_path ? rule->path : "", has_path ? ": " : "", port, g_strerror(failure));
        return;
    }
    if (rule->path == NULL) {
        ret_result->is_ok = true;
        g_snprintf(ret_result->detail, sizeof ret_result->detail, "port %" G_GINT64_FORMAT " accepts connections",
                   port);
        return;
    }
    int status = ask(fd, address, rule->path, deadline_us);
    ret_result->is_ok = status >= 200 && status < 400;
    if (status > 0) {
        g_snprintf(ret_result->detail, sizeof ret_result->detail, "GET %.64s: %d", rule->path, status);
    } else {
        g_snprintf(ret_result->detail, sizeof ret_result->detail, "GET %.64s: %s", rule->path,
                   status == 0 ? "the answer is not HTTP" : "no answer in time");
    }
}
