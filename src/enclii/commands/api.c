#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enclii/commands.h"
#include "enclii/input.h"
#include "enclii/output.h"

static const struct flag flags[] = {
    {.name = "data", .letter = 'd', .value = "JSON|@FILE|-", .doc = "the body: JSON, a file, or stdin"},
    {.name = "include", .letter = 'i', .doc = "the status line and headers too"},
    {NULL},
};

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", NULL};

/* The body; *ret_length 0 and "" without --data. */
static char *read_body(const struct cli *cli, size_t *ret_length, GError **error)
{
    const char *data = cli_flag(cli, "data");
    *ret_length = 0;
    if (data == NULL) {
        return g_strdup("");
    }
    if (strcmp(data, "-") == 0) {
        return input_read_all(STDIN_FILENO, ret_length, error);
    }
    if (*data == '@') {
        return input_read_file(data + 1, ret_length, error);
    }
    *ret_length = strlen(data);
    return g_strdup(data);
}

/* GET may be left out. */
static bool read_line(const struct cli *cli, const char **ret_method, const char **ret_path, GError **error)
{
    bool has_method = cli->arguments->len == 2;
    *ret_method = has_method ? cli_argument(cli, 0) : "GET";
    *ret_path = cli_argument(cli, has_method ? 1 : 0);
    if (!g_strv_contains(methods, *ret_method)) {
        sy_fail(error, SY_INVALID_INPUT, "%s is no method", *ret_method);
        sy_error_set_hint(error, "enclii api GET /v1/projects");
        return false;
    }
    bool is_path = **ret_path == '/';
    for (const char *c = *ret_path; *c != '\0'; c++) {
        is_path = is_path && *c > ' ' && *c < 0x7F;
    }
    if (!is_path) {
        sy_fail(error, SY_INVALID_INPUT, "%s is no path: it begins with / and is percent-encoded", *ret_path);
        sy_error_set_hint(error, "enclii api GET /v1/projects");
    }
    return is_path;
}

static void print_head(const struct cli *cli, const struct http_reply *reply)
{
    output_line(cli, "HTTP/1.1 %d", reply->status);
    g_auto(GStrv) lines = g_strsplit(reply->headers->str, "\n", -1);
    for (char **line = lines; *line != NULL && **line != '\0'; line++) {
        output_line(cli, "%s", *line);
    }
    output_line(cli, "%s", "");
}

static bool print_body(const struct cli *cli, const struct http_reply *reply, GError **error)
{
    json_t *json = json_loadb(reply->body->str, reply->body->len, JSON_DECODE_ANY, NULL);
    bool ok = true;
    if (json != NULL) {
        ok = output_json(cli, json, error);
    } else if (cli->is_output_terminal && reply->body->len > 0) {
        output_line(cli, "%s", reply->body->str);
    } else {
        fwrite(reply->body->str, 1, reply->body->len, stdout);
    }
    json_decref(json);
    return ok;
}

static bool run(struct cli *cli, GError **error)
{
    const char *method;
    const char *path;
    size_t length;
    g_autofree char *body = NULL;
    if (!read_line(cli, &method, &path, error) || (body = read_body(cli, &length, error)) == NULL) {
        return false;
    }
    struct client *client = cli_client(cli, error);
    g_auto(http_reply_t) reply = {0};
    if (client == NULL ||
        !client_raw(client, method, path, length > 0 ? "application/json" : NULL, body, length, &reply, error)) {
        return false;
    }
    bool is_error = reply.status >= 400;
    if (cli_has(cli, "include")) {
        print_head(cli, &reply);
    }
    if ((!is_error || cli_has(cli, "include")) && !print_body(cli, &reply, error)) {
        return false;
    }
    return !is_error || client_problem(&reply, error);
}

const struct command api_command = {
    .name = "api",
    .arguments = "[METHOD] PATH",
    .summary = "Speak to the API: any route",
    .details = "Prints the reply's body; an error status is an error with its exit code. `enclii api GET "
               "/v1/openapi.json` lists\n"
               "all routes.\n"
               "\n"
               "    enclii api POST /v1/projects --data '{\"name\": \"Shop\", \"slug\": \"shop\"}'\n"
               "    enclii api GET /v1/system --include",
    .flags = flags,
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};
