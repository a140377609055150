/* From enclii.yaml and a folder to running services: what `up` and `deploy` share, environment apart.
 *
 * Spec → environment → pack and send → build → deploy → wait. Each step asks the server what is there already, so that going
 * through it again without a change sends, builds and deploys nothing. */
#pragma once

#include "enclii/cli.h"
#include "enclii/git.h"
#include "enclii/pack.h"
#include "enclii/progress.h"
#include "enclii/spec_file.h"
#include "model/deployment.h"
#include "model/release.h"
#include "model/service.h"

/* One service on its way. */
struct rollout_member {
    const char *name; /* of the spec */
    const struct service_spec *spec;
    struct service *service;       /* as the server has it, after the spec was applied */
    const char *source;            /* digest, owned by a struct rollout_source; NULL: an image */
    struct release *release;       /* what is to run */
    struct deployment *deployment; /* what runs in the end */
    bool is_spec_changed;          /* the spec has just changed it */
    bool is_unchanged;             /* nothing had to be deployed */
    bool is_waited_for;            /* its deployment was begun, by us or before */
};

/* One packed folder; services with the same build context share it. */
struct rollout_source {
    char *context;
    struct pack pack;
};

struct rollout {
    struct cli *cli;
    struct client *client;
    struct progress progress;
    struct spec_file *file;
    char *environment;
    struct git_state git;
    bool has_git;
    bool is_dirty;      /* the work tree differs from its commit */
    GPtrArray *members; /* struct rollout_member * */
    GPtrArray *sources; /* struct rollout_source * */
    json_t *changes;    /* what applying the spec changed, in words */
    int64_t start_us;
    bool has_deployed; /* something was begun that goes on without us */
};

/* Everything, up to the printed result. `environment` NULL: the branch's. Operands name services; none: all. */
bool rollout_run(struct cli *cli, const char *environment, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The first failure of several services is the result, the others are said. False when there is no point in going on: Ctrl-C, or
 * the time is over. Takes `failure`. */
bool rollout_keep_first(struct rollout *rollout, GError **first, GError *failure);

/* Says that this service is stopped before it is started, if it is. */
void rollout_tell_one_writer(struct rollout *rollout, const struct rollout_member *member);

/* --- the steps, one file each ----------------------------------------------------------------------------------------------- */

/* rollout_source.c: packs every distinct build context and sends what the server lacks. */
bool rollout_send_sources(struct rollout *rollout, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void rollout_source_free(void *source);

/* rollout_build.c: a release for every member. */
bool rollout_build(struct rollout *rollout, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* rollout_deploy.c: makes the releases run, those that do not yet. */
bool rollout_deploy(struct rollout *rollout, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* rollout_result.c: the last line, and the result on stdout. */
bool rollout_tell(struct rollout *rollout, GError **error) G_GNUC_WARN_UNUSED_RESULT;
