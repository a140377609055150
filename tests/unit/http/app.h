/* A small application for the server's tests: a route of each sort, and a gate at which handlers wait. */
#pragma once

#include "client.h"
#include "http/server.h"

struct app {
    struct server *server;
    int port;
    char *socket_path;
    char *folder;
    GMutex lock;
    GCond changed;
    GString *calls; /* callbacks in order: "authenticate authorise begin handler finish" */
    bool is_open;   /* the gate */
    int waiting;    /* handlers at the gate */
    int abandoned;  /* handlers that saw their client go */
    int closed;     /* stream_on_close calls */
    int states_freed;
    bool must_fail_body;
    struct stream *stream; /* of the last /v1/events or /v1/socket */
    int64_t uploaded;
    GChecksum *digest;
    char *stored_key; /* idempotency */
    char *stored_digest;
    char *stored_body;
};

/* A server with this application; `options` may be NULL. Listens on any loopback port and on a unix socket. */
struct app *app_start(const struct server_options *options);
void app_stop(struct app *app);
void app_open_gate(struct app *app);
void app_wait_for_waiting(struct app *app, int n);
void app_wait_for_connections(struct app *app, int n);
struct stream *app_wait_for_stream(struct app *app);
char *app_calls(struct app *app);
int app_read_int(struct app *app, const int *value);
