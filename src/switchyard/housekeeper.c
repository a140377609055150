#include "switchyard/housekeeper.h"

#include "base/log.h"
#include "switchyard/controllers/controller.h"
#include "switchyard/operations/gc.h"
#include "switchyard/operations/lost_images.h"

#define PERIOD_US (INT64_C(10) * 1000000)
#define GC_PERIOD_US (INT64_C(600) * 1000000)

struct housekeeper {
    struct app *app;
    GThread *thread;
    GMutex lock;
    GCond wake;
    bool is_closed;
    int64_t next_gc_us; /* the thread's own, as is the next */
    char *lost_cursor;
};

static void collect(struct app *app)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(gc_report_t) report = NULL;
    if (!gc_run(app, 0, &report, &error)) {
        log_failure("gc.failed", error, NULL);
    } else if (report->freed_bytes > 0) {
        g_autofree char *freed = g_strdup_printf("%" G_GINT64_FORMAT, report->freed_bytes);
        log_event(LOG_INFO, "gc.freed", "bytes", freed, NULL);
    }
}

/* Only the leader's engine is the one that our books speak of. */
static bool is_leader(const struct app *app)
{
    struct controller_stats stats = {0};
    controller_stats(app->controller, &stats);
    return stats.is_leader;
}

static void keep_house(struct housekeeper *housekeeper)
{
    g_autoptr(GError) error = NULL;
    if (!is_leader(housekeeper->app)) {
        return;
    }
    if (!lost_images_look(housekeeper->app, &housekeeper->lost_cursor, &error)) {
        log_failure("image.look_failed", error, NULL);
    }
    if (g_get_monotonic_time() >= housekeeper->next_gc_us) {
        housekeeper->next_gc_us = g_get_monotonic_time() + GC_PERIOD_US;
        collect(housekeeper->app);
    }
}

static gpointer run(gpointer data)
{
    struct housekeeper *housekeeper = data;
    housekeeper->next_gc_us = g_get_monotonic_time() + GC_PERIOD_US;
    g_mutex_lock(&housekeeper->lock);
    while (!housekeeper->is_closed) {
        int64_t until_us = g_get_monotonic_time() + PERIOD_US;
        while (!housekeeper->is_closed && g_cond_wait_until(&housekeeper->wake, &housekeeper->lock, until_us)) {
        }
        if (!housekeeper->is_closed) {
            g_mutex_unlock(&housekeeper->lock);
            keep_house(housekeeper);
            g_mutex_lock(&housekeeper->lock);
        }
    }
    g_mutex_unlock(&housekeeper->lock);
    return NULL;
}

struct housekeeper *housekeeper_new(struct app *app)
{
    struct housekeeper *housekeeper = g_new0(struct housekeeper, 1);
    housekeeper->app = app;
    g_mutex_init(&housekeeper->lock);
    g_cond_init(&housekeeper->wake);
    /* The one who reconciles also cleans, so that two processes on one database do not both. */
    if (app->controller != NULL) {
        housekeeper->thread = g_thread_new("housekeeper", run, housekeeper);
    }
    return housekeeper;
}

void housekeeper_free(struct housekeeper *housekeeper)
{
    if (housekeeper == NULL) {
        return;
    }
    g_mutex_lock(&housekeeper->lock);
    housekeeper->is_closed = true;
    g_cond_broadcast(&housekeeper->wake);
    g_mutex_unlock(&housekeeper->lock);
    if (housekeeper->thread != NULL) {
        g_thread_join(housekeeper->thread);
    }
    g_cond_clear(&housekeeper->wake);
    g_mutex_clear(&housekeeper->lock);
    g_free(housekeeper->lost_cursor);
    g_free(housekeeper);
}
