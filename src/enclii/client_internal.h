/* The inside of a client, shared by client.c and client_stream.c. */
#pragma once

#include "enclii/client.h"

#define CLIENT_MAX_HEADERS 8

struct client {
    struct http_client *http;
    char *endpoint;
    struct secret *token;
    const int *cancelled;
    int64_t used_us;        /* monotonic; when the last exchange began */
    struct http_reply last; /* to the last JSON call: its headers */
};

/* The exchange over `http` with our headers and `more` (name, value, …, NULL). */
bool client_exchange(struct client *client, struct http_client *http, struct http_exchange *exchange,
                     const char *const *more, struct http_reply *ret_reply, GError **error) G_GNUC_WARN_UNUSED_RESULT;
