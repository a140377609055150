#include "enclii/local_doctor.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "model/reply.h"

static void add(GPtrArray *findings, const char *check, const char *status, const char *fix, const char *format, ...)
    G_GNUC_PRINTF(5, 6);

static void add(GPtrArray *findings, const char *check, const char *status, const char *fix, const char *format, ...)
{
    struct finding *finding = contract_new(&finding_type);
    va_list arguments;
    va_start(arguments, format);
    finding->detail = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    finding->check = g_strdup(check);
    finding->status = g_strdup(status);
    finding->fix = g_strdup(fix);
    g_ptr_array_add(findings, finding);
}

/* 0, or why nobody can be reached behind it. */
static int knock(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        return ENAMETOOLONG;
    }
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    g_auto(fd_t) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        return errno;
    }
    return 0;
}

/* The group that may use the socket. */
static char *who_to_ask(const char *path)
{
    struct stat facts;
    const struct group *group = stat(path, &facts) == 0 ? getgrgid(facts.st_gid) : NULL;
    const char *user = g_get_user_name();
    if (group == NULL) {
        return g_strdup("Run it as the user that runs switchyard.");
    }
    return g_strdup_printf("Ask an administrator for: usermod -aG %s %s (then sign in again).", group->gr_name, user);
}

static void check_socket(GPtrArray *findings, const char *path)
{
    int failure = knock(path);
    g_autofree char *ask = NULL;
    switch (failure) {
    case 0:
        add(findings, "socket", "warning", "Read what it says: journalctl -u switchyard",
            "%s can be connected to, yet it does not answer as it should", path);
        break;
    case ENOENT:
    case ENOTDIR:
        add(findings, "socket", "error",
            "Start it: systemctl start switchyard, or: switchyard --data-dir ~/.local/share/enclii. "
            "Elsewhere? enclii context add NAME --endpoint URL",
            "%s does not exist: switchyard does not run here, or listens somewhere else", path);
        break;
    case EACCES:
    case EPERM:
        ask = who_to_ask(path);
        add(findings, "socket", "error", ask, "%s: you may not use it", path);
        break;
    case ECONNREFUSED:
        add(findings, "socket", "error", "Start it: systemctl start switchyard, and read: journalctl -u switchyard",
            "%s is there, but nobody listens: switchyard has ended", path);
        break;
    default:
        add(findings, "socket", "error", "Read what it says: journalctl -u switchyard", "%s: %s", path,
            g_strerror(failure));
    }
}

static void check_engine(GPtrArray *findings)
{
    static const char *const paths[] = {"/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"};
    const char *host = g_getenv("DOCKER_HOST");
    const char *path = host != NULL && g_str_has_prefix(host, "unix://") ? host + 7 : NULL;
    for (size_t i = 0; path == NULL && i < G_N_ELEMENTS(paths); i++) {
        path = access(paths[i], F_OK) == 0 ? paths[i] : NULL;
    }
    int failure = path != NULL ? knock(path) : ENOENT;
    if (path == NULL) {
        add(findings, "engine", "warning", "Install one: apt-get install docker.io", "no container engine at %s",
            paths[0]);
    } else if (failure == EACCES) {
        add(findings, "engine", "ok", NULL, "%s (yours not to use, which is fine: switchyard has to)", path);
    } else if (failure != 0) {
        add(findings, "engine", "warning", "Start it: systemctl start docker", "%s: %s", path, g_strerror(failure));
    } else {
        add(findings, "engine", "ok", NULL, "%s answers", path);
    }
}

static void check_haproxy(GPtrArray *findings)
{
    g_autofree char *path = g_find_program_in_path("haproxy");
    bool is_there = path != NULL || access("/usr/sbin/haproxy", X_OK) == 0;
    if (is_there) {
        add(findings, "haproxy", "ok", NULL, "%s", path != NULL ? path : "/usr/sbin/haproxy");
    } else {
        add(findings, "haproxy", "warning", "Install it: apt-get install haproxy", "HAProxy is not installed");
    }
}

GPtrArray *local_doctor(const char *endpoint, const GError *failure)
{
    GPtrArray *findings = contract_array_new(&finding_type);
    bool is_local = g_str_has_prefix(endpoint, "unix:");
    add(findings, "server", "error",
        is_local ? "See the socket below." : "Is the address right, and the tunnel open? enclii context list", "%s",
        failure->message);
    if (is_local) {
        check_socket(findings, endpoint + strlen("unix:"));
        check_engine(findings);
        check_haproxy(findings);
    }
    return findings;
}
