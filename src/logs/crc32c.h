/* CRC-32C (Castagnoli; RFC 3720 section 12.1 and appendix B.4), the checksum of log records.
 *
 * `crc` is 0 or the result for the bytes before: crc32c(crc32c(0, a), b) is that of a and b. Pure; any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *bytes, size_t length);
