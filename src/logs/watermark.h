/* What each source of a log has handed in: the time of its newest line and the lines at that time, per stream.
 *
 * An engine stamps stdout and stderr by two threads, so their lines may stand in its file out of order by microseconds;
 * each stream alone is in order. That is why every stream has a mark of its own.
 *
 * Beside the mark stands a cursor, kept in memory only: the place within what is being handed in just now. Lines at the
 * mark's own time are told apart by counting them: the cursor counts, and goes back to one whenever the time changes or a
 * new delivery begins. Sources silent for longer than the bound are forgotten; the floor is the newest time that was
 * forgotten, and lines of unknown sources up to it are taken for old. Guarded by the log's write lock. */
#pragma once

#include "logs/log_segment.h"

#define WATERMARK_SOURCES_MAX 4096

struct mark {
    struct {
        int64_t time_us; /* -1: none */
        uint32_t count;
        int64_t cursor_us; /* -1: a delivery begins */
        uint32_t cursor_count;
    } streams[LOG_STREAMS];
};

struct watermarks;
struct watermarks *watermarks_new(void);
void watermarks_free(struct watermarks *watermarks);

/* NULL when unknown. */
struct mark *watermarks_find(struct watermarks *watermarks, const char *source);
struct mark *watermarks_ensure(struct watermarks *watermarks, const char *source);

/* Moves the cursor by a line; true when the line is new. */
bool mark_step(const struct watermarks *watermarks, struct mark *mark, enum log_stream_kind stream, int64_t time_us);
/* The line at the cursor is kept. */
void mark_advance(struct mark *mark, enum log_stream_kind stream);
void mark_begin_delivery(struct mark *mark);
/* The newest time of stdout and stderr; 0 when there is none. */
int64_t mark_time(const struct mark *mark);

/* A line read back from a segment. */
void watermarks_replay(struct watermarks *watermarks, const struct log_line *line);
/* Forgets sources whose newest line is older, and the oldest beyond WATERMARK_SOURCES_MAX. */
void watermarks_prune(struct watermarks *watermarks, int64_t oldest_us);

/* Does so when they have become many more than that; between the beginnings of two segments. */
void watermarks_limit(struct watermarks *watermarks);

/* One record or more. */
void watermarks_encode(struct watermarks *watermarks, GByteArray *out, uint32_t salt);
/* Takes the greater of what it has and what the record says. *ret_more: entries in the tables that follow. */
bool watermarks_decode(struct watermarks *watermarks, const struct record *record, uint32_t *ret_more);
