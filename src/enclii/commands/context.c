#include "enclii/context.h"

#include <string.h>

#include "base/http_client.h"
#include "base/id.h"
#include "enclii/commands.h"
#include "enclii/output.h"
#include "enclii/prompt.h"

static const struct flag add_flags[] = {
    {.name = "endpoint", .value = "URL", .doc = "unix:PATH, http://HOST:PORT or https://HOST"},
    {.name = "no-token", .doc = "do not ask for a token"},
    {NULL},
};

static struct contexts *read_file(GError **error)
{
    g_autofree char *path = contexts_default_path();
    return contexts_read(path, error);
}

static bool unknown(const struct contexts *contexts, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < contexts->entries->len; i++) {
        g_ptr_array_add(names, ((struct context *)g_ptr_array_index(contexts->entries, i))->name);
    }
    g_ptr_array_add(names, NULL);
    const char *near = nearest_word(name, (const char *const *)names->pdata);
    sy_fail(error, SY_NOT_FOUND, "there is no context %s%s%s", name, near != NULL ? "; did you mean " : "",
            near != NULL ? near : "");
    sy_error_set_hint(error, "enclii context list");
    return false;
}

/* --- list ---------------------------------------------------------------------------------------- */

static bool print_json(const struct cli *cli, const struct contexts *contexts, GError **error)
{
    json_t *list = json_array();
    for (guint i = 0; i < contexts->entries->len; i++) {
        const struct context *context = g_ptr_array_index(contexts->entries, i);
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:b}", "name", context->name, "endpoint", context->endpoint, "is_current",
                            g_strcmp0(contexts->current, context->name) == 0, "has_token", context->token != NULL));
    }
    json_t *value = json_pack("{s:o}", "contexts", list);
    bool ok = output_json(cli, value, error);
    json_decref(value);
    return ok;
}

static bool list(struct cli *cli, GError **error)
{
    g_autoptr(contexts_t) contexts = read_file(error);
    if (contexts == NULL) {
        return false;
    }
    if (cli->output != OUTPUT_TABLE) {
        return print_json(cli, contexts, error);
    }
    g_autoptr(table_t) table = table_new("CURRENT", "NAME", "ENDPOINT", "TOKEN", NULL);
    for (guint i = 0; i < contexts->entries->len; i++) {
        const struct context *context = g_ptr_array_index(contexts->entries, i);
        bool is_current = g_strcmp0(contexts->current, context->name) == 0;
        table_add(table, is_current ? "*" : " ", context->name, context->endpoint,
                  context->token != NULL ? "yes" : "no", NULL);
    }
    if (table_n_rows(table) > 0) {
        table_print(table, cli);
    }
    if (contexts->current == NULL) {
        g_autofree char *endpoint = context_default_endpoint();
        say(cli, "No context is in use: the server is looked for at %s", endpoint);
    }
    return true;
}

/* --- add ----------------------------------------------------------------------------------------- */

static bool check_endpoint(const char *name, const char *endpoint, GError **error)
{
    if (endpoint == NULL) {
        sy_fail(error, SY_INVALID_INPUT, "context add needs --endpoint");
        sy_error_set_hint(error, "enclii context add %s --endpoint http://127.0.0.1:7700", name);
        return false;
    }
    g_autoptr(http_client_t) client = http_client_new(endpoint, error);
    return client != NULL;
}

static bool is_loopback(const char *endpoint)
{
    return g_str_has_prefix(endpoint, "http://127.") || g_str_has_prefix(endpoint, "http://localhost") ||
           g_str_has_prefix(endpoint, "http://[::1]");
}

/* Blanks and line ends around a pasted token do not belong to it. */
static struct secret *read_token(struct cli *cli, GError **error)
{
    g_autoptr(sy_secret) given = prompt_secret(cli, "token", error);
    if (given == NULL) {
        return NULL;
    }
    const char *text = secret_reveal(given);
    size_t length = secret_length(given);
    size_t start = strspn(text, " \t\r\n");
    while (length > start && strchr(" \t\r\n", text[length - 1]) != NULL) {
        length--;
    }
    return secret_new(text + start, length - start);
}

static bool add(struct cli *cli, GError **error)
{
    const char *name = cli_argument(cli, 0);
    const char *endpoint = cli_flag(cli, "endpoint");
    g_autoptr(sy_secret) token = NULL;
    if (check_slug(name) != NULL) {
        sy_fail(error, SY_INVALID_INPUT, "%s is no name for a context: it %s", name, check_slug(name));
        return false;
    }
    g_autoptr(contexts_t) contexts = check_endpoint(name, endpoint, error) ? read_file(error) : NULL;
    if (contexts == NULL) {
        return false;
    }
    bool needs_token = !g_str_has_prefix(endpoint, "unix:") && !cli_has(cli, "no-token");
    if (needs_token && (token = read_token(cli, error)) == NULL) {
        return false;
    }
    if (g_str_has_prefix(endpoint, "http://") && !is_loopback(endpoint)) {
        say(cli, "Warning: %s is not encrypted; everyone on the way can read the token.", endpoint);
    }
    contexts_put(contexts, name, endpoint, token);
    if (!contexts_write(contexts, error)) {
        return false;
    }
    say(cli, "Kept in %s. Use it with: enclii context use %s", contexts->path, name);
    return true;
}

/* --- use, remove --------------------------------------------------------------------------------- */

static bool use(struct cli *cli, GError **error)
{
    const char *name = cli_argument(cli, 0);
    g_autoptr(contexts_t) contexts = read_file(error);
    if (contexts == NULL) {
        return false;
    }
    if (contexts_find(contexts, name) == NULL) {
        return unknown(contexts, name, error);
    }
    g_free(contexts->current);
    contexts->current = g_strdup(name);
    return contexts_write(contexts, error);
}

static bool remove_context(struct cli *cli, GError **error)
{
    const char *name = cli_argument(cli, 0);
    g_autoptr(contexts_t) contexts = read_file(error);
    if (contexts == NULL) {
        return false;
    }
    if (!contexts_remove(contexts, name)) {
        return unknown(contexts, name, error);
    }
    if (g_strcmp0(contexts->current, name) == 0) {
        g_clear_pointer(&contexts->current, g_free);
    }
    return contexts_write(contexts, error);
}

const struct command context_list_command = {
    .name = "context list",
    .summary = "List the servers that are known, and which one is used",
    .run = list,
};
const struct command context_add_command = {
    .name = "context add",
    .arguments = "NAME",
    .summary = "Remember a server and the token for it",
    .details = "The token is read from the terminal or stdin and kept in a file that only you can read. "
               "ENCLII_API_ENDPOINT and\n"
               "ENCLII_API_TOKEN beat it.\n"
               "\n"
               "    enclii context add server --endpoint https://enclii.example.com\n"
               "    enclii context use server",
    .flags = add_flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = add,
};
const struct command context_use_command = {
    .name = "context use",
    .arguments = "NAME",
    .summary = "Use this server from now on",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = use,
};
const struct command context_remove_command = {
    .name = "context remove",
    .arguments = "NAME",
    .summary = "Forget a server and its token",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = remove_context,
};
