/* One build, from source to image in the engine: unpack or fetch → detect → base images → BuildKit → inspect.
 *
 * Blocking; call from a worker of its own. Only one argv reaches a program, never a shell. All build steps together run
 * under limits of memory and CPU set on the cgroup that the engine's BuildKit uses (v1 and v2), when that is reachable (under
 * systemd's cgroup driver each step gets them by itself); else *ret says so in `warning`. Errors: SY_BUILD_FAILED (the last lines in the message), SY_BUILD_OUT_OF_MEMORY (names the
 * limit), SY_BUILD_TIMEOUT, SY_CANCELLED, SY_DISK_FULL (figures), SY_ENGINE_UNAVAILABLE, SY_INVALID_INPUT. Whatever happens,
 * the work folder is gone when it returns. Threads: several builds at once are fine. */
#pragma once

#include "base/process.h"
#include "build/source.h"
#include "engine/engine.h"
#include "model/build_config.h"

#define BUILD_LABEL_RELEASE "dev.enclii.release" /* id, on images beside the installation's */

/* Names of environment variables that tell of proxies and of mirrors of package registries; NULL-ended. */
extern const char *const build_forward_names[];

struct build_options {
    struct engine *engine;
    const char *engine_endpoint; /* unix:PATH, for the client */
    const char *docker;          /* client program; it must speak BuildKit (looked for: /usr/bin/docker first) */
    const char *work_folder;     /* private, 0700; one sub-folder per build */
    const char *assembly_folder; /* likewise, for base images: programs are run in there; NULL: work_folder */
    const char *ca_bundle;       /* PEM file that git trusts, given to builds as a secret; NULL: none */
    const char *base_images;     /* "pull", "assemble" or "auto" (pull when a registry answers within 5 s) */
    const char *installation;
    /* "K=V", NULL-ended; NULL: none. Build arguments of every build: those of build_forward_names that this host has. */
    const char *const *forward;
    int64_t memory_bytes, cpu_millis, timeout_ms;
    int64_t disk_reserve_bytes; /* refuse to begin with less free on the engine's or the work folder's file system */
    unsigned git_flags;
    bool allow_frontends;
};

struct build_job {
    const char *release_id;
    const char *service; /* for the image's name */
    const char *project;
    const char *repository; /* enclii/<tail of the installation id>/<project>/<service>; the tag is the version */
    const char *tag;
    const char *archive; /* path of the tar; NULL: git */
    const char *git_repo;
    const char *git_ref;
    const struct build_config *config;
    bool is_fresh; /* nothing that was made or pulled before is used, as far as it can be had anew */
    const int *cancelled;
    process_line_fn on_line; /* the build's log, lines for people; not yet redacted */
    void *on_line_arg;
};

struct build_result {
    char *image_uri;    /* repository:tag */
    char *image_digest; /* sha256:… of the engine's image */
    char *builder, *builder_reason;
    char **default_command;
    int64_t default_port;
    int64_t size_bytes;
    char *git_sha;
    char *warning;
};
void build_result_clear(struct build_result *result);

bool build_run(const struct build_options *options, const struct build_job *job, struct build_result *ret_result,
               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* SHA-256 over everything that decides the outcome: source digest or commit, configuration, builder version. Hex. */
char *build_fingerprint(const char *source_digest, const char *git_repo, const char *git_sha,
                        const struct build_config *config);

/* Makes sure the engine has a base image: pulls it, or assembles it: `debian:bookworm-slim` (also `debian:12` and the like)
 * from Debian packages with mmdebstrap, `enclii/base-<language>:bookworm` from that; all others can only be pulled. Slow at
 * the first time (25–90 s); progress to on_line. One at a time per image in the process. `is_fresh`: one that is there is
 * pulled again when a registry answers, assembled again when it is older than an hour, and used as it is when neither works.
 * SY_BUILD_FAILED names the image, the hint the ways out. */
bool base_image_ensure(const struct build_options *options, const char *reference, bool is_fresh,
                       process_line_fn on_line, void *arg, const int *cancelled,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Sets the limits on BuildKit's cgroup now; false with a reason when that is not possible here (not an error). */
bool build_limits_apply(int64_t memory_bytes, int64_t cpu_millis, char **ret_reason);
