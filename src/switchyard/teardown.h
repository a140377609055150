/* `switchyard teardown`: removes from engine and edge what is provably this installation's, and says what it kept. */
#pragma once

#include "switchyard/config.h"

enum teardown_flag {
    TEARDOWN_VOLUMES = 1 << 0, /* data goes too */
    TEARDOWN_DRY_RUN = 1 << 1, /* only says what would go; also while switchyard runs */
};

/* Lines for people on stdout. False when something of ours is left. */
bool teardown(const struct config *config, unsigned flags, GError **error) G_GNUC_WARN_UNUSED_RESULT;
