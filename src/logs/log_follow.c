/* Following: one thread reads for all who follow, a slice at a time and in turn, so that nobody's backlog delays the rest. */
#include <string.h>

#include "base/error.h"
#include "logs/log_internal.h"

#define SLICE_LINES 512

enum follow_state { FOLLOW_IDLE, FOLLOW_READY, FOLLOW_RUNNING, FOLLOW_RUNNING_AGAIN };

struct log_follow {
    struct log_store *store; /* a reference */
    struct log_query query;  /* its strings are ours */
    log_line_fn fn;
    void (*missed_fn)(int64_t missed, void *arg);
    void *arg;
    struct log_reader reader; /* the thread's; holds the log */
    /* Under the follower's lock: */
    enum follow_state state;
    GList link; /* in ready */
    bool has_ended;
    bool is_orphan; /* stopped by its own fn: the thread frees it */
};

/* --- with the follower's lock held ------------------------------------------------------------- */

static void make_ready(struct follower *follower, struct log_follow *follow)
{
    if (follow->state == FOLLOW_IDLE && !follow->has_ended) {
        follow->state = FOLLOW_READY;
        g_queue_push_tail_link(&follower->ready, &follow->link);
        g_cond_signal(&follower->wake);
    } else if (follow->state == FOLLOW_RUNNING) {
        follow->state = FOLLOW_RUNNING_AGAIN;
    }
}

static void end_follow(struct follower *follower, struct log_follow *follow)
{
    follow->has_ended = true;
    g_ptr_array_remove_fast(follow->reader.log->follows, follow);
    if (follow->state == FOLLOW_READY) {
        g_queue_unlink(&follower->ready, &follow->link);
        follow->state = FOLLOW_IDLE;
    }
}

void follower_wake(struct log *log)
{
    struct follower *follower = &log->store->follower;
    g_mutex_lock(&follower->lock);
    for (guint i = 0; i < log->follows->len; i++) {
        make_ready(follower, g_ptr_array_index(log->follows, i));
    }
    g_mutex_unlock(&follower->lock);
}

bool log_has_follows(struct log *log)
{
    struct follower *follower = &log->store->follower;
    g_mutex_lock(&follower->lock);
    bool has_follows = log->follows->len > 0;
    g_mutex_unlock(&follower->lock);
    return has_follows;
}

/* --- the thread -------------------------------------------------------------------------------- */

static void follow_free(struct log_follow *follow)
{
    struct log_store *store = follow->store;
    log_reader_done(&follow->reader);
    g_free((char *)follow->query.grep);
    g_free((char *)follow->query.source);
    g_free(follow);
    log_store_unref(store);
}

static bool is_stopped(struct log_follow *follow)
{
    struct follower *follower = &follow->store->follower;
    g_mutex_lock(&follower->lock);
    bool is_stopped = follow->has_ended || follower->is_closing;
    g_mutex_unlock(&follower->lock);
    return is_stopped;
}

enum step { STEP_MORE, STEP_CAUGHT_UP, STEP_OVER };

/* A file that cannot be read is tried again with the next line that comes. */
static enum step take_slice(struct log_follow *follow)
{
    for (int i = 0; i < SLICE_LINES; i++) {
        g_autoptr(GError) ignored = NULL;
        struct log_line line;
        int64_t missed = 0;
        enum read_result result = log_reader_next(&follow->reader, &line, &missed, &ignored);
        if (result == READ_END || result == READ_FAILED) {
            return STEP_CAUGHT_UP;
        }
        if (is_stopped(follow)) {
            return STEP_OVER;
        }
        if (result == READ_MISSED) {
            if (follow->missed_fn != NULL) {
                follow->missed_fn(missed, follow->arg);
            }
            i--; /* the line behind the gap is in the buffer and belongs to this slice */
        } else if (log_query_matches(&follow->query, &line) && !follow->fn(&line, follow->arg)) {
            return STEP_OVER;
        }
    }
    return STEP_MORE;
}

/* Takes the lock again; may free the follow. */
static void after_slice(struct follower *follower, struct log_follow *follow, enum step step)
{
    bool goes_on = step == STEP_MORE || follow->state == FOLLOW_RUNNING_AGAIN;
    follow->state = FOLLOW_IDLE;
    if (step == STEP_OVER && !follow->has_ended) {
        end_follow(follower, follow);
    } else if (goes_on) {
        make_ready(follower, follow);
    }
    g_cond_broadcast(&follower->stepped);
    if (follow->is_orphan) {
        g_mutex_unlock(&follower->lock);
        follow_free(follow);
        g_mutex_lock(&follower->lock);
    }
}

static gpointer follower_main(gpointer data)
{
    struct log_store *store = data;
    struct follower *follower = &store->follower;
    g_mutex_lock(&follower->lock);
    while (!follower->is_closing) {
        GList *link = g_queue_pop_head_link(&follower->ready);
        if (link == NULL) {
            g_cond_wait(&follower->wake, &follower->lock);
            continue;
        }
        struct log_follow *follow = link->data;
        follow->state = FOLLOW_RUNNING;
        g_mutex_unlock(&follower->lock);
        enum step step = take_slice(follow);
        log_reader_pause(&follow->reader);
        g_mutex_lock(&follower->lock);
        after_slice(follower, follow, step);
    }
    g_mutex_unlock(&follower->lock);
    return NULL;
}

void follower_start(struct log_store *store)
{
    struct follower *follower = &store->follower;
    g_mutex_init(&follower->lock);
    g_cond_init(&follower->wake);
    g_cond_init(&follower->stepped);
    g_queue_init(&follower->ready);
    follower->buffer = g_malloc(SCANNER_BUFFER);
    follower->thread = g_thread_new("log-follow", follower_main, store);
}

void follower_stop(struct log_store *store)
{
    struct follower *follower = &store->follower;
    g_mutex_lock(&follower->lock);
    follower->is_closing = true;
    g_cond_signal(&follower->wake);
    g_mutex_unlock(&follower->lock);
    g_thread_join(follower->thread);
    g_free(follower->buffer);
}

/* --- callers ----------------------------------------------------------------------------------- */

static struct log_follow *follow_new(struct log_store *store, const struct log_query *query, log_line_fn fn,
                                     void (*missed_fn)(int64_t missed, void *arg), void *arg)
{
    struct log_follow *follow = g_new0(struct log_follow, 1);
    atomic_fetch_add(&store->references, 1);
    follow->store = store;
    follow->query = *query;
    follow->query.grep = g_strdup(query->grep);
    follow->query.source = g_strdup(query->source);
    follow->fn = fn;
    follow->missed_fn = missed_fn;
    follow->arg = arg;
    follow->link.data = follow;
    return follow;
}

struct log_follow *log_follow_start(struct log_store *store, const char *key, const struct log_query *query,
                                    log_line_fn fn, void (*missed_fn)(int64_t missed, void *arg), void *arg,
                                    GError **error)
{
    struct follower *follower = &store->follower;
    uint64_t next;
    uint64_t after;
    if (!log_key_check(key, error)) {
        return NULL;
    }
    g_autoptr(log_t) log = log_find(store, key);
    g_autofree uint8_t *buffer = g_malloc(SCANNER_BUFFER);
    if (!log_ready(log, &next, error) || !log_find_start(log, query, buffer, &after, error)) {
        return NULL;
    }
    struct log_follow *follow = follow_new(store, query, fn, missed_fn, arg);
    /* A position beyond the end is of an earlier log of the same name; it must not hide the lines to come. */
    follow->query.after_sequence = MIN(query->after_sequence, next - 1);
    log_reader_init(&follow->reader, log, query, after, follower->buffer);
    g_mutex_lock(&follower->lock);
    g_ptr_array_add(log->follows, follow);
    make_ready(follower, follow);
    g_mutex_unlock(&follower->lock);
    return follow;
}

void log_follow_stop(struct log_follow *follow)
{
    if (follow == NULL) {
        return;
    }
    struct follower *follower = &follow->store->follower;
    g_mutex_lock(&follower->lock);
    if (!follow->has_ended) {
        end_follow(follower, follow);
    }
    bool is_own_thread = g_thread_self() == follower->thread;
    bool is_running = follow->state == FOLLOW_RUNNING || follow->state == FOLLOW_RUNNING_AGAIN;
    follow->is_orphan = is_own_thread && is_running;
    while (!is_own_thread && (follow->state == FOLLOW_RUNNING || follow->state == FOLLOW_RUNNING_AGAIN)) {
        g_cond_wait(&follower->stepped, &follower->lock);
    }
    bool is_ours = !follow->is_orphan;
    g_mutex_unlock(&follower->lock);
    if (is_ours) {
        follow_free(follow);
    }
}
