/* Errors: codes, hints, issues; and secrets, which have no text of their own. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"

static void every_code_has_its_facts(void)
{
    for (int code = 0; code < SY_N_CODES; code++) {
        const struct sy_code_info *info = sy_code_info((enum sy_code)code);
        g_test_message("%s", info->name);
        g_assert_cmpint(sy_code_from_name(info->name), ==, code);
        g_assert_true(info->status == 0 || (info->status >= 400 && info->status < 600));
        g_assert_cmpint(info->exit_code, >, 0);
        g_assert_cmpuint(strlen(info->hint), >, 10);
    }
    g_assert_cmpint(sy_code_from_name("not_found"), ==, -1);
    g_assert_cmpint(sy_code_from_name(NULL), ==, -1);
}

static void failing_sets_the_error_and_returns_false(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(sy_fail(&error, SY_CONFLICT, "%d is %s", 7, "taken"));
    g_assert_error(error, SY_ERROR, SY_CONFLICT);
    g_assert_cmpstr(error->message, ==, "7 is taken");
    g_assert_cmpint(sy_error_code(error), ==, SY_CONFLICT);
    g_assert_cmpstr(sy_error_hint(error), ==, sy_code_info(SY_CONFLICT)->hint);
    g_assert_null(sy_error_issues(error));
    g_assert_false(sy_fail(NULL, SY_CONFLICT, "nobody listens"));
}

static void full_disks_are_told_apart(void)
{
    static const struct {
        int number;
        enum sy_code code;
    } cases[] = {{ENOSPC, SY_DISK_FULL}, {EDQUOT, SY_DISK_FULL}, {EACCES, SY_IO_FAILED}, {0, SY_IO_FAILED}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(sy_fail_errno(&error, cases[i].number, "cannot write %s", "x"));
        g_assert_error(error, SY_ERROR, (int)cases[i].code);
        g_assert_true(g_str_has_prefix(error->message, "cannot write x: "));
    }
}

static void hints_can_be_replaced(void)
{
    g_autoptr(GError) error = NULL;
    sy_error_set_hint(NULL, "nothing");
    sy_error_set_hint(&error, "nothing");
    g_assert_null(error);
    sy_fail(&error, SY_NOT_FOUND, "x");
    sy_error_set_hint(&error, "look in %s", "a");
    sy_error_set_hint(&error, "look in %s", "b");
    g_prefix_error(&error, "outer: ");
    g_assert_cmpstr(sy_error_hint(error), ==, "look in b");
    g_assert_cmpstr(error->message, ==, "outer: x");
}

static void issues_are_gathered_and_copied(void)
{
    g_autoptr(GError) error = NULL;
    sy_error_add_issue(NULL, "a", "b", "c");
    sy_error_add_issue(&error, "services.web.port", "range", "must be 1..65535");
    sy_error_add_issue(&error, "", "required", "is missing");
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_cmpstr(error->message, ==, "services.web.port: must be 1..65535");
    sy_error_set_hint(&error, "own");
    g_autoptr(GError) copy = g_error_copy(error);
    g_clear_error(&error);
    const GPtrArray *issues = sy_error_issues(copy);
    g_assert_cmpuint(issues->len, ==, 2);
    const struct sy_issue *first = g_ptr_array_index(issues, 0);
    g_assert_cmpstr(first->path, ==, "services.web.port");
    g_assert_cmpstr(first->code, ==, "range");
    g_assert_cmpstr(first->detail, ==, "must be 1..65535");
    g_assert_cmpstr(sy_error_hint(copy), ==, "own");
}

static void foreign_errors_are_internal(void)
{
    g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "gone");
    g_assert_cmpint(sy_error_code(error), ==, SY_INTERNAL);
    g_assert_cmpstr(sy_error_hint(error), ==, sy_code_info(SY_INTERNAL)->hint);
    g_assert_null(sy_error_issues(error));
    sy_error_set_hint(&error, "not mine");
    g_assert_cmpint(sy_error_code(NULL), ==, SY_INTERNAL);
}

/* --- secrets -------------------------------------------------------------------------------------------------------- */

static void secrets_are_copies_with_a_nul_behind(void)
{
    char bytes[] = {'a', '\0', 'b'};
    g_autoptr(sy_secret) secret = secret_new(bytes, sizeof bytes);
    secret_wipe(bytes, sizeof bytes);
    g_assert_cmpmem(bytes, sizeof bytes, "\0\0\0", 3);
    g_assert_cmpmem(secret_reveal(secret), secret_length(secret) + 1, "a\0b\0", 4);
    g_autoptr(sy_secret) empty = secret_new(NULL, 0);
    g_assert_cmpuint(secret_length(empty), ==, 0);
    g_assert_cmpstr(secret_reveal(empty), ==, "");
    secret_free(NULL);
    secret_string_free(NULL);
    secret_string_free(g_strdup("x"));
}

static void secrets_compare_by_every_byte(void)
{
    char bytes[32];
    memset(bytes, 'x', sizeof bytes);
    g_autoptr(sy_secret) secret = secret_new(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (char)(1 << bit);
            g_autoptr(sy_secret) other = secret_new(bytes, sizeof bytes);
            g_assert_false(secret_equal(secret, other));
            bytes[i] ^= (char)(1 << bit);
        }
    }
    g_autoptr(sy_secret) same = secret_new(bytes, sizeof bytes);
    g_autoptr(sy_secret) shorter = secret_new(bytes, sizeof bytes - 1);
    g_assert_true(secret_equal(secret, same));
    g_assert_false(secret_equal(secret, shorter));
    g_assert_true(bytes_equal_constant_time("", "", 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/every_code_has_its_facts", every_code_has_its_facts);
    g_test_add_func("/error/failing_sets_the_error_and_returns_false", failing_sets_the_error_and_returns_false);
    g_test_add_func("/error/full_disks_are_told_apart", full_disks_are_told_apart);
    g_test_add_func("/error/hints_can_be_replaced", hints_can_be_replaced);
    g_test_add_func("/error/issues_are_gathered_and_copied", issues_are_gathered_and_copied);
    g_test_add_func("/error/foreign_errors_are_internal", foreign_errors_are_internal);
    g_test_add_func("/secret/secrets_are_copies_with_a_nul_behind", secrets_are_copies_with_a_nul_behind);
    g_test_add_func("/secret/secrets_compare_by_every_byte", secrets_compare_by_every_byte);
    return g_test_run();
}
