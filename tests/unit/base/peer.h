/* A peer for the HTTP client whose every byte the test decides: a thread that takes one connection after the other and hands
 * each to `serve`. All waits have a bound. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define PEER_WAIT_MS 10000

struct peer;

/* `number` counts connections from 0. The connection is closed when it returns. */
typedef void (*serve_fn)(struct peer *peer, int fd, int number);

struct peer {
    char *endpoint; /* unix:PATH or http://127.0.0.1:PORT */
    char *folder;   /* holds the socket; NULL for TCP */
    int listen_fd;
    serve_fn serve;
    const void *arg;
    GThread *thread;
    GMutex lock;
    GCond changed;
    int n_connections; /* under lock, as are the next */
    int n_served;      /* closed again */
    GString *requests; /* all that peer_read_request has read */
};

struct peer *peer_start(bool is_unix, serve_fn serve, const void *arg);
void peer_stop(struct peer *peer);
int peer_connections(struct peer *peer);
void peer_wait_served(struct peer *peer, int n);
/* What has been received so far; newly allocated. */
char *peer_requests(struct peer *peer);

/* In serve: reads a head and its body by Content-Length; false at the end of the connection. */
bool peer_read_request(struct peer *peer, int fd);
void peer_send_bytes(int fd, const void *bytes, size_t length);
void peer_send(int fd, const char *text);
/* Waits until the client has read everything sent so far: what follows arrives by itself. Unix sockets only. */
void peer_wait_read(int fd);
/* Waits until the client closes. */
void peer_wait_closed(int fd);
