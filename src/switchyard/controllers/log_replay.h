/* Lines that an engine gives a second time in one stream.
 *
 * Docker 20.10 follows its json-file log so: when the file was turned over more than once before its reader came to the end, it
 * skips the files between and reads the beginning of the newest once for each turn. What is repeated can be told from a clock that
 * was set back by its being the very lines that were given before: same stamp, same text, same order. That lines were skipped can
 * be told from nothing but the repetition.
 *
 * One per stream of an instance (stdout, stderr); not thread-safe. Remembers the last LOG_REPLAY_MAX lines, 16 bytes each, but none
 * that is a minute older than the newest: only a log that is written faster than it is read is ever skipped. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_REPLAY_MAX (1 << 18)

struct log_replay {
    GArray *seen;  /* of struct, stamps rising; NULL before the first */
    guint n_again; /* > 0: a repetition goes on, and the next line is to be seen[n_again] */
};

enum log_novelty { LOG_NEW, LOG_REPEATED, LOG_FIRST_REPEATED /* of a repetition: lines may have been skipped */ };

enum log_novelty log_replay_look(struct log_replay *replay, int64_t time_us, const char *text, size_t length);
void log_replay_clear(struct log_replay *replay); /* a stream begins anew */
