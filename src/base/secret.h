/* Bytes that must not be printed: tokens, keys, secret values.
 *
 * A struct secret is opaque on purpose: there is no way to pass one to printf, the JSON writer or
 * the log without saying secret_reveal(). It is wiped when freed; the daemon writes no core files.
 * Immutable after creation; may be shared by threads while one owner keeps it alive. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct secret;
typedef struct secret sy_secret; /* for g_autoptr(sy_secret) only */

/* Copies `length` bytes and appends a NUL that is not counted. */
struct secret *secret_new(const void *bytes, size_t length);
void secret_free(struct secret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sy_secret, secret_free)

/* The bytes, NUL-terminated; borrowed. The name is what a reviewer greps for. */
const char *secret_reveal(const struct secret *secret);
size_t secret_length(const struct secret *secret);

/* In constant time for equal lengths. */
bool secret_equal(const struct secret *a, const struct secret *b);
bool bytes_equal_constant_time(const void *a, const void *b, size_t length);

/* Wipes memory in a way the compiler keeps. */
void secret_wipe(void *bytes, size_t length);

/* Wipes and frees a NUL-terminated string; NULL is fine. */
void secret_string_free(char *text);
