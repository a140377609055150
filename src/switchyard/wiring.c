#include "switchyard/wiring.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "store/migrate.h"
#include "switchyard/controllers/builder.h"
#include "switchyard/controllers/controller.h"
#include "switchyard/controllers/log_collector.h"
#include "switchyard/handlers/access.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/health.h"
#include "switchyard/housekeeper.h"
#include "switchyard/hub.h"
#include "switchyard/routes.h"

/* --- one data folder has one owner ------------------------------------------------------------------------------------------ */

static bool lock_folder(struct app *app, GError **error)
{
    g_autofree char *path = g_build_filename(app->config->data_dir, "lock", NULL);
    if (!folder_ensure(app->config->data_dir, 0700, error)) {
        return false;
    }
    app->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (app->lock_fd < 0) {
        return sy_fail_errno(error, errno, "%s", path);
    }
    if (flock(app->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[32] = "";
        ssize_t length = read(app->lock_fd, pid, sizeof pid - 1);
        pid[MAX(length, 0)] = '\0';
        sy_fail(error, SY_CONFLICT, "%s is in use by another switchyard (pid %s)", app->config->data_dir,
                g_strstrip(pid));
        sy_error_set_hint(error, "Stop that one, or choose another folder with --data-dir.");
        return false;
    }
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    return (ftruncate(app->lock_fd, 0) == 0 && pwrite(app->lock_fd, text, strlen(text), 0) > 0) ||
           sy_fail_errno(error, errno, "%s", path);
}

/* The lock proves that no other process of this folder is alive, so the next one may take over what the last one held. */
static bool read_holder(struct app *app, GError **error)
{
    g_autofree char *path = g_build_filename(app->config->data_dir, "holder", NULL);
    g_autofree char *text = file_read(path, 256, NULL, NULL);
    if (text != NULL && uuid_is_valid(g_strstrip(text))) {
        app->holder = g_steal_pointer(&text);
        return true;
    }
    app->holder = uuid_new();
    return file_replace(path, app->holder, UUID_LENGTH, 0600, error);
}

/* Files that a crash cut off while they were being replaced. */
static bool drop_temporaries(const struct app *app, GError **error)
{
    g_autofree char *edge = g_build_filename(app->config->data_dir, "edge", NULL);
    return file_remove_temporaries(app->config->data_dir, error) && file_remove_temporaries(edge, error);
}

/* Uploads that a crash cut off: nobody else can be receiving, the folder is ours alone. */
static bool drop_unfinished_uploads(const struct app *app, GError **error)
{
    g_autofree char *path = g_build_filename(app->config->data_dir, "sources", "incoming", NULL);
    return folder_remove(path, error);
}

/* --- what has to come before confinement ------------------------------------------------------------------------------------ */

/* NULL where /proc does not tell. */
static const char *own_program(void)
{
    static char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[MAX(length, 0)] = '\0';
    return length > 0 ? program : NULL;
}

static void edge_options_of(const struct app *app, char *folder, struct edge_options *ret_options)
{
    *ret_options = (struct edge_options){
        .folder = folder,
        .listen = app->config->edge_http,
        .trusted_proxies = app->config->edge_trusted_proxies,
        .program = app->config->haproxy,
        .installation = app->installation_id,
        .log_writer = own_program(),
    };
    edge_choose_user(ret_options);
}

/* Only now can it be told who holds a port that is taken. */
static bool check_ports(const struct app *app, GError **error)
{
    const struct config *config = app->config;
    g_autofree char *folder = g_build_filename(config->data_dir, "edge", NULL);
    struct edge_options options;
    edge_options_of(app, folder, &options);
    bool is_listening = config->listen != NULL && config_has_role(config, "api");
    return (!is_listening || server_check_address(config->listen, error)) &&
           (!config_has_role(config, "reconcile") || edge_check_port(&options, error));
}

/* The key may lie anywhere, and is read once. */
static bool confine(struct app *app, GError **error)
{
    app->box = box_open(app->config->master_key, true, error);
    return app->box != NULL && check_ports(app, error) && confinement_apply(app->config, &app->confinement, error);
}

static void log_confinement(const struct confinement *confinement)
{
    log_event(confinement->missing != NULL || !confinement->is_wanted ? LOG_WARN : LOG_INFO, "switchyard.confined",
              "landlock", confinement->has_files ? "on" : "off", "seccomp", confinement->has_calls ? "on" : "off",
              "missing", confinement->missing, "reduced", confinement->reduced, NULL);
}

/* --- the store and who we are --------------------------------------------------------------------------------------------------- */

struct identity {
    struct app *app;
    char *new_id;
    char *installation_id, *master_key_id, *organization_id;
    int64_t now_us;
};

static bool ensure_installation(struct tx *tx, void *arg, GError **error)
{
    struct identity *identity = arg;
    return installation_ensure(tx, identity->new_id, box_key_id(identity->app->box), identity->now_us,
                               &identity->installation_id, &identity->master_key_id, &identity->organization_id, error);
}

/* The id also lies in the data folder, so that teardown needs no database. */
static bool keep_identity(const struct app *app, GError **error)
{
    g_autofree char *path = g_build_filename(app->config->data_dir, "installation", NULL);
    g_autofree char *text = g_strconcat(app->installation_id, "\n", NULL);
    return file_replace(path, text, strlen(text), 0600, error);
}

static bool find_identity(struct app *app, GError **error)
{
    g_autofree char *new_id = uuid_new();
    struct identity identity = {.app = app, .new_id = new_id, .now_us = g_get_real_time()};
    bool ok = store_write(app->store, "installation", ensure_installation, &identity, error);
    /* Also when only the commit failed. */
    app->installation_id = identity.installation_id;
    app->organization_id = identity.organization_id;
    g_autofree char *key_id = identity.master_key_id;
    if (!ok) {
        return false;
    }
    if (strcmp(key_id, box_key_id(app->box)) != 0) {
        sy_fail(error, SY_CONFLICT, "the secrets in this database are sealed with another master key than %s",
                app->config->master_key);
        sy_error_set_hint(error,
                          "Copy the key file of the installation's other servers there, or restore it from a backup.");
        return false;
    }
    return keep_identity(app, error);
}

static bool open_store(struct app *app, GError **error)
{
    const struct store_options options = {.pool_size = (int)app->config->pool_size};
    app->store = store_open(app->config->store, &options, error);
    return app->store != NULL && store_migrate(app->store, -1, false, error) && find_identity(app, error);
}

/* --- engine, edge, logs -------------------------------------------------------------------------------------------------------------- */

static bool open_edge(struct app *app, GError **error)
{
    g_autofree char *folder = g_build_filename(app->config->data_dir, "edge", NULL);
    struct edge_options options;
    edge_options_of(app, folder, &options);
    app->edge = edge_new(&options, error);
    g_autoptr(GError) failure = NULL;
    if (app->edge == NULL || edge_start(app->edge, &failure)) {
        return app->edge != NULL;
    }
    /* It carries the traffic. The controller asks it again; until it answers, health says degraded. */
    if (edge_port(app->edge) != 0 && edge_runs(app->edge)) {
        log_failure("edge.silent", failure, NULL);
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

static bool open_parts(struct app *app, GError **error)
{
    const struct config *config = app->config;
    g_autofree char *log_folder = g_build_filename(config->data_dir, "logs", NULL);
    const struct log_options log_options = {.log_bytes = config->log_service_bytes, .log_age_ms = config->log_age_ms};
    app->engine = engine_docker_new(config->engine, app->installation_id, error);
    app->logs = app->engine != NULL ? log_store_open(log_folder, &log_options, error) : NULL;
    return app->logs != NULL && (!config_has_role(config, "reconcile") || open_edge(app, error));
}

/* --- wake-ups ---------------------------------------------------------------------------------------------------------------------------- */

struct pair_look_up {
    struct app *app;
    const char *deployment_id;
    char *pair_id;
};

static bool find_pair(struct tx *tx, void *arg, GError **error)
{
    struct pair_look_up *look_up = arg;
    struct scope scope = app_scope(look_up->app);
    g_autoptr(deployment_t) deployment = NULL;
    g_clear_pointer(&look_up->pair_id, g_free);
    if (!deployment_by_id(tx, &scope, look_up->deployment_id, &deployment, error)) {
        return false;
    }
    look_up->pair_id = g_strdup(deployment->pair_id);
    return true;
}

/* What another process wrote into the shared database. In one process the writer itself has woken us. */
static void on_event(const struct event *event, void *arg)
{
    struct app *app = arg;
    if (app->builder != NULL && g_str_has_prefix(event->type, "release.")) {
        builder_wake(app->builder);
    }
    bool is_shared = store_dialect(app->store) != STORE_SQLITE;
    if (app->controller != NULL && is_shared && g_str_has_prefix(event->type, "domain.")) {
        controller_wake_edge(app->controller);
    }
    bool concerns_us =
        app->controller != NULL && event->deployment_id != NULL &&
        (strcmp(event->type, "deployment.created") == 0 || strcmp(event->type, "deployment.cancel_requested") == 0 ||
         strcmp(event->type, "deployment.retired") == 0);
    if (!concerns_us || !is_shared) {
        return;
    }
    struct pair_look_up look_up = {.app = app, .deployment_id = event->deployment_id};
    g_autoptr(GError) ignored = NULL; /* the resync finds it */
    if (store_read(app->store, "event_pair", find_pair, &look_up, &ignored)) {
        controller_wake(app->controller, look_up.pair_id);
    }
    g_free(look_up.pair_id);
}

void app_wake_pair(struct app *app, const char *pair_id)
{
    if (app->controller != NULL) {
        controller_wake(app->controller, pair_id);
    }
}

void app_wake_edge(struct app *app)
{
    if (app->controller != NULL) {
        controller_wake_edge(app->controller);
    }
}

void app_wake_builder(struct app *app)
{
    if (app->builder != NULL) {
        builder_wake(app->builder);
    }
}

void app_wake_events(struct app *app)
{
    hub_wake(app->hub);
}

/* --- the server ----------------------------------------------------------------------------------------------------------------------------- */

static gid_t find_group(const char *name)
{
    struct group group;
    struct group *found = NULL;
    char buffer[16384];
    if (name == NULL || getgrnam_r(name, &group, buffer, sizeof buffer, &found) != 0 || found == NULL) {
        return (gid_t)-1;
    }
    return found->gr_gid;
}

static bool open_server(struct app *app, GError **error)
{
    const struct config *config = app->config;
    app->server_options = (struct server_options){
        .listen = config_has_role(config, "api") ? config->listen : NULL,
        .socket_path = config->socket,
        .socket_mode = 0660,
        .socket_group = find_group(config->socket_group),
        .n_loops = (int)config->loops,
        .n_workers = (int)config->workers,
        .stream_body_bytes = config->source_limit_bytes + (1 << 20),
    };
    access_callbacks(app, &app->server_callbacks);
    app->server = server_start(&app->server_options, routes, n_routes, &app->server_callbacks, error);
    return app->server != NULL;
}

bool app_write_endpoints(const struct app *app, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *path = g_build_filename(app->config->data_dir, "endpoints.json", NULL);
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_open(&writer);
    if (app->server_options.listen != NULL) {
        g_autofree char *host =
            g_strndup(app->config->listen, (gsize)(strrchr(app->config->listen, ':') - app->config->listen));
        g_autofree char *address = g_strdup_printf("http://%s:%d", host, server_port(app->server));
        json_member_string(&writer, "api", address);
    }
    g_autofree char *socket = g_strconcat("unix:", app->config->socket, NULL);
    json_member_string(&writer, "socket", socket);
    if (app->edge != NULL) {
        const char *edge = app->config->edge_http;
        g_autofree char *host = g_strndup(edge, (gsize)(strrchr(edge, ':') - edge));
        bool is_any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "[::]") == 0 || *host == '\0';
        g_autofree char *address = g_strdup_printf("http://%s:%d", is_any ? "127.0.0.1" : host, edge_port(app->edge));
        json_member_string(&writer, "edge_http", address);
    }
    json_object_close(&writer);
    g_string_append_c(out, '\n');
    return file_replace(path, out->str, out->len, 0600, error);
}

/* --- life --------------------------------------------------------------------------------------------------------------------------------------- */

static void start_roles(struct app *app)
{
    app->authenticator = authenticator_new(app->store, app->organization_id, app->config->socket_group);
    if (config_has_role(app->config, "reconcile")) {
        app->collector = log_collector_new(app->engine, app->logs);
        app->controller = controller_new(app);
    }
    if (config_has_role(app->config, "build")) {
        app->builder = builder_new(app);
    }
    app->hub = hub_new(app->store, app->organization_id, on_event, app);
    app->health = health_new(app);
    app->housekeeper = housekeeper_new(app);
}

struct app *app_start(struct config *config, GError **error)
{
    struct app *app = g_new0(struct app, 1);
    app->config = config;
    app->clock = &clock_system;
    app->lock_fd = -1;
    app->started_us = g_get_real_time();
    if (!lock_folder(app, error) || !drop_temporaries(app, error) || !read_holder(app, error) || !confine(app, error)) {
        app_stop(app);
        return NULL;
    }
    log_confinement(&app->confinement);
    if (!drop_unfinished_uploads(app, error) || !open_store(app, error) || !open_parts(app, error)) {
        app_stop(app);
        return NULL;
    }
    start_roles(app);
    if (!open_server(app, error)) {
        app_stop(app);
        return NULL;
    }
    if (app->controller != NULL) {
        controller_start(app->controller);
    }
    if (app->builder != NULL) {
        builder_start(app->builder);
    }
    return app;
}

void app_stop(struct app *app)
{
    if (app->server != NULL) {
        server_stop(app->server, app->config->drain_ms);
    }
    log_handlers_drain(); /* their streams are closed now */
    housekeeper_free(app->housekeeper);
    if (app->builder != NULL) {
        builder_stop(app->builder);
    }
    if (app->controller != NULL) {
        controller_stop(app->controller);
    }
    health_free(app->health);
    hub_free(app->hub);
    builder_free(app->builder);
    controller_free(app->controller);
    if (app->collector != NULL) {
        log_collector_free(app->collector);
    }
    if (app->edge != NULL) {
        edge_free(app->edge);
    }
    if (app->logs != NULL) {
        log_store_close(app->logs);
    }
    engine_free(app->engine);
    authenticator_free(app->authenticator);
    if (app->store != NULL) {
        store_close(app->store);
    }
    box_free(app->box);
    if (app->lock_fd >= 0) {
        close(app->lock_fd);
    }
    g_free(app->installation_id);
    g_free(app->organization_id);
    g_free(app->holder);
    confinement_clear(&app->confinement);
    config_free(app->config);
    g_free(app);
}
