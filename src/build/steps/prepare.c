#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "build/steps/steps.h"

static bool check_space(const struct build_options *options, const char *path, GError **error)
{
    int64_t free_bytes;
    int64_t total_bytes;
    if (!disk_space(path, &free_bytes, &total_bytes, error)) {
        return false;
    }
    if (free_bytes < options->disk_reserve_bytes) {
        return sy_fail(error, SY_DISK_FULL,
                       "%s has %" G_GINT64_FORMAT " MiB free of %" G_GINT64_FORMAT
                       " MiB; builds begin only with %" G_GINT64_FORMAT " MiB (disk_reserve)",
                       path, free_bytes >> 20, total_bytes >> 20, options->disk_reserve_bytes >> 20);
    }
    return true;
}

/* Podman's service speaks the API for containers, not BuildKit's session. */
static bool check_builder(const struct build *build, const struct engine_info *info, GError **error)
{
    if (strcmp(info->name, "podman") != 0 || build->job->config->type == BUILD_IMAGE) {
        return true;
    }
    sy_fail(error, SY_NOT_SUPPORTED, "Podman %s has no BuildKit, with which images are built here", info->version);
    sy_error_set_hint(error, "Name an image that was built elsewhere (image: NAME in enclii.yaml), or use Docker 20.10 "
                             "or newer.");
    return false;
}

/* An engine elsewhere has its data folder elsewhere. */
static bool check_engine(const struct build *build, GError **error)
{
    const struct build_options *options = build->options;
    struct engine_info info = {0};
    if (!options->engine->ops->info(options->engine, &info, error)) {
        return false;
    }
    bool is_here = info.root != NULL && *info.root != '\0' && g_file_test(info.root, G_FILE_TEST_IS_DIR);
    bool ok = check_builder(build, &info, error) && (!is_here || check_space(options, info.root, error));
    engine_info_clear(&info);
    return ok;
}

bool step_prepare(struct build *build, GError **error)
{
    const struct build_options *options = build->options;
    const char *name = uuid_is_valid(build->job->release_id) ? build->job->release_id : "build";
    if (!folder_ensure(options->work_folder, 0700, error) || !check_space(options, options->work_folder, error) ||
        !check_engine(build, error)) {
        return false;
    }
    build->workspace = workspace_open(options->work_folder, name, error);
    if (build->workspace == NULL) {
        return false;
    }
    g_autofree char *home = workspace_path(build->workspace, "home");
    g_autofree char *temporary = workspace_path(build->workspace, "tmp");
    return docker_client_find(options->docker, options->engine_endpoint, home, temporary, options->forward,
                              &build->client, error);
}
