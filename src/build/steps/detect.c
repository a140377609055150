#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/beneath.h"
#include "base/error.h"
#include "build/steps/steps.h"

#define DOCKERFILE_LIMIT (1 << 20)

/* Opens the Dockerfile inside the context and tells where it really is. */
static bool find_dockerfile(struct build *build, const char *name, GError **error)
{
    struct stat status;
    g_auto(fd_t) fd = open_beneath(build->context_fd, name, O_RDONLY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return sy_fail(error, SY_INVALID_INPUT, "build.dockerfile: there is no file %s in the folder that is built",
                       name);
    }
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    build->dockerfile = g_file_read_link(link, NULL);
    return build->dockerfile != NULL || sy_fail(error, SY_IO_FAILED, "cannot find the path of %s", name);
}

static bool write_dockerfile(struct build *build, GError **error)
{
    const char *text = build->detection->dockerfile;
    build->dockerfile = workspace_path(build->workspace, "Dockerfile");
    return file_replace(build->dockerfile, text, strlen(text), 0600, error);
}

bool step_detect(struct build *build, GError **error)
{
    size_t length;
    if (!detect(build->context_fd, build->job->config, &build->detection, error)) {
        return false;
    }
    const struct detection *found = build->detection;
    build_say(build, "%s: %s", found->label, found->reason);
    bool ok =
        found->dockerfile != NULL
            ? write_dockerfile(build, error)
            : find_dockerfile(build, found->dockerfile_path != NULL ? found->dockerfile_path : "Dockerfile", error);
    g_autofree char *text = ok ? file_read(build->dockerfile, DOCKERFILE_LIMIT, &length, error) : NULL;
    if (text == NULL ||
        !dockerfile_check(text, length, found->dockerfile != NULL || build->options->allow_frontends, error)) {
        return false;
    }
    build->bases = dockerfile_bases(text, length);
    build->result.builder = g_strdup(found->builder);
    build->result.builder_reason = g_strdup(found->reason);
    build->result.default_command = g_strdupv(found->command);
    build->result.default_port = found->port;
    return true;
}
