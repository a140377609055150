#include <string.h>

#include "enclii/output.h"
#include "enclii/rollout.h"

static json_t *optional(const char *text)
{
    return text != NULL ? json_string(text) : json_null();
}

static json_t *member_as_json(const struct rollout_member *member)
{
    const struct deployment *deployment = member->deployment;
    json_t *json = json_object();
    json_object_set_new(json, "service", json_string(member->name));
    json_object_set_new(json, "service_id", json_string(member->service->id));
    json_object_set_new(json, "release", optional(member->release->version));
    json_object_set_new(json, "release_id", optional(member->release->id));
    json_object_set_new(json, "image_digest", optional(member->release->image_digest));
    json_object_set_new(json, "deployment", optional(deployment->version));
    json_object_set_new(json, "deployment_id", optional(deployment->id));
    json_object_set_new(json, "status", json_string(deployment_statuses[deployment->status]));
    json_object_set_new(json, "changed", json_boolean(!member->is_unchanged));
    json_object_set_new(json, "url", optional(deployment->url));
    return json;
}

static const char *first_url(const struct rollout *rollout)
{
    for (guint i = 0; i < rollout->members->len; i++) {
        const struct rollout_member *member = g_ptr_array_index(rollout->members, i);
        if (member->deployment->url != NULL) {
            return member->deployment->url;
        }
    }
    return NULL;
}

static bool has_changed(const struct rollout *rollout)
{
    bool changed = false;
    for (guint i = 0; i < rollout->members->len; i++) {
        changed = changed || !((const struct rollout_member *)g_ptr_array_index(rollout->members, i))->is_unchanged;
    }
    return changed;
}

static bool put_json(const struct rollout *rollout, bool changed, GError **error)
{
    json_t *services = json_array();
    for (guint i = 0; i < rollout->members->len; i++) {
        json_array_append_new(services, member_as_json(g_ptr_array_index(rollout->members, i)));
    }
    json_t *result = json_object();
    json_object_set_new(result, "project", json_string(rollout->file->spec->project));
    json_object_set_new(result, "environment", json_string(rollout->environment));
    json_object_set_new(result, "changed", json_boolean(changed));
    json_object_set_new(result, "url", optional(first_url(rollout)));
    json_object_set_new(result, "services", services);
    bool ok = output_json(rollout->cli, result, error);
    json_decref(result);
    return ok;
}

static char *join_urls(const struct rollout *rollout)
{
    g_autoptr(GString) urls = g_string_new(NULL);
    for (guint i = 0; i < rollout->members->len; i++) {
        const struct rollout_member *member = g_ptr_array_index(rollout->members, i);
        if (member->deployment->url != NULL) {
            g_string_append_printf(urls, "  %s", member->deployment->url);
        }
    }
    return g_strdup(urls->str);
}

/* The last line, the one that is needed: on stderr for people; in a pipe the bare address is the result. */
static void put_text(const struct rollout *rollout, bool changed)
{
    struct cli *cli = rollout->cli;
    g_autofree char *urls = join_urls(rollout);
    double seconds = (double)(g_get_monotonic_time() - rollout->start_us) / G_USEC_PER_SEC;
    if (!changed) {
        say(cli, "Nothing has changed%s", urls);
    } else if (cli->wait) {
        say(cli, "Live in %.1f s%s", seconds, urls);
    } else {
        say(cli, "On its way; watch it with: enclii status -e %s%s", rollout->environment, urls);
    }
    for (guint i = 0; (!cli->is_output_terminal || cli->quiet) && i < rollout->members->len; i++) {
        const struct rollout_member *member = g_ptr_array_index(rollout->members, i);
        if (member->deployment->url != NULL) {
            output_line(cli, "%s", member->deployment->url);
        }
    }
}

bool rollout_tell(struct rollout *rollout, GError **error)
{
    bool changed = has_changed(rollout);
    if (rollout->cli->output != OUTPUT_TABLE) {
        return put_json(rollout, changed, error);
    }
    put_text(rollout, changed);
    return true;
}
