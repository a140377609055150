/* What the server asks of us: who calls, may they, and was this request answered before? */
#pragma once

#include "http/server.h"
#include "switchyard/app.h"

void access_callbacks(struct app *app, struct server_callbacks *ret_callbacks);
