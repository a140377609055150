/* Container logs as the engine streams them (Docker Engine API, "Attach to a container", stream format; without a TTY).
 *
 * Each frame has a head of 8 bytes (stream 0..3, three zeroes, length big-endian) and holds one entry: an RFC 3339 stamp, a
 * blank and text. A newline ends a line; an entry without one is a part whose rest follows in later frames of the same
 * stream (the engine cuts at 16 KiB). A line has the stamp of its first part. What is longer than FRAMES_LINE is cut
 * there: memory stays bounded whatever a frame claims, and nobody gets a piece that holds half of a secret without the other.
 * Stream 3 is the engine's own word about a failure. Pure: bytes in, lines out; fed in pieces of any size. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMES_LINE (1 << 20)
#define FRAMES_KEEP (64 << 10)    /* of a buffer's memory, between two lines */
#define FRAMES_LENGTH (256 << 20) /* more than that is no frame but garbage */
#define FRAMES_HEAD 8
#define FRAMES_STAMP 40
#define FRAMES_WORDS 500

/* False ends the reading. */
typedef bool (*frames_line_fn)(bool is_stderr, int64_t time_us, const char *line, size_t length, void *arg);

struct frames_line {
    GString *text;
    int64_t time_us;
    bool is_open; /* begun and not ended by a newline */
};

struct frames {
    frames_line_fn fn;
    void *arg;
    unsigned char head[FRAMES_HEAD];
    size_t head_length;
    uint32_t left; /* bytes of this frame still to come */
    unsigned stream;
    bool is_in_stamp;
    char stamp[FRAMES_STAMP + 1];
    size_t stamp_length;
    int64_t time_us; /* of this frame; of an earlier one when it has no stamp */
    struct frames_line lines[2];
    GString *words; /* of stream 3 */
    bool is_stopped;
};

void frames_init(struct frames *frames, frames_line_fn fn, void *arg);
void frames_done(struct frames *frames);

/* False when `fn` has ended it (is_stopped) or the bytes are no such stream (SY_ENGINE_FAILED). */
bool frames_feed(struct frames *frames, const void *bytes, size_t length, GError **error);

/* The stream is complete: hands out what has no newline. False when it told of a failure (SY_ENGINE_FAILED). */
bool frames_end(struct frames *frames, GError **error);
