/* A queue of keys: deduplicated, delayed, one worker per key at a time.
 *
 * Adding a key that waits already keeps the earlier of both times. Adding a key that a worker is busy with makes it due again
 * when that worker is done. Thread-safe. Times are of the monotonic clock in microseconds.
 *
 * Each taken key tells since when the world may have changed: the newest of the moments for which it was asked. What was looked
 * at after that moment is new enough, so keys that were added together can share one look. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct queue;
struct queue *queue_new(const struct clock *clock); /* borrowed */
void queue_free(struct queue *queue);
void queue_add(struct queue *queue, const char *key, int64_t due_us);

/* Waits for a due key (newly allocated); NULL when the queue is closed. */
char *queue_take(struct queue *queue, int64_t *ret_since_us);

/* As queue_take without waiting: NULL when nothing is due, and then *ret_next_us is when something will be (0: nothing waits). */
char *queue_poll(struct queue *queue, int64_t *ret_since_us, int64_t *ret_next_us);
void queue_done(struct queue *queue, const char *key);
void queue_close(struct queue *queue);
int64_t queue_length(struct queue *queue);
