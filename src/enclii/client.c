#include "enclii/client.h"

#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "enclii/client_internal.h"

#define TIMEOUT_MS 120000
#define UPLOAD_TIMEOUT_MS (INT64_C(60) * 60 * 1000)
#define MAX_IDLE_US (5 * G_USEC_PER_SEC)
#define ATTEMPTS 4
#define LONGEST_PAUSE_MS 5000
#define MAX_ENTRIES 100000

static const char *variable(const char *name)
{
    const char *value = g_getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* The two variables are those of OpenSSL, curl and git. */
struct http_client *client_connect(const char *endpoint, GError **error)
{
    struct http_client *http = http_client_new(endpoint, error);
    if (http != NULL) {
        http_client_set_authorities(http, variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR"));
    }
    return http;
}

struct client *client_new(const char *endpoint, const struct secret *token, GError **error)
{
    if (token != NULL && check_printable(secret_reveal(token)) != NULL) {
        sy_fail(error, SY_INVALID_INPUT, "the token holds characters that no token has");
        sy_error_set_hint(error, "enclii context add NAME, or set ENCLII_API_TOKEN again");
        return NULL;
    }
    g_autoptr(client_t) client = g_new0(struct client, 1);
    client->http = client_connect(endpoint, error);
    if (client->http == NULL) {
        sy_error_set_hint(error, "An endpoint is unix:PATH, http://HOST:PORT or https://HOST.");
        return NULL;
    }
    client->endpoint = g_strdup(endpoint);
    client->token = token != NULL ? secret_new(secret_reveal(token), secret_length(token)) : NULL;
    return g_steal_pointer(&client);
}

void client_free(struct client *client)
{
    if (client != NULL) {
        http_client_free(client->http);
        secret_free(client->token);
        http_reply_clear(&client->last);
        g_free(client->endpoint);
        g_free(client);
    }
}

const char *client_endpoint(const struct client *client)
{
    return client->endpoint;
}

void client_set_cancelled(struct client *client, const int *cancelled)
{
    client->cancelled = cancelled;
}

char *client_last_header(const struct client *client, const char *name)
{
    return client->last.headers != NULL ? http_reply_header(&client->last, name) : NULL;
}

char *client_target(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    GString *target = g_string_new(NULL);
    for (const char *c = format; *c != '\0'; c++) {
        if (c[0] == '%' && c[1] == 's') {
            g_string_append_uri_escaped(target, va_arg(arguments, const char *), NULL, FALSE);
            c++;
        } else {
            g_string_append_c(target, *c);
        }
    }
    va_end(arguments);
    return g_string_free(target, FALSE);
}

/* --- one exchange -------------------------------------------------------------------------------- */

/* Where nothing answers: what to look at. */
static void explain_silence(const struct client *client, GError **error)
{
    if (sy_error_code(*error) != SY_UNAVAILABLE) {
        return;
    }
    g_prefix_error(error, "cannot reach switchyard: ");
    sy_error_set_hint(error,
                      g_str_has_prefix(client->endpoint, "unix:")
                          ? "Is switchyard running here? Start it, or see: enclii doctor"
                      : g_str_has_prefix(client->endpoint, "https:")
                          ? "Is that the right address? An authority of your own for its certificate is named by "
                            "SSL_CERT_FILE. See: enclii doctor, enclii context list"
                          : "Is that the right address? See: enclii doctor, enclii context list");
}

static void add_headers(const struct client *client, struct http_header *headers, const char *const *more,
                        char **authorization)
{
    size_t n = 0;
    headers[n++] = (struct http_header){"User-Agent", "enclii/" ENCLII_VERSION};
    if (client->token != NULL) {
        *authorization = g_strconcat("Bearer ", secret_reveal(client->token), NULL);
        headers[n++] = (struct http_header){"Authorization", *authorization};
    }
    for (; more != NULL && *more != NULL && n < CLIENT_MAX_HEADERS; more += 2) {
        headers[n++] = (struct http_header){more[0], more[1]};
    }
    headers[n] = (struct http_header){NULL, NULL};
}

/* A connection that was idle for long may be half closed, and a POST is not sent twice: a fresh one.
 */
static bool refresh(struct client *client, GError **error)
{
    int64_t now_us = g_get_monotonic_time();
    if (client->used_us > 0 && now_us - client->used_us > MAX_IDLE_US) {
        struct http_client *http = client_connect(client->endpoint, error);
        if (http == NULL) {
            return false;
        }
        http_client_free(client->http);
        client->http = http;
    }
    client->used_us = now_us;
    return true;
}

bool client_exchange(struct client *client, struct http_client *http, struct http_exchange *exchange,
                     const char *const *more, struct http_reply *ret_reply, GError **error)
{
    struct http_header headers[CLIENT_MAX_HEADERS + 1];
    char *authorization = NULL;
    GError *failure = NULL;
    add_headers(client, headers, more, &authorization);
    exchange->headers = headers;
    exchange->cancelled = client->cancelled;
    bool ok = http_client_call(http, exchange, ret_reply, &failure);
    secret_string_free(authorization);
    if (!ok) {
        explain_silence(client, &failure);
        g_propagate_error(error, failure);
    }
    return ok;
}

bool client_raw(struct client *client, const char *method, const char *target, const char *content_type,
                const void *body, size_t length, struct http_reply *ret_reply, GError **error)
{
    char *key = strcmp(method, "POST") == 0 ? uuid_new() : NULL;
    const char *headers[] = {"Accept", "application/json, */*", NULL, NULL, NULL, NULL, NULL};
    size_t n = 2;
    if (content_type != NULL) {
        headers[n++] = "Content-Type";
        headers[n++] = content_type;
    }
    if (key != NULL) {
        headers[n++] = "Idempotency-Key";
        headers[n++] = key;
    }
    struct http_exchange exchange = {
        .method = method, .target = target, .body = body, .body_length = length, .timeout_ms = TIMEOUT_MS};
    bool ok = refresh(client, error) && client_exchange(client, client->http, &exchange, headers, ret_reply, error);
    g_free(key);
    return ok;
}

/* --- problems ------------------------------------------------------------------------------------ */

/* For a reply that is no problem of ours: a proxy, a wrong address. */
static enum sy_code code_of_status(int status)
{
    switch (status) {
    case 400:
        return SY_INVALID_INPUT;
    case 401:
        return SY_NOT_SIGNED_IN;
    case 403:
        return SY_NOT_ALLOWED;
    case 404:
        return SY_NOT_FOUND;
    case 405:
        return SY_METHOD_NOT_ALLOWED;
    case 409:
        return SY_CONFLICT;
    case 412:
        return SY_STALE;
    case 413:
        return SY_TOO_LARGE;
    case 429:
        return SY_RATE_LIMITED;
    case 504:
        return SY_TIMEOUT;
    case 502:
    case 503:
        return SY_UNAVAILABLE;
    default:
        return SY_INTERNAL;
    }
}

static const char *text_member(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void add_issues(const json_t *problem, GError **error)
{
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(problem, "errors"), index, entry)
    {
        const char *path = text_member(entry, "path");
        const char *detail = text_member(entry, "detail");
        const char *code = text_member(entry, "code");
        if (path != NULL && detail != NULL && index < 50) {
            sy_error_add_issue(error, path, code != NULL ? code : "invalid", detail);
        }
    }
}

bool client_problem(const struct http_reply *reply, GError **error)
{
    json_t *problem = json_loadb(reply->body->str, reply->body->len, JSON_REJECT_DUPLICATES, NULL);
    const char *name = text_member(problem, "code");
    const char *detail = text_member(problem, "detail");
    const char *hint = text_member(problem, "hint");
    int known = name != NULL ? sy_code_from_name(name) : -1;
    enum sy_code code = known >= 0 ? (enum sy_code)known : code_of_status(reply->status);
    GError *made = NULL;
    if (detail == NULL) {
        detail = text_member(problem, "error");
    }
    if (detail != NULL) {
        sy_fail(&made, code, "%s", detail);
    } else {
        sy_fail(&made, code, "the server answered HTTP %d", reply->status);
    }
    add_issues(problem, &made);
    if (hint != NULL) {
        sy_error_set_hint(&made, "%s", hint);
    }
    const char *request_id = text_member(problem, "request_id");
    if (code == SY_INTERNAL && request_id != NULL) {
        g_prefix_error(&made, "request %s: ", request_id);
    }
    json_decref(problem);
    g_propagate_error(error, made);
    return false;
}

/* --- JSON ---------------------------------------------------------------------------------------- */

static json_t *parse_reply(const struct client *client, const struct http_reply *reply, GError **error)
{
    if (reply->body->len == 0) {
        return json_null();
    }
    json_error_t where;
    json_t *json = json_loadb(reply->body->str, reply->body->len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (json == NULL) {
        sy_fail(error, SY_INTERNAL, "%s did not answer with JSON (line %d: %s)", client->endpoint, where.line,
                where.text);
        sy_error_set_hint(error, "Is that the API of a switchyard? See: enclii context list");
    }
    return json;
}

/* How long to wait before the same again; 0: do not. Only what the server refused before it did
 * anything is repeated. */
static int64_t pause_ms(const struct http_reply *reply, int attempt)
{
    if (attempt + 1 >= ATTEMPTS || (reply->status != 503 && reply->status != 429)) {
        return 0;
    }
    g_autofree char *after = http_reply_header(reply, "retry-after");
    if (after == NULL) {
        return 0;
    }
    int64_t asked_ms = g_ascii_strtoll(after, NULL, 10) * 1000;
    if (asked_ms > LONGEST_PAUSE_MS) {
        return 0;
    }
    return MAX(asked_ms, 100) + g_random_int_range(0, 250);
}

static bool is_cancelled(const struct client *client)
{
    return client->cancelled != NULL && g_atomic_int_get(client->cancelled) != 0;
}

bool client_pause(const struct client *client, int64_t duration_ms, GError **error)
{
    int64_t end_us = g_get_monotonic_time() + duration_ms * 1000;
    while (!is_cancelled(client)) {
        int64_t left_us = end_us - g_get_monotonic_time();
        if (left_us <= 0) {
            return true;
        }
        g_usleep((gulong)MIN(left_us, 100000));
    }
    return sy_fail(error, SY_CANCELLED, "interrupted");
}

static bool call_repeatedly(struct client *client, struct http_exchange *exchange, const char *const *headers,
                            GError **error)
{
    for (int attempt = 0;; attempt++) {
        http_reply_clear(&client->last);
        client->last = (struct http_reply){0};
        if (!refresh(client, error) ||
            !client_exchange(client, client->http, exchange, headers, &client->last, error)) {
            return false;
        }
        int64_t wait_ms = pause_ms(&client->last, attempt);
        if (wait_ms == 0) {
            return true;
        }
        if (!client_pause(client, wait_ms, error)) {
            return false;
        }
    }
}

static json_t *call_json(struct client *client, struct http_exchange *exchange, const char *const *headers,
                         GError **error)
{
    if (!call_repeatedly(client, exchange, headers, error)) {
        return NULL;
    }
    if (client->last.status < 200 || client->last.status > 299) {
        client_problem(&client->last, error);
        return NULL;
    }
    return parse_reply(client, &client->last, error);
}

json_t *client_send(struct client *client, const char *method, const char *target, const json_t *body, GError **error)
{
    g_autofree char *key = strcmp(method, "POST") == 0 ? uuid_new() : NULL;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    const char *headers[] = {"Accept", "application/json", NULL, NULL, NULL, NULL, NULL};
    size_t n = 2;
    if (text != NULL) {
        headers[n++] = "Content-Type";
        headers[n++] = "application/json";
    }
    if (key != NULL) {
        headers[n++] = "Idempotency-Key";
        headers[n++] = key;
    }
    struct http_exchange exchange = {.method = method,
                                     .target = target,
                                     .body = text,
                                     .body_length = text != NULL ? strlen(text) : 0,
                                     .timeout_ms = TIMEOUT_MS};
    json_t *reply = call_json(client, &exchange, headers, error);
    if (text != NULL) {
        secret_wipe(text, strlen(text)); /* it may hold a value that is secret */
        free(text);
    }
    return reply;
}

json_t *client_get(struct client *client, const char *target, GError **error)
{
    return client_send(client, "GET", target, NULL, error);
}

json_t *client_upload(struct client *client, const char *target, int fd, size_t length, GError **error)
{
    const char *const headers[] = {"Content-Type", "application/x-tar", "Accept", "application/json", NULL};
    struct http_exchange exchange = {
        .method = "PUT", .target = target, .body_fd = fd, .body_length = length, .timeout_ms = UPLOAD_TIMEOUT_MS};
    http_reply_clear(&client->last);
    client->last = (struct http_reply){0};
    if (!refresh(client, error) || !client_exchange(client, client->http, &exchange, headers, &client->last, error)) {
        return NULL;
    }
    if (client->last.status < 200 || client->last.status > 299) {
        client_problem(&client->last, error);
        return NULL;
    }
    return parse_reply(client, &client->last, error);
}

/* --- lists --------------------------------------------------------------------------------------- */

static char *next_target(const char *target, const char *cursor)
{
    const char *separator = strchr(target, '?') != NULL ? "&" : "?";
    g_autofree char *escaped = g_uri_escape_string(cursor, NULL, FALSE);
    return g_strdup_printf("%s%scursor=%s", target, separator, escaped);
}

json_t *client_get_all(struct client *client, const char *target, const char *list_key, GError **error)
{
    json_t *all = json_array();
    g_autofree char *page_target = g_strdup(target);
    while (page_target != NULL) {
        json_t *page = client_get(client, page_target, error);
        json_t *entries = json_object_get(page, list_key);
        const char *cursor = text_member(page, "next_cursor");
        bool fits = json_array_size(all) + json_array_size(entries) <= MAX_ENTRIES;
        bool goes_on = cursor != NULL && json_array_size(entries) > 0;
        g_free(page_target);
        page_target = goes_on ? next_target(target, cursor) : NULL;
        if (page != NULL && fits && json_is_array(entries)) {
            json_array_extend(all, entries);
            json_decref(page);
            continue;
        }
        if (page != NULL && !fits) {
            sy_fail(error, SY_TOO_LARGE, "more than %d %s", MAX_ENTRIES, list_key);
        } else if (page != NULL) {
            sy_fail(error, SY_INTERNAL, "%s: the reply to %s has no list of %s", client->endpoint, target, list_key);
        }
        json_decref(page);
        json_decref(all);
        return NULL;
    }
    return json_pack("{s:o, s:n}", list_key, all, "next_cursor");
}

void *client_decode(const struct type *type, const json_t *json, GError **error)
{
    void *object = contract_new(type);
    if (!contract_decode(type, object, json, DECODE_STORED, error)) {
        g_prefix_error(error, "the server's reply: ");
        contract_object_free(object);
        return NULL;
    }
    return object;
}

GPtrArray *client_decode_list(const struct type *type, const json_t *reply, const char *list_key, GError **error)
{
    g_autoptr(GPtrArray) objects = contract_array_new(type);
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(reply, list_key), index, entry)
    {
        void *object = client_decode(type, entry, error);
        if (object == NULL) {
            return NULL;
        }
        g_ptr_array_add(objects, object);
    }
    return g_steal_pointer(&objects);
}
