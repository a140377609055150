/* A small HTTP/1.1 client (RFC 9112) for unix sockets and plain TCP: the engine's API, and the
 * CLI's way to `switchyard`. HTTPS goes through libcurl, loaded at the first use only (it costs 9
 * ms).
 *
 * Every call has a deadline for the whole exchange, a bound on the reply, and one connection which
 * is kept for the next call of the same client when the peer allows. A struct http_client belongs
 * to one thread. Errors: SY_UNAVAILABLE (no connection; the message names endpoint and reason),
 * SY_TIMEOUT, SY_TOO_LARGE, SY_INTERNAL (the peer does not speak HTTP). An HTTP error status is not
 * an error here. A request is sent again on a fresh connection only when a kept one was closed
 * before any byte of the reply and the method is GET, HEAD, PUT or DELETE. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_client;

/* endpoint: unix:PATH, http://HOST[:PORT], https://HOST[:PORT]. SY_INVALID_INPUT for anything else.
 */
struct http_client *http_client_new(const char *endpoint, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void http_client_free(struct http_client *client);
/* For https: the authorities in this file (PEM), and in this folder of c_rehash's, instead of the system's. NULL: the system's. */
void http_client_set_authorities(struct http_client *client, const char *file, const char *folder);
typedef struct http_client http_client_t; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(http_client_t, http_client_free)

/* Called with decoded body bytes as they arrive; false ends the exchange (the call then succeeds
 * with reply.ended_early set). */
typedef bool (*http_body_fn)(const void *bytes, size_t length, void *arg);

struct http_header {
    const char *name;
    const char *value;
};

struct http_exchange {
    const char *method;
    const char *target;                /* origin form, already percent-encoded: /v1/projects?limit=5 */
    const struct http_header *headers; /* ended by name == NULL; may be NULL */
    const void *body;                  /* may be NULL */
    size_t body_length;
    int body_fd;          /* when body is NULL and body_length > 0: read from here; borrowed */
    int64_t timeout_ms;   /* for the exchange; for streams: between two pieces. 0: none */
    size_t limit_bytes;   /* of a collected body; 0: 16 MiB */
    http_body_fn on_body; /* stream a 2xx body instead of collecting it; NULL: collect */
    void *on_body_arg;
    const int *cancelled; /* polled at least every 100 ms; may be NULL */
};

struct http_reply {
    int status;
    GString *headers; /* "name: value\n", names in lower case */
    GString *body;    /* NUL-terminated; empty when streamed */
    bool ended_early;
};

bool http_client_call(struct http_client *client, const struct http_exchange *exchange, struct http_reply *ret_reply,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* First header of this lower-case name, newly allocated, or NULL. */
char *http_reply_header(const struct http_reply *reply, const char *name);
void http_reply_clear(struct http_reply *reply);
typedef struct http_reply http_reply_t; /* for g_auto(http_reply_t) reply = {0} */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(http_reply_t, http_reply_clear)
