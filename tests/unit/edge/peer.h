/* A small HTTP/1.1 server on a thread per connection, and a client as small: real peers for a real HAProxy.
 *
 * GET /          the server's name
 * GET /headers   the request's head
 * GET /held      waits for peer_release
 * POST           the number of body bytes received
 * Upgrade: websocket is answered 101; after that every byte is echoed. */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct peer;

struct peer *peer_new(const char *name);
void peer_free(struct peer *peer);
int peer_port(const struct peer *peer);
void peer_set_healthy(struct peer *peer, bool is_healthy);
/* Requests other than health checks so far. */
int peer_served(struct peer *peer);
/* Requests that wait in /held; they go on after peer_release. */
int peer_held(struct peer *peer);
void peer_release(struct peer *peer);

struct answer {
    int status; /* 0: no answer */
    char *head; /* in lower case */
    char *body;
};
void answer_clear(struct answer *answer);

int client_connect(int port);
int client_connect_from(const char *source, int port); /* a loopback address: 127.0.0.2 */
bool client_send(int fd, const void *bytes, size_t length);
/* One answer from an open connection. */
void client_receive(int fd, struct answer *ret_answer);
/* One GET on a connection of its own. `more` are header lines, each ended by \r\n. */
void client_get(int port, const char *host, const char *path, const char *more, struct answer *ret_answer);
void client_get_from(const char *source, int port, const char *host, const char *path, const char *more,
                     struct answer *ret_answer);
/* The value of a header, newly allocated, or NULL. */
char *answer_header(const struct answer *answer, const char *name);
