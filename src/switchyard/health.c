#include "switchyard/health.h"

#include "base/error.h"
#include "base/file.h"

/* Together less than the two seconds after which a part that hangs must be known to. */
#define PERIOD_US (400 * 1000)
#define HUNG_US (1000 * 1000)
#define DETAIL_LENGTH 200
#define REPORT_US (20 * 1000) /* how long a report is repeated: its parts are asked every PERIOD_US */

struct part {
    const char *name;
    bool (*ask)(struct app *app, GError **error);
    struct health *health;
    GThread *thread;
    /* Under the health's lock: */
    bool is_asked, is_ok;
    int64_t asked_us; /* monotonic; 0: no question is open */
    int64_t latency_us;
    char detail[DETAIL_LENGTH];
};

struct health {
    struct app *app;
    GMutex lock;
    GCond wake;
    bool is_closed;
    struct part parts[4];
    size_t n_parts;
    GString *report; /* under the lock, as are the next */
    enum health_level report_level;
    int64_t report_us; /* monotonic, when it was made; 0: never */
};

static bool ask_database(struct app *app, GError **error)
{
    return store_ping(app->store, error);
}

static bool ask_engine(struct app *app, GError **error)
{
    return app->engine->ops->ping(app->engine, error);
}

static bool ask_edge(struct app *app, GError **error)
{
    struct edge_status status = {0};
    g_autofree char *refusal = edge_refusal(app->edge);
    bool ok = edge_status(app->edge, &status, error);
    if (ok && !status.is_running) {
        ok = sy_fail(error, SY_EDGE_UNAVAILABLE, "HAProxy is not running");
    } else if (ok && refusal != NULL) {
        ok = sy_fail(error, SY_EDGE_UNAVAILABLE, "the last change of routes was not taken: %s", refusal);
    }
    edge_status_clear(&status);
    return ok;
}

static bool ask_disk(struct app *app, GError **error)
{
    int64_t free_bytes;
    int64_t total_bytes;
    if (!disk_space(app->config->data_dir, &free_bytes, &total_bytes, error)) {
        return false;
    }
    return free_bytes >= app->config->disk_reserve_bytes ||
           sy_fail(error, SY_DISK_FULL,
                   "%" G_GINT64_FORMAT " MiB free, less than the reserve of %" G_GINT64_FORMAT " MiB", free_bytes >> 20,
                   app->config->disk_reserve_bytes >> 20);
}

static gpointer watch(gpointer data)
{
    struct part *part = data;
    struct health *health = part->health;
    g_mutex_lock(&health->lock);
    while (!health->is_closed) {
        part->asked_us = g_get_monotonic_time();
        g_mutex_unlock(&health->lock);
        g_autoptr(GError) error = NULL;
        bool ok = part->ask(health->app, &error);
        g_mutex_lock(&health->lock);
        part->latency_us = g_get_monotonic_time() - part->asked_us;
        part->asked_us = 0;
        part->is_asked = true;
        part->is_ok = ok;
        g_strlcpy(part->detail, ok ? "" : error->message, sizeof part->detail);
        int64_t next_us = g_get_monotonic_time() + PERIOD_US;
        while (!health->is_closed && g_cond_wait_until(&health->wake, &health->lock, next_us)) {
        }
    }
    g_mutex_unlock(&health->lock);
    return NULL;
}

static void add_part(struct health *health, const char *name, bool (*ask)(struct app *app, GError **error))
{
    struct part *part = &health->parts[health->n_parts++];
    part->name = name;
    part->ask = ask;
    part->health = health;
}

struct health *health_new(struct app *app)
{
    struct health *health = g_new0(struct health, 1);
    health->app = app;
    health->report = g_string_sized_new(512);
    g_mutex_init(&health->lock);
    g_cond_init(&health->wake);
    add_part(health, "database", ask_database);
    add_part(health, "engine", ask_engine);
    add_part(health, "disk", ask_disk);
    if (app->edge != NULL) {
        add_part(health, "edge", ask_edge);
    }
    for (size_t i = 0; i < health->n_parts; i++) {
        health->parts[i].thread = g_thread_new("health", watch, &health->parts[i]);
    }
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL) {
        return;
    }
    g_mutex_lock(&health->lock);
    health->is_closed = true;
    g_cond_broadcast(&health->wake);
    g_mutex_unlock(&health->lock);
    for (size_t i = 0; i < health->n_parts; i++) {
        g_thread_join(health->parts[i].thread);
    }
    g_string_free(health->report, TRUE);
    g_cond_clear(&health->wake);
    g_mutex_clear(&health->lock);
    g_free(health);
}

/* With the lock held. A part that was never asked yet is taken for well until its first question hangs. */
static bool is_well(const struct part *part, int64_t now_us)
{
    bool hangs = part->asked_us != 0 && now_us - part->asked_us > HUNG_US;
    return !hangs && (part->is_ok || !part->is_asked);
}

static void write_part(struct json_writer *writer, const struct part *part, int64_t now_us)
{
    bool hangs = part->asked_us != 0 && now_us - part->asked_us > HUNG_US;
    int64_t latency_us = hangs ? now_us - part->asked_us : part->latency_us;
    json_key(writer, part->name);
    json_object_open(writer);
    json_member_string(writer, "status", is_well(part, now_us) ? "healthy" : "degraded");
    json_key(writer, "latency_ms");
    json_put_double(writer, (double)latency_us / 1000.0);
    if (hangs) {
        json_member_string(writer, "detail", "does not answer");
    } else if (part->detail[0] != '\0') {
        json_member_string(writer, "detail", part->detail);
    }
    json_object_close(writer);
}

static void write_absent(struct json_writer *writer, const char *name)
{
    json_key(writer, name);
    json_object_open(writer);
    json_member_string(writer, "status", "disabled");
    json_object_close(writer);
}

/* With the lock held. */
static void make_report(struct health *health, int64_t now_us)
{
    static const char *const words[] = {"healthy", "degraded", "unhealthy"};
    enum health_level level = HEALTH_OK;
    struct json_writer writer;
    for (size_t i = 0; i < health->n_parts; i++) {
        if (!is_well(&health->parts[i], now_us)) {
            level = HEALTH_DEGRADED;
        }
    }
    if (store_fatal(health->app->store)) {
        level = HEALTH_DOWN;
    }
    g_string_truncate(health->report, 0);
    json_writer_init(&writer, health->report);
    json_object_open(&writer);
    json_member_string(&writer, "status", words[level]);
    json_member_string(&writer, "service", "switchyard");
    json_member_string(&writer, "version", ENCLII_VERSION);
    json_key(&writer, "components");
    json_object_open(&writer);
    for (size_t i = 0; i < health->n_parts; i++) {
        write_part(&writer, &health->parts[i], now_us);
    }
    if (health->app->edge == NULL) {
        write_absent(&writer, "edge");
    }
    write_absent(&writer, "cache");
    json_object_close(&writer);
    json_object_close(&writer);
    health->report_level = level;
    health->report_us = now_us;
}

enum health_level health_report(struct health *health, GString *out)
{
    int64_t now_us = g_get_monotonic_time();
    g_mutex_lock(&health->lock);
    if (health->report_us == 0 || now_us - health->report_us >= REPORT_US) {
        make_report(health, now_us);
    }
    g_string_append_len(out, health->report->str, (gssize)health->report->len);
    enum health_level level = health->report_level;
    g_mutex_unlock(&health->lock);
    return level;
}

bool health_is_ready(struct health *health)
{
    g_mutex_lock(&health->lock);
    bool is_ready = is_well(&health->parts[0], g_get_monotonic_time()) && !store_fatal(health->app->store);
    g_mutex_unlock(&health->lock);
    return is_ready;
}
