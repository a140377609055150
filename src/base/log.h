/* The program's own log: one event, one JSON line on stderr.
 *
 *     log_event(LOG_WARN, "engine.call_failed", "endpoint", path, "error", error->message, NULL);
 *
 * Event names are `component.verb_noun`. Pairs of key and value follow, ended by NULL; a NULL value
 * is left out. The request id of the calling thread, when set, is added. Values are untrusted text
 * and are escaped. Only programs and the layers that own a boundary log; libraries return errors.
 * Thread-safe: each line is one write(2). Never blocks on anything but stderr. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below `level` are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level); /* before words are made for a line that may be dropped */

void log_event(enum log_level level, const char *event, ...) G_GNUC_NULL_TERMINATED;

/* Logs `event` at LOG_ERROR with the error's code and message, then the pairs. */
void log_failure(const char *event, const GError *error, ...) G_GNUC_NULL_TERMINATED;

/* For what fails again and again: true the first time and then once a minute, until log_limit_reset. Zeroed at first.
 * Thread-safe. */
struct log_limit {
    gint64 next_us; /* monotonic; 0: it is well */
};
gboolean log_limit_allows(struct log_limit *limit);
void log_limit_reset(struct log_limit *limit);

/* Copied; NULL clears. Belongs to the calling thread. */
void log_set_request_id(const char *request_id);
const char *log_request_id(void);
