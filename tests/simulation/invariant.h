/* What must hold at every step, and at the end; a breach is told to world_violation. */
#pragma once

#include <glib.h>

#include "user.h"

struct watch {
    struct town *town;
    GHashTable *ended; /* deployment id → its final status */
};
void watch_step(struct watch *watch);
void watch_end(struct watch *watch);
