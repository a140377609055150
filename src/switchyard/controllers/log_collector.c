/* One thread per instance reads; one thread for all writes.
 *
 * Batching needs no timer: the writer takes whatever has gathered while it wrote before. A lone line is on its way at once,
 * a burst is written in batches. Between them stands a bounded buffer per instance; when the store cannot keep up or the
 * disk is full, the reader waits and the engine keeps the lines.
 *
 * A reader begins a second before the store's watermark: the engine stamps stdout and stderr by two threads, so that a
 * line may stand behind one with a later stamp. What the store has it drops (log_store.h). */
#include "switchyard/controllers/log_collector.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "switchyard/controllers/log_replay.h"

#define BATCH_LINES 256
#define BUFFER_LINES 2048
#define BUFFER_BYTES (1024 * 1024)
#define OVERLAP_US INT64_C(1000000)
#define DELAY_MIN_MS 100
#define DELAY_MAX_MS 2000
#define DRAIN_RETRY_MS 50
#define APPEND_RETRY_MIN_MS 100
#define APPEND_RETRY_MAX_MS 2000

struct entry {
    int64_t time_us;
    enum log_stream_kind stream;
    size_t offset, length; /* in the text */
};

struct batch {
    GArray *entries; /* of struct entry */
    GString *text;
};

struct watch {
    struct log_collector *collector;
    char *engine_id, *key, *source;
    struct redactor *redactor;
    GThread *thread;
    int cancelled; /* atomic; the engine polls it */
    /* The reader's own, of the pass that goes on: */
    int64_t mark_us; /* the store's watermark when it began */
    bool is_first, has_progress;
    int64_t last_us[2]; /* per stream, as is the next */
    struct log_replay replays[2];
    /* Under the collector's lock: */
    int references;
    struct batch pending;
    uint64_t n_begun, n_completed; /* passes over the engine's log; completed: its number */
    int n_draining;
    bool is_queued; /* in ready, or in the writer's hands: lines are not stored yet */
    bool is_writing;
    int64_t retry_us; /* monotonic; > 0 after an append failed */
    int64_t retry_ms;
    /* The writer's own while is_writing: */
    struct batch taken;
    guint n_stored; /* of taken */
};

struct log_collector {
    struct engine *engine;
    struct log_store *logs;
    GThread *writer;
    GMutex lock;
    GCond work;    /* ready has one, or closing */
    GCond changed; /* room, stored, a pass over, cancelled */
    GHashTable *watches;
    GQueue ready;
    bool is_closing;
};

/* --- batches ------------------------------------------------------------------------------------------------------------- */

static void batch_init(struct batch *batch)
{
    batch->entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
    batch->text = g_string_new(NULL);
}

static void batch_done(struct batch *batch)
{
    g_array_unref(batch->entries);
    g_string_free(batch->text, TRUE);
}

/* A burst's memory is not kept for good. */
static void batch_clear(struct batch *batch)
{
    if (batch->text->allocated_len > 64 * 1024 || batch->entries->len > BATCH_LINES) {
        batch_done(batch);
        batch_init(batch);
        return;
    }
    g_array_set_size(batch->entries, 0);
    g_string_truncate(batch->text, 0);
}

static void batch_add(struct batch *batch, enum log_stream_kind stream, int64_t time_us, const char *text,
                      size_t length)
{
    const struct entry entry = {.time_us = time_us, .stream = stream, .offset = batch->text->len, .length = length};
    g_array_append_val(batch->entries, entry);
    g_string_append_len(batch->text, text, (gssize)length);
}

static bool batch_is_full(const struct batch *batch)
{
    return batch->entries->len >= BUFFER_LINES || batch->text->len >= BUFFER_BYTES;
}

/* --- the writer ------------------------------------------------------------------------------------------------------------ */

/* The next watch that is due; NULL at the end. With the lock held. */
static struct watch *next_ready(struct log_collector *collector)
{
    while (!collector->is_closing) {
        int64_t now_us = g_get_monotonic_time();
        int64_t wake_us = G_MAXINT64;
        for (GList *link = collector->ready.head; link != NULL; link = link->next) {
            struct watch *watch = link->data;
            if (watch->retry_us <= now_us) {
                g_queue_delete_link(&collector->ready, link);
                return watch;
            }
            wake_us = MIN(wake_us, watch->retry_us);
        }
        if (wake_us == G_MAXINT64) {
            g_cond_wait(&collector->work, &collector->lock);
        } else {
            g_cond_wait_until(&collector->work, &collector->lock, wake_us);
        }
    }
    return NULL;
}

/* Hands over what was taken, from where it stopped. */
static bool store_taken(struct watch *watch, GError **error)
{
    struct log_line lines[BATCH_LINES];
    while (watch->n_stored < watch->taken.entries->len) {
        guint n = MIN(watch->taken.entries->len - watch->n_stored, BATCH_LINES);
        for (guint i = 0; i < n; i++) {
            const struct entry *entry = &g_array_index(watch->taken.entries, struct entry, watch->n_stored + i);
            lines[i] = (struct log_line){.time_us = entry->time_us,
                                         .source = watch->source,
                                         .stream = entry->stream,
                                         .text = watch->taken.text->str + entry->offset,
                                         .length = entry->length};
        }
        if (!log_store_append(watch->collector->logs, watch->key, lines, n, watch->redactor, NULL, error)) {
            return false;
        }
        watch->n_stored += n;
    }
    return true;
}

/* With the lock held. A full disk is told once. */
static void after_write(struct watch *watch, bool is_stored, const GError *failure)
{
    struct log_collector *collector = watch->collector;
    watch->is_writing = false;
    if (is_stored) {
        watch->retry_us = watch->retry_ms = 0;
        batch_clear(&watch->taken);
        watch->n_stored = 0;
    } else {
        if (watch->retry_ms == 0) {
            log_failure("logs.append_failed", failure, "source", watch->source, NULL);
        }
        watch->retry_ms = CLAMP(watch->retry_ms * 2, APPEND_RETRY_MIN_MS, APPEND_RETRY_MAX_MS);
        watch->retry_us = g_get_monotonic_time() + watch->retry_ms * 1000;
    }
    watch->is_queued = !is_stored || watch->pending.entries->len > 0;
    if (watch->is_queued) {
        g_queue_push_tail(&collector->ready, watch);
    }
    g_cond_broadcast(&collector->changed);
}

static gpointer write_lines(gpointer data)
{
    struct log_collector *collector = data;
    struct watch *watch;
    g_mutex_lock(&collector->lock);
    while ((watch = next_ready(collector)) != NULL) {
        if (watch->taken.entries->len == 0) {
            struct batch empty = watch->taken;
            watch->taken = watch->pending;
            watch->pending = empty;
            g_cond_broadcast(&collector->changed);
        }
        watch->is_writing = true;
        g_mutex_unlock(&collector->lock);
        g_autoptr(GError) failure = NULL;
        bool is_stored = store_taken(watch, &failure);
        g_mutex_lock(&collector->lock);
        after_write(watch, is_stored, failure);
    }
    g_mutex_unlock(&collector->lock);
    return NULL;
}

/* --- a reader --------------------------------------------------------------------------------------------------------------- */

static bool is_cancelled(struct watch *watch)
{
    return g_atomic_int_get(&watch->cancelled) != 0;
}

/* Waits for room. False when the watch is over. */
static bool push(struct watch *watch, enum log_stream_kind stream, int64_t time_us, const char *text, size_t length)
{
    struct log_collector *collector = watch->collector;
    g_mutex_lock(&collector->lock);
    while (batch_is_full(&watch->pending) && !is_cancelled(watch)) {
        g_cond_wait(&collector->changed, &collector->lock);
    }
    bool goes_on = !is_cancelled(watch);
    if (goes_on) {
        batch_add(&watch->pending, stream, time_us, text, length);
    }
    if (goes_on && !watch->is_queued) {
        watch->is_queued = true;
        g_queue_push_tail(&collector->ready, watch);
        g_cond_signal(&collector->work);
    }
    g_mutex_unlock(&collector->lock);
    return goes_on;
}

/* The engine was asked for lines up to the mark as well: when none comes it has thrown them away, and perhaps more. */
static bool mark_gap(struct watch *watch, int64_t time_us)
{
    static const char text[] = "[lines may be missing here: the engine dropped them before they were read]";
    return watch->mark_us == 0 || time_us <= watch->mark_us || push(watch, LOG_SYSTEM, time_us, text, sizeof text - 1);
}

static bool mark_skip(struct watch *watch, int64_t time_us)
{
    static const char text[] =
        "[lines may be missing above: the engine turned its log over faster than it could be read, and skipped some]";
    return push(watch, LOG_SYSTEM, time_us, text, sizeof text - 1);
}

static bool on_line(bool is_stderr, int64_t time_us, const char *text, size_t length, void *arg)
{
    struct watch *watch = arg;
    if (watch->is_first && !mark_gap(watch, time_us)) {
        return false;
    }
    watch->is_first = false;
    enum log_novelty novelty = log_replay_look(&watch->replays[is_stderr], time_us, text, length);
    if (novelty != LOG_NEW) {
        return novelty == LOG_REPEATED || mark_skip(watch, watch->last_us[is_stderr]);
    }
    /* A clock that is set back must not make new lines look like old ones. */
    watch->last_us[is_stderr] = MAX(watch->last_us[is_stderr], time_us);
    watch->has_progress = watch->has_progress || time_us > watch->mark_us;
    return push(watch, is_stderr ? LOG_STDERR : LOG_STDOUT, watch->last_us[is_stderr], text, length);
}

/* A new pass begins only when the store has all of the last one: the watermark must be final. */
static bool begin_pass(struct watch *watch)
{
    struct log_collector *collector = watch->collector;
    g_mutex_lock(&collector->lock);
    while (watch->is_queued && !is_cancelled(watch)) {
        g_cond_wait(&collector->changed, &collector->lock);
    }
    watch->n_begun++;
    g_mutex_unlock(&collector->lock);
    return !is_cancelled(watch);
}

enum pass_result { PASS_COMPLETE, PASS_BROKEN, PASS_GONE };

static enum pass_result read_pass(struct watch *watch, bool was_broken)
{
    struct log_collector *collector = watch->collector;
    const struct engine_ops *ops = collector->engine->ops;
    g_autoptr(GError) failure = NULL;
    watch->mark_us = log_store_watermark(collector->logs, watch->key, watch->source);
    watch->is_first = true;
    watch->has_progress = false;
    watch->last_us[0] = watch->last_us[1] = 0;
    log_replay_clear(&watch->replays[0]);
    log_replay_clear(&watch->replays[1]);
    int64_t since_us = watch->mark_us > 0 ? MAX(watch->mark_us - OVERLAP_US, 1) : 0;
    if (ops->instance_logs(collector->engine, watch->engine_id, since_us, true, on_line, watch, &watch->cancelled,
                           &failure)) {
        return PASS_COMPLETE;
    }
    if (sy_error_code(failure) == SY_NOT_FOUND) {
        return PASS_GONE;
    }
    if (!was_broken && !is_cancelled(watch)) {
        log_event(LOG_WARN, "logs.stream_broke", "source", watch->source, "error", failure->message, NULL);
    }
    return PASS_BROKEN;
}

/* Until it is worth trying again, the watch is over, or somebody waits for the rest. */
static void pause_reader(struct watch *watch, enum pass_result result, int64_t delay_ms)
{
    struct log_collector *collector = watch->collector;
    int64_t now_us = g_get_monotonic_time();
    int64_t end_us =
        result == PASS_GONE ? G_MAXINT64 : now_us + (int64_t)((double)delay_ms * g_random_double_range(800, 1200));
    int64_t urgent_us = now_us + (result == PASS_COMPLETE ? 0 : DRAIN_RETRY_MS * 1000);
    g_mutex_lock(&collector->lock);
    if (result != PASS_BROKEN) {
        watch->n_completed = watch->n_begun;
        g_cond_broadcast(&collector->changed);
    }
    for (;;) {
        int64_t until_us = watch->n_draining > 0 ? MIN(urgent_us, end_us) : end_us;
        if (is_cancelled(watch) || g_get_monotonic_time() >= until_us) {
            break;
        }
        if (until_us == G_MAXINT64) {
            g_cond_wait(&collector->changed, &collector->lock);
        } else {
            g_cond_wait_until(&collector->changed, &collector->lock, until_us);
        }
    }
    g_mutex_unlock(&collector->lock);
}

static gpointer read_instance(gpointer data)
{
    struct watch *watch = data;
    int64_t delay_ms = DELAY_MIN_MS;
    enum pass_result result = PASS_COMPLETE;
    while (begin_pass(watch)) {
        result = read_pass(watch, result == PASS_BROKEN);
        delay_ms = watch->has_progress ? DELAY_MIN_MS : MIN(delay_ms * 2, DELAY_MAX_MS);
        pause_reader(watch, result, delay_ms);
    }
    return NULL;
}

/* --- watches ------------------------------------------------------------------------------------------------------------------ */

static struct watch *watch_new(struct log_collector *collector, const char *engine_id, const char *key,
                               const char *source, struct redactor *redactor)
{
    struct watch *watch = g_new0(struct watch, 1);
    watch->collector = collector;
    watch->engine_id = g_strdup(engine_id);
    watch->key = g_strdup(key);
    watch->source = g_strdup(source);
    watch->redactor = redactor_ref(redactor);
    watch->references = 1;
    batch_init(&watch->pending);
    batch_init(&watch->taken);
    return watch;
}

/* With the lock held. */
static void watch_unref(struct watch *watch)
{
    if (--watch->references > 0) {
        return;
    }
    batch_done(&watch->pending);
    batch_done(&watch->taken);
    redactor_unref(watch->redactor);
    log_replay_clear(&watch->replays[0]);
    log_replay_clear(&watch->replays[1]);
    g_free(watch->engine_id);
    g_free(watch->key);
    g_free(watch->source);
    g_free(watch);
}

static void cancel(struct watch *watch)
{
    g_atomic_int_set(&watch->cancelled, 1);
    g_cond_broadcast(&watch->collector->changed);
}

/* The reader has ended: the rest is written, unless that fails. With the lock held. */
static void settle(struct watch *watch)
{
    struct log_collector *collector = watch->collector;
    if (watch->is_queued && !watch->is_writing) {
        watch->retry_us = 0; /* once more, now */
        g_cond_signal(&collector->work);
    }
    while (watch->is_writing || (watch->is_queued && watch->retry_us == 0)) {
        g_cond_wait(&collector->changed, &collector->lock);
    }
    if (watch->is_queued) {
        g_queue_remove(&collector->ready, watch);
        watch->is_queued = false;
        g_autofree char *n =
            g_strdup_printf("%u", watch->pending.entries->len + watch->taken.entries->len - watch->n_stored);
        log_event(LOG_ERROR, "logs.lines_left", "source", watch->source, "lines", n, NULL);
    }
    watch_unref(watch);
}

/* Takes the table's reference. */
static void end_watch(struct watch *watch)
{
    struct log_collector *collector = watch->collector;
    g_thread_join(watch->thread);
    g_mutex_lock(&collector->lock);
    settle(watch);
    g_mutex_unlock(&collector->lock);
}

void log_collector_watch(struct log_collector *collector, const char *engine_id, const char *key, const char *source,
                         struct redactor *redactor)
{
    g_mutex_lock(&collector->lock);
    if (!g_hash_table_contains(collector->watches, engine_id)) {
        struct watch *watch = watch_new(collector, engine_id, key, source, redactor);
        g_hash_table_insert(collector->watches, watch->engine_id, watch);
        watch->thread = g_thread_new("log-reader", read_instance, watch);
    }
    g_mutex_unlock(&collector->lock);
}

void log_collector_unwatch(struct log_collector *collector, const char *engine_id)
{
    g_mutex_lock(&collector->lock);
    struct watch *watch = g_hash_table_lookup(collector->watches, engine_id);
    if (watch != NULL) {
        g_hash_table_remove(collector->watches, engine_id);
        cancel(watch);
    }
    g_mutex_unlock(&collector->lock);
    if (watch != NULL) {
        end_watch(watch);
    }
}

/* A pass that begins after this call and completes has seen all that the ended instance printed. */
bool log_collector_drain(struct log_collector *collector, const char *engine_id, int64_t timeout_ms)
{
    int64_t end_us = g_get_monotonic_time() + timeout_ms * 1000;
    bool is_drained = false;
    g_mutex_lock(&collector->lock);
    struct watch *watch = g_hash_table_lookup(collector->watches, engine_id);
    if (watch != NULL) {
        uint64_t wanted = watch->n_begun + 1;
        bool is_in_time = true;
        watch->references++;
        watch->n_draining++;
        g_cond_broadcast(&collector->changed);
        while (!(is_drained = watch->n_completed >= wanted && !watch->is_queued) && is_in_time &&
               !is_cancelled(watch)) {
            is_in_time = g_cond_wait_until(&collector->changed, &collector->lock, end_us);
        }
        watch->n_draining--;
        watch_unref(watch);
    }
    g_mutex_unlock(&collector->lock);
    return is_drained;
}

/* --- life ---------------------------------------------------------------------------------------------------------------------- */

struct log_collector *log_collector_new(struct engine *engine, struct log_store *logs)
{
    struct log_collector *collector = g_new0(struct log_collector, 1);
    collector->engine = engine;
    collector->logs = logs;
    g_mutex_init(&collector->lock);
    g_cond_init(&collector->work);
    g_cond_init(&collector->changed);
    g_queue_init(&collector->ready);
    collector->watches = g_hash_table_new(g_str_hash, g_str_equal);
    collector->writer = g_thread_new("log-writer", write_lines, collector);
    return collector;
}

/* All are told first, so that they end at the same time. */
static void end_all(struct log_collector *collector)
{
    g_mutex_lock(&collector->lock);
    g_autoptr(GList) watches = g_hash_table_get_values(collector->watches);
    g_hash_table_remove_all(collector->watches);
    for (GList *link = watches; link != NULL; link = link->next) {
        cancel(link->data);
    }
    g_mutex_unlock(&collector->lock);
    for (GList *link = watches; link != NULL; link = link->next) {
        end_watch(link->data);
    }
}

void log_collector_free(struct log_collector *collector)
{
    if (collector == NULL) {
        return;
    }
    end_all(collector);
    g_mutex_lock(&collector->lock);
    collector->is_closing = true;
    g_cond_signal(&collector->work);
    g_mutex_unlock(&collector->lock);
    g_thread_join(collector->writer);
    g_hash_table_unref(collector->watches);
    g_mutex_clear(&collector->lock);
    g_cond_clear(&collector->work);
    g_cond_clear(&collector->changed);
    g_free(collector);
}
