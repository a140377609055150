#include "enclii/deletion.h"

#include "enclii/output.h"
#include "enclii/prompt.h"

static void show(const struct cli *cli, const json_t *result)
{
    size_t index;
    json_t *change;
    json_array_foreach(json_object_get(result, "changes"), index, change)
    {
        say(cli, "  %s", json_is_string(change) ? json_string_value(change) : "?");
    }
}

static bool plan(struct cli *cli, const char *target, GError **error)
{
    g_autofree char *dry = g_strconcat(target, "?dry_run=true", NULL);
    json_t *result = client_send(cli_client(cli, NULL), "DELETE", dry, NULL, error);
    if (result != NULL) {
        show(cli, result);
    }
    json_decref(result);
    return result != NULL;
}

bool delete_after_asking(struct cli *cli, const char *target, const char *query, const char *question, GError **error)
{
    if (cli_client(cli, error) == NULL || !plan(cli, target, error) || !prompt_confirm(cli, question, error)) {
        return false;
    }
    g_autofree char *real = g_strconcat(target, *query != '\0' ? "?" : "", query, NULL);
    json_t *result = client_send(cli_client(cli, NULL), "DELETE", real, NULL, error);
    bool ok = result != NULL;
    if (ok && cli->output != OUTPUT_TABLE) {
        ok = output_json(cli, result, error);
    } else if (ok) {
        output_line(cli, "deleted");
    }
    json_decref(result);
    return ok;
}
