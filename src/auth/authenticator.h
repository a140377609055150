/* Who calls: an API token, or the peer of the unix socket.
 *
 * Only the SHA-256 of a token is stored; it is looked up by that hash, so that no comparison depends on a stored secret's
 * bytes (a token has 256 random bits: nothing to guess, nothing to enumerate). A verified token is remembered for
 * AUTH_CACHE_MS, and forgotten at once in the process that revokes it: dead within one second everywhere.
 * Failures are counted per client address: more than AUTH_MAX_FAILURES in a minute answer SY_RATE_LIMITED until it is over.
 * On the unix socket root and members of the administrators' group are administrators; nobody else is let in.
 * Thread-safe. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "auth/permission.h"
#include "store/scope.h"
#include "store/store.h"

#define AUTH_CACHE_MS 1000
#define AUTH_MAX_FAILURES 30
#define TOKEN_PREFIX "enclii_"
#define TOKEN_LENGTH (sizeof TOKEN_PREFIX - 1 + 64)

struct principal {
    char *name; /* "token:ci", "socket:root"; several tokens may have one name */
    char *id;   /* "token:<uuid>", "socket:0"; no two callers have the same */
    enum scope_level level;
    char *organization_id;
    char *project_id; /* NULL: every project */
};
void principal_free(struct principal *principal);
struct scope principal_scope(const struct principal *principal); /* borrows */

struct authenticator;
struct authenticator *authenticator_new(struct store *store, const char *organization_id, const char *group_name);
void authenticator_free(struct authenticator *authenticator);

/* `authorization` is the header's value ("Bearer enclii_…", the scheme in any case). SY_NOT_SIGNED_IN, SY_RATE_LIMITED. */
struct principal *authenticate_token(struct authenticator *authenticator, const char *authorization,
                                     const char *client_address, int64_t now_us,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;
struct principal *authenticate_peer(struct authenticator *authenticator, uid_t uid, gid_t gid,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A new token's text and its stored form. */
char *token_make(char **ret_hash, char **ret_prefix);
char *token_hash(const char *raw);
void authenticator_forget(struct authenticator *authenticator, const char *hash);
