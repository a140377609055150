#include "switchyard/doctor.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/error.h"
#include "base/file.h"
#include "build/pipeline.h"
#include "store/migrate.h"

enum grade { GRADE_OK, GRADE_WARNING, GRADE_ERROR };

struct examination {
    struct app *app;
    struct doctor_report *report;
    enum grade worst;
};

static void find(struct examination *examination, const char *check, enum grade grade, const char *fix,
                 const char *format, ...) G_GNUC_PRINTF(5, 6);
static void find(struct examination *examination, const char *check, enum grade grade, const char *fix,
                 const char *format, ...)
{
    static const char *const words[] = {"ok", "warning", "error"};
    struct finding *finding = contract_new(&finding_type);
    va_list arguments;
    va_start(arguments, format);
    finding->detail = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    finding->check = g_strdup(check);
    finding->status = g_strdup(words[grade]);
    finding->fix = grade != GRADE_OK ? g_strdup(fix) : NULL;
    g_ptr_array_add(examination->report->findings, finding);
    examination->worst = MAX(examination->worst, grade);
}

static void examine_store(struct examination *examination)
{
    struct migration_status status = {0};
    g_autoptr(GError) error = NULL;
    const char *kind = store_dialect(examination->app->store) == STORE_SQLITE ? "SQLite" : "PostgreSQL";
    if (!store_ping(examination->app->store, &error) ||
        !store_migrate_status(examination->app->store, &status, &error)) {
        find(examination, "store", GRADE_ERROR, "Look at the database's own log; switchyard goes on when it returns.",
             "%s does not answer: %s", kind, error->message);
        return;
    }
    bool is_current = status.current == status.latest && !status.is_dirty;
    find(examination, "store", is_current ? GRADE_OK : GRADE_ERROR, "Run: switchyard migrate up",
         "%s, schema version %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT, kind, status.current, status.latest);
}

/* Escapes from a container that were published in November 2025 (CVE-2025-31133, -52565, -52881) are mended in 1.2.8,
 * 1.3.3 and 1.4.0. Distributions mend older ones under the old number, which only they know. */
static bool is_runc_current(const char *version)
{
    unsigned major = 0;
    unsigned minor = 0;
    unsigned patch = 0;
    if (sscanf(version, "%u.%u.%u", &major, &minor, &patch) != 3) {
        return true; /* what it is, nobody knows */
    }
    return major > 1 || (major == 1 && (minor > 3 || (minor == 3 && patch >= 3) || (minor == 2 && patch >= 8)));
}

static void examine_runc(struct examination *examination, const char *version)
{
    if (version != NULL && !is_runc_current(version)) {
        find(examination, "runc", GRADE_WARNING,
             "Upgrade runc, or look whether your distribution has mended CVE-2025-31133, CVE-2025-52565 and "
             "CVE-2025-52881 in"
             " its package.",
             "%s is older than 1.2.8 and 1.3.3, which close ways out of a container", version);
    }
}

static void examine_engine(struct examination *examination)
{
    struct engine *engine = examination->app->engine;
    struct engine_info info = {0};
    g_autoptr(GError) error = NULL;
    if (!engine->ops->info(engine, &info, &error)) {
        find(examination, "engine", GRADE_ERROR,
             "Start it (systemctl start docker), or name its socket: --engine unix:PATH", "%s does not answer: %s",
             examination->app->config->engine, error->message);
        return;
    }
    find(examination, "engine", GRADE_OK, NULL, "%s %s, API %s, data in %s", info.name, info.version, info.api_version,
         info.root);
    if (strcmp(info.name, "podman") == 0 && config_has_role(examination->app->config, "build")) {
        find(examination, "builds", GRADE_WARNING,
             "Name images that were built elsewhere (image: NAME in enclii.yaml), or use Docker 20.10 or newer.",
             "Podman has no BuildKit: sources cannot be built here");
    }
    if (!info.has_live_restore && strcmp(info.name, "docker") == 0) {
        find(examination, "engine restart", GRADE_WARNING, "Add {\"live-restore\": true} to /etc/docker/daemon.json",
             "containers stop when the engine is restarted or upgraded");
    }
    examine_runc(examination, info.runc);
    engine_info_clear(&info);
}

static void examine_edge(struct examination *examination)
{
    struct edge_status status = {0};
    g_autoptr(GError) error = NULL;
    if (examination->app->edge == NULL) {
        find(examination, "edge", GRADE_OK, NULL, "another process has the role reconcile");
        return;
    }
    g_autofree char *refusal = edge_refusal(examination->app->edge);
    if (!edge_status(examination->app->edge, &status, &error) || !status.is_running) {
        find(examination, "edge", GRADE_ERROR,
             "Is haproxy installed (apt-get install haproxy)? switchyard starts it again by itself.",
             "HAProxy does not answer: %s", error != NULL ? error->message : "not running");
    } else if (refusal != NULL) {
        find(examination, "edge", GRADE_ERROR,
             "What serves goes on as it was. It is tried again by itself; the log of switchyard has all of it.",
             "the last change of routes was not taken: %s", refusal);
    } else {
        find(examination, "edge", GRADE_OK, NULL, "HAProxy %s, pid %" G_GINT64_FORMAT ", port %d", status.version,
             status.pid, edge_port(examination->app->edge));
    }
    edge_status_clear(&status);
}

static void examine_disk(struct examination *examination, const char *check, const char *path)
{
    int64_t free_bytes;
    int64_t total_bytes;
    g_autoptr(GError) error = NULL;
    int64_t reserve_bytes = examination->app->config->disk_reserve_bytes;
    if (!disk_space(path, &free_bytes, &total_bytes, &error)) {
        find(examination, check, GRADE_ERROR, "Does the folder exist?", "%s: %s", path, error->message);
        return;
    }
    enum grade grade = free_bytes < reserve_bytes       ? GRADE_ERROR
                       : free_bytes < 3 * reserve_bytes ? GRADE_WARNING
                                                        : GRADE_OK;
    find(examination, check, grade, "Free space: enclii api POST /v1/system/gc, or lower disk_budget",
         "%s: %" G_GINT64_FORMAT " MiB free of %" G_GINT64_FORMAT " MiB, builds are refused below %" G_GINT64_FORMAT
         " MiB",
         path, free_bytes >> 20, total_bytes >> 20, reserve_bytes >> 20);
}

static void examine_builds(struct examination *examination)
{
    const struct config *config = examination->app->config;
    g_autofree char *reason = NULL;
    if (!config_has_role(config, "build")) {
        return;
    }
    bool ok = build_limits_apply(config->build_memory_bytes, config->build_cpu_millis, &reason);
    find(examination, "build limits", ok ? GRADE_OK : GRADE_WARNING,
         "Run switchyard as root beside the engine, so that it may set the limits of BuildKit's cgroup.",
         ok ? "%s" : "do not hold: %s", ok ? "memory and CPU of all builds are limited" : reason);
}

static void examine_key(struct examination *examination)
{
    struct stat status;
    const char *path = examination->app->config->master_key;
    if (stat(path, &status) != 0) {
        find(examination, "master key", GRADE_ERROR, "Restore it from your backup: secrets cannot be read without it.",
             "%s is not there", path);
        return;
    }
    bool is_private = (status.st_mode & 077) == 0;
    find(examination, "master key", is_private ? GRADE_OK : GRADE_ERROR, "Run: chmod 600 on it",
         is_private ? "%s; keep a copy of it elsewhere" : "%s may be read by others", path);
}

static void examine_limits(struct examination *examination)
{
    struct rlimit limit;
    struct utsname name;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        find(examination, "open files", limit.rlim_max >= 16384 ? GRADE_OK : GRADE_WARNING,
             "Raise LimitNOFILE of the service to 65536.", "at most %llu", (unsigned long long)limit.rlim_max);
    }
    if (uname(&name) == 0) {
        find(examination, "host", GRADE_OK, NULL, "%s %s, %s; switchyard %s", name.sysname, name.release, name.machine,
             ENCLII_VERSION);
    }
}

static void examine_confinement(struct examination *examination)
{
    const struct confinement *confinement = &examination->app->confinement;
    if (!confinement->is_wanted) {
        find(examination, "confinement", GRADE_WARNING, "Set confinement = auto in the configuration.",
             "switched off: switchyard may do all that its user may");
    } else if (confinement->missing != NULL) {
        find(examination, "confinement", GRADE_WARNING,
             "See docs/explanation/security-model.md; confinement = on refuses to start in this state.",
             "Landlock %s, seccomp %s: %s", confinement->has_files ? "holds" : "does not hold",
             confinement->has_calls ? "holds" : "does not hold", confinement->missing);
    } else {
        find(examination, "confinement", GRADE_OK, NULL, "files by Landlock, system calls by seccomp%s%s",
             confinement->reduced != NULL ? "; " : "", confinement->reduced != NULL ? confinement->reduced : "");
    }
}

/* Services that asked for more than the hardened defaults. */
static bool list_exceptions(struct tx *tx, void *arg, GError **error)
{
    struct examination *examination = arg;
    struct scope scope = app_scope(examination->app);
    const struct page all = {.limit = 10000};
    g_autoptr(GPtrArray) projects = NULL;
    if (!project_list(tx, &scope, &all, &projects, error)) {
        return false;
    }
    for (guint i = 0; i < projects->len; i++) {
        const struct project *project = g_ptr_array_index(projects, i);
        g_autoptr(GPtrArray) services = NULL;
        if (!service_list(tx, &scope, project->id, &all, &services, error)) {
            return false;
        }
        for (guint j = 0; j < services->len; j++) {
            const struct service *service = g_ptr_array_index(services, j);
            g_auto(GStrv) exceptions = settings_exceptions(&service->settings);
            if (exceptions != NULL && exceptions[0] != NULL) {
                g_autofree char *text = g_strjoinv(", ", exceptions);
                find(examination, "hardening", GRADE_WARNING,
                     "Remove `security:` from its specification when it can do without.", "%s/%s: %s", project->slug,
                     service->name, text);
            }
        }
    }
    return true;
}

struct doctor_report *doctor_examine(struct app *app)
{
    static const char *const words[] = {"ok", "warning", "error"};
    struct examination examination = {.app = app, .report = contract_new(&doctor_report_type)};
    g_autoptr(GError) ignored = NULL; /* the store's own finding says it */
    if (examination.report->findings == NULL) {
        examination.report->findings = contract_array_new(&finding_type);
    }
    examine_limits(&examination);
    examine_store(&examination);
    examine_engine(&examination);
    examine_edge(&examination);
    examine_disk(&examination, "disk", app->config->data_dir);
    examine_builds(&examination);
    examine_key(&examination);
    examine_confinement(&examination);
    if (!store_read(app->store, "doctor_exceptions", list_exceptions, &examination, &ignored)) {
        examination.worst = GRADE_ERROR;
    }
    examination.report->status = g_strdup(words[examination.worst]);
    return examination.report;
}
