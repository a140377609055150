#include <string.h>

#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/target.h"
#include "model/domain.h"

static const struct flag flags[] = {
    {.name = "service", .letter = 's', .value = "NAME", .doc = "the service, when the project has several"},
    {NULL},
};

static json_t *fetch(struct cli *cli, const struct service *service, GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/domains", service->id);
    return client_get_all(cli_client(cli, NULL), target, "domains", error);
}

static bool list(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_flag(cli, "service"), error);
    json_t *reply = service != NULL ? fetch(cli, service, error) : NULL;
    bool ok = reply != NULL && output_list(cli, &domain_type, reply, "domains", "No host names of its own.", error);
    json_decref(reply);
    return ok;
}

static bool finish(const struct cli *cli, json_t *reply, GError **error)
{
    bool ok = reply != NULL && output_object(cli, &domain_type, reply, error);
    json_decref(reply);
    return ok;
}

static bool add(struct cli *cli, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_flag(cli, "service"), error);
    if (service == NULL) {
        return false;
    }
    g_autofree char *target = client_target("/v1/services/%s/domains", service->id);
    json_t *body =
        json_pack("{s:s, s:s}", "domain", cli_argument(cli, 0), "environment", cli_environment(cli, "production"));
    json_t *reply = client_send(cli_client(cli, NULL), "POST", target, body, error);
    json_decref(body);
    return finish(cli, reply, error);
}

/* The id of the host name given as operand. */
static char *find(struct cli *cli, const struct service *service, GError **error)
{
    const char *wanted = cli_argument(cli, 0);
    json_t *reply = fetch(cli, service, error);
    char *id = NULL;
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(reply, "domains"), index, entry)
    {
        if (g_strcmp0(json_string_value(json_object_get(entry, "domain")), wanted) == 0) {
            g_free(id);
            id = g_strdup(json_string_value(json_object_get(entry, "id")));
        }
    }
    if (reply != NULL && id == NULL) {
        sy_fail(error, SY_NOT_FOUND, "%s is no host name of %s", wanted, service->name);
        sy_error_set_hint(error, "enclii domains list --service %s", service->name);
    }
    json_decref(reply);
    return id;
}

static bool change(struct cli *cli, const char *method, const char *suffix, GError **error)
{
    g_autoptr(service_t) service = target_service(cli, cli_flag(cli, "service"), error);
    g_autofree char *id = service != NULL ? find(cli, service, error) : NULL;
    if (id == NULL) {
        return false;
    }
    g_autofree char *target = g_strdup_printf("/v1/services/%s/domains/%s%s", service->id, id, suffix);
    return finish(cli, client_send(cli_client(cli, NULL), method, target, NULL, error), error);
}

static bool remove_domain(struct cli *cli, GError **error)
{
    return change(cli, "DELETE", "", error);
}

static bool verify(struct cli *cli, GError **error)
{
    return change(cli, "POST", "/verify", error);
}

const struct command domains_list_command = {
    .name = "domains list",
    .summary = "List a service's own host names",
    .flags = flags,
    .run = list,
};
const struct command domains_add_command = {
    .name = "domains add",
    .arguments = "HOST",
    .summary = "Give a service a host name of its own",
    .details = "In production unless -e says otherwise. Point the name at the server too: an A or AAAA record.\n"
               "What enclii.yaml says about domains holds; this is for names that do not belong in there.",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = add,
};
const struct command domains_verify_command = {
    .name = "domains verify",
    .arguments = "HOST",
    .summary = "Check that a host name resolves",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = verify,
};
const struct command domains_remove_command = {
    .name = "domains remove",
    .arguments = "HOST",
    .summary = "Remove a host name",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = remove_domain,
};
