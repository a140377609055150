#include "switchyard/teardown.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "edge/edge.h"
#include "engine/engine.h"
#include "store/resources.h"

#define STOP_GRACE_MS 2000

struct removal {
    const struct config *config;
    struct engine *engine;
    char *installation;
    unsigned flags;
};

/* True when it is only to be told. */
static bool tell(const struct removal *removal, const char *kind, const char *name)
{
    bool is_dry = (removal->flags & TEARDOWN_DRY_RUN) != 0;
    if (is_dry) {
        printf("would remove %s %s\n", kind, name);
    }
    return is_dry;
}

static char *read_installation(const struct config *config, GError **error)
{
    g_autofree char *path = g_build_filename(config->data_dir, "installation", NULL);
    g_autofree char *text = file_read(path, 256, NULL, error);
    if (text == NULL) {
        return NULL;
    }
    if (!uuid_is_valid(g_strstrip(text))) {
        sy_fail(error, SY_INVALID_INPUT, "%s does not hold an installation's id", path);
        return NULL;
    }
    return g_steal_pointer(&text);
}

static bool check_nobody_runs(const struct removal *removal, GError **error)
{
    g_autofree char *path = g_build_filename(removal->config->data_dir, "lock", NULL);
    g_auto(fd_t) fd = open(path, O_RDWR | O_CLOEXEC);
    bool is_dry = (removal->flags & TEARDOWN_DRY_RUN) != 0;
    if (!is_dry && fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        sy_fail(error, SY_CONFLICT, "switchyard is running on %s", removal->config->data_dir);
        sy_error_set_hint(error, "Stop it first; what it runs would come back otherwise.");
        return false;
    }
    return true;
}

static bool stop_edge(const struct removal *removal, GError **error)
{
    const struct config *config = removal->config;
    g_autofree char *folder = g_build_filename(config->data_dir, "edge", NULL);
    if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        return true;
    }
    if ((removal->flags & TEARDOWN_DRY_RUN) != 0) {
        printf("would stop the edge\n");
        return true;
    }
    const struct edge_options options = {.folder = folder,
                                         .listen = config->edge_http,
                                         .program = config->haproxy,
                                         .installation = removal->installation};
    struct edge *edge = edge_new(&options, error);
    bool ok = edge != NULL && edge_stop(edge, error);
    edge_free(edge);
    if (ok) {
        printf("stopped the edge\n");
    }
    return ok;
}

static bool remove_instances(const struct removal *removal, GError **error)
{
    struct engine *engine = removal->engine;
    g_autoptr(GPtrArray) instances = NULL;
    if (!engine->ops->instance_list(engine, &instances, error)) {
        return false;
    }
    for (guint i = 0; i < instances->len; i++) {
        const struct engine_instance *instance = g_ptr_array_index(instances, i);
        if (tell(removal, "container", instance->name)) {
            continue;
        }
        if (!engine->ops->instance_stop(engine, instance->id, STOP_GRACE_MS, error) ||
            !engine->ops->instance_remove(engine, instance->id, error)) {
            return false;
        }
        printf("removed container %s\n", instance->name);
    }
    return true;
}

static bool remove_networks(const struct removal *removal, GError **error)
{
    struct engine *engine = removal->engine;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    if (!engine->ops->network_list(engine, &names, &subnets, error)) {
        return false;
    }
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        if (tell(removal, "network", name)) {
            continue;
        }
        if (!engine->ops->network_remove(engine, name, error)) {
            return false;
        }
        printf("removed network %s\n", name);
    }
    return true;
}

struct book_look {
    const char *tag;
    struct release *release;
};

static bool look_up_tag(struct tx *tx, void *arg, GError **error)
{
    struct book_look *look = arg;
    g_clear_pointer(&look->release, contract_object_free);
    return release_find_by_image(tx, look->tag, &look->release, error);
}

/* A service that runs an image by its name has our tag on somebody else's image: only the database can say that it is ours. */
static bool remove_tag_by_books(const struct removal *removal, const char *tag, GError **error)
{
    struct book_look look = {.tag = tag};
    g_autoptr(store_t) store = store_open(removal->config->store, NULL, error);
    struct engine *engine = removal->engine;
    bool ok = store != NULL && store_read(store, "teardown_tag", look_up_tag, &look, error) &&
              engine->ops->image_remove(engine, tag, look.release != NULL ? look.release->image_digest : NULL, error);
    contract_object_free(look.release);
    return ok;
}

static bool remove_image(const struct removal *removal, const char *tag, GError **error)
{
    g_autoptr(GError) unproven = NULL;
    if (removal->engine->ops->image_remove(removal->engine, tag, NULL, &unproven)) {
        return true;
    }
    if (sy_error_code(unproven) == SY_CONFLICT) {
        return remove_tag_by_books(removal, tag, error);
    }
    g_propagate_error(error, g_steal_pointer(&unproven));
    return false;
}

static bool remove_images(const struct removal *removal, GError **error)
{
    struct engine *engine = removal->engine;
    g_autofree char *prefix = engine_image_prefix(removal->installation);
    g_autoptr(GPtrArray) tags = NULL;
    if (!engine->ops->image_list(engine, prefix, &tags, error)) {
        return false;
    }
    for (guint i = 0; i < tags->len; i++) {
        const char *tag = g_ptr_array_index(tags, i);
        g_autoptr(GError) failure = NULL;
        if (!g_str_has_prefix(tag, prefix)) {
            printf("kept image %s: base images are shared\n", tag);
        } else if (tell(removal, "image", tag)) {
            continue;
        } else if (remove_image(removal, tag, &failure)) {
            printf("removed image %s\n", tag);
        } else {
            printf("kept image %s: %s\n", tag, failure->message);
        }
    }
    return true;
}

static bool remove_volumes(const struct removal *removal, GError **error)
{
    struct engine *engine = removal->engine;
    g_autoptr(GPtrArray) names = NULL;
    if (!engine->ops->volume_list(engine, &names, error)) {
        return false;
    }
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        if ((removal->flags & TEARDOWN_VOLUMES) == 0) {
            printf("kept volume %s: teardown --volumes removes it\n", name);
            continue;
        }
        if (tell(removal, "volume", name)) {
            continue;
        }
        if (!engine->ops->volume_remove(engine, name, error)) {
            return false;
        }
        printf("removed volume %s\n", name);
    }
    return true;
}

bool teardown(const struct config *config, unsigned flags, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autofree char *installation = read_installation(config, &missing);
    if (installation == NULL && !g_error_matches(missing, SY_ERROR, SY_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&missing));
        return false;
    }
    if (installation == NULL) {
        printf("nothing to remove: %s holds no installation\n", config->data_dir);
        return true;
    }
    const struct removal removal = {.config = config,
                                    .engine = engine_docker_new(config->engine, installation, error),
                                    .installation = installation,
                                    .flags = flags};
    bool ok = removal.engine != NULL && check_nobody_runs(&removal, error) && stop_edge(&removal, error) &&
              remove_instances(&removal, error) && remove_networks(&removal, error) && remove_images(&removal, error) &&
              remove_volumes(&removal, error);
    engine_free(removal.engine);
    if (ok && (flags & TEARDOWN_DRY_RUN) == 0) {
        printf("kept %s: the database, secrets, sources and logs; remove the folder to end it all\n", config->data_dir);
    }
    return ok;
}
