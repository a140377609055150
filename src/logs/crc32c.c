#include "logs/crc32c.h"

#include <glib.h>
#include <string.h>

#define POLYNOMIAL 0x82F63B78u /* reflected */

/* Slicing by eight: table[k][b] is the remainder of b followed by k zero bytes. */
static uint32_t table[8][256];

static void fill_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        }
        table[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        for (int slice = 1; slice < 8; slice++) {
            uint32_t previous = table[slice - 1][byte];
            table[slice][byte] = (previous >> 8) ^ table[0][previous & 0xFF];
        }
    }
}

static uint32_t eight_bytes(uint32_t crc, const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    word = GUINT64_FROM_LE(word) ^ crc;
    return table[7][word & 0xFF] ^ table[6][(word >> 8) & 0xFF] ^ table[5][(word >> 16) & 0xFF] ^
           table[4][(word >> 24) & 0xFF] ^ table[3][(word >> 32) & 0xFF] ^ table[2][(word >> 40) & 0xFF] ^
           table[1][(word >> 48) & 0xFF] ^ table[0][word >> 56];
}

uint32_t crc32c(uint32_t crc, const void *bytes, size_t length)
{
    static gsize is_filled;
    if (g_once_init_enter(&is_filled)) {
        fill_table();
        g_once_init_leave(&is_filled, 1);
    }
    const uint8_t *p = bytes;
    crc = ~crc;
    for (; length >= 8; length -= 8, p += 8) {
        crc = eight_bytes(crc, p);
    }
    for (; length > 0; length--, p++) {
        crc = (crc >> 8) ^ table[0][(crc ^ *p) & 0xFF];
    }
    return ~crc;
}
