/* How an end becomes an error: its code is the exit status. */
#include <string.h>

#include "base/error.h"
#include "enclii/wait.h"

static struct deployment *deployment_of(enum deployment_status status, const char *code, const char *message)
{
    struct deployment *deployment = contract_new(&deployment_type);
    deployment->status = (int)status;
    deployment->version = g_strdup("v4");
    deployment->environment = g_strdup("preview");
    deployment->error_code = g_strdup(code);
    deployment->error_message = g_strdup(message);
    return deployment;
}

static void running_deployment_is_no_error(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(deployment_t) deployment = deployment_of(DEPLOYMENT_RUNNING, NULL, NULL);
    g_assert_true(deployment_outcome(deployment, "web", &error));
    g_assert_no_error(error);
}

static void failed_deployment_is_exit_30_whatever_its_code(void)
{
    static const char *const codes[] = {"HEALTH_FAILED", "DEPLOY_FAILED", "ENGINE_FAILED", "NO_SUCH_CODE", NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(deployment_t) deployment =
            deployment_of(DEPLOYMENT_FAILED, codes[i], "GET /healthz gave 500\nlast words");
        deployment->hint = g_strdup("look there");
        g_assert_false(deployment_outcome(deployment, "web", &error));
        g_assert_cmpint(sy_code_info(sy_error_code(error))->exit_code, ==, 30);
        g_assert_nonnull(strstr(error->message, "web in preview failed: GET /healthz gave 500\nlast words"));
        g_assert_cmpstr(sy_error_hint(error), ==, "look there");
    }
}

static void every_other_end_of_a_deployment_is_an_error(void)
{
    static const enum deployment_status statuses[] = {DEPLOYMENT_SUPERSEDED, DEPLOYMENT_CANCELLED, DEPLOYMENT_PENDING,
                                                      DEPLOYMENT_DEPLOYING};
    for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(deployment_t) deployment = deployment_of(statuses[i], NULL, NULL);
        g_assert_false(deployment_outcome(deployment, "web", &error));
        g_assert_cmpint(sy_code_info(sy_error_code(error))->exit_code, ==, 1);
    }
}

static struct release *release_of(enum release_status status, const char *code, const char *message)
{
    struct release *release = contract_new(&release_type);
    release->status = (int)status;
    release->version = g_strdup("v2");
    release->error_code = g_strdup(code);
    release->error_message = g_strdup(message);
    return release;
}

static void failed_build_is_exit_20_whatever_its_code(void)
{
    static const char *const codes[] = {"BUILD_FAILED", "BUILD_OUT_OF_MEMORY", "NOT_DETECTED", "ENGINE_UNAVAILABLE",
                                        NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(release_t) release = release_of(RELEASE_FAILED, codes[i], "it broke");
        g_assert_false(release_outcome(release, "web", "one\ntwo", &error));
        g_assert_cmpint(sy_code_info(sy_error_code(error))->exit_code, ==, 20);
        g_assert_nonnull(strstr(error->message, "it broke\nIts last lines:\none\ntwo"));
    }
}

static void last_lines_are_said_once(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(release_t) release = release_of(RELEASE_FAILED, "BUILD_FAILED", "it broke:\ntwo");
    g_assert_false(release_outcome(release, "web", "one\ntwo", &error));
    g_assert_null(strstr(error->message, "one"));
    g_autoptr(GError) repeated = NULL;
    g_autoptr(release_t) other = release_of(RELEASE_FAILED, "BUILD_FAILED", "it broke");
    other->hint = g_strdup("mend it");
    g_assert_false(release_outcome(other, "web", "failed: it broke\nhint: mend it", &repeated));
    g_assert_cmpstr(repeated->message, ==, "the build of web (v2) failed: it broke");
}

static void hint_of_the_server_is_passed_on(void)
{
    static const struct {
        const char *code, *hint, *expected;
    } cases[] = {
        {"BUILD_FAILED", "Is the URL right?", "Is the URL right?"},
        {"PROCESS_FAILED", "Is the URL right?", "Is the URL right?"},
        {"BUILD_FAILED", "Read the build's log: enclii logs --build", "enclii logs --build web"},
        {"BUILD_FAILED", NULL, "enclii logs --build web"},
        {"BUILD_TIMEOUT", NULL, "build_timeout"}, /* of a server that tells none: the code's own */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(release_t) release = release_of(RELEASE_FAILED, cases[i].code, "it broke");
        release->hint = g_strdup(cases[i].hint);
        g_assert_false(release_outcome(release, "web", NULL, &error));
        g_assert_nonnull(strstr(sy_error_hint(error), cases[i].expected));
    }
}

static void ready_release_is_no_error_and_a_cancelled_one_is(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(release_t) ready = release_of(RELEASE_READY, NULL, NULL);
    g_autoptr(release_t) cancelled = release_of(RELEASE_CANCELLED, NULL, "superseded by v3");
    g_assert_true(release_outcome(ready, "web", NULL, &error));
    g_assert_no_error(error);
    g_assert_false(release_outcome(cancelled, "web", NULL, &error));
    g_assert_error(error, SY_ERROR, SY_CANCELLED);
    g_assert_nonnull(strstr(error->message, "superseded by v3"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/outcome/running_deployment_is_no_error", running_deployment_is_no_error);
    g_test_add_func("/outcome/failed_deployment_is_exit_30_whatever_its_code",
                    failed_deployment_is_exit_30_whatever_its_code);
    g_test_add_func("/outcome/every_other_end_of_a_deployment_is_an_error",
                    every_other_end_of_a_deployment_is_an_error);
    g_test_add_func("/outcome/failed_build_is_exit_20_whatever_its_code", failed_build_is_exit_20_whatever_its_code);
    g_test_add_func("/outcome/last_lines_are_said_once", last_lines_are_said_once);
    g_test_add_func("/outcome/hint_of_the_server_is_passed_on", hint_of_the_server_is_passed_on);
    g_test_add_func("/outcome/ready_release_is_no_error_and_a_cancelled_one_is",
                    ready_release_is_no_error_and_a_cancelled_one_is);
    return g_test_run();
}
