#include "switchyard/controllers/log_replay.h"

#define KEPT_US (INT64_C(60) * 1000000)
#define LOOK_EVERY 64 /* lines; what a log keeps that is written slowly: at most twice as many, 2 KiB */

struct seen_line {
    int64_t time_us;
    guint32 length, hash;
};

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), 32 bits. */
static guint32 hash_of(const char *text, size_t length)
{
    guint32 hash = 2166136261U;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    }
    return hash;
}

static const struct seen_line *seen_at(const struct log_replay *replay, guint i)
{
    return &g_array_index(replay->seen, struct seen_line, i);
}

static bool is_same(const struct seen_line *a, const struct seen_line *b)
{
    return a->time_us == b->time_us && a->length == b->length && a->hash == b->hash;
}

/* The first that is not older. */
static guint find(const struct log_replay *replay, int64_t time_us)
{
    guint low = 0;
    guint high = replay->seen->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (seen_at(replay, middle)->time_us < time_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool find_same(const struct log_replay *replay, const struct seen_line *line, guint *ret_at)
{
    for (guint i = find(replay, line->time_us); i < replay->seen->len && seen_at(replay, i)->time_us == line->time_us;
         i++) {
        if (is_same(seen_at(replay, i), line)) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

/* Gives the memory of what a burst left back, too. */
static void forget(struct log_replay *replay, guint n)
{
    guint n_kept = replay->seen->len - n;
    GArray *kept = g_array_sized_new(FALSE, FALSE, sizeof(struct seen_line), n_kept + LOOK_EVERY);
    g_array_append_vals(kept, seen_at(replay, n), n_kept);
    g_array_unref(replay->seen);
    replay->seen = kept;
}

static void remember(struct log_replay *replay, const struct seen_line *line)
{
    guint n = replay->seen->len;
    if (n > 0 && n % LOOK_EVERY == 0) {
        guint n_old = find(replay, line->time_us - KEPT_US);
        n_old = n == LOG_REPLAY_MAX ? MAX(n_old, n / 2) : n_old;
        if (n_old >= n / 2) {
            forget(replay, n_old);
        }
    }
    g_array_append_vals(replay->seen, line, 1);
}

enum log_novelty log_replay_look(struct log_replay *replay, int64_t time_us, const char *text, size_t length)
{
    const struct seen_line line = {.time_us = time_us, .length = (guint32)length, .hash = hash_of(text, length)};
    if (replay->seen == NULL) {
        replay->seen = g_array_new(FALSE, FALSE, sizeof line);
    }
    guint n = replay->seen->len;
    if (replay->n_again > 0 && replay->n_again < n && is_same(seen_at(replay, replay->n_again), &line)) {
        replay->n_again++;
        return LOG_REPEATED;
    }
    replay->n_again = 0;
    bool goes_back = n > 0 && time_us < seen_at(replay, n - 1)->time_us;
    guint at = 0;
    if (goes_back && find_same(replay, &line, &at)) {
        replay->n_again = at + 1;
        return LOG_FIRST_REPEATED;
    }
    if (goes_back) {
        g_array_set_size(replay->seen, 0); /* the clock was set back: stamps rise from here */
    }
    remember(replay, &line);
    return LOG_NEW;
}

void log_replay_clear(struct log_replay *replay)
{
    g_clear_pointer(&replay->seen, g_array_unref);
    replay->n_again = 0;
}
