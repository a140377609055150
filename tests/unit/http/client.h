/* A client made of raw sockets, so that the tests decide about every byte. Every wait has a bound. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define CLIENT_WAIT_MS 10000

struct client_reply {
    int status;
    char *head; /* status line and headers */
    GString *body;
    bool is_closed; /* the server closed after it */
};

int client_connect(int port);
int client_connect_unix(const char *path);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *bytes, size_t length);

/* Reads one reply: by Content-Length, chunked (decoded), or to the end. NULL when the connection ended before a head. */
struct client_reply *client_read(int fd, bool is_head);
void client_reply_free(struct client_reply *reply);
typedef struct client_reply client_reply_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(client_reply_t, client_reply_free)

/* Reads until `text` has been seen; returns all that was read, or NULL at the end or after CLIENT_WAIT_MS. */
char *client_read_until(int fd, const char *text);

/* True when the server closes within the bound; what it sends until then is thrown away. */
bool client_is_closed(int fd);

/* Sends text on a connection of its own and reads one reply. */
struct client_reply *client_request(int port, const char *text);
char *client_reply_header(const struct client_reply *reply, const char *name);

/* Waits until fn(arg) is true; fails the test after the bound. */
void wait_until(bool (*fn)(void *arg), void *arg);
