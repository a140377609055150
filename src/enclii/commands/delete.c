#include "enclii/commands.h"
#include "enclii/deletion.h"
#include "enclii/target.h"

static const struct flag flags[] = {
    {.name = "yes", .letter = 'y', .doc = "do not ask"},
    {NULL},
};

static bool run(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_argument(cli, 0), error);
    if (service == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/services/%s", service->id);
    g_autofree char *question = g_strdup_printf("Delete %s of project %s?", service->name, service->project);
    return delete_after_asking(cli, target, "", question, error);
}

const struct command delete_command = {
    .name = "delete",
    .arguments = "SERVICE",
    .summary = "Delete a service in all environments; its volumes are kept",
    .details = "Says first exactly what goes, and asks. A whole project: enclii projects delete.",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
