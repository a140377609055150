#include "switchyard/operations/history.h"

bool history_append(struct tx *tx, const struct app *app, const struct history *what, int64_t now_us, GError **error)
{
    const struct event event = {
        .organization_id = app->organization_id,
        .type = (char *)what->type,
        .project_id = (char *)what->project_id,
        .service_id = (char *)what->service_id,
        .environment_id = (char *)what->environment_id,
        .deployment_id = (char *)what->deployment_id,
        .release_id = (char *)what->release_id,
        .message = (char *)what->message,
        .data = (char *)what->data,
        .actor = (char *)what->actor,
        .created_us = now_us,
    };
    return event_append(tx, &event, error);
}

bool history_of_deployment(struct tx *tx, const struct app *app, const struct deployment *deployment, const char *type,
                           const char *message, const char *actor, int64_t now_us, GError **error)
{
    g_autoptr(GString) data = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, data);
    json_object_open(&writer);
    json_member_string(&writer, "version", deployment->version);
    json_member_string(&writer, "release", deployment->release_version);
    json_member_string(&writer, "environment", deployment->environment);
    json_member_string(&writer, "status", deployment_statuses[deployment->status]);
    json_object_close(&writer);
    const struct history what = {
        .type = type,
        .project_id = deployment->project_id,
        .service_id = deployment->service_id,
        .environment_id = deployment->environment_id,
        .deployment_id = deployment->id,
        .release_id = deployment->release_id,
        .message = message,
        .data = data->str,
        .actor = actor,
    };
    return history_append(tx, app, &what, now_us, error);
}

bool history_of_release(struct tx *tx, const struct app *app, const struct release *release, const char *type,
                        const char *message, const char *actor, int64_t now_us, GError **error)
{
    g_autoptr(GString) data = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, data);
    json_object_open(&writer);
    json_member_string(&writer, "version", release->version);
    json_member_string(&writer, "status", release_statuses[release->status]);
    json_object_close(&writer);
    const struct history what = {
        .type = type,
        .project_id = release->project_id,
        .service_id = release->service_id,
        .release_id = release->id,
        .message = message,
        .data = data->str,
        .actor = actor,
    };
    return history_append(tx, app, &what, now_us, error);
}
