/* Who may write to a volume.
 *
 * A fresh volume belongs to root, and our containers do not run as root. Podman gives it to the container's user by itself;
 * Docker only copies the owner of the image's folder at that path, if there is one. So before the container is made, one that
 * is never started is made of the same image, with the volumes at the same paths (the engine fills them from the image as it
 * would have), and the folders that are still root's are given away by unpacking an archive into it. Nothing runs, and only
 * the topmost folder changes. A volume that belongs to somebody already is left alone. */
#include <string.h>

#include "base/error.h"
#include "base/json_writer.h"
#include "engine/docker/docker.h"
#include "engine/docker/tar.h"

struct owning {
    struct docker *docker;
    const struct engine_instance_spec *spec;
    GPtrArray *created; /* when each volume was made: tells a new one of an old name */
    char *helper;       /* id */
};

/* --- which volumes are known to be right ------------------------------------------------------------------------------------------- */

static bool is_known(struct docker *docker, const char *volume, const char *created)
{
    g_mutex_lock(&docker->lock);
    bool known = g_strcmp0(g_hash_table_lookup(docker->owned_volumes, volume), created) == 0;
    g_mutex_unlock(&docker->lock);
    return known;
}

static void remember(const struct owning *owning)
{
    struct docker *docker = owning->docker;
    g_mutex_lock(&docker->lock);
    for (size_t i = 0; i < owning->spec->n_mounts; i++) {
        g_hash_table_replace(docker->owned_volumes, g_strdup(owning->spec->mounts[i].volume),
                             g_strdup(g_ptr_array_index(owning->created, i)));
    }
    g_mutex_unlock(&docker->lock);
}

static bool look(struct owning *owning, bool *ret_all_known, GError **error)
{
    *ret_all_known = true;
    for (size_t i = 0; i < owning->spec->n_mounts; i++) {
        const char *name = owning->spec->mounts[i].volume;
        g_auto(http_reply_t) reply = {0};
        g_auto(parse_object_t) volume = {0};
        if (!docker_check_name(name, error)) {
            return false;
        }
        g_autofree char *path = g_strdup_printf("/volumes/%s", name);
        if (!docker_get(owning->docker, path, &reply, error) ||
            !parse_object(reply.body->str, reply.body->len, &volume, error)) {
            return false;
        }
        if (strcmp(volume.installation, owning->docker->engine.installation) != 0) {
            return sy_fail(error, SY_CONFLICT, "the volume %s is not of this installation", name);
        }
        *ret_all_known &= is_known(owning->docker, name, volume.created);
        g_ptr_array_add(owning->created, g_steal_pointer(&volume.created));
    }
    return true;
}

/* --- the container that is never started --------------------------------------------------------------------------------------------- */

static GString *helper_body(const struct owning *owning)
{
    const struct engine_instance_spec *spec = owning->spec;
    static const char *const command[] = {"never-started", NULL};
    g_autofree char *instance = g_strdup_printf(ENGINE_LABEL_INSTANCE "=%s", spec->name);
    const char *const labels[] = {instance, ENGINE_LABEL_ROLE "=volume-owner", NULL};
    GString *body = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, body);
    json_object_open(&writer);
    json_member_string(&writer, "Image", spec->image);
    docker_put_strings(&writer, "Cmd", command);
    docker_put_labels(&writer, owning->docker->engine.installation, labels);
    json_key(&writer, "HostConfig");
    json_object_open(&writer);
    json_member_string(&writer, "NetworkMode", "none");
    docker_put_mounts(&writer, spec, owning->docker->engine.installation, false);
    json_object_close(&writer);
    json_object_close(&writer);
    return body;
}

static bool make_helper(struct owning *owning, GError **error)
{
    struct engine *engine = &owning->docker->engine;
    g_auto(http_reply_t) reply = {0};
    g_autoptr(GString) body = helper_body(owning);
    g_autofree char *name = g_strdup_printf("%s-volumes", owning->spec->name);
    g_autofree char *path = g_strdup_printf("/containers/create?name=%s", name);
    const struct docker_call call = {.method = "POST", .path = path, .body = body, .timeout_ms = 2 * DOCKER_CHANGE_MS};
    /* One that an interrupted try has left may be of another image. */
    return docker_instance_remove(engine, name, error) && docker_call(owning->docker, &call, &reply, error) &&
           parse_id(reply.body->str, reply.body->len, &owning->helper, error);
}

static bool collect_head(const void *bytes, size_t length, void *arg)
{
    GString *head = arg;
    g_string_append_len(head, bytes, (gssize)MIN(length, TAR_BLOCK - MIN(head->len, TAR_BLOCK)));
    return head->len < TAR_BLOCK;
}

/* The engine sends the whole folder as an archive; its first block tells the owner. */
static bool read_owner(const struct owning *owning, const char *path, int64_t *ret_user, unsigned *ret_mode,
                       GError **error)
{
    g_auto(http_reply_t) reply = {0};
    g_autoptr(GString) head = g_string_new(NULL);
    g_autofree char *escaped = g_uri_escape_string(path, NULL, FALSE);
    g_autofree char *target = g_strdup_printf("/containers/%s/archive?path=%s", owning->helper, escaped);
    const struct docker_call call = {
        .method = "GET", .path = target, .timeout_ms = DOCKER_READ_MS, .on_body = collect_head, .on_body_arg = head};
    if (!docker_call(owning->docker, &call, &reply, error)) {
        return false;
    }
    if (!tar_first_owner(head->str, head->len, ret_user, ret_mode)) {
        *ret_user = -1; /* not to be told: leave it */
    }
    return true;
}

static bool give_away(const struct owning *owning, const char *path, GError **error)
{
    const struct engine_instance_spec *spec = owning->spec;
    int64_t user = -1;
    unsigned mode = 0;
    if (!read_owner(owning, path, &user, &mode, error)) {
        return false;
    }
    if (user != 0) {
        return true;
    }
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *escaped = g_uri_escape_string(parent, NULL, FALSE);
    g_autofree char *target = g_strdup_printf("/containers/%s/archive?path=%s", owning->helper, escaped);
    GString *tar = tar_folder(name, spec->user, MAX(spec->group, 0), mode);
    if (tar == NULL) {
        return sy_fail(error, SY_INVALID_INPUT, "%s: the path or the user is too long", path);
    }
    bool ok = docker_change(owning->docker, "PUT", target, tar, 0, error);
    g_string_free(tar, TRUE);
    return ok;
}

static bool own(struct owning *owning, GError **error)
{
    bool ok = make_helper(owning, error);
    for (size_t i = 0; ok && i < owning->spec->n_mounts; i++) {
        ok = give_away(owning, owning->spec->mounts[i].path, error);
    }
    if (owning->helper != NULL) {
        g_autoptr(GError) ignored = NULL; /* the next try, or the removal of everything, finds it by its name */
        bool removed = docker_instance_remove(&owning->docker->engine, owning->helper, ok ? error : &ignored);
        ok = ok && removed;
    }
    return ok;
}

bool docker_own_volumes(struct docker *docker, const struct engine_instance_spec *spec, GError **error)
{
    struct owning owning = {.docker = docker, .spec = spec, .created = g_ptr_array_new_with_free_func(g_free)};
    bool all_known = false;
    bool ok = look(&owning, &all_known, error);
    if (ok && !all_known && spec->user > 0) {
        ok = own(&owning, error);
        if (ok) {
            remember(&owning);
        }
    }
    if (!ok) {
        g_prefix_error(error, "preparing the volumes of %s: ", spec->name);
    }
    g_ptr_array_unref(owning.created);
    g_free(owning.helper);
    return ok;
}
