#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/quantity.h"
#include "edge/internal.h"

#define FIRST_CHOICE 20000
#define TRIES 200

static bool take_host(const char *host, struct edge_listen *listen)
{
    struct in6_addr address;
    if (strcmp(host, "localhost") == 0) {
        host = "127.0.0.1";
    } else if (strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0) {
        host = "";
    }
    size_t length = strlen(host);
    if (host[0] == '[' && host[length - 1] == ']' && length - 2 < sizeof listen->host) {
        memcpy(listen->host, host + 1, length - 2);
        listen->host[length - 2] = '\0';
        listen->is_ipv6 = true;
        return inet_pton(AF_INET6, listen->host, &address) == 1;
    }
    g_strlcpy(listen->host, host, sizeof listen->host);
    return length == 0 || inet_pton(AF_INET, host, &address) == 1;
}

bool edge_listen_parse(const char *text, struct edge_listen *ret_listen, GError **error)
{
    struct edge_listen listen = {0};
    const char *colon = strrchr(text, ':');
    g_autofree char *host = colon != NULL ? g_strndup(text, (gsize)(colon - text)) : NULL;
    int64_t port = 0;
    if (host == NULL || !take_host(host, &listen) || !int_parse(colon + 1, 0, 65535, &port)) {
        sy_fail(error, SY_INVALID_INPUT, "the edge cannot listen on \"%.100s\"", text);
        sy_error_set_hint(error, "Write edge_http as ADDRESS:PORT with a numeric address, such as 0.0.0.0:8080.");
        return false;
    }
    listen.port = (int)port;
    *ret_listen = listen;
    return true;
}

char *edge_listen_bind(const struct edge_listen *listen, int port)
{
    if (listen->is_ipv6) {
        bool is_any = strcmp(listen->host, "::") == 0;
        return g_strdup_printf("    bind [%s]:%d%s", listen->host, port, is_any ? " v4v6" : "");
    }
    return g_strdup_printf("    bind %s:%d", listen->host[0] != '\0' ? listen->host : "*", port);
}

static bool start_listening(int fd)
{
    return listen(fd, 1) == 0;
}

/* 0 when the port is free, else errno. A listener is what counts: connections that linger there do not. */
static int try_port(const struct edge_listen *listen, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    const struct sockaddr *address = listen->is_ipv6 ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in;
    socklen_t length = listen->is_ipv6 ? sizeof in6 : sizeof in;
    if (listen->host[0] != '\0') {
        inet_pton(listen->is_ipv6 ? AF_INET6 : AF_INET, listen->host,
                  listen->is_ipv6 ? (void *)&in6.sin6_addr : (void *)&in.sin_addr);
    }
    g_auto(fd_t) fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    return bind(fd, address, length) == 0 && start_listening(fd) ? 0 : errno;
}

bool edge_listen_check(const struct edge_listen *listen, int port, GError **error)
{
    int failure = try_port(listen, port);
    if (failure == 0) {
        return true;
    }
    if (failure == EADDRINUSE) {
        int64_t pid = 0;
        g_autofree char *holder = edge_port_holder(port, &pid);
        sy_fail(error, SY_PORT_TAKEN, "port %d is taken by %s", port, holder != NULL ? holder : "another program");
        sy_error_set_hint(error, "Stop that program, or choose another port: edge_http = ADDRESS:PORT in the "
                                 "configuration, or --edge-http ADDRESS:PORT (port 0 chooses a free one).");
        return false;
    }
    sy_fail(error, SY_EDGE_UNAVAILABLE, "cannot listen on %s port %d: %s",
            listen->host[0] != '\0' ? listen->host : "any address,", port, g_strerror(failure));
    if (failure == EACCES) {
        sy_error_set_hint(error, "Ports below 1024 need CAP_NET_BIND_SERVICE (the systemd units give it); or choose "
                                 "another: --edge-http ADDRESS:PORT.");
    }
    return false;
}

/* First port that the kernel gives to outgoing connections; one of those might hold our port while HAProxy is away. */
static int first_ephemeral(void)
{
    g_autofree char *text = file_read("/proc/sys/net/ipv4/ip_local_port_range", 64, NULL, NULL);
    int64_t first = 0;
    if (text != NULL) {
        text[strcspn(text, " \t\n")] = '\0';
    }
    return text != NULL && int_parse(text, 1, 65535, &first) ? (int)first : 32768;
}

int edge_listen_choose(const struct edge_listen *listen, GError **error)
{
    int end = first_ephemeral();
    int first = end > FIRST_CHOICE + 1000 ? FIRST_CHOICE : 1024;
    int failure = EADDRINUSE;
    for (int i = 0; i < TRIES && end > first + 1; i++) {
        int port = g_random_int_range(first, end);
        failure = try_port(listen, port);
        if (failure == 0) {
            return port;
        }
    }
    sy_fail(error, SY_EDGE_UNAVAILABLE, "no free port for the edge: %s", g_strerror(failure));
    return 0;
}
