#include "http/router.h"

#include <string.h>

#include "base/error.h"
#include "http/guard.h"

struct node {
    char *segment; /* NULL: a parameter */
    GPtrArray *children;
    struct node *parameter;
    GArray *routes; /* size_t indexes, at most one per method */
    char *allow;
};

struct router {
    const struct route *routes;
    size_t n_routes;
    struct node *root;
    char *(*names)[ROUTE_MAX_PARAMETERS];
};

static void node_free(void *data)
{
    struct node *node = data;
    if (node == NULL) {
        return;
    }
    g_free(node->segment);
    g_free(node->allow);
    g_ptr_array_unref(node->children);
    g_array_unref(node->routes);
    node_free(node->parameter);
    g_free(node);
}

static struct node *node_new(const char *segment, size_t length)
{
    struct node *node = g_new0(struct node, 1);
    node->segment = segment != NULL ? g_strndup(segment, length) : NULL;
    node->children = g_ptr_array_new_with_free_func(node_free);
    node->routes = g_array_new(FALSE, FALSE, sizeof(size_t));
    return node;
}

static struct node *node_find(const struct node *node, const char *segment, size_t length)
{
    for (guint i = 0; i < node->children->len; i++) {
        struct node *child = g_ptr_array_index(node->children, i);
        if (strncmp(child->segment, segment, length) == 0 && child->segment[length] == '\0') {
            return child;
        }
    }
    return NULL;
}

static bool add_parameter(struct router *router, size_t index, size_t n, const char *segment, size_t length,
                          GError **error)
{
    const struct route *route = &router->routes[index];
    bool is_formed = length > 2 && segment[length - 1] == '}';
    if (!is_formed || n >= ROUTE_MAX_PARAMETERS) {
        return sy_fail(error, SY_INTERNAL, "route %s %s: a malformed or one too many parameter", route->method,
                       route->path);
    }
    router->names[index][n] = g_strndup(segment + 1, length - 2);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(router->names[index][i], router->names[index][n]) == 0) {
            return sy_fail(error, SY_INTERNAL, "route %s %s: parameter %s occurs twice", route->method, route->path,
                           router->names[index][n]);
        }
    }
    return true;
}

static struct node *add_path(struct router *router, size_t index, GError **error)
{
    struct node *node = router->root;
    const char *p = router->routes[index].path;
    size_t n_parameters = 0;
    while (*p == '/') {
        const char *segment = ++p;
        size_t length = strcspn(segment, "/");
        p += length;
        if (segment[0] == '{') {
            if (!add_parameter(router, index, n_parameters++, segment, length, error)) {
                return NULL;
            }
            if (node->parameter == NULL) {
                node->parameter = node_new(NULL, 0);
            }
            node = node->parameter;
            continue;
        }
        struct node *child = node_find(node, segment, length);
        if (child == NULL) {
            child = node_new(segment, length);
            g_ptr_array_add(node->children, child);
        }
        node = child;
    }
    return node;
}

static bool check_route(const struct route *route, GError **error)
{
    if (route->method == NULL || !guard_is_token(route->method) || route->path == NULL || route->path[0] != '/' ||
        route->handler == NULL) {
        return sy_fail(error, SY_INTERNAL, "route %s %s: it needs a method, a path and a handler", route->method,
                       route->path);
    }
    bool is_public = (route->flags & ROUTE_PUBLIC) != 0;
    if (is_public == (route->permission != NULL)) {
        return sy_fail(error, SY_INTERNAL, "route %s %s: it needs either a permission or ROUTE_PUBLIC", route->method,
                       route->path);
    }
    if ((route->flags & ROUTE_BODY_STREAM) != 0 && route->body == NULL) {
        return sy_fail(error, SY_INTERNAL, "route %s %s: ROUTE_BODY_STREAM needs a body function", route->method,
                       route->path);
    }
    bool inline_with_body =
        (route->flags & ROUTE_INLINE) != 0 && (route->flags & (ROUTE_BODY_STREAM | ROUTE_WEBSOCKET)) != 0;
    if (inline_with_body) {
        return sy_fail(error, SY_INTERNAL, "route %s %s: an inline route cannot stream a body or upgrade",
                       route->method, route->path);
    }
    return true;
}

static bool add_route(struct router *router, size_t index, GError **error)
{
    const struct route *route = &router->routes[index];
    if (!check_route(route, error)) {
        return false;
    }
    struct node *node = add_path(router, index, error);
    if (node == NULL) {
        return false;
    }
    for (guint i = 0; i < node->routes->len; i++) {
        const struct route *other = &router->routes[g_array_index(node->routes, size_t, i)];
        if (strcmp(other->method, route->method) == 0) {
            return sy_fail(error, SY_INTERNAL, "routes %s %s and %s %s overlap", other->method, other->path,
                           route->method, route->path);
        }
    }
    g_array_append_val(node->routes, index);
    return true;
}

static int compare_methods(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void build_allow(const struct router *router, struct node *node)
{
    g_autoptr(GPtrArray) methods = g_ptr_array_new();
    bool has_get = false, has_head = false;
    for (guint i = 0; i < node->routes->len; i++) {
        const char *method = router->routes[g_array_index(node->routes, size_t, i)].method;
        has_get |= strcmp(method, "GET") == 0;
        has_head |= strcmp(method, "HEAD") == 0;
        g_ptr_array_add(methods, (void *)method);
    }
    if (has_get && !has_head) {
        g_ptr_array_add(methods, (void *)"HEAD");
    }
    g_ptr_array_sort(methods, compare_methods);
    g_ptr_array_add(methods, NULL);
    node->allow = g_strjoinv(", ", (char **)methods->pdata);
    for (guint i = 0; i < node->children->len; i++) {
        build_allow(router, g_ptr_array_index(node->children, i));
    }
    if (node->parameter != NULL) {
        build_allow(router, node->parameter);
    }
}

struct router *router_new(const struct route *routes, size_t n_routes, GError **error)
{
    struct router *router = g_new0(struct router, 1);
    router->routes = routes;
    router->n_routes = n_routes;
    router->root = node_new("", 0);
    router->names = g_malloc0_n(MAX(n_routes, 1), sizeof *router->names);
    for (size_t i = 0; i < n_routes; i++) {
        if (!add_route(router, i, error)) {
            router_free(router);
            return NULL;
        }
    }
    build_allow(router, router->root);
    return router;
}

void router_free(struct router *router)
{
    if (router == NULL) {
        return;
    }
    for (size_t i = 0; i < router->n_routes; i++) {
        for (size_t j = 0; j < ROUTE_MAX_PARAMETERS; j++) {
            g_free(router->names[i][j]);
        }
    }
    g_free(router->names);
    node_free(router->root);
    g_free(router);
}

const char *router_parameter_name(const struct router *router, size_t route_index, size_t i)
{
    return i < ROUTE_MAX_PARAMETERS ? router->names[route_index][i] : NULL;
}

/* -1: no route of that method here. */
static gssize pick_method(const struct router *router, const struct node *node, const char *method)
{
    for (guint i = 0; i < node->routes->len; i++) {
        size_t index = g_array_index(node->routes, size_t, i);
        if (strcmp(router->routes[index].method, method) == 0) {
            return (gssize)index;
        }
    }
    return strcmp(method, "HEAD") == 0 ? pick_method(router, node, "GET") : -1;
}

/* Depth is bounded by the tree's, which is that of the longest template. */
static bool walk(const struct router *router, const struct node *node, const char *method, const char *p,
                 struct router_match *match)
{
    if (*p == '\0') {
        if (node->routes->len == 0) {
            return false;
        }
        gssize index = pick_method(router, node, method);
        if (index < 0) {
            match->allow = match->allow != NULL ? match->allow : node->allow;
            return false;
        }
        match->index = (size_t)index;
        match->route = &router->routes[index];
        return true;
    }
    const char *segment = p + 1;
    size_t length = strcspn(segment, "/");
    const struct node *child = node_find(node, segment, length);
    if (child != NULL && walk(router, child, method, segment + length, match)) {
        return true;
    }
    if (node->parameter == NULL || length == 0) {
        return false;
    }
    size_t n = match->n_parameters;
    match->starts[n] = segment;
    match->lengths[n] = length;
    match->n_parameters = n + 1;
    if (walk(router, node->parameter, method, segment + length, match)) {
        return true;
    }
    match->n_parameters = n;
    return false;
}

enum router_outcome router_find(const struct router *router, const char *method, const char *path,
                                struct router_match *ret_match)
{
    *ret_match = (struct router_match){0};
    if (path[0] != '/') {
        return ROUTER_NO_PATH;
    }
    if (walk(router, router->root, method, path, ret_match)) {
        return ROUTER_FOUND;
    }
    if (g_str_has_prefix(path, "/api/") && walk(router, router->root, method, path + strlen("/api"), ret_match)) {
        return ROUTER_FOUND;
    }
    return ret_match->allow != NULL ? ROUTER_NO_METHOD : ROUTER_NO_PATH;
}
