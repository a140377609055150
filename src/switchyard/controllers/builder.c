#include "switchyard/controllers/builder.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "logs/redactor.h"
#include "switchyard/operations/configuration.h"
#include "switchyard/operations/history.h"
#include "switchyard/operations/source.h"

#define LEASE_US (INT64_C(30) * 1000000)
#define RENEW_US (INT64_C(1) * 1000000)
#define POLL_US (INT64_C(2) * 1000000)
#define MAX_ATTEMPTS 3
#define MESSAGE_LIMIT 4000
#define HINT_LIMIT 1000
#define ENGINE_PAUSE_US (300 * 1000)

struct builder {
    struct app *app;
    char *owner;
    char *work_folder, *assembly_folder;
    char *ca_bundle;
    char **forward; /* "K=V": what builds get from our environment */
    GPtrArray *threads;
    GMutex lock; /* guards everything below */
    GCond woken;
    bool is_woken, is_closed;
    GPtrArray *running; /* of struct work *, borrowed */
    struct builder_stats stats;
};

/* One build on one thread. */
struct work {
    struct builder *builder;
    struct release *release;
    struct service *service;
    struct redactor *redactor;
    char *log_key;
    int64_t last_line_us;
    int cancelled;    /* read by the pipeline */
    int is_lost;      /* the lease has gone to another */
    int is_requested; /* a user wants it cancelled */
};

/* --- the claim ------------------------------------------------------------------------------------------------------------- */

static bool read_redactor(struct tx *tx, struct work *work, GError **error)
{
    struct app *app = work->builder->app;
    struct scope scope = app_scope(app);
    g_autoptr(GPtrArray) variables = NULL;
    g_autoptr(GPtrArray) secrets = g_ptr_array_new_with_free_func((GDestroyNotify)secret_free);
    if (!variable_list(tx, &scope, work->release->service_id, NULL, &variables, error)) {
        return false;
    }
    for (guint i = 0; i < variables->len; i++) {
        const struct variable *variable = g_ptr_array_index(variables, i);
        if (variable->is_secret > 0 && variable->is_removed <= 0) {
            struct secret *value = variable_open(app, variable, error);
            if (value == NULL) {
                return false;
            }
            g_ptr_array_add(secrets, value);
        }
    }
    redactor_unref(work->redactor);
    work->redactor = secrets->len > 0 ? redactor_new((const struct secret *const *)secrets->pdata, secrets->len) : NULL;
    return true;
}

static bool claim(struct tx *tx, void *arg, GError **error)
{
    struct work *work = arg;
    struct builder *builder = work->builder;
    struct scope scope = app_scope(builder->app);
    int64_t now_us = g_get_real_time();
    g_clear_pointer(&work->release, contract_object_free);
    g_clear_pointer(&work->service, contract_object_free);
    if (!release_claim(tx, builder->owner, LEASE_US, &work->release, error) || work->release == NULL) {
        return work->release == NULL && (error == NULL || *error == NULL);
    }
    struct release *release = work->release;
    if (release->attempts > MAX_ATTEMPTS) {
        release->error_code = g_strdup("BUILD_FAILED");
        release->error_message = g_strdup_printf("the builder ended %d times before the build did", MAX_ATTEMPTS);
        release->finished_us = now_us;
        bool ok = release_set_status(tx, release, RELEASE_FAILED, error) &&
                  history_of_release(tx, builder->app, release, "release.failed", release->error_message, "builder",
                                     now_us, error);
        g_clear_pointer(&work->release, contract_object_free);
        return ok;
    }
    g_autofree char *message = g_strdup_printf("build of release %s begins%s", release->version,
                                               release->attempts > 1 ? " again: its builder had gone" : "");
    return service_by_id(tx, &scope, release->service_id, &work->service, error) && read_redactor(tx, work, error) &&
           history_of_release(tx, builder->app, release, "release.building", message, "builder", now_us, error);
}

/* --- its log --------------------------------------------------------------------------------------------------------------------- */

static void on_line(const char *text, size_t length, void *arg)
{
    struct work *work = arg;
    g_autoptr(GError) error = NULL;
    int64_t now_us = MAX(g_get_real_time(), work->last_line_us + 1);
    work->last_line_us = now_us;
    const struct log_line line = {
        .time_us = now_us, .source = "build", .stream = LOG_STDOUT, .text = text, .length = length};
    if (!log_store_append(work->builder->app->logs, work->log_key, &line, 1, work->redactor, NULL, &error)) {
        log_failure("builder.log_failed", error, "release", work->release->id, NULL);
    }
}

static void say(struct work *work, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void say(struct work *work, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    on_line(text, strlen(text), work);
}

/* --- the outcome -------------------------------------------------------------------------------------------------------------------- */

struct outcome {
    struct work *work;
    const struct build_result *result; /* NULL: failed */
    const GError *failure;
    int64_t duration_ms;
    bool is_written;
};

static void take_result(struct release *release, const struct build_result *result)
{
    release->image_uri = g_strdup(result->image_uri);
    release->image_digest = g_strdup(result->image_digest);
    release->builder = g_strdup(result->builder);
    release->builder_reason = g_strdup(result->builder_reason);
    release->default_command = g_strdupv(result->default_command);
    release->default_port = result->default_port;
    release->size_bytes = result->size_bytes;
    if (result->git_sha != NULL) {
        g_free(release->git_sha);
        release->git_sha = g_strdup(result->git_sha);
    }
}

/* Redacted: a build may print what it was told. */
static char *redacted(const struct work *work, const char *words, size_t limit)
{
    g_autoptr(GString) text = g_string_new(NULL);
    redactor_apply(work->redactor, words, strlen(words), text);
    g_string_truncate(text, MIN(text->len, limit));
    return g_utf8_make_valid(text->str, (gssize)text->len);
}

static bool write_outcome(struct tx *tx, void *arg, GError **error)
{
    struct outcome *outcome = arg;
    struct builder *builder = outcome->work->builder;
    struct scope scope = app_scope(builder->app);
    int64_t now_us = g_get_real_time();
    g_autoptr(release_t) release = NULL;
    outcome->is_written = false;
    if (!release_by_id(tx, &scope, outcome->work->release->id, &release, error)) {
        return false;
    }
    if (release->status != RELEASE_BUILDING || g_strcmp0(release->lease_owner, builder->owner) != 0) {
        return true; /* another has it now */
    }
    g_clear_pointer(&release->lease_owner, g_free);
    release->lease_until_us = CONTRACT_ABSENT;
    outcome->is_written = true;
    if (outcome->failure != NULL && g_atomic_int_get(&outcome->work->cancelled) != 0 &&
        g_atomic_int_get(&outcome->work->is_requested) == 0) {
        return release_set_status(tx, release, RELEASE_QUEUED, error); /* we are ending: another shall build it */
    }
    release->duration_ms = outcome->duration_ms;
    release->finished_us = now_us;
    if (outcome->result != NULL) {
        take_result(release, outcome->result);
        g_autofree char *message =
            g_strdup_printf("release %s is ready: %s (%s), %.1f s", release->version, release->builder,
                            release->builder_reason, (double)outcome->duration_ms / 1000);
        return release_set_status(tx, release, RELEASE_READY, error) &&
               history_of_release(tx, builder->app, release, "release.ready", message, "builder", now_us, error);
    }
    bool is_cancelled = sy_error_code(outcome->failure) == SY_CANCELLED;
    release->error_code = g_strdup(sy_code_info(sy_error_code(outcome->failure))->name);
    g_free(release->error_message);
    release->error_message = redacted(outcome->work, outcome->failure->message, MESSAGE_LIMIT);
    g_free(release->hint);
    release->hint = is_cancelled ? NULL : redacted(outcome->work, sy_error_hint(outcome->failure), HINT_LIMIT);
    return release_set_status(tx, release, is_cancelled ? RELEASE_CANCELLED : RELEASE_FAILED, error) &&
           history_of_release(tx, builder->app, release, is_cancelled ? "release.cancelled" : "release.failed",
                              release->error_message, "builder", now_us, error);
}

static void count(struct builder *builder, const struct outcome *outcome)
{
    g_mutex_lock(&builder->lock);
    if (outcome->result != NULL) {
        builder->stats.built++;
    } else if (sy_error_code(outcome->failure) == SY_CANCELLED) {
        builder->stats.cancelled++;
    } else {
        builder->stats.failed++;
    }
    g_mutex_unlock(&builder->lock);
}

/* The outcome of an hour's build is not thrown away for a database that is away for a moment. */
static void finish(struct outcome *outcome)
{
    struct builder *builder = outcome->work->builder;
    g_autoptr(GError) error = NULL;
    for (int attempt = 0; attempt < 20; attempt++) {
        g_clear_error(&error);
        if (store_write(builder->app->store, "build_outcome", write_outcome, outcome, &error)) {
            app_wake_events(builder->app);
            return;
        }
        log_failure("builder.outcome_failed", error, "release", outcome->work->release->id, NULL);
        g_mutex_lock(&builder->lock);
        bool is_closed = builder->is_closed;
        g_mutex_unlock(&builder->lock);
        if (is_closed) {
            return; /* the lease runs out and another builds it again */
        }
        g_usleep(500 * 1000);
    }
}

/* --- one build ------------------------------------------------------------------------------------------------------------------------- */

void builder_options(const struct builder *builder, struct build_options *ret_options)
{
    const struct app *app = builder->app;
    const struct config *config = app->config;
    *ret_options = (struct build_options){
        .engine = app->engine,
        .engine_endpoint = config->engine,
        .docker = config->docker,
        .work_folder = builder->work_folder,
        .assembly_folder = builder->assembly_folder,
        .ca_bundle = builder->ca_bundle,
        .forward = (const char *const *)builder->forward,
        .base_images = strcmp(config->base_images, "registry") == 0 ? "pull" : config->base_images,
        .installation = app->installation_id,
        .memory_bytes = config->build_memory_bytes,
        .cpu_millis = config->build_cpu_millis,
        .timeout_ms = config->build_timeout_ms,
        .disk_reserve_bytes = config->disk_reserve_bytes,
        .git_flags = config->allow_private_git > 0 ? SOURCE_GIT_ALLOW_PRIVATE : 0,
        .allow_frontends = config->allow_frontends > 0,
    };
}

static bool build(struct work *work, struct build_result *result, GError **error)
{
    struct app *app = work->builder->app;
    const struct release *release = work->release;
    struct build_options options;
    builder_options(work->builder, &options);
    g_autofree char *archive = release->source != NULL ? source_path(app, release->project_id, release->source) : NULL;
    g_autofree char *prefix = engine_image_prefix(app->installation_id);
    g_autofree char *repository = g_strconcat(prefix, work->service->project, "/", work->service->name, NULL);
    const struct build_job job = {
        .release_id = release->id,
        .service = work->service->name,
        .project = work->service->project,
        .repository = repository,
        .tag = release->version,
        .archive = archive,
        .git_repo = work->service->git_repo,
        .git_ref = release->git_sha != NULL ? release->git_sha : release->git_branch,
        .config = &release->build_config,
        .is_fresh = release->is_rebuild > 0,
        .cancelled = &work->cancelled,
        .on_line = on_line,
        .on_line_arg = work,
    };
    return build_run(&options, &job, result, error);
}

static bool engine_answers(const struct builder *builder)
{
    g_autoptr(GError) ignored = NULL; /* health and doctor say it */
    return builder->app->engine->ops->ping(builder->app->engine, &ignored);
}

/* Without its engine a build could only fail: it waits. False when it was cancelled meanwhile. */
static bool wait_for_engine(struct work *work, GError **error)
{
    struct builder *builder = work->builder;
    bool is_told = false;
    while (g_atomic_int_get(&work->cancelled) == 0) {
        if (engine_answers(builder)) {
            if (is_told) {
                say(work, "the container engine answers again");
            }
            return true;
        }
        if (!is_told) {
            say(work, "the container engine does not answer; the build waits for it (see: enclii doctor)");
            app_wake_events(builder->app);
            is_told = true;
        }
        g_usleep(ENGINE_PAUSE_US);
    }
    return sy_fail(error, SY_CANCELLED, "the build was cancelled");
}

/* An engine that goes away in the middle takes the build with it, which is not the build's fault. */
static bool build_with_engine(struct work *work, struct build_result *result, GError **error)
{
    for (int attempt = 1;; attempt++) {
        GError *failure = NULL;
        if (!wait_for_engine(work, error)) {
            return false;
        }
        if (build(work, result, &failure)) {
            return true;
        }
        if (attempt == MAX_ATTEMPTS || g_atomic_int_get(&work->cancelled) != 0 || engine_answers(work->builder)) {
            g_propagate_error(error, failure);
            return false;
        }
        g_error_free(failure);
    }
}

static void set_running(struct work *work, bool is_running)
{
    struct builder *builder = work->builder;
    g_mutex_lock(&builder->lock);
    if (is_running) {
        g_ptr_array_add(builder->running, work);
    } else {
        g_ptr_array_remove(builder->running, work);
    }
    builder->stats.running = builder->running->len;
    g_mutex_unlock(&builder->lock);
}

static void say_hint(struct work *work, const GError *failure)
{
    const char *hint = sy_error_hint(failure);
    bool is_read_the_log = strcmp(hint, sy_code_info(SY_BUILD_FAILED)->hint) == 0;
    if (!is_read_the_log && sy_error_code(failure) != SY_CANCELLED) {
        say(work, "hint: %s", hint);
    }
}

static void run_build(struct work *work)
{
    g_autoptr(GError) failure = NULL;
    struct build_result result = {0};
    int64_t start_us = g_get_monotonic_time();
    work->log_key = g_strdup_printf("build/%s", work->release->id);
    work->cancelled = work->is_lost = work->is_requested = 0;
    set_running(work, true);
    app_wake_events(work->builder->app);
    bool ok = build_with_engine(work, &result, &failure);
    set_running(work, false);
    struct outcome outcome = {.work = work, .duration_ms = (g_get_monotonic_time() - start_us) / 1000};
    outcome.result = ok ? &result : NULL;
    outcome.failure = failure;
    if (!ok) {
        say(work, "failed: %s", failure->message);
        say_hint(work, failure);
    } else {
        say(work, "release %s is ready after %.1f s", work->release->version, (double)outcome.duration_ms / 1000);
    }
    if (g_atomic_int_get(&work->is_lost) == 0) {
        finish(&outcome);
        count(work->builder, &outcome);
    }
    build_result_clear(&result);
    g_clear_pointer(&work->log_key, g_free);
}

static bool wait_for_work(struct builder *builder)
{
    g_mutex_lock(&builder->lock);
    int64_t until_us = g_get_monotonic_time() + POLL_US;
    while (!builder->is_closed && !builder->is_woken && g_cond_wait_until(&builder->woken, &builder->lock, until_us)) {
    }
    builder->is_woken = false;
    bool goes_on = !builder->is_closed;
    g_mutex_unlock(&builder->lock);
    return goes_on;
}

static gpointer worker(gpointer data)
{
    struct builder *builder = data;
    struct work work = {.builder = builder};
    bool goes_on = true;
    while (goes_on) {
        g_autoptr(GError) error = NULL;
        if (!store_write(builder->app->store, "build_claim", claim, &work, &error)) {
            log_failure("builder.claim_failed", error, NULL);
        } else if (work.release != NULL) {
            run_build(&work);
            g_mutex_lock(&builder->lock);
            goes_on = !builder->is_closed;
            g_mutex_unlock(&builder->lock);
            continue;
        }
        goes_on = wait_for_work(builder);
    }
    contract_object_free(work.release);
    contract_object_free(work.service);
    redactor_unref(work.redactor);
    return NULL;
}

/* --- the leases --------------------------------------------------------------------------------------------------------------------------- */

struct renewal {
    const char *release_id, *owner;
    bool is_held, is_cancelled;
};

static bool renew(struct tx *tx, void *arg, GError **error)
{
    struct renewal *renewal = arg;
    return release_renew(tx, renewal->release_id, renewal->owner, LEASE_US, &renewal->is_held, &renewal->is_cancelled,
                         error);
}

static void renew_one(struct builder *builder, const char *release_id)
{
    struct renewal renewal = {.release_id = release_id, .owner = builder->owner};
    g_autoptr(GError) error = NULL;
    if (!store_write(builder->app->store, "build_renew", renew, &renewal, &error)) {
        log_failure("builder.renew_failed", error, "release", release_id, NULL);
        return; /* the lease has time left; the next round tries again */
    }
    g_mutex_lock(&builder->lock);
    for (guint i = 0; i < builder->running->len; i++) {
        struct work *work = g_ptr_array_index(builder->running, i);
        if (strcmp(work->release->id, release_id) == 0 && (!renewal.is_held || renewal.is_cancelled)) {
            g_atomic_int_set(renewal.is_held ? &work->is_requested : &work->is_lost, 1);
            g_atomic_int_set(&work->cancelled, 1);
        }
    }
    g_mutex_unlock(&builder->lock);
}

static gpointer renewer(gpointer data)
{
    struct builder *builder = data;
    g_mutex_lock(&builder->lock);
    while (!builder->is_closed || builder->running->len > 0) {
        g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < builder->running->len; i++) {
            g_ptr_array_add(ids, g_strdup(((const struct work *)g_ptr_array_index(builder->running, i))->release->id));
        }
        g_mutex_unlock(&builder->lock);
        for (guint i = 0; i < ids->len; i++) {
            renew_one(builder, g_ptr_array_index(ids, i));
        }
        g_mutex_lock(&builder->lock);
        g_cond_wait_until(&builder->woken, &builder->lock,
                          g_get_monotonic_time() + (builder->is_closed ? 100000 : RENEW_US));
    }
    g_mutex_unlock(&builder->lock);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------------------------------------- */

/* The host's own bundle when base images are assembled here: they have no other. */
static char *choose_ca_bundle(const struct config *config)
{
    static const char host_bundle[] = "/etc/ssl/certs/ca-certificates.crt";
    if (config->ca_bundle != NULL) {
        return strcmp(config->ca_bundle, "none") == 0 ? NULL : g_strdup(config->ca_bundle);
    }
    return g_file_test(host_bundle, G_FILE_TEST_IS_REGULAR) ? g_strdup(host_bundle) : NULL;
}

static char **read_forwarded(void)
{
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    for (const char *const *name = build_forward_names; *name != NULL; name++) {
        const char *value = g_getenv(*name);
        if (value != NULL && *value != '\0') {
            g_autofree char *entry = g_strdup_printf("%s=%s", *name, value);
            g_strv_builder_add(found, entry);
        }
    }
    return g_strv_builder_end(found);
}

struct builder *builder_new(struct app *app)
{
    struct builder *builder = g_new0(struct builder, 1);
    builder->app = app;
    builder->owner = g_strdup(app->holder);
    builder->work_folder = g_build_filename(app->config->data_dir, "builds", NULL);
    builder->assembly_folder = confinement_assembly_folder(app->config);
    builder->ca_bundle = choose_ca_bundle(app->config);
    builder->forward = read_forwarded();
    builder->threads = g_ptr_array_new();
    builder->running = g_ptr_array_new();
    g_mutex_init(&builder->lock);
    g_cond_init(&builder->woken);
    return builder;
}

static bool abandon(struct tx *tx, void *arg, GError **error)
{
    return release_abandon(tx, ((const struct builder *)arg)->owner, error);
}

/* What the last process on this data folder left half done; the folder's lock says that it is dead. */
static void clean_up(struct builder *builder)
{
    g_autoptr(GError) error = NULL;
    if (!folder_remove(builder->work_folder, &error) ||
        !store_write(builder->app->store, "builds_abandoned", abandon, builder, &error)) {
        log_failure("builder.clean_up_failed", error, NULL); /* the leases run out by themselves */
    }
}

void builder_start(struct builder *builder)
{
    clean_up(builder);
    for (int64_t i = 0; i < builder->app->config->builds; i++) {
        g_ptr_array_add(builder->threads, g_thread_new("build", worker, builder));
    }
    g_ptr_array_add(builder->threads, g_thread_new("build-lease", renewer, builder));
}

void builder_wake(struct builder *builder)
{
    g_mutex_lock(&builder->lock);
    builder->is_woken = true;
    g_cond_broadcast(&builder->woken);
    g_mutex_unlock(&builder->lock);
}

void builder_stop(struct builder *builder)
{
    g_mutex_lock(&builder->lock);
    builder->is_closed = true;
    for (guint i = 0; i < builder->running->len; i++) {
        struct work *work = g_ptr_array_index(builder->running, i);
        g_atomic_int_set(&work->cancelled, 1);
    }
    g_cond_broadcast(&builder->woken);
    g_mutex_unlock(&builder->lock);
    for (guint i = 0; i < builder->threads->len; i++) {
        g_thread_join(g_ptr_array_index(builder->threads, i));
    }
    g_ptr_array_set_size(builder->threads, 0);
}

void builder_free(struct builder *builder)
{
    if (builder == NULL) {
        return;
    }
    g_ptr_array_unref(builder->threads);
    g_ptr_array_unref(builder->running);
    g_mutex_clear(&builder->lock);
    g_cond_clear(&builder->woken);
    g_free(builder->owner);
    g_free(builder->work_folder);
    g_free(builder->assembly_folder);
    g_free(builder->ca_bundle);
    g_strfreev(builder->forward);
    g_free(builder);
}

void builder_stats(struct builder *builder, struct builder_stats *ret_stats)
{
    g_mutex_lock(&builder->lock);
    *ret_stats = builder->stats;
    g_mutex_unlock(&builder->lock);
}
