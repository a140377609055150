/* Builds the whole program from its configuration, in the order of who needs whom, and takes it apart again. */
#pragma once

#include "switchyard/app.h"

/* Takes `config`. Fails with everything undone that had been done. The server is listening when it returns. */
struct app *app_start(struct config *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Stops taking requests, lets running ones and running actions end, closes all. HAProxy and the containers go on. */
void app_stop(struct app *app);

/* DATA_DIR/endpoints.json: where the API, the socket and the edge are. */
bool app_write_endpoints(const struct app *app, GError **error) G_GNUC_WARN_UNUSED_RESULT;
