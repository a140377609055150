/* Problem details of every code. */
#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "http/problem.h"

static json_t *render(const GError *error, int status)
{
    GString *text = problem_render(error, status, "request-1");
    json_error_t failure;
    json_t *json = json_loadb(text->str, text->len, JSON_REJECT_DUPLICATES, &failure);
    if (json == NULL) {
        g_error("%s: %s", failure.text, text->str);
    }
    g_string_free(text, TRUE);
    return json;
}

static const char *member(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void every_code_is_a_problem(void)
{
    for (int code = 0; code < SY_N_CODES; code++) {
        const struct sy_code_info *info = sy_code_info((enum sy_code)code);
        g_autoptr(GError) error = NULL;
        sy_fail(&error, (enum sy_code)code, "the \"words\"\n\xff");
        int status = problem_status(error);
        json_t *json = render(error, status);
        g_autofree char *type = g_strconcat("https://enclii.dev/errors/", info->name, NULL);
        g_test_message("%s", info->name);
        g_assert_cmpint(status, ==, info->status != 0 ? info->status : 500);
        g_assert_cmpstr(problem_title(status), !=, "Error");
        g_assert_cmpint(json_integer_value(json_object_get(json, "status")), ==, status);
        g_assert_cmpstr(member(json, "type"), ==, type);
        g_assert_cmpstr(member(json, "title"), ==, problem_title(status));
        g_assert_cmpstr(member(json, "code"), ==, info->name);
        g_assert_cmpstr(member(json, "hint"), ==, info->hint);
        g_assert_cmpstr(member(json, "detail"), ==, member(json, "error"));
        g_assert_cmpstr(member(json, "request_id"), ==, "request-1");
        g_assert_cmpuint(json_array_size(json_object_get(json, "errors")), ==, 0);
        bool is_kept = code == SY_INTERNAL || code == SY_STORE_FAILED;
        g_assert_true((strstr(member(json, "detail"), "words") == NULL) == is_kept);
        json_decref(json);
    }
}

static void foreign_errors_say_nothing(void)
{
    g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "/etc/secret is gone");
    json_t *json = render(error, problem_status(error));
    g_assert_cmpstr(member(json, "code"), ==, "INTERNAL");
    g_assert_null(strstr(member(json, "detail"), "secret"));
    json_decref(json);
}

static void issues_are_listed(void)
{
    g_autoptr(GError) error = NULL;
    sy_error_add_issue(&error, "a.b[0]", "range", "must be 1..2");
    sy_error_add_issue(&error, "c", "unknown", "is not a field");
    json_t *json = render(error, 400);
    const json_t *errors = json_object_get(json, "errors");
    g_assert_cmpuint(json_array_size(errors), ==, 2);
    g_assert_cmpstr(member(json_array_get(errors, 0), "path"), ==, "a.b[0]");
    g_assert_cmpstr(member(json_array_get(errors, 1), "code"), ==, "unknown");
    g_assert_cmpstr(member(json_array_get(errors, 1), "detail"), ==, "is not a field");
    json_decref(json);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/problem/" #name, name)
    ADD(every_code_is_a_problem);
    ADD(foreign_errors_say_nothing);
    ADD(issues_are_listed);
    return g_test_run();
}
