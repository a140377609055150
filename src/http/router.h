/* Route table lookup: a tree of path segments, built once, then only read.
 *
 * A template is "/a/{name}/b"; a parameter matches one non-empty segment. A literal beats a parameter, with
 * backtracking. Every route is also found below /api. Pure and thread-safe after router_new. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "http/server.h"

struct router;

enum router_outcome { ROUTER_FOUND, ROUTER_NO_PATH, ROUTER_NO_METHOD };

struct router_match {
    const struct route *route;
    size_t index;        /* of the route in its table */
    size_t n_parameters; /* raw, still percent-encoded, pointing into the path */
    const char *starts[ROUTE_MAX_PARAMETERS];
    size_t lengths[ROUTE_MAX_PARAMETERS];
    const char *allow; /* with ROUTER_NO_METHOD: "GET, HEAD, POST"; lives as long as the router */
};

/* SY_INTERNAL when a route lacks a permission and is not public, is malformed, or doubles another. */
struct router *router_new(const struct route *routes, size_t n_routes, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void router_free(struct router *router);

/* `path` is the raw path of the target without its query. HEAD falls back to GET. */
enum router_outcome router_find(const struct router *router, const char *method, const char *path,
                                struct router_match *ret_match);

/* Name of the route's i-th parameter; NULL beyond the last. */
const char *router_parameter_name(const struct router *router, size_t route_index, size_t i);
