/* What the server asks of us: who calls, may they, and was this request answered before? */
#pragma once

#include "http/server.h"
#include "switchyard/app.h"

/* Stores the reply that is set under the request's Idempotency-Key, if it has one, in the transaction that makes the change which
 * the reply tells of. SY_CONFLICT when another process has served the key meanwhile; the change must be rolled back then. */
bool access_keep_reply(struct request *request, struct tx *tx, GError **error) G_GNUC_WARN_UNUSED_RESULT;

void access_callbacks(struct app *app, struct server_callbacks *ret_callbacks);
