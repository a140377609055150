/* How libmicrohttpd 0.9.75 leaves a request's head in its buffer: the separators replaced by NUL, as leniently as it is. */
#pragma once

#include <string.h>

#include "http/guard.h"

struct mhd_head {
    struct guard_head head;
    struct guard_header headers[GUARD_MAX_HEADERS];
};

/* Ends the line at p, which goes to `end`; returns where the next begins, or NULL. CR LF, LF and CR end one. */
static inline char *mhd_take_line(char *p, char *end)
{
    while (p < end && *p != '\r' && *p != '\n') {
        p++;
    }
    if (p == end) {
        return NULL;
    }
    if (*p == '\r' && p + 1 < end && p[1] == '\n') {
        *p++ = '\0';
    }
    *p++ = '\0';
    return p;
}

/* Parses in place; false where MHD itself would refuse or wait for more. `text` has a NUL at text[length]. */
static inline bool mhd_parse_head(char *text, size_t length, struct mhd_head *ret)
{
    char *end = text + length;
    size_t line_length = 0;
    while (line_length < length && text[line_length] != '\r' && text[line_length] != '\n') {
        line_length++; /* a NUL does not end it */
    }
    char *next = mhd_take_line(text, end);
    char *target = next != NULL ? memchr(text, ' ', line_length) : NULL;
    char *version = target != NULL ? memrchr(text, ' ', line_length) : NULL;
    if (target == NULL || version == target) {
        return false;
    }
    *ret = (struct mhd_head){.head = {.method = text, .target = target + 1, .version = version + 1}};
    *target = *version = '\0';
    while (next < end && *next != '\r' && *next != '\n') {
        char *line = next;
        next = mhd_take_line(line, end);
        char *colon = next != NULL ? strchr(line, ':') : NULL;
        if (colon == NULL || ret->head.n_headers == GUARD_MAX_HEADERS) {
            return false;
        }
        *colon = '\0';
        char *value = colon + 1 + strspn(colon + 1, " \t");
        ret->headers[ret->head.n_headers++] = (struct guard_header){.name = line, .value = value};
    }
    next = next < end ? mhd_take_line(next, end) : NULL;
    ret->head.end = next;
    ret->head.headers = ret->headers;
    return next == end;
}
