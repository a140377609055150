#include "http/guard.h"

#include <string.h>

#include "base/error.h"

static bool is_token_char(unsigned char c)
{
    return g_ascii_isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool guard_is_token(const char *text)
{
    const char *p = text;
    while (is_token_char((unsigned char)*p)) {
        p++;
    }
    return p > text && *p == '\0';
}

/* The authority of a target in absolute form (RFC 9112 section 3.2.2); NULL for another form. */
static const char *absolute_authority(const char *target, size_t *ret_length)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        size_t length = strlen(schemes[i]);
        if (g_ascii_strncasecmp(target, schemes[i], length) == 0) {
            *ret_length = strcspn(target + length, "/?");
            return target + length;
        }
    }
    return NULL;
}

static bool check_target_form(const struct guard_head *head, GError **error)
{
    size_t length = 0;
    const char *authority = absolute_authority(head->target, &length);
    bool is_star = strcmp(head->target, "*") == 0 && strcmp(head->method, "OPTIONS") == 0;
    if (head->target[0] != '/' && authority == NULL && !is_star) {
        return sy_fail(error, SY_INVALID_REQUEST, "the request target is neither a path nor an absolute URL");
    }
    if (authority != NULL && (length == 0 || memchr(authority, '@', length) != NULL)) {
        return sy_fail(error, SY_INVALID_REQUEST, "the request target's authority is no host");
    }
    return true;
}

static bool check_request_line(const struct guard_head *head, GError **error)
{
    if (!guard_is_token(head->method)) {
        return sy_fail(error, SY_INVALID_REQUEST, "the method is not a token");
    }
    if (strcmp(head->version, "HTTP/1.1") != 0 && strcmp(head->version, "HTTP/1.0") != 0) {
        return sy_fail(error, SY_INVALID_REQUEST, "the HTTP version is neither 1.1 nor 1.0");
    }
    if (head->target[0] == '\0') {
        return sy_fail(error, SY_INVALID_REQUEST, "the request target is empty");
    }
    for (const char *p = head->target; *p != '\0'; p++) {
        if (*p <= 0x20 || *p >= 0x7f || *p == '#') {
            return sy_fail(error, SY_INVALID_REQUEST,
                           "the request target holds a blank, a control, a non-ASCII byte or a #");
        }
    }
    return check_target_form(head, error);
}

/* RFC 9110 section 5.5: VCHAR, obs-text, blank and tab. */
static bool value_is_clean(const char *value)
{
    for (const unsigned char *p = (const unsigned char *)value; *p != '\0'; p++) {
        if ((*p < 0x20 && *p != '\t') || *p == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Two NULs stand where CR LF stood. */
static const char *expect_line_end(const char *p, const char *end)
{
    bool is_there = end - p >= 2 && p[0] == '\0' && p[1] == '\0';
    return is_there ? p + 2 : NULL;
}

/* Returns where the next line starts, or NULL when this header is not exactly where it must be. */
static const char *walk_header(const char *p, const char *end, const struct guard_header *header)
{
    if (header->name != p) {
        return NULL;
    }
    size_t name_length = strnlen(p, (size_t)(end - p));
    p += name_length;
    if (p >= end || header->value <= p || header->value > end) {
        return NULL;
    }
    p++; /* the colon */
    while (p < header->value) {
        if (*p != ' ' && *p != '\t') {
            return NULL;
        }
        p++;
    }
    p += strnlen(p, (size_t)(end - p));
    return expect_line_end(p, end);
}

static bool check_layout(const struct guard_head *head, GError **error)
{
    const char *p = head->version + strlen(head->version);
    bool is_adjacent = head->version == head->method + strlen(head->method) + 1 + strlen(head->target) + 1;
    p = is_adjacent && p < head->end ? expect_line_end(p, head->end) : NULL;
    for (size_t i = 0; i < head->n_headers && p != NULL; i++) {
        p = walk_header(p, head->end, &head->headers[i]);
    }
    p = p != NULL ? expect_line_end(p, head->end) : NULL;
    if (p != head->end) {
        return sy_fail(error, SY_INVALID_REQUEST,
                       "the head holds a NUL, a folded header or a line that does not end with CR LF");
    }
    return true;
}

/* 1*DIGIT, at most 18 of them, so that it fits int64_t. */
static bool parse_length(const char *text, int64_t *ret_length)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n] != '\0') {
        return false;
    }
    int64_t length = 0;
    for (size_t i = 0; i < n; i++) {
        length = length * 10 + (text[i] - '0');
    }
    *ret_length = length;
    return true;
}

static bool check_host(const char *value, GError **error)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (!g_ascii_isalnum(*p) && strchr("-._~!$&'()*+,;=%:[]", *p) == NULL) {
            return sy_fail(error, SY_INVALID_REQUEST, "the Host header is malformed");
        }
    }
    return true;
}

struct counts {
    int content_length, transfer_encoding, host, authorization;
    const char *host_value;
};

static bool check_header(const struct guard_header *header, struct counts *counts, struct guard_framing *framing,
                         GError **error)
{
    if (!guard_is_token(header->name)) {
        return sy_fail(error, SY_INVALID_REQUEST, "a header name is not a token");
    }
    if (!value_is_clean(header->value)) {
        return sy_fail(error, SY_INVALID_REQUEST, "the header %s holds a control character", header->name);
    }
    if (g_ascii_strcasecmp(header->name, "Content-Length") == 0) {
        counts->content_length++;
        if (!parse_length(header->value, &framing->content_length)) {
            return sy_fail(error, SY_INVALID_REQUEST, "Content-Length is not a decimal number");
        }
    } else if (g_ascii_strcasecmp(header->name, "Transfer-Encoding") == 0) {
        counts->transfer_encoding++;
        framing->is_chunked = g_ascii_strcasecmp(header->value, "chunked") == 0;
        if (!framing->is_chunked) {
            return sy_fail(error, SY_INVALID_REQUEST, "the only Transfer-Encoding understood is chunked");
        }
    } else if (g_ascii_strcasecmp(header->name, "Host") == 0) {
        counts->host++;
        counts->host_value = header->value;
        return check_host(header->value, error);
    } else if (g_ascii_strcasecmp(header->name, "Authorization") == 0) {
        counts->authorization++;
    }
    return true;
}

static bool check_counts(const struct guard_head *head, const struct counts *counts, GError **error)
{
    bool is_1_1 = strcmp(head->version, "HTTP/1.1") == 0;
    if (counts->content_length > 1) {
        return sy_fail(error, SY_INVALID_REQUEST, "Content-Length is repeated");
    }
    if (counts->transfer_encoding > 1) {
        return sy_fail(error, SY_INVALID_REQUEST, "Transfer-Encoding is repeated");
    }
    if (counts->content_length > 0 && counts->transfer_encoding > 0) {
        return sy_fail(error, SY_INVALID_REQUEST, "Content-Length and Transfer-Encoding exclude each other");
    }
    if (counts->transfer_encoding > 0 && !is_1_1) {
        return sy_fail(error, SY_INVALID_REQUEST, "Transfer-Encoding needs HTTP/1.1");
    }
    if (counts->authorization > 1) {
        return sy_fail(error, SY_INVALID_REQUEST, "Authorization is repeated");
    }
    if (counts->host > 1) {
        return sy_fail(error, SY_INVALID_REQUEST, "Host is repeated");
    }
    if (counts->host == 0 && is_1_1) {
        return sy_fail(error, SY_INVALID_REQUEST, "HTTP/1.1 needs a Host header");
    }
    size_t length = 0;
    const char *authority = absolute_authority(head->target, &length);
    const char *host = counts->host_value;
    if (authority != NULL && host != NULL &&
        (strlen(host) != length || g_ascii_strncasecmp(authority, host, length) != 0)) {
        return sy_fail(error, SY_INVALID_REQUEST, "the request target and the Host header name different hosts");
    }
    return true;
}

bool guard_check(const struct guard_head *head, struct guard_framing *ret_framing, GError **error)
{
    if (!check_request_line(head, error) || (head->end != NULL && !check_layout(head, error))) {
        return false;
    }
    struct guard_framing framing = {.content_length = -1};
    struct counts counts = {0};
    for (size_t i = 0; i < head->n_headers; i++) {
        if (!check_header(&head->headers[i], &counts, &framing, error)) {
            return false;
        }
    }
    if (!check_counts(head, &counts, error)) {
        return false;
    }
    *ret_framing = framing;
    return true;
}
