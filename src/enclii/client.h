/* The API of switchyard as the command line sees it: JSON in and out, problems as errors.
 *
 * A problem reply becomes an error with its code (hence exit code), detail, hint and issues. POSTs
 * carry an Idempotency-Key, and calls that can safely be repeated are, a few times, when the server
 * is starting or busy (503 with Retry-After) . One thread. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/http_client.h"
#include "base/secret.h"
#include "contract/contract.h"

struct client;

/* `token` may be NULL (unix sockets need none). Nothing is sent yet. */
struct client *client_new(const char *endpoint, const struct secret *token, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void client_free(struct client *client);
typedef struct client client_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(client_t, client_free)

/* A bare connection to a server, which trusts the authorities that SSL_CERT_FILE and SSL_CERT_DIR name, else the system's. */
struct http_client *client_connect(const char *endpoint, GError **error) G_GNUC_WARN_UNUSED_RESULT;

const char *client_endpoint(const struct client *client);

/* Every later call ends with SY_CANCELLED when *cancelled becomes non-zero. */
void client_set_cancelled(struct client *client, const int *cancelled);

/* A target from a template in which every %s is percent-encoded:
 * client_target("/v1/services/%s/status?environment=%s", id, name). Only %s is known. */
char *client_target(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* One JSON call. `body` is borrowed and may be NULL. The reply's JSON, or a null for an empty one;
 * to be json_decref'ed. */
json_t *client_send(struct client *client, const char *method, const char *target, const json_t *body,
                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
json_t *client_get(struct client *client, const char *target, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All pages of a list as one reply {list_key: […], "next_cursor": null}; SY_TOO_LARGE beyond 100,000
 * entries. */
json_t *client_get_all(struct client *client, const char *target, const char *list_key,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A reply (or a member of it) as a struct of contract_new, to be freed by contract_object_free. */
void *client_decode(const struct type *type, const json_t *json, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The elements of a list reply as structs; the array owns them. */
GPtrArray *client_decode_list(const struct type *type, const json_t *reply, const char *list_key,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A header (lower-case name) of the last JSON reply, newly allocated, or NULL. */
char *client_last_header(const struct client *client, const char *name);

/* Waits; false with SY_CANCELLED when the client is cancelled meanwhile. */
bool client_pause(const struct client *client, int64_t duration_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* PUTs `length` bytes read from `fd` (at its start) as application/x-tar. */
json_t *client_upload(struct client *client, const char *target, int fd, size_t length,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The exchange as it is, with our token, whatever its status: for `enclii api`. */
bool client_raw(struct client *client, const char *method, const char *target, const char *content_type,
                const void *body, size_t length, struct http_reply *ret_reply,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* --- streams ------------------------------------------------------------------------------------ */

/* One server-sent event. Strings live as long as the call. */
struct stream_event {
    const char *id;   /* NULL when it has none */
    const char *type; /* "message" when it has none */
    const char *data;
};

/* False ends the stream, which is then a success. It may call other functions of the client. */
typedef bool (*stream_event_fn)(const struct stream_event *event, void *arg);

/* Reads server-sent events until the callback ends it, the server does (success), or the deadline
 * passes (SY_TIMEOUT; 0: none). A lost connection is made again with Last-Event-ID, at most for a
 * minute without a sign of life in between. `after` is the id to begin after, or NULL. */
bool client_stream(struct client *client, const char *target, const char *after, int64_t timeout_ms,
                   stream_event_fn on_event, void *arg, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* As client_stream, for what has no end of its own: a server that is stopped ends its streams, and we go
 * on with the next one. Succeeds only when the callback ends it; Ctrl-C is SY_CANCELLED. */
bool client_follow(struct client *client, const char *target, const char *after, stream_event_fn on_event, void *arg,
                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A problem reply as an error; for what is called by client_raw. Always false. */
bool client_problem(const struct http_reply *reply, GError **error);
