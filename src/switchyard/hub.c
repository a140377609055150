#include "switchyard/hub.h"

#include "base/log.h"

#define BATCH 500
#define POLL_US (500 * 1000)
/* From one look to the next. The first event is seen at once; under a stream of writes PostgreSQL's writers, which wait while
 * the horizon is read (store/event.c), are not stopped after every commit. */
#define LOOK_APART_US (20 * 1000)

struct subscription {
    struct stream *stream;
    struct hub_filter filter;
    int64_t cursor; /* last number sent or passed over */
};

struct hub {
    struct store *store;
    char *organization_id;
    hub_event_fn on_event;
    void *on_event_arg;
    GMutex lock; /* guards everything below */
    GCond woken;
    GCond advanced;
    GPtrArray *subscriptions;
    int64_t cursor;
    bool is_woken, is_closed;
    GThread *thread;
};

static void subscription_free(gpointer data)
{
    struct subscription *subscription = data;
    stream_unref(subscription->stream);
    g_free(subscription->filter.project_id);
    g_free(subscription->filter.service_id);
    g_free(subscription->filter.deployment_id);
    g_free(subscription);
}

struct reading {
    struct hub *hub;
    struct event_filter filter;
    int64_t after, horizon;
    GPtrArray *events;
};

static bool read_horizon(struct tx *tx, void *arg, GError **error)
{
    struct reading *reading = arg;
    return event_horizon(tx, &reading->horizon, error);
}

static bool read_events(struct tx *tx, void *arg, GError **error)
{
    struct reading *reading = arg;
    struct scope scope = {.organization_id = reading->hub->organization_id};
    g_clear_pointer(&reading->events, g_ptr_array_unref);
    return event_list(tx, &scope, &reading->filter, reading->after, BATCH, &reading->events, error);
}

/* On SQLite a read is enough; on PostgreSQL the horizon needs a lock, so it is a write (see store/event.c). */
static bool find_horizon(struct hub *hub, struct reading *reading, GError **error)
{
    return store_dialect(hub->store) == STORE_SQLITE
               ? store_read(hub->store, "event_horizon", read_horizon, reading, error)
               : store_write(hub->store, "event_horizon", read_horizon, reading, error);
}

static bool matches(const struct hub_filter *filter, const struct event *event)
{
    return (filter->project_id == NULL || g_strcmp0(filter->project_id, event->project_id) == 0) &&
           (filter->service_id == NULL || g_strcmp0(filter->service_id, event->service_id) == 0) &&
           (filter->deployment_id == NULL || g_strcmp0(filter->deployment_id, event->deployment_id) == 0);
}

static bool send_event(struct subscription *subscription, const struct event *event)
{
    subscription->cursor = event->number;
    if (!matches(&subscription->filter, event)) {
        return !stream_is_closed(subscription->stream);
    }
    g_autofree char *text = contract_encode_text(&event_type, event, ENCODE_SPARSE);
    char id[24];
    g_snprintf(id, sizeof id, "%" G_GINT64_FORMAT, event->number);
    return stream_send(subscription->stream, id, event->type, text, strlen(text));
}

/* With the lock held. */
static void deliver(struct hub *hub, const GPtrArray *events, int64_t horizon)
{
    for (guint i = 0; i < events->len; i++) {
        const struct event *event = g_ptr_array_index(events, i);
        if (event->number > horizon) {
            break;
        }
        for (guint j = hub->subscriptions->len; j-- > 0;) {
            struct subscription *subscription = g_ptr_array_index(hub->subscriptions, j);
            if (subscription->cursor < event->number && !send_event(subscription, event)) {
                g_ptr_array_remove_index(hub->subscriptions, j);
            }
        }
        hub->cursor = event->number;
    }
    g_cond_broadcast(&hub->advanced);
}

/* True when there may be more. */
static bool read_and_deliver(struct hub *hub)
{
    struct reading reading = {.hub = hub};
    g_autoptr(GError) error = NULL;
    g_mutex_lock(&hub->lock);
    reading.after = hub->cursor;
    g_mutex_unlock(&hub->lock);
    bool ok =
        find_horizon(hub, &reading, &error) &&
        (reading.horizon <= reading.after || store_read(hub->store, "events_read", read_events, &reading, &error));
    if (!ok) {
        log_failure("hub.read_failed", error, NULL);
        return false;
    }
    if (reading.events == NULL) {
        return false;
    }
    bool more = reading.events->len == BATCH;
    g_mutex_lock(&hub->lock);
    deliver(hub, reading.events, reading.horizon);
    g_mutex_unlock(&hub->lock);
    for (guint i = 0; hub->on_event != NULL && i < reading.events->len; i++) {
        const struct event *event = g_ptr_array_index(reading.events, i);
        if (event->number <= reading.horizon) {
            hub->on_event(event, hub->on_event_arg);
        }
    }
    g_ptr_array_unref(reading.events);
    return more;
}

static void drop_closed(struct hub *hub)
{
    for (guint j = hub->subscriptions->len; j-- > 0;) {
        struct subscription *subscription = g_ptr_array_index(hub->subscriptions, j);
        if (stream_is_closed(subscription->stream)) {
            g_ptr_array_remove_index(hub->subscriptions, j);
        }
    }
}

/* With the lock held. Until it was woken and a while has passed since the last look, or for long enough. */
static void wait_for_reason(struct hub *hub, int64_t last_look_us)
{
    int64_t poll_us = g_get_monotonic_time() + POLL_US;
    while (!hub->is_woken && !hub->is_closed && g_cond_wait_until(&hub->woken, &hub->lock, poll_us)) {
    }
    while (!hub->is_closed && g_cond_wait_until(&hub->woken, &hub->lock, last_look_us + LOOK_APART_US)) {
    }
    hub->is_woken = false;
}

static gpointer run(gpointer data)
{
    struct hub *hub = data;
    int64_t look_us = 0;
    g_mutex_lock(&hub->lock);
    while (!hub->is_closed) {
        wait_for_reason(hub, look_us);
        look_us = g_get_monotonic_time();
        drop_closed(hub);
        g_mutex_unlock(&hub->lock);
        while (read_and_deliver(hub)) {
        }
        g_mutex_lock(&hub->lock);
    }
    g_mutex_unlock(&hub->lock);
    return NULL;
}

struct hub *hub_new(struct store *store, const char *organization_id, hub_event_fn on_event, void *arg)
{
    struct hub *hub = g_new0(struct hub, 1);
    hub->on_event = on_event;
    hub->on_event_arg = arg;
    hub->store = store;
    hub->organization_id = g_strdup(organization_id);
    g_mutex_init(&hub->lock);
    g_cond_init(&hub->woken);
    g_cond_init(&hub->advanced);
    hub->subscriptions = g_ptr_array_new_with_free_func(subscription_free);
    struct reading reading = {.hub = hub};
    g_autoptr(GError) ignored = NULL; /* the thread reads from the start then, which is only slower */
    if (find_horizon(hub, &reading, &ignored)) {
        hub->cursor = reading.horizon;
    }
    hub->thread = g_thread_new("hub", run, hub);
    return hub;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    g_mutex_lock(&hub->lock);
    hub->is_closed = true;
    g_cond_broadcast(&hub->woken);
    g_cond_broadcast(&hub->advanced);
    g_mutex_unlock(&hub->lock);
    g_thread_join(hub->thread);
    g_ptr_array_unref(hub->subscriptions);
    g_cond_clear(&hub->woken);
    g_cond_clear(&hub->advanced);
    g_mutex_clear(&hub->lock);
    g_free(hub->organization_id);
    g_free(hub);
}

void hub_wake(struct hub *hub)
{
    g_mutex_lock(&hub->lock);
    hub->is_woken = true;
    g_cond_signal(&hub->woken);
    g_mutex_unlock(&hub->lock);
}

int64_t hub_subscribers(struct hub *hub)
{
    g_mutex_lock(&hub->lock);
    int64_t n = hub->subscriptions->len;
    g_mutex_unlock(&hub->lock);
    return n;
}

void hub_wait(struct hub *hub, int64_t timeout_ms)
{
    g_mutex_lock(&hub->lock);
    int64_t cursor = hub->cursor;
    int64_t deadline_us = g_get_monotonic_time() + timeout_ms * 1000;
    while (!hub->is_closed && hub->cursor == cursor && g_cond_wait_until(&hub->advanced, &hub->lock, deadline_us)) {
    }
    g_mutex_unlock(&hub->lock);
}

/* Sends what is beyond the subscription's cursor up to the horizon; false when it could not be read. */
static bool catch_up(struct hub *hub, struct subscription *subscription, int64_t horizon, GError **error)
{
    struct reading reading = {.hub = hub, .after = subscription->cursor};
    reading.filter = (struct event_filter){subscription->filter.project_id, subscription->filter.service_id,
                                           subscription->filter.deployment_id};
    bool more = true;
    while (more && reading.after < horizon) {
        if (!store_read(hub->store, "events_catch_up", read_events, &reading, error)) {
            return false;
        }
        more = reading.events->len == BATCH;
        for (guint i = 0; i < reading.events->len; i++) {
            const struct event *event = g_ptr_array_index(reading.events, i);
            reading.after = event->number;
            if (event->number <= horizon) {
                send_event(subscription, event);
            }
        }
        g_clear_pointer(&reading.events, g_ptr_array_unref);
    }
    subscription->cursor = MAX(subscription->cursor, horizon);
    return true;
}

bool hub_subscribe(struct hub *hub, struct stream *stream, struct hub_filter filter, int64_t after, GError **error)
{
    struct subscription *subscription = g_new0(struct subscription, 1);
    subscription->stream = stream_ref(stream);
    subscription->filter = filter;
    subscription->cursor = after;
    g_mutex_lock(&hub->lock);
    int64_t horizon = hub->cursor;
    g_mutex_unlock(&hub->lock);
    if (after < 0) {
        subscription->cursor = horizon;
    }
    /* Long history without the lock, then what came meanwhile with it, so that nothing falls between. */
    bool ok = catch_up(hub, subscription, horizon, error);
    g_mutex_lock(&hub->lock);
    ok = ok && catch_up(hub, subscription, hub->cursor, error);
    if (ok) {
        g_ptr_array_add(hub->subscriptions, subscription);
    }
    g_mutex_unlock(&hub->lock);
    if (!ok) {
        subscription_free(subscription);
    }
    return ok;
}
