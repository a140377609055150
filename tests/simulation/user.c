/* What owners of services do. */
#include "user.h"

#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "store/resources.h"
#include "switchyard/controllers/internal.h"
#include "switchyard/operations/deletion.h"
#include "switchyard/operations/deploy.h"
#include "world.h"

/* --- the cast ------------------------------------------------------------------------------------------------------------ */

struct cast {
    struct town *town;
    int64_t now_us;
};

static bool insert_service_row(struct tx *tx, struct town *town, int number, int64_t now_us, GError **error)
{
    struct resident *resident = &town->residents[number];
    g_autoptr(service_t) service = contract_new(&service_type);
    service->id = uuid_new();
    service->organization_id = g_strdup(town->organization_id);
    service->project_id = g_strdup(town->project_id);
    service->project = g_strdup("shop");
    service->name = g_strdup_printf("s%d", number);
    service->settings.replicas = 1 + number;
    if (number > 0) {
        service->settings.release = g_strsplit("migrate", " ", -1);
    }
    if (resident->has_volume) {
        service->settings.replicas = 1;
        service->settings.volumes = string_map_new();
        string_map_set(service->settings.volumes, "data", "/data");
    }
    service->created_us = service->updated_us = now_us;
    service->revision = 1;
    resident->service_id = g_strdup(service->id);
    return service_insert(tx, service, error);
}

static bool insert_rows(struct tx *tx, void *arg, GError **error)
{
    struct cast *cast = arg;
    struct town *town = cast->town;
    g_autoptr(project_t) project = contract_new(&project_type);
    g_autoptr(environment_t) environment = contract_new(&environment_type);
    project->id = uuid_new();
    project->organization_id = g_strdup(town->organization_id);
    project->name = g_strdup("Shop");
    project->slug = g_strdup("shop");
    project->created_us = project->updated_us = cast->now_us;
    project->revision = 1;
    town->project_id = g_strdup(project->id);
    environment->id = uuid_new();
    environment->organization_id = g_strdup(town->organization_id);
    environment->project_id = g_strdup(project->id);
    environment->name = g_strdup("production");
    environment->created_us = environment->updated_us = cast->now_us;
    environment->revision = 1;
    bool ok = project_insert(tx, project, error) && environment_insert(tx, environment, error);
    for (int i = 0; ok && i < N_RESIDENTS; i++) {
        ok = insert_service_row(tx, town, i, cast->now_us, error);
    }
    return ok;
}

static bool ensure_installation(struct tx *tx, void *arg, GError **error)
{
    struct town *town = arg;
    g_autofree char *id = uuid_new();
    g_autofree char *key = NULL;
    return installation_ensure(tx, id, "key", 1, &town->installation_id, &key, &town->organization_id, error);
}

void town_found(struct town *town, struct store *store)
{
    g_autoptr(GError) error = NULL;
    town->store = store;
    for (int i = 0; i < N_RESIDENTS; i++) {
        town->residents[i] = (struct resident){.has_volume = i == 2};
    }
    struct cast cast = {.town = town, .now_us = world.wall_us};
    bool ok = store_write(store, "installation", ensure_installation, town, &error) &&
              store_write(store, "cast", insert_rows, &cast, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

void town_leave(struct town *town)
{
    for (int i = 0; i < N_RESIDENTS; i++) {
        g_free(town->residents[i].service_id);
    }
    g_free(town->project_id);
    g_free(town->organization_id);
    g_free(town->installation_id);
}

/* --- wishes ---------------------------------------------------------------------------------------------------------------- */

enum wish { WISH_DEPLOY, WISH_SCALE, WISH_RESTART, WISH_ROLLBACK, WISH_CANCEL, WISH_DELETE, WISH_RESTORE };

struct visit {
    struct town *town;
    struct app *app;
    int number;
    enum wish wish;
    const char *image;
    int64_t replicas;
    char *pair_id;
    bool is_granted;
};

static bool insert_release(struct tx *tx, struct visit *visit, char **ret_id, GError **error)
{
    g_autoptr(release_t) release = contract_new(&release_type);
    release->id = uuid_new();
    release->organization_id = g_strdup(visit->town->organization_id);
    release->project_id = g_strdup(visit->town->project_id);
    release->service_id = g_strdup(visit->town->residents[visit->number].service_id);
    release->status = RELEASE_READY;
    release->image_uri = g_strdup(visit->image);
    release->created_us = world.wall_us;
    release->attempts = 0;
    release->cancel_requested = 0;
    release->revision = 1;
    *ret_id = g_strdup(release->id);
    return release_insert(tx, release, error);
}

static bool find_desired(struct tx *tx, struct visit *visit, struct deployment **ret, GError **error)
{
    const struct scope scope = {.organization_id = visit->town->organization_id};
    return deployment_find_latest(tx, &scope, visit->town->residents[visit->number].service_id, NULL, ret, error);
}

static bool wish(struct tx *tx, struct visit *visit, struct deployment **ret, GError **error)
{
    struct deploy_order order = {
        .scope = {.organization_id = visit->town->organization_id},
        .service_id = visit->town->residents[visit->number].service_id,
        .environment_name = "production",
        .replicas = visit->replicas,
        .actor = "owner",
        .now_us = world.wall_us,
    };
    g_autofree char *release_id = NULL;
    g_autoptr(deployment_t) latest = NULL;
    switch (visit->wish) {
    case WISH_DEPLOY:
        order.kind = DEPLOYMENT_DEPLOY;
        if (!insert_release(tx, visit, &release_id, error)) {
            return false;
        }
        order.release = release_id;
        return operation_deploy(tx, visit->app, &order, ret, error);
    case WISH_SCALE:
    case WISH_RESTART:
        order.kind = visit->wish == WISH_SCALE ? DEPLOYMENT_SCALE : DEPLOYMENT_RESTART;
        return operation_repeat(tx, visit->app, &order, ret, error);
    default:
        if (!find_desired(tx, visit, &latest, error)) {
            return false;
        }
        if (visit->wish == WISH_ROLLBACK) {
            return operation_rollback(tx, visit->app, &order.scope, latest->id, NULL, NULL, NULL, "owner",
                                      world.wall_us, ret, error);
        }
        *ret = g_steal_pointer(&latest);
        return operation_cancel(tx, visit->app, *ret, "owner", world.wall_us, error);
    }
}

/* Of the whole project, all at once; the news are of one of its pairs. */
static bool delete_or_restore(struct tx *tx, struct visit *visit, GError **error)
{
    const struct scope scope = {.organization_id = visit->town->organization_id};
    g_autoptr(project_t) project = NULL;
    g_autoptr(GPtrArray) pair_ids = g_ptr_array_new_with_free_func(g_free);
    if (visit->wish == WISH_RESTORE) {
        return project_restore_rows(tx, &scope, "shop", world.wall_us - 48 * 3600 * SECOND, world.wall_us, &project,
                                    error);
    }
    if (!project_by_slug(tx, &scope, "shop", &project, error) ||
        !operation_delete_project(tx, visit->app, project, "owner", world.wall_us, pair_ids, error)) {
        return false;
    }
    g_free(visit->pair_id);
    visit->pair_id = pair_ids->len > 0 ? g_strdup(g_ptr_array_index(pair_ids, 0)) : NULL;
    return true;
}

static bool grant(struct tx *tx, void *arg, GError **error)
{
    struct visit *visit = arg;
    g_autoptr(deployment_t) deployment = NULL;
    if (visit->wish >= WISH_DELETE) {
        return delete_or_restore(tx, visit, error);
    }
    if (!wish(tx, visit, &deployment, error)) {
        return false;
    }
    g_free(visit->pair_id);
    visit->pair_id = g_strdup(deployment->pair_id);
    return true;
}

static enum wish choose_wish(const struct town *town, const struct resident *resident)
{
    if (world_chance(town->is_deleted ? 0.4 : 0.08)) {
        return town->is_deleted ? WISH_RESTORE : WISH_DELETE;
    }
    double dice = g_rand_double(world.random);
    if (!resident->has_deployed || dice < 0.5) {
        return WISH_DEPLOY;
    }
    return dice < 0.7 ? WISH_SCALE : dice < 0.8 ? WISH_RESTART : dice < 0.95 ? WISH_ROLLBACK : WISH_CANCEL;
}

static const char *choose_image(int64_t n)
{
    static char image[32];
    double dice = g_rand_double(world.random);
    g_snprintf(image, sizeof image, "%s-%" G_GINT64_FORMAT,
               dice < 0.6    ? "good"
               : dice < 0.75 ? "slow"
               : dice < 0.85 ? "bad"
               : dice < 0.95 ? "crash"
                             : "refused",
               n);
    return image;
}

char *town_visit(struct town *town, struct app *app)
{
    static const char *const words[] = {"deploy", "scale",      "restart",    "roll back",
                                        "cancel", "delete all", "restore all"};
    g_autoptr(GError) error = NULL;
    struct visit visit = {.town = town, .app = app, .number = (int)world_between(0, N_RESIDENTS)};
    struct resident *resident = &town->residents[visit.number];
    visit.wish = choose_wish(town, resident);
    visit.image = choose_image(++town->n_visits);
    visit.replicas = visit.wish == WISH_SCALE ? world_between(0, resident->has_volume ? 2 : 4) : CONTRACT_ABSENT;
    bool ok = store_write(town->store, "visit", grant, &visit, &error);
    resident->has_deployed |= ok && visit.wish < WISH_DELETE;
    if (ok && visit.wish >= WISH_DELETE) {
        town->is_deleted = visit.wish == WISH_DELETE;
    }
    world_tell("owner of s%d: %s %s: %s", visit.number, words[visit.wish], visit.wish == WISH_DEPLOY ? visit.image : "",
               ok ? "accepted" : "refused");
    return visit.pair_id;
}
