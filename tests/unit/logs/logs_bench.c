/* How many lines a second go in, and how soon a follower sees one. Figures, no verdict. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "fixture.h"
#include "logs/redactor.h"

#define N_LINES 500000
#define N_LATENCIES 5000
#define TEXT "2026-01-01T00:00:00Z GET /api/v1/projects/42/services?limit=50 200 1.8ms request_id=0190b2c4"

static double ingest(size_t batch, const struct redactor *redactor)
{
    struct fixture fixture;
    struct log_line lines[256];
    int64_t time_us = 1;
    fixture_open_in(&fixture, g_get_tmp_dir(), NULL);
    int64_t begin_us = g_get_monotonic_time();
    for (int n = 0; n < N_LINES; n += (int)batch) {
        for (size_t i = 0; i < batch; i++) {
            lines[i] =
                (struct log_line){.time_us = time_us++, .source = "web-1", .text = TEXT, .length = sizeof TEXT - 1};
        }
        g_autoptr(GError) error = NULL;
        if (!log_store_append(fixture.store, "bench/log", lines, batch, redactor, NULL, &error)) {
            g_error("append: %s", error->message);
        }
    }
    double seconds = (double)(g_get_monotonic_time() - begin_us) / G_USEC_PER_SEC;
    fixture_close(&fixture);
    return N_LINES / seconds;
}

static double tail_ms(void)
{
    struct fixture fixture;
    fixture_open_in(&fixture, g_get_tmp_dir(), NULL);
    put_many(fixture.store, "bench/log", "web-1", TEXT, 1, N_LINES);
    g_autofree char *warm = read_texts(fixture.store, "bench/log", &(struct log_query){.limit = 100});
    int64_t begin_us = g_get_monotonic_time();
    g_autofree char *last = read_texts(fixture.store, "bench/log", &(struct log_query){.limit = 100});
    double ms = (double)(g_get_monotonic_time() - begin_us) / 1000;
    fixture_close(&fixture);
    return ms;
}

/* --- latency ----------------------------------------------------------------------------------- */

struct arrivals {
    GMutex lock;
    GCond arrived;
    int64_t at_us; /* of the newest line; 0: waited for */
};

static bool note_arrival(const struct log_line *line, void *arg)
{
    struct arrivals *arrivals = arg;
    g_mutex_lock(&arrivals->lock);
    arrivals->at_us = g_get_monotonic_time();
    g_cond_signal(&arrivals->arrived);
    g_mutex_unlock(&arrivals->lock);
    return true;
}

static int compare(gconstpointer a, gconstpointer b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static void latencies(int64_t *out)
{
    struct fixture fixture;
    struct arrivals arrivals = {0};
    g_autoptr(GError) error = NULL;
    g_mutex_init(&arrivals.lock);
    g_cond_init(&arrivals.arrived);
    fixture_open_in(&fixture, g_get_tmp_dir(), NULL);
    struct log_follow *follow =
        log_follow_start(fixture.store, "bench/log", &(struct log_query){0}, note_arrival, NULL, &arrivals, &error);
    for (int i = 0; i < N_LATENCIES; i++) {
        g_mutex_lock(&arrivals.lock);
        arrivals.at_us = 0;
        g_mutex_unlock(&arrivals.lock);
        int64_t begin_us = g_get_monotonic_time();
        put(fixture.store, "bench/log", "web-1", i + 1, TEXT);
        g_mutex_lock(&arrivals.lock);
        while (arrivals.at_us == 0) {
            g_cond_wait(&arrivals.arrived, &arrivals.lock);
        }
        out[i] = arrivals.at_us - begin_us;
        g_mutex_unlock(&arrivals.lock);
    }
    log_follow_stop(follow);
    fixture_close(&fixture);
    g_mutex_clear(&arrivals.lock);
    g_cond_clear(&arrivals.arrived);
    qsort(out, N_LATENCIES, sizeof *out, compare);
}

int main(void)
{
    g_autofree int64_t *sorted = g_new(int64_t, N_LATENCIES);
    struct secret *secrets[20];
    for (int i = 0; i < 20; i++) {
        g_autofree char *value = g_strdup_printf("secret-value-%d-0123456789abcdef", i);
        secrets[i] = secret_new(value, strlen(value));
    }
    struct redactor *redactor = redactor_new((const struct secret *const *)secrets, 20);
    printf("ingest, batches of 256:             %9.0f lines/s\n", ingest(256, NULL));
    printf("ingest, batches of 256, 20 secrets: %9.0f lines/s\n", ingest(256, redactor));
    printf("ingest, line by line:               %9.0f lines/s\n", ingest(1, NULL));
    printf("last 100 of %d:                 %9.2f ms\n", N_LINES, tail_ms());
    latencies(sorted);
    printf("append to follower: p50 %" G_GINT64_FORMAT " us, p99 %" G_GINT64_FORMAT " us, max %" G_GINT64_FORMAT
           " us\n",
           sorted[N_LATENCIES / 2], sorted[N_LATENCIES / 100 * 99], sorted[N_LATENCIES - 1]);
    redactor_unref(redactor);
    for (int i = 0; i < 20; i++) {
        secret_free(secrets[i]);
    }
    return 0;
}
