/* What a folder of source is, and how to build it. Reads beneath a folder descriptor, runs nothing, never follows a link out.
 *
 * Order: what the configuration says; a Dockerfile; go.mod; package.json; pyproject.toml, requirements.txt, setup.py;
 * meson.build, CMakeLists.txt, Makefile with C or C++ sources; index.html (also in public/, dist/). A Procfile's `web` line
 * gives the command, split to argv by shell quoting rules but never run by a shell; a line that needs a shell (pipes,
 * redirections, variables other than $PORT) is refused with what to write in `command`. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/build_config.h"

struct detection {
    const char *builder; /* "dockerfile", "go", "node", "python", "c", "static", "image" */
    char *label;         /* for people: "Node 18", "C, by make" */
    char *reason;        /* "package.json has a start script" */
    char *how_to_change; /* "set build.dockerfile or build: {type: …} in enclii.yaml" */
    char *dockerfile;    /* generated text; NULL: the folder's own, see dockerfile_path */
    char *dockerfile_path;
    char *base;     /* language whose base images the text names: "go", "node", "python", "c", "static", or NULL */
    char **command; /* what runs, argv; NULL: the image's own */
    int64_t port;   /* what it would listen on when known, else 0 */
};
void detection_free(struct detection *detection);
typedef struct detection detection_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(detection_t, detection_free)

/* SY_INVALID_INPUT when nothing fits: lists what was looked for and the two ways out (Dockerfile, build.type). */
bool detect(int folder_fd, const struct build_config *config, struct detection **ret_detection,
            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Refuses `# syntax=` frontends other than docker/dockerfile:1* unless allowed. */
bool dockerfile_check(const char *text, size_t length, bool allow_frontends, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Images named by FROM (not stages, not scratch), NULL-ended. */
char **dockerfile_bases(const char *text, size_t length);
bool procfile_parse(const char *text, size_t length, const char *process, char ***ret_argv,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
