#include "base/clock.h"

#include <glib.h>

/* A wall clock that is set wrongly is followed by at most this share of the time that passes: 1/20. */
#define SLEW 20

static int64_t system_monotonic_us(const struct clock *clock)
{
    return g_get_monotonic_time();
}

static int64_t system_wall_us(const struct clock *clock)
{
    static GMutex lock; /* guards the two below */
    static int64_t offset_us, last_us;
    int64_t real_us = g_get_real_time();
    int64_t now_us = g_get_monotonic_time();
    g_mutex_lock(&lock);
    if (last_us == 0) {
        offset_us = real_us - now_us;
    }
    int64_t most_us = last_us == 0 ? 0 : MAX(now_us - last_us, 0) / SLEW;
    offset_us += CLAMP(real_us - now_us - offset_us, -most_us, most_us);
    last_us = MAX(now_us, last_us);
    int64_t wall_us = now_us + offset_us;
    g_mutex_unlock(&lock);
    return wall_us;
}

const struct clock clock_system = {system_monotonic_us, system_wall_us};
