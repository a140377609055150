/* The collected body: media type, JSON, decoded struct. */
#include <string.h>

#include "base/error.h"
#include "http/internal.h"

/* application/json or application/…+json, parameters ignored (RFC 8259 defines none; charset=utf-8 is common). */
static bool is_json_type(const char *value)
{
    size_t n = strcspn(value, "; \t");
    g_autofree char *type = g_ascii_strdown(value, (gssize)n);
    return strcmp(type, "application/json") == 0 ||
           (g_str_has_prefix(type, "application/") && g_str_has_suffix(type, "+json"));
}

bool request_check_content_type(const struct request *request, GError **error)
{
    const char *type = request_header(request, "Content-Type");
    if (type == NULL || !is_json_type(type)) {
        return sy_fail(error, SY_UNSUPPORTED_MEDIA_TYPE, "the body must be application/json");
    }
    return true;
}

bool request_decode_body(struct request *request, GError **error)
{
    const struct route *route = request->route;
    if (route->request == NULL) {
        return true;
    }
    if (request->body == NULL) {
        if ((route->flags & ROUTE_BODY_OPTIONAL) != 0) {
            return true;
        }
        return sy_fail(error, SY_INVALID_JSON, "the body is empty, a JSON object is expected");
    }
    if (!request_check_content_type(request, error)) {
        return false;
    }
    request->json = json_parse(request->body->str, request->body->len, error);
    if (request->json == NULL) {
        return false;
    }
    if (route->mode == DECODE_PATCH) {
        return true;
    }
    request->object = contract_new(route->request);
    return contract_decode(route->request, request->object, request->json, route->mode, error);
}

const void *request_body(const struct request *request)
{
    return request->object;
}

const json_t *request_json(const struct request *request)
{
    return request->json;
}
