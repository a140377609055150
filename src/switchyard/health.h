/* How the parts are doing, asked in the background and answered from memory.
 *
 * Each part has a thread of its own that asks it every 0.4 seconds, so that one which hangs delays no other. A part whose question
 * has been open for more than a second, or whose last answer was an error, is degraded. Thread-safe; reading never
 * blocks on anything but a short lock. */
#pragma once

#include "switchyard/app.h"

struct health;
struct health *health_new(struct app *app);
void health_free(struct health *health);

enum health_level { HEALTH_OK, HEALTH_DEGRADED, HEALTH_DOWN };

/* The whole answer of GET /health as JSON. */
enum health_level health_report(struct health *health, GString *out);

/* True when requests can be served: the database answers. */
bool health_is_ready(struct health *health);
