/* A parser of server-sent events (WHATWG HTML, section 9.2.6) that takes bytes as they come.
 *
 * Ids and types are as the last `id:` and `event:` lines said; an event that is cut off at the end
 * is not delivered. An event larger than SSE_LIMIT is an error. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "enclii/client.h"

#define SSE_LIMIT (4 << 20)

struct sse_parser {
    GString *line;
    GString *data;
    char *id;         /* of the last event that is whole: for Last-Event-ID */
    char *pending_id; /* of the event that is being received */
    char *type;
    bool has_data;
    bool after_cr;
    bool is_too_large;
    stream_event_fn on_event;
    void *arg;
};

void sse_init(struct sse_parser *parser, stream_event_fn on_event, void *arg);
void sse_clear(struct sse_parser *parser);

/* False when the callback wants no more, or is_too_large. */
bool sse_feed(struct sse_parser *parser, const char *bytes, size_t length);

/* Forgets what is half received, keeps the id: before a new connection. */
void sse_restart(struct sse_parser *parser);
