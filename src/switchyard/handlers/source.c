/* Source archives: streamed to disk, checked by digest, kept once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/operations/source.h"

/* One upload on its way to disk. */
struct upload {
    int fd;
    char *path; /* of the temporary file; NULL once it has its name */
    GChecksum *digest;
    int64_t size;
};

static void upload_free(void *data)
{
    struct upload *upload = data;
    if (upload->fd >= 0) {
        close(upload->fd);
    }
    if (upload->path != NULL) {
        unlink(upload->path);
    }
    g_free(upload->path);
    g_checksum_free(upload->digest);
    g_free(upload);
}

static bool check_disk(const struct app *app, GError **error)
{
    int64_t free_bytes;
    int64_t total_bytes;
    if (!disk_space(app->config->data_dir, &free_bytes, &total_bytes, error)) {
        return false;
    }
    if (free_bytes < app->config->disk_reserve_bytes) {
        return sy_fail(error, SY_DISK_FULL,
                       "only %" G_GINT64_FORMAT " MiB of %" G_GINT64_FORMAT " MiB are free, and %" G_GINT64_FORMAT
                       " MiB are kept in reserve",
                       free_bytes >> 20, total_bytes >> 20, app->config->disk_reserve_bytes >> 20);
    }
    return true;
}

static bool read_service(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    struct service *service = NULL;
    call_reset(call);
    if (!call_service(tx, call, &service, error)) {
        return false;
    }
    call->row = service;
    return source_find(tx, service->project_id, call_parameter(call, "sha256"), (struct source **)&call->second, error);
}

static bool check_digest(const struct call *call, GError **error)
{
    if (!sha256_hex_is_valid(call_parameter(call, "sha256"))) {
        sy_error_add_issue(error, "path.sha256", "pattern", "must be 64 lower-case hex digits");
        return false;
    }
    return true;
}

static struct upload *begin(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    g_autofree char *folder = g_build_filename(call.app->config->data_dir, "sources", "incoming", NULL);
    if (!check_digest(&call, error) || !check_disk(call.app, error) || !call_read(&call, read_service, error) ||
        !folder_ensure(folder, 0700, error)) {
        return NULL;
    }
    struct upload *upload = g_new0(struct upload, 1);
    g_autofree char *name = uuid_new();
    upload->path = g_build_filename(folder, name, NULL);
    upload->digest = g_checksum_new(G_CHECKSUM_SHA256);
    upload->fd = open(upload->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (upload->fd < 0) {
        sy_fail_errno(error, errno, "cannot write the upload");
        disk_full_explain(folder, error);
        g_clear_pointer(&upload->path, g_free);
        upload_free(upload);
        return NULL;
    }
    return upload;
}

bool source_receive(struct request *request, const void *bytes, size_t length, bool is_last, GError **error)
{
    struct upload *upload = request_state(request);
    const struct app *app = request_app(request);
    if (upload == NULL) {
        upload = begin(request, error);
        if (upload == NULL) {
            return false;
        }
        request_set_state(request, upload, upload_free);
    }
    upload->size += (int64_t)length;
    if (upload->size > app->config->source_limit_bytes) {
        sy_fail(error, SY_TOO_LARGE, "the archive is larger than %" G_GINT64_FORMAT " MiB",
                app->config->source_limit_bytes >> 20);
        sy_error_set_hint(error,
                          "Leave files out by .encliiignore, or raise source_limit in the server's configuration.");
        return false;
    }
    g_checksum_update(upload->digest, bytes, (gssize)length);
    if (length > 0 && !fd_write_all(upload->fd, bytes, length, error)) {
        disk_full_explain(upload->path, error);
        return false;
    }
    return true;
}

/* The file has its name and is on disk before the row says that it is there. */
static bool keep_file(struct upload *upload, const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    if (!folder_ensure(folder, 0700, error)) {
        return false;
    }
    g_auto(fd_t) folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    crash_point("source.before_rename");
    if (fdatasync(upload->fd) != 0 || rename(upload->path, path) != 0 || folder_fd < 0 || fsync(folder_fd) != 0) {
        sy_fail_errno(error, errno, "cannot keep the upload");
        disk_full_explain(folder, error);
        return false;
    }
    g_clear_pointer(&upload->path, g_free);
    crash_point("source.after_rename");
    return true;
}

static bool insert(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct upload *upload = call->argument;
    if (!read_service(tx, call, error)) {
        return false;
    }
    if (call->second != NULL) {
        return source_touch(tx, ((const struct source *)call->second)->id, call->now_us, error);
    }
    const struct service *service = call->row;
    struct source *source = contract_new(&source_type);
    call->second = source;
    source->id = uuid_new();
    source->organization_id = g_strdup(service->organization_id);
    source->project_id = g_strdup(service->project_id);
    source->sha256 = g_strdup(call_parameter(call, "sha256"));
    source->size_bytes = upload->size;
    source->created_us = call->now_us;
    source->last_used_us = call->now_us;
    return source_insert(tx, source, error);
}

bool source_put(struct request *request, GError **error)
{
    struct upload *upload = request_state(request);
    g_auto(call_t) call;
    call_init(&call, request);
    call.argument = upload;
    const char *wanted = call_parameter(&call, "sha256");
    if (strcmp(g_checksum_get_string(upload->digest), wanted) != 0) {
        sy_fail(error, SY_INVALID_INPUT, "the bytes received have the SHA-256 %s, not %s",
                g_checksum_get_string(upload->digest), wanted);
        sy_error_set_hint(error, "The upload was cut or changed on the way: send it again.");
        return false;
    }
    if (!call_read(&call, read_service, error)) {
        return false;
    }
    g_autofree char *path = source_path(call.app, ((const struct service *)call.row)->project_id, wanted);
    if (!keep_file(upload, path, error) || !call_write(&call, insert, error)) {
        return false;
    }
    reply_object(request, &source_type, call.second, 0);
    return true;
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    if (!read_service(tx, call, error)) {
        return false;
    }
    return call->second != NULL || sy_fail(error, SY_NOT_FOUND, "this source has not been uploaded");
}

bool source_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!check_digest(&call, error) || !call_read(&call, get, error)) {
        return false;
    }
    /* Garbage collection may have taken the file; then it has to be sent again. */
    if (!source_is_there(call.app, ((const struct service *)call.row)->project_id, call_parameter(&call, "sha256"))) {
        return sy_fail(error, SY_NOT_FOUND, "this source has not been uploaded");
    }
    reply_object(request, &source_type, call.second, 0);
    return true;
}
