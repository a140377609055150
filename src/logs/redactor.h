/* Replaces secret values in text by "[redacted]" before it is kept or shown.
 *
 * Holds the values (≥ 4 bytes each; shorter ones would destroy ordinary text and are not looked
 * for) and their common encodings: percent-encoding, base64 with and without padding (all three
 * alignments), JSON escapes. Of a value of several lines each line of 8 bytes or more counts as a
 * value as well, because logs are redacted line by line. Values that overlap go as one. Matching is
 * one pass (Aho-Corasick), and one more over the decoded text where it holds '%', '+' or '\'.
 * Immutable after redactor_new, so it may be shared; values are wiped on free. */
#pragma once

#include <glib.h>

#include "base/secret.h"

struct redactor;
struct redactor *redactor_new(const struct secret *const *secrets, size_t n_secrets);
struct redactor *redactor_ref(struct redactor *redactor);
void redactor_unref(struct redactor *redactor);

/* Appends `text` to `out` with every occurrence replaced; returns how many were. redactor may be
 * NULL. */
size_t redactor_apply(const struct redactor *redactor, const char *text, size_t length, GString *out);

/* The same, but only what stands for the first `keep` bytes of `text` is appended: cutting before looking would leave the
 * beginning of a secret. */
size_t redactor_apply_within(const struct redactor *redactor, const char *text, size_t length, size_t keep,
                             GString *out);
