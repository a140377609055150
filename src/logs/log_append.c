/* Appending: what is new by the watermarks is redacted, encoded, and written in few writes, each whole or not at all. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/error.h"
#include "base/id.h"
#include "logs/log_internal.h"
#include "logs/redactor.h"

/* Encoded bytes from which on they are written. */
#define CHUNK_BYTES (256 * 1024)

/* --- segments ---------------------------------------------------------------------------------- */

static struct segment *last_segment(struct log *log)
{
    return log->segments->len > 0 ? g_ptr_array_index(log->segments, log->segments->len - 1) : NULL;
}

/* A disk that is full and a file that may not grow are the same to whoever waits for room. */
static bool fail_write(GError **error, int saved_errno, const struct segment *segment)
{
    return sy_fail_errno(error, saved_errno == EFBIG ? ENOSPC : saved_errno, "cannot write to the log %s",
                         segment->path);
}

/* All of it, or the file is as it was: the part that did fit is cut off again, and readers never look behind `bytes`. */
static bool write_at_end(struct segment *segment, int fd, const GByteArray *bytes, GError **error)
{
    size_t written = 0;
    while (written < bytes->len) {
        ssize_t n = pwrite(fd, bytes->data + written, bytes->len - written, segment->bytes + (int64_t)written);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int saved = n < 0 ? errno : ENOSPC;
            (void)!ftruncate(fd, segment->bytes); /* should it fail, the next write begins at the same place anyway */
            return fail_write(error, saved, segment);
        }
        written += (size_t)n;
    }
    return true;
}

static void grow(struct log *log, struct segment *segment, size_t length)
{
    segment->bytes += (int64_t)length;
    atomic_fetch_add(&log->bytes, (long long)length);
}

/* Without a footer the segment's times are merely unknown. */
static void seal(struct log *log, struct segment *segment)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GError) ignored = NULL;
    const struct segment_footer footer = {
        .last_sequence = log->next_sequence - 1, .min_us = segment->min_us, .max_us = segment->max_us};
    int fd = segment->has_range && !segment->is_sealed ? segment_pin(segment, &ignored) : -1;
    bool is_written = false;
    if (fd >= 0) {
        footer_encode(bytes, &footer, segment->salt);
        is_written = write_at_end(segment, fd, bytes, &ignored);
        segment_unpin(segment);
    }
    g_mutex_lock(&log->lock);
    if (is_written) {
        grow(log, segment, bytes->len);
    }
    segment->is_sealed = true;
    g_mutex_unlock(&log->lock);
    segment_mark_dirty(segment);
}

static bool write_beginning(struct log *log, struct segment *segment, int64_t time_us, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    struct segment_header header = {.first_sequence = segment->first_sequence, .created_us = time_us};
    random_bytes(&header.salt, sizeof header.salt);
    segment_header_encode(bytes, &header);
    watermarks_encode(log->watermarks, bytes, header.salt);
    int fd = segment_pin_new(segment, error);
    if (fd < 0) {
        return false;
    }
    bool ok = write_at_end(segment, fd, bytes, error);
    segment_unpin(segment);
    if (!ok) {
        (void)!segment_unlink(segment, NULL);
        return false;
    }
    segment->salt = header.salt;
    segment->created_us = time_us;
    segment->has_header = true;
    grow(log, segment, bytes->len);
    return true;
}

bool log_roll(struct log *log, int64_t time_us, GError **error)
{
    struct segment *old = last_segment(log);
    struct segment *segment = segment_new(log->store, log->key, log->next_sequence);
    watermarks_prune(log->watermarks, time_us - log->store->options.log_age_ms * 1000);
    if (!write_beginning(log, segment, time_us, error)) {
        segment_unref(segment);
        return false;
    }
    crash_point("log.before_seal");
    if (old != NULL) {
        seal(log, old);
    }
    crash_point("log.after_seal");
    segment_mark_dirty(segment);
    g_mutex_lock(&log->lock);
    g_ptr_array_add(log->segments, segment);
    g_mutex_unlock(&log->lock);
    return true;
}

/* --- one call ---------------------------------------------------------------------------------- */

struct undo {
    const char *source; /* the caller's */
    struct mark mark;
};

struct appending {
    struct log *log;
    const struct redactor *redactor;
    GByteArray *bytes; /* encoded, not yet written */
    GString *text;     /* a redacted line */
    GArray *undo;      /* of struct undo: marks before they were first moved, since the last write */
    GArray *cursors;   /* the same since the call began */
    uint64_t sequence; /* of the next line */
    int64_t min_us, max_us;
    size_t n_pending, n_appended;
};

static void remember(GArray *undo, const char *source, const struct mark *mark)
{
    for (guint i = undo->len; i > 0; i--) {
        if (strcmp(g_array_index(undo, struct undo, i - 1).source, source) == 0) {
            return;
        }
    }
    const struct undo entry = {.source = source, .mark = *mark};
    g_array_append_val(undo, entry);
}

static void restore_marks(struct appending *appending)
{
    for (guint i = 0; i < appending->undo->len; i++) {
        const struct undo *undo = &g_array_index(appending->undo, struct undo, i);
        struct mark *mark = watermarks_find(appending->log->watermarks, undo->source);
        if (mark != NULL) {
            *mark = undo->mark;
        }
    }
}

/* The caller hands in all of it again, so its place within the delivery is what it was; what is on disk stays known. */
static void restore_cursors(struct appending *appending)
{
    for (guint i = 0; i < appending->cursors->len; i++) {
        const struct undo *undo = &g_array_index(appending->cursors, struct undo, i);
        struct mark *mark = watermarks_find(appending->log->watermarks, undo->source);
        for (int k = 0; mark != NULL && k < LOG_STREAMS; k++) {
            mark->streams[k].cursor_us = undo->mark.streams[k].cursor_us;
            mark->streams[k].cursor_count = undo->mark.streams[k].cursor_count;
        }
    }
}

static void publish(struct appending *appending, struct segment *segment)
{
    struct log *log = appending->log;
    g_mutex_lock(&log->lock);
    segment->min_us = segment->has_range ? MIN(segment->min_us, appending->min_us) : appending->min_us;
    segment->max_us = segment->has_range ? MAX(segment->max_us, appending->max_us) : appending->max_us;
    segment->has_range = segment->has_lines = true;
    grow(log, segment, appending->bytes->len);
    log->next_sequence = appending->sequence;
    g_mutex_unlock(&log->lock);
    segment_mark_dirty(segment);
    appending->n_appended += appending->n_pending;
    appending->n_pending = 0;
    g_byte_array_set_size(appending->bytes, 0);
    g_array_set_size(appending->undo, 0);
}

static bool flush(struct appending *appending, GError **error)
{
    struct segment *segment = last_segment(appending->log);
    if (appending->n_pending == 0) {
        return true;
    }
    int fd = segment_pin(segment, error);
    if (fd < 0) {
        g_mutex_lock(&appending->log->lock);
        segment->is_sealed = true; /* somebody took the file away; the next append begins another */
        g_mutex_unlock(&appending->log->lock);
        return false;
    }
    bool ok = write_at_end(segment, fd, appending->bytes, error);
    segment_unpin(segment);
    if (ok) {
        publish(appending, segment);
    }
    return ok;
}

static bool must_roll(const struct appending *appending, int64_t time_us)
{
    struct log *log = appending->log;
    const struct log_options *options = &log->store->options;
    const struct segment *segment = last_segment(log);
    if (segment == NULL || segment->is_sealed) {
        return true;
    }
    bool has_lines = segment->has_lines || appending->n_pending > 0;
    return has_lines && (segment->bytes + (int64_t)appending->bytes->len >= options->segment_bytes ||
                         time_us - segment->created_us >= options->segment_age_ms * 1000);
}

static void encode_piece(struct appending *appending, const struct log_line *line, const char *text, size_t length)
{
    struct log_line numbered = *line;
    numbered.sequence = appending->sequence++;
    line_encode(appending->bytes, &numbered, text, length, last_segment(appending->log)->salt);
    appending->min_us = appending->n_pending > 0 ? MIN(appending->min_us, line->time_us) : line->time_us;
    appending->max_us = appending->n_pending > 0 ? MAX(appending->max_us, line->time_us) : line->time_us;
    appending->n_pending++;
}

/* At most LINE_TEXT_MAX bytes that end with a whole UTF-8 character. */
static size_t piece_length(const char *text, size_t length)
{
    size_t piece = MIN(length, LINE_TEXT_MAX);
    for (int back = 0; piece < length && back < 4 && ((uint8_t)text[piece] & 0xC0) == 0x80; back++) {
        piece--;
    }
    return piece;
}

static void encode(struct appending *appending, const struct log_line *line)
{
    GString *text = appending->text;
    bool is_cut = line->length >= LOG_LINE_MAX;
    size_t keep = is_cut ? LOG_LINE_MAX - LOG_SECRET_MAX : line->length;
    g_string_truncate(text, 0);
    redactor_apply_within(appending->redactor, line->text, MIN(line->length, LOG_LINE_MAX), keep, text);
    if (is_cut) {
        g_string_append_printf(text, " [cut after %zu bytes]", keep);
    }
    for (size_t done = 0, piece; done == 0 || done < text->len; done += MAX(piece, 1)) {
        piece = piece_length(text->str + done, text->len - done);
        encode_piece(appending, line, text->str + done, piece);
    }
}

/* Moves the source's mark over the line; false when it is an old one. */
static bool step(struct appending *appending, const struct log_line *line)
{
    struct watermarks *watermarks = appending->log->watermarks;
    struct mark *mark = watermarks_ensure(watermarks, line->source);
    remember(appending->undo, line->source, mark);
    remember(appending->cursors, line->source, mark);
    if (!mark_step(watermarks, mark, line->stream, line->time_us)) {
        return false;
    }
    mark_advance(mark, line->stream);
    return true;
}

static bool add_line(struct appending *appending, const struct log_line *line, GError **error)
{
    struct watermarks *watermarks = appending->log->watermarks;
    struct mark probe = *watermarks_ensure(watermarks, line->source);
    if (mark_step(watermarks, &probe, line->stream, line->time_us)) {
        bool is_full = must_roll(appending, line->time_us);
        if (is_full || appending->bytes->len >= CHUNK_BYTES) {
            if (!flush(appending, error) || (is_full && !log_roll(appending->log, line->time_us, error))) {
                return false;
            }
        }
    }
    if (step(appending, line)) {
        encode(appending, line);
    }
    return true;
}

/* An earlier sync that failed means that the end of the file may be lost: it is told, and a new file is begun. */
static bool check_sync(struct log *log, GError **error)
{
    struct segment *segment = last_segment(log);
    int failed = segment != NULL ? atomic_exchange(&segment->sync_errno, 0) : 0;
    if (failed == 0) {
        return true;
    }
    g_mutex_lock(&log->lock);
    segment->is_sealed = true;
    g_mutex_unlock(&log->lock);
    return sy_fail_errno(error, failed, "the log %s did not reach the disk", segment->path);
}

static bool append(struct log *log, const struct log_line *lines, size_t n_lines, const struct redactor *redactor,
                   size_t *ret_appended, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GArray) undo = g_array_new(FALSE, FALSE, sizeof(struct undo));
    g_autoptr(GArray) cursors = g_array_new(FALSE, FALSE, sizeof(struct undo));
    if (!log_recover(log, error) || !check_sync(log, error)) {
        return false;
    }
    struct appending appending = {.log = log,
                                  .redactor = redactor,
                                  .bytes = bytes,
                                  .text = text,
                                  .undo = undo,
                                  .cursors = cursors,
                                  .sequence = log->next_sequence};
    watermarks_limit(log->watermarks);
    bool ok = true;
    for (size_t i = 0; ok && i < n_lines; i++) {
        ok = add_line(&appending, &lines[i], error);
    }
    ok = ok && flush(&appending, error);
    if (!ok) {
        restore_marks(&appending);
        restore_cursors(&appending);
    }
    *ret_appended = appending.n_appended;
    return ok;
}

static bool line_check(const struct log_line *line, GError **error)
{
    return (line->source != NULL && strlen(line->source) <= LINE_SOURCE_MAX && line->time_us >= 0 &&
            (unsigned)line->stream < LOG_STREAMS && (line->text != NULL || line->length == 0)) ||
           sy_fail(error, SY_INVALID_INPUT, "this cannot be a line of a log");
}

bool log_store_append(struct log_store *store, const char *key, const struct log_line *lines, size_t n_lines,
                      const struct redactor *redactor, size_t *ret_appended, GError **error)
{
    size_t n_appended = 0;
    if (!log_key_check(key, error)) {
        return false;
    }
    for (size_t i = 0; i < n_lines; i++) {
        if (!line_check(&lines[i], error)) {
            return false;
        }
    }
    g_autoptr(log_t) log = log_find(store, key);
    g_mutex_lock(&log->write_lock);
    bool ok = append(log, lines, n_lines, redactor, &n_appended, error);
    g_mutex_unlock(&log->write_lock);
    if (n_appended > 0) {
        follower_wake(log);
    }
    if (ok && ret_appended != NULL) {
        *ret_appended = n_appended;
    }
    return ok;
}
