/* Logs: of a service in an environment, of a deployment, of a build; read, followed, or over a WebSocket. */
#include <string.h>

#include "base/log.h"
#include "base/quantity.h"
#include "base/timestamp.h"
#include "logs/log_store.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"

#define DEFAULT_LINES 200
#define MAX_TEXT (8 << 20)

static const char *const stream_names[] = {"stdout", "stderr", "system"};

/* --- what is asked for ---------------------------------------------------------------------------------------------------- */

/* An RFC 3339 time, or a duration before now ("10m"). */
static bool read_time(const struct call *call, const char *name, int64_t *ret_us, GError **error)
{
    const char *text = request_query(call->request, name);
    int64_t duration_ms;
    if (text == NULL || timestamp_parse(text, ret_us)) {
        return true;
    }
    if (duration_parse(text, &duration_ms)) {
        *ret_us = call->now_us - duration_ms * 1000;
        return true;
    }
    g_autofree char *path = g_strdup_printf("query.%s", name);
    sy_error_add_issue(error, path, "pattern", "must be an RFC 3339 time or a duration such as 10m");
    return false;
}

static bool read_query(const struct call *call, struct log_query *query, GError **error)
{
    const struct request *request = call->request;
    *query = (struct log_query){
        .limit = request_query_int(request, "limit", request_query_int(request, "lines", DEFAULT_LINES)),
        .grep = request_query(request, "grep"),
        .source = request_query(request, "instance"),
    };
    const char *after = request_header(request, "Last-Event-ID");
    if (after != NULL) {
        query->after_sequence = g_ascii_strtoull(after, NULL, 10);
        query->limit = 0;
    }
    return read_time(call, "since", &query->since_us, error) && read_time(call, "until", &query->until_us, error);
}

/* The log's key goes to call->text. */
static bool find_service_log(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(service_t) service = NULL;
    g_autoptr(environment_t) environment = NULL;
    call_reset(call);
    const char *named = request_query(call->request, "environment");
    if (named == NULL) {
        named = request_query(call->request, "env");
    }
    if (!call_service(tx, call, &service, error) || !call_environment(tx, call, service, named, &environment, error)) {
        return false;
    }
    call->text = g_strdup_printf("%s/%s", service->id, environment->id);
    return true;
}

static bool find_deployment_log(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(deployment_t) deployment = NULL;
    call_reset(call);
    if (!deployment_by_id(tx, &call->scope, call_parameter(call, "id"), &deployment, error)) {
        return false;
    }
    call->text = g_strdup_printf("%s/%s", deployment->service_id, deployment->environment_id);
    call->number = deployment->created_us;
    return true;
}

static bool find_build_log(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    struct release *release = NULL;
    if (!call_service(tx, call, &service, error) ||
        !release_by_reference(tx, &call->scope, service->id, call_parameter(call, "release_id"), &release, error)) {
        return false;
    }
    call->row = release;
    call->text = g_strdup_printf("build/%s", release->id);
    return true;
}

/* --- as one answer --------------------------------------------------------------------------------------------------------- */

static void set_record(struct log_record *record, const struct log_line *line, char *text, char *source)
{
    *record = (struct log_record){
        .time_us = line->time_us,
        .instance = source,
        .stream = (char *)stream_names[line->stream],
        .text = text,
        .sequence = (int64_t)line->sequence,
    };
}

/* Whatever a program prints, JSON gets UTF-8. */
static char *valid_text(const struct log_line *line)
{
    return g_utf8_make_valid(line->text, (gssize)line->length);
}

static char *encode_line(const struct log_line *line)
{
    g_autofree char *text = valid_text(line);
    g_autofree char *source = g_strdup(line->source);
    struct log_record record;
    set_record(&record, line, text, source);
    return contract_encode_text(&log_record_type, &record, ENCODE_PUBLIC);
}

static bool collect_record(const struct log_line *line, void *arg)
{
    GPtrArray *records = arg;
    struct log_record *record = contract_new(&log_record_type);
    set_record(record, line, valid_text(line), g_strdup(line->source));
    record->stream = g_strdup(record->stream);
    g_ptr_array_add(records, record);
    return true;
}

static bool collect_text(const struct log_line *line, void *arg)
{
    GString *out = arg;
    g_autofree char *text = valid_text(line);
    g_string_append(out, text);
    g_string_append_c(out, '\n');
    return out->len < MAX_TEXT;
}

static bool reply_text(struct call *call, const struct log_query *query, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (!log_store_read(call->app->logs, call->text, query, collect_text, text, error)) {
        return false;
    }
    struct log_text reply = {.logs = text->str};
    reply_object(call->request, &log_text_type, &reply, 0);
    return true;
}

static bool reply_records(struct call *call, const struct log_query *query, GError **error)
{
    g_autoptr(GPtrArray) records = contract_array_new(&log_record_type);
    if (!log_store_read(call->app->logs, call->text, query, collect_record, records, error)) {
        return false;
    }
    reply_list(call->request, "logs", &log_record_type, records, NULL);
    return true;
}

/* --- threads that outlive their request: the daemon waits for them before it takes its parts away ------------------------- */

static GMutex threads_lock; /* guards n_threads */
static GCond threads_ended;
static int n_threads;

static void start_thread(const char *name, GThreadFunc fn, void *arg)
{
    g_mutex_lock(&threads_lock);
    n_threads++;
    g_mutex_unlock(&threads_lock);
    g_thread_unref(g_thread_new(name, fn, arg));
}

static void thread_ends(void)
{
    g_mutex_lock(&threads_lock);
    n_threads--;
    g_cond_broadcast(&threads_ended);
    g_mutex_unlock(&threads_lock);
}

void log_handlers_drain(void)
{
    g_mutex_lock(&threads_lock);
    while (n_threads > 0) {
        g_cond_wait(&threads_ended, &threads_lock);
    }
    g_mutex_unlock(&threads_lock);
}

/* --- as a stream ------------------------------------------------------------------------------------------------------------- */

struct following {
    struct stream *stream;
    struct log_follow *follow;
    GMutex lock; /* the stream may end while the follow is being started */
    uint64_t last_sequence;
};

static bool send_line(const struct log_line *line, void *arg)
{
    struct following *following = arg;
    g_autofree char *data = encode_line(line);
    char id[24];
    g_snprintf(id, sizeof id, "%" G_GUINT64_FORMAT, line->sequence);
    following->last_sequence = line->sequence;
    return stream_send(following->stream, id, "log", data, strlen(data));
}

static bool send_frame(const struct log_line *line, void *arg)
{
    struct following *following = arg;
    g_autofree char *text = valid_text(line);
    g_autoptr(GString) frame = g_string_new(NULL);
    struct json_writer writer;
    char time[TIMESTAMP_LENGTH + 1];
    timestamp_format(line->time_us, time);
    json_writer_init(&writer, frame);
    json_object_open(&writer);
    json_member_string(&writer, "type", "log");
    json_member_string(&writer, "pod", line->source);
    json_member_string(&writer, "container", stream_names[line->stream]);
    json_member_string(&writer, "timestamp", time);
    json_member_string(&writer, "message", text);
    json_object_close(&writer);
    return stream_send(following->stream, NULL, NULL, frame->str, frame->len);
}

static void send_missed(int64_t missed, void *arg)
{
    struct following *following = arg;
    g_autofree char *data = g_strdup_printf("{\"missed\":%" G_GINT64_FORMAT "}", missed);
    (void)stream_send(following->stream, NULL, "missed", data, strlen(data));
}

static void following_free(struct following *following)
{
    stream_unref(following->stream);
    g_mutex_clear(&following->lock);
    g_free(following);
}

static gpointer end_following(gpointer data)
{
    struct following *following = data;
    g_mutex_lock(&following->lock); /* until log_follow_start has returned */
    g_mutex_unlock(&following->lock);
    log_follow_stop(following->follow);
    following_free(following);
    thread_ends();
    return NULL;
}

/* Runs on a loop, which must not wait for the follower: a thread of its own does. */
static void on_stream_close(void *arg)
{
    start_thread("follow-end", end_following, arg);
}

/* Takes the stream's reference. */
static struct following *following_new(struct call *call, const struct log_query *query, struct stream *stream,
                                       log_line_fn send, GError **error)
{
    struct following *following = g_new0(struct following, 1);
    following->stream = stream;
    g_mutex_init(&following->lock);
    g_mutex_lock(&following->lock);
    following->follow = log_follow_start(call->app->logs, call->text, query, send, send_missed, following, error);
    g_mutex_unlock(&following->lock);
    if (following->follow == NULL) {
        following_free(following);
        return NULL;
    }
    return following;
}

/* Takes the stream's reference; ends with the stream. */
static bool follow(struct call *call, const struct log_query *query, struct stream *stream, log_line_fn send,
                   GError **error)
{
    struct following *following = following_new(call, query, stream, send, error);
    if (following != NULL) {
        stream_on_close(stream, on_stream_close, following);
    }
    return following != NULL;
}

static enum stream_format format_of(const struct request *request)
{
    const char *accept = request_header(request, "Accept");
    return accept != NULL && strstr(accept, "application/x-ndjson") != NULL ? STREAM_NDJSON : STREAM_SSE;
}

/* --- handlers ------------------------------------------------------------------------------------------------------------------- */

bool log_of_service(struct request *request, GError **error)
{
    g_auto(call_t) call;
    struct log_query query;
    call_init(&call, request);
    if (!read_query(&call, &query, error) || !call_read(&call, find_service_log, error)) {
        return false;
    }
    if (request_query_bool(request, "follow")) {
        return follow(&call, &query, reply_stream(request, format_of(request)), send_line, error);
    }
    return reply_records(&call, &query, error);
}

bool log_of_deployment(struct request *request, GError **error)
{
    g_auto(call_t) call;
    struct log_query query;
    call_init(&call, request);
    if (!read_query(&call, &query, error) || !call_read(&call, find_deployment_log, error)) {
        return false;
    }
    query.since_us = MAX(query.since_us, call.number);
    if (request_query_bool(request, "follow")) {
        return follow(&call, &query, reply_stream(request, format_of(request)), send_line, error);
    }
    return reply_text(&call, &query, error);
}

/* The log of a build ends: its follower gets an `end` event with the release's status, then the stream closes. */
struct build_following {
    struct app *app;
    struct following *following;
    char *release_id;
    char *key;
};

static bool read_release(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct build_following *watching = call->argument;
    call_reset(call);
    return release_by_id(tx, &call->scope, watching->release_id, (struct release **)&call->row, error);
}

/* The status of a build that has ended; NULL while it has not (or that cannot be read just now). */
static const char *final_status(struct build_following *watching)
{
    struct call call = {.app = watching->app, .argument = watching, .scope = app_scope(watching->app)};
    g_autoptr(GError) ignored = NULL;
    const char *status = NULL;
    if (store_read(watching->app->store, "followed_build", read_release, &call, &ignored) &&
        ((const struct release *)call.row)->status > RELEASE_BUILDING) {
        status = release_statuses[((const struct release *)call.row)->status];
    }
    call_clear(&call);
    return status;
}

/* What the follower has not sent yet is read here, so that nothing of the log is missing before its end. */
static void send_rest(struct build_following *watching, const char *status)
{
    struct following *following = watching->following;
    log_follow_stop(following->follow);
    const struct log_query rest = {.after_sequence = following->last_sequence};
    g_autoptr(GError) ignored = NULL;
    if (!log_store_read(watching->app->logs, watching->key, &rest, send_line, following, &ignored)) {
        log_failure("log.rest_unread", ignored, "key", watching->key, NULL);
    }
    g_autofree char *text = g_strdup_printf("{\"status\":\"%s\"}", status);
    (void)stream_send(following->stream, NULL, "end", text, strlen(text));
    stream_end(following->stream);
}

static gpointer watch_build(gpointer data)
{
    struct build_following *watching = data;
    const char *status = NULL;
    while (!stream_is_closed(watching->following->stream) && (status = final_status(watching)) == NULL) {
        hub_wait(watching->app->hub, 1000);
    }
    if (status != NULL) {
        send_rest(watching, status);
    } else {
        log_follow_stop(watching->following->follow);
    }
    following_free(watching->following);
    g_free(watching->release_id);
    g_free(watching->key);
    g_free(watching);
    thread_ends();
    return NULL;
}

bool log_of_build(struct request *request, GError **error)
{
    g_auto(call_t) call;
    struct log_query query;
    call_init(&call, request);
    if (!read_query(&call, &query, error) || !call_read(&call, find_build_log, error)) {
        return false;
    }
    if (request_query(request, "limit") == NULL && request_query(request, "lines") == NULL) {
        query.limit = 0; /* a build's log is read whole */
    }
    if (!request_query_bool(request, "follow")) {
        return reply_text(&call, &query, error);
    }
    struct following *following =
        following_new(&call, &query, reply_stream(request, format_of(request)), send_line, error);
    if (following == NULL) {
        return false;
    }
    struct build_following *watching = g_new0(struct build_following, 1);
    watching->app = call.app;
    watching->following = following;
    watching->release_id = g_strdup(((const struct release *)call.row)->id);
    watching->key = g_strdup(call.text);
    start_thread("build-watch", watch_build, watching);
    return true;
}

bool log_websocket(struct request *request, GError **error)
{
    g_auto(call_t) call;
    struct log_query query;
    call_init(&call, request);
    if (!read_query(&call, &query, error) || !call_read(&call, find_service_log, error)) {
        return false;
    }
    struct stream *stream = reply_websocket(request, error);
    if (stream == NULL) {
        return false;
    }
    static const char connected[] = "{\"type\":\"connected\"}";
    (void)stream_send(stream, NULL, NULL, connected, sizeof connected - 1);
    return follow(&call, &query, stream, send_frame, error);
}
