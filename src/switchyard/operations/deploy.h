/* Everything that changes what is desired: deploy, roll back, scale, restart, cancel. Each runs inside one store transaction and
 * makes a new immutable deployment; the caller wakes the controller after the commit. */
#pragma once

#include "switchyard/app.h"

struct deploy_order {
    struct scope scope;
    const char *service_id;
    const char *environment_name; /* must exist */
    const char *release;          /* id, version or "latest" */
    int64_t replicas;             /* CONTRACT_ABSENT: the settings' */
    const char *reason;           /* may be NULL */
    const char *actor;
    enum deployment_kind kind;
    int64_t now_us;
};

/* Refuses: a release that is not ready or whose image is gone (SY_CONFLICT), a secret without value (SY_SECRET_MISSING), a
 * deploy that would leave no way back (SY_NO_WAY_BACK). */
bool operation_deploy(struct tx *tx, const struct app *app, const struct deploy_order *order, struct deployment **ret,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A new deployment with the whole value of an old one. `to` (deployment) and `to_release` may be NULL: the last healthy one
 * before `from`. Its configuration becomes the newest. */
bool operation_rollback(struct tx *tx, const struct app *app, const struct scope *scope, const char *from_id,
                        const char *to, const char *to_release, const char *reason, const char *actor, int64_t now_us,
                        struct deployment **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The desired deployment again with other replicas (kind scale), with the newest settings and variables (config), or with all
 * instances replaced (restart). SY_CONFLICT when nothing is deployed there. */
bool operation_repeat(struct tx *tx, const struct app *app, const struct deploy_order *order, struct deployment **ret,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool operation_cancel(struct tx *tx, const struct app *app, struct deployment *deployment, const char *actor,
                      int64_t now_us, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* http://host[:port] as a user can open it. */
char *app_url(const struct app *app, const char *host);
