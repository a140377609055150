/* Waiting for what the server does: builds and deployments, by event streams that resume, with polling where those fail.
 *
 * Each returns when it is over, with the final row; an unhappy end is an error whose code gives the exit status. SY_TIMEOUT
 * after the progress's deadline, SY_CANCELLED after Ctrl-C: the work itself goes on in both cases. */
#pragma once

#include "enclii/progress.h"
#include "model/release.h"

/* Shows the build's last line, or with --verbose all of them. The error of a failed build ends with its last lines. */
struct release *wait_for_build(struct progress *progress, const char *service, const struct release *release,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct deployment *wait_until_deployed(struct progress *progress, const char *service, const char *deployment_id,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The error that a finished deployment amounts to; true when it runs. Pure. */
bool deployment_outcome(const struct deployment *deployment, const char *service, GError **error);

/* The same of a release; `last_lines` (may be NULL or empty) is what the build said last. Pure. */
bool release_outcome(const struct release *release, const char *service, const char *last_lines, GError **error);
