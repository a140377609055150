#include "enclii/commands.h"
#include "enclii/deletion.h"
#include "enclii/output.h"
#include "enclii/target.h"
#include "model/environment.h"

/* The client, once the project is known. */
static struct client *begin(struct cli *cli, const char **ret_project, GError **error)
{
    *ret_project = target_project(cli, error);
    return *ret_project != NULL ? cli_client(cli, error) : NULL;
}

static bool list(struct cli *cli, GError **error)
{
    const char *project;
    struct client *client = begin(cli, &project, error);
    g_autofree char *target = client != NULL ? client_target("/v1/projects/%s/environments", project) : NULL;
    json_t *reply = client != NULL ? client_get_all(client, target, "environments", error) : NULL;
    bool ok = reply != NULL && output_list(cli, &environment_type, reply, "environments", "No environments.", error);
    json_decref(reply);
    return ok;
}

static bool create(struct cli *cli, GError **error)
{
    const char *project;
    struct client *client = begin(cli, &project, error);
    if (client == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/projects/%s/environments", project);
    json_t *body = json_pack("{s:s}", "name", cli_argument(cli, 0));
    json_t *reply = client_send(client, "POST", target, body, error);
    bool ok = reply != NULL && output_object(cli, &environment_type, reply, error);
    json_decref(body);
    json_decref(reply);
    return ok;
}

static bool delete_environment(struct cli *cli, GError **error)
{
    const char *project;
    const char *name = cli_argument(cli, 0);
    if (begin(cli, &project, error) == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/projects/%s/environments/%s", project, name);
    g_autofree char *question = g_strdup_printf(
        "Delete the environment %s of project %s, and stop everything that runs in it? Volumes are kept.", name,
        project);
    return delete_after_asking(cli, target, "force=true", question, error);
}

static const struct flag delete_flags[] = {
    {.name = "yes", .letter = 'y', .doc = "do not ask"},
    {NULL},
};

const struct command environments_list_command = {
    .name = "environments list",
    .summary = "List the environments of the project",
    .run = list,
};
const struct command environments_create_command = {
    .name = "environments create",
    .arguments = "NAME",
    .summary = "Create an environment: a network and configuration of its own",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = create,
};
const struct command environments_delete_command = {
    .name = "environments delete",
    .arguments = "NAME",
    .summary = "Delete an environment and stop what runs in it",
    .flags = delete_flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = delete_environment,
};
