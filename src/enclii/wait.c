#include "enclii/wait.h"

#include <string.h>

#include "base/quantity.h"
#include "base/timestamp.h"
#include "enclii/client.h"
#include "enclii/term.h"
#include "model/service.h"

#define POLL_MS 500
#define TAIL_LINES 20

/* --- common ------------------------------------------------------------------------------------------------------------------- */

static void *get_object(struct cli *cli, const struct type *type, const char *folder, const char *id, GError **error)
{
    struct client *client = cli_client(cli, error);
    if (client == NULL) {
        return NULL;
    }
    g_autofree char *name = client_target("%s", id);
    g_autofree char *target = g_strconcat(folder, name, NULL);
    json_t *json = client_get(client, target, error);
    void *object = json != NULL ? client_decode(type, json, error) : NULL;
    json_decref(json);
    return object;
}

/* One thing that is being waited for. */
struct watch {
    struct progress *progress;
    const char *service;
    const char *what;   /* for messages: "the build of web" */
    const char *target; /* of its stream of events */
    stream_event_fn on_event;
    void *arg;
    char *last_id; /* of the last event, kept by remember_id */
    const struct type *type;
    const char *object_folder;
    const char *id;
    bool (*is_over)(const void *object);
};

static void remember_id(struct watch *watch, const struct stream_event *event)
{
    if (event->id != NULL) {
        g_free(watch->last_id);
        watch->last_id = g_strdup(event->id);
    }
}

/* Between two looks; false with the error when there must be no more of them. */
static bool pause_before_next(const struct watch *watch, GError **error)
{
    if (g_get_monotonic_time() >= watch->progress->deadline_us) {
        char limit[QUANTITY_LENGTH];
        duration_format(watch->progress->cli->timeout_ms, limit);
        sy_fail(error, SY_TIMEOUT, "%s was not over within %s; it goes on", watch->what, limit);
        sy_error_set_hint(error, "Look with enclii status, or wait for longer: --timeout 30m");
        return false;
    }
    return client_pause(watch->progress->cli->client, POLL_MS, error);
}

/* Reads events until one of them says that it is over, then the object; a stream that breaks is not the end as long as the
 * object can be read (the stream has tried for a minute by then). */
static void *watch_until_over(struct watch *watch, GError **error)
{
    for (;;) {
        GError *failure = NULL;
        bool is_streamed = client_stream(watch->progress->cli->client, watch->target, watch->last_id,
                                         progress_left_ms(watch->progress), watch->on_event, watch->arg, &failure);
        if (!is_streamed && !sy_code_info(sy_error_code(failure))->retryable) {
            g_propagate_error(error, failure);
            return NULL;
        }
        g_clear_error(&failure);
        void *object = get_object(watch->progress->cli, watch->type, watch->object_folder, watch->id, &failure);
        if (object != NULL && watch->is_over(object)) {
            return object;
        }
        contract_object_free(object);
        if (failure != NULL && (!is_streamed || !sy_code_info(sy_error_code(failure))->retryable)) {
            g_propagate_error(error, failure);
            return NULL;
        }
        g_clear_error(&failure);
        if (!pause_before_next(watch, error)) {
            return NULL;
        }
    }
}

/* --- builds ------------------------------------------------------------------------------------------------------------------- */

struct build_watch {
    struct watch watch;
    GQueue tail; /* char * */
};

static void take_line(struct build_watch *building, const char *text)
{
    struct progress *progress = building->watch.progress;
    g_queue_push_tail(&building->tail, g_strdup(text));
    if (building->tail.length > TAIL_LINES) {
        g_free(g_queue_pop_head(&building->tail));
    }
    if (progress->cli->verbose) {
        progress_say(progress, "  %s | %s", building->watch.service, text);
    } else {
        progress_show(progress, building->watch.service, "build", text);
    }
}

static bool on_build_event(const struct stream_event *event, void *arg)
{
    struct build_watch *building = arg;
    if (strcmp(event->type, "end") == 0) {
        return false;
    }
    remember_id(&building->watch, event);
    json_t *json = strcmp(event->type, "log") == 0 ? json_loads(event->data, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(json, "text"));
    if (text != NULL) {
        take_line(building, text);
    }
    json_decref(json);
    return true;
}

static bool is_build_over(const void *object)
{
    return ((const struct release *)object)->status > RELEASE_BUILDING;
}

static char *join_tail(const GQueue *tail)
{
    GString *out = g_string_new(NULL);
    for (const GList *link = tail->head; link != NULL; link = link->next) {
        g_string_append_printf(out, "%s%s", out->len > 0 ? "\n" : "", (const char *)link->data);
    }
    return g_string_free(out, FALSE);
}

/* The builder's own last words are the release's message and hint, which are said anyway. */
static bool is_said_anyway(const struct release *release, const char *line)
{
    const char *const prefixes[] = {"failed: ", "hint: "};
    const char *const words[] = {release->error_message, release->hint};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (words[i] != NULL && g_str_has_prefix(line, prefixes[i]) &&
            strcmp(line + strlen(prefixes[i]), words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static char *lines_of_build(const struct release *release, const char *last_lines)
{
    g_auto(GStrv) lines = g_strsplit(last_lines != NULL ? last_lines : "", "\n", -1);
    GString *out = g_string_new(NULL);
    for (char **line = lines; *line != NULL; line++) {
        if (!is_said_anyway(release, *line)) {
            g_string_append_printf(out, "%s%s", out->len > 0 ? "\n" : "", *line);
        }
    }
    return g_string_free(out, FALSE);
}

bool release_outcome(const struct release *release, const char *service, const char *last_lines, GError **error)
{
    const char *message = release->error_message;
    if (release->status == RELEASE_READY) {
        return true;
    }
    if (release->status == RELEASE_CANCELLED) {
        return sy_fail(error, SY_CANCELLED, "the build of %s (%s) was cancelled%s%s", service, release->version,
                       message != NULL ? ": " : "", message != NULL ? message : "");
    }
    int named = release->error_code != NULL ? sy_code_from_name(release->error_code) : -1;
    bool is_of_build =
        named >= 0 && sy_code_info((enum sy_code)named)->exit_code == sy_code_info(SY_BUILD_FAILED)->exit_code;
    /* The server's message has the last lines as a rule; say them only once. */
    g_autofree char *lines = lines_of_build(release, last_lines);
    bool has_lines = (message != NULL && strchr(message, '\n') != NULL) || *lines == '\0';
    enum sy_code code = is_of_build ? (enum sy_code)named : SY_BUILD_FAILED;
    sy_fail(error, code, "the build of %s (%s) failed%s%s%s%s", service, release->version, message != NULL ? ": " : "",
            message != NULL ? message : "", has_lines ? "" : "\nIts last lines:\n", has_lines ? "" : lines);
    if (release->hint != NULL && strcmp(release->hint, sy_code_info(SY_BUILD_FAILED)->hint) != 0) {
        sy_error_set_hint(error, "%s", release->hint);
    } else if (code == SY_BUILD_FAILED) {
        sy_error_set_hint(error, "Read the whole log: enclii logs --build %s", service);
    }
    return false;
}

struct release *wait_for_build(struct progress *progress, const char *service, const struct release *release,
                               GError **error)
{
    g_autofree char *what = g_strdup_printf("the build of %s", service);
    g_autofree char *target =
        client_target("/v1/services/%s/builds/%s/logs?follow=true", release->service_id, release->id);
    struct build_watch building = {.tail = G_QUEUE_INIT};
    building.watch = (struct watch){.progress = progress,
                                    .service = service,
                                    .what = what,
                                    .target = target,
                                    .on_event = on_build_event,
                                    .arg = &building,
                                    .type = &release_type,
                                    .object_folder = "/v1/releases/",
                                    .id = release->id,
                                    .is_over = is_build_over};
    progress_show(progress, service, "build", release_statuses[release->status]);
    struct release *ended = watch_until_over(&building.watch, error);
    g_autofree char *last_lines = join_tail(&building.tail);
    progress_clear_line(progress);
    g_queue_clear_full(&building.tail, g_free);
    g_free(building.watch.last_id);
    if (ended != NULL && !release_outcome(ended, service, last_lines, error)) {
        g_clear_pointer(&ended, contract_object_free);
    }
    return ended;
}

/* --- deployments -------------------------------------------------------------------------------------------------------------- */

struct deployment_watch {
    struct watch watch;
    int64_t routed_us; /* when the first instance got its traffic, by the server's clock; 0: not yet */
};

static bool ends_deployment(const char *type)
{
    static const char *const types[] = {"deployment.running",   "deployment.failed",  "deployment.superseded",
                                        "deployment.cancelled", "deployment.retired", NULL};
    return g_strv_contains(types, type);
}

static bool on_deployment_event(const struct stream_event *event, void *arg)
{
    struct deployment_watch *deploying = arg;
    struct progress *progress = deploying->watch.progress;
    json_t *json = json_loads(event->data, 0, NULL);
    const char *message = json_string_value(json_object_get(json, "message"));
    const char *time = json_string_value(json_object_get(json, "created_at"));
    remember_id(&deploying->watch, event);
    if (strcmp(event->type, "instance.routed") == 0 && deploying->routed_us == 0 && time != NULL) {
        (void)timestamp_parse(time, &deploying->routed_us);
    }
    if (message != NULL && progress->cli->verbose) {
        progress_say(progress, "  %s | %s", deploying->watch.service, message);
    } else if (message != NULL) {
        progress_show(progress, deploying->watch.service, "start", message);
    }
    json_decref(json);
    return !ends_deployment(event->type);
}

bool deployment_outcome(const struct deployment *deployment, const char *service, GError **error)
{
    g_autofree char *message = g_strdup(deployment->error_message);
    if (message != NULL) {
        g_strchomp(message); /* it ends with log lines */
    }
    switch ((enum deployment_status)deployment->status) {
    case DEPLOYMENT_RUNNING:
        return true;
    case DEPLOYMENT_SUPERSEDED:
        sy_fail(error, SY_CONFLICT, "%s of %s was superseded by a newer deployment", deployment->version, service);
        sy_error_set_hint(error, "enclii status shows what runs.");
        return false;
    case DEPLOYMENT_CANCELLED:
        return sy_fail(error, SY_CANCELLED, "%s of %s was cancelled", deployment->version, service);
    case DEPLOYMENT_FAILED:
        break;
    default:
        return sy_fail(error, SY_INTERNAL, "%s of %s is not over", deployment->version, service);
    }
    int named = deployment->error_code != NULL ? sy_code_from_name(deployment->error_code) : -1;
    bool is_of_deploy =
        named >= 0 && sy_code_info((enum sy_code)named)->exit_code == sy_code_info(SY_DEPLOY_FAILED)->exit_code;
    sy_fail(error, is_of_deploy ? (enum sy_code)named : SY_DEPLOY_FAILED, "%s in %s failed: %s", service,
            deployment->environment, message != NULL ? message : "for no reason that is known");
    if (deployment->hint != NULL) {
        sy_error_set_hint(error, "%s", deployment->hint);
    }
    return false;
}

static int64_t span_ms(int64_t from_us, int64_t to_us)
{
    return from_us > 0 && to_us >= from_us ? (to_us - from_us) / 1000 : 0;
}

static void tell_steps(const struct deployment_watch *deploying, const struct deployment *deployment)
{
    struct progress *progress = deploying->watch.progress;
    const char *service = deploying->watch.service;
    int64_t start_us = deployment->started_us != CONTRACT_ABSENT ? deployment->started_us : deployment->created_us;
    int64_t healthy_us = deploying->routed_us > 0 ? deploying->routed_us : deployment->finished_us;
    g_autofree char *healthy = deployment->replicas > 0
                                   ? g_strdup_printf("%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " healthy",
                                                     deployment->replicas, deployment->replicas)
                                   : g_strdup("stopped: 0 replicas");
    progress_done(progress, service, "start", healthy, span_ms(start_us, healthy_us), NULL);
    if (deployment->gap_ms != CONTRACT_ABSENT) {
        progress_done(progress, service, "gap", "nothing ran, its volume has one writer; requests waited",
                      deployment->gap_ms, NULL);
    }
    if (deployment->url != NULL && deployment->replicas > 0) {
        bool is_known = deployment->requests_lost != CONTRACT_ABSENT;
        g_autofree char *route = is_known
                                     ? g_strdup_printf("%" G_GINT64_FORMAT " requests lost", deployment->requests_lost)
                                     : g_strdup("gets traffic");
        progress_done(progress, service, "route", route, span_ms(healthy_us, deployment->finished_us), NULL);
    }
}

static bool is_deployment_over(const void *object)
{
    const struct deployment *deployment = object;
    return deployment->status != DEPLOYMENT_PENDING && deployment->status != DEPLOYMENT_DEPLOYING;
}

struct deployment *wait_until_deployed(struct progress *progress, const char *service, const char *deployment_id,
                                       GError **error)
{
    g_autofree char *what = g_strdup_printf("the deployment of %s", service);
    g_autofree char *target = client_target("/v1/events?deployment=%s", deployment_id);
    struct deployment_watch deploying = {.routed_us = 0};
    deploying.watch = (struct watch){.progress = progress,
                                     .service = service,
                                     .what = what,
                                     .target = target,
                                     .on_event = on_deployment_event,
                                     .arg = &deploying,
                                     .last_id = g_strdup("0"), /* its whole history, so that nothing is missed */
                                     .type = &deployment_type,
                                     .object_folder = "/v1/deployments/",
                                     .id = deployment_id,
                                     .is_over = is_deployment_over};
    struct deployment *ended = watch_until_over(&deploying.watch, error);
    progress_clear_line(progress);
    if (ended != NULL && deployment_outcome(ended, service, error)) {
        tell_steps(&deploying, ended);
    } else {
        g_clear_pointer(&ended, contract_object_free);
    }
    g_free(deploying.watch.last_id);
    return ended;
}

/* --- for the other commands --------------------------------------------------------------------------------------------------- */

/* What Ctrl-C ends is the watching. */
static void explain_interruption(const struct deployment *deployment, GError **error)
{
    if (sy_error_code(*error) == SY_CANCELLED && g_atomic_int_get(term_interrupted()) != 0) {
        g_clear_error(error);
        sy_fail(error, SY_CANCELLED, "no longer watching; %s goes on", deployment->version);
        sy_error_set_hint(error, "Look at it with: enclii status -e %s", deployment->environment);
    }
}

bool wait_for_deployment(struct cli *cli, const char *deployment_id, GError **error)
{
    struct progress progress;
    progress_init(&progress, cli);
    if (!cli->wait) {
        return cli_client(cli, error) != NULL;
    }
    g_autoptr(deployment_t) begun = get_object(cli, &deployment_type, "/v1/deployments/", deployment_id, error);
    g_autoptr(service_t) service =
        begun != NULL ? get_object(cli, &service_type, "/v1/services/", begun->service_id, error) : NULL;
    if (service == NULL) {
        return false;
    }
    progress.name_width = (unsigned)strlen(service->name);
    GError *failure = NULL;
    g_autoptr(deployment_t) ended = wait_until_deployed(&progress, service->name, deployment_id, &failure);
    if (ended == NULL) {
        explain_interruption(begun, &failure);
        g_propagate_error(error, failure);
        return false;
    }
    return true;
}
