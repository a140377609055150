#include "switchyard/operations/deploy.h"

#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "model/spec.h"
#include "plan/plan.h"
#include "switchyard/operations/configuration.h"
#include "switchyard/operations/history.h"

char *app_url(const struct app *app, const char *host)
{
    if (app->config->public_url != NULL) {
        g_autoptr(GUri) uri = g_uri_parse(app->config->public_url, G_URI_FLAGS_NONE, NULL);
        if (uri != NULL && g_uri_get_port(uri) > 0) {
            return g_strdup_printf("%s://%s:%d", g_uri_get_scheme(uri), host, g_uri_get_port(uri));
        }
        return uri != NULL ? g_strdup_printf("%s://%s", g_uri_get_scheme(uri), host) : NULL;
    }
    int port = app->edge != NULL ? edge_port(app->edge) : 80;
    return port == 80 ? g_strdup_printf("http://%s", host) : g_strdup_printf("http://%s:%d", host, port);
}

/* --- what will run -------------------------------------------------------------------------------------------------------- */

static bool check_release(const struct release *release, GError **error)
{
    if (release->status != RELEASE_READY) {
        sy_fail(error, SY_CONFLICT, "release %s is %s, not ready", release->version, release_statuses[release->status]);
        sy_error_set_hint(error, release->status <= RELEASE_BUILDING ? "Wait for the build: enclii logs --build -f"
                                                                     : "Build again: enclii up");
        return false;
    }
    if (release->image_removed_us != CONTRACT_ABSENT) {
        sy_fail(error, SY_CONFLICT, "the image of release %s has been garbage-collected", release->version);
        sy_error_set_hint(error, "Build it again: enclii up");
        return false;
    }
    if (release->image_lost_us != CONTRACT_ABSENT) {
        sy_fail(error, SY_CONFLICT, "the engine has lost the image of release %s", release->version);
        sy_error_set_hint(error,
                          "Build it again: enclii up. Or start the engine with the data folder it had: the image "
                          "is noticed within a minute");
        return false;
    }
    return true;
}

/* An instance that is to have traffic may have lost its container, and then one cannot be made: without an engine_id. */
static bool has_traffic(struct tx *tx, const struct pair *pair, bool *ret_has, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    *ret_has = false;
    if (!instance_list(tx, pair->id, &rows, error)) {
        return false;
    }
    for (guint i = 0; i < rows->len; i++) {
        const struct instance *row = g_ptr_array_index(rows, i);
        *ret_has = *ret_has || (row->state == INSTANCE_ROUTED && row->engine_id != NULL);
    }
    return true;
}

/* What serves now must stay a place to go back to; a new build of the same inputs is as good. What does not serve is none. */
static bool check_way_back(struct tx *tx, const struct app *app, const struct pair *pair, const struct release *next,
                           GError **error)
{
    bool serves = false;
    if (pair->serving_deployment_id == NULL) {
        return true;
    }
    struct scope scope = app_scope(app);
    g_autoptr(deployment_t) serving = NULL;
    g_autoptr(release_t) release = NULL;
    if (!deployment_by_id(tx, &scope, pair->serving_deployment_id, &serving, error) ||
        !release_by_id(tx, &scope, serving->release_id, &release, error)) {
        return false;
    }
    bool is_rebuilt = next->fingerprint != NULL && g_strcmp0(next->fingerprint, release->fingerprint) == 0;
    if (release_has_image(release) || is_rebuilt) {
        return true;
    }
    return has_traffic(tx, pair, &serves, error) &&
           (!serves ||
            sy_fail(error, SY_NO_WAY_BACK, "the image of release %s, which serves now, is gone", release->version));
}

struct place {
    struct service *service;
    struct environment *environment;
    struct pair *pair;
};

static void place_clear(struct place *place)
{
    contract_object_free(place->service);
    contract_object_free(place->environment);
    contract_object_free(place->pair);
}
typedef struct place place_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(place_t, place_clear)

/* A host name leads to one environment: to production, unless another one's overrides name it. */
static void start_from(const struct service *service, const struct environment *environment, struct settings *settings)
{
    contract_clear(&settings_type, settings);
    contract_copy(&settings_type, settings, &service->settings);
    if (strcmp(environment->name, "production") != 0) {
        g_clear_pointer(&settings->domains, g_strfreev);
    }
}

static bool make_value(struct tx *tx, const struct app *app, const struct deploy_order *order,
                       const struct place *place, const struct release *release, struct deployment_value *value,
                       GError **error)
{
    const struct service *service = place->service;
    struct pair *pair = place->pair;
    start_from(service, place->environment, &value->settings);
    if (!settings_apply_overrides(&value->settings, pair->overrides, "", error)) {
        return false;
    }
    if (order->replicas != CONTRACT_ABSENT) {
        value->settings.replicas = order->replicas;
    }
    g_autoptr(GPtrArray) entries = NULL;
    if (!settings_check(&value->settings, "", error) ||
        !configuration_effective(tx, app, service->id, pair->environment_id, &entries, error) ||
        !configuration_check_secrets(&value->settings, entries, error) ||
        !configuration_snapshot(tx, app, pair, order->now_us, error)) {
        return false;
    }
    value->config_version = pair->config_version;
    value->release_version = g_strdup(release->version);
    value->image = g_strdup(release->image_uri);
    value->image_digest = g_strdup(release->image_digest);
    value->default_command = g_strdupv(release->default_command);
    return true;
}

/* --- making it desired ------------------------------------------------------------------------------------------------------- */

static bool supersede(struct tx *tx, const struct app *app, const struct pair *pair, const struct deployment *by,
                      const char *actor, int64_t now_us, GError **error)
{
    struct scope scope = app_scope(app);
    g_autoptr(deployment_t) previous = NULL;
    if (pair->desired_deployment_id == NULL) {
        return true;
    }
    if (!deployment_by_id(tx, &scope, pair->desired_deployment_id, &previous, error)) {
        return false;
    }
    if (previous->status != DEPLOYMENT_PENDING && previous->status != DEPLOYMENT_DEPLOYING) {
        return true; /* it serves until the new one does */
    }
    g_autofree char *message = g_strdup_printf("superseded by %s before it had finished", by->version);
    return deployment_set_status(tx, previous, DEPLOYMENT_SUPERSEDED, now_us, error) &&
           history_of_deployment(tx, app, previous, "deployment.superseded", message, actor, now_us, error);
}

static bool sync_domains(struct tx *tx, const struct pair *pair, const struct service *service,
                         const struct deployment *deployment, int64_t now_us, GError **error)
{
    g_autoptr(GPtrArray) rows = NULL;
    char **wanted = deployment->value.settings.domains;
    if (!domain_list_pair(tx, pair->id, &rows, error)) {
        return false;
    }
    for (guint i = 0; i < rows->len; i++) {
        const struct domain *row = g_ptr_array_index(rows, i);
        bool is_wanted = wanted != NULL && g_strv_contains((const char *const *)wanted, row->domain);
        if (row->from_spec > 0 && !is_wanted && !domain_delete(tx, row->id, error)) {
            return false;
        }
    }
    for (; wanted != NULL && *wanted != NULL; wanted++) {
        bool is_there = false;
        for (guint i = 0; i < rows->len; i++) {
            is_there = is_there || strcmp(((const struct domain *)g_ptr_array_index(rows, i))->domain, *wanted) == 0;
        }
        g_autoptr(domain_t) row = contract_new(&domain_type);
        row->id = uuid_new();
        row->organization_id = g_strdup(pair->organization_id);
        row->service_id = g_strdup(service->id);
        row->pair_id = g_strdup(pair->id);
        row->domain = g_strdup(*wanted);
        row->environment = g_strdup(deployment->environment);
        row->environment_id = g_strdup(pair->environment_id);
        row->from_spec = 1;
        row->status = DOMAIN_ACTIVE;
        row->created_us = now_us;
        if (!is_there && !domain_insert(tx, row, error)) {
            return false;
        }
    }
    return true;
}

static char *template_of(const struct deployment *deployment, const struct deploy_order *order,
                         const struct deployment *repeated)
{
    if (order->kind == DEPLOYMENT_SCALE && repeated != NULL) {
        return g_strdup(repeated->template);
    }
    return deployment_template(&deployment->value, order->kind == DEPLOYMENT_RESTART ? deployment->id : NULL);
}

/* Takes what is in `deployment->value` already; fills in the rest, writes it and makes it the pair's desired one. */
static bool make_desired(struct tx *tx, const struct app *app, const struct deploy_order *order,
                         const struct service *service, const struct environment *environment, struct pair *pair,
                         const char *release_id, const struct deployment *repeated, struct deployment *deployment,
                         GError **error)
{
    deployment->id = uuid_new();
    deployment->organization_id = g_strdup(pair->organization_id);
    deployment->project_id = g_strdup(pair->project_id);
    deployment->service_id = g_strdup(pair->service_id);
    deployment->environment_id = g_strdup(pair->environment_id);
    deployment->release_id = g_strdup(release_id);
    deployment->pair_id = g_strdup(pair->id);
    deployment->kind = (int)order->kind;
    deployment->replicas = deployment->value.settings.replicas;
    deployment->reason = g_strdup(order->reason);
    deployment->config_version = deployment->value.config_version;
    deployment->created_by = g_strdup(order->actor);
    deployment->created_us = order->now_us;
    deployment->generation = pair->generation + 1;
    deployment->revision = 1;
    deployment->template = template_of(deployment, order, repeated);
    /* The release command belongs to a new release; scaling or restarting runs it no second time. */
    deployment->release_command_done = order->kind == DEPLOYMENT_SCALE || order->kind == DEPLOYMENT_RESTART;
    if (deployment_needs_edge(deployment) && pair->host != NULL) {
        deployment->url = app_url(app, pair->host);
    }
    if (!deployment_insert(tx, deployment, error) ||
        !supersede(tx, app, pair, deployment, order->actor, order->now_us, error) ||
        !sync_domains(tx, pair, service, deployment, order->now_us, error)) {
        return false;
    }
    g_free(pair->desired_deployment_id);
    pair->desired_deployment_id = g_strdup(deployment->id);
    pair->leaving_us = CONTRACT_ABSENT; /* its deletion was undone */
    pair->generation++;
    pair->status = PAIR_DEPLOYING;
    g_autofree char *message = g_strdup_printf(
        "%s of release %s into %s asked for by %s%s%s", deployment_kinds[deployment->kind], deployment->release_version,
        environment->name, order->actor, order->reason != NULL ? ": " : "", order->reason != NULL ? order->reason : "");
    return pair_update(tx, pair, order->now_us, error) &&
           history_of_deployment(tx, app, deployment, "deployment.created", message, order->actor, order->now_us,
                                 error);
}

static bool find_place(struct tx *tx, const struct app *app, const struct deploy_order *order, struct place *place,
                       GError **error)
{
    return service_by_id(tx, &order->scope, order->service_id, &place->service, error) &&
           environment_by_name(tx, &order->scope, place->service->project_id, order->environment_name,
                               &place->environment, error) &&
           pair_ensure(tx, place->service, place->environment, place->service->project, app->config->base_domain,
                       order->now_us, &place->pair, error);
}

bool operation_deploy(struct tx *tx, const struct app *app, const struct deploy_order *order, struct deployment **ret,
                      GError **error)
{
    g_auto(place_t) place = {0};
    g_autoptr(release_t) release = NULL;
    g_autoptr(deployment_t) deployment = contract_new(&deployment_type);
    if (!find_place(tx, app, order, &place, error) ||
        !release_by_reference(tx, &order->scope, order->service_id, order->release, &release, error) ||
        !check_release(release, error) || !check_way_back(tx, app, place.pair, release, error) ||
        !make_value(tx, app, order, &place, release, &deployment->value, error) ||
        !make_desired(tx, app, order, place.service, place.environment, place.pair, release->id, NULL, deployment,
                      error)) {
        return false;
    }
    *ret = g_steal_pointer(&deployment);
    return true;
}

bool operation_repeat(struct tx *tx, const struct app *app, const struct deploy_order *order, struct deployment **ret,
                      GError **error)
{
    g_auto(place_t) place = {0};
    if (!find_place(tx, app, order, &place, error)) {
        return false;
    }
    if (place.pair->desired_deployment_id == NULL) {
        sy_fail(error, SY_CONFLICT, "nothing of %s is deployed in %s", place.service->name, order->environment_name);
        sy_error_set_hint(error, "Deploy it first: enclii deploy -e %s %s", order->environment_name,
                          place.service->name);
        return false;
    }
    g_autoptr(deployment_t) current = NULL;
    g_autoptr(release_t) release = NULL;
    g_autoptr(deployment_t) deployment = contract_new(&deployment_type);
    if (!deployment_by_id(tx, &order->scope, place.pair->desired_deployment_id, &current, error) ||
        !release_by_id(tx, &order->scope, current->release_id, &release, error) || !check_release(release, error)) {
        return false;
    }
    if (order->kind == DEPLOYMENT_CONFIG) {
        struct deploy_order with_replicas = *order;
        with_replicas.replicas = current->value.settings.replicas;
        if (!make_value(tx, app, &with_replicas, &place, release, &deployment->value, error)) {
            return false;
        }
    } else {
        contract_clear(&deployment_value_type, &deployment->value);
        contract_copy(&deployment_value_type, &deployment->value, &current->value);
        if (order->replicas != CONTRACT_ABSENT) {
            deployment->value.settings.replicas = order->replicas;
        }
        if (!settings_check(&deployment->value.settings, "", error)) {
            return false;
        }
    }
    if (!make_desired(tx, app, order, place.service, place.environment, place.pair, release->id, current, deployment,
                      error)) {
        return false;
    }
    *ret = g_steal_pointer(&deployment);
    return true;
}

/* --- back ------------------------------------------------------------------------------------------------------------------------ */

static bool find_target(struct tx *tx, const struct scope *scope, const struct deployment *from, const char *to,
                        const char *to_release, struct deployment **ret, GError **error)
{
    if (to != NULL) {
        return deployment_by_reference(tx, scope, from->service_id, to, ret, error);
    }
    if (to_release != NULL) {
        g_autoptr(release_t) release = NULL;
        if (!release_by_reference(tx, scope, from->service_id, to_release, &release, error) ||
            !deployment_find_by_release(tx, from->pair_id, release->id, ret, error)) {
            return false;
        }
        return *ret != NULL ||
               sy_fail(error, SY_NOT_FOUND, "release %s was never deployed in this environment", release->version);
    }
    if (!deployment_find_way_back(tx, from, ret, error)) {
        return false;
    }
    if (*ret == NULL) {
        sy_fail(error, SY_CONFLICT, "there is no earlier healthy deployment to go back to");
        sy_error_set_hint(error, "enclii deployments lists them; enclii rollback --to VERSION chooses one.");
    }
    return *ret != NULL;
}

bool operation_rollback(struct tx *tx, const struct app *app, const struct scope *scope, const char *from_id,
                        const char *to, const char *to_release, const char *reason, const char *actor, int64_t now_us,
                        struct deployment **ret, GError **error)
{
    g_autoptr(deployment_t) from = NULL;
    g_autoptr(deployment_t) target = NULL;
    g_autoptr(release_t) release = NULL;
    if (!deployment_by_id(tx, scope, from_id, &from, error) ||
        !find_target(tx, scope, from, to, to_release, &target, error)) {
        return false;
    }
    if (strcmp(target->pair_id, from->pair_id) != 0) {
        return sy_fail(error, SY_CONFLICT, "deployment %s belongs to the environment %s, not to %s", target->version,
                       target->environment, from->environment);
    }
    const struct deploy_order order = {
        .scope = *scope,
        .service_id = from->service_id,
        .environment_name = from->environment,
        .reason = reason,
        .actor = actor,
        .kind = DEPLOYMENT_ROLLBACK,
        .now_us = now_us,
    };
    g_auto(place_t) place = {0};
    g_autoptr(deployment_t) deployment = contract_new(&deployment_type);
    if (!release_by_id(tx, scope, target->release_id, &release, error) || !check_release(release, error) ||
        !find_place(tx, app, &order, &place, error) ||
        !configuration_restore(tx, app, place.pair, target->config_version, now_us, error)) {
        return false;
    }
    contract_clear(&deployment_value_type, &deployment->value);
    contract_copy(&deployment_value_type, &deployment->value, &target->value);
    deployment->value.config_version = place.pair->config_version;
    deployment->rolled_back_to = g_strdup(target->id);
    deployment->release_command_done = 1; /* the release command led forward; going back must not run it */
    if (!make_desired(tx, app, &order, place.service, place.environment, place.pair, release->id, target, deployment,
                      error)) {
        return false;
    }
    *ret = g_steal_pointer(&deployment);
    return true;
}

bool operation_cancel(struct tx *tx, const struct app *app, struct deployment *deployment, const char *actor,
                      int64_t now_us, GError **error)
{
    if (deployment->status != DEPLOYMENT_PENDING && deployment->status != DEPLOYMENT_DEPLOYING) {
        return sy_fail(error, SY_CONFLICT, "deployment %s is %s and cannot be cancelled", deployment->version,
                       deployment_statuses[deployment->status]);
    }
    deployment->cancel_requested = 1;
    return deployment_update(tx, deployment, error) &&
           history_of_deployment(tx, app, deployment, "deployment.cancel_requested", "to be cancelled", actor, now_us,
                                 error);
}
