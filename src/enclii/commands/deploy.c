#include "enclii/commands.h"
#include "enclii/deploying.h"
#include "enclii/rollout.h"
#include "enclii/target.h"
#include "model/deployment.h"
#include "model/service.h"

#define DEFAULT_ENVIRONMENT "production"

/* A release that is there already, by its version; needs no enclii.yaml. */
static bool deploy_release(struct cli *cli, const char *release, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    if (service == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/services/%s/deploy", service->id);
    json_t *body =
        json_pack("{s:s, s:s}", "release_id", release, "environment_name", cli_environment(cli, DEFAULT_ENVIRONMENT));
    json_t *reply = client_send(cli->client, "POST", target, body, error);
    g_autoptr(deployment_t) deployment = reply != NULL ? client_decode(&deployment_type, reply, error) : NULL;
    json_decref(body);
    json_decref(reply);
    return deployment != NULL && finish_deployment(cli, service->name, deployment->id, error);
}

static bool run(struct cli *cli, GError **error)
{
    const char *release = cli_flag(cli, "release");
    if (release == NULL) {
        return rollout_run(cli, DEFAULT_ENVIRONMENT, error);
    }
    if (cli->arguments->len > 1) {
        return sy_fail(error, SY_INVALID_INPUT, "--release is of one service; %u are named", cli->arguments->len);
    }
    return deploy_release(cli, release, error);
}

static const struct flag flags[] = {
    {.name = "dry-run", .doc = "only say what enclii.yaml would change"},
    {.name = "release", .value = "VERSION", .doc = "an earlier release, such as v3, instead of this folder"},
    {NULL},
};

const struct command deploy_command = {
    .name = "deploy",
    .arguments = "[SERVICE…]",
    .summary = "Put this folder into production, without building again what is built",
    .details =
        "Does what `enclii up` does, in the environment `production` (-e names another). Files that `up` has built are "
        "not\n"
        "built again: the same release goes to production. What ran before serves until the new version is healthy.\n"
        "\n"
        "    enclii up && enclii deploy\n"
        "    enclii deploy --release v3 web\n"
        "\n"
        "Exit codes are those of `enclii up`.",
    .flags = flags,
    .max_arguments = 100,
    .run = run,
};
