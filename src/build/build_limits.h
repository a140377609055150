/* The limits of all build steps together, as cgroups.
 *
 * The engine's BuildKit runs every step in a cgroup of its own. Where the engine uses the driver cgroupfs these are children of
 * `docker/buildkit`, whose limits therefore hold for all builds together. Where it uses systemd they are named
 * `system.slice:docker:ID` and have no parent of their own (BuildKit calls runc without --systemd-cgroup): each gets the limits
 * by itself, as soon as it appears (struct step_limiter). Threads: no state; a step_limiter belongs to one thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

enum limits_kind {
    LIMITS_NONE,  /* no controllers in reach */
    LIMITS_V1,    /* one parent per controller */
    LIMITS_V2,    /* one parent */
    LIMITS_STEPS, /* v2 under systemd: step by step */
};

struct limits_place {
    enum limits_kind kind;
    char *memory; /* folder of the parent: of the memory controller; LIMITS_STEPS: unused */
    char *cpu;
};
void limits_place_clear(struct limits_place *place);
typedef struct limits_place limits_place_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(limits_place_t, limits_place_clear)

/* Looks at what is mounted at `root`; never fails. */
void limits_find(const char *root, bool has_systemd, struct limits_place *ret_place);

/* Makes the parent when it is missing and sets both limits (0: none). False with a reason, newly allocated. */
bool limits_apply(const char *root, const struct limits_place *place, int64_t memory_bytes, int64_t cpu_millis,
                  char **ret_reason);

/* How often the limit was hit and somebody was killed for it, since the cgroup was made. -1: unknown. */
struct limits_pressure {
    int64_t hits;
    int64_t kills;
};
void limits_pressure(const struct limits_place *place, struct limits_pressure *ret_pressure);

/* True when it is a file of a cgroup that takes this value. */
bool cgroup_write(const char *folder, const char *file, const char *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool cgroup_limit_v2(const char *folder, int64_t memory_bytes, int64_t cpu_millis,
                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Watches `folders` (NULL-ended; those that exist) and limits every step's cgroup that appears there, until it is stopped. */
struct step_limiter;
struct step_limiter *step_limiter_start(const char *const *folders, int64_t memory_bytes, int64_t cpu_millis);
/* Returns how many steps it has limited. */
int step_limiter_stop(struct step_limiter *limiter);
