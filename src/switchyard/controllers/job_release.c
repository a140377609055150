/* The release command: once, before a deployment's instances start. */
#include "switchyard/controllers/job.h"

#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "logs/redactor.h"
#include "switchyard/operations/configuration.h"
#include "switchyard/operations/history.h"

#define RELEASE_COMMAND_MS (15 * 60 * 1000)

#define FAILED_HINT "Nothing was changed: the old version still serves. Correct the release command and deploy again."
#define REFUSED_HINT                                                                                                   \
    "Nothing was changed: the old version still serves, and the command was never run. Mend what the engine names, "   \
    "then deploy again."

struct release_outcome {
    struct app *app;
    const struct job *job;
    const char *failure; /* NULL: it went well */
    bool was_refused;    /* it never ran */
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
    deployment->hint = g_strdup(outcome->was_refused ? REFUSED_HINT : FAILED_HINT);
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
        job_configuration(app, job->pair->id, job->deployment->value.config_version, NULL, &ignored);
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

/* The engine's no is final: the same command would be refused again. One that does not answer is asked again. */
static bool is_refusal(const GError *failure)
{
    enum sy_code code = sy_error_code(failure);
    return code == SY_ENGINE_FAILED || code == SY_CONFLICT || code == SY_INVALID_INPUT;
}

/* True with *ret_failure set when the engine does not want it. */
static bool begin(struct app *app, struct job *job, const char *name, char **ret_id, char **ret_failure, GError **error)
{
    const struct container_plan plan = {
        .name = name,
        .role = "release-command",
        .instance_id = job->deployment->id,
        .command = job->deployment->value.settings.release,
    };
    GError *failure = NULL;
    if (job_container(app, job, &plan, ret_id, &failure) &&
        app->engine->ops->instance_start(app->engine, *ret_id, &failure)) {
        return true;
    }
    if (!is_refusal(failure)) {
        g_propagate_error(error, failure);
        return false;
    }
    *ret_failure = g_strdup_printf("the engine refuses to run the release command: %s", failure->message);
    g_error_free(failure);
    return true;
}

/* The end that cannot be learnt just now is asked for again; so is that of a container which another process took away. */
static bool wait_for_end(struct app *app, const struct job *job, const char *id, const char *name, char **ret_failure,
                         GError **error)
{
    int exit_code = -1;
    GError *failure = NULL;
    if (!app->engine->ops->instance_wait(app->engine, id, RELEASE_COMMAND_MS, &exit_code, &failure)) {
        enum sy_code code = sy_error_code(failure);
        if (code == SY_ENGINE_UNAVAILABLE || code == SY_NOT_FOUND) {
            g_propagate_error(error, failure);
            return false;
        }
        *ret_failure = g_strdup_printf("the release command did not end: %s", failure->message);
        g_error_free(failure);
    }
    g_autofree char *tail = capture_log(app, job, id, name);
    if (*ret_failure == NULL && exit_code != 0) {
        *ret_failure = g_strdup_printf("the release command ended with exit code %d%s%s", exit_code,
                                       *tail != '\0' ? "\nIts last lines:\n" : "", tail);
    }
    return true;
}

bool job_release_command(struct controller *controller, struct job *job, GError **error)
{
    struct app *app = controller->app;
    struct engine *engine = app->engine;
    g_autofree char *id = NULL;
    g_autofree char *failure = NULL;
    g_autofree char *name =
        g_strdup_printf("%.40s-%.30s-%.20s-%s-release-%s", job->service->name, job->service->project,
                        job->environment->name, job->deployment->version, uuid_tail(job->deployment->id));
    /* A network that cannot be made now is no fault of the command, so it is there before the engine is asked to run one. */
    if (!network_assign(controller, job->environment, error) || !network_ensure(controller, job->environment, error) ||
        !begin(app, job, name, &id, &failure, error)) {
        return false;
    }
    bool was_refused = failure != NULL;
    if (!was_refused && !wait_for_end(app, job, id, name, &failure, error)) {
        return false;
    }
    if (id != NULL &&
        (!engine->ops->instance_stop(engine, id, 5000, error) || !engine->ops->instance_remove(engine, id, error))) {
        return false;
    }
    struct release_outcome outcome = {.app = app, .job = job, .failure = failure, .was_refused = was_refused};
    return store_write(app->store, "release_command", write_release_outcome, &outcome, error);
}
