/* A door between threads: one side waits until the other opens it, at most 20 s. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct gate {
    GMutex lock;
    GCond opened;
    bool is_open;
};

static inline void gate_open(struct gate *gate)
{
    g_mutex_lock(&gate->lock);
    gate->is_open = true;
    g_cond_broadcast(&gate->opened);
    g_mutex_unlock(&gate->lock);
}

static inline void gate_wait(struct gate *gate)
{
    int64_t end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    g_mutex_lock(&gate->lock);
    while (!gate->is_open) {
        if (!g_cond_wait_until(&gate->opened, &gate->lock, end_us)) {
            g_error("the gate was not opened in time");
        }
    }
    g_mutex_unlock(&gate->lock);
}

/* Waits until a condition holds, at most 20 s. */
#define WAIT_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        int64_t wait_end_us_ = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;                                           \
        while (!(condition)) {                                                                                         \
            g_assert_cmpint(g_get_monotonic_time(), <, wait_end_us_);                                                  \
            g_usleep(2000);                                                                                            \
        }                                                                                                              \
    } while (0)
