/* One story: a fresh database, some services, a script of what their owners do, misfortune for a while, then peace; and what
 * must hold at every step and at the end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct story {
    unsigned seed;
    int n_processes;      /* 1 or 2 on one store */
    double misfortune;    /* probability per call; 0: the clean run */
    int64_t crash_effect; /* the first process dies before this effect; 0: at times of the seed's choosing */
};

struct story_result {
    uint64_t trace;
    char *violation; /* NULL: all held */
    char *words;     /* the last events */
    int64_t simulated_us, n_steps, n_faults, n_crashes, n_effects;
};
bool story_run(const struct story *story, const char *template_database, const char *database,
               struct story_result *ret_result);
