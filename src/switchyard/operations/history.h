/* The history of what happened: one row in `events` for each fact, with its reason, inside the transaction that makes it true. */
#pragma once

#include "switchyard/app.h"

struct history {
    const char *type; /* component.verb_noun */
    const char *project_id, *service_id, *environment_id, *deployment_id, *release_id;
    const char *message;
    const char *data; /* JSON, or NULL */
    const char *actor;
};
bool history_append(struct tx *tx, const struct app *app, const struct history *what, int64_t now_us,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same with everything about a deployment or a release filled in. */
bool history_of_deployment(struct tx *tx, const struct app *app, const struct deployment *deployment, const char *type,
                           const char *message, const char *actor, int64_t now_us,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool history_of_release(struct tx *tx, const struct app *app, const struct release *release, const char *type,
                        const char *message, const char *actor, int64_t now_us,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
