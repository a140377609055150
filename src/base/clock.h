/* Where time comes from, as a value that is handed in: what acts on time can be run against a clock of a test's own.
 * Durations by the monotonic clock, records by the wall clock (microseconds since the epoch). Immutable; shared by threads.
 *
 * The system's wall clock here never jumps while the process lives: when the machine's is set, it follows by at most a twentieth
 * of the time that passes, so that the difference of two records stays a duration. */
#pragma once

#include <stdint.h>

struct clock {
    int64_t (*monotonic_us)(const struct clock *clock);
    int64_t (*wall_us)(const struct clock *clock);
};
extern const struct clock clock_system;

static inline int64_t clock_monotonic_us(const struct clock *clock)
{
    return clock->monotonic_us(clock);
}

static inline int64_t clock_wall_us(const struct clock *clock)
{
    return clock->wall_us(clock);
}
