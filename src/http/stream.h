/* The inside of a stream, shared by stream.c (SSE, NDJSON, bytes over MHD) and websocket.c.
 *
 * A queue of whole records under a lock. Producers append from any thread; the loop's thread takes bytes out.
 * `mhd` and `fd` are set while the stream is attached to a connection. */
#pragma once

#include "http/internal.h"

#define STREAM_BUFFER (1024 * 1024)

struct record {
    struct record *next;
    size_t length;
    char bytes[];
};

struct stream {
    atomic_int references;
    struct server *server;
    enum stream_format format;
    bool is_websocket;
    /* loop's thread */
    struct stream *previous, *next;
    struct loop *loop;
    int fd;
    bool is_attached;
    int64_t heartbeat_us; /* when the next is due, monotonic */
    GByteArray *input;    /* websocket: an incomplete frame */
    GByteArray *output;   /* websocket: taken from the queue, not yet by the socket */
    int64_t heard_us;     /* websocket: last byte from the client */
    /* under lock */
    GMutex lock;
    GCond room;
    struct MHD_Connection *mhd;
    struct record *head, *tail;
    size_t head_sent; /* bytes of head that are out */
    size_t queued;    /* bytes in records, without head_sent */
    int64_t missed;
    bool is_suspended;
    struct MHD_UpgradeResponseHandle *upgrade; /* websocket: from the 101 to the close */
    bool has_sent_close, is_close_received;
    bool is_poked; /* websocket: the loop has been told that there is output */
    bool has_ended;
    bool is_closed;
    void (*on_close)(void *arg);
    void *on_close_arg;
};

/* Appends a record that is not data (heartbeat, pong); caller holds the lock. */
void stream_append_locked(struct stream *stream, const char *bytes, size_t length);

/* Copies at most `size` bytes out, a `missed` record first when some were lost; caller holds the lock. */
size_t stream_take_locked(struct stream *stream, char *out, size_t size);

/* Marks it closed and runs the callback, once; caller does not hold the lock. */
void stream_close(struct stream *stream);

void websocket_frame(GString *out, int opcode, const char *bytes, size_t length);
void websocket_poke_locked(struct stream *stream);
void websocket_on_event(struct stream *stream, uint32_t events);
void websocket_tick(struct stream *stream, int64_t now_us);
void websocket_close(struct stream *stream); /* the loop's thread */
