/* Identifiers: UUIDv7 (RFC 9562 section 5.7), SHA-256 in hex, and short name hashes. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_LENGTH 36
#define SHA256_HEX_LENGTH 64

/* A fresh UUIDv7 for the wall time `now_us`, lower case; monotonic within the process for equal or
 * earlier times. Thread-safe. Aborts when the kernel gives no randomness. */
void uuid_make(int64_t now_us, char out[UUID_LENGTH + 1]);
char *uuid_new(void);

/* The last 12 digits of a valid UUID: its random part. The first ones are a clock's and are the same for a minute. Borrowed. */
const char *uuid_tail(const char *uuid);

/* True for any RFC 9562 text form, either case. */
bool uuid_is_valid(const char *text);

/* Fills with bytes from getrandom(2). */
void random_bytes(void *out, size_t length);

/* SHA-256 in lower-case hex; newly allocated. */
char *sha256_hex(const void *bytes, size_t length);
bool sha256_hex_is_valid(const char *text);

/* A DNS label (RFC 1035 section 2.3.1, RFC 1123) of at most 63 characters made from `text`: itself
 * when it fits, else its first characters, '-' and eight hex digits of its SHA-256. With `always`,
 * the hash is added in any case (the later of two that clash). */
char *dns_label_fit(const char *text, bool always);

/* Letters, digits and inner hyphens, starting with a letter, 1..63:
 * ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$ */
bool dns_label_is_valid(const char *text);

/* Host name of at least two labels (RFC 1123), lower case, ≤ 253; a leading "*." is refused. */
bool dns_name_is_valid(const char *text);

/* Of `candidates` (NULL-ended) the one nearest to `word` by Damerau-Levenshtein distance, or NULL
 * when none is near enough to be a plausible misspelling. Borrowed. */
const char *nearest_word(const char *word, const char *const *candidates);
