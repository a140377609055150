#include "logs/watermark.h"

#include <string.h>

#define TABLE_BODY_MAX (48 * 1024)
#define STREAM_BYTES 12
#define ENTRY_FIXED (1 + LOG_STREAMS * STREAM_BYTES)
#define TABLE_FIXED 14

struct watermarks {
    GHashTable *marks; /* source → struct mark */
    int64_t floor_us;
};

struct watermarks *watermarks_new(void)
{
    struct watermarks *watermarks = g_new0(struct watermarks, 1);
    watermarks->marks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    watermarks->floor_us = -1;
    return watermarks;
}

void watermarks_free(struct watermarks *watermarks)
{
    if (watermarks != NULL) {
        g_hash_table_unref(watermarks->marks);
        g_free(watermarks);
    }
}

struct mark *watermarks_find(struct watermarks *watermarks, const char *source)
{
    return g_hash_table_lookup(watermarks->marks, source);
}

struct mark *watermarks_ensure(struct watermarks *watermarks, const char *source)
{
    struct mark *mark = watermarks_find(watermarks, source);
    if (mark == NULL) {
        mark = g_new0(struct mark, 1);
        for (int i = 0; i < LOG_STREAMS; i++) {
            mark->streams[i].time_us = -1;
            mark->streams[i].cursor_us = -1;
        }
        g_hash_table_insert(watermarks->marks, g_strdup(source), mark);
    }
    return mark;
}

/* --- one mark ---------------------------------------------------------------------------------- */

static int64_t newest(const struct mark *mark)
{
    int64_t time_us = -1;
    for (int i = 0; i < LOG_STREAMS; i++) {
        time_us = MAX(time_us, mark->streams[i].time_us);
    }
    return time_us;
}

bool mark_step(const struct watermarks *watermarks, struct mark *mark, enum log_stream_kind stream, int64_t time_us)
{
    __typeof__(mark->streams[0]) *own = &mark->streams[stream];
    own->cursor_count = time_us == own->cursor_us ? own->cursor_count + 1 : 1;
    own->cursor_us = time_us;
    if (newest(mark) < 0 && time_us <= watermarks->floor_us) {
        return false;
    }
    return time_us > own->time_us || (time_us == own->time_us && own->cursor_count > own->count);
}

void mark_advance(struct mark *mark, enum log_stream_kind stream)
{
    mark->streams[stream].time_us = mark->streams[stream].cursor_us;
    mark->streams[stream].count = mark->streams[stream].cursor_count;
}

void mark_begin_delivery(struct mark *mark)
{
    for (int i = 0; i < LOG_STREAMS; i++) {
        mark->streams[i].cursor_us = -1;
        mark->streams[i].cursor_count = 0;
    }
}

int64_t mark_time(const struct mark *mark)
{
    return MAX(MAX(mark->streams[LOG_STDOUT].time_us, mark->streams[LOG_STDERR].time_us), 0);
}

/* --- all --------------------------------------------------------------------------------------- */

void watermarks_replay(struct watermarks *watermarks, const struct log_line *line)
{
    struct mark *mark = watermarks_ensure(watermarks, line->source);
    __typeof__(mark->streams[0]) *own = &mark->streams[line->stream];
    if (line->time_us == own->time_us) {
        own->count++;
    } else if (line->time_us > own->time_us) {
        own->time_us = line->time_us;
        own->count = 1;
    }
}

static int compare_times(gconstpointer a, gconstpointer b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The time up to which sources must go for at most WATERMARK_SOURCES_MAX to stay. */
static int64_t crowd_limit(struct watermarks *watermarks)
{
    guint size = g_hash_table_size(watermarks->marks);
    if (size <= WATERMARK_SOURCES_MAX) {
        return -1;
    }
    g_autoptr(GArray) times = g_array_sized_new(FALSE, FALSE, sizeof(int64_t), size);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, watermarks->marks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        int64_t time_us = newest(value);
        g_array_append_val(times, time_us);
    }
    g_array_sort(times, compare_times);
    return g_array_index(times, int64_t, size - WATERMARK_SOURCES_MAX - 1);
}

void watermarks_prune(struct watermarks *watermarks, int64_t oldest_us)
{
    int64_t limit_us = MAX(oldest_us - 1, crowd_limit(watermarks));
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, watermarks->marks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        int64_t time_us = newest(value);
        if (time_us <= limit_us) {
            watermarks->floor_us = MAX(watermarks->floor_us, time_us);
            g_hash_table_iter_remove(&iter);
        }
    }
}

void watermarks_limit(struct watermarks *watermarks)
{
    if (g_hash_table_size(watermarks->marks) > 2 * WATERMARK_SOURCES_MAX) {
        watermarks_prune(watermarks, 0);
    }
}

/* --- as records -------------------------------------------------------------------------------- */

static void put_entry(GByteArray *out, const char *source, const struct mark *mark)
{
    uint8_t length = (uint8_t)strlen(source);
    g_byte_array_append(out, &length, 1);
    g_byte_array_append(out, (const uint8_t *)source, length);
    for (int i = 0; i < LOG_STREAMS; i++) {
        put_u64(out, (uint64_t)mark->streams[i].time_us);
        put_u32(out, mark->streams[i].count);
    }
}

/* The counts are known only when the table is full. */
static void end_table(GByteArray *out, size_t begin, uint32_t more, uint16_t here, uint32_t salt)
{
    uint8_t *counts = out->data + begin + RECORD_HEAD_BYTES + 8;
    more = GUINT32_TO_LE(more);
    here = GUINT16_TO_LE(here);
    memcpy(counts, &more, sizeof more);
    memcpy(counts + 4, &here, sizeof here);
    record_end(out, begin, salt);
}

static size_t begin_table(GByteArray *out, int64_t floor_us)
{
    static const uint8_t counts[6];
    size_t begin = record_begin(out, RECORD_TABLE, 0);
    put_u64(out, (uint64_t)floor_us);
    g_byte_array_append(out, counts, sizeof counts);
    return begin;
}

void watermarks_encode(struct watermarks *watermarks, GByteArray *out, uint32_t salt)
{
    uint32_t left = g_hash_table_size(watermarks->marks);
    uint16_t here = 0;
    size_t begin = begin_table(out, watermarks->floor_us);
    GHashTableIter iter;
    gpointer source, mark;
    g_hash_table_iter_init(&iter, watermarks->marks);
    while (g_hash_table_iter_next(&iter, &source, &mark)) {
        if (out->len - begin > TABLE_BODY_MAX) {
            end_table(out, begin, left, here, salt);
            begin = begin_table(out, watermarks->floor_us);
            here = 0;
        }
        put_entry(out, source, mark);
        here++;
        left--;
    }
    end_table(out, begin, 0, here, salt);
}

static void merge_entry(struct watermarks *watermarks, const char *source, const uint8_t *streams)
{
    struct mark *mark = watermarks_ensure(watermarks, source);
    for (int i = 0; i < LOG_STREAMS; i++) {
        int64_t time_us = (int64_t)get_u64(streams + i * STREAM_BYTES);
        uint32_t count = get_u32(streams + i * STREAM_BYTES + 8);
        if (time_us > mark->streams[i].time_us) {
            mark->streams[i].time_us = time_us;
            mark->streams[i].count = count;
        } else if (time_us == mark->streams[i].time_us) {
            mark->streams[i].count = MAX(mark->streams[i].count, count);
        }
    }
}

bool watermarks_decode(struct watermarks *watermarks, const struct record *record, uint32_t *ret_more)
{
    if (record->kind != RECORD_TABLE || record->length < TABLE_FIXED) {
        return false;
    }
    const uint8_t *end = record->body + record->length;
    const uint8_t *p = record->body + TABLE_FIXED;
    for (uint16_t left = get_u16(record->body + 12); left > 0; left--) {
        if (p >= end || *p > LINE_SOURCE_MAX || end - p < *p + ENTRY_FIXED) {
            return false;
        }
        char source[LINE_SOURCE_MAX + 1] = {0};
        memcpy(source, p + 1, *p);
        merge_entry(watermarks, source, p + 1 + *p);
        p += *p + ENTRY_FIXED;
    }
    watermarks->floor_us = MAX(watermarks->floor_us, (int64_t)get_u64(record->body));
    *ret_more = get_u32(record->body + 8);
    return true;
}
