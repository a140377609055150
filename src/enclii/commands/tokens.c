#include <string.h>

#include "base/quantity.h"
#include "enclii/commands.h"
#include "enclii/output.h"
#include "model/token.h"

#define DAY_MS (INT64_C(86400) * 1000)

static const char *const scopes[] = {"admin", "deploy", "read", NULL};
static const struct flag create_flags[] = {
    {.name = "scope",
     .value = "SCOPE",
     .doc = "admin, deploy or read; several are allowed; without it deploy",
     .words = scopes},
    {.name = "expires", .value = "DURATION", .doc = "how long it works: 30d; without it for ever"},
    {NULL},
};

static json_t *make_scopes(const struct cli *cli)
{
    const GPtrArray *given = cli_flag_all(cli, "scope");
    json_t *array = json_array();
    for (guint i = 0; given != NULL && i < given->len; i++) {
        json_array_append_new(array, json_string(g_ptr_array_index(given, i)));
    }
    if (given == NULL) {
        json_array_append_new(array, json_string("deploy"));
    }
    return array;
}

/* Whole days, rounded up; 0 when it never expires. */
static bool read_expiry(const struct cli *cli, int64_t *ret_days, GError **error)
{
    const char *text = cli_flag(cli, "expires");
    int64_t duration_ms = 0;
    if (text != NULL && (!duration_parse(text, &duration_ms) || duration_ms == 0)) {
        sy_fail(error, SY_INVALID_INPUT, "--expires takes a duration of at least a day, not %s", text);
        sy_error_set_hint(error, "--expires 30d");
        return false;
    }
    *ret_days = (duration_ms + DAY_MS - 1) / DAY_MS;
    return true;
}

/* For people the token alone is on stdout, so that it can be captured. */
static bool print_created(const struct cli *cli, const json_t *reply, GError **error)
{
    if (cli->output != OUTPUT_TABLE) {
        return output_json(cli, reply, error);
    }
    const char *raw = json_string_value(json_object_get(reply, "token"));
    say(cli, "This is shown once. Keep it where only you can read it: enclii context add NAME, or ENCLII_API_TOKEN.");
    output_line(cli, "%s", raw != NULL ? raw : "");
    return true;
}

static bool create(struct cli *cli, GError **error)
{
    int64_t days;
    struct client *client = read_expiry(cli, &days, error) ? cli_client(cli, error) : NULL;
    if (client == NULL) {
        return false;
    }
    json_t *body = json_pack("{s:s, s:o, s:s*}", "name", cli_argument(cli, 0), "scopes", make_scopes(cli), "project",
                             cli_flag(cli, "project"));
    if (days > 0) {
        json_object_set_new(body, "expires_in_days", json_integer(days));
    }
    json_t *reply = client_send(client, "POST", "/v1/user/tokens", body, error);
    bool ok = reply != NULL && print_created(cli, reply, error);
    json_decref(body);
    json_decref(reply);
    return ok;
}

static bool list(struct cli *cli, GError **error)
{
    struct client *client = cli_client(cli, error);
    json_t *reply = client != NULL ? client_get_all(client, "/v1/user/tokens", "tokens", error) : NULL;
    bool ok = reply != NULL && output_list(cli, &token_type, reply, "tokens", "No tokens.", error);
    json_decref(reply);
    return ok;
}

static bool is_named(const json_t *entry, const char *name)
{
    return g_strcmp0(json_string_value(json_object_get(entry, "id")), name) == 0 ||
           g_strcmp0(json_string_value(json_object_get(entry, "name")), name) == 0;
}

/* Ids of all that have this name or id: revoking one of two namesakes would leave a surprise. */
static GPtrArray *find(struct client *client, const char *name, GError **error)
{
    json_t *reply = client_get_all(client, "/v1/user/tokens", "tokens", error);
    if (reply == NULL) {
        return NULL;
    }
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(reply, "tokens"), index, entry)
    {
        const char *id = json_string_value(json_object_get(entry, "id"));
        if (id != NULL && is_named(entry, name)) {
            g_ptr_array_add(ids, g_strdup(id));
        }
    }
    json_decref(reply);
    return ids;
}

static bool revoke_token(struct cli *cli, GError **error)
{
    const char *name = cli_argument(cli, 0);
    struct client *client = cli_client(cli, error);
    g_autoptr(GPtrArray) ids = client != NULL ? find(client, name, error) : NULL;
    if (ids == NULL) {
        return false;
    }
    if (ids->len != 1) {
        bool is_none = ids->len == 0;
        sy_fail(error, is_none ? SY_NOT_FOUND : SY_CONFLICT,
                is_none ? "there is no token %s" : "several tokens are named %s; give its id", name);
        sy_error_set_hint(error, "enclii tokens list -o json");
        return false;
    }
    g_autofree char *target = client_target("/v1/user/tokens/%s", (const char *)g_ptr_array_index(ids, 0));
    json_t *reply = client_send(client, "DELETE", target, NULL, error);
    json_decref(reply);
    if (reply != NULL && cli->output == OUTPUT_TABLE) {
        output_line(cli, "revoked");
    }
    return reply != NULL;
}

const struct command tokens_list_command = {
    .name = "tokens list",
    .summary = "List the API tokens",
    .run = list,
};
const struct command tokens_create_command = {
    .name = "tokens create",
    .arguments = "NAME",
    .summary = "Create an API token; it is shown once",
    .details = "With --project it works for that project only.\n"
               "\n"
               "    enclii tokens create ci --scope deploy --project shop --expires 90d",
    .flags = create_flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = create,
};
const struct command tokens_revoke_command = {
    .name = "tokens revoke",
    .arguments = "NAME|ID",
    .summary = "Revoke an API token, at once",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = revoke_token,
};
