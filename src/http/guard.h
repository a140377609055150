/* Framing guard: refuses requests whose extent two HTTP parsers could read differently.
 *
 * libmicrohttpd 0.9.75 accepts Content-Length beside Transfer-Encoding, repeated lengths, blanks in header
 * names, folded headers, bare LF and, cut at the NUL, values with NUL. A proxy before us that reads such a message otherwise
 * lets one client smuggle a request into another's connection (RFC 9112 sections 5.1, 5.2, 6.1–6.3, 11.2).
 *
 * Pure: no I/O, no library state. The strings are the parser's, in place; nothing is kept.
 * Layout: 0.9.75 parses within its read buffer, replacing ':' and line ends by NUL. When `end` is given, the
 * guard walks that memory and insists that each header follows the one before it after exactly CR LF; this
 * shows what the parsed list hides (NUL, bare LF, obs-fold). One thing stays hidden: a NUL of the client's own right
 * before a bare LF or CR looks like CR LF. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_MAX_HEADERS 100

struct guard_header {
    const char *name;
    const char *value;
};

struct guard_head {
    const char *method; /* first byte of the head */
    const char *target; /* raw request target, as received */
    const char *version;
    const char *end; /* one past the head's last byte; NULL: the memory layout is not known */
    const struct guard_header *headers;
    size_t n_headers;
};

/* How the message's body is delimited. */
struct guard_framing {
    int64_t content_length; /* -1: no such header */
    bool is_chunked;
};

/* False with SY_INVALID_REQUEST: answer 400 and close. */
bool guard_check(const struct guard_head *head, struct guard_framing *ret_framing,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* RFC 9110 section 5.6.2: a non-empty token. */
bool guard_is_token(const char *text);
