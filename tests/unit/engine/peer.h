/* A peer on a unix socket that behaves as badly as it is told; one thread, ended by peer_stop. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum peer_manner {
    PEER_ANSWER,        /* by the table, keeping the connection */
    PEER_ANSWER_ONCE,   /* by the table, then closes without having said so */
    PEER_HANG,          /* reads and never answers */
    PEER_TRICKLE,       /* a byte of a long reply every 50 ms */
    PEER_GARBAGE,       /* no HTTP */
    PEER_CLOSE,         /* at once */
    PEER_ENDLESS,       /* a body without end */
    PEER_BREAK_STREAMS, /* by the table; any other path than /version breaks off in the middle of a chunk */
};

#define PEER_REPLIES 16
#define PEER_SILENCE 0 /* as a status: no answer */

struct peer_reply {
    const char *needle; /* in the request line */
    int status;
    const char *body;
    size_t length; /* 0: strlen */
    int most;      /* answers so often, then the next that fits does; 0: always */
};

struct peer {
    char *folder, *path, *endpoint;
    int manner;                       /* enum peer_manner; may change while it runs */
    const struct peer_reply *replies; /* ended by needle == NULL; at most PEER_REPLIES */
    int n_used[PEER_REPLIES];
    int listener;
    int stopping;
    int n_connections, n_requests;
    GMutex lock;
    GString *log; /* request lines */
    GThread *thread;
    GPtrArray *threads;
};

/* A place for a socket; nobody listens until peer_start. */
void peer_init(struct peer *peer, enum peer_manner manner, const struct peer_reply *replies);
void peer_start(struct peer *peer);
void peer_stop(struct peer *peer);
char *peer_log(struct peer *peer);
