#include "enclii/commands.h"
#include "enclii/output.h"

static bool run(struct cli *cli, GError **error)
{
    if (cli->output == OUTPUT_TABLE) {
        output_line(cli, "enclii %s", ENCLII_VERSION);
        return true;
    }
    json_t *value = json_pack("{s:s}", "version", ENCLII_VERSION);
    bool ok = output_json(cli, value, error);
    json_decref(value);
    return ok;
}

const struct command version_command = {
    .name = "version",
    .summary = "Show the version of enclii",
    .details = "Of the server: enclii api GET /v1/version",
    .run = run,
};
