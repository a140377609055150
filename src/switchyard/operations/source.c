#include "switchyard/operations/source.h"

#include <unistd.h>

char *source_path(const struct app *app, const char *project_id, const char *sha256)
{
    return g_build_filename(app->config->data_dir, "sources", project_id, sha256, NULL);
}

bool source_is_there(const struct app *app, const char *project_id, const char *sha256)
{
    g_autofree char *path = source_path(app, project_id, sha256);
    return access(path, R_OK) == 0;
}
