/* Quantities that people write: integers, durations, sizes, CPU shares.
 *
 * Every parser takes the whole text or fails: trailing bytes, overflow, signs where none belong and
 * empty text are refused. *ret is untouched on failure. Formatting gives the shortest text that
 * parses back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define QUANTITY_LENGTH 24

/* Decimal, optional leading '-'; low <= value <= high. */
bool int_parse(const char *text, int64_t low, int64_t high, int64_t *ret_value);

/* "500ms", "5s", "2m", "1h", "7d", or sums in falling order ("1h30m"); no unit means seconds.
 * Milliseconds, 0 .. 10 years. */
bool duration_parse(const char *text, int64_t *ret_ms);
void duration_format(int64_t ms, char out[QUANTITY_LENGTH]);

/* "512", "64Ki", "256Mi", "1Gi", "2Ti" (powers of 1024), "10k", "256M", "1G", "1T" (powers of
 * 1000). Bytes. */
bool size_parse(const char *text, int64_t *ret_bytes);
void size_format(int64_t bytes, char out[QUANTITY_LENGTH]);

/* "500m" or "0.5" or "2": thousandths of a CPU. */
bool cpu_parse(const char *text, int64_t *ret_millis);
void cpu_format(int64_t millis, char out[QUANTITY_LENGTH]);
