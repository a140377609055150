/* From a deployment to a container of the engine; it does not run yet. */
#include "switchyard/controllers/job.h"

#include "base/secret.h"
#include "switchyard/operations/configuration.h"

/* The engine follows badly a log that turns over faster than it is read. */
#define LOG_FILE_BYTES (INT64_C(64) * 1024 * 1024)

static char **wipe_environment(char **environment)
{
    for (char **entry = environment; entry != NULL && *entry != NULL; entry++) {
        secret_string_free(*entry);
    }
    g_free(environment);
    return NULL;
}

const char *job_image(const struct deployment *deployment)
{
    const struct deployment_value *value = &deployment->value;
    return value->image_digest != NULL ? value->image_digest : value->image;
}

bool job_container(struct app *app, const struct job *job, const struct container_plan *plan, char **ret_id,
                   GError **error)
{
    const struct settings *settings = &job->deployment->value.settings;
    g_autoptr(GPtrArray) entries =
        job_configuration(app, job->pair->id, job->deployment->value.config_version, NULL, error);
    g_autoptr(GPtrArray) volumes = NULL;
    if (entries == NULL || !network_ensure(app->controller, job->environment, error) ||
        (plan->mounts_volumes && !job_volumes(app, job, &volumes, error))) {
        return false;
    }
    guint n_mounts = volumes != NULL ? volumes->len : 0;
    g_autofree struct engine_mount *mounts = g_new0(struct engine_mount, n_mounts + 1);
    for (guint i = 0; i < n_mounts; i++) {
        mounts[i].volume = ((const struct volume *)g_ptr_array_index(volumes, i))->engine_name;
        mounts[i].path = ((const struct string_pair *)g_ptr_array_index(settings->volumes, i))->value;
    }
    g_autofree char *pair = g_strdup_printf(ENGINE_LABEL_PAIR "=%s", job->pair->id);
    g_autofree char *deployment = g_strdup_printf(ENGINE_LABEL_DEPLOYMENT "=%s", job->deployment->id);
    g_autofree char *instance = g_strdup_printf(ENGINE_LABEL_INSTANCE "=%s", plan->instance_id);
    g_autofree char *role = g_strdup_printf(ENGINE_LABEL_ROLE "=%s", plan->role);
    const char *const labels[] = {pair, deployment, instance, role, NULL};
    const char *const aliases[] = {job->service->name, NULL};
    const char *const no_aliases[] = {NULL};
    g_autofree char *network = network_name(app, job->environment);
    g_autofree char *signal = g_strdup_printf("SIG%s", stop_signals[settings->stop.signal]);
    char **environment = configuration_environment(job->deployment, entries, job->service->name, plan->name);
    const struct engine_instance_spec spec = {
        .name = plan->name,
        .image = job_image(job->deployment),
        .labels = labels,
        .command = (const char *const *)plan->command,
        .env = (const char *const *)environment,
        .network = network,
        .address = plan->address,
        .aliases = plan->restarts ? aliases : no_aliases,
        .mounts = mounts,
        .n_mounts = n_mounts,
        .cpu_millis = settings->resources.cpu_millis,
        .memory_bytes = settings->resources.memory_bytes,
        .pids = settings->resources.pids,
        .user = settings->security.user,
        .group = settings->security.user,
        .is_root_writable = settings->security.is_read_only == 0,
        .stop_signal = signal,
        .stop_grace_ms = settings->stop.grace_ms,
        .restarts = plan->restarts,
        .log_bytes = LOG_FILE_BYTES,
    };
    bool ok = app->engine->ops->instance_create(app->engine, &spec, ret_id, error);
    wipe_environment(environment);
    return ok;
}
