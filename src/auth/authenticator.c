#include "auth/authenticator.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/id.h"
#include "base/secret.h"
#include "store/resources.h"

#define MAX_REMEMBERED 10000
#define TOUCH_US (INT64_C(60) * 1000000)

struct remembered {
    struct principal *principal;
    int64_t until_us;
};

struct failures {
    int64_t window_us;
    unsigned count;
};

struct authenticator {
    struct store *store;
    char *organization_id;
    char *group_name;
    GMutex lock;            /* guards the two tables */
    GHashTable *remembered; /* hash → struct remembered */
    GHashTable *failures;   /* address → struct failures */
};

void principal_free(struct principal *principal)
{
    if (principal != NULL) {
        g_free(principal->name);
        g_free(principal->id);
        g_free(principal->organization_id);
        g_free(principal->project_id);
        g_free(principal);
    }
}

static struct principal *principal_dup(const struct principal *principal)
{
    struct principal *copy = g_new0(struct principal, 1);
    copy->name = g_strdup(principal->name);
    copy->id = g_strdup(principal->id);
    copy->level = principal->level;
    copy->organization_id = g_strdup(principal->organization_id);
    copy->project_id = g_strdup(principal->project_id);
    return copy;
}

struct scope principal_scope(const struct principal *principal)
{
    return (struct scope){.organization_id = principal->organization_id, .project_id = principal->project_id};
}

static void remembered_free(gpointer data)
{
    struct remembered *remembered = data;
    principal_free(remembered->principal);
    g_free(remembered);
}

struct authenticator *authenticator_new(struct store *store, const char *organization_id, const char *group_name)
{
    struct authenticator *authenticator = g_new0(struct authenticator, 1);
    authenticator->store = store;
    authenticator->organization_id = g_strdup(organization_id);
    authenticator->group_name = g_strdup(group_name);
    g_mutex_init(&authenticator->lock);
    authenticator->remembered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, remembered_free);
    authenticator->failures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return authenticator;
}

void authenticator_free(struct authenticator *authenticator)
{
    if (authenticator != NULL) {
        g_hash_table_unref(authenticator->remembered);
        g_hash_table_unref(authenticator->failures);
        g_mutex_clear(&authenticator->lock);
        g_free(authenticator->organization_id);
        g_free(authenticator->group_name);
        g_free(authenticator);
    }
}

char *token_hash(const char *raw)
{
    return sha256_hex(raw, strlen(raw));
}

char *token_make(char **ret_hash, char **ret_prefix)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[32];
    random_bytes(bytes, sizeof bytes);
    GString *raw = g_string_new(TOKEN_PREFIX);
    for (size_t i = 0; i < sizeof bytes; i++) {
        g_string_append_c(raw, hex[bytes[i] >> 4]);
        g_string_append_c(raw, hex[bytes[i] & 15]);
    }
    secret_wipe(bytes, sizeof bytes);
    *ret_hash = token_hash(raw->str);
    *ret_prefix = g_strndup(raw->str, sizeof TOKEN_PREFIX - 1 + 6);
    return g_string_free(raw, FALSE);
}

/* --- brute force ------------------------------------------------------------------------------------------------------ */

static bool is_limited(struct authenticator *authenticator, const char *address, int64_t now_us)
{
    g_mutex_lock(&authenticator->lock);
    const struct failures *failures = g_hash_table_lookup(authenticator->failures, address);
    bool limited = failures != NULL && now_us - failures->window_us < TOUCH_US && failures->count > AUTH_MAX_FAILURES;
    g_mutex_unlock(&authenticator->lock);
    return limited;
}

static void count_failure(struct authenticator *authenticator, const char *address, int64_t now_us)
{
    g_mutex_lock(&authenticator->lock);
    if (g_hash_table_size(authenticator->failures) >= MAX_REMEMBERED) {
        g_hash_table_remove_all(authenticator->failures);
    }
    struct failures *failures = g_hash_table_lookup(authenticator->failures, address);
    if (failures == NULL) {
        failures = g_new0(struct failures, 1);
        g_hash_table_insert(authenticator->failures, g_strdup(address), failures);
    }
    if (now_us - failures->window_us >= TOUCH_US) {
        *failures = (struct failures){.window_us = now_us};
    }
    failures->count++;
    g_mutex_unlock(&authenticator->lock);
}

/* --- tokens ------------------------------------------------------------------------------------------------------------- */

static const char *bearer_token(const char *authorization)
{
    if (authorization == NULL || g_ascii_strncasecmp(authorization, "Bearer ", 7) != 0) {
        return NULL;
    }
    const char *token = authorization + 7;
    while (*token == ' ') {
        token++;
    }
    bool ok = strlen(token) == TOKEN_LENGTH && g_str_has_prefix(token, TOKEN_PREFIX) &&
              sha256_hex_is_valid(token + sizeof TOKEN_PREFIX - 1);
    return ok ? token : NULL;
}

static struct principal *recall(struct authenticator *authenticator, const char *hash, int64_t now_us)
{
    g_mutex_lock(&authenticator->lock);
    const struct remembered *remembered = g_hash_table_lookup(authenticator->remembered, hash);
    struct principal *principal =
        remembered != NULL && now_us < remembered->until_us ? principal_dup(remembered->principal) : NULL;
    g_mutex_unlock(&authenticator->lock);
    return principal;
}

static void remember(struct authenticator *authenticator, const char *hash, const struct principal *principal,
                     int64_t until_us)
{
    struct remembered *remembered = g_new0(struct remembered, 1);
    remembered->principal = principal_dup(principal);
    remembered->until_us = until_us;
    g_mutex_lock(&authenticator->lock);
    if (g_hash_table_size(authenticator->remembered) >= MAX_REMEMBERED) {
        g_hash_table_remove_all(authenticator->remembered);
    }
    g_hash_table_replace(authenticator->remembered, g_strdup(hash), remembered);
    g_mutex_unlock(&authenticator->lock);
}

void authenticator_forget(struct authenticator *authenticator, const char *hash)
{
    g_mutex_lock(&authenticator->lock);
    g_hash_table_remove(authenticator->remembered, hash);
    g_mutex_unlock(&authenticator->lock);
}

struct lookup {
    const char *hash;
    struct token *token;
    int64_t now_us;
};

static bool look_up(struct tx *tx, void *arg, GError **error)
{
    struct lookup *lookup = arg;
    contract_object_free(lookup->token);
    lookup->token = NULL;
    return token_find_by_hash(tx, lookup->hash, &lookup->token, error);
}

static bool touch(struct tx *tx, void *arg, GError **error)
{
    const struct lookup *lookup = arg;
    return token_touch(tx, lookup->token->id, lookup->now_us, error);
}

static struct principal *principal_of(const struct token *token)
{
    struct principal *principal = g_new0(struct principal, 1);
    principal->name = g_strdup_printf("token:%s", token->name);
    principal->id = g_strdup_printf("token:%s", token->id);
    for (char **scope = token->scopes; *scope != NULL; scope++) {
        principal->level = MAX(principal->level, scope_level_from_name(*scope));
    }
    principal->organization_id = g_strdup(token->organization_id);
    principal->project_id = g_strdup(token->project_id);
    return principal;
}

/* NULL without an error: no such token, or it has expired. *ret_until_us: how long that may be remembered. */
static struct principal *verify(struct authenticator *authenticator, const char *hash, int64_t now_us,
                                int64_t *ret_until_us, GError **error)
{
    struct lookup lookup = {.hash = hash, .now_us = now_us};
    if (!store_read(authenticator->store, "token_verify", look_up, &lookup, error)) {
        contract_object_free(lookup.token);
        return NULL;
    }
    g_autoptr(token_t) token = lookup.token;
    if (token == NULL || (token->expires_us != CONTRACT_ABSENT && token->expires_us <= now_us)) {
        return NULL;
    }
    if (token->last_used_us == CONTRACT_ABSENT || now_us - token->last_used_us > TOUCH_US) {
        /* When it was last used is a courtesy: a database that cannot write now does not keep anybody out. */
        g_autoptr(GError) ignored = NULL;
        bool touched = store_write(authenticator->store, "token_touch", touch, &lookup, &ignored);
        (void)touched;
    }
    int64_t until_us = now_us + AUTH_CACHE_MS * 1000;
    *ret_until_us = token->expires_us != CONTRACT_ABSENT ? MIN(until_us, token->expires_us) : until_us;
    return principal_of(token);
}

struct principal *authenticate_token(struct authenticator *authenticator, const char *authorization,
                                     const char *client_address, int64_t now_us, GError **error)
{
    if (is_limited(authenticator, client_address, now_us)) {
        sy_fail(error, SY_RATE_LIMITED, "too many failed sign-ins from this address");
        return NULL;
    }
    const char *raw = bearer_token(authorization);
    if (raw == NULL) {
        if (authorization != NULL) {
            count_failure(authenticator, client_address, now_us);
        }
        sy_fail(error, SY_NOT_SIGNED_IN, "%s",
                authorization == NULL ? "this needs an API token: Authorization: Bearer enclii_…"
                                      : "the API token is not valid");
        return NULL;
    }
    g_autofree char *hash = token_hash(raw);
    struct principal *principal = recall(authenticator, hash, now_us);
    if (principal != NULL) {
        return principal;
    }
    GError *failure = NULL;
    int64_t until_us = 0;
    principal = verify(authenticator, hash, now_us, &until_us, &failure);
    if (principal != NULL) {
        remember(authenticator, hash, principal, until_us);
        return principal;
    }
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return NULL;
    }
    count_failure(authenticator, client_address, now_us);
    sy_fail(error, SY_NOT_SIGNED_IN, "the API token is not valid");
    return NULL;
}

/* --- the unix socket ------------------------------------------------------------------------------------------------------ */

static bool is_member(const char *group_name, uid_t uid, gid_t gid)
{
    char buffer[16384];
    struct group group;
    struct group *found_group = NULL;
    if (getgrnam_r(group_name, &group, buffer, sizeof buffer, &found_group) != 0 || found_group == NULL) {
        return false;
    }
    if (group.gr_gid == gid) {
        return true;
    }
    char user_buffer[4096];
    struct passwd user;
    struct passwd *found_user = NULL;
    if (getpwuid_r(uid, &user, user_buffer, sizeof user_buffer, &found_user) != 0 || found_user == NULL) {
        return false;
    }
    for (char **member = group.gr_mem; *member != NULL; member++) {
        if (strcmp(*member, user.pw_name) == 0) {
            return true;
        }
    }
    return false;
}

struct principal *authenticate_peer(struct authenticator *authenticator, uid_t uid, gid_t gid, GError **error)
{
    if (uid != 0 && uid != getuid() && !is_member(authenticator->group_name, uid, gid)) {
        sy_fail(error, SY_NOT_SIGNED_IN, "user %u is not in the group %s", (unsigned)uid, authenticator->group_name);
        sy_error_set_hint(error, "usermod -aG %s USER, then sign in again; or use an API token over HTTP.",
                          authenticator->group_name);
        return NULL;
    }
    struct principal *principal = g_new0(struct principal, 1);
    principal->name = uid == 0 ? g_strdup("socket:root") : g_strdup_printf("socket:%u", (unsigned)uid);
    principal->id = g_strdup_printf("socket:%u", (unsigned)uid);
    principal->level = SCOPE_ADMIN;
    principal->organization_id = g_strdup(authenticator->organization_id);
    return principal;
}
