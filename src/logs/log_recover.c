/* What a log has on disk: its segments by name and size, and the state that its last segment tells. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "logs/log_internal.h"

#define NAME_DIGITS 20
#define SEGMENTS_MAX 100000

/* --- the list ---------------------------------------------------------------------------------- */

static bool parse_name(const char *name, uint64_t *ret_sequence)
{
    if (strlen(name) != NAME_DIGITS + 4 || strspn(name, "0123456789") != NAME_DIGITS ||
        strcmp(name + NAME_DIGITS, ".log") != 0) {
        return false;
    }
    *ret_sequence = g_ascii_strtoull(name, NULL, 10);
    return *ret_sequence > 0 && *ret_sequence < G_MAXINT64;
}

static int compare_segments(gconstpointer a, gconstpointer b)
{
    uint64_t left = (*(struct segment *const *)a)->first_sequence;
    uint64_t right = (*(struct segment *const *)b)->first_sequence;
    return left < right ? -1 : left > right;
}

static void add_segment(struct log *log, GPtrArray *segments, int folder_fd, const char *name)
{
    uint64_t sequence;
    struct stat status;
    if (segments->len >= SEGMENTS_MAX || !parse_name(name, &sequence) ||
        fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) {
        return;
    }
    struct segment *segment = segment_new(log->store, log->key, sequence);
    segment->bytes = status.st_size;
    segment->has_lines = true; /* until it is known better */
    g_ptr_array_add(segments, segment);
}

static bool read_folder(struct log *log, GPtrArray *segments, GError **error)
{
    int fd = openat(log->store->folder_fd, log->key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT || sy_fail_errno(error, errno, "cannot open the log %s", log->key);
    }
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        int saved = errno;
        close(fd);
        return sy_fail_errno(error, saved, "cannot read the log %s", log->key);
    }
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        add_segment(log, segments, fd, entry->d_name);
    }
    closedir(folder);
    return true;
}

bool log_list(struct log *log, GError **error)
{
    if (log->is_listed) {
        return true;
    }
    GPtrArray *segments = g_ptr_array_new_with_free_func((GDestroyNotify)segment_unref);
    if (!read_folder(log, segments, error)) {
        g_ptr_array_unref(segments);
        return false;
    }
    g_ptr_array_sort(segments, compare_segments);
    long long bytes = 0;
    for (guint i = 0; i < segments->len; i++) {
        struct segment *segment = g_ptr_array_index(segments, i);
        segment->is_sealed = i + 1 < segments->len;
        bytes += segment->bytes;
    }
    g_mutex_lock(&log->lock);
    g_ptr_array_unref(log->segments);
    log->segments = segments;
    log->is_listed = true;
    g_mutex_unlock(&log->lock);
    atomic_store(&log->bytes, bytes);
    return true;
}

/* --- single segments --------------------------------------------------------------------------- */

bool segment_header(struct log *log, struct segment *segment, int fd)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header;
    g_mutex_lock(&log->lock);
    bool has_header = segment->has_header;
    g_mutex_unlock(&log->lock);
    if (has_header) {
        return true;
    }
    if (pread(fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return false;
    }
    /* A damaged header may still have a good salt; the records' checksums tell. */
    bool is_sound = segment_header_decode(bytes, sizeof bytes, &header);
    g_mutex_lock(&log->lock);
    segment->salt = header.salt;
    segment->created_us = is_sound ? header.created_us : 0;
    segment->has_header = true;
    g_mutex_unlock(&log->lock);
    return true;
}

static bool read_footer(struct segment *segment, int fd, struct segment_footer *ret_footer)
{
    uint8_t bytes[RECORD_FOOTER_BYTES];
    struct scanner scanner;
    struct record record;
    g_autofree uint8_t *buffer = g_malloc(SCANNER_BUFFER);
    int64_t offset = segment->bytes - (int64_t)sizeof bytes;
    if (offset < SEGMENT_HEADER_BYTES) {
        return false;
    }
    scanner_init(&scanner, fd, segment->salt, offset, segment->bytes, buffer);
    return scanner_next(&scanner, &record, NULL) == SCAN_RECORD && footer_decode(&record, ret_footer);
}

bool segment_range(struct log *log, struct segment *segment)
{
    struct segment_footer footer;
    g_mutex_lock(&log->lock);
    bool is_known = segment->has_range;
    bool is_readable = segment->is_sealed;
    g_mutex_unlock(&log->lock);
    if (is_known || !is_readable) {
        return is_known;
    }
    int fd = segment_pin(segment, NULL);
    if (fd < 0) {
        return false;
    }
    bool is_read = segment_header(log, segment, fd) && read_footer(segment, fd, &footer);
    segment_unpin(segment);
    if (is_read) {
        g_mutex_lock(&log->lock);
        segment->min_us = footer.min_us;
        segment->max_us = footer.max_us;
        segment->has_range = true;
        g_mutex_unlock(&log->lock);
    }
    return is_read;
}

/* --- recovery ---------------------------------------------------------------------------------- */

struct findings {
    bool has_table;  /* whole */
    bool has_footer; /* as the last record */
    bool has_records;
    bool is_torn_at_once;   /* the first record was being written */
    uint64_t last_sequence; /* 0: no line */
    int64_t min_us, max_us;
    int64_t sound_end;
};

static void note_line(struct findings *findings, const struct log_line *line)
{
    bool is_first = findings->last_sequence == 0;
    findings->min_us = is_first ? line->time_us : MIN(findings->min_us, line->time_us);
    findings->max_us = is_first ? line->time_us : MAX(findings->max_us, line->time_us);
    findings->last_sequence = MAX(findings->last_sequence, line->sequence);
}

/* Reads all of it into the watermarks; with `only_tables`, up to the first line. */
static bool scan(struct log *log, struct segment *segment, bool only_tables, struct findings *ret_findings,
                 GError **error)
{
    g_autofree uint8_t *buffer = g_malloc(SCANNER_BUFFER);
    struct findings findings = {.sound_end = 0};
    int fd = segment_pin(segment, error);
    if (fd < 0) {
        return false;
    }
    bool ok = true;
    if (segment_header(log, segment, fd)) {
        struct scanner scanner;
        struct record record;
        struct log_line line;
        uint32_t more = 1;
        enum scan_result result;
        scanner_init(&scanner, fd, segment->salt, SEGMENT_HEADER_BYTES, segment->bytes, buffer);
        while ((result = scanner_next(&scanner, &record, error)) == SCAN_RECORD) {
            findings.has_records = true;
            findings.has_footer = record.kind == RECORD_FOOTER;
            if (record.kind == RECORD_TABLE && watermarks_decode(log->watermarks, &record, &more)) {
                findings.has_table = findings.has_table || (more == 0 && !scanner.has_damage);
            } else if (line_decode(&record, &line)) {
                if (only_tables) {
                    break;
                }
                watermarks_replay(log->watermarks, &line);
                note_line(&findings, &line);
            }
        }
        ok = result != SCAN_FAILED;
        findings.sound_end = scanner.sound_end;
        findings.is_torn_at_once = scanner.offset == SEGMENT_HEADER_BYTES;
    }
    segment_unpin(segment);
    *ret_findings = findings;
    return ok;
}

/* A segment that was only just begun when the power went: nothing in it is missed. */
static bool is_stillborn(struct segment *segment, const struct findings *findings)
{
    static const uint8_t zeros[SEGMENT_HEADER_BYTES];
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    if (findings->has_records || findings->is_torn_at_once || segment->bytes <= SEGMENT_HEADER_BYTES) {
        return findings->last_sequence == 0 && !findings->has_table;
    }
    int fd = segment_pin(segment, NULL);
    bool is_empty = fd >= 0 && pread(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes &&
                    memcmp(bytes, zeros, sizeof bytes) == 0;
    if (fd >= 0) {
        segment_unpin(segment);
    }
    return is_empty;
}

static bool drop_last(struct log *log, struct segment *segment, GError **error)
{
    if (!segment_unlink(segment, error)) {
        return false;
    }
    atomic_fetch_sub(&log->bytes, segment->bytes);
    g_mutex_lock(&log->lock);
    log->next_sequence = MAX(log->next_sequence, segment->first_sequence);
    g_ptr_array_set_size(log->segments, (int)log->segments->len - 1);
    g_mutex_unlock(&log->lock);
    return true;
}

/* What stands behind the last whole record was never acknowledged. */
static bool cut_tail(struct log *log, struct segment *segment, int64_t sound_end, GError **error)
{
    if (sound_end >= segment->bytes) {
        return true;
    }
    int fd = segment_pin(segment, error);
    if (fd < 0) {
        return false;
    }
    bool ok = ftruncate(fd, sound_end) == 0 || sy_fail_errno(error, errno, "cannot cut %s", segment->path);
    segment_unpin(segment);
    if (ok) {
        atomic_fetch_sub(&log->bytes, segment->bytes - sound_end);
        g_mutex_lock(&log->lock);
        segment->bytes = sound_end;
        g_mutex_unlock(&log->lock);
    }
    return ok;
}

static bool recover_last(struct log *log, struct segment *segment, const struct findings *findings, GError **error)
{
    uint64_t next = MAX(findings->last_sequence + 1, segment->first_sequence);
    if (!findings->has_records) {
        /* Unreadable. It stays until retention takes it; its lines are counted as lost, at most so many as fit. */
        next = segment->first_sequence + (uint64_t)segment->bytes / RECORD_LINE_BYTES_MIN + 1;
    } else if (!cut_tail(log, segment, findings->sound_end, error)) {
        return false;
    }
    g_mutex_lock(&log->lock);
    segment->has_lines = findings->last_sequence > 0 || !findings->has_records;
    segment->has_range = findings->last_sequence > 0;
    segment->min_us = findings->min_us;
    segment->max_us = findings->max_us;
    segment->is_sealed = !findings->has_records || findings->has_footer;
    log->next_sequence = MAX(log->next_sequence, next);
    g_mutex_unlock(&log->lock);
    return true;
}

/* The newest segment that begins with a whole table. */
static bool find_table(struct log *log, guint *ret_index, GError **error)
{
    guint index = log->segments->len - 1;
    for (; index > 0; index--) {
        struct findings findings;
        if (!scan(log, g_ptr_array_index(log->segments, index), true, &findings, error)) {
            return false;
        }
        if (findings.has_table) {
            break;
        }
    }
    *ret_index = index;
    return true;
}

static bool drop_stillborn(struct log *log, GError **error)
{
    while (log->segments->len > 0) {
        struct segment *last = g_ptr_array_index(log->segments, log->segments->len - 1);
        struct findings findings;
        if (!scan(log, last, true, &findings, error)) {
            return false;
        }
        /* A first line without a table before it is no empty segment. */
        bool has_lines = findings.has_records && !findings.has_table;
        if (has_lines && !scan(log, last, false, &findings, error)) {
            return false;
        }
        if (!is_stillborn(last, &findings)) {
            return true;
        }
        if (!drop_last(log, last, error)) {
            return false;
        }
    }
    return true;
}

static bool replay(struct log *log, GError **error)
{
    guint index;
    if (!drop_stillborn(log, error)) {
        return false;
    }
    if (log->segments->len == 0) {
        return true;
    }
    if (!find_table(log, &index, error)) {
        return false;
    }
    watermarks_free(log->watermarks);
    log->watermarks = watermarks_new();
    for (; index < log->segments->len; index++) {
        struct segment *segment = g_ptr_array_index(log->segments, index);
        struct findings findings;
        if (!scan(log, segment, false, &findings, error) ||
            (index + 1 == log->segments->len && !recover_last(log, segment, &findings, error))) {
            return false;
        }
    }
    return true;
}

bool log_recover(struct log *log, GError **error)
{
    if (log->is_recovered) {
        return true;
    }
    if (!log_list(log, error)) {
        return false;
    }
    watermarks_free(log->watermarks);
    log->watermarks = watermarks_new();
    if (!replay(log, error)) {
        g_prefix_error(error, "log %s: ", log->key);
        return false;
    }
    g_mutex_lock(&log->lock);
    log->is_recovered = true;
    g_mutex_unlock(&log->lock);
    return true;
}
