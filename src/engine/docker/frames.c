#include "engine/docker/frames.h"

#include <string.h>

#include "base/error.h"
#include "base/timestamp.h"

enum { STREAM_STDERR = 2, STREAM_FAILURE = 3 };

void frames_init(struct frames *frames, frames_line_fn fn, void *arg)
{
    *frames = (struct frames){.fn = fn, .arg = arg, .words = g_string_new(NULL)};
    for (size_t i = 0; i < G_N_ELEMENTS(frames->lines); i++) {
        frames->lines[i].text = g_string_new(NULL);
    }
}

void frames_done(struct frames *frames)
{
    for (size_t i = 0; i < G_N_ELEMENTS(frames->lines); i++) {
        g_string_free(frames->lines[i].text, TRUE);
    }
    g_string_free(frames->words, TRUE);
}

static struct frames_line *line_of(struct frames *frames)
{
    return &frames->lines[frames->stream == STREAM_STDERR];
}

static bool hand_out(struct frames *frames, struct frames_line *line)
{
    bool is_stderr = line == &frames->lines[1];
    frames->is_stopped = !frames->fn(is_stderr, line->time_us, line->text->str, line->text->len, frames->arg);
    if (line->text->allocated_len > FRAMES_KEEP) {
        g_string_free(line->text, TRUE);
        line->text = g_string_new(NULL);
    }
    g_string_truncate(line->text, 0);
    return !frames->is_stopped;
}

static void append(struct frames *frames, const char *bytes, size_t length)
{
    struct frames_line *line = line_of(frames);
    if (!line->is_open) {
        line->is_open = true;
        line->time_us = frames->time_us;
    }
    g_string_append_len(line->text, bytes, (gssize)MIN(length, FRAMES_LINE - line->text->len));
}

static bool put_text(struct frames *frames, const char *bytes, size_t length)
{
    if (frames->stream == STREAM_FAILURE) {
        size_t room = FRAMES_WORDS - MIN(frames->words->len, FRAMES_WORDS);
        g_string_append_len(frames->words, bytes, (gssize)MIN(length, room));
        return true;
    }
    while (length > 0) {
        const char *end = memchr(bytes, '\n', length);
        size_t piece = end != NULL ? (size_t)(end - bytes) : length;
        append(frames, bytes, piece);
        if (end == NULL) {
            return true;
        }
        struct frames_line *line = line_of(frames);
        line->is_open = false;
        if (!hand_out(frames, line)) {
            return false;
        }
        bytes += piece + 1;
        length -= piece + 1;
    }
    return true;
}

/* What was taken for a stamp and is none belongs to the text. */
static bool end_stamp(struct frames *frames)
{
    frames->is_in_stamp = false;
    frames->stamp[frames->stamp_length] = '\0';
    bool has_blank = frames->stamp_length > 0 && frames->stamp[frames->stamp_length - 1] == ' ';
    if (has_blank) {
        frames->stamp[frames->stamp_length - 1] = '\0';
        if (timestamp_parse(frames->stamp, &frames->time_us)) {
            if (frames->stream != STREAM_FAILURE) {
                append(frames, "", 0);
            }
            return true;
        }
        frames->stamp[frames->stamp_length - 1] = ' ';
    }
    return put_text(frames, frames->stamp, frames->stamp_length);
}

/* Returns how many bytes belong to the stamp. */
static size_t take_stamp(struct frames *frames, const char *bytes, size_t length)
{
    size_t taken = 0;
    while (taken < length && frames->stamp_length < FRAMES_STAMP) {
        char byte = bytes[taken++];
        frames->stamp[frames->stamp_length++] = byte;
        if (byte == ' ' || byte == '\n') {
            break;
        }
    }
    return taken;
}

static bool is_stamp_whole(const struct frames *frames)
{
    char last = frames->stamp_length > 0 ? frames->stamp[frames->stamp_length - 1] : '\0';
    return last == ' ' || last == '\n' || frames->stamp_length == FRAMES_STAMP;
}

static bool take_payload(struct frames *frames, const char *bytes, size_t length)
{
    frames->left -= (uint32_t)length;
    if (frames->is_in_stamp) {
        size_t taken = take_stamp(frames, bytes, length);
        if ((is_stamp_whole(frames) || frames->left + (length - taken) == 0) && !end_stamp(frames)) {
            return false;
        }
        bytes += taken;
        length -= taken;
    }
    return length == 0 || put_text(frames, bytes, length);
}

static bool begin_frame(struct frames *frames, GError **error)
{
    const unsigned char *head = frames->head;
    frames->head_length = 0;
    frames->stream = head[0];
    frames->left = (uint32_t)head[4] << 24 | (uint32_t)head[5] << 16 | (uint32_t)head[6] << 8 | head[7];
    frames->is_in_stamp = true;
    frames->stamp_length = 0;
    if (head[0] > STREAM_FAILURE || head[1] != 0 || head[2] != 0 || head[3] != 0 || frames->left > FRAMES_LENGTH) {
        return sy_fail(error, SY_ENGINE_FAILED, "the engine's log stream is broken");
    }
    return true;
}

bool frames_feed(struct frames *frames, const void *data, size_t length, GError **error)
{
    const char *bytes = data;
    while (length > 0) {
        size_t piece;
        if (frames->left == 0) {
            piece = MIN(length, FRAMES_HEAD - frames->head_length);
            memcpy(frames->head + frames->head_length, bytes, piece);
            frames->head_length += piece;
            if (frames->head_length == FRAMES_HEAD && !begin_frame(frames, error)) {
                return false;
            }
        } else {
            piece = MIN(length, frames->left);
            if (!take_payload(frames, bytes, piece)) {
                return false;
            }
        }
        bytes += piece;
        length -= piece;
    }
    return true;
}

bool frames_end(struct frames *frames, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(frames->lines); i++) {
        struct frames_line *line = &frames->lines[i];
        if (line->is_open && line->text->len > 0 && !hand_out(frames, line)) {
            return true;
        }
        line->is_open = false;
    }
    if (frames->words->len > 0) {
        return sy_fail(error, SY_ENGINE_FAILED, "the engine could not read the log: %s",
                       g_strchomp(frames->words->str));
    }
    return true;
}
