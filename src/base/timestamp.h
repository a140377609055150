/* Wall-clock times: microseconds since 1970-01-01T00:00:00Z in int64_t, RFC 3339 in text.
 * The text form is always UTC with six decimals and `Z`: 2026-11-23T16:05:09.123456Z. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMP_LENGTH 27

/* Writes TIMESTAMP_LENGTH characters and a NUL. Years 1970..9999; others are clamped. */
void timestamp_format(int64_t time_us, char out[TIMESTAMP_LENGTH + 1]);

/* Parses any RFC 3339 section 5.6 date-time (offset honoured, up to 9 decimals, cut to
 * microseconds). False when it is not one; *ret is untouched then. */
bool timestamp_parse(const char *text, int64_t *ret_time_us);
