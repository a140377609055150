/* What a long command shows while it works: on a terminal one line that is written again and again, then one line for each
 * thing done, aligned; elsewhere only the latter. All of it on stderr. */
#pragma once

#include "enclii/cli.h"
#include "model/deployment.h"

struct progress {
    struct cli *cli;
    unsigned name_width; /* of the widest service */
    int64_t deadline_us; /* monotonic: when cli->timeout_ms is over */
    bool has_live_line;
};

void progress_init(struct progress *progress, struct cli *cli);

/* What is going on just now; nothing when stderr is no terminal. */
void progress_show(struct progress *progress, const char *service, const char *step, const char *text);

/* One fact with its time: "  web  start  1 of 1 healthy   1.1 s  …". `extra` may be NULL, `duration_ms` < 0: none. */
void progress_done(struct progress *progress, const char *service, const char *step, const char *text,
                   int64_t duration_ms, const char *extra);

/* A line of its own, after the live one is gone. */
void progress_say(struct progress *progress, const char *format, ...) G_GNUC_PRINTF(2, 3);
void progress_clear_line(struct progress *progress);

/* At least 1. */
int64_t progress_left_ms(const struct progress *progress);

/* Waits for the end of a deployment and shows its steps: at once with --no-wait. SY_DEPLOY_FAILED
 * or the deployment's own code when it failed, SY_TIMEOUT after cli->timeout_ms, SY_CANCELLED when
 * interrupted (it goes on then). */
bool wait_for_deployment(struct cli *cli, const char *deployment_id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
