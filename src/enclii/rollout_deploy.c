#include <string.h>

#include "base/timestamp.h"
#include "enclii/rollout.h"
#include "enclii/wait.h"

/* --- is it there already? ----------------------------------------------------------------------------------------------------- */

/* *ret stays NULL when nothing was ever deployed there. */
static bool find_latest(struct rollout *rollout, const struct rollout_member *member, struct deployment **ret,
                        GError **error)
{
    g_autofree char *target =
        client_target("/v1/services/%s/deployments/latest?environment=%s", member->service->id, rollout->environment);
    GError *failure = NULL;
    json_t *reply = client_get(rollout->client, target, &failure);
    if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
        g_error_free(failure);
        return true;
    }
    if (reply == NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    *ret = client_decode(&deployment_type, json_object_get(reply, "deployment"), error);
    json_decref(reply);
    return *ret != NULL;
}

/* A variable that was set later than this deployment was made. */
static bool has_newer_variable(struct rollout *rollout, const struct rollout_member *member,
                               const struct deployment *deployment, bool *ret, GError **error)
{
    g_autofree char *target =
        client_target("/v1/services/%s/env-vars?environment=%s", member->service->id, rollout->environment);
    json_t *reply = client_get(rollout->client, target, error);
    size_t index;
    json_t *variable;
    json_array_foreach(json_object_get(reply, "environment_variables"), index, variable)
    {
        const char *text = json_string_value(json_object_get(variable, "updated_at"));
        int64_t updated_us = 0;
        *ret = *ret || (text != NULL && timestamp_parse(text, &updated_us) && updated_us > deployment->created_us);
    }
    bool ok = reply != NULL;
    json_decref(reply);
    return ok;
}

/* True in *ret when deploying again would change nothing. The server does not compare: asked to deploy, it deploys. A rollback
 * runs with settings of its time, so what follows it is a change even for the same release. So is what was scaled to nothing:
 * the address that ends the command would answer nobody. */
static bool is_up_to_date(struct rollout *rollout, const struct rollout_member *member, const struct deployment *latest,
                          bool *ret, GError **error)
{
    bool is_newer = false;
    *ret = false;
    if (strcmp(latest->release_id, member->release->id) != 0 || latest->status > DEPLOYMENT_RUNNING ||
        latest->kind == DEPLOYMENT_ROLLBACK || (latest->kind == DEPLOYMENT_SCALE && latest->replicas == 0) ||
        member->is_spec_changed || member->service->updated_us > latest->created_us) {
        return true;
    }
    if (!has_newer_variable(rollout, member, latest, &is_newer, error)) {
        return false;
    }
    *ret = !is_newer;
    return true;
}

/* --- deploying ---------------------------------------------------------------------------------------------------------------- */

static struct deployment *post_deploy(struct rollout *rollout, const struct rollout_member *member, GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/deploy", member->service->id);
    json_t *body = json_pack("{s:s, s:s}", "release_id", member->release->id, "environment_name", rollout->environment);
    json_t *reply = client_send(rollout->client, "POST", target, body, error);
    struct deployment *deployment = reply != NULL ? client_decode(&deployment_type, reply, error) : NULL;
    json_decref(body);
    json_decref(reply);
    if (deployment == NULL) {
        g_prefix_error(error, "%s: ", member->name);
    }
    return deployment;
}

static bool begin_deploy(struct rollout *rollout, struct rollout_member *member, GError **error)
{
    g_autoptr(deployment_t) latest = NULL;
    bool is_there = false;
    if (!find_latest(rollout, member, &latest, error) ||
        (latest != NULL && !is_up_to_date(rollout, member, latest, &is_there, error))) {
        return false;
    }
    if (is_there) {
        member->is_unchanged = latest->status == DEPLOYMENT_RUNNING;
        member->is_waited_for = !member->is_unchanged; /* the same is on its way already */
        rollout->has_deployed = rollout->has_deployed || member->is_waited_for;
        member->deployment = g_steal_pointer(&latest);
        return true;
    }
    if (latest != NULL && latest->replicas > 0) {
        rollout_tell_one_writer(rollout, member);
    }
    member->deployment = post_deploy(rollout, member, error);
    member->is_waited_for = member->deployment != NULL;
    rollout->has_deployed = rollout->has_deployed || member->is_waited_for;
    return member->deployment != NULL;
}

static bool finish_deploy(struct rollout *rollout, struct rollout_member *member, GError **error)
{
    if (!member->is_waited_for) {
        return true;
    }
    struct deployment *ended = wait_until_deployed(&rollout->progress, member->name, member->deployment->id, error);
    if (ended != NULL) {
        contract_object_free(member->deployment);
        member->deployment = ended;
    }
    return ended != NULL;
}

bool rollout_deploy(struct rollout *rollout, GError **error)
{
    GError *first = NULL;
    for (guint i = 0; i < rollout->members->len; i++) {
        GError *failure = NULL;
        if (!begin_deploy(rollout, g_ptr_array_index(rollout->members, i), &failure)) {
            (void)rollout_keep_first(rollout, &first, failure);
        }
    }
    for (guint i = 0; rollout->cli->wait && i < rollout->members->len; i++) {
        GError *failure = NULL;
        if (!finish_deploy(rollout, g_ptr_array_index(rollout->members, i), &failure)) {
            if (!rollout_keep_first(rollout, &first, failure)) {
                break;
            }
        }
    }
    if (first != NULL) {
        g_propagate_error(error, first);
    }
    return first == NULL;
}
