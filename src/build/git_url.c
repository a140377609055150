#include "build/git_url.h"

#include <string.h>

#include "base/error.h"
#include "build/address.h"
#include "build/source.h"

#define URL_LIMIT 2048
#define HOST_LIMIT 253
#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

void git_url_clear(struct git_url *url)
{
    g_clear_pointer(&url->host, g_free);
}

static bool refuse(GError **error, const char *rule)
{
    sy_fail(error, SY_INVALID_INPUT, "the git URL is refused: %s", rule);
    sy_error_set_hint(error, "Give https://host/path, ssh://user@host/path or user@host:path.");
    return false;
}

static bool is_all_of(const char *text, const char *class)
{
    return text[strspn(text, class)] == '\0';
}

/* No control character may hide behind a %, and no option behind a '-'. */
static bool check_path(const char *path, GError **error)
{
    const char *plain = path + strspn(path, "/");
    if (*plain == '\0') {
        return refuse(error, "it names no repository");
    }
    if (*path == '-') {
        return refuse(error, "its path begins with “-”");
    }
    if (!is_all_of(path, ALNUM "._~/+@%:,=-")) {
        return refuse(error, "its path may hold letters, digits and ._~/+@%:,=- only");
    }
    for (const char *p = strchr(path, '%'); p != NULL; p = strchr(p + 1, '%')) {
        int high = g_ascii_xdigit_value(p[1]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(p[2]);
        if (low < 0 || high * 16 + low < 0x20 || high * 16 + low == 0x7F) {
            return refuse(error, "a %-escape in its path is not one, or hides a control character");
        }
    }
    return true;
}

static bool is_local_name(const char *host)
{
    g_autofree char *lower = g_ascii_strdown(host, -1);
    size_t length = strlen(lower);
    if (length > 0 && lower[length - 1] == '.') {
        lower[length - 1] = '\0';
    }
    return strcmp(lower, "localhost") == 0 || g_str_has_suffix(lower, ".localhost") ||
           strcmp(lower, "ip6-localhost") == 0 || strcmp(lower, "ip6-loopback") == 0;
}

static bool check_host(const char *host, unsigned flags, GError **error)
{
    struct sockaddr_storage address;
    bool is_malformed;
    bool is_literal = host[0] == '[' || is_all_of(host, ALNUM ".-_");
    if (*host == '\0' || *host == '-' || *host == '.' || strlen(host) > HOST_LIMIT || !is_literal ||
        (host[0] == '[' && !is_all_of(host, "[]0123456789abcdefABCDEF:.")) || strstr(host, "..") != NULL) {
        return refuse(error, "its host is not a name or address");
    }
    is_literal = address_from_literal(host, &address, &is_malformed);
    if (is_malformed) {
        return refuse(error, "its host is not a valid address");
    }
    bool is_private = is_literal ? !address_is_public((const struct sockaddr *)&address) : is_local_name(host);
    if (is_private && (flags & SOURCE_GIT_ALLOW_PRIVATE) == 0) {
        return refuse(error, "its host is a loopback, link-local, private or reserved address");
    }
    return true;
}

static bool parse_port(const char *text, int *ret_port, GError **error)
{
    guint64 port;
    if (!g_ascii_string_to_unsigned(text, 10, 1, 65535, &port, NULL)) {
        return refuse(error, "its port must be 1..65535");
    }
    *ret_port = (int)port;
    return true;
}

/* user@host:port of a URL with a scheme. */
static bool parse_authority(const char *authority, unsigned flags, struct git_url *url, GError **error)
{
    const char *at = strrchr(authority, '@');
    const char *host = at != NULL ? at + 1 : authority;
    if (at != NULL) {
        g_autofree char *user = g_strndup(authority, (size_t)(at - authority));
        if (url->scheme == GIT_HTTPS || strchr(user, ':') != NULL) {
            return refuse(error, "credentials do not belong into a URL");
        }
        if (*user == '\0' || *user == '-' || !is_all_of(user, ALNUM "._-")) {
            return refuse(error, "its user may hold letters, digits and ._- only");
        }
    }
    const char *after = host[0] == '[' ? strchr(host, ']') : host;
    const char *colon = after != NULL ? strchr(after, ':') : NULL;
    if (colon != NULL && !parse_port(colon + 1, &url->port, error)) {
        return false;
    }
    url->host = colon != NULL ? g_strndup(host, (size_t)(colon - host)) : g_strdup(host);
    return check_host(url->host, flags, error);
}

static bool parse_with_scheme(const char *rest, unsigned flags, struct git_url *url, GError **error)
{
    const char *slash = strchr(rest, '/');
    g_autofree char *authority = slash != NULL ? g_strndup(rest, (size_t)(slash - rest)) : g_strdup(rest);
    return parse_authority(authority, flags, url, error) && check_path(slash != NULL ? slash : "", error);
}

/* user@host:path, as scp writes it. */
static bool parse_short(const char *text, unsigned flags, struct git_url *url, GError **error)
{
    const char *at = strchr(text, '@');
    const char *colon = at == NULL ? NULL : at[1] == '[' ? strstr(at, "]:") : strchr(at, ':');
    if (colon == NULL) {
        return refuse(error, "only https and ssh are spoken");
    }
    colon += *colon == ']';
    g_autofree char *authority = g_strndup(text, (size_t)(colon - text));
    return parse_authority(authority, flags, url, error) && check_path(colon + 1, error);
}

bool git_url_parse(const char *text, unsigned flags, struct git_url *ret_url, GError **error)
{
    g_auto(git_url_t) url = {0};
    bool ok;
    if (*text == '-' || *text == '\0' || strlen(text) > URL_LIMIT) {
        return refuse(error, "it is empty, too long, or begins with “-”");
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p >= 0x7F) {
            return refuse(error, "it holds a blank, a control character or one that is not ASCII");
        }
    }
    if (g_ascii_strncasecmp(text, "https://", 8) == 0) {
        url = (struct git_url){.scheme = GIT_HTTPS, .port = 443};
        ok = parse_with_scheme(text + 8, flags, &url, error);
    } else if (g_ascii_strncasecmp(text, "ssh://", 6) == 0) {
        url = (struct git_url){.scheme = GIT_SSH, .port = 22};
        ok = parse_with_scheme(text + 6, flags, &url, error);
    } else if (g_str_has_prefix(text, "file:///") && (flags & SOURCE_GIT_ALLOW_FILE) != 0) {
        url.scheme = GIT_FILE;
        ok = check_path(text + 7, error);
    } else if (strstr(text, "://") != NULL || strstr(text, "::") == text + strspn(text, ALNUM "+.-")) {
        ok = refuse(error, "only https and ssh are spoken");
    } else {
        url = (struct git_url){.scheme = GIT_SSH, .port = 22};
        ok = parse_short(text, flags, &url, error);
    }
    if (ok && ret_url != NULL) {
        *ret_url = url;
        url = (struct git_url){0};
    }
    return ok;
}

bool source_check_git_url(const char *url, unsigned flags, GError **error)
{
    return git_url_parse(url, flags, NULL, error);
}

/* --- refs ---------------------------------------------------------------------------------------------------------------- */

static const char *broken_ref_rule(const char *ref)
{
    size_t length = strlen(ref);
    if (length == 0 || length > 244 || !g_utf8_validate(ref, -1, NULL)) {
        return "it must be 1..244 bytes of UTF-8";
    }
    if (*ref == '-' || *ref == '/' || ref[length - 1] == '/' || ref[length - 1] == '.' || strcmp(ref, "@") == 0) {
        return "it must not begin with “-” or “/”, end with “/” or “.”, or be “@”";
    }
    for (const char *p = ref; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7F || strchr("~^:?*[\\", *p) != NULL) {
            return "it must not hold blanks, control characters or any of ~^:?*[\\";
        }
    }
    if (strstr(ref, "..") != NULL || strstr(ref, "//") != NULL || strstr(ref, "@{") != NULL) {
        return "it must not hold “..”, “//” or “@{”";
    }
    g_auto(GStrv) parts = g_strsplit(ref, "/", -1);
    for (char **part = parts; *part != NULL; part++) {
        if (**part == '.' || g_str_has_suffix(*part, ".lock")) {
            return "no part of it may begin with “.” or end with “.lock”";
        }
    }
    return NULL;
}

bool source_check_git_ref(const char *ref, GError **error)
{
    const char *rule = broken_ref_rule(ref);
    if (rule == NULL) {
        return true;
    }
    sy_fail(error, SY_INVALID_INPUT, "the git ref is refused: %s", rule);
    sy_error_set_hint(error, "Give a branch, a tag or a commit's hash.");
    return false;
}
