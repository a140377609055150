/* Query parameters and cursors, without a server. */
#include <string.h>

#include "base/error.h"
#include "http/internal.h"

static const struct query_parameter table[] = {
    {.name = "limit", .kind = KIND_INT, .minimum = 1, .maximum = 200},
    {.name = "offset", .kind = KIND_INT},
    {.name = "name", .kind = KIND_STRING, .maximum = 10},
    {.name = "follow", .kind = KIND_BOOL},
    {0},
};
static const struct route route = {.method = "GET", .path = "/", .query = table};

/* "": fine; else the codes of the issues. */
static char *check(struct request *request, const char *query)
{
    g_autoptr(GError) error = NULL;
    *request = (struct request){.route = &route, .query_text = g_strdup(query)};
    if (request_check_query(request, &error)) {
        g_assert_no_error(error);
        return g_strdup("");
    }
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_autoptr(GString) codes = g_string_new(NULL);
    const GPtrArray *issues = sy_error_issues(error);
    for (guint i = 0; i < issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(issues, i);
        g_assert_true(g_str_has_prefix(issue->path, "query"));
        g_assert_true(g_utf8_validate(issue->path, -1, NULL));
        g_string_append_printf(codes, "%s%s", i > 0 ? " " : "", issue->code);
    }
    return g_string_free(g_steal_pointer(&codes), FALSE);
}

static void values_are_checked(void)
{
    static const struct {
        const char *query, *codes;
    } cases[] = {
        {"", ""},
        {"&&&", ""},
        {"limit=1&name=a&follow=true&offset=-7", ""},
        {"offset=9223372036854775807", ""},
        {"offset=9223372036854775808", "type"},
        {"limit=0&name=12345678901&follow=maybe", "range range type"},
        {"limit=1&limit=1", "repeated"},
        {"l%69mit=1&limit=2", "repeated"},
        {"lim=1", "unknown"},
        {"Limit=1", "unknown"},
        {"limit", "type"},
        {"=1", "unknown"},
        {"limit=1=2", "type"},
        {"limit=+1", "type"},
        {"limit=%31", ""},
        {"name=%0a", ""},
        {"follow=false", ""},
        {"follow=0", ""},
        {"follow=", "type"},
        {"limit=%3", "encoding"},
        {"limit=%", "encoding"},
        {"limit=%zz", "encoding"},
        {"name=%00", "encoding"},
        {"%00=1", "encoding"},
        {"name=%c3%a4", ""},
        {"name=%c3", "encoding"},
        {"name=%ed%a0%80", "encoding"},
        {"\xff=1", "encoding"},
        {"name=\xff&limit=x", "encoding type"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct request request;
        char *text;
        g_autofree char *codes = check(&request, cases[i].query);
        text = request.query_text;
        g_test_message("case %zu", i);
        g_assert_cmpstr(codes, ==, cases[i].codes);
        g_free(text);
    }
}

static void values_are_decoded(void)
{
    struct request request;
    g_autofree char *codes = check(&request, "name=a+%2b%20%26&limit=7&follow=1");
    g_autofree char *text = request.query_text;
    g_assert_cmpstr(codes, ==, "");
    g_assert_cmpstr(request_query(&request, "name"), ==, "a + &");
    g_assert_cmpint(request_query_int(&request, "limit", 1), ==, 7);
    g_assert_cmpint(request_query_int(&request, "offset", 42), ==, 42);
    g_assert_true(request_query_bool(&request, "follow"));
    g_assert_null(request_query(&request, "other"));
}

static void a_value_of_another_kind_counts_as_absent(void)
{
    struct request request;
    g_autofree char *codes = check(&request, "name=7x&follow=false");
    g_autofree char *text = request.query_text;
    g_assert_cmpstr(codes, ==, "");
    g_assert_cmpint(request_query_int(&request, "name", 42), ==, 42);
    g_assert_false(request_query_bool(&request, "follow"));
    g_assert_false(request_query_bool(&request, "name"));
    g_assert_false(request_query_bool(&request, "absent"));
}

/* The detail of the only issue; NULL when there is none. */
static char *detail_of(const struct route *of, const char *query)
{
    g_autofree char *text = g_strdup(query);
    struct request request = {.route = of, .query_text = text};
    g_autoptr(GError) error = NULL;
    if (request_check_query(&request, &error)) {
        return NULL;
    }
    const GPtrArray *issues = sy_error_issues(error);
    g_assert_cmpuint(issues->len, ==, 1);
    return g_strdup(((const struct sy_issue *)g_ptr_array_index(issues, 0))->detail);
}

static void a_near_miss_is_told_the_name(void)
{
    static const struct route bare = {.method = "GET", .path = "/"};
    static const struct route dry = {.method = "POST", .path = "/", .flags = ROUTE_DRY_RUN};
    static const struct {
        const struct route *route;
        const char *query, *detail;
    } cases[] = {
        {&route, "limti=1", "is not a parameter here; did you mean limit?"},
        {&route, "dry_run=true", "is not a parameter here"},
        {&bare, "dry_run=true", "is not a parameter here"},
        {&dry, "dry_run=true", NULL},
        {&dry, "dryrun=true", "is not a parameter here; did you mean dry_run?"},
        {&dry, "limit=1", "is not a parameter here"},
        {&dry, "dry_run=yes", "must be true or false"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].query);
        g_autofree char *detail = detail_of(cases[i].route, cases[i].query);
        g_assert_cmpstr(detail, ==, cases[i].detail);
    }
}

static void a_table_longer_than_the_list_of_names_is_fine(void)
{
    struct query_parameter parameters[101] = {{0}};
    char names[100][8];
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_snprintf(names[i], sizeof names[i], "p%zu", i + 1000);
        parameters[i] = (struct query_parameter){.name = names[i], .kind = KIND_INT};
    }
    const struct route many = {.method = "POST", .path = "/", .query = parameters, .flags = ROUTE_DRY_RUN};
    g_autofree char *last = detail_of(&many, "p1099=1");
    g_assert_null(last);
    g_autofree char *dry = detail_of(&many, "dryrun=1"); /* the last of the names all the same */
    g_assert_cmpstr(dry, ==, "is not a parameter here; did you mean dry_run?");
}

/* --- path parameters ------------------------------------------------------------------------------------------------- */

static bool no_handler(struct request *request, GError **error)
{
    return true;
}

static const struct route path_routes[] = {
    {.method = "GET", .path = "/x/{a}/{b}/{c}/{d}", .flags = ROUTE_PUBLIC, .handler = no_handler},
    {.method = "GET", .path = "/y/{a}", .flags = ROUTE_PUBLIC, .handler = no_handler},
};

/* Routes the path and decodes its parameters; request_free is not for a request without a connection. */
static bool parse_path(struct server *server, struct request *request, const char *path, GError **error)
{
    struct router_match match;
    *request = (struct request){.server = server};
    g_assert_cmpint(router_find(server->router, "GET", path, &match), ==, ROUTER_FOUND);
    return request_parse_path(request, &match, error);
}

static void free_parameters(struct request *request)
{
    for (size_t i = 0; i < ROUTE_MAX_PARAMETERS; i++) {
        g_free(request->parameters[i]);
    }
}

static void path_parameters_are_decoded(void)
{
    struct server server = {.router = router_new(path_routes, G_N_ELEMENTS(path_routes), NULL)};
    struct request request;
    g_assert_true(parse_path(&server, &request, "/x/1/a%2Fb/+/%c3%a4", NULL));
    g_assert_cmpstr(request_parameter(&request, "a"), ==, "1");
    g_assert_cmpstr(request_parameter(&request, "b"), ==, "a/b");
    g_assert_cmpstr(request_parameter(&request, "c"), ==, "+"); /* a blank only in a query */
    g_assert_cmpstr(request_parameter(&request, "d"), ==, "ä");
    g_assert_null(request_parameter(&request, "e"));
    free_parameters(&request);
    g_assert_true(parse_path(&server, &request, "/y/1", NULL));
    g_assert_null(request_parameter(&request, "b"));
    free_parameters(&request);
    router_free(server.router);
}

static void path_parameters_that_are_no_text_are_refused(void)
{
    static const char *const bad[] = {"%00", "%", "%4", "%zz", "%ff", "a%c3"};
    struct server server = {.router = router_new(path_routes, G_N_ELEMENTS(path_routes), NULL)};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *path = g_strconcat("/x/1/", bad[i], "/3/4", NULL);
        g_autoptr(GError) error = NULL;
        struct request request;
        g_test_message("%s", path);
        g_assert_false(parse_path(&server, &request, path, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        const struct sy_issue *issue = g_ptr_array_index(sy_error_issues(error), 0);
        g_assert_cmpstr(issue->path, ==, "b");
        g_assert_cmpstr(issue->code, ==, "encoding");
        free_parameters(&request);
    }
    router_free(server.router);
}

static void many_parameters_are_refused(void)
{
    g_autoptr(GString) query = g_string_new(NULL);
    for (int i = 0; i < 1000; i++) {
        g_string_append(query, "x=1&");
    }
    struct request request;
    g_autofree char *codes = check(&request, query->str);
    g_autofree char *text = request.query_text;
    g_assert_true(g_str_has_suffix(codes, "range"));
    g_assert_cmpuint(request.n_query, ==, 0);
}

/* --- cursors --------------------------------------------------------------------------------------------------------- */

static void cursors_come_back(void)
{
    GRand *random = g_rand_new_with_seed(4);
    for (int i = 0; i < 2000; i++) {
        g_autoptr(GString) key = g_string_new(NULL);
        for (int j = g_rand_int_range(random, 1, 60); j > 0; j--) {
            g_string_append_unichar(key, (gunichar)g_rand_int_range(random, 1, 0x800));
        }
        g_autoptr(GError) error = NULL;
        g_autofree char *cursor = cursor_encode(key->str);
        g_autofree char *back = cursor_decode(cursor, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(back, ==, key->str);
        g_assert_cmpuint(strspn(cursor, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), ==,
                         strlen(cursor));
    }
    g_rand_free(random);
}

static void other_texts_are_no_cursors(void)
{
    g_autofree char *cursor = cursor_encode("2026-11-23T16:05:09Z|abc");
    for (size_t i = 0; cursor[i] != '\0'; i++) {
        for (const char *c = "=+/ %\n\x80"; *c != '\0'; c++) {
            g_autoptr(GError) error = NULL;
            g_autofree char *wrong = g_strdup(cursor);
            wrong[i] = *c;
            g_assert_null(cursor_decode(wrong, &error));
            g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        }
    }
    g_autofree char *long_text = g_strnfill(1028, 'A');
    g_assert_null(cursor_decode(long_text, NULL));
    g_assert_null(cursor_decode("", NULL));
}

static void a_request_that_never_was_may_be_freed(void)
{
    request_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/query/values_are_checked", values_are_checked);
    g_test_add_func("/query/values_are_decoded", values_are_decoded);
    g_test_add_func("/query/a_value_of_another_kind_counts_as_absent", a_value_of_another_kind_counts_as_absent);
    g_test_add_func("/query/a_near_miss_is_told_the_name", a_near_miss_is_told_the_name);
    g_test_add_func("/query/a_table_longer_than_the_list_of_names_is_fine",
                    a_table_longer_than_the_list_of_names_is_fine);
    g_test_add_func("/query/many_parameters_are_refused", many_parameters_are_refused);
    g_test_add_func("/path/path_parameters_are_decoded", path_parameters_are_decoded);
    g_test_add_func("/path/path_parameters_that_are_no_text_are_refused", path_parameters_that_are_no_text_are_refused);
    g_test_add_func("/path/a_request_that_never_was_may_be_freed", a_request_that_never_was_may_be_freed);
    g_test_add_func("/cursor/cursors_come_back", cursors_come_back);
    g_test_add_func("/cursor/other_texts_are_no_cursors", other_texts_are_no_cursors);
    return g_test_run();
}
