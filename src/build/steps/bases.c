#include <string.h>

#include "base/error.h"
#include "build/steps/steps.h"

/* "$BASE" cannot be known before the build: BuildKit finds it, or says that it could not. */
static bool is_known(const char *reference)
{
    return strchr(reference, '$') == NULL && strcmp(reference, "scratch") != 0;
}

bool step_bases(struct build *build, GError **error)
{
    const struct build_job *job = build->job;
    int64_t start_us = g_get_monotonic_time();
    for (char **base = build->bases; base != NULL && *base != NULL; base++) {
        if (is_known(*base) && !base_image_ensure(build->options, *base, job->is_fresh, job->on_line, job->on_line_arg,
                                                  job->cancelled, error)) {
            return false;
        }
    }
    build->deadline_us += g_get_monotonic_time() - start_us;
    return true;
}
