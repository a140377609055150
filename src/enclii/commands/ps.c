#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/overview.h"
#include "enclii/target.h"
#include "model/reply.h"

static char *since(int64_t started_us)
{
    return time_relative(started_us, g_get_real_time());
}

/* A pair without instances is shown too: that nothing runs is the news then. */
static void add_rows(struct table *table, const struct service_status *status)
{
    for (guint i = 0; i < status->instances->len; i++) {
        const struct instance *instance = g_ptr_array_index(status->instances, i);
        g_autofree char *started = since(instance->started_us);
        g_autofree char *restarts = g_strdup_printf("%" G_GINT64_FORMAT, MAX(instance->restarts, 0));
        table_add(table, status->service->project, status->service->name, status->environment, instance->name,
                  instance_states[MAX(instance->state, 0)], restarts, started, NULL);
    }
    if (status->instances->len == 0) {
        table_add(table, status->service->project, status->service->name, status->environment, "", status->status, "",
                  "", NULL);
    }
}

static bool print_table(const struct cli *cli, const json_t *reply, GError **error)
{
    g_autoptr(GPtrArray) all = client_decode_list(&service_status_type, reply, "services", error);
    g_autoptr(table_t) table =
        table_new("PROJECT", "SERVICE", "ENVIRONMENT", "INSTANCE", "STATE", "RESTARTS", "STARTED", NULL);
    if (all == NULL) {
        return false;
    }
    for (guint i = 0; i < all->len; i++) {
        add_rows(table, g_ptr_array_index(all, i));
    }
    if (table_n_rows(table) == 0) {
        say(cli, "Nothing runs. Begin with: enclii up");
    } else {
        table_print(table, cli);
    }
    return true;
}

static bool run(struct cli *cli, GError **error)
{
    GError *failure = NULL;
    const char *project = target_project_or_none(cli, &failure);
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    json_t *reply = overview_collect(cli, project, NULL, error);
    bool ok = reply != NULL &&
              (cli->output == OUTPUT_TABLE ? print_table(cli, reply, error) : output_json(cli, reply, error));
    json_decref(reply);
    return ok;
}

const struct command ps_command = {
    .name = "ps",
    .summary = "List what runs",
    .details = "Every instance of the project, or of all projects where none is named. One environment with -e.",
    .run = run,
};
