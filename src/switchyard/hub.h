/* The event hub: brings committed events to the streams that wait for them, in order, each exactly once.
 *
 * One thread reads events beyond the last one it has seen, when woken after a commit, and every 500 ms for what other processes
 * have written. A subscriber first gets what it missed from the store (Last-Event-ID), then joins. Thread-safe. */
#pragma once

#include "http/server.h"
#include "store/resources.h"

struct hub;

/* Called for every event, in order, on the hub's thread; must be quick. May be NULL. */
typedef void (*hub_event_fn)(const struct event *event, void *arg);
struct hub *hub_new(struct store *store, const char *organization_id, hub_event_fn on_event, void *arg);
void hub_free(struct hub *hub);
void hub_wake(struct hub *hub);

struct hub_filter {
    char *project_id, *service_id, *deployment_id; /* NULL: any; owned by the subscription */
};

/* `after` < 0: only what comes. The stream's end removes the subscription. Takes the filter's strings. */
bool hub_subscribe(struct hub *hub, struct stream *stream, struct hub_filter filter, int64_t after,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
int64_t hub_subscribers(struct hub *hub);

/* Waits until the hub has seen a new event or the time-out passes: for handlers that wait on a state. */
void hub_wait(struct hub *hub, int64_t timeout_ms);
