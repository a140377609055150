/* env set and env import. */
#include <string.h>
#include <unistd.h>

#include "enclii/commands.h"
#include "enclii/dotenv.h"
#include "enclii/input.h"
#include "enclii/prompt.h"
#include "enclii/spec_file.h"
#include "enclii/target.h"
#include "enclii/variables.h"

static const struct flag set_flags[] = {
    {.name = "secret", .value = "KEY", .doc = "a secret: its value is read from the terminal or stdin"},
    {.name = "service", .letter = 's', .value = "NAME", .doc = "the service, when the project has several"},
    {.name = "no-deploy", .doc = "keep it for the next deploy"},
    {NULL},
};
static const struct flag import_flags[] = {
    {.name = "secret", .doc = "all of them are secrets"},
    {.name = "service", .letter = 's', .value = "NAME", .doc = "the service, when the project has several"},
    {.name = "no-deploy", .doc = "keep it for the next deploy"},
    {NULL},
};

/* What is not said to be a secret is left to the server: it stays one when it is one already. */
static void add(json_t *variables, const char *key, const char *value, bool is_secret)
{
    json_t *variable = json_pack("{s:s, s:s}", "key", key, "value", value);
    if (is_secret) {
        json_object_set_new(variable, "is_secret", json_true());
    }
    json_array_append_new(variables, variable);
}

/* --- set ----------------------------------------------------------------------------------------- */

static bool check_key(const char *key, GError **error)
{
    if (check_variable(key) == NULL) {
        return true;
    }
    sy_fail(error, SY_INVALID_INPUT, "%s is no name of a variable: it %s", key, check_variable(key));
    sy_error_set_hint(error, "enclii env set LOG_LEVEL=debug");
    return false;
}

static bool check_secret_name(const char *name, GError **error)
{
    const char *equals = strchr(name, '=');
    if (equals == NULL) {
        return check_key(name, error);
    }
    /* The value is in the shell's history and in the list of processes now. Do not repeat it. */
    sy_fail(error, SY_INVALID_INPUT, "a secret's value does not belong on the command line, where others can read it");
    sy_error_set_hint(error, "enclii env set --secret %.*s   (it asks; or pipe the value in)", (int)(equals - name),
                      name);
    return false;
}

/* Everything that is given as it should be, before anything is asked. */
static bool check(const struct cli *cli, GError **error)
{
    const GPtrArray *secrets = cli_flag_all(cli, "secret");
    for (guint i = 0; secrets != NULL && i < secrets->len; i++) {
        if (!check_secret_name(g_ptr_array_index(secrets, i), error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < cli->arguments->len; i++) {
        const char *text = cli_argument(cli, i);
        g_autofree char *key = g_strndup(text, strcspn(text, "="));
        if (strchr(text, '=') == NULL) {
            sy_fail(error, SY_INVALID_INPUT, "%s has no `=`", text);
            sy_error_set_hint(error, "enclii env set %s=VALUE, or: enclii env set --secret %s", key, key);
            return false;
        }
        if (!check_key(key, error)) {
            return false;
        }
    }
    if (secrets == NULL && cli->arguments->len == 0) {
        sy_fail(error, SY_INVALID_INPUT, "env set needs KEY=VALUE or --secret KEY");
        sy_error_set_hint(error, "enclii env set LOG_LEVEL=debug");
        return false;
    }
    if (secrets != NULL && secrets->len > 1 && !cli->is_input_terminal) {
        sy_fail(error, SY_INVALID_INPUT, "stdin holds one secret at a time");
        sy_error_set_hint(error, "Call env set once for each.");
        return false;
    }
    return true;
}

static bool add_secrets(struct cli *cli, json_t *variables, GError **error)
{
    const GPtrArray *secrets = cli_flag_all(cli, "secret");
    for (guint i = 0; secrets != NULL && i < secrets->len; i++) {
        const char *key = g_ptr_array_index(secrets, i);
        g_autoptr(sy_secret) value = prompt_secret(cli, key, error);
        if (value == NULL) {
            return false;
        }
        if (!g_utf8_validate(secret_reveal(value), -1, NULL)) {
            return sy_fail(error, SY_INVALID_INPUT, "the value of %s is no text in UTF-8", key);
        }
        add(variables, key, secret_reveal(value), true);
    }
    return true;
}

static bool add_plain(const struct cli *cli, json_t *variables, GError **error)
{
    for (unsigned i = 0; i < cli->arguments->len; i++) {
        const char *text = cli_argument(cli, i);
        g_autofree char *key = g_strndup(text, strcspn(text, "="));
        if (!g_utf8_validate(text, -1, NULL)) {
            return sy_fail(error, SY_INVALID_INPUT, "the value of %s is no text in UTF-8", key);
        }
        add(variables, key, strchr(text, '=') + 1, false);
    }
    return true;
}

static bool set(struct cli *cli, GError **error)
{
    if (!check(cli, error)) {
        return false;
    }
    g_autoptr(service_t) service = target_service(cli, cli_flag(cli, "service"), error);
    json_t *variables = json_array();
    bool ok = service != NULL && add_plain(cli, variables, error) && add_secrets(cli, variables, error) &&
              variables_put(cli, service, variables, error);
    json_decref(variables);
    return ok;
}

/* --- import -------------------------------------------------------------------------------------- */

static GPtrArray *read_file(const char *path, GError **error)
{
    size_t length;
    bool is_stdin = strcmp(path, "-") == 0;
    char *text = is_stdin ? input_read_all(STDIN_FILENO, &length, error) : input_read_file(path, &length, error);
    if (text == NULL) {
        return NULL;
    }
    GPtrArray *map = dotenv_parse(text, length, is_stdin ? "stdin" : path, error);
    secret_wipe(text, length);
    g_free(text);
    return map;
}

static bool import(struct cli *cli, GError **error)
{
    g_autoptr(GPtrArray) map = read_file(cli_argument(cli, 0), error);
    if (map == NULL) {
        return false;
    }
    json_t *variables = json_array();
    for (guint i = 0; i < map->len; i++) {
        const struct string_pair *pair = g_ptr_array_index(map, i);
        if (strcmp(pair->key, "PORT") == 0) {
            say(cli, "PORT is left out: it is set from `port` in %s", SPEC_FILE_NAME);
            continue;
        }
        add(variables, pair->key, pair->value, cli_has(cli, "secret"));
    }
    bool ok =
        json_array_size(variables) > 0 || sy_fail(error, SY_INVALID_INPUT, "%s sets nothing", cli_argument(cli, 0));
    g_autoptr(service_t) service = ok ? target_service(cli, cli_flag(cli, "service"), error) : NULL;
    ok = service != NULL && variables_put(cli, service, variables, error);
    json_decref(variables);
    return ok;
}

const struct command env_set_command = {
    .name = "env set",
    .arguments = "[KEY=VALUE…]",
    .summary = "Set variables, and deploy with them",
    .details =
        "For all environments, or for one with -e; an environment's own value beats the one for all. The value of a\n"
        "secret is never taken from the command line, and what is a secret stays one.\n"
        "\n"
        "    enclii env set LOG_LEVEL=debug -e preview\n"
        "    enclii env set --secret DATABASE_URL\n"
        "    pass show shop/db | enclii env set --secret DATABASE_URL -e production",
    .flags = set_flags,
    .max_arguments = 256,
    .run = set,
};
const struct command env_import_command = {
    .name = "env import",
    .arguments = "FILE",
    .summary = "Set the variables of a .env file, and deploy with them",
    .details =
        "FILE is - for stdin. Nothing in it is expanded: $ is a character. PORT is left out: it is the service's port.",
    .flags = import_flags,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = import,
};
