#include <string.h>

#include "base/quantity.h"
#include "base/timestamp.h"
#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/overview.h"
#include "enclii/target.h"
#include "enclii/term.h"
#include "model/reply.h"

/* Steps of the newest deployment, when one service is asked for and when all are. */
#define LINES_OF_ONE 10
#define LINES_OF_MANY 3

static char *paint_state(const struct cli *cli, const struct service_status *status)
{
    enum colour colour = strcmp(status->status, "running") == 0     ? COLOUR_GREEN
                         : strcmp(status->status, "deploying") == 0 ? COLOUR_YELLOW
                                                                    : COLOUR_RED;
    return term_paint(cli, colour, status->status);
}

static void print_head(const struct cli *cli, const struct service_status *status)
{
    g_autofree char *state = paint_state(cli, status);
    g_autofree char *title =
        g_strdup_printf("%s · %s · %s", status->service->project, status->service->name, status->environment);
    g_autofree char *bold = term_paint(cli, COLOUR_BOLD, title);
    printf("%s  %s, %s  %s  %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " %s\n", bold, state, status->health,
           status->version != NULL ? status->version : "–", MAX(status->running_pods, 0), MAX(status->replicas, 0),
           status->url != NULL ? "get traffic" : "run");
}

static void print_deployment(const struct cli *cli, const struct deployment *deployment)
{
    g_autofree char *when = time_relative(deployment->created_us, g_get_real_time());
    g_autofree char *message = g_strdup(deployment->error_message != NULL ? deployment->error_message : "");
    output_line(cli, "  %-11s %s %s, %s%s%s", "deployment", deployment->version,
                deployment_statuses[MAX(deployment->status, 0)], when, *message != '\0' ? ": " : "",
                g_strchomp(message)); /* it ends with log lines */
    if (deployment->error_message != NULL && deployment->hint != NULL) {
        output_line(cli, "  %-11s %s", "hint", deployment->hint);
    }
}

static void print_instances(const struct cli *cli, const struct service_status *status)
{
    for (guint i = 0; i < status->instances->len; i++) {
        const struct instance *instance = g_ptr_array_index(status->instances, i);
        g_autofree char *started = time_relative(instance->started_us, g_get_real_time());
        output_line(cli, "  %-11s %s  %s  started %s, %" G_GINT64_FORMAT " restarts%s%s", "instance", instance->name,
                    instance_states[MAX(instance->state, 0)], started, MAX(instance->restarts, 0),
                    instance->health_detail != NULL ? "  " : "",
                    instance->health_detail != NULL ? instance->health_detail : "");
    }
}

/* What happened last in the deployment, each with its reason. */
static bool print_history(struct cli *cli, const struct deployment *deployment, GError **error)
{
    int limit = cli_argument(cli, 0) != NULL ? LINES_OF_ONE : LINES_OF_MANY;
    g_autofree char *base = client_target("/v1/activity?deployment=%s", deployment->id);
    g_autofree char *target = g_strdup_printf("%s&limit=%d", base, limit);
    json_t *reply = client_get(cli->client, target, error);
    const json_t *events = json_object_get(reply, "events");
    for (size_t i = json_array_size(events); i-- > 0;) {
        const json_t *event = json_array_get(events, i); /* the newest is the first */
        const char *created = json_string_value(json_object_get(event, "created_at"));
        const char *message = json_string_value(json_object_get(event, "message"));
        int64_t created_us;
        if (created != NULL && message != NULL && timestamp_parse(created, &created_us)) {
            g_autofree char *when = time_relative(created_us, g_get_real_time());
            g_autofree char *text = text_neutralise(message, false);
            output_line(cli, "  %-11s %s, %s", "history", text, when);
        }
    }
    bool ok = reply != NULL;
    json_decref(reply);
    return ok;
}

static bool print_status(struct cli *cli, const struct service_status *status, GError **error)
{
    print_head(cli, status);
    if (status->url != NULL) {
        output_line(cli, "  %-11s %s", "url", status->url);
    }
    if (status->reason != NULL) {
        output_line(cli, "  %-11s %s", "why", status->reason);
    }
    if (status->latest_deployment != NULL) {
        print_deployment(cli, status->latest_deployment);
    }
    print_instances(cli, status);
    for (char **exception = status->exceptions; exception != NULL && *exception != NULL; exception++) {
        output_line(cli, "  %-11s %s", "exception", *exception);
    }
    return status->latest_deployment == NULL || print_history(cli, status->latest_deployment, error);
}

static bool print_all(struct cli *cli, const json_t *reply, GError **error)
{
    g_autoptr(GPtrArray) all = client_decode_list(&service_status_type, reply, "services", error);
    if (all == NULL) {
        return false;
    }
    for (guint i = 0; i < all->len; i++) {
        if (!print_status(cli, g_ptr_array_index(all, i), error)) {
            return false;
        }
    }
    if (all->len == 0) {
        say(cli, "Nothing has been deployed yet. Begin with: enclii up");
    }
    return true;
}

static bool run(struct cli *cli, GError **error)
{
    const char *project = target_project(cli, error);
    json_t *reply = project != NULL ? overview_collect(cli, project, cli_argument(cli, 0), error) : NULL;
    bool ok =
        reply != NULL && (cli->output == OUTPUT_TABLE ? print_all(cli, reply, error) : output_json(cli, reply, error));
    json_decref(reply);
    return ok;
}

const struct command status_command = {
    .name = "status",
    .arguments = "[SERVICE]",
    .summary = "Show how services are doing, and why",
    .details =
        "In all environments, or in one with -e: what runs, the last steps of the newest deployment with their "
        "reasons\n"
        "(more of them when a service is named; all of them: enclii events SERVICE), and every exception from the\n"
        "hardened defaults.",
    .max_arguments = 1,
    .run = run,
};
