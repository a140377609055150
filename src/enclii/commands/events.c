#include <string.h>

#include "base/timestamp.h"
#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/target.h"
#include "enclii/term.h"
#include "model/event.h"

static const struct flag flags[] = {
    {.name = "follow", .letter = 'f', .doc = "go on with new ones until Ctrl-C"},
    {.name = "limit", .letter = 'n', .value = "N", .doc = "how many of the past (20)"},
    {.name = "deployment", .value = "VERSION", .doc = "of one deployment of the service"},
    {NULL},
};

struct watch {
    struct cli *cli;
    char *last_id;
};

/* --- which --------------------------------------------------------------------------------------- */

static bool add_service(struct cli *cli, GString *query, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    const char *version = cli_flag(cli, "deployment");
    if (service == NULL) {
        return false;
    }
    g_string_append_printf(query, "&service=%s", service->id);
    if (version != NULL) {
        g_autoptr(deployment_t) deployment = target_deployment(cli, service, version, error);
        if (deployment == NULL) {
            return false;
        }
        g_string_append_printf(query, "&deployment=%s", deployment->id);
    }
    return true;
}

/* "&project=…&service=…&deployment=…", as far as they are named. */
static GString *make_query(struct cli *cli, GError **error)
{
    GError *failure = NULL;
    GString *query = g_string_new(NULL);
    const char *project = target_project_or_none(cli, &failure);
    bool needs_service = cli_argument(cli, 0) != NULL || cli_has(cli, "deployment");
    bool ok = failure == NULL && (!needs_service || add_service(cli, query, &failure));
    if (!ok) {
        g_propagate_error(error, failure);
        g_string_free(query, TRUE);
        return NULL;
    }
    if (project != NULL) {
        g_string_append_printf(query, "&project=%s", project); /* a slug */
    }
    return query;
}

/* --- output -------------------------------------------------------------------------------------- */

static void print_event(const struct cli *cli, const json_t *event)
{
    int64_t time_us;
    const char *created = json_string_value(json_object_get(event, "created_at"));
    const char *type = json_string_value(json_object_get(event, "type"));
    const char *message = json_string_value(json_object_get(event, "message"));
    const char *actor = json_string_value(json_object_get(event, "actor"));
    g_autofree char *when = NULL;
    if (created != NULL && timestamp_parse(created, &time_us)) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(time_us / G_USEC_PER_SEC);
        when = g_date_time_format(time, "%F %T");
    }
    g_autofree char *safe = text_neutralise(message != NULL ? message : "", false);
    output_line(cli, "%s  %-22s %s%s%s%s", when != NULL ? when : "–", type != NULL ? type : "–", safe,
                actor != NULL ? "  (" : "", actor != NULL ? actor : "", actor != NULL ? ")" : "");
}

static void show_event(const struct cli *cli, const json_t *event)
{
    if (cli->output == OUTPUT_TABLE) {
        print_event(cli, event);
        fflush(stdout);
    } else {
        output_json_line(event);
    }
}

static bool on_event(const struct stream_event *event, void *arg)
{
    struct watch *watch = arg;
    json_t *json = json_loads(event->data, JSON_REJECT_DUPLICATES, NULL);
    if (strcmp(event->type, "missed") == 0) {
        say(watch->cli, "some events were missed: %s", event->data);
    } else if (json != NULL) {
        show_event(watch->cli, json);
    }
    json_decref(json);
    return ferror(stdout) == 0;
}

/* The API gives the newest first; people read downwards. */
static void show_past(struct watch *watch, const json_t *reply)
{
    const json_t *events = json_object_get(reply, "events");
    for (size_t i = json_array_size(events); i-- > 0;) {
        show_event(watch->cli, json_array_get(events, i));
    }
    if (json_array_size(events) > 0) {
        json_int_t id = json_integer_value(json_object_get(json_array_get(events, 0), "id"));
        watch->last_id = g_strdup_printf("%" JSON_INTEGER_FORMAT, id);
    }
}

/* Ctrl-C is how following ends. */
static bool follow(struct watch *watch, const char *query, GError **error)
{
    g_autofree char *target =
        g_strdup_printf("/v1/events%s%s", *query != '\0' ? "?" : "", *query != '\0' ? query + 1 : "");
    struct client *client = cli_client(watch->cli, error);
    GError *failure = NULL;
    if (client == NULL) {
        return false;
    }
    if (client_follow(client, target, watch->last_id, on_event, watch, &failure)) {
        return true;
    }
    if (sy_error_code(failure) == SY_CANCELLED) {
        g_clear_error(&failure);
        return true;
    }
    g_propagate_error(error, failure);
    return false;
}

static bool run(struct cli *cli, GError **error)
{
    int64_t limit;
    if (!cli_flag_int(cli, "limit", 0, 200, 20, &limit, error)) {
        return false;
    }
    g_autoptr(GString) query = make_query(cli, error);
    struct client *client = query != NULL ? cli_client(cli, error) : NULL;
    if (client == NULL) {
        return false;
    }
    g_autofree char *target = g_strdup_printf("/v1/activity?limit=%" G_GINT64_FORMAT "%s", MAX(limit, 1), query->str);
    json_t *reply = client_get(client, target, error);
    struct watch watch = {.cli = cli};
    bool ok = reply != NULL;
    bool is_following = cli_has(cli, "follow");
    if (limit == 0) {
        json_array_clear(json_object_get(reply, "events"));
    }
    if (ok && cli->output != OUTPUT_TABLE && !is_following) {
        ok = output_json(cli, reply, error);
    } else if (ok) {
        show_past(&watch, reply);
    }
    json_decref(reply);
    ok = ok && (!is_following || follow(&watch, query->str, error));
    g_free(watch.last_id);
    return ok;
}

const struct command events_command = {
    .name = "events",
    .arguments = "[SERVICE]",
    .summary = "Show what happened and why",
    .details =
        "Of the project, or of all projects where none is named. With -f and -o json every event is one line of JSON.",
    .flags = flags,
    .max_arguments = 1,
    .run = run,
};
