/* What a folder of source is, and how to build it. Reads beneath a folder descriptor, runs nothing, never follows a link out.
 *
 * Order: what the configuration says; a Dockerfile; go.mod; package.json; pyproject.toml, requirements.txt, setup.py;
 * meson.build, CMakeLists.txt, Makefile with C or C++ sources; index.html (also in public/, dist/). A Procfile's `web` line
 * gives the command, split to argv by shell quoting rules but never run by a shell: a program that needs $PORT as an argument
 * is started through env -S, which puts it in; a line that needs a shell (pipes, redirections, variables other than $PORT) is
 * refused with what to write instead. Both files below speak to the language builders only, not to a Dockerfile.
 *
 * apt.txt (or Aptfile): Debian packages, one name per line, for the build and for running; names that end in -dev for the
 * build only.
 *
 * Generated Dockerfiles name these images, which somebody must provide: debian:bookworm-slim, and enclii/base-<language>:bookworm
 * for go (Go, git, CA certificates), node (node, npm, npx), python (python3 with venv and pip), c (build-essential, meson, ninja,
 * cmake, pkg-config), static (caddy, somewhere in PATH). Downloads may be given CA certificates as the secret `ca`. What runs
 * is UID 65532 on a root that may be read-only, with /tmp to write to, and listens on $PORT. */
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
    const char *base; /* language whose base images the text names: "go", "node", "python", "c", "static", or NULL */
    char **command;   /* what runs, argv; NULL: the image's own */
    int64_t port;     /* what it would listen on when known, else 0 */
};
void detection_free(struct detection *detection);
typedef struct detection detection_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(detection_t, detection_free)

/* A folder beneath another, as build.context names it; links are followed only inside. -1 on failure. */
int detect_open_folder(int root_fd, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `folder_fd` is the build context itself. SY_NOT_DETECTED when nothing fits: lists what was looked for and the two ways out
 * (Dockerfile, build.type). SY_INVALID_INPUT: a file that says how to build is broken. */
bool detect(int folder_fd, const struct build_config *config, struct detection **ret_detection,
            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Refuses `# syntax=` frontends other than docker/dockerfile:1* unless allowed. */
bool dockerfile_check(const char *text, size_t length, bool allow_frontends, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Images named by FROM (not stages, not scratch), NULL-ended; ARG defaults are put in, what stays unknown is left out. */
char **dockerfile_bases(const char *text, size_t length);
/* The argv of one line; $PORT and ${PORT} stand as "${PORT}". SY_NOT_FOUND when there is no such process. */
bool procfile_parse(const char *text, size_t length, const char *process, char ***ret_argv,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
