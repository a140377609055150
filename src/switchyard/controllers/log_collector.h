/* Copies what instances print into the log store, exactly once, across restarts of everything.
 *
 * One reader per watched instance (a thread that follows the engine's log from the store's watermark on); a reader whose
 * stream breaks starts again with back-off from the watermark. Lines are handed to the store in batches (at most 256 lines
 * or 50 ms) so that a burst costs few writes and a single line is seen at once. */
#pragma once

#include "engine/engine.h"
#include "logs/log_store.h"
#include "logs/redactor.h"

struct log_collector;
struct log_collector *log_collector_new(struct engine *engine, struct log_store *logs);
void log_collector_free(struct log_collector *collector); /* stops all readers; what they have is stored */

/* Idempotent by engine_id. key, source: of the store. The redactor is referenced; may be NULL. */
void log_collector_watch(struct log_collector *collector, const char *engine_id, const char *key, const char *source,
                         struct redactor *redactor);
void log_collector_unwatch(struct log_collector *collector, const char *engine_id);
/* Waits until everything that the (ended) instance printed is stored, or the time is over. */
bool log_collector_drain(struct log_collector *collector, const char *engine_id, int64_t timeout_ms);
