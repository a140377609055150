/* Reading: from a sequence on, over the segments, with every gap told. */
#include <string.h>

#include "base/error.h"
#include "logs/log_internal.h"

/* --- the reader -------------------------------------------------------------------------------- */

/* Index of the first segment that begins behind `sequence`. With the log's lock held. */
static guint segment_behind(struct log *log, uint64_t sequence)
{
    guint low = 0;
    guint high = log->segments->len;
    while (low < high) {
        guint middle = (low + high) / 2;
        const struct segment *segment = g_ptr_array_index(log->segments, middle);
        if (segment->first_sequence <= sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void log_reader_init(struct log_reader *reader, struct log *log, const struct log_query *query, uint64_t after,
                     uint8_t *buffer)
{
    *reader = (struct log_reader){.log = log_ref(log), .buffer = buffer, .next = after + 1};
    reader->since_us = query->since_us;
    reader->until_us = query->until_us;
    g_mutex_lock(&log->lock);
    if (after == 0 && log->segments->len > 0) {
        reader->next = ((const struct segment *)g_ptr_array_index(log->segments, 0))->first_sequence;
    }
    /* A position beyond the end is of an earlier log of the same name. */
    reader->next = MIN(reader->next, log->next_sequence);
    g_mutex_unlock(&log->lock);
}

void log_reader_pause(struct log_reader *reader)
{
    if (reader->is_pinned) {
        segment_unpin(reader->segment);
        reader->is_pinned = false;
    }
}

void log_reader_done(struct log_reader *reader)
{
    log_reader_pause(reader);
    segment_unref(reader->segment);
    log_unref(reader->log);
}

/* The segment after the reader's, or the one to begin with; a reference. NULL at the end. */
static struct segment *following_segment(struct log_reader *reader)
{
    struct log *log = reader->log;
    g_mutex_lock(&log->lock);
    guint index = reader->segment != NULL ? segment_behind(log, reader->segment->first_sequence)
                                          : MAX(segment_behind(log, reader->next), 1) - 1;
    struct segment *segment = index < log->segments->len ? segment_ref(g_ptr_array_index(log->segments, index)) : NULL;
    g_mutex_unlock(&log->lock);
    return segment;
}

static bool is_out_of_range(struct log_reader *reader, struct segment *segment)
{
    bool is_bounded = reader->since_us > 0 || reader->until_us > 0;
    if (!is_bounded || !segment_range(reader->log, segment)) {
        return false;
    }
    g_mutex_lock(&reader->log->lock);
    bool is_out = (reader->since_us > 0 && segment->max_us < reader->since_us) ||
                  (reader->until_us > 0 && segment->min_us > reader->until_us);
    is_out = is_out && segment->is_sealed;
    g_mutex_unlock(&reader->log->lock);
    return is_out;
}

/* Opens the reader's segment at its beginning or where it was paused. */
static bool resume(struct log_reader *reader)
{
    struct segment *segment = reader->segment;
    int fd = segment_pin(segment, NULL);
    if (fd < 0) {
        return false;
    }
    reader->is_pinned = true;
    if (!segment_header(reader->log, segment, fd)) {
        log_reader_pause(reader);
        return false;
    }
    g_mutex_lock(&reader->log->lock);
    int64_t end = segment->bytes;
    g_mutex_unlock(&reader->log->lock);
    int64_t offset = MAX(reader->scanner.offset, SEGMENT_HEADER_BYTES);
    scanner_init(&reader->scanner, fd, segment->salt, offset, MAX(end, offset), reader->buffer);
    return true;
}

/* The lines of the reader's segment are not wanted, so they are not missed. */
static void skip_segment(struct log_reader *reader)
{
    struct log *log = reader->log;
    g_mutex_lock(&log->lock);
    guint index = segment_behind(log, reader->segment->first_sequence);
    uint64_t next = log->next_sequence;
    if (index < log->segments->len) {
        next = ((const struct segment *)g_ptr_array_index(log->segments, index))->first_sequence;
    }
    reader->next = MAX(reader->next, next);
    g_mutex_unlock(&log->lock);
}

/* False when there is no further segment. */
static bool advance_segment(struct log_reader *reader)
{
    struct segment *segment;
    while ((segment = following_segment(reader)) != NULL) {
        log_reader_pause(reader);
        segment_unref(reader->segment);
        reader->segment = segment;
        reader->scanner = (struct scanner){0};
        if (!is_out_of_range(reader, segment)) {
            return true;
        }
        skip_segment(reader);
    }
    return false;
}

/* More bytes in the same segment since. */
static bool has_grown(struct log_reader *reader)
{
    g_mutex_lock(&reader->log->lock);
    bool has_grown = reader->segment->bytes > reader->scanner.end;
    if (has_grown) {
        reader->scanner.end = reader->segment->bytes;
    }
    g_mutex_unlock(&reader->log->lock);
    return has_grown;
}

/* The next line of the log that is whole, from the expected sequence on. */
static enum read_result next_whole(struct log_reader *reader, struct log_line *ret_line, GError **error)
{
    if (reader->segment == NULL && !advance_segment(reader)) {
        return READ_END;
    }
    for (;;) {
        struct record record;
        if (!reader->is_pinned && !resume(reader)) {
            if (!advance_segment(reader)) {
                return READ_END;
            }
            continue;
        }
        enum scan_result result = scanner_next(&reader->scanner, &record, error);
        if (result == SCAN_FAILED) {
            return READ_FAILED;
        }
        if (result == SCAN_RECORD) {
            if (line_decode(&record, ret_line) && ret_line->sequence >= reader->next) {
                return READ_LINE;
            }
        } else if (!has_grown(reader) && !advance_segment(reader)) {
            return READ_END;
        }
    }
}

enum read_result log_reader_next(struct log_reader *reader, struct log_line *ret_line, int64_t *ret_missed,
                                 GError **error)
{
    struct log_line line;
    if (reader->has_held) {
        line = reader->held;
        reader->has_held = false;
    } else {
        enum read_result result = next_whole(reader, &line, error);
        if (result != READ_LINE) {
            return result;
        }
        if (line.sequence > reader->next) {
            *ret_missed = (int64_t)(line.sequence - reader->next);
            reader->next = line.sequence;
            reader->held = line;
            reader->has_held = true;
            return READ_MISSED;
        }
    }
    reader->next = line.sequence + 1;
    *ret_line = line;
    return READ_LINE;
}

/* --- queries ----------------------------------------------------------------------------------- */

bool log_query_matches(const struct log_query *query, const struct log_line *line)
{
    return (query->since_us <= 0 || line->time_us >= query->since_us) &&
           (query->until_us <= 0 || line->time_us <= query->until_us) && line->sequence > query->after_sequence &&
           (query->source == NULL || strcmp(query->source, line->source) == 0) &&
           (query->grep == NULL || memmem(line->text, line->length, query->grep, strlen(query->grep)) != NULL);
}

static bool is_plain(const struct log_query *query)
{
    return query->since_us <= 0 && query->until_us <= 0 && query->source == NULL && query->grep == NULL;
}

struct match_count {
    int64_t matches;
    int64_t wanted;    /* the sequence of this match, counted from one; 0: none */
    uint64_t sequence; /* of it */
};

/* Over the lines from `first` up to `end` (exclusive). */
static bool count_matches(struct log *log, const struct log_query *query, uint64_t first, uint64_t end, uint8_t *buffer,
                          struct match_count *count, GError **error)
{
    struct log_reader reader;
    struct log_line line;
    int64_t missed;
    enum read_result result;
    log_reader_init(&reader, log, query, first - 1, buffer);
    while ((result = log_reader_next(&reader, &line, &missed, error)) == READ_LINE || result == READ_MISSED) {
        if (result == READ_MISSED) {
            continue;
        }
        if (line.sequence >= end) {
            break;
        }
        if (log_query_matches(query, &line) && ++count->matches == count->wanted) {
            count->sequence = line.sequence;
            break;
        }
    }
    log_reader_done(&reader);
    return result != READ_FAILED;
}

/* First sequences of all segments and the next sequence behind them. */
static GArray *segment_starts(struct log *log)
{
    GArray *starts = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_mutex_lock(&log->lock);
    for (guint i = 0; i < log->segments->len; i++) {
        uint64_t first = ((const struct segment *)g_ptr_array_index(log->segments, i))->first_sequence;
        g_array_append_val(starts, first);
    }
    g_array_append_val(starts, log->next_sequence);
    g_mutex_unlock(&log->lock);
    return starts;
}

/* Backwards segment by segment until enough match; then the place within that one. */
bool log_find_start(struct log *log, const struct log_query *query, uint8_t *buffer, uint64_t *ret_after,
                    GError **error)
{
    g_autoptr(GArray) starts = segment_starts(log);
    uint64_t end = g_array_index(starts, uint64_t, starts->len - 1);
    *ret_after = query->after_sequence;
    if (query->limit <= 0) {
        return true;
    }
    if (is_plain(query)) {
        uint64_t from = end > (uint64_t)query->limit ? end - 1 - (uint64_t)query->limit : 0;
        uint64_t first = g_array_index(starts, uint64_t, 0);
        *ret_after = MAX(query->after_sequence, from + 1 > first ? from : 0);
        return true;
    }
    int64_t found = 0;
    for (guint i = starts->len - 1; i > 0; i--) {
        uint64_t first = g_array_index(starts, uint64_t, i - 1);
        uint64_t last = g_array_index(starts, uint64_t, i);
        struct match_count count = {0};
        if (last <= query->after_sequence + 1) {
            break;
        }
        if (!count_matches(log, query, first, last, buffer, &count, error)) {
            return false;
        }
        found += count.matches;
        if (found >= query->limit) {
            struct match_count place = {.wanted = found - query->limit + 1};
            bool ok = count_matches(log, query, first, last, buffer, &place, error);
            *ret_after = ok && place.sequence > 0 ? place.sequence - 1 : first - 1;
            return ok;
        }
    }
    return true;
}

bool log_ready(struct log *log, uint64_t *ret_next, GError **error)
{
    g_mutex_lock(&log->lock);
    bool ok = log->is_recovered;
    *ret_next = log->next_sequence;
    g_mutex_unlock(&log->lock);
    if (!ok) {
        g_mutex_lock(&log->write_lock);
        ok = log_recover(log, error);
        *ret_next = log->next_sequence;
        g_mutex_unlock(&log->write_lock);
    }
    return ok;
}

/* --- log_store_read ---------------------------------------------------------------------------- */

/* Stands where lines are missing; its position is the last one of theirs. */
static bool tell_gap(const struct log_reader *reader, int64_t missed, log_line_fn fn, void *arg)
{
    g_autofree char *text = g_strdup_printf("[%" G_GINT64_FORMAT " lines are missing here]", missed);
    const struct log_line line = {.time_us = reader->held.time_us,
                                  .sequence = reader->next - 1,
                                  .source = "",
                                  .stream = LOG_SYSTEM,
                                  .text = text,
                                  .length = strlen(text)};
    return fn(&line, arg);
}

static bool read_lines(struct log *log, const struct log_query *query, uint64_t end, log_line_fn fn, void *arg,
                       GError **error)
{
    g_autofree uint8_t *buffer = g_malloc(SCANNER_BUFFER);
    struct log_reader reader;
    struct log_line line;
    uint64_t after;
    int64_t missed;
    enum read_result result = READ_LINE;
    if (!log_find_start(log, query, buffer, &after, error)) {
        return false;
    }
    log_reader_init(&reader, log, query, after, buffer);
    for (bool goes_on = true; goes_on && reader.next < end;) {
        result = log_reader_next(&reader, &line, &missed, error);
        if (result == READ_LINE) {
            goes_on = line.sequence < end && (!log_query_matches(query, &line) || fn(&line, arg));
        } else {
            goes_on = result == READ_MISSED && tell_gap(&reader, missed, fn, arg);
        }
    }
    log_reader_done(&reader);
    return result != READ_FAILED;
}

bool log_store_read(struct log_store *store, const char *key, const struct log_query *query, log_line_fn fn, void *arg,
                    GError **error)
{
    if (!log_key_check(key, error)) {
        return false;
    }
    g_autoptr(log_t) log = log_find(store, key);
    uint64_t end;
    return log_ready(log, &end, error) && read_lines(log, query, end, fn, arg, error);
}
