#include "logs/log_segment.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "logs/crc32c.h"

#define MAGIC "ENCLOG1\n"
#define MARK 0x1CE5

/* --- integers ---------------------------------------------------------------------------------- */

static void set_u16(uint8_t *out, uint16_t value)
{
    value = GUINT16_TO_LE(value);
    memcpy(out, &value, sizeof value);
}

static void set_u32(uint8_t *out, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    memcpy(out, &value, sizeof value);
}

static void set_u64(uint8_t *out, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    memcpy(out, &value, sizeof value);
}

void put_u32(GByteArray *out, uint32_t value)
{
    uint8_t bytes[4];
    set_u32(bytes, value);
    g_byte_array_append(out, bytes, sizeof bytes);
}

void put_u64(GByteArray *out, uint64_t value)
{
    uint8_t bytes[8];
    set_u64(bytes, value);
    g_byte_array_append(out, bytes, sizeof bytes);
}

uint16_t get_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return GUINT16_FROM_LE(value);
}

uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return GUINT32_FROM_LE(value);
}

uint64_t get_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return GUINT64_FROM_LE(value);
}

/* --- header ------------------------------------------------------------------------------------ */

void segment_header_encode(GByteArray *out, const struct segment_header *header)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    memcpy(bytes, MAGIC, 8);
    set_u64(bytes + 8, header->first_sequence);
    set_u64(bytes + 16, (uint64_t)header->created_us);
    set_u32(bytes + 24, header->salt);
    set_u32(bytes + 28, crc32c(0, bytes, 28));
    g_byte_array_append(out, bytes, sizeof bytes);
}

bool segment_header_decode(const uint8_t *bytes, size_t length, struct segment_header *ret_header)
{
    if (length < SEGMENT_HEADER_BYTES) {
        return false;
    }
    ret_header->first_sequence = get_u64(bytes + 8);
    ret_header->created_us = (int64_t)get_u64(bytes + 16);
    ret_header->salt = get_u32(bytes + 24);
    return memcmp(bytes, MAGIC, 8) == 0 && get_u32(bytes + 28) == crc32c(0, bytes, 28);
}

/* --- records ----------------------------------------------------------------------------------- */

size_t record_begin(GByteArray *out, enum record_kind kind, uint8_t stream)
{
    size_t begin = out->len;
    uint8_t head[RECORD_HEAD_BYTES] = {0};
    set_u16(head, MARK);
    head[2] = (uint8_t)kind;
    head[3] = stream;
    g_byte_array_append(out, head, sizeof head);
    return begin;
}

void record_end(GByteArray *out, size_t begin, uint32_t salt)
{
    uint8_t *head = out->data + begin;
    uint32_t length = (uint32_t)(out->len - begin - RECORD_HEAD_BYTES);
    set_u32(head + 4, length);
    set_u32(head + 8, crc32c(salt, head + RECORD_HEAD_BYTES, length));
    set_u32(head + 12, crc32c(salt, head, 12));
}

static bool head_is_sound(const uint8_t *head, uint32_t salt)
{
    return get_u16(head) == MARK && get_u32(head + 12) == crc32c(salt, head, 12) &&
           get_u32(head + 4) <= RECORD_BODY_MAX;
}

void line_encode(GByteArray *out, const struct log_line *line, const char *text, size_t length, uint32_t salt)
{
    g_return_if_fail(length <= LINE_TEXT_MAX);
    size_t source_length = strlen(line->source);
    uint8_t fixed[17];
    size_t begin = record_begin(out, RECORD_LINE, (uint8_t)line->stream);
    set_u64(fixed, line->sequence);
    set_u64(fixed + 8, (uint64_t)line->time_us);
    fixed[16] = (uint8_t)source_length;
    g_byte_array_append(out, fixed, sizeof fixed);
    g_byte_array_append(out, (const uint8_t *)line->source, (guint)source_length + 1);
    if (length > 0) {
        g_byte_array_append(out, (const uint8_t *)text, (guint)length);
    }
    record_end(out, begin, salt);
}

bool line_decode(const struct record *record, struct log_line *ret_line)
{
    if (record->kind != RECORD_LINE || record->length < 18 || record->stream >= LOG_STREAMS) {
        return false;
    }
    size_t source_length = record->body[16];
    const uint8_t *source = record->body + 17;
    if (source_length > LINE_SOURCE_MAX || 18 + source_length > record->length ||
        memchr(source, 0, source_length + 1) != source + source_length) {
        return false;
    }
    *ret_line = (struct log_line){
        .sequence = get_u64(record->body),
        .time_us = (int64_t)get_u64(record->body + 8),
        .source = (const char *)source,
        .stream = record->stream,
        .text = (const char *)source + source_length + 1,
        .length = record->length - 18 - source_length,
    };
    return ret_line->length <= LINE_TEXT_MAX && ret_line->sequence > 0 && ret_line->sequence < G_MAXINT64;
}

void footer_encode(GByteArray *out, const struct segment_footer *footer, uint32_t salt)
{
    size_t begin = record_begin(out, RECORD_FOOTER, 0);
    put_u64(out, footer->last_sequence);
    put_u64(out, (uint64_t)footer->min_us);
    put_u64(out, (uint64_t)footer->max_us);
    record_end(out, begin, salt);
}

bool footer_decode(const struct record *record, struct segment_footer *ret_footer)
{
    if (record->kind != RECORD_FOOTER || record->length != 24) {
        return false;
    }
    ret_footer->last_sequence = get_u64(record->body);
    ret_footer->min_us = (int64_t)get_u64(record->body + 8);
    ret_footer->max_us = (int64_t)get_u64(record->body + 16);
    return true;
}

/* --- scanning ---------------------------------------------------------------------------------- */

void scanner_init(struct scanner *scanner, int fd, uint32_t salt, int64_t offset, int64_t end, uint8_t *buffer)
{
    *scanner = (struct scanner){
        .fd = fd, .salt = salt, .buffer = buffer, .offset = offset, .end = end, .base = offset, .sound_end = offset};
}

static const uint8_t *at(const struct scanner *scanner)
{
    return scanner->buffer + (scanner->offset - scanner->base);
}

static size_t available(const struct scanner *scanner)
{
    return scanner->filled - (size_t)(scanner->offset - scanner->base);
}

/* Moves what is left to the buffer's front and reads on. */
static bool refill(struct scanner *scanner, GError **error)
{
    size_t left = available(scanner);
    memmove(scanner->buffer, at(scanner), left);
    scanner->base = scanner->offset;
    scanner->filled = left;
    while (scanner->filled < SCANNER_BUFFER && scanner->base + (int64_t)scanner->filled < scanner->end) {
        int64_t position = scanner->base + (int64_t)scanner->filled;
        size_t wanted = (size_t)MIN((int64_t)(SCANNER_BUFFER - scanner->filled), scanner->end - position);
        ssize_t got = pread(scanner->fd, scanner->buffer + scanner->filled, wanted, position);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return sy_fail_errno(error, errno, "cannot read a log segment");
        }
        if (got == 0) {
            scanner->end = position; /* shorter than it was */
            break;
        }
        scanner->filled += (size_t)got;
    }
    return true;
}

static bool need(struct scanner *scanner, size_t bytes, GError **error)
{
    bool is_more = scanner->base + (int64_t)scanner->filled < scanner->end;
    return available(scanner) >= bytes || !is_more || refill(scanner, error);
}

/* To the next byte that may begin a head. */
static void search(struct scanner *scanner)
{
    size_t left = available(scanner);
    const uint8_t *next = left > 1 ? memchr(at(scanner) + 1, MARK & 0xFF, left - 1) : NULL;
    scanner->offset += next != NULL ? next - at(scanner) : (int64_t)left;
}

enum scan_result scanner_next(struct scanner *scanner, struct record *ret_record, GError **error)
{
    for (;;) {
        if (!need(scanner, RECORD_HEAD_BYTES, error)) {
            return SCAN_FAILED;
        }
        if (available(scanner) < RECORD_HEAD_BYTES) {
            return SCAN_END;
        }
        if (!head_is_sound(at(scanner), scanner->salt)) {
            search(scanner);
            continue;
        }
        size_t length = get_u32(at(scanner) + 4);
        if (!need(scanner, RECORD_HEAD_BYTES + length, error)) {
            return SCAN_FAILED;
        }
        if (available(scanner) < RECORD_HEAD_BYTES + length) {
            return SCAN_END;
        }
        const uint8_t *head = at(scanner);
        int64_t begin = scanner->offset;
        scanner->offset += (int64_t)(RECORD_HEAD_BYTES + length);
        if (get_u32(head + 8) == crc32c(scanner->salt, head + RECORD_HEAD_BYTES, length)) {
            scanner->has_damage = scanner->has_damage || begin != scanner->sound_end;
            scanner->sound_end = scanner->offset;
            *ret_record =
                (struct record){.kind = head[2], .stream = head[3], .body = head + RECORD_HEAD_BYTES, .length = length};
            return SCAN_RECORD;
        }
    }
}
