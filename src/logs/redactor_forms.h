/* The forms in which a secret value may appear, and the decoding of text in which it may be escaped. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"

#define FORM_MIN 4 /* bytes; shorter ones would destroy ordinary text */
#define LINE_MIN 8 /* of a line of a value of several lines */
#define DECODE_SLACK 4

typedef void (*form_fn)(const uint8_t *form, size_t length, void *arg);

/* The value, without white space around it, each long line of it, and of all of these the base64 (RFC 4648 sections 4 and
 * 5; as lines of 64 and 76 characters too). The form is wiped when fn returns. */
void secret_forms(const struct secret *secret, form_fn fn, void *arg);

/* Decode `text` into `out` (length + DECODE_SLACK bytes) and return how many bytes that are; places[i] is where byte i
 * begins in `text`, places[n] its end. What is no escape stays as it is. */
size_t decode_percent(const uint8_t *text, size_t length, uint8_t *out, size_t *places); /* RFC 3986 section 2.1 */
size_t decode_form(const uint8_t *text, size_t length, uint8_t *out, size_t *places);    /* and '+' is a space */
size_t decode_escapes(const uint8_t *text, size_t length, uint8_t *out, size_t *places); /* RFC 8259 section 7; \x41 */
