#include <string.h>

#include "enclii/rollout.h"
#include "enclii/term.h"

#define DEFAULT_LIMIT (INT64_C(512) << 20) /* the server's own default for source_limit */

void rollout_source_free(void *data)
{
    struct rollout_source *source = data;
    pack_clear(&source->pack);
    g_free(source->context);
    g_free(source);
}

/* "./apps/web/" and "apps/web" are one folder. */
static char *normalise(const char *context)
{
    g_auto(GStrv) parts = g_strsplit(context != NULL ? context : ".", "/", -1);
    g_autoptr(GString) out = g_string_new(NULL);
    for (char **part = parts; *part != NULL; part++) {
        if (**part != '\0' && strcmp(*part, ".") != 0) {
            g_string_append_printf(out, "%s%s", out->len > 0 ? "/" : "", *part);
        }
    }
    return g_strdup(out->len > 0 ? out->str : ".");
}

/* What the server takes, so that too much is told before it is sent. */
static int64_t read_limit(struct client *client)
{
    g_autoptr(GError) ignored = NULL;
    json_t *facts = client_get(client, "/v1/system", &ignored);
    const json_t *limit = json_object_get(facts, "source_limit_bytes");
    int64_t limit_bytes = json_is_integer(limit) ? json_integer_value(limit) : DEFAULT_LIMIT;
    json_decref(facts);
    return limit_bytes;
}

static struct rollout_source *find_source(const struct rollout *rollout, const char *context)
{
    for (guint i = 0; i < rollout->sources->len; i++) {
        struct rollout_source *source = g_ptr_array_index(rollout->sources, i);
        if (strcmp(source->context, context) == 0) {
            return source;
        }
    }
    return NULL;
}

static bool send_source(struct rollout *rollout, const struct rollout_member *member, struct rollout_source *source,
                        GError **error)
{
    g_autofree char *target = client_target("/v1/services/%s/sources/%s", member->service->id, source->pack.sha256);
    GError *failure = NULL;
    json_t *reply = client_get(rollout->client, target, &failure);
    if (g_error_matches(failure, SY_ERROR, SY_NOT_FOUND)) {
        g_clear_error(&failure);
        g_autofree char *text =
            g_strdup_printf("%u files, %.1f MiB", source->pack.n_files, (double)source->pack.size_bytes / (1 << 20));
        progress_show(&rollout->progress, member->name, "send", text);
        reply = client_upload(rollout->client, target, source->pack.fd, (size_t)source->pack.size_bytes, &failure);
        progress_clear_line(&rollout->progress);
    }
    if (failure != NULL) {
        g_propagate_error(error, failure);
    }
    bool ok = reply != NULL;
    json_decref(reply);
    return ok;
}

static struct rollout_source *pack_context(struct rollout *rollout, const struct rollout_member *member,
                                           const char *context, int64_t limit_bytes, GError **error)
{
    const struct pack_options options = {.root = rollout->file->folder,
                                         .context = context,
                                         .temporary_folder = g_get_tmp_dir(),
                                         .limit_bytes = limit_bytes,
                                         .cancelled = term_interrupted()};
    struct pack pack;
    progress_show(&rollout->progress, member->name, "pack", context);
    bool ok = pack_folder(&options, &pack, error);
    progress_clear_line(&rollout->progress);
    if (!ok) {
        g_prefix_error(error, "cannot pack %s: ", context);
        return NULL;
    }
    struct rollout_source *source = g_new0(struct rollout_source, 1);
    source->context = g_strdup(context);
    source->pack = pack;
    g_ptr_array_add(rollout->sources, source);
    return source;
}

bool rollout_send_sources(struct rollout *rollout, GError **error)
{
    int64_t limit_bytes = -1;
    for (guint i = 0; i < rollout->members->len; i++) {
        struct rollout_member *member = g_ptr_array_index(rollout->members, i);
        if (member->service->build_config.type == BUILD_IMAGE) {
            continue;
        }
        g_autofree char *context = normalise(member->spec->build.context);
        struct rollout_source *source = find_source(rollout, context);
        if (source == NULL) {
            limit_bytes = limit_bytes < 0 ? read_limit(rollout->client) : limit_bytes;
            source = pack_context(rollout, member, context, limit_bytes, error);
        }
        if (source == NULL || !send_source(rollout, member, source, error)) {
            return false;
        }
        member->source = source->pack.sha256;
    }
    return true;
}
