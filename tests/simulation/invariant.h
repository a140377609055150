/* What must hold at every step, and at the end; a breach is told to world_violation. */
#pragma once

#include <glib.h>

#include "user.h"

struct watch {
    struct town *town;
    GHashTable *ended;    /* deployment id → its final status */
    GHashTable *served;   /* set of pair ids: at the last look something was to serve */
    GHashTable *retiring; /* set of pair ids: since then nothing is to, and not all of it is gone */
};
void watch_step(struct watch *watch);
void watch_end(struct watch *watch);
