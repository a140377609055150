/* One build in a test: a source, what the builder is given, what came of it. */
#pragma once

#include <glib.h>

#include "build/pipeline.h"

#define MIB (INT64_C(1) << 20)

extern struct engine *engine;
extern char *installation;     /* a name of this run's own */
extern const char *trial_step; /* path of the step program */

/* False, with the whole plan skipped, when ENCLII_TEST_ENGINE names no engine. step_program may be NULL. */
bool trials_begin(const char *step_program);
void trials_end(void);

/* One build, with what it said. */
struct trial {
    char *folder; /* holds the archive and the work folder */
    char *work;
    char *archive;
    char *repository;
    struct build_config *config;
    struct build_options options;
    struct build_job job;
    struct build_result result;
    GString *log;
    GError *error;
    int cancelled;
    const char *cancel_at; /* when a line holds this */
};

void trial_begin(struct trial *trial);
/* Asserts that the work folder is empty, removes the image. */
void trial_end(struct trial *trial);

/* A tar with the step program, a Dockerfile and, when named, a file or link more. */
void trial_write_source(const struct trial *trial, const char *dockerfile, const char *more, mode_t mode,
                        const char *text);
/* A tar of a folder. */
void trial_pack(const struct trial *trial, const char *folder);

bool trial_run(struct trial *trial);
void trial_run_well(struct trial *trial);
bool trial_has_image(const struct trial *trial);
