#include "switchyard/housekeeper.h"

#include "base/log.h"
#include "switchyard/operations/gc.h"

#define PERIOD_US (INT64_C(600) * 1000000)

struct housekeeper {
    struct app *app;
    GThread *thread;
    GMutex lock;
    GCond wake;
    bool is_closed;
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

static gpointer run(gpointer data)
{
    struct housekeeper *housekeeper = data;
    g_mutex_lock(&housekeeper->lock);
    while (!housekeeper->is_closed) {
        int64_t until_us = g_get_monotonic_time() + PERIOD_US;
        while (!housekeeper->is_closed && g_cond_wait_until(&housekeeper->wake, &housekeeper->lock, until_us)) {
        }
        if (!housekeeper->is_closed) {
            g_mutex_unlock(&housekeeper->lock);
            collect(housekeeper->app);
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
    g_free(housekeeper);
}
