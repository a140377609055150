#include "switchyard/handlers/access.h"

#include <string.h>

#include "auth/authenticator.h"
#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "model/idempotency.h"

#define REPLAY_US (INT64_C(24) * 3600 * 1000000)

/* --- who ------------------------------------------------------------------------------------------------------------------- */

static void free_principal(void *principal)
{
    principal_free(principal);
}

static bool authenticate(struct request *request, const char *authorization, struct caller *ret_caller, GError **error)
{
    struct app *app = request_app(request);
    struct principal *principal;
    uid_t uid;
    gid_t gid;
    pid_t pid;
    if (authorization == NULL && request_peer(request, &uid, &gid, &pid)) {
        principal = authenticate_peer(app->authenticator, uid, gid, error);
    } else {
        principal = authenticate_token(app->authenticator, authorization, request_client_address(request),
                                       g_get_real_time(), error);
    }
    if (principal == NULL) {
        return false;
    }
    *ret_caller =
        (struct caller){.name = g_strdup(principal->name), .principal = principal, .principal_free = free_principal};
    return true;
}

/* --- may they ---------------------------------------------------------------------------------------------------------------- */

static bool authorise(struct request *request, const struct route *route, GError **error)
{
    const struct principal *principal = request_caller(request)->principal;
    const struct permission *permission = permission_find(route->permission);
    if (permission == NULL) {
        return sy_fail(error, SY_INTERNAL, "route %s has the unknown permission %s", route->path, route->permission);
    }
    if (permission_is_granted(permission, principal->level, principal->project_id != NULL)) {
        return true;
    }
    sy_fail(error, SY_NOT_ALLOWED, "%s may not do this: it needs the permission %s", principal->name, permission->name);
    return false;
}

/* --- was it answered before ------------------------------------------------------------------------------------------------------ */

/* Requests at work in this process: a second one with the same key is told so. */
static GMutex at_work_lock;
static GHashTable *at_work;

/* What a request with a key carries with it (request_state). */
struct replay_key {
    char *id;
    char *body_sha256;
    bool is_kept; /* in the transaction of its effect */
};

static void replay_key_free(void *data)
{
    struct replay_key *key = data;
    g_free(key->id);
    g_free(key->body_sha256);
    g_free(key);
}

static char *replay_id(struct request *request, const char *key)
{
    const struct principal *principal = request_caller(request)->principal;
    const struct route *route = request_route(request);
    g_autofree char *text = g_strdup_printf("%s\n%s\n%s", principal->id, route->operation_id, key);
    return sha256_hex(text, strlen(text));
}

static bool enter(const char *id)
{
    g_mutex_lock(&at_work_lock);
    if (at_work == NULL) {
        at_work = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    bool is_new = g_hash_table_add(at_work, g_strdup(id));
    g_mutex_unlock(&at_work_lock);
    return is_new;
}

static void leave(const char *id)
{
    g_mutex_lock(&at_work_lock);
    g_hash_table_remove(at_work, id);
    g_mutex_unlock(&at_work_lock);
}

struct replay {
    const char *id;
    struct idempotency *row;
};

static bool find(struct tx *tx, void *arg, GError **error)
{
    struct replay *replay = arg;
    g_clear_pointer(&replay->row, contract_object_free);
    return idempotency_find(tx, replay->id, &replay->row, error);
}

static bool insert(struct tx *tx, const struct request *request, const struct replay_key *key, int status,
                   const char *body, bool *ret_kept, GError **error)
{
    g_autofree char *headers = reply_headers(request);
    struct idempotency row = {.id = key->id,
                              .body_sha256 = key->body_sha256,
                              .status = status,
                              .body = (char *)body,
                              .headers = headers,
                              .created_us = g_get_real_time()};
    return idempotency_insert(tx, &row, row.created_us - REPLAY_US, ret_kept, error);
}

bool access_keep_reply(struct request *request, struct tx *tx, GError **error)
{
    int status = 0;
    const GString *body = reply_body(request, &status);
    bool has_key = (request_route(request)->flags & ROUTE_IDEMPOTENT) != 0;
    struct replay_key *key = has_key ? request_state(request) : NULL;
    if (key == NULL) {
        return true;
    }
    bool kept = false;
    if (!insert(tx, request, key, status, body != NULL ? body->str : "", &kept, error)) {
        return false;
    }
    key->is_kept = true;
    return kept || sy_fail(error, SY_CONFLICT, "a request with this Idempotency-Key is at work just now");
}

static bool look_up(struct request *request, const char *id, const char *request_sha256, bool *ret_replayed,
                    GError **error)
{
    struct app *app = request_app(request);
    struct replay replay = {.id = id};
    if (!store_read(app->store, "idempotency_find", find, &replay, error)) {
        return false;
    }
    g_autoptr(idempotency_t) row = replay.row;
    *ret_replayed = row != NULL && g_get_real_time() - row->created_us < REPLAY_US;
    if (!*ret_replayed) {
        return true;
    }
    if (strcmp(row->body_sha256, request_sha256) != 0) {
        return sy_fail(error, SY_IDEMPOTENCY_MISMATCH, "this Idempotency-Key came before with another request");
    }
    if (row->headers != NULL) {
        reply_headers_set(request, row->headers);
    }
    reply_header(request, "Idempotency-Replayed", "true");
    reply_json_take(request, (int)row->status, g_string_new(row->body));
    return true;
}

static bool begin(struct request *request, const char *text, const char *request_sha256, bool *ret_replayed,
                  GError **error)
{
    g_autofree char *id = replay_id(request, text);
    *ret_replayed = false;
    if (!enter(id)) {
        return sy_fail(error, SY_CONFLICT, "a request with this Idempotency-Key is at work just now");
    }
    bool ok = look_up(request, id, request_sha256, ret_replayed, error);
    if (!ok || *ret_replayed) {
        leave(id);
        return ok;
    }
    struct replay_key *key = g_new0(struct replay_key, 1);
    key->id = g_steal_pointer(&id);
    key->body_sha256 = g_strdup(request_sha256);
    request_set_state(request, key, replay_key_free);
    return true;
}

struct late_reply {
    const struct request *request;
    const struct replay_key *key;
    int status;
    const char *body;
};

static bool insert_late(struct tx *tx, void *arg, GError **error)
{
    const struct late_reply *late = arg;
    bool ignored = false;
    return insert(tx, late->request, late->key, late->status, late->body, &ignored, error);
}

/* A refusal changed nothing: it has a transaction of its own, and one that a crash forgets is decided anew. */
static void finish(struct request *request, const char *text, const char *request_sha256, int status, const char *body,
                   size_t length)
{
    struct app *app = request_app(request);
    const struct replay_key *key = request_state(request);
    bool is_kept = status < 400 && key->is_kept;
    if (body != NULL && !is_kept) {
        g_autoptr(GError) error = NULL;
        g_autofree char *copy = g_strndup(body, length);
        struct late_reply late = {.request = request, .key = key, .status = status, .body = copy};
        if (!store_write(app->store, "idempotency_insert", insert_late, &late, &error)) {
            log_failure("idempotency.not_kept", error, NULL);
        }
    }
    leave(key->id);
}

/* What changed something, and what was refused; the rest is counted only (see /metrics). */
static void replied(const struct request *request, int status, int64_t duration_us)
{
    const char *method = request_method(request);
    const struct caller *caller = request_caller(request);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    char code[16], milliseconds[32];
    if (reads && status < 400) {
        return;
    }
    g_snprintf(code, sizeof code, "%d", status);
    g_snprintf(milliseconds, sizeof milliseconds, "%.1f", (double)duration_us / 1000);
    log_set_request_id(request_id(request));
    log_event(status >= 500 ? LOG_WARN : LOG_INFO, status >= 400 ? "http.request_refused" : "http.request_served",
              "method", method, "path", request_path(request), "status", code, "ms", milliseconds, "caller",
              caller != NULL ? caller->name : NULL, "address", request_client_address(request), NULL);
    log_set_request_id(NULL);
}

void access_callbacks(struct app *app, struct server_callbacks *ret_callbacks)
{
    *ret_callbacks = (struct server_callbacks){
        .app = app,
        .authenticate = authenticate,
        .authorise = authorise,
        .idempotency_begin = begin,
        .idempotency_finish = finish,
        .replied = replied,
    };
}
