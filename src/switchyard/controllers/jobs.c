/* The slow actions. Each is idempotent, works on copies, and puts its pair back into the queue when it ends, whatever came of it:
 * the next pass sees what is true. */
#include "switchyard/controllers/internal.h"

#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "logs/redactor.h"
#include "switchyard/controllers/log_collector.h"
#include "switchyard/controllers/probe.h"
#include "switchyard/operations/configuration.h"
#include "switchyard/operations/history.h"

#define LOG_FILE_BYTES (20 << 20)
#define RELEASE_COMMAND_MS (15 * 60 * 1000)
#define ORPHAN_RETRY_US (INT64_C(1) * 1000000) /* when it is others' turn */
#define STABLE_US (INT64_C(60) * 1000000)
#define STAYS_UP_US (INT64_C(3) * 1000000) /* a worker, before it counts as healthy */

struct job {
    const struct clock *clock;
    enum action_kind kind;
    char *busy_key;
    char *orphan;
    struct pair *pair;
    struct instance *row;          /* NULL for some kinds */
    struct deployment *deployment; /* the desired one */
    struct service *service;
    struct environment *environment;
    char *engine_id; /* of the row's container, NULL when there is none */
};

void job_free(struct job *job)
{
    contract_object_free(job->pair);
    contract_object_free(job->row);
    contract_object_free(job->deployment);
    contract_object_free(job->service);
    contract_object_free(job->environment);
    g_free(job->busy_key);
    g_free(job->orphan);
    g_free(job->engine_id);
    g_free(job);
}

void job_start(struct pass *pass, enum action_kind kind, const struct instance *row, const char *orphan)
{
    struct controller *controller = pass->controller;
    struct job *job = g_new0(struct job, 1);
    job->clock = controller->app->clock;
    job->kind = kind;
    job->orphan = g_strdup(orphan);
    job->pair = contract_dup(&pair_type, pass->pair);
    job->row = contract_dup(&instance_type, row);
    job->deployment = contract_dup(&deployment_type, pass->desired);
    job->service = contract_dup(&service_type, pass->service);
    job->environment = contract_dup(&environment_type, pass->environment);
    job->busy_key = row != NULL      ? g_strdup(row->id)
                    : orphan != NULL ? g_strdup(orphan)
                                     : g_strdup_printf("release:%s", pass->pair->id);
    const struct engine_instance *container =
        row != NULL ? g_hash_table_lookup(pass->snapshot->by_instance, row->id) : NULL;
    job->engine_id = container != NULL ? g_strdup(container->id) : NULL;
    g_mutex_lock(&controller->lock);
    bool is_new = !g_hash_table_contains(controller->busy, job->busy_key) &&
                  (orphan == NULL || pace_begin_orphan(controller, pass));
    if (is_new) {
        g_hash_table_add(controller->busy, g_strdup(job->busy_key));
    }
    g_mutex_unlock(&controller->lock);
    if (!is_new && orphan != NULL) {
        queue_add(controller->queue, pass->pair->id, clock_monotonic_us(job->clock) + ORPHAN_RETRY_US);
    }
    if (!is_new) {
        job_free(job);
        return;
    }
    controller->submit(controller, job, kind == ACTION_STOP || kind == ACTION_RELEASE_COMMAND);
}

/* --- configuration and logs ---------------------------------------------------------------------------------------------------------- */

struct configuration_read {
    struct app *app;
    const char *pair_id;
    int64_t version;
    const char *deployment_id; /* NULL: `version` is given */
    GPtrArray *entries;
};

static bool read_configuration(struct tx *tx, void *arg, GError **error)
{
    struct configuration_read *read = arg;
    g_clear_pointer(&read->entries, g_ptr_array_unref);
    if (read->deployment_id != NULL) {
        struct scope scope = app_scope(read->app);
        g_autoptr(deployment_t) deployment = NULL;
        if (!deployment_by_id(tx, &scope, read->deployment_id, &deployment, error)) {
            return false;
        }
        read->version = deployment->value.config_version;
    }
    return configuration_load(tx, read->app, read->pair_id, read->version, &read->entries, error);
}

static GPtrArray *load_configuration(struct app *app, const char *pair_id, int64_t version, const char *deployment_id,
                                     GError **error)
{
    struct configuration_read read = {
        .app = app, .pair_id = pair_id, .version = version, .deployment_id = deployment_id};
    return store_read(app->store, "configuration_load", read_configuration, &read, error) ? read.entries : NULL;
}

static bool mark_watched(struct controller *controller, const char *engine_id)
{
    g_mutex_lock(&controller->lock);
    bool is_new = !g_hash_table_contains(controller->watched, engine_id);
    if (is_new) {
        g_hash_table_add(controller->watched, g_strdup(engine_id));
    }
    g_mutex_unlock(&controller->lock);
    return is_new;
}

static void watch_container(struct controller *controller, const struct pair *pair, const struct instance *row,
                            const char *engine_id)
{
    if (controller->app->collector == NULL || !mark_watched(controller, engine_id)) {
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) entries = load_configuration(controller->app, pair->id, 0, row->deployment_id, &error);
    if (entries == NULL) {
        /* Without the secrets' values nothing could be redacted, so nothing is collected until they can be read. */
        log_failure("logs.watch_failed", error, "instance", row->name, NULL);
        g_mutex_lock(&controller->lock);
        g_hash_table_remove(controller->watched, engine_id);
        g_mutex_unlock(&controller->lock);
        return;
    }
    g_autofree char *key = g_strdup_printf("%s/%s", pair->service_id, pair->environment_id);
    struct redactor *redactor = configuration_redactor(entries);
    log_collector_watch(controller->app->collector, engine_id, key, row->name, redactor);
    redactor_unref(redactor);
}

void watch_logs(struct pass *pass)
{
    for (guint i = 0; i < pass->rows->len; i++) {
        const struct instance *row = g_ptr_array_index(pass->rows, i);
        const struct engine_instance *container = g_hash_table_lookup(pass->snapshot->by_instance, row->id);
        if (container != NULL && row->state != INSTANCE_STOPPING) {
            watch_container(pass->controller, pass->pair, row, container->id);
        }
    }
}

/* --- creating -------------------------------------------------------------------------------------------------------------------------- */

struct volume_job {
    struct app *app;
    const struct job *job;
    GPtrArray *volumes; /* of struct volume, in the order of settings.volumes */
};

static bool ensure_volume_rows(struct tx *tx, void *arg, GError **error)
{
    struct volume_job *volume_job = arg;
    const GPtrArray *wanted = volume_job->job->deployment->value.settings.volumes;
    g_clear_pointer(&volume_job->volumes, g_ptr_array_unref);
    volume_job->volumes = contract_array_new(&volume_type);
    for (guint i = 0; wanted != NULL && i < wanted->len; i++) {
        const struct string_pair *pair = g_ptr_array_index(wanted, i);
        struct volume *volume = NULL;
        if (!volume_find(tx, volume_job->job->pair->id, pair->key, &volume, error)) {
            return false;
        }
        if (volume == NULL) {
            volume = contract_new(&volume_type);
            volume->id = uuid_new();
            volume->organization_id = g_strdup(volume_job->job->pair->organization_id);
            volume->pair_id = g_strdup(volume_job->job->pair->id);
            volume->name = g_strdup(pair->key);
            volume->engine_name =
                g_strdup_printf("enclii-%s-%s", uuid_tail(volume_job->app->installation_id), volume->id);
            volume->created_us = clock_wall_us(volume_job->app->clock);
            if (!volume_insert(tx, volume, error)) {
                contract_object_free(volume);
                return false;
            }
        } else if (volume->tombstoned_us != CONTRACT_ABSENT) {
            volume->tombstoned_us = CONTRACT_ABSENT; /* the deletion of its project was undone */
            if (!volume_update(tx, volume, error)) {
                contract_object_free(volume);
                return false;
            }
        }
        g_ptr_array_add(volume_job->volumes, volume);
    }
    return true;
}

static bool ensure_volumes(struct app *app, const struct job *job, GPtrArray **ret_volumes, GError **error)
{
    struct volume_job volume_job = {.app = app, .job = job};
    bool ok = store_write(app->store, "volumes_ensure", ensure_volume_rows, &volume_job, error);
    for (guint i = 0; ok && i < volume_job.volumes->len; i++) {
        const struct volume *volume = g_ptr_array_index(volume_job.volumes, i);
        g_autofree char *object = g_strdup_printf(ENGINE_LABEL_OBJECT "=%s", volume->id);
        const char *const labels[] = {object, ENGINE_LABEL_ROLE "=volume", NULL};
        ok = app->engine->ops->volume_ensure(app->engine, volume->engine_name, labels, error);
    }
    if (ok) {
        *ret_volumes = volume_job.volumes;
    } else {
        g_clear_pointer(&volume_job.volumes, g_ptr_array_unref);
    }
    return ok;
}

static char **wipe_environment(char **environment)
{
    for (char **entry = environment; entry != NULL && *entry != NULL; entry++) {
        secret_string_free(*entry);
    }
    g_free(environment);
    return NULL;
}

struct container_plan {
    const char *name;
    const char *role;
    const char *instance_id;
    const char *address;
    char **command;
    bool restarts;
};

static bool create_container(struct app *app, const struct job *job, const struct container_plan *plan, char **ret_id,
                             GError **error)
{
    const struct settings *settings = &job->deployment->value.settings;
    g_autoptr(GPtrArray) entries =
        load_configuration(app, job->pair->id, job->deployment->value.config_version, NULL, error);
    g_autoptr(GPtrArray) volumes = NULL;
    if (entries == NULL || !network_ensure(app->controller, job->environment, error) ||
        !ensure_volumes(app, job, &volumes, error)) {
        return false;
    }
    g_autofree struct engine_mount *mounts = g_new0(struct engine_mount, volumes->len + 1);
    for (guint i = 0; i < volumes->len; i++) {
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
        .image = job->deployment->value.image_digest != NULL ? job->deployment->value.image_digest
                                                             : job->deployment->value.image,
        .labels = labels,
        .command = (const char *const *)plan->command,
        .env = (const char *const *)environment,
        .network = network,
        .address = plan->address,
        .aliases = plan->restarts ? aliases : no_aliases,
        .mounts = mounts,
        .n_mounts = volumes->len,
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

static char **effective_command(const struct deployment *deployment)
{
    char **own = deployment->value.settings.command;
    return own != NULL && own[0] != NULL ? own : deployment->value.default_command;
}

struct state_write {
    const struct job *job;
    enum instance_state state;
    const char *engine_id;
    bool counts_restart;
    int64_t now_us;
};

static bool write_started(struct tx *tx, void *arg, GError **error)
{
    const struct state_write *write = arg;
    g_autoptr(instance_t) row = NULL;
    if (!instance_by_id(tx, write->job->row->id, &row, error) || row == NULL) {
        return *error == NULL;
    }
    if (row->state == INSTANCE_CREATED || row->state == INSTANCE_CRASHED) {
        row->state = INSTANCE_STARTING;
        row->state_since_us = write->now_us;
    }
    if (write->counts_restart) {
        bool was_stable = row->started_us != CONTRACT_ABSENT && write->now_us - row->started_us > STABLE_US;
        row->restarts = was_stable ? 1 : row->restarts + 1;
        int64_t backoff_us = INT64_C(500000) << MIN(row->restarts - 1, 10);
        row->retry_us = write->now_us + MIN(backoff_us, MAX_BACKOFF_US);
    }
    row->started_us = write->now_us;
    g_free(row->engine_id);
    row->engine_id = g_strdup(write->engine_id);
    return instance_update(tx, row, error);
}

static bool start_container(struct controller *controller, struct job *job, const char *engine_id, GError **error)
{
    struct app *app = controller->app;
    struct state_write write = {
        .job = job,
        .engine_id = engine_id,
        .counts_restart = job->row->started_us != CONTRACT_ABSENT,
        .now_us = clock_wall_us(app->clock),
    };
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->probes, job->row->id);
    g_mutex_unlock(&controller->lock);
    if (!app->engine->ops->instance_start(app->engine, engine_id, error)) {
        return false;
    }
    GError *failure = NULL;
    if (!store_write(app->store, "instance_started", write_started, &write, &failure)) {
        g_propagate_error(error, failure);
        return false;
    }
    watch_container(controller, job->pair, job->row, engine_id);
    return true;
}

static bool create(struct controller *controller, struct job *job, GError **error)
{
    g_autofree char *id = NULL;
    const struct container_plan plan = {
        .name = job->row->name,
        .role = "instance",
        .instance_id = job->row->id,
        .address = job->row->address,
        .command = effective_command(job->deployment),
        .restarts = true,
    };
    return create_container(controller->app, job, &plan, &id, error) && start_container(controller, job, id, error);
}

/* --- probing ------------------------------------------------------------------------------------------------------------------------------ */

/* Nothing to ask: it counts as healthy when it has stayed up for a while. The engine starts it again at once when it ends, so
 * what counts is its last start, not ours. */
static void probe_worker(struct controller *controller, const struct job *job, struct probe_result *ret_result)
{
    struct engine *engine = controller->app->engine;
    struct engine_instance *details = NULL;
    g_autoptr(GError) ignored = NULL; /* asked again in a moment */
    int64_t now_us = clock_wall_us(job->clock);
    int64_t since_us = job->row->started_us;
    bool is_running = job->engine_id != NULL &&
                      engine->ops->instance_inspect(engine, job->engine_id, &details, &ignored) &&
                      details->state == ENGINE_RUNNING;
    if (is_running && details->started_us <= now_us) {
        since_us = MAX(since_us, details->started_us);
    }
    ret_result->is_ok = is_running && now_us - since_us >= STAYS_UP_US;
    g_strlcpy(ret_result->detail, ret_result->is_ok ? "running" : "just started", sizeof ret_result->detail);
    engine_instance_free(details);
}

static void probe(struct controller *controller, const struct job *job)
{
    struct probe_result result = {.is_ok = true};
    if (job->row->port > 0) {
        probe_instance(job->row->address, job->row->port, &job->deployment->value.settings.health, &result);
    } else {
        probe_worker(controller, job, &result);
    }
    g_mutex_lock(&controller->lock);
    struct probe_record *record = g_hash_table_lookup(controller->probes, job->row->id);
    if (record == NULL) {
        record = g_new0(struct probe_record, 1);
        g_hash_table_insert(controller->probes, g_strdup(job->row->id), record);
    }
    if (strcmp(record->deployment_id, job->deployment->id) != 0) {
        g_strlcpy(record->deployment_id, job->deployment->id, sizeof record->deployment_id);
        record->n_probes = 0;
    }
    record->probed_us = clock_wall_us(job->clock);
    record->is_ok = result.is_ok;
    record->n_probes++;
    g_strlcpy(record->detail, result.detail, sizeof record->detail);
    g_mutex_unlock(&controller->lock);
}

/* --- stopping -------------------------------------------------------------------------------------------------------------------------------- */

static bool write_stopping(struct tx *tx, void *arg, GError **error)
{
    const struct job *job = arg;
    g_autoptr(instance_t) row = NULL;
    if (!instance_by_id(tx, job->row->id, &row, error) || row == NULL || row->state == INSTANCE_STOPPING) {
        return *error == NULL;
    }
    row->state = INSTANCE_STOPPING;
    row->state_since_us = clock_wall_us(job->clock);
    return instance_update(tx, row, error);
}

static bool delete_row(struct tx *tx, void *arg, GError **error)
{
    const struct job *job = arg;
    return instance_delete(tx, job->row->id, error);
}

static bool write_job(struct app *app, const char *name, store_fn fn, struct job *job, GError **error)
{
    GError *failure = NULL;
    bool ok = store_write(app->store, name, fn, job, &failure);
    if (!ok) {
        g_propagate_error(error, failure);
    }
    return ok;
}

static bool remove_container(struct controller *controller, const char *engine_id, int64_t grace_ms, GError **error)
{
    struct app *app = controller->app;
    if (!app->engine->ops->instance_stop(app->engine, engine_id, grace_ms, error)) {
        return false;
    }
    if (app->collector != NULL) {
        log_collector_drain(app->collector, engine_id, 2000);
        log_collector_unwatch(app->collector, engine_id);
    }
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->watched, engine_id);
    g_mutex_unlock(&controller->lock);
    return app->engine->ops->instance_remove(app->engine, engine_id, error);
}

/* By its name when the last look did not show it: what is not seen may still be there, and hold its address. Should somebody
 * else's container have the name by now, then ours is gone, and theirs is none of our business. */
static bool remove_of_row(struct controller *controller, const struct job *job, int64_t grace_ms, GError **error)
{
    GError *failure = NULL;
    if (remove_container(controller, job->engine_id != NULL ? job->engine_id : job->row->name, grace_ms, &failure)) {
        return true;
    }
    if (job->engine_id == NULL && g_error_matches(failure, SY_ERROR, SY_CONFLICT)) {
        g_error_free(failure);
        return true;
    }
    g_propagate_error(error, failure);
    return false;
}

/* Out of the edge first; then the signal; then the container; the row last, because it proves that the container is ours. */
static bool stop(struct controller *controller, struct job *job, GError **error)
{
    struct app *app = controller->app;
    int64_t grace_ms = job->deployment != NULL ? job->deployment->value.settings.stop.grace_ms : 30000;
    if (!write_job(app, "instance_stopping", write_stopping, job, error) || !edge_table_sync(controller, error) ||
        !remove_of_row(controller, job, grace_ms, error)) {
        return false;
    }
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->probes, job->row->id);
    g_mutex_unlock(&controller->lock);
    return write_job(app, "instance_delete", delete_row, job, error);
}

/* --- the release command ------------------------------------------------------------------------------------------------------------------- */

struct release_outcome {
    struct app *app;
    const struct job *job;
    const char *failure; /* NULL: it went well */
};

static bool write_release_outcome(struct tx *tx, void *arg, GError **error)
{
    const struct release_outcome *outcome = arg;
    struct scope scope = app_scope(outcome->app);
    int64_t now_us = clock_wall_us(outcome->app->clock);
    g_autoptr(deployment_t) deployment = NULL;
    g_autoptr(pair_t) pair = NULL;
    if (!deployment_by_id(tx, &scope, outcome->job->deployment->id, &deployment, error) ||
        !pair_by_id(tx, outcome->job->pair->id, &pair, error)) {
        return false;
    }
    if (outcome->failure == NULL) {
        deployment->release_command_done = 1;
        return deployment_update(tx, deployment, error) &&
               history_of_deployment(tx, outcome->app, deployment, "deployment.release_command_done",
                                     "the release command ended well", "controller", now_us, error);
    }
    if (!deployment_may_become((enum deployment_status)deployment->status, DEPLOYMENT_FAILED)) {
        return true;
    }
    deployment->error_code = g_strdup("DEPLOY_FAILED");
    deployment->error_message = g_strdup(outcome->failure);
    deployment->hint =
        g_strdup("Nothing was changed: the old version still serves. Correct the release command and deploy again.");
    if (g_strcmp0(pair->desired_deployment_id, deployment->id) == 0) {
        g_free(pair->desired_deployment_id);
        pair->desired_deployment_id = g_strdup(pair->serving_deployment_id);
        pair->generation++;
        pair->status = pair->serving_deployment_id != NULL ? PAIR_RUNNING : PAIR_FAILED;
        g_free(pair->status_reason);
        pair->status_reason = g_strdup(pair->serving_deployment_id != NULL ? NULL : outcome->failure);
        if (!pair_update(tx, pair, now_us, error)) {
            return false;
        }
    }
    return deployment_set_status(tx, deployment, DEPLOYMENT_FAILED, now_us, error) &&
           history_of_deployment(tx, outcome->app, deployment, "deployment.failed", outcome->failure, "controller",
                                 now_us, error);
}

struct captured {
    struct app *app;
    const char *key;
    const char *source;
    struct redactor *redactor;
    GString *tail;
};

static bool capture_line(bool is_stderr, int64_t time_us, const char *text, size_t length, void *arg)
{
    struct captured *captured = arg;
    const struct log_line line = {.time_us = time_us,
                                  .source = captured->source,
                                  .stream = is_stderr ? LOG_STDERR : LOG_STDOUT,
                                  .text = text,
                                  .length = length};
    g_autoptr(GError) ignored = NULL; /* the command's own outcome is what counts */
    bool kept = log_store_append(captured->app->logs, captured->key, &line, 1, captured->redactor, NULL, &ignored);
    (void)kept;
    redactor_apply_within(captured->redactor, text, length, 500, captured->tail);
    g_string_append_c(captured->tail, '\n');
    if (captured->tail->len > 4096) {
        g_string_erase(captured->tail, 0, (gssize)(captured->tail->len - 4096));
    }
    return true;
}

static char *capture_log(struct app *app, const struct job *job, const char *engine_id, const char *name)
{
    g_autoptr(GError) ignored = NULL;
    g_autoptr(GPtrArray) entries =
        load_configuration(app, job->pair->id, job->deployment->value.config_version, NULL, &ignored);
    if (entries == NULL) {
        return g_strdup("");
    }
    g_autofree char *key = g_strdup_printf("%s/%s", job->pair->service_id, job->pair->environment_id);
    struct redactor *redactor = configuration_redactor(entries);
    struct captured captured = {
        .app = app, .key = key, .source = name, .redactor = redactor, .tail = g_string_new(NULL)};
    bool read =
        app->engine->ops->instance_logs(app->engine, engine_id, 0, false, capture_line, &captured, NULL, &ignored);
    (void)read;
    redactor_unref(redactor);
    return g_string_free(captured.tail, FALSE);
}

static bool run_release_command(struct controller *controller, struct job *job, GError **error)
{
    struct app *app = controller->app;
    struct engine *engine = app->engine;
    g_autofree char *id = NULL;
    g_autofree char *failure = NULL;
    g_autofree char *name =
        g_strdup_printf("%.40s-%.30s-%.20s-%s-release-%s", job->service->name, job->service->project,
                        job->environment->name, job->deployment->version, uuid_tail(job->deployment->id));
    const struct container_plan plan = {
        .name = name,
        .role = "release-command",
        .instance_id = job->deployment->id,
        .command = job->deployment->value.settings.release,
    };
    int exit_code = -1;
    if (!network_assign(controller, job->environment, error) || !create_container(app, job, &plan, &id, error) ||
        !engine->ops->instance_start(engine, id, error)) {
        return false;
    }
    GError *waiting = NULL;
    if (!engine->ops->instance_wait(engine, id, RELEASE_COMMAND_MS, &exit_code, &waiting)) {
        failure = g_strdup_printf("the release command did not end: %s", waiting->message);
        g_clear_error(&waiting);
    }
    g_autofree char *tail = capture_log(app, job, id, name);
    if (failure == NULL && exit_code != 0) {
        failure = g_strdup_printf("the release command ended with exit code %d%s%s", exit_code,
                                  *tail != '\0' ? "\nIts last lines:\n" : "", tail);
    }
    if (!engine->ops->instance_stop(engine, id, 5000, error) || !engine->ops->instance_remove(engine, id, error)) {
        return false;
    }
    struct release_outcome outcome = {.app = app, .job = job, .failure = failure};
    return store_write(app->store, "release_command", write_release_outcome, &outcome, error);
}

/* A container that could not be made or started counts like one that ended at once: with back-off, and not for ever. */
struct failure_write {
    const struct job *job;
    const char *detail;
};

static bool write_failure(struct tx *tx, void *arg, GError **error)
{
    const struct failure_write *write = arg;
    int64_t now_us = clock_wall_us(write->job->clock);
    g_autoptr(instance_t) row = NULL;
    if (!instance_by_id(tx, write->job->row->id, &row, error) || row == NULL) {
        return *error == NULL;
    }
    row->restarts++;
    row->retry_us = now_us + MIN(INT64_C(500000) << MIN(row->restarts - 1, 10), MAX_BACKOFF_US);
    g_free(row->health_detail);
    row->health_detail = g_strndup(write->detail, 1000);
    return instance_update(tx, row, error);
}

/* Somebody else's container has the name that this instance is to have: it leaves, and one with another name takes its slot. */
static bool is_name_taken(const struct app *app, const struct instance *row)
{
    struct engine_instance *there = NULL;
    g_autoptr(GError) ignored = NULL; /* not taken, or not to be known now */
    bool taken = app->engine->ops->instance_inspect(app->engine, row->name, &there, &ignored) &&
                 strcmp(there->instance, row->id) != 0;
    engine_instance_free(there);
    return taken;
}

static void count_failure(struct controller *controller, struct job *job, const GError *failure)
{
    bool starts = job->kind == ACTION_CREATE || job->kind == ACTION_RECREATE || job->kind == ACTION_START;
    bool is_conflict = g_error_matches(failure, SY_ERROR, SY_CONFLICT);
    if (!starts || (!is_conflict && !g_error_matches(failure, SY_ERROR, SY_ENGINE_FAILED))) {
        return; /* an engine that does not answer is no fault of the instance */
    }
    struct failure_write write = {.job = job, .detail = failure->message};
    g_autoptr(GError) error = NULL;
    bool ok = is_conflict && is_name_taken(controller->app, job->row)
                  ? store_write(controller->app->store, "instance_leaves", write_stopping, job, &error)
                  : store_write(controller->app->store, "instance_failed", write_failure, &write, &error);
    if (!ok) {
        log_failure("controller.write_failed", error, NULL);
    }
}

/* --- running ------------------------------------------------------------------------------------------------------------------------------- */

static bool run(struct controller *controller, struct job *job, GError **error)
{
    switch (job->kind) {
    case ACTION_CREATE:
    case ACTION_RECREATE:
        return create(controller, job, error);
    case ACTION_START:
        return job->engine_id == NULL || start_container(controller, job, job->engine_id, error);
    case ACTION_PROBE:
        probe(controller, job);
        return true;
    case ACTION_STOP:
        return stop(controller, job, error);
    case ACTION_REMOVE_ORPHAN:
        return remove_container(controller, job->orphan, 10000, error);
    case ACTION_RELEASE_COMMAND:
        return run_release_command(controller, job, error);
    default:
        return true;
    }
}

void job_run(gpointer data, gpointer user_data)
{
    struct job *job = data;
    struct controller *controller = user_data;
    g_autoptr(GError) error = NULL;
    int64_t delay_us = 0;
    if (controller_may_act(controller) && !run(controller, job, &error)) {
        controller_count(&controller->stats.action_failures);
        log_failure("controller.job_failed", error, "action", action_name(job->kind), "pair", job->pair->id, "instance",
                    job->row != NULL ? job->row->name : NULL, NULL);
        count_failure(controller, job, error);
        delay_us = 1000000 + g_random_int_range(0, 500000);
    }
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->busy, job->busy_key);
    if (job->orphan != NULL) {
        pace_end_orphan(controller, job->pair->id);
    }
    g_mutex_unlock(&controller->lock);
    app_wake_events(controller->app);
    queue_add(controller->queue, job->pair->id, clock_monotonic_us(job->clock) + delay_us);
    job_free(job);
}
