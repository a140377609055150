#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/error.h"
#include "build/steps/steps.h"

static bool unpack(struct build *build, int folder_fd, GError **error)
{
    struct source_tree tree = {0};
    g_auto(fd_t) archive = open(build->job->archive, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (archive < 0) {
        return errno == ENOENT ? sy_fail(error, SY_SOURCE_MISSING, "the uploaded source is gone")
                               : sy_fail_errno(error, errno, "cannot open the source");
    }
    if (!source_unpack(archive, folder_fd, &source_default_limits, build->job->cancelled, &tree, error)) {
        return false;
    }
    build_say(build, "unpacked %" G_GINT64_FORMAT " files, %.1f MB", tree.entry_count, (double)tree.total_bytes / 1e6);
    return true;
}

static bool fetch(struct build *build, GError **error)
{
    const struct build_job *job = build->job;
    if (job->git_repo == NULL) {
        return sy_fail(error, SY_SOURCE_MISSING, "there is nothing to build: neither an upload nor a git repository");
    }
    build_say(build, "fetching %s of %s", job->git_ref != NULL ? job->git_ref : "the default branch", job->git_repo);
    const struct source_git wanted = {
        .url = job->git_repo,
        .ref = job->git_ref,
        .ca_bundle = build->options->ca_bundle,
        .flags = build->options->git_flags,
        .timeout_ms = build_left_ms(build),
        .cancelled = job->cancelled,
        .on_line = job->on_line,
        .on_line_arg = job->on_line_arg,
    };
    if (!source_fetch_git(&wanted, build->source, &build->result.git_sha, error)) {
        return false;
    }
    build_say(build, "fetched commit %.12s", build->result.git_sha);
    return true;
}

/* The folder to build: inside the tree, whatever its links say. */
static bool open_context(struct build *build, int source_fd, GError **error)
{
    const char *context = build->job->config->context;
    bool is_whole = context == NULL || *context == '\0';
    build->context_fd = open_beneath(source_fd, is_whole ? "." : context, O_RDONLY | O_DIRECTORY);
    if (build->context_fd < 0) {
        bool is_missing = errno == ENOENT || errno == ENOTDIR;
        return sy_fail(error, SY_INVALID_INPUT,
                       is_missing ? "build.context: the source has no folder %s"
                                  : "build.context: %s cannot be opened inside the source",
                       context);
    }
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", build->context_fd);
    g_autoptr(GError) failure = NULL;
    build->context = g_file_read_link(link, &failure);
    return build->context != NULL ||
           sy_fail(error, SY_IO_FAILED, "cannot find the folder to build: %s", failure->message);
}

bool step_source(struct build *build, GError **error)
{
    build->source = workspace_path(build->workspace, "source");
    if (!folder_ensure(build->source, 0700, error)) {
        return false;
    }
    if (build->job->archive == NULL && !fetch(build, error)) {
        return false;
    }
    g_auto(fd_t) folder = open(build->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (folder < 0) {
        return sy_fail_errno(error, errno, "cannot open %s", build->source);
    }
    if (build->job->archive != NULL && !unpack(build, folder, error)) {
        return false;
    }
    return open_context(build, folder, error);
}
