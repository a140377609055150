#include <string.h>

#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/target.h"

struct under_way {
    const char *list; /* of the API */
    const char *path; /* of one */
    const char *noun;
    const char *states[2];
};

static const struct under_way kinds[] = {
    {"releases", "releases", "build", {"queued", "building"}},
    {"deployments", "deployments", "deployment", {"pending", "deploying"}},
};

static bool is_under_way(const struct cli *cli, const struct under_way *kind, const json_t *entry)
{
    const char *status = json_string_value(json_object_get(entry, "status"));
    const char *environment = json_string_value(json_object_get(entry, "environment"));
    bool is_meant = cli->environment == NULL || environment == NULL || strcmp(environment, cli->environment) == 0;
    return is_meant && (g_strcmp0(status, kind->states[0]) == 0 || g_strcmp0(status, kind->states[1]) == 0);
}

static bool cancel_one(struct cli *cli, const struct under_way *kind, const json_t *entry, json_t *done, GError **error)
{
    const char *id = json_string_value(json_object_get(entry, "id"));
    g_autofree char *target = g_strdup_printf("/v1/%s/%s/cancel", kind->path, id != NULL ? id : "");
    json_t *reply = client_send(cli_client(cli, NULL), "POST", target, NULL, error);
    if (reply == NULL) {
        return false;
    }
    if (cli->output == OUTPUT_TABLE) {
        output_line(cli, "%s %s is being cancelled", kind->noun, json_string_value(json_object_get(entry, "version")));
    }
    json_array_append_new(json_object_get(done, kind->list), reply);
    return true;
}

static bool cancel_kind(struct cli *cli, const struct service *service, const struct under_way *kind, json_t *done,
                        GError **error)
{
    g_autofree char *target = g_strdup_printf("/v1/services/%s/%s", service->id, kind->list);
    json_t *reply = client_get_all(cli_client(cli, NULL), target, kind->list, error);
    bool ok = reply != NULL;
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(reply, kind->list), index, entry)
    {
        ok = ok && (!is_under_way(cli, kind, entry) || cancel_one(cli, kind, entry, done, error));
    }
    json_decref(reply);
    return ok;
}

static bool report(const struct cli *cli, const struct service *service, const json_t *done, GError **error)
{
    if (json_array_size(json_object_get(done, "releases")) + json_array_size(json_object_get(done, "deployments")) ==
        0) {
        sy_fail(error, SY_NOT_FOUND, "nothing of %s is under way", service->name);
        sy_error_set_hint(error, "enclii status %s", service->name);
        return false;
    }
    return cli->output == OUTPUT_TABLE || output_json(cli, done, error);
}

static bool run(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    if (service == NULL) {
        return false;
    }
    json_t *done = json_pack("{s:[], s:[]}", "releases", "deployments");
    bool ok = cancel_kind(cli, service, &kinds[0], done, error) && cancel_kind(cli, service, &kinds[1], done, error) &&
              report(cli, service, done, error);
    json_decref(done);
    return ok;
}

const struct command cancel_command = {
    .name = "cancel",
    .arguments = "[SERVICE]",
    .summary = "Stop the builds and deployments that are under way",
    .details = "Of one environment with -e. What serves goes on serving.",
    .max_arguments = 1,
    .run = run,
};
