/* GET /metrics: Prometheus text exposition format 0.0.4. */
#pragma once

#include "switchyard/app.h"

GString *metrics_write(struct app *app);
