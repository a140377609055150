/* Listening sockets: several on one TCP port, or one unix socket that replaces only a dead one. */
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/quantity.h"
#include "http/internal.h"

#define BACKLOG 1024

/* --- who holds a port -------------------------------------------------------------------------------------------- */

/* Inode of the listening socket on `port` by /proc/net/tcp or tcp6; 0 when none. */
static unsigned long find_listener_inode(const char *table, int port)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(table, &text, NULL, NULL)) {
        return 0;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        unsigned local_port = 0, state = 0;
        unsigned long inode = 0;
        int n = sscanf(*line, "%*s %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", &local_port, &state, &inode);
        if (n == 3 && state == 0x0a && local_port == (unsigned)port) {
            return inode;
        }
    }
    return 0;
}

static bool process_holds(const char *pid, unsigned long inode)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
    g_autofree char *wanted = g_strdup_printf("socket:[%lu]", inode);
    g_autoptr(GDir) fds = g_dir_open(folder, 0, NULL);
    const char *name;
    while (fds != NULL && (name = g_dir_read_name(fds)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);
        if (g_strcmp0(target, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* " by NAME (pid N)", or "" when /proc does not tell. */
static char *describe_holder(int port)
{
    unsigned long inode = find_listener_inode("/proc/net/tcp", port);
    inode = inode != 0 ? inode : find_listener_inode("/proc/net/tcp6", port);
    g_autoptr(GDir) processes = inode != 0 ? g_dir_open("/proc", 0, NULL) : NULL;
    const char *pid;
    while (processes != NULL && (pid = g_dir_read_name(processes)) != NULL) {
        if (!g_ascii_isdigit(pid[0]) || !process_holds(pid, inode)) {
            continue;
        }
        g_autofree char *path = g_strdup_printf("/proc/%s/comm", pid);
        g_autofree char *name = NULL;
        g_file_get_contents(path, &name, NULL, NULL);
        return g_strdup_printf(" by %s (pid %s)", name != NULL ? g_strchomp(name) : "a process", pid);
    }
    return g_strdup("");
}

/* --- TCP ---------------------------------------------------------------------------------------------------------- */

static bool split_address(const char *address, char **ret_host, char **ret_port, GError **error)
{
    const char *colon = strrchr(address, ':');
    int64_t port;
    /* getaddrinfo takes 70000 and makes 4464 of it */
    if (colon == NULL || !int_parse(colon + 1, 0, 65535, &port)) {
        return sy_fail(error, SY_INVALID_INPUT, "the listen address %s is not HOST:PORT", address);
    }
    size_t length = (size_t)(colon - address);
    bool is_bracketed = length >= 2 && address[0] == '[' && colon[-1] == ']';
    *ret_host = is_bracketed ? g_strndup(address + 1, length - 2) : g_strndup(address, length);
    *ret_port = g_strdup(colon + 1);
    return true;
}

static struct addrinfo *resolve(const char *address, GError **error)
{
    g_autofree char *host = NULL;
    g_autofree char *port = NULL;
    if (!split_address(address, &host, &port, error)) {
        return NULL;
    }
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool is_any = host[0] == '\0' || strcmp(host, "*") == 0;
    int failure = getaddrinfo(is_any ? NULL : host, port, &hints, &found);
    if (failure != 0) {
        sy_fail(error, SY_INVALID_INPUT, "the listen address %s: %s", address, gai_strerror(failure));
        return NULL;
    }
    return found;
}

static void set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

/* Accepted sockets inherit these: a peer that vanished without a word is noticed within half a minute. */
static void set_keepalive(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
}

/* The first socket binds alone, so that a port somebody else shares is refused, and then allows sharing. */
static int bind_one(struct sockaddr *address, socklen_t length, bool is_first)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->sa_family == AF_INET6) {
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (!is_first) {
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    set_keepalive(fd);
    if (bind(fd, address, length) != 0) {
        int saved_errno = errno;
        close(fd);
        errno = saved_errno;
        return -1;
    }
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    return fd;
}

static int port_of(const struct sockaddr_storage *address)
{
    const void *any = address;
    return address->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)any)->sin6_port)
                                          : ntohs(((const struct sockaddr_in *)any)->sin_port);
}

static bool fail_bind(const char *address, int port, int saved_errno, GError **error)
{
    if (saved_errno == EADDRINUSE) {
        g_autofree char *holder = describe_holder(port);
        return sy_fail(error, SY_PORT_TAKEN, "%s is already taken%s", address, holder);
    }
    return sy_fail_errno(error, saved_errno, "cannot listen on %s", address);
}

static void close_all(int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        close(fds[i]);
        fds[i] = -1;
    }
}

bool listen_tcp(const char *address, int n, int *ret_fds, int *ret_port, GError **error)
{
    struct addrinfo *found = resolve(address, error);
    if (found == NULL) {
        return false;
    }
    struct sockaddr_storage bound = {0};
    socklen_t length = found->ai_addrlen;
    memcpy(&bound, found->ai_addr, length);
    freeaddrinfo(found);
    for (int i = 0; i < n; i++) {
        ret_fds[i] = bind_one((struct sockaddr *)&bound, length, i == 0);
        bool is_bound = ret_fds[i] >= 0 && getsockname(ret_fds[i], (struct sockaddr *)&bound, &length) == 0;
        if (!is_bound) {
            int saved_errno = errno;
            close_all(ret_fds, ret_fds[i] >= 0 ? i + 1 : i);
            return fail_bind(address, port_of(&bound), saved_errno, error);
        }
    }
    for (int i = 0; i < n; i++) {
        if (listen(ret_fds[i], BACKLOG) != 0) {
            int saved_errno = errno;
            close_all(ret_fds, n);
            return fail_bind(address, port_of(&bound), saved_errno, error);
        }
    }
    *ret_port = port_of(&bound);
    return true;
}

bool server_check_address(const char *listen, GError **error)
{
    g_auto(fd_t) fd = -1;
    int port;
    return listen_tcp(listen, 1, &fd, &port, error);
}

/* --- unix ---------------------------------------------------------------------------------------------------------- */

/* True when `path` may be replaced: nothing is there, or a socket on which nobody answers. */
static bool check_stale(const char *path, const struct sockaddr_un *address, GError **error)
{
    struct stat file;
    if (lstat(path, &file) != 0) {
        return errno == ENOENT ? true : sy_fail_errno(error, errno, "cannot look at %s", path);
    }
    if (!S_ISSOCK(file.st_mode)) {
        return sy_fail(error, SY_PORT_TAKEN, "%s exists and is not a socket", path);
    }
    g_auto(fd_t) probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return sy_fail_errno(error, errno, "cannot make a socket");
    }
    bool is_dead = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   (errno == ECONNREFUSED || errno == ENOENT);
    return is_dead ? true : sy_fail(error, SY_PORT_TAKEN, "another server answers on %s", path);
}

static bool fill_address(struct sockaddr_un *address, const char *path, GError **error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (g_strlcpy(address->sun_path, path, sizeof address->sun_path) >= sizeof address->sun_path) {
        return sy_fail(error, SY_INVALID_INPUT, "the socket path %s is longer than %zu bytes", path,
                       sizeof address->sun_path - 1);
    }
    return true;
}

/* Bound under a temporary name and renamed when its rights are set: at no moment can more people connect than may. */
int listen_unix(const char *path, int mode, gid_t group, GError **error)
{
    struct sockaddr_un address, temporary;
    g_autofree char *temporary_path = g_strdup_printf("%s.%d", path, (int)getpid());
    if (!fill_address(&address, path, error) || !fill_address(&temporary, temporary_path, error) ||
        !check_stale(path, &address, error)) {
        return -1;
    }
    g_auto(fd_t) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(temporary_path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&temporary, sizeof temporary) != 0) {
        sy_fail_errno(error, errno, "cannot bind %s", path);
        return -1;
    }
    bool is_ready = chmod(temporary_path, (mode_t)mode) == 0 &&
                    (group == (gid_t)-1 || chown(temporary_path, (uid_t)-1, group) == 0) && listen(fd, BACKLOG) == 0 &&
                    rename(temporary_path, path) == 0;
    if (!is_ready) {
        sy_fail_errno(error, errno, "cannot set up %s", path);
        unlink(temporary_path);
        return -1;
    }
    int listening = fd;
    fd = -1;
    return listening;
}
