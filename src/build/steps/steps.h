/* The steps of one build, in order; each takes what those before it have left in struct build.
 *
 * A step that fails sets the error and leaves everything to be freed by the one who runs them (pipeline.c). */
#pragma once

#include "base/file.h"
#include "build/build_limits.h"
#include "build/build_log.h"
#include "build/detect.h"
#include "build/docker_client.h"
#include "build/pipeline.h"
#include "build/workspace.h"

struct build {
    const struct build_options *options;
    const struct build_job *job;
    int64_t deadline_us; /* monotonic; base images have time of their own */
    struct workspace *workspace;
    struct docker_client client;
    char *source;  /* folder of the tree */
    char *context; /* folder inside it that is built */
    fd_t context_fd;
    struct detection *detection;
    char *dockerfile; /* path */
    char **bases;     /* images that it names */
    char *image_id;
    struct build_result result;
};

/* A line of our own in the build's log. */
void build_say(const struct build *build, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* SY_CANCELLED, SY_BUILD_TIMEOUT, or true. */
bool build_may_go_on(const struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;
int64_t build_left_ms(const struct build *build);

bool step_prepare(struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;  /* disk, workspace, client */
bool step_source(struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;   /* unpack or fetch; context */
bool step_detect(struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;   /* what it is; the Dockerfile */
bool step_bases(struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;    /* images it is built from */
bool step_buildkit(struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* limits, the build */
bool step_inspect(struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;  /* fills the result */
bool step_image(struct build *build, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* BUILD_IMAGE, instead of all that */
