/* The layout of a segment file: encoding, decoding, and finding the next whole record in damaged bytes.
 *
 * Integers are little-endian. A file is a header and then records without padding:
 *
 *     header, 32 bytes              head of a record, 16 bytes
 *      0  8  "ENCLOG1\n"             0  2  0x1CE5
 *      8  8  first sequence          2  1  kind
 *     16  8  created, µs             3  1  stream (of a line), else 0
 *     24  4  salt, random            4  4  length of the body
 *     28  4  CRC of 0..27            8  4  CRC of the body
 *                                   12  4  CRC of 0..11
 *
 *     body of a line    8 sequence, 8 time in µs, 1 length of the source, the source, a NUL, the text
 *     body of a table   8 floor in µs, 4 entries that follow in further tables, 2 entries here, then each:
 *                       1 length of the source, the source, and per stream 8 time in µs, 4 lines at that time
 *     body of a footer  8 last sequence, 8 least and 8 greatest time in µs
 *
 * CRCs are CRC-32C begun with the salt, so that no text that a program prints can pass for a record. Because the head has
 * a checksum of its own, a record with a damaged body is stepped over exactly; only behind a damaged head is the next
 * record searched for. Every segment begins with tables (the watermarks when it was begun), so that recovery reads one
 * segment. A closed segment ends with a footer. Sequences rise by one from line to line: a gap in them is loss. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "logs/log_store.h"

#define SEGMENT_HEADER_BYTES 32
#define RECORD_HEAD_BYTES 16
#define RECORD_BODY_MAX (96 * 1024)
#define RECORD_LINE_BYTES_MIN (RECORD_HEAD_BYTES + 18)
#define RECORD_FOOTER_BYTES (RECORD_HEAD_BYTES + 24)
#define LINE_TEXT_MAX (64 * 1024)
#define LINE_SOURCE_MAX 128
#define LOG_STREAMS 3

enum record_kind { RECORD_LINE = 1, RECORD_TABLE = 2, RECORD_FOOTER = 3 };

struct segment_header {
    uint64_t first_sequence;
    int64_t created_us;
    uint32_t salt;
};

struct record {
    enum record_kind kind;
    uint8_t stream;
    const uint8_t *body; /* borrowed */
    size_t length;
};

struct segment_footer {
    uint64_t last_sequence;
    int64_t min_us, max_us;
};

void segment_header_encode(GByteArray *out, const struct segment_header *header);
/* False when the checksum is wrong; the fields are read all the same when there are 32 bytes. */
bool segment_header_decode(const uint8_t *bytes, size_t length, struct segment_header *ret_header);

/* A record is begun, its body appended to `out`, and finished: record_end fills in lengths and checksums. */
size_t record_begin(GByteArray *out, enum record_kind kind, uint8_t stream);
void record_end(GByteArray *out, size_t begin, uint32_t salt);

void put_u32(GByteArray *out, uint32_t value);
void put_u64(GByteArray *out, uint64_t value);
uint16_t get_u16(const uint8_t *bytes);
uint32_t get_u32(const uint8_t *bytes);
uint64_t get_u64(const uint8_t *bytes);

/* At most LINE_TEXT_MAX bytes of text. */
void line_encode(GByteArray *out, const struct log_line *line, const char *text, size_t length, uint32_t salt);
/* Borrows from the record. False when the body is not a line's. */
bool line_decode(const struct record *record, struct log_line *ret_line);

void footer_encode(GByteArray *out, const struct segment_footer *footer, uint32_t salt);
bool footer_decode(const struct record *record, struct segment_footer *ret_footer);

/* Whole records of a file, one after another, through a buffer; steps over damage. */
#define SCANNER_BUFFER (256 * 1024)

struct scanner {
    int fd;
    uint32_t salt;
    uint8_t *buffer; /* SCANNER_BUFFER bytes, the caller's */
    int64_t offset;  /* of the next record */
    int64_t end;     /* nothing is read from here on */
    int64_t base;    /* offset of the buffer's first byte */
    size_t filled;
    int64_t sound_end; /* behind the last whole record */
    bool has_damage;   /* something was stepped over before a whole record */
};

enum scan_result { SCAN_RECORD, SCAN_END, SCAN_FAILED };

void scanner_init(struct scanner *scanner, int fd, uint32_t salt, int64_t offset, int64_t end, uint8_t *buffer);
/* The record is valid until the next call. SCAN_END also when the rest holds no whole record. */
enum scan_result scanner_next(struct scanner *scanner, struct record *ret_record, GError **error);
