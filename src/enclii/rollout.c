#include "enclii/rollout.h"

#include <string.h>

#include "base/id.h"
#include "enclii/output.h"
#include "enclii/term.h"

/* --- life --------------------------------------------------------------------------------------------------------------------- */

static void member_free(void *data)
{
    struct rollout_member *member = data;
    contract_object_free(member->service);
    contract_object_free(member->release);
    contract_object_free(member->deployment);
    g_free(member);
}

static void rollout_init(struct rollout *rollout, struct cli *cli)
{
    *rollout = (struct rollout){
        .cli = cli,
        .members = g_ptr_array_new_with_free_func(member_free),
        .sources = g_ptr_array_new_with_free_func(rollout_source_free),
        .start_us = g_get_monotonic_time(),
    };
    progress_init(&rollout->progress, cli);
}

static void rollout_clear(struct rollout *rollout)
{
    progress_clear_line(&rollout->progress);
    g_ptr_array_unref(rollout->members);
    g_ptr_array_unref(rollout->sources);
    spec_file_free(rollout->file);
    git_state_clear(&rollout->git);
    json_decref(rollout->changes);
    g_free(rollout->environment);
}
typedef struct rollout rollout_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(rollout_t, rollout_clear)

bool rollout_keep_first(struct rollout *rollout, GError **first, GError *failure)
{
    bool is_last = sy_error_code(failure) == SY_CANCELLED || sy_error_code(failure) == SY_TIMEOUT;
    if (*first == NULL) {
        *first = failure;
    } else {
        progress_say(&rollout->progress, "%s", failure->message);
        g_error_free(failure);
    }
    return !is_last;
}

/* --- what is asked for -------------------------------------------------------------------------------------------------------- */

/* --project beats the file's name, so that one folder can be tried out as another project. The variable ENCLII_PROJECT does not:
 * left set, it would carry one project's code into another. */
static bool rename_project(struct rollout *rollout, GError **error)
{
    const char *project = cli_flag(rollout->cli, "project");
    if (project == NULL) {
        return true;
    }
    if (check_slug(project) != NULL) {
        return sy_fail(error, SY_INVALID_INPUT, "--project: %s is no project's name: it %s", project,
                       check_slug(project));
    }
    g_free(rollout->file->spec->project);
    rollout->file->spec->project = g_strdup(project);
    json_object_set_new(rollout->file->json, "project", json_string(project));
    return true;
}

static bool read_file(struct rollout *rollout, GError **error)
{
    g_autofree char *here = g_get_current_dir();
    g_autofree char *path = spec_file_find(here, error);
    if (path == NULL) {
        return false;
    }
    g_autofree char *folder = g_path_get_dirname(path);
    rollout->file = spec_file_read(path, strcmp(folder, here) == 0 ? SPEC_FILE_NAME : path, error);
    return rollout->file != NULL && rename_project(rollout, error);
}

static bool is_asked_for(const struct cli *cli, const char *name)
{
    bool found = cli->arguments->len == 0;
    for (guint i = 0; i < cli->arguments->len; i++) {
        found = found || strcmp(g_ptr_array_index(cli->arguments, i), name) == 0;
    }
    return found;
}

/* Every operand must name a service of the file. */
static bool check_operands(const struct rollout *rollout, GError **error)
{
    const GPtrArray *services = rollout->file->spec->services;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < services->len; i++) {
        g_ptr_array_add(names, ((const struct map_entry *)g_ptr_array_index(services, i))->key);
    }
    g_ptr_array_add(names, NULL);
    for (guint i = 0; i < rollout->cli->arguments->len; i++) {
        const char *asked = g_ptr_array_index(rollout->cli->arguments, i);
        if (struct_map_get(services, asked) == NULL) {
            const char *near = nearest_word(asked, (const char *const *)names->pdata);
            g_autofree char *all = g_strjoinv(", ", (char **)names->pdata);
            sy_fail(error, SY_INVALID_INPUT, "%s has no service %s", SPEC_FILE_NAME, asked);
            sy_error_set_hint(error, near != NULL ? "Did you mean %s?" : "It has: %s", near != NULL ? near : all);
            return false;
        }
    }
    return true;
}

static bool choose_members(struct rollout *rollout, GError **error)
{
    const GPtrArray *services = rollout->file->spec->services;
    if (!check_operands(rollout, error)) {
        return false;
    }
    for (guint i = 0; i < services->len; i++) {
        const struct map_entry *entry = g_ptr_array_index(services, i);
        if (is_asked_for(rollout->cli, entry->key)) {
            struct rollout_member *member = g_new0(struct rollout_member, 1);
            member->name = entry->key;
            member->spec = entry->value;
            g_ptr_array_add(rollout->members, member);
            rollout->progress.name_width = MAX(rollout->progress.name_width, (unsigned)strlen(entry->key));
        }
    }
    return true;
}

static bool choose_environment(struct rollout *rollout, const char *environment, GError **error)
{
    rollout->has_git = git_read(rollout->file->folder, &rollout->git);
    const char *asked = cli_environment(rollout->cli, environment);
    rollout->environment = asked != NULL ? g_strdup(asked) : git_environment(rollout->has_git ? &rollout->git : NULL);
    const char *rule = check_slug(rollout->environment);
    return rule == NULL ||
           sy_fail(error, SY_INVALID_INPUT, "%s is no environment's name: it %s", rollout->environment, rule);
}

/* "shop · preview · main 1a2b3c4, 2 files changed" */
static void tell_beginning(struct rollout *rollout)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_append_printf(line, "%s · %s", rollout->file->spec->project, rollout->environment);
    if (rollout->has_git) {
        int n_changes = git_count_changes(rollout->file->folder);
        rollout->is_dirty = n_changes != 0;
        g_string_append_printf(line, " · %s%s%.7s", rollout->git.branch != NULL ? rollout->git.branch : "",
                               rollout->git.branch != NULL && rollout->git.commit != NULL ? " " : "",
                               rollout->git.commit != NULL ? rollout->git.commit : "");
        if (n_changes > 0) {
            g_string_append_printf(line, ", %d file%s changed", n_changes, n_changes == 1 ? "" : "s");
        }
    }
    progress_say(&rollout->progress, "%s", line->str);
}

/* --- spec and environment ----------------------------------------------------------------------------------------------------- */

static json_t *put_spec(struct rollout *rollout, bool is_dry, GError **error)
{
    g_autofree char *target = client_target(is_dry ? "/v1/projects/%s/spec?dry_run=true" : "/v1/projects/%s/spec",
                                            rollout->file->spec->project);
    return client_send(rollout->client, "PUT", target, rollout->file->json, error);
}

/* A change is told as "web: replicas 1 → 2" or "web in production: …"; new services have nothing running in any case. */
static bool is_about(const char *change, const char *service, const char *environment)
{
    g_autofree char *everywhere = g_strdup_printf("%s: ", service);
    g_autofree char *here = g_strdup_printf("%s in %s: ", service, environment);
    return g_str_has_prefix(change, everywhere) || g_str_has_prefix(change, here);
}

static bool take_service(struct rollout_member *member, const json_t *reply, GError **error)
{
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(reply, "services"), index, entry)
    {
        if (g_strcmp0(json_string_value(json_object_get(entry, "name")), member->name) == 0) {
            member->service = client_decode(&service_type, entry, error);
            return member->service != NULL;
        }
    }
    return sy_fail(error, SY_INTERNAL, "the server's reply lacks the service %s", member->name);
}

static bool apply_spec(struct rollout *rollout, GError **error)
{
    json_t *reply = put_spec(rollout, false, error);
    size_t index;
    json_t *change;
    bool ok = reply != NULL;
    rollout->changes = json_incref(json_object_get(reply, "changes"));
    for (guint i = 0; ok && i < rollout->members->len; i++) {
        struct rollout_member *member = g_ptr_array_index(rollout->members, i);
        ok = take_service(member, reply, error);
        json_array_foreach(rollout->changes, index, change)
        {
            const char *text = json_string_value(change);
            member->is_spec_changed =
                member->is_spec_changed || (text != NULL && is_about(text, member->name, rollout->environment));
        }
    }
    json_array_foreach(rollout->changes, index, change)
    {
        if (rollout->cli->verbose) {
            progress_say(&rollout->progress, "  %s", json_string_value(change));
        }
    }
    json_decref(reply);
    return ok;
}

static bool ensure_environment(struct rollout *rollout, GError **error)
{
    g_autofree char *one =
        client_target("/v1/projects/%s/environments/%s", rollout->file->spec->project, rollout->environment);
    g_autofree char *all = client_target("/v1/projects/%s/environments", rollout->file->spec->project);
    GError *failure = NULL;
    json_t *reply = client_get(rollout->client, one, &failure);
    if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
        g_clear_error(&failure);
        json_t *body = json_pack("{s:s}", "name", rollout->environment);
        reply = client_send(rollout->client, "POST", all, body, &failure);
        json_decref(body);
    }
    json_decref(reply);
    if (g_error_matches(failure, SY_ERROR, SY_ALREADY_EXISTS)) {
        g_clear_error(&failure); /* somebody else was quicker */
    }
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    return true;
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------- */

void rollout_tell_one_writer(struct rollout *rollout, const struct rollout_member *member)
{
    const GPtrArray *volumes = member->spec->settings.volumes;
    if (volumes != NULL && volumes->len > 0) {
        progress_say(&rollout->progress,
                     "  %s has a volume, which has one writer: it is stopped, then started; requests wait meanwhile",
                     member->name);
    }
}

/* Only what applying the file would change. */
static bool tell_plan(struct rollout *rollout, GError **error)
{
    json_t *reply = put_spec(rollout, true, error);
    bool ok = reply != NULL;
    if (ok && rollout->cli->output != OUTPUT_TABLE) {
        ok = output_json(rollout->cli, reply, error);
    } else if (ok) {
        size_t index;
        json_t *change;
        json_array_foreach(json_object_get(reply, "changes"), index, change)
        {
            output_line(rollout->cli, "%s", json_string_value(change));
        }
        for (guint i = 0; i < rollout->members->len; i++) {
            rollout_tell_one_writer(rollout, g_ptr_array_index(rollout->members, i));
        }
        if (json_array_size(json_object_get(reply, "changes")) == 0) {
            say(rollout->cli, "%s changes nothing; sources are not compared in a dry run", SPEC_FILE_NAME);
        }
    }
    json_decref(reply);
    return ok;
}

static bool run_steps(struct rollout *rollout, GError **error)
{
    tell_beginning(rollout);
    return apply_spec(rollout, error) && ensure_environment(rollout, error) && rollout_send_sources(rollout, error) &&
           rollout_build(rollout, error) && rollout_deploy(rollout, error) && rollout_tell(rollout, error);
}

/* Ctrl-C and --timeout end the watching, not the work. */
static void explain_end(const struct rollout *rollout, GError **error)
{
    if (sy_error_code(*error) == SY_TIMEOUT && rollout->has_deployed) {
        sy_error_set_hint(error, "Look at it with enclii status -e %s; enclii %s waits for it again.",
                          rollout->environment, rollout->cli->command->name);
    }
    if (sy_error_code(*error) != SY_CANCELLED || g_atomic_int_get(term_interrupted()) == 0) {
        return;
    }
    g_clear_error(error);
    if (rollout->has_deployed) {
        sy_fail(error, SY_CANCELLED, "no longer watching; the deployment goes on");
        sy_error_set_hint(error, "Look at it with enclii status -e %s; enclii %s waits for it again.",
                          rollout->environment, rollout->cli->command->name);
    } else {
        sy_fail(error, SY_CANCELLED, "interrupted; nothing was deployed");
        sy_error_set_hint(error, "A build that had begun goes on: enclii %s takes it up again.",
                          rollout->cli->command->name);
    }
}

bool rollout_run(struct cli *cli, const char *environment, GError **error)
{
    g_auto(rollout_t) rollout;
    GError *failure = NULL;
    rollout_init(&rollout, cli);
    if (!read_file(&rollout, error) || !choose_members(&rollout, error) ||
        !choose_environment(&rollout, environment, error)) {
        return false;
    }
    rollout.client = cli_client(cli, error);
    if (rollout.client == NULL) {
        return false;
    }
    if (cli_has(cli, "dry-run")) {
        return tell_plan(&rollout, error);
    }
    if (!run_steps(&rollout, &failure)) {
        progress_clear_line(&rollout.progress);
        explain_end(&rollout, &failure);
        g_propagate_error(error, failure);
        return false;
    }
    return true;
}
