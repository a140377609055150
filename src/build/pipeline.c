#include "build/pipeline.h"

#include <string.h>

#include "base/error.h"
#include "base/quantity.h"
#include "build/steps/steps.h"

typedef bool (*step_fn)(struct build *build, GError **error);

void build_result_clear(struct build_result *result)
{
    g_free(result->image_uri);
    g_free(result->image_digest);
    g_free(result->builder);
    g_free(result->builder_reason);
    g_strfreev(result->default_command);
    g_free(result->git_sha);
    g_free(result->warning);
    *result = (struct build_result){0};
}

void build_say(const struct build *build, const char *format, ...)
{
    va_list arguments;
    if (build->job->on_line == NULL) {
        return;
    }
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    build->job->on_line(text, strlen(text), build->job->on_line_arg);
}

int64_t build_left_ms(const struct build *build)
{
    return MAX((build->deadline_us - g_get_monotonic_time()) / 1000, 1);
}

static bool is_cancelled(const struct build *build)
{
    return build->job->cancelled != NULL && g_atomic_int_get(build->job->cancelled) != 0;
}

static bool fail_timeout(const struct build *build, GError **error)
{
    char limit[QUANTITY_LENGTH];
    duration_format(build->options->timeout_ms, limit);
    return sy_fail(error, SY_BUILD_TIMEOUT, "the build took longer than %s (build_timeout)", limit);
}

bool build_may_go_on(const struct build *build, GError **error)
{
    if (is_cancelled(build)) {
        return sy_fail(error, SY_CANCELLED, "the build was cancelled");
    }
    return g_get_monotonic_time() < build->deadline_us || fail_timeout(build, error);
}

static bool run_steps(struct build *build, const step_fn *steps, GError **error)
{
    for (; *steps != NULL; steps++) {
        if (!build_may_go_on(build, error) || !(*steps)(build, error)) {
            return false;
        }
    }
    return true;
}

/* Steps end early in many words when they are told to end; here they become the one that callers look for. */
static bool settle(const struct build *build, GError *failure, GError **error)
{
    enum sy_code code = sy_error_code(failure);
    bool is_ended = code == SY_TIMEOUT || code == SY_PROCESS_FAILED || code == SY_UNAVAILABLE;
    if (code != SY_CANCELLED && is_cancelled(build)) {
        g_error_free(failure);
        return sy_fail(error, SY_CANCELLED, "the build was cancelled");
    }
    if (is_ended && g_get_monotonic_time() >= build->deadline_us) {
        g_error_free(failure);
        return fail_timeout(build, error);
    }
    g_propagate_error(error, failure);
    return false;
}

static void build_clear(struct build *build)
{
    fd_close(&build->context_fd);
    workspace_close(build->workspace);
    docker_client_clear(&build->client);
    detection_free(build->detection);
    g_free(build->source);
    g_free(build->context);
    g_free(build->dockerfile);
    g_strfreev(build->bases);
    g_free(build->image_id);
    build_result_clear(&build->result);
}

bool build_run(const struct build_options *options, const struct build_job *job, struct build_result *ret_result,
               GError **error)
{
    static const step_fn from_source[] = {step_prepare,  step_source,  step_detect, step_bases,
                                          step_buildkit, step_inspect, NULL};
    static const step_fn from_image[] = {step_image, NULL};
    struct build build = {.options = options, .job = job, .context_fd = -1};
    int64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : INT64_C(86400000);
    GError *failure = NULL;
    build.deadline_us = g_get_monotonic_time() + timeout_ms * 1000;
    bool ok = run_steps(&build, job->config->type == BUILD_IMAGE ? from_image : from_source, &failure);
    if (ok) {
        *ret_result = build.result;
        build.result = (struct build_result){0};
    } else {
        settle(&build, failure, error);
    }
    build_clear(&build);
    return ok;
}
