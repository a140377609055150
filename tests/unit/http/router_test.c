/* The route tree. */
#include <string.h>

#include "base/error.h"
#include "http/router.h"

static bool handler(struct request *request, GError **error)
{
    return true;
}

#define ROUTE(m, p)                                                                                                    \
    {                                                                                                                  \
        .method = m, .path = p, .flags = ROUTE_PUBLIC, .handler = handler                                              \
    }

static const struct route table[] = {
    ROUTE("GET", "/health"),          ROUTE("GET", "/v1/items"),       ROUTE("POST", "/v1/items"),
    ROUTE("GET", "/v1/items/{id}"),   ROUTE("GET", "/v1/items/new"),   ROUTE("PUT", "/v1/{a}/{b}/{c}"),
    ROUTE("GET", "/v1/items/{id}/x"), ROUTE("GET", "/v1/items/new/y"), ROUTE("DELETE", "/v1/items/{id}"),
};

static void finds_what_is_there(void)
{
    static const struct {
        const char *method, *path;
        int index; /* -1: no path, -2: no method */
        const char *first;
    } cases[] = {
        {"GET", "/health", 0, NULL},
        {"HEAD", "/health", 0, NULL},
        {"POST", "/v1/items", 2, NULL},
        {"GET", "/v1/items/7", 3, "7"},
        {"GET", "/v1/items/new", 4, NULL},     /* a literal beats a parameter */
        {"DELETE", "/v1/items/new", 8, "new"}, /* and steps back when it leads nowhere */
        {"GET", "/v1/items/new/x", 6, "new"},
        {"GET", "/v1/items/new/y", 7, NULL},
        {"PUT", "/v1/p/q/r", 5, "p"},
        {"PUT", "/v1/items/new/y", 5, "items"},
        {"GET", "/api/v1/items/a%2Fb", 3, "a%2Fb"},
        {"GET", "/api/health", 0, NULL},
        {"GET", "/v1/items/", -1, NULL},
        {"GET", "/v1/items//x", -1, NULL},
        {"GET", "/v1//items", -1, NULL},
        {"GET", "//health", -1, NULL},
        {"GET", "/health/", -1, NULL},
        {"GET", "/healthy", -1, NULL},
        {"GET", "/heal", -1, NULL},
        {"GET", "/", -1, NULL},
        {"GET", "", -1, NULL},
        {"GET", "health", -1, NULL},
        {"GET", "*", -1, NULL},
        {"GET", "/api", -1, NULL},
        {"GET", "/api/api/health", -1, NULL},
        {"PATCH", "/v1/items", -2, NULL},
        {"get", "/health", -2, NULL},
        {"PATCH", "/api/v1/items/7", -2, NULL},
    };
    g_autoptr(GError) error = NULL;
    struct router *router = router_new(table, G_N_ELEMENTS(table), &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct router_match match;
        enum router_outcome outcome = router_find(router, cases[i].method, cases[i].path, &match);
        g_test_message("%s %s", cases[i].method, cases[i].path);
        g_assert_cmpint(outcome, ==,
                        cases[i].index >= 0    ? ROUTER_FOUND
                        : cases[i].index == -1 ? ROUTER_NO_PATH
                                               : ROUTER_NO_METHOD);
        if (outcome == ROUTER_FOUND) {
            g_assert_cmpuint(match.index, ==, (size_t)cases[i].index);
            g_assert_true(match.route == &table[match.index]);
        }
        if (cases[i].first != NULL) {
            g_assert_cmpmem(match.starts[0], match.lengths[0], cases[i].first, strlen(cases[i].first));
        }
    }
    router_free(router);
}

static void names_its_parameters_and_methods(void)
{
    struct router *router = router_new(table, G_N_ELEMENTS(table), NULL);
    struct router_match match;
    g_assert_cmpint(router_find(router, "PATCH", "/v1/items", &match), ==, ROUTER_NO_METHOD);
    g_assert_cmpstr(match.allow, ==, "GET, HEAD, POST");
    g_assert_cmpint(router_find(router, "PUT", "/v1/a/b/c", &match), ==, ROUTER_FOUND);
    g_assert_cmpuint(match.n_parameters, ==, 3);
    g_assert_cmpstr(router_parameter_name(router, match.index, 0), ==, "a");
    g_assert_cmpstr(router_parameter_name(router, match.index, 2), ==, "c");
    g_assert_null(router_parameter_name(router, match.index, 3));
    g_assert_null(router_parameter_name(router, match.index, ROUTE_MAX_PARAMETERS));
    router_free(router);
    router_free(NULL);
}

static void bad_tables_are_refused(void)
{
    const struct route bad[][2] = {
        {ROUTE("GET", "/a"), ROUTE("GET", "/a")},
        {ROUTE("GET", "/a/{x}"), ROUTE("GET", "/a/{y}")},
        {ROUTE("GET", "/a"), ROUTE("GET", "b")},
        {ROUTE("GET", "/a"), ROUTE("G T", "/b")},
        {ROUTE("GET", "/a"), ROUTE("GET", "/{}")},
        {ROUTE("GET", "/a"), ROUTE("GET", "/{x")},
        {ROUTE("GET", "/a"), ROUTE("GET", "/{x}/{x}")},
        {ROUTE("GET", "/a"), ROUTE("GET", "/{xyz")},
        {ROUTE("GET", "/a"), ROUTE("GET", "/{1}/{2}/{3}/{4}/{5}")},
        {ROUTE("GET", "/a"), ROUTE(NULL, "/b")},
        {ROUTE("GET", "/a"), ROUTE("GET", NULL)},
        {ROUTE("GET", "/a"), {.method = "GET", .path = "/b", .handler = handler}},
        {ROUTE("GET", "/a"), {.method = "GET", .path = "/b", .flags = ROUTE_PUBLIC}},
        {ROUTE("GET", "/a"),
         {.method = "GET", .path = "/b", .permission = "x", .flags = ROUTE_PUBLIC, .handler = handler}},
        {ROUTE("GET", "/a"),
         {.method = "PUT", .path = "/b", .flags = ROUTE_PUBLIC | ROUTE_BODY_STREAM, .handler = handler}},
        {ROUTE("GET", "/a"),
         {.method = "GET", .path = "/b", .flags = ROUTE_PUBLIC | ROUTE_INLINE | ROUTE_WEBSOCKET, .handler = handler}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s %s", bad[i][1].method, bad[i][1].path);
        g_assert_null(router_new(bad[i], 2, &error));
        g_assert_error(error, SY_ERROR, SY_INTERNAL);
    }
}

static void a_head_route_of_its_own_is_named_once(void)
{
    static const struct route own[] = {ROUTE("HEAD", "/a"), ROUTE("GET", "/a")};
    struct router *router = router_new(own, G_N_ELEMENTS(own), NULL);
    struct router_match match;
    g_assert_cmpint(router_find(router, "HEAD", "/a", &match), ==, ROUTER_FOUND);
    g_assert_cmpuint(match.index, ==, 0);
    g_assert_cmpint(router_find(router, "PUT", "/a", &match), ==, ROUTER_NO_METHOD);
    g_assert_cmpstr(match.allow, ==, "GET, HEAD");
    router_free(router);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/router/" #name, name)
    ADD(finds_what_is_there);
    ADD(names_its_parameters_and_methods);
    ADD(bad_tables_are_refused);
    ADD(a_head_route_of_its_own_is_named_once);
    return g_test_run();
}
