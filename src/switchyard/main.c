/* switchyard: the control plane. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/quantity.h"
#include "edge/edge.h"
#include "http/server.h"
#include "store/migrate.h"
#include "switchyard/openapi.h"
#include "switchyard/teardown.h"
#include "switchyard/wiring.h"

extern char **environ;

static const char usage[] =
    "switchyard: the control plane of Enclii\n"
    "\n"
    "  switchyard [flags]                  serve (the default)\n"
    "  switchyard config [flags]           print every setting, its value and where it came from\n"
    "  switchyard config --reference       the settings as a Markdown table\n"
    "  switchyard migrate up|down|status   change the database's schema (down: one step)\n"
    "  switchyard openapi                  print the API's contract\n"
    "  switchyard teardown [--volumes] [--dry-run]\n"
    "                                      remove containers, networks and images of this installation\n"
    "  switchyard version\n"
    "\n"
    "Flags are the settings: --data-dir DIR, --listen HOST:PORT, … Each is also a key of the file named by --config\n"
    "and an ENCLII_… variable.\n";

static int fail(const GError *error)
{
    const GPtrArray *issues = sy_error_issues(error);
    fprintf(stderr, "switchyard: %s\n", error->message);
    for (guint i = 0; issues != NULL && i < issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(issues, i);
        fprintf(stderr, "  %s: %s\n", issue->path, issue->detail);
    }
    const char *hint = sy_error_hint(error);
    if (hint != NULL) {
        fprintf(stderr, "  %s\n", hint);
    }
    return sy_code_info(sy_error_code(error))->exit_code;
}

/* --- serving --------------------------------------------------------------------------------------------------------------- */

static enum log_level level_of(const char *name)
{
    return strcmp(name, "debug") == 0   ? LOG_DEBUG
           : strcmp(name, "warn") == 0  ? LOG_WARN
           : strcmp(name, "error") == 0 ? LOG_ERROR
                                        : LOG_INFO;
}

/* No core files with secrets in them, files for the owner only, as many descriptors as we may have. */
static void prepare_process(void)
{
    struct rlimit limit = {0, 0};
    setrlimit(RLIMIT_CORE, &limit);
    prctl(PR_SET_DUMPABLE, 0);
    umask(077);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* systemd's readiness protocol (sd_notify(3)): one datagram, when somebody asked for it. */
static void notify_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static const char message[] = "READY=1";
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof address.sun_path) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        ssize_t sent = sendto(fd, message, sizeof message - 1, MSG_NOSIGNAL, (struct sockaddr *)&address, length);
        (void)sent; /* systemd tells that the start timed out */
        close(fd);
    }
}

static void say_ready(const struct app *app)
{
    g_autofree char *api =
        app->server_options.listen != NULL ? g_strdup_printf(", port %d", server_port(app->server)) : g_strdup("");
    g_autofree char *edge =
        app->edge != NULL ? g_strdup_printf(", edge on port %d", edge_port(app->edge)) : g_strdup("");
    printf("switchyard %s is ready: unix:%s%s%s\n", ENCLII_VERSION, app->config->socket, api, edge);
    fflush(stdout);
    notify_ready();
}

/* The signal that came, or 0 when the database is lost: whoever supervises us starts us again, and the start reads the truth
 * from the disk, as nothing that we have in memory can. */
static int wait_for_end(const struct app *app, const sigset_t *signals)
{
    static const struct timespec period = {.tv_nsec = 500 * 1000 * 1000};
    int number;
    do {
        number = sigtimedwait(signals, NULL, &period);
    } while (number < 0 && !store_fatal(app->store));
    return MAX(number, 0);
}

static int serve(struct config *config)
{
    sigset_t signals;
    g_autoptr(GError) error = NULL;
    prepare_process();
    log_set_level(level_of(config->log_level));
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread: all inherit it */
    struct app *app = app_start(config, &error);
    if (app == NULL) {
        return fail(error);
    }
    if (!app_write_endpoints(app, &error)) {
        app_stop(app);
        return fail(error);
    }
    log_event(LOG_INFO, "switchyard.started", "version", ENCLII_VERSION, "roles", app->config->roles, NULL);
    say_ready(app);
    int number = wait_for_end(app, &signals);
    if (number == 0) {
        log_event(LOG_ERROR, "switchyard.store_lost", "error",
                  "the database's disk lost a write, or a page of it is damaged: nothing is acknowledged any more",
                  NULL);
    } else {
        log_event(LOG_INFO, "switchyard.stopping", "signal", number == SIGTERM ? "TERM" : "INT", NULL);
    }
    sigdelset(&signals, SIGTERM); /* supervisors may send it twice; a second Ctrl-C ends us at once */
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    app_stop(app);
    log_event(LOG_INFO, "switchyard.stopped", NULL);
    return number == 0 ? 1 : 0;
}

/* --- the other commands -------------------------------------------------------------------------------------------------------- */

static int print_config(const struct config *config, const struct config_origins *origins)
{
    g_autoptr(GString) text = config_print(config, origins);
    fputs(text->str, stdout);
    return 0;
}

static bool run_migration(struct store *store, const char *verb, GError **error)
{
    struct migration_status status = {0};
    if (!store_migrate_status(store, &status, error)) {
        return false;
    }
    bool ok = true;
    if (strcmp(verb, "up") == 0) {
        ok = store_migrate(store, -1, false, error);
    } else if (strcmp(verb, "down") == 0) {
        ok = status.current == 0 || store_migrate(store, status.current - 1, true, error);
    }
    if (!ok || !store_migrate_status(store, &status, error)) {
        return false;
    }
    printf("schema version %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT "%s\n", status.current, status.latest,
           status.is_dirty ? ", dirty" : "");
    return true;
}

static int migrate(const struct config *config, const char *verb)
{
    g_autoptr(GError) error = NULL;
    static const char *const verbs[] = {"up", "down", "status", NULL};
    if (verb == NULL || !g_strv_contains(verbs, verb)) {
        sy_fail(&error, SY_INVALID_INPUT, "migrate needs one of: up, down, status");
        return fail(error);
    }
    g_autoptr(store_t) store = store_open(config->store, NULL, &error);
    return store != NULL && run_migration(store, verb, &error) ? 0 : fail(error);
}

static int tear_down(const struct config *config, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    return teardown(config, flags, &error) ? 0 : fail(error);
}

/* Takes a bare word off the arguments. */
static bool take_word(int *argc, char **argv, const char *word)
{
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], word) == 0) {
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof *argv);
            (*argc)--;
            return true;
        }
    }
    return false;
}

static unsigned take_teardown_flags(int *argc, char **argv)
{
    unsigned volumes = take_word(argc, argv, "--volumes") ? TEARDOWN_VOLUMES : 0;
    return volumes | (take_word(argc, argv, "--dry-run") ? TEARDOWN_DRY_RUN : 0);
}

static int run_with_config(const char *command, int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    struct config_origins origins = {0};
    char *verb = NULL;
    if (strcmp(command, "migrate") == 0 && argc > 0) {
        verb = argv[0];
        argv++;
        argc--;
    }
    unsigned removal = strcmp(command, "teardown") == 0 ? take_teardown_flags(&argc, argv) : 0;
    struct config *config = config_read(argc, argv, environ, &origins, &error);
    if (config == NULL) {
        return fail(error);
    }
    int status;
    if (strcmp(command, "serve") == 0) {
        config_origins_clear(&origins);
        return serve(config); /* which takes it */
    }
    if (strcmp(command, "config") == 0) {
        status = print_config(config, &origins);
    } else if (strcmp(command, "migrate") == 0) {
        status = migrate(config, verb);
    } else {
        status = tear_down(config, removal);
    }
    config_origins_clear(&origins);
    config_free(config);
    return status;
}

static int print_text(GString *text)
{
    fputs(text->str, stdout);
    fputc('\n', stdout);
    g_string_free(text, TRUE);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const commands[] = {"serve", "config", "migrate", "teardown", NULL};
    setlocale(LC_CTYPE, "C.UTF-8");
    const char *command = argc > 1 && argv[1][0] != '-' ? argv[1] : "serve";
    int skip = argc > 1 && argv[1][0] != '-' ? 2 : 1;
    if (argc == 3 && strcmp(command, "edge-log") == 0) { /* of nobody's concern: the edge starts it beside HAProxy */
        edge_log_write(STDIN_FILENO, argv[2], EDGE_LOG_BYTES);
        _exit(0);
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(command, "version") == 0 || (argc > 1 && strcmp(argv[1], "--version") == 0)) {
        printf("switchyard %s\n", ENCLII_VERSION);
        return 0;
    }
    if (strcmp(command, "openapi") == 0) {
        return print_text(openapi_write());
    }
    if (strcmp(command, "config") == 0 && argc == 3 && strcmp(argv[2], "--reference") == 0) {
        return print_text(config_reference());
    }
    if (!g_strv_contains(commands, command)) {
        fprintf(stderr, "switchyard: %s is no command\n\n%s", command, usage);
        return 10;
    }
    return run_with_config(command, argc - skip, argv + skip);
}
