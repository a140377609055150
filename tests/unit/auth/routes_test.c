/* Every route against every scope: who may call what. */
#include <glib.h>
#include <string.h>

#include "auth/permission.h"
#include "http/server.h"

/* The table without its handlers: declared weak, they need not be linked. */
#pragma GCC diagnostic ignored "-Wattributes" /* a parameter cannot be weak */
#undef bool
#define bool __attribute__((weak)) _Bool
#include "switchyard/handlers/handlers.h"
#undef bool
#define bool _Bool
#include "switchyard/routes.c"

static bool is_public(const struct route *route)
{
    return (route->flags & ROUTE_PUBLIC) != 0;
}

static bool may(const struct route *route, enum scope_level level, bool is_bound)
{
    const struct permission *permission = permission_find(route->permission);
    g_assert_nonnull(permission);
    return permission_is_granted(permission, level, is_bound);
}

static void every_route_names_a_permission_or_says_it_is_public(void)
{
    g_assert_cmpuint(n_routes, >, 40);
    for (size_t i = 0; i < n_routes; i++) {
        g_test_message("%s %s", routes[i].method, routes[i].path);
        if (is_public(&routes[i])) {
            g_assert_null(routes[i].permission);
        } else {
            g_assert_nonnull(routes[i].permission);
            g_assert_nonnull(permission_find(routes[i].permission));
        }
    }
}

/* Whoever makes another route public changes this list, too. */
static void only_these_are_public(void)
{
    static const char *const expected[] = {"/health",          "/health/live", "/health/ready",    "/metrics",
                                           "/v1/openapi.json", "/v1/version",  "/v1/build/status", NULL};
    for (size_t i = 0; i < n_routes; i++) {
        if (is_public(&routes[i])) {
            g_test_message("%s", routes[i].path);
            g_assert_true(g_strv_contains(expected, routes[i].path));
            g_assert_cmpstr(routes[i].method, ==, "GET");
        }
    }
}

static void scopes_contain_one_another(void)
{
    for (size_t i = 0; i < n_routes; i++) {
        for (int bound = 0; !is_public(&routes[i]) && bound < 2; bound++) {
            g_test_message("%s %s", routes[i].method, routes[i].path);
            g_assert_false(may(&routes[i], SCOPE_NONE, bound));
            g_assert_true(!may(&routes[i], SCOPE_READ, bound) || may(&routes[i], SCOPE_DEPLOY, bound));
            g_assert_true(!may(&routes[i], SCOPE_DEPLOY, bound) || may(&routes[i], SCOPE_ADMIN, bound));
            g_assert_true(!may(&routes[i], SCOPE_ADMIN, true) || may(&routes[i], SCOPE_ADMIN, false));
            g_assert_true(may(&routes[i], SCOPE_ADMIN, false));
        }
    }
}

static void readers_change_nothing(void)
{
    for (size_t i = 0; i < n_routes; i++) {
        if (!is_public(&routes[i]) && may(&routes[i], SCOPE_READ, false)) {
            g_test_message("%s %s", routes[i].method, routes[i].path);
            g_assert_cmpstr(routes[i].method, ==, "GET");
        }
    }
}

static void deployers_neither_delete_nor_hand_out_rights(void)
{
    static const char *const admins[] = {"project.delete", "service.delete", "environment.delete", "token.read",
                                         "token.write",    "system.write",   "variable.reveal",    NULL};
    for (const char *const *name = admins; *name != NULL; name++) {
        const struct permission *permission = permission_find(*name);
        g_test_message("%s", *name);
        g_assert_nonnull(permission);
        g_assert_false(permission_is_granted(permission, SCOPE_DEPLOY, false));
        g_assert_true(permission_is_granted(permission, SCOPE_ADMIN, false));
    }
    int n_grave = 0;
    for (size_t i = 0; i < n_routes; i++) {
        bool deletes = strcmp(routes[i].method, "DELETE") == 0 && strstr(routes[i].path, "/{") != NULL;
        bool is_grave = deletes && (g_str_has_suffix(routes[i].path, "/projects/{slug}") ||
                                    g_str_has_suffix(routes[i].path, "/services/{id}") ||
                                    g_str_has_suffix(routes[i].path, "/environments/{name}") ||
                                    g_str_has_suffix(routes[i].path, "/tokens/{token_id}"));
        g_test_message("%s %s", routes[i].method, routes[i].path);
        g_assert_true(!is_grave || !may(&routes[i], SCOPE_DEPLOY, false));
        n_grave += is_grave;
    }
    g_assert_cmpint(n_grave, ==, 4); /* each of the paths above is one */
}

/* A token of one project never reaches what concerns them all, even as an administrator. */
static void tokens_of_one_project_stay_in_it(void)
{
    int n_global = 0;
    for (size_t i = 0; i < n_routes; i++) {
        const char *path = routes[i].path;
        bool is_global = g_str_has_prefix(path, "/v1/user/tokens") || g_str_has_prefix(path, "/v1/system") ||
                         (strcmp(path, "/v1/projects") == 0 && strcmp(routes[i].method, "POST") == 0);
        if (is_global && !is_public(&routes[i])) {
            g_test_message("%s %s", routes[i].method, path);
            g_assert_false(may(&routes[i], SCOPE_ADMIN, true));
            n_global++;
        }
    }
    g_assert_cmpint(n_global, ==, 8); /* four of tokens, three of the system, and a new project */
}

static void names_of_scopes(void)
{
    g_assert_cmpint(scope_level_from_name("read"), ==, SCOPE_READ);
    g_assert_cmpint(scope_level_from_name("deploy"), ==, SCOPE_DEPLOY);
    g_assert_cmpint(scope_level_from_name("admin"), ==, SCOPE_ADMIN);
    g_assert_cmpint(scope_level_from_name("root"), ==, SCOPE_NONE);
    g_assert_cmpint(scope_level_from_name("Admin"), ==, SCOPE_NONE);
    g_assert_cmpint(scope_level_from_name(""), ==, SCOPE_NONE);
    for (enum scope_level level = SCOPE_READ; level <= SCOPE_ADMIN; level++) {
        g_assert_cmpint(scope_level_from_name(scope_level_name(level)), ==, level);
    }
    g_assert_cmpstr(scope_level_name(SCOPE_NONE), ==, "none");
    g_assert_null(permission_find("project"));
    g_assert_null(permission_find(""));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/permission/" #name, name)
    ADD(every_route_names_a_permission_or_says_it_is_public);
    ADD(only_these_are_public);
    ADD(scopes_contain_one_another);
    ADD(readers_change_nothing);
    ADD(deployers_neither_delete_nor_hand_out_rights);
    ADD(tokens_of_one_project_stay_in_it);
    ADD(names_of_scopes);
    return g_test_run();
}
