/* What BuildKit prints with --progress=plain, turned into lines for people; and what a message about a failure needs.
 *
 * BuildKit mixes the output of steps that run at once, each line behind "#5 1.234 ". Here a step's name is told whenever the
 * step that speaks changes; bookkeeping (digests, transfers, the engine's own steps) is left out; escape sequences are
 * removed. Memory is bounded: the last lines of at most 1,000 steps. Threads: belongs to one. */
#pragma once

#include "base/process.h"

struct build_log;

struct build_log *build_log_new(process_line_fn on_line, void *arg);
void build_log_free(struct build_log *log);
typedef struct build_log build_log_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(build_log_t, build_log_free)

/* A process_line_fn; `log` is a struct build_log. */
void build_log_take(const char *line, size_t length, void *log);

/* Why a build failed, as far as its output tells. */
struct build_verdict {
    char *step;    /* "RUN make", or NULL when no step failed */
    char *reason;  /* "exit code: 2"; never NULL */
    char *lines;   /* the last lines of the step, each behind two blanks; "" when it said nothing */
    int exit_code; /* of the step; -1 unknown */
    bool tells_out_of_memory, tells_disk_full, tells_engine_gone;
};
void build_log_verdict(const struct build_log *log, struct build_verdict *ret_verdict);
void build_verdict_clear(struct build_verdict *verdict);
typedef struct build_verdict build_verdict_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(build_verdict_t, build_verdict_clear)

/* True when a line is what programs print that were killed for lack of memory or got none. */
bool tells_out_of_memory(const char *line);
