/* Builds and what came of them. */
#include <string.h>

#include "build/pipeline.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"
#include "switchyard/operations/source.h"

#define SHA1_LENGTH 40

static bool is_commit(const char *text)
{
    return text != NULL && strlen(text) == SHA1_LENGTH && strspn(text, "0123456789abcdef") == SHA1_LENGTH;
}

/* Where the source comes from: what was asked for, else the repository, else what was uploaded last. */
static bool choose_source(struct tx *tx, const struct call *call, const struct service *service,
                          const struct build_request *body, struct release *release, GError **error)
{
    if (service->build_config.type == BUILD_IMAGE) {
        return true;
    }
    g_autoptr(source_t) source = NULL;
    if (body != NULL && body->source != NULL) {
        if (!source_find(tx, service->project_id, body->source, &source, error)) {
            return false;
        }
        if (source == NULL || !source_is_there(call->app, service->project_id, body->source)) {
            sy_fail(error, SY_SOURCE_MISSING, "the source %.12s… has not been uploaded", body->source);
            sy_error_set_hint(error, "Send it first: PUT /v1/services/{id}/sources/{sha256}");
            return false;
        }
    } else if (service->git_repo == NULL) {
        if (!source_find_newest(tx, service->project_id, &source, error)) {
            return false;
        }
        if (source == NULL || !source_is_there(call->app, service->project_id, source->sha256)) {
            sy_fail(error, SY_SOURCE_MISSING, "there is nothing to build: no upload and no git_repo");
            sy_error_set_hint(error, "Run `enclii up` in the folder, or set git_repo on the service.");
            return false;
        }
    }
    if (source != NULL) {
        release->source = g_strdup(source->sha256);
        return source_touch(tx, source->id, call->now_us, error);
    }
    return true;
}

/* Inputs that may mean something else tomorrow (a branch) have no fingerprint. */
static char *fingerprint_of(const struct service *service, const struct release *release)
{
    bool is_fixed = release->source != NULL || is_commit(release->git_sha) || service->build_config.type == BUILD_IMAGE;
    const char *repository = release->source == NULL ? service->git_repo : NULL;
    const char *commit = release->source == NULL ? release->git_sha : NULL;
    return is_fixed ? build_fingerprint(release->source, repository, commit, &service->build_config) : NULL;
}

static bool find_same(struct tx *tx, struct call *call, const char *service_id, const char *fingerprint, GError **error)
{
    g_autoptr(release_t) same = NULL;
    if (fingerprint == NULL) {
        return true;
    }
    if (!release_find_by_fingerprint(tx, service_id, fingerprint, &same, error)) {
        return false;
    }
    if (same != NULL && same->cancel_requested <= 0) {
        call->row = g_steal_pointer(&same);
        call->flag = true;
    }
    return true;
}

/* Newest wins: what waits and has not begun is not wanted any more. */
static bool collapse_queued(struct tx *tx, const struct call *call, const struct release *by, GError **error)
{
    g_autoptr(GPtrArray) releases = NULL;
    const struct page page = {.limit = 50};
    if (!release_list(tx, &call->scope, by->service_id, &page, &releases, error)) {
        return false;
    }
    for (guint i = 0; i < releases->len; i++) {
        struct release *release = g_ptr_array_index(releases, i);
        if (release->status != RELEASE_QUEUED || strcmp(release->id, by->id) == 0 || release->attempts > 0) {
            continue;
        }
        g_free(release->error_message);
        release->error_message = g_strdup_printf("superseded by %s before it had begun", by->version);
        release->finished_us = call->now_us;
        if (!release_set_status(tx, release, RELEASE_CANCELLED, error) ||
            !history_of_release(tx, call->app, release, "release.cancelled", release->error_message, call->actor,
                                call->now_us, error)) {
            return false;
        }
    }
    return true;
}

static bool queue_build(struct tx *tx, struct call *call, const struct service *service, struct release *release,
                        GError **error)
{
    release->id = uuid_new();
    release->organization_id = g_strdup(service->organization_id);
    release->project_id = g_strdup(service->project_id);
    release->service_id = g_strdup(service->id);
    contract_clear(&build_config_type, &release->build_config);
    contract_copy(&build_config_type, &release->build_config, &service->build_config);
    release->created_by = g_strdup(call->actor);
    release->created_us = call->now_us;
    release->revision = 1;
    if (!release_insert(tx, release, error) || !collapse_queued(tx, call, release, error)) {
        return false;
    }
    g_autofree char *message = g_strdup_printf("release %s of %s queued for building", release->version, service->name);
    return history_of_release(tx, call->app, release, "release.queued", message, call->actor, call->now_us, error);
}

static bool build(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    const struct build_request *body = request_body(call->request);
    call_reset(call);
    call->flag = false;
    g_autoptr(service_t) service = NULL;
    g_autoptr(release_t) release = contract_new(&release_type);
    if (!call_service(tx, call, &service, error)) {
        return false;
    }
    release->git_sha = g_strdup(body != NULL ? body->git_sha : NULL);
    release->git_branch = g_strdup(body != NULL ? body->git_branch : NULL);
    release->is_rebuild = body != NULL && body->force > 0;
    if (!choose_source(tx, call, service, body, release, error)) {
        return false;
    }
    release->fingerprint = fingerprint_of(service, release);
    if (!release->is_rebuild && (!find_same(tx, call, service->id, release->fingerprint, error) || call->row != NULL)) {
        return call->row != NULL;
    }
    call->row = g_steal_pointer(&release);
    return queue_build(tx, call, service, call->row, error);
}

static void reply_build(struct call *call)
{
    const struct release *release = call->row;
    reply_status_object(call->request, call->flag ? 200 : 201, &release_type, release, release->revision);
}

bool release_build(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_create(&call, build, reply_build, error)) {
        return false;
    }
    if (!call.flag) {
        app_wake_builder(call.app);
    }
    return true;
}

static bool list(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    struct page page;
    g_autofree char *cursor = NULL;
    g_autoptr(service_t) service = NULL;
    call_reset(call);
    return call_page(call, &page, &cursor, error) && call_service(tx, call, &service, error) &&
           release_list(tx, &call->scope, service->id, &page, &call->rows, error);
}

bool release_get_list(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    struct page page;
    g_autofree char *cursor = NULL;
    if (!call_page(&call, &page, &cursor, error) || !call_read(&call, list, error)) {
        return false;
    }
    reply_page(&call, "releases", &release_type, &page);
    return true;
}

static bool get(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    call_reset(call);
    return release_by_id(tx, &call->scope, call_parameter(call, "id"), (struct release **)&call->row, error);
}

bool release_get(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_read(&call, get, error)) {
        return false;
    }
    reply_object(request, &release_type, call.row, ((const struct release *)call.row)->revision);
    return true;
}

static bool cancel(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    if (!get(tx, call, error)) {
        return false;
    }
    struct release *release = call->row;
    if (release->status == RELEASE_QUEUED) {
        release->finished_us = call->now_us;
        return release_set_status(tx, release, RELEASE_CANCELLED, error) &&
               history_of_release(tx, call->app, release, "release.cancelled", "cancelled before it had begun",
                                  call->actor, call->now_us, error);
    }
    if (release->status != RELEASE_BUILDING) {
        return sy_fail(error, SY_CONFLICT, "release %s is %s: there is no build to cancel", release->version,
                       release_statuses[release->status]);
    }
    release->cancel_requested = 1;
    return release_update(tx, release, error) &&
           history_of_release(tx, call->app, release, "release.cancel_requested", "to be cancelled", call->actor,
                              call->now_us, error);
}

bool release_cancel(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    if (!call_write(&call, cancel, error)) {
        return false;
    }
    app_wake_builder(call.app);
    reply_object(request, &release_type, call.row, ((const struct release *)call.row)->revision);
    return true;
}
