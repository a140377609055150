/* A load generator that keeps a ledger: one line for every request, whatever became of it.
 *
 * One thread, epoll. Open loop: request number n of a kind is due at n / rate, whatever became of the others, and its time
 * counts from when it was due; at most 400 are under way at once. A connection that the server closes between two requests is no
 * loss (RFC 9112 section 9.3.1): a request that met such an end before the first byte of an answer is sent again on a new
 * connection, and its entry counts the tries. Anything else that is not the whole expected answer is a failure, with its reason
 * in words.
 *
 * HTTP/2 is spoken here, by prior knowledge, and not by another program: only a client that sees GOAWAY and RST_STREAM itself
 * can say what became of each request, and what a client needs of it is small.
 *
 * Ownership: a kind owns its entries from begin() on and gives each back to ledger_close(); a wire belongs to who opened it and
 * ends with wire_close(), which may be called from within its own callbacks. */
#pragma once

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct load;
struct kind;

/* --- ledger.c -------------------------------------------------------------------------------------------------------- */

struct entry {
    int64_t id;
    const char *kind;
    int64_t due_us, sent_us; /* CLOCK_MONOTONIC */
    int status;              /* HTTP's; of a WebSocket's end its close code; 0: none came */
    int64_t bytes;           /* of the answer's body */
    int tries;
};

struct entry *ledger_open(struct load *load, const char *kind, int64_t due_us);
/* Writes the line and frees the entry; `failure` NULL: it went well. */
void ledger_close(struct load *load, struct entry *entry, const char *failure);

/* Whatever is still open has failed: it was not answered while somebody waited. */
void ledger_end(struct load *load);

/* --- wire.c: one connection ------------------------------------------------------------------------------------------ */

struct wire;
struct wire_ops {
    void (*on_bytes)(struct wire *wire, const char *bytes, size_t n);
    void (*on_end)(struct wire *wire, const char *why); /* "closed", or the error in words; the owner closes the wire */
};

struct wire {
    struct load *load;
    const struct wire_ops *ops;
    void *owner;
    int fd;
    int error; /* errno of connecting or sending, which the socket tells only once */
    bool is_dead;
    GString *out;
    size_t written;
};
struct wire *wire_open(struct load *load, const struct wire_ops *ops, void *owner);
void wire_send(struct wire *wire, const void *bytes, size_t n);
void wire_close(struct wire *wire);

/* --- answer.c: an HTTP/1.1 answer as it comes in ---------------------------------------------------------------------- */

enum answer_state { ANSWER_HEAD, ANSWER_BODY, ANSWER_DONE, ANSWER_BROKEN };
struct answer {
    enum answer_state state;
    GString *head;
    GString *body; /* of what was not consumed by on_body */
    int64_t left;  /* of the body or the chunk; -1: to the end of the connection */
    bool is_chunked, closes;
    GString *line; /* a chunk's head under way */
    int status;
    int64_t bytes;
};
void answer_init(struct answer *answer);
void answer_clear(struct answer *answer);
/* Returns how many bytes were of this answer; a 101 ends with its head. */
size_t answer_feed(struct answer *answer, const char *bytes, size_t n);
char *answer_header(const struct answer *answer, const char *name); /* NULL: it is not there */

/* --- the kinds of requests -------------------------------------------------------------------------------------------- */

struct kind_ops {
    const char *name;
    const char *help;
    void (*begin)(struct kind *kind, int64_t due_us); /* one request is due; NULL: `rate` is a number of streams */
    void (*start)(struct kind *kind);                 /* once, at the beginning; may be NULL */
    void (*stop)(struct kind *kind);                  /* no more requests; close what lasts; may be NULL */
};

struct kind {
    const struct kind_ops *ops;
    struct load *load;
    double rate; /* requests a second */
    int64_t n_begun;
    void *data;
};
extern const struct kind_ops kind_keep, kind_new, kind_post, kind_slow, kind_upload, kind_http2, kind_websocket,
    kind_sse;

/* --- load.c ----------------------------------------------------------------------------------------------------------- */

struct load {
    struct sockaddr_in address;
    char *host; /* what is asked for */
    int slow_ms;
    int64_t upload_bytes;
    int epoll;
    GPtrArray *kinds;    /* of struct kind */
    GPtrArray *dead;     /* wires, freed when no callback is running */
    GPtrArray *unopened; /* wires that could not be opened */
    GTree *timers;
    uint64_t n_timers;
    FILE *ledger;
    GHashTable *open; /* of struct entry * */
    int64_t n_entries, n_open, n_failed;
    bool is_stopping;
};

int64_t now_us(void);
void load_after(struct load *load, int64_t delay_us, void (*fn)(void *arg), void *arg);
