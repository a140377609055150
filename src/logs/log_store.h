/* The log store: every line of every instance, per service, on disk, in bounded segments.
 *
 * A log is named by a key (`service id/environment id`, or `build/release id`). Its folder holds
 * segments, each an append-only file of records (layout in log_segment.h, with a checksum per
 * record); a torn tail after a crash is cut at the last whole record. Segments are closed at a size
 * or an age; the oldest go when a log exceeds its size or age bound. Lines carry a sequence that rises
 * by one from line to line of a log, so that whatever is lost is known and told. Times are the
 * sources' own; those of different sources may interleave.
 *
 * No duplicates: each source (instance) has a watermark (per stream the last timestamp and the lines
 * seen at it) that is written with the records, so that a collector that reads again after a
 * restart hands in what it has and old lines are dropped. Watermarks of sources that were silent for
 * the age bound are forgotten; a source that is not known may not hand in lines older than those.
 * Secrets: a redactor may be set per append; its values are replaced before a byte reaches the disk.
 * A key has up to four parts of [A-Za-z0-9_-]+, 255 bytes in all; others are SY_INVALID_INPUT.
 * Threads: all functions are thread-safe; one writer per log at a time (internal lock). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct log_store;

struct log_options {
    int64_t segment_bytes;  /* default 8 MiB */
    int64_t segment_age_ms; /* default 1 h */
    int64_t log_bytes;      /* per log, default 256 MiB */
    int64_t log_age_ms;     /* default 30 days */
    int64_t sync_ms;        /* fdatasync at most this long after an append; default 1000 */
};

enum log_stream_kind { LOG_STDOUT, LOG_STDERR, LOG_SYSTEM };

struct log_line {
    int64_t time_us;
    uint64_t sequence;  /* set by the store */
    const char *source; /* instance name, or the build step; ≤ 128 bytes */
    enum log_stream_kind stream;
    const char
        *text; /* without newline; any bytes. Read: ≤ 64 KiB. Appended: longer ones become several lines, see below */
    size_t length;
};

struct log_store *log_store_open(const char *folder, const struct log_options *options,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_store_close(struct log_store *store); /* syncs */

struct redactor; /* logs/redactor.h */

/* Secrets are looked for in a line as a whole before it is divided. From LOG_LINE_MAX on it is cut, with a note: whoever made
 * it cut there as well, and before the cut may stand the beginning of a secret, so that much of it is dropped. */
#define LOG_LINE_MAX (1 << 20)
#define LOG_SECRET_MAX (192 << 10) /* 32 KiB, each byte as \u00XX */

/* Appends lines of one source in order. Lines before the source's watermark are dropped, and at its
 * very time as many as are known from before this delivery: one begins at log_store_watermark(), or
 * when times go back. *ret_appended (may be NULL) counts the rest. Wakes followers. SY_DISK_FULL:
 * hand in all of them again later; what was kept all the same is recognised. */
bool log_store_append(struct log_store *store, const char *key, const struct log_line *lines, size_t n_lines,
                      const struct redactor *redactor, size_t *ret_appended, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The time of the source's newest line on stdout or stderr, or 0: where a collector continues. Begins
 * a delivery: lines of that time are expected once more. */
int64_t log_store_watermark(struct log_store *store, const char *key, const char *source);

struct log_query {
    int64_t since_us, until_us; /* both inclusive; 0: open */
    uint64_t after_sequence;    /* only lines beyond this; 0: all */
    int64_t limit;              /* the last n that match; 0: all */
    const char *grep;           /* substring, NULL: all */
    const char *source;         /* NULL: all */
};

/* Borrowed line for the call; false ends the read. */
typedef bool (*log_line_fn)(const struct log_line *line, void *arg);
/* Up to the newest line at the time of the call. Where lines are missing, a LOG_SYSTEM line without a
 * source says how many, whatever the query. */
bool log_store_read(struct log_store *store, const char *key, const struct log_query *query, log_line_fn fn, void *arg,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Follow: first what the query gives, then every new line as it comes, exactly once each, until
 * log_follow_stop. `fn` runs on the store's follower thread and must not block; false ends it. A
 * line that was dropped by retention before it could be read, or is damaged, is told through
 * `missed_fn` (count; may be NULL). May be stopped by its own `fn`, and after the store is closed. */
struct log_follow;
struct log_follow *log_follow_start(struct log_store *store, const char *key, const struct log_query *query,
                                    log_line_fn fn, void (*missed_fn)(int64_t missed, void *arg), void *arg,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_follow_stop(struct log_follow *follow); /* fn is not running and never will again when this returns */

/* Applies bounds to all logs. The segment that is written to stays, unless all its lines are too old
 * and it is of an age to be closed: then an empty one keeps the sequence and the watermarks, and goes
 * as well when the log stays silent for that long once more. */
bool log_store_trim(struct log_store *store, int64_t now_us, int64_t *ret_freed_bytes,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool log_store_remove(struct log_store *store, const char *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;
int64_t log_store_bytes(struct log_store *store);
