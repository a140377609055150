/* A server on a unix socket that reads requests and answers each with given bytes: for replies that
 * no sane server gives. One connection per reply; a thread of its own. */
#pragma once

#include <glib.h>

struct peer;

/* `replies` is NULL-ended and copied. With piece_bytes > 0 they leave in pieces of that size. */
struct peer *peer_new(const char *const *replies, size_t piece_bytes);
void peer_free(struct peer *peer);
typedef struct peer peer_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(peer_t, peer_free)

const char *peer_endpoint(const struct peer *peer);

/* The index-th request, head and body; waits up to 10 s for it. */
const char *peer_request(struct peer *peer, unsigned index);

/* "HTTP/1.1 <status> x" with this body, its length and Connection: close; newly allocated. */
char *peer_reply(int status, const char *headers, const char *body);
