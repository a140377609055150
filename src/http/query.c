/* Path parameters and query parameters: decoding, and checking against the route's table. */
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "http/internal.h"

/* In place. False for a broken escape, a NUL, or what is not UTF-8. */
static bool percent_decode(char *text, bool plus_is_blank)
{
    char *out = text;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '%') {
            int high = g_ascii_xdigit_value(p[1]);
            int low = high >= 0 ? g_ascii_xdigit_value(p[2]) : -1;
            if (low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            *out++ = (char)(high << 4 | low);
            p += 2;
        } else {
            *out++ = plus_is_blank && *p == '+' ? ' ' : *p;
        }
    }
    *out = '\0';
    return g_utf8_validate(text, -1, NULL);
}

bool request_parse_path(struct request *request, const struct router_match *match, GError **error)
{
    for (size_t i = 0; i < match->n_parameters; i++) {
        request->parameter_names[i] = router_parameter_name(request->server->router, match->index, i);
        request->parameters[i] = g_strndup(match->starts[i], match->lengths[i]);
        if (!percent_decode(request->parameters[i], false)) {
            sy_error_add_issue(error, request->parameter_names[i], "encoding",
                               "must be percent-encoded UTF-8 without NUL");
            return false;
        }
    }
    return true;
}

static const struct query_parameter dry_run_parameter = {
    .name = "dry_run", .kind = KIND_BOOL, .doc = "Say what would happen, change nothing."};

static const struct query_parameter *find_parameter(const struct route *route, const char *name)
{
    for (const struct query_parameter *q = route->query; q != NULL && q->name != NULL; q++) {
        if (strcmp(q->name, name) == 0) {
            return q;
        }
    }
    bool is_dry_run = (route->flags & ROUTE_DRY_RUN) != 0 && strcmp(name, "dry_run") == 0;
    return is_dry_run ? &dry_run_parameter : NULL;
}

static void issue(GError **error, const char *name, const char *code, const char *detail)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    g_autofree char *path = g_strconcat("query.", valid, NULL);
    sy_error_add_issue(error, path, code, detail);
}

static void issue_unknown(const struct route *route, GError **error, const char *name)
{
    const char *names[66] = {0};
    size_t n = 0;
    for (const struct query_parameter *q = route->query; q != NULL && q->name != NULL && n < 64; q++) {
        names[n++] = q->name;
    }
    if ((route->flags & ROUTE_DRY_RUN) != 0) {
        names[n++] = dry_run_parameter.name;
    }
    const char *near = nearest_word(name, names);
    g_autofree char *detail = near != NULL ? g_strdup_printf("is not a parameter here; did you mean %s?", near)
                                           : g_strdup("is not a parameter here");
    issue(error, name, "unknown", detail);
}

static bool parse_int(const char *text, int64_t *ret_value)
{
    gint64 value = 0;
    if (!g_ascii_string_to_signed(text, 10, G_MININT64 + 1, G_MAXINT64, &value, NULL)) {
        return false;
    }
    *ret_value = value;
    return true;
}

/* -1: neither. */
static int parse_bool(const char *text)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0) {
        return 1;
    }
    return strcmp(text, "false") == 0 || strcmp(text, "0") == 0 ? 0 : -1;
}

static void check_value(const struct query_parameter *parameter, const char *value, GError **error)
{
    bool is_bounded = parameter->minimum != 0 || parameter->maximum != 0;
    int64_t number = 0;
    g_autofree char *detail = NULL;
    if (parameter->kind == KIND_BOOL) {
        if (parse_bool(value) < 0) {
            issue(error, parameter->name, "type", "must be true or false");
        }
        return;
    }
    if (parameter->kind == KIND_INT && !parse_int(value, &number)) {
        issue(error, parameter->name, "type", "must be a whole number");
        return;
    }
    if (parameter->kind != KIND_INT) {
        number = (int64_t)strlen(value);
    }
    if (is_bounded && (number < parameter->minimum || number > parameter->maximum)) {
        detail = g_strdup_printf("must be %" G_GINT64_FORMAT "..%" G_GINT64_FORMAT "%s", parameter->minimum,
                                 parameter->maximum, parameter->kind == KIND_INT ? "" : " bytes long");
        issue(error, parameter->name, "range", detail);
    }
}

static bool has_query(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->n_query; i++) {
        if (strcmp(request->query[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* `name` is decoded in place within request->query_text, which the pair borrows from. */
static void take_pair(struct request *request, char *name, GError **error)
{
    char *value = strchr(name, '=');
    if (value != NULL) {
        *value++ = '\0';
    } else {
        value = name + strlen(name);
    }
    if (!percent_decode(name, true) || !percent_decode(value, true)) {
        issue(error, name, "encoding", "must be percent-encoded UTF-8 without NUL");
        return;
    }
    const struct query_parameter *parameter = find_parameter(request->route, name);
    if (parameter == NULL) {
        issue_unknown(request->route, error, name);
        return;
    }
    if (has_query(request, name)) {
        issue(error, name, "repeated", "may be given once");
        return;
    }
    check_value(parameter, value, error);
    request->query[request->n_query++] = (struct text_pair){.name = name, .value = value};
}

bool request_check_query(struct request *request, GError **error)
{
    GError *found = NULL;
    int n = 0;
    for (char *p = request->query_text, *next; p != NULL; p = next) {
        next = strchr(p, '&');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (*p == '\0') {
            continue;
        }
        if (++n > REQUEST_MAX_QUERY) {
            sy_error_add_issue(&found, "query", "range", "has too many parameters");
            break;
        }
        take_pair(request, p, &found);
    }
    if (found != NULL) {
        g_propagate_error(error, found);
        return false;
    }
    return true;
}

const char *request_parameter(const struct request *request, const char *name)
{
    for (size_t i = 0; i < ROUTE_MAX_PARAMETERS && request->parameter_names[i] != NULL; i++) {
        if (strcmp(request->parameter_names[i], name) == 0) {
            return request->parameters[i];
        }
    }
    return NULL;
}

const char *request_query(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->n_query; i++) {
        if (strcmp(request->query[i].name, name) == 0) {
            return request->query[i].value;
        }
    }
    return NULL;
}

int64_t request_query_int(const struct request *request, const char *name, int64_t absent)
{
    const char *text = request_query(request, name);
    int64_t value = absent;
    return text != NULL && parse_int(text, &value) ? value : absent;
}

bool request_query_bool(const struct request *request, const char *name)
{
    const char *text = request_query(request, name);
    return text != NULL && parse_bool(text) == 1;
}
