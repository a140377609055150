#include <string.h>

#include "enclii/rollout.h"
#include "enclii/wait.h"

/* A commit is named only when it says all of what is built. */
static json_t *build_request(const struct rollout *rollout, const struct rollout_member *member)
{
    json_t *body = json_object();
    if (member->source != NULL) {
        json_object_set_new(body, "source", json_string(member->source));
    }
    if (cli_has(rollout->cli, "rebuild")) {
        json_object_set_new(body, "force", json_true());
    }
    if (rollout->has_git && rollout->git.branch != NULL && g_utf8_validate(rollout->git.branch, -1, NULL)) {
        json_object_set_new(body, "git_branch", json_string(rollout->git.branch));
    }
    if (rollout->has_git && rollout->git.commit != NULL && !rollout->is_dirty) {
        json_object_set_new(body, "git_sha", json_string(rollout->git.commit));
    }
    return body;
}

static bool ask_for_build(struct rollout *rollout, struct rollout_member *member, GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/build", member->service->id);
    json_t *body = build_request(rollout, member);
    json_t *reply = client_send(rollout->client, "POST", target, body, error);
    member->release = reply != NULL ? client_decode(&release_type, reply, error) : NULL;
    json_decref(reply);
    json_decref(body);
    if (member->release == NULL) {
        g_prefix_error(error, "%s: ", member->name);
    }
    return member->release != NULL;
}

/* "sha256:9c1f03…" */
static char *short_digest(const struct release *release)
{
    const char *digest = release->image_digest;
    size_t shown = strlen("sha256:") + 6;
    return digest != NULL && strlen(digest) > shown ? g_strdup_printf("%.*s…", (int)shown, digest) : g_strdup(digest);
}

static void tell_build(struct rollout *rollout, const struct rollout_member *member, bool is_reused)
{
    const struct release *release = member->release;
    g_autofree char *digest = short_digest(release);
    const char *builder = release->builder != NULL ? release->builder : "image";
    const char *reason = release->builder_reason;
    g_autofree char *text = is_reused        ? g_strdup_printf("release %s, built before", release->version)
                            : reason != NULL ? g_strdup_printf("%s, %s", builder, reason)
                                             : g_strdup(builder);
    progress_done(&rollout->progress, member->name, "build", text, is_reused ? -1 : MAX(release->duration_ms, 0),
                  digest);
}

static bool finish_build(struct rollout *rollout, struct rollout_member *member, GError **error)
{
    if (member->release->status == RELEASE_READY) {
        tell_build(rollout, member, true);
        return true;
    }
    struct release *ended = wait_for_build(&rollout->progress, member->name, member->release, error);
    if (ended == NULL) {
        return false;
    }
    contract_object_free(member->release);
    member->release = ended;
    tell_build(rollout, member, false);
    return true;
}

/* All are asked for first, so that the server can build several at once; a failure of one keeps all from being deployed, but
 * the others are told too. */
bool rollout_build(struct rollout *rollout, GError **error)
{
    GError *first = NULL;
    for (guint i = 0; i < rollout->members->len; i++) {
        if (!ask_for_build(rollout, g_ptr_array_index(rollout->members, i), error)) {
            return false;
        }
    }
    for (guint i = 0; i < rollout->members->len; i++) {
        GError *failure = NULL;
        if (!finish_build(rollout, g_ptr_array_index(rollout->members, i), &failure) &&
            !rollout_keep_first(rollout, &first, failure)) {
            break;
        }
    }
    if (first != NULL) {
        g_propagate_error(error, first);
    }
    return first == NULL;
}
