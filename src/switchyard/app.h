/* What the daemon's parts share: made by wiring.c, alive for the whole process. Everything here is either immutable after the
 * start or thread-safe by itself. */
#pragma once

#include "auth/authenticator.h"
#include "base/clock.h"
#include "edge/edge.h"
#include "engine/engine.h"
#include "http/server.h"
#include "logs/log_store.h"
#include "secrets/box.h"
#include "store/resources.h"
#include "switchyard/confinement.h"

struct app {
    struct config *config;
    struct confinement confinement;
    const struct clock *clock; /* of everything that decides by time */
    char *installation_id;
    char *organization_id; /* of `default` */
    char *holder;          /* of leases: the data folder's own id, so that whoever runs on it next goes on at once */
    struct store *store;
    struct box *box;
    struct authenticator *authenticator;
    struct engine *engine;
    struct edge *edge; /* NULL without the role reconcile */
    struct log_store *logs;
    struct log_collector *collector; /* NULL without the role reconcile */
    struct hub *hub;
    struct controller *controller; /* NULL without the role reconcile */
    struct builder *builder;       /* NULL without the role build */
    struct health *health;
    struct housekeeper *housekeeper;
    struct server *server;
    struct server_options server_options; /* borrowed by the server, as are the callbacks */
    struct server_callbacks server_callbacks;
    int lock_fd; /* of DATA_DIR/lock */
    int64_t started_us;
};

/* The scope of the daemon itself: everything of the organization. */
static inline struct scope app_scope(const struct app *app)
{
    return (struct scope){.organization_id = app->organization_id};
}

/* Tells whoever waits that a pair has to be looked at; works in every role (other processes poll). */
void app_wake_pair(struct app *app, const char *pair_id);
/* Host names changed. */
void app_wake_edge(struct app *app);
void app_wake_builder(struct app *app);
/* After a commit that appended events. */
void app_wake_events(struct app *app);
