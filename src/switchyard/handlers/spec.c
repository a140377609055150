/* The whole project as its owner writes it: enclii.yaml as JSON, compared, planned, applied. */
#include <string.h>

#include "model/spec.h"
#include "switchyard/handlers/call.h"
#include "switchyard/handlers/handlers.h"

/* YAML knows no types: a client may send every scalar as text, and this makes it so for all. */
static json_t *as_text(const json_t *json)
{
    const char *key;
    json_t *value;
    size_t index;
    if (json_is_object(json)) {
        json_t *object = json_object();
        json_object_foreach((json_t *)json, key, value)
        {
            json_object_set_new(object, key, as_text(value));
        }
        return object;
    }
    if (json_is_array(json)) {
        json_t *array = json_array();
        json_array_foreach(json, index, value)
        {
            json_array_append_new(array, as_text(value));
        }
        return array;
    }
    if (json_is_boolean(json)) {
        return json_string(json_is_true(json) ? "true" : "false");
    }
    if (json_is_number(json)) {
        char *text = json_dumps(json, JSON_ENCODE_ANY);
        json_t *string = json_string(text);
        free(text);
        return string;
    }
    return json_incref((json_t *)json);
}

struct application {
    struct call *call;
    struct spec *spec;
    struct project *project; /* NULL in a dry run for a project that is not there */
    struct spec_result *result;
    GStrvBuilder *changes;
    GChecksum *digest;
    size_t n_changes;
    bool is_dry;
};

static void changed(struct application *application, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void changed(struct application *application, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_strv_builder_add(application->changes, text);
    g_checksum_update(application->digest, (const guchar *)text, (gssize)strlen(text) + 1);
    application->n_changes++;
}

static bool find_project(struct tx *tx, struct application *application, GError **error)
{
    struct call *call = application->call;
    GError *failure = NULL;
    if (project_by_slug(tx, &call->scope, application->spec->project, &application->project, &failure)) {
        return true;
    }
    if (!g_error_matches(failure, SY_ERROR, SY_NOT_FOUND) || call->scope.project_id != NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    g_error_free(failure);
    changed(application, "project %s is created", application->spec->project);
    if (application->is_dry) {
        return true;
    }
    struct project *project = contract_new(&project_type);
    application->project = project;
    project->name = g_strdup(application->spec->project);
    project->slug = g_strdup(application->spec->project);
    return project_make(tx, call, project, error);
}

/* --- services ----------------------------------------------------------------------------------------------------------- */

static void tell_differences(struct application *application, const char *service, const struct type *type,
                             const void *from, const void *to)
{
    g_auto(GStrv) names = contract_diff(type, from, to);
    for (char **name = names; *name != NULL; name++) {
        const struct field *field = contract_find(type, *name);
        g_autofree char *before = contract_text(field, from);
        g_autofree char *after = contract_text(field, to);
        changed(application, "%s: %s %s → %s", service, *name, *before != '\0' ? before : "none",
                *after != '\0' ? after : "none");
    }
}

static struct service *wanted_service(const struct application *application, const struct map_entry *entry)
{
    struct service *service = contract_new(&service_type);
    const struct service_spec *spec = entry->value;
    contract_clear(&settings_type, &service->settings);
    contract_copy(&settings_type, &service->settings, &spec->settings);
    contract_clear(&build_config_type, &service->build_config);
    service_spec_build_config(spec, &service->build_config);
    g_free(service->name);
    service->name = g_strdup(entry->key);
    return service;
}

static bool insert_service(struct tx *tx, struct application *application, struct service *service, GError **error)
{
    struct call *call = application->call;
    changed(application, "service %s is created", service->name);
    if (application->is_dry) {
        return true;
    }
    service->id = uuid_new();
    service->organization_id = g_strdup(application->project->organization_id);
    service->project_id = g_strdup(application->project->id);
    service->project = g_strdup(application->project->slug);
    service->created_us = call->now_us;
    service->updated_us = call->now_us;
    service->revision = 1;
    g_autofree char *message = g_strdup_printf("service %s created", service->name);
    const struct history what = {.type = "service.created",
                                 .project_id = service->project_id,
                                 .service_id = service->id,
                                 .message = message,
                                 .actor = call->actor};
    return service_insert(tx, service, error) && history_append(tx, call->app, &what, call->now_us, error);
}

static bool update_service(struct tx *tx, struct application *application, struct service *service,
                           const struct service *wanted, GError **error)
{
    struct call *call = application->call;
    size_t before = application->n_changes;
    tell_differences(application, service->name, &settings_type, &service->settings, &wanted->settings);
    tell_differences(application, service->name, &build_config_type, &service->build_config, &wanted->build_config);
    if (application->n_changes == before || application->is_dry) {
        return true;
    }
    contract_clear(&settings_type, &service->settings);
    contract_copy(&settings_type, &service->settings, &wanted->settings);
    contract_clear(&build_config_type, &service->build_config);
    contract_copy(&build_config_type, &service->build_config, &wanted->build_config);
    g_autofree char *message = g_strdup_printf("service %s changed by its specification", service->name);
    const struct history what = {.type = "service.updated",
                                 .project_id = service->project_id,
                                 .service_id = service->id,
                                 .message = message,
                                 .actor = call->actor};
    return service_update(tx, service, call->now_us, error) &&
           history_append(tx, call->app, &what, call->now_us, error);
}

static bool apply_service(struct tx *tx, struct application *application, const struct map_entry *entry, GError **error)
{
    struct call *call = application->call;
    g_autoptr(service_t) wanted = wanted_service(application, entry);
    g_autoptr(service_t) service = NULL;
    if (application->project != NULL &&
        !service_find_by_name(tx, &call->scope, application->project->id, entry->key, &service, error)) {
        return false;
    }
    bool is_new = service == NULL;
    if (is_new) {
        service = g_steal_pointer(&wanted);
    }
    bool ok = is_new ? insert_service(tx, application, service, error)
                     : update_service(tx, application, service, wanted, error);
    g_ptr_array_add(application->result->services, g_steal_pointer(&service));
    return ok;
}

/* --- what differs between environments -------------------------------------------------------------------------------------- */

static bool apply_overrides(struct tx *tx, struct application *application, const struct service *service,
                            const struct environment *environment, GError **error)
{
    struct call *call = application->call;
    g_autofree char *wanted = spec_overrides(application->spec, environment->name, service->name);
    g_autoptr(pair_t) pair = NULL;
    if (service->id != NULL && environment->id != NULL && !pair_find(tx, service->id, environment->id, &pair, error)) {
        return false;
    }
    if (g_strcmp0(wanted, pair != NULL ? pair->overrides : NULL) == 0) {
        return true;
    }
    changed(application, "%s in %s: %s", service->name, environment->name, wanted != NULL ? wanted : "no overrides");
    if (application->is_dry) {
        return true;
    }
    if (pair == NULL && !pair_ensure(tx, service, environment, application->project->slug,
                                     call->app->config->base_domain, call->now_us, &pair, error)) {
        return false;
    }
    g_free(pair->overrides);
    pair->overrides = g_steal_pointer(&wanted);
    return pair_update(tx, pair, call->now_us, error);
}

static bool has_environment(const GPtrArray *environments, const char *name)
{
    for (guint i = 0; i < environments->len; i++) {
        if (strcmp(((const struct environment *)g_ptr_array_index(environments, i))->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static struct environment *add_environment(GPtrArray *environments, const char *name)
{
    struct environment *environment = contract_new(&environment_type);
    g_free(environment->name);
    environment->name = g_strdup(name);
    g_ptr_array_add(environments, environment);
    return environment;
}

/* Environments that the specification names and the project lacks are made. */
static bool make_environments(struct tx *tx, struct application *application, GPtrArray *environments, GError **error)
{
    json_t *named =
        application->spec->environments != NULL ? json_loads(application->spec->environments, 0, NULL) : NULL;
    const char *name;
    json_t *ignored;
    bool ok = true;
    json_object_foreach(named, name, ignored)
    {
        if (!ok || has_environment(environments, name)) {
            continue;
        }
        changed(application, "environment %s is created", name);
        struct environment *environment = add_environment(environments, name);
        ok = application->is_dry || environment_make(tx, application->call, application->project, environment, error);
    }
    json_decref(named);
    return ok;
}

static bool apply_environments(struct tx *tx, struct application *application, GError **error)
{
    g_autoptr(GPtrArray) environments = NULL;
    if (application->project == NULL) {
        environments = contract_array_new(&environment_type);
        add_environment(environments, "production");
        add_environment(environments, "preview");
    } else if (!environment_list(tx, &application->call->scope, application->project->id, &environments, error)) {
        return false;
    }
    if (!make_environments(tx, application, environments, error)) {
        return false;
    }
    for (guint i = 0; i < environments->len; i++) {
        for (guint j = 0; j < application->result->services->len; j++) {
            if (!apply_overrides(tx, application, g_ptr_array_index(application->result->services, j),
                                 g_ptr_array_index(environments, i), error)) {
                return false;
            }
        }
    }
    return true;
}

/* --- the whole ----------------------------------------------------------------------------------------------------------------- */

/* The plan's token stands for the changes and the rows they start from. */
static void digest_start(struct application *application)
{
    for (guint i = 0; i < application->result->services->len; i++) {
        const struct service *service = g_ptr_array_index(application->result->services, i);
        g_autofree char *text =
            g_strdup_printf("%s:%" G_GINT64_FORMAT, service->id != NULL ? service->id : "-", service->revision);
        g_checksum_update(application->digest, (const guchar *)text, (gssize)strlen(text) + 1);
    }
}

static bool run_all(struct tx *tx, struct application *application, GError **error)
{
    if (!find_project(tx, application, error)) {
        return false;
    }
    for (guint i = 0; i < application->spec->services->len; i++) {
        if (!apply_service(tx, application, g_ptr_array_index(application->spec->services, i), error)) {
            return false;
        }
    }
    return apply_environments(tx, application, error);
}

static bool run_once(struct tx *tx, struct call *call, struct spec *spec, bool is_dry, struct spec_result **ret,
                     GError **error)
{
    struct application application = {.call = call, .spec = spec, .is_dry = is_dry};
    application.result = contract_new(&spec_result_type);
    application.changes = g_strv_builder_new();
    application.digest = g_checksum_new(G_CHECKSUM_SHA256);
    if (application.result->services == NULL) {
        application.result->services = contract_array_new(&service_type);
    }
    bool ok = run_all(tx, &application, error);
    struct spec_result *result = application.result;
    if (is_dry) {
        digest_start(&application);
        result->token = g_strdup(g_checksum_get_string(application.digest));
    }
    result->project = g_strdup(spec->project);
    result->changes = g_strv_builder_end(application.changes);
    result->applied = !is_dry;
    g_strv_builder_unref(application.changes);
    g_checksum_free(application.digest);
    contract_object_free(application.project);
    *ret = result;
    return ok;
}

static bool apply(struct tx *tx, void *arg, GError **error)
{
    struct call *call = arg;
    struct spec *spec = call->argument;
    const char *token = request_query(call->request, "plan");
    struct spec_result *result = NULL;
    g_autoptr(spec_result_t) planned = NULL;
    call_reset(call);
    /* The plan is made again in the same transaction: what it says then is what happens. */
    if (!run_once(tx, call, spec, true, &planned, error)) {
        return false;
    }
    if (token != NULL && strcmp(token, planned->token) != 0) {
        sy_fail(error, SY_CONFLICT, "the project has changed since this plan was made");
        sy_error_set_hint(error, "Make a new plan with ?dry_run=true, look at it, and apply that one.");
        return false;
    }
    bool is_dry = is_dry_run(call->request);
    if (is_dry) {
        call->row = g_steal_pointer(&planned);
        return true;
    }
    bool ok = run_once(tx, call, spec, false, &result, error);
    call->row = result;
    if (ok) {
        result->token = g_strdup(planned->token);
    }
    return ok;
}

bool spec_put(struct request *request, GError **error)
{
    g_auto(call_t) call;
    call_init(&call, request);
    json_t *text = as_text(request_json(request));
    g_autoptr(spec_t) spec = spec_decode(text, DECODE_TEXT, error);
    json_decref(text);
    if (spec == NULL) {
        return false;
    }
    if (strcmp(spec->project, call_parameter(&call, "slug")) != 0) {
        g_autofree char *detail = g_strdup_printf("is not %s, as the path says", call_parameter(&call, "slug"));
        sy_error_add_issue(error, "project", "mismatch", detail);
        return false;
    }
    call.argument = spec;
    bool ok = is_dry_run(request) ? call_read(&call, apply, error) : call_write(&call, apply, error);
    if (ok) {
        reply_object(request, &spec_result_type, call.row, 0);
    }
    return ok;
}
