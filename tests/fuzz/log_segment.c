/* Segment files. Taken as a file, the input must be read without a fault, going forward only. Taken as a script, it writes
 * records, damages the file, and what is read back must be some of what was written, in order. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "logs/log_segment.h"
#include "logs/watermark.h"

#define SALT 0x5EED5EED

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const void *bytes, size_t length)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);
    g_assert(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
    return fd;
}

static void read_as_file(const uint8_t *data, size_t size, uint8_t *buffer)
{
    g_auto(fd_t) fd = file_of(data, size);
    struct segment_header header = {0};
    struct scanner scanner;
    struct record record;
    struct log_line line;
    struct segment_footer footer;
    uint32_t more;
    struct watermarks *watermarks = watermarks_new();
    (void)segment_header_decode(data, size, &header);
    scanner_init(&scanner, fd, header.salt, MIN((int64_t)size, SEGMENT_HEADER_BYTES), (int64_t)size, buffer);
    for (int64_t before = -1; scanner_next(&scanner, &record, NULL) == SCAN_RECORD; before = scanner.offset) {
        g_assert(scanner.offset > before && scanner.offset <= (int64_t)size);
        (void)line_decode(&record, &line);
        (void)footer_decode(&record, &footer);
        (void)watermarks_decode(watermarks, &record, &more);
    }
    /* Bodies as if their checksums were right. */
    for (int kind = RECORD_LINE; kind <= RECORD_FOOTER; kind++) {
        record = (struct record){.kind = (enum record_kind)kind, .body = data, .length = size};
        if (line_decode(&record, &line)) {
            g_assert(strlen(line.source) <= LINE_SOURCE_MAX && line.length <= size);
        }
        (void)footer_decode(&record, &footer);
        (void)watermarks_decode(watermarks, &record, &more);
    }
    watermarks_free(watermarks);
}

/* Pairs of bytes: length of a line's text, and its content. Then a zero, and triples: place and value of a damage. */
static void read_as_script(const uint8_t *data, size_t size, uint8_t *buffer)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autoptr(GArray) lengths = g_array_new(FALSE, FALSE, sizeof(size_t));
    char text[256];
    size_t at = 0;
    for (; at + 1 < size && data[at] != 0 && lengths->len < 1000; at += 2) {
        size_t length = data[at];
        const struct log_line line = {.sequence = lengths->len + 1, .time_us = 1, .source = "s"};
        memset(text, data[at + 1], length);
        line_encode(bytes, &line, text, length, SALT);
        g_array_append_val(lengths, length);
    }
    size_t damages = 0;
    for (at++; at + 2 < size && bytes->len > 0; at += 3, damages++) {
        bytes->data[(data[at] << 8 | data[at + 1]) % bytes->len] ^= data[at + 2];
    }
    g_auto(fd_t) fd = file_of(bytes->data, bytes->len);
    struct scanner scanner;
    struct record record;
    struct log_line line;
    uint64_t last = 0;
    size_t n = 0;
    scanner_init(&scanner, fd, SALT, 0, bytes->len, buffer);
    while (scanner_next(&scanner, &record, NULL) == SCAN_RECORD) {
        g_assert(line_decode(&record, &line));
        g_assert(line.sequence > last && line.sequence <= lengths->len);
        g_assert(line.length == g_array_index(lengths, size_t, line.sequence - 1));
        last = line.sequence;
        n++;
    }
    g_assert(n + damages >= lengths->len); /* each costs one record at most */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buffer[SCANNER_BUFFER];
    if (size > 0 && size <= 100000) {
        read_as_file(data, size, buffer);
        read_as_script(data, size, buffer);
    }
    return 0;
}
