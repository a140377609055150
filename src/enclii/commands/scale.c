#include <string.h>

#include "base/quantity.h"
#include "enclii/commands.h"
#include "enclii/deploying.h"
#include "enclii/target.h"
#include "model/settings.h"

/* "web=3", or "3" for the project's only service: *ret_name is NULL then. */
static bool parse(const char *text, char **ret_name, int64_t *ret_replicas, GError **error)
{
    const char *equals = strchr(text, '=');
    if (!int_parse(equals != NULL ? equals + 1 : text, 0, MAX_REPLICAS, ret_replicas)) {
        sy_fail(error, SY_INVALID_INPUT, "%s is not SERVICE=NUMBER with a number from 0 to %d", text, MAX_REPLICAS);
        sy_error_set_hint(error, "enclii scale web=3");
        return false;
    }
    *ret_name = equals != NULL ? g_strndup(text, (gsize)(equals - text)) : NULL;
    return true;
}

static bool scale(struct cli *cli, const char *text, GError **error)
{
    g_autofree char *name = NULL;
    int64_t replicas;
    if (!parse(text, &name, &replicas, error)) {
        return false;
    }
    g_autoptr(service_t) service = target_service(cli, name, error);
    if (service == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/services/%s/scale", service->id);
    json_t *body = json_pack("{s:s, s:I}", "environment_name", cli_environment(cli, "production"), "replicas",
                             (json_int_t)replicas);
    json_t *reply = client_send(cli_client(cli, NULL), "POST", target, body, error);
    json_decref(body);
    bool ok =
        reply != NULL && finish_deployment(cli, service->name, json_string_value(json_object_get(reply, "id")), error);
    json_decref(reply);
    return ok;
}

static bool run(struct cli *cli, GError **error)
{
    for (unsigned i = 0; i < cli->arguments->len; i++) { /* all of them are looked at before one is done */
        g_autofree char *name = NULL;
        int64_t replicas;
        if (!parse(cli_argument(cli, i), &name, &replicas, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < cli->arguments->len; i++) {
        if (!scale(cli, cli_argument(cli, i), error)) {
            return false;
        }
    }
    return true;
}

const struct command scale_command = {
    .name = "scale",
    .arguments = "SERVICE=N…",
    .summary = "Run another number of instances",
    .details =
        "In production unless -e says otherwise. Scaling replaces no instance that is to stay; 0 stops the service\n"
        "and keeps everything else. The number holds until the next deploy that says another one.\n"
        "\n"
        "    enclii scale web=3\n"
        "    enclii scale web=2 worker=0 -e preview",
    .min_arguments = 1,
    .max_arguments = 50,
    .run = run,
};
