#include <string.h>

#include "base/quantity.h"
#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/overview.h"
#include "enclii/target.h"
#include "enclii/term.h"
#include "model/reply.h"

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
    printf("%s  %s, %s  %s  %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " get traffic\n", bold, state, status->health,
           status->version != NULL ? status->version : "–", MAX(status->running_pods, 0), MAX(status->replicas, 0));
}

static void print_deployment(const struct cli *cli, const struct deployment *deployment)
{
    g_autofree char *when = time_relative(deployment->created_us, g_get_real_time());
    output_line(cli, "  %-11s %s %s, %s%s%s", "deployment", deployment->version,
                deployment_statuses[MAX(deployment->status, 0)], when, deployment->error_message != NULL ? ": " : "",
                deployment->error_message != NULL ? deployment->error_message : "");
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

static void print_status(const struct cli *cli, const struct service_status *status)
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
}

static bool print_all(const struct cli *cli, const json_t *reply, GError **error)
{
    g_autoptr(GPtrArray) all = client_decode_list(&service_status_type, reply, "services", error);
    if (all == NULL) {
        return false;
    }
    for (guint i = 0; i < all->len; i++) {
        print_status(cli, g_ptr_array_index(all, i));
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
    .details = "In all environments, or in one with -e. Exceptions from the hardened defaults are named.",
    .max_arguments = 1,
    .run = run,
};
