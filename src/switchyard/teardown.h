/* `switchyard teardown`: removes from engine and edge what is provably this installation's, and says what it kept. */
#pragma once

#include "switchyard/config.h"

/* With `volumes`, data goes too. Lines for people on stdout. False when something of ours is left. */
bool teardown(const struct config *config, bool volumes, GError **error) G_GNUC_WARN_UNUSED_RESULT;
