/* What base_image.c (which way, one at a time) and base_assemble.c (the making) share. */
#pragma once

#include "build/base_recipe.h"
#include "build/docker_client.h"
#include "build/pipeline.h"
#include "build/workspace.h"

/* One base image being made sure of. */
struct base {
    const struct build_options *options;
    const char *reference; /* normal name */
    bool is_fresh;
    process_line_fn on_line;
    void *arg;
    const int *cancelled;
};

/* A line of progress. */
void base_say(const struct base *base, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* A folder and a docker client for the making. */
struct workshop {
    struct workspace *workspace;
    struct docker_client client;
};
bool workshop_open(struct workshop *shop, const struct build_options *options,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
void workshop_clear(struct workshop *shop);
typedef struct workshop workshop_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(workshop_t, workshop_clear)

/* What a program's end means; `words` are its last ones. */
bool base_judge(const struct base *base, const struct process_result *result, const char *what, const char *words,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Debian 12 by mmdebstrap, under the name BASE_DEBIAN. */
bool base_assemble_debian(const struct base *base, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* By BuildKit, from BASE_DEBIAN, which must be there. */
bool base_assemble_recipe(const struct base *base, const struct base_recipe *recipe,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
