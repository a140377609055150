/* Checks that several types share, each with the pattern that says the same in a schema. */
#include <string.h>

#include "base/id.h"
#include "contract/kind.h"

const char *check_slug(const char *value)
{
    return dns_label_is_valid(value) ? NULL
                                     : "must be a DNS label: lower-case letters, digits and inner "
                                       "hyphens, starting with a letter, "
                                       "at most 63 characters";
}

const char *check_dns_name(const char *value)
{
    return dns_name_is_valid(value) ? NULL : "must be a host name such as shop.example.com";
}

const char *check_variable(const char *value)
{
    size_t length = strlen(value);
    bool ok = length >= 1 && length <= 255 && (g_ascii_isalpha(value[0]) || value[0] == '_');
    for (size_t i = 0; ok && i < length; i++) {
        ok = g_ascii_isalnum(value[i]) || value[i] == '_';
    }
    return ok ? NULL
              : "must be letters, digits and underscores, not starting with a digit, at most 255 "
                "characters";
}

const char *check_path(const char *value)
{
    bool ok = value[0] == '/' && strlen(value) <= 1024;
    for (const char *p = value; ok && *p != '\0'; p++) {
        ok = g_ascii_isgraph(*p) && strchr("\"<>\\^`{|}#", *p) == NULL;
    }
    return ok ? NULL : "must be a URL path that begins with /, such as /healthz";
}

/* True when every part between slashes is a plain name: not empty, "." or "..". */
static bool parts_are_plain(const char *value)
{
    for (const char *p = value;; p++) {
        size_t length = strcspn(p, "/");
        bool is_dots = (length == 1 && p[0] == '.') || (length == 2 && p[0] == '.' && p[1] == '.');
        if (length == 0 || is_dots) {
            return false;
        }
        p += length;
        if (*p == '\0') {
            return true;
        }
    }
}

static bool is_file_path(const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f || strchr(":\\,\"", *p) != NULL) {
            return false;
        }
    }
    return strlen(value) <= 1024;
}

const char *check_absolute(const char *value)
{
    return value[0] == '/' && is_file_path(value) && parts_are_plain(value + 1)
               ? NULL
               : "must be an absolute path without . and .., such as /data";
}

const char *check_relative(const char *value)
{
    if (strcmp(value, ".") == 0) {
        return NULL;
    }
    const char *start = g_str_has_prefix(value, "./") ? value + 2 : value;
    g_autofree char *trimmed = g_strdup(start);
    size_t length = strlen(trimmed);
    if (length > 1 && trimmed[length - 1] == '/') {
        trimmed[length - 1] = '\0';
    }
    bool is_own_folder = *trimmed == '\0' && *value != '\0'; /* ./ */
    return is_file_path(value) && (is_own_folder || parts_are_plain(trimmed))
               ? NULL
               : "must be a path inside the folder, such as ./apps/web";
}

const char *check_printable(const char *value)
{
    for (const char *p = value; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        GUnicodeType type = g_unichar_type(c);
        if (type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT || type == G_UNICODE_LINE_SEPARATOR ||
            type == G_UNICODE_PARAGRAPH_SEPARATOR) {
            return "must not hold control or invisible characters";
        }
    }
    return NULL;
}

const char *check_uuid(const char *value)
{
    return uuid_is_valid(value) ? NULL : "must be a UUID";
}

const char *check_sha256(const char *value)
{
    return sha256_hex_is_valid(value) ? NULL : "must be 64 lower-case hexadecimal digits";
}

/* A part of a file's path that is neither . nor .. */
#define CHARACTER "\\u0000-\\u001f\\u007f:\\\\,\""
#define PART "([^/." CHARACTER "][^/" CHARACTER "]*|\\.[^/." CHARACTER "][^/" CHARACTER "]*|\\.\\.[^/" CHARACTER "]+)"

const char *check_pattern(field_check_fn check)
{
    if (check == check_slug) {
        return "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
    }
    if (check == check_sha256) {
        return "^[0-9a-f]{64}$";
    }
    if (check == check_dns_name) {
        return "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
    }
    if (check == check_variable) {
        return "^[A-Za-z_][A-Za-z0-9_]{0,254}$";
    }
    if (check == check_printable) {
        /* What is neither Cc, Cf, Zl nor Zp. */
        return "^[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u0600-"
               "\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180e"
               "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2064\\u2066-\\u206f\\ufeff\\ufff9-\\ufffb"
               "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
               "\U000e0001\U000e0020-\U000e007f]*$";
    }
    if (check == check_path) {
        return "^/[!$-;=?-\\[\\]_a-z~]*$";
    }
    if (check == check_absolute) {
        return "^(/" PART ")+$";
    }
    if (check == check_relative) {
        return "^(\\./?|(\\./)?" PART "(/" PART ")*/?)$";
    }
    return NULL;
}
