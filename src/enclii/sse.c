#include "enclii/sse.h"

#include <string.h>

void sse_init(struct sse_parser *parser, stream_event_fn on_event, void *arg)
{
    *parser = (struct sse_parser){.on_event = on_event, .arg = arg};
    parser->line = g_string_new(NULL);
    parser->data = g_string_new(NULL);
}

void sse_clear(struct sse_parser *parser)
{
    g_string_free(parser->line, TRUE);
    g_string_free(parser->data, TRUE);
    g_free(parser->id);
    g_free(parser->pending_id);
    g_free(parser->type);
}

void sse_restart(struct sse_parser *parser)
{
    g_string_truncate(parser->line, 0);
    g_string_truncate(parser->data, 0);
    g_clear_pointer(&parser->type, g_free);
    g_free(parser->pending_id);
    parser->pending_id = g_strdup(parser->id);
    parser->has_data = false;
    parser->after_cr = false;
}

static bool dispatch(struct sse_parser *parser)
{
    bool goes_on = true;
    g_free(parser->id);
    parser->id = g_strdup(parser->pending_id);
    if (parser->has_data) {
        const struct stream_event event = {
            .id = parser->id,
            .type = parser->type != NULL ? parser->type : "message",
            .data = parser->data->str,
        };
        goes_on = parser->on_event(&event, parser->arg);
    }
    g_string_truncate(parser->data, 0);
    g_clear_pointer(&parser->type, g_free);
    parser->has_data = false;
    return goes_on;
}

static void take_field(struct sse_parser *parser, const char *name, const char *value)
{
    if (strcmp(name, "data") == 0) {
        if (parser->has_data) {
            g_string_append_c(parser->data, '\n');
        }
        g_string_append(parser->data, value);
        parser->has_data = true;
    } else if (strcmp(name, "event") == 0) {
        g_free(parser->type);
        parser->type = *value != '\0' ? g_strdup(value) : NULL;
    } else if (strcmp(name, "id") == 0) {
        g_free(parser->pending_id);
        parser->pending_id = *value != '\0' ? g_strdup(value) : NULL;
    }
}

/* The whole line is in parser->line. */
static bool take_line(struct sse_parser *parser)
{
    if (parser->line->len == 0) {
        return dispatch(parser);
    }
    char *colon = strchr(parser->line->str, ':');
    if (colon == NULL) {
        take_field(parser, parser->line->str, "");
    } else if (colon != parser->line->str) { /* else a comment: the heartbeat */
        *colon = '\0';
        take_field(parser, parser->line->str, colon[1] == ' ' ? colon + 2 : colon + 1);
    }
    g_string_truncate(parser->line, 0);
    return true;
}

bool sse_feed(struct sse_parser *parser, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char byte = bytes[i];
        bool is_second = byte == '\n' && parser->after_cr; /* of CRLF */
        parser->after_cr = byte == '\r';
        if (is_second) {
            continue;
        }
        if (byte == '\n' || byte == '\r') {
            if (!take_line(parser)) {
                return false;
            }
            continue;
        }
        if (parser->line->len + parser->data->len >= SSE_LIMIT) {
            parser->is_too_large = true;
            return false;
        }
        g_string_append_c(parser->line, byte);
    }
    return true;
}
