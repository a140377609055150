/* What must hold. */
#include "invariant.h"

#include <string.h>

#include "base/error.h"
#include "plan/plan.h"
#include "store/resources.h"
#include "switchyard/controllers/internal.h"
#include "world.h"

struct look {
    const struct watch *watch;
    GPtrArray *pairs, *rows, *deployments;
};

static bool read_all(struct tx *tx, void *arg, GError **error)
{
    struct look *look = arg;
    const struct scope scope = {.organization_id = look->watch->town->organization_id};
    g_clear_pointer(&look->pairs, g_ptr_array_unref);
    g_clear_pointer(&look->rows, g_ptr_array_unref);
    g_clear_pointer(&look->deployments, g_ptr_array_unref);
    look->deployments = g_ptr_array_new_with_free_func(contract_object_free);
    if (!pair_list(tx, NULL, NULL, &look->pairs, error) || !instance_list(tx, NULL, &look->rows, error)) {
        return false;
    }
    for (int i = 0; i < N_RESIDENTS; i++) {
        g_autoptr(GPtrArray) list = NULL;
        const struct page page = {.limit = 1000};
        if (!deployment_list(tx, &scope, look->watch->town->residents[i].service_id, &page, &list, error)) {
            return false;
        }
        for (guint j = 0; j < list->len; j++) {
            g_ptr_array_add(look->deployments, contract_dup(&deployment_type, g_ptr_array_index(list, j)));
        }
    }
    return true;
}

static const struct deployment *find_deployment(const struct look *look, const char *id)
{
    for (guint i = 0; id != NULL && i < look->deployments->len; i++) {
        const struct deployment *deployment = g_ptr_array_index(look->deployments, i);
        if (strcmp(deployment->id, id) == 0) {
            return deployment;
        }
    }
    return NULL;
}

/* --- at every step ----------------------------------------------------------------------------------------------------------- */

/* An end is an end, and one deployment of a pair runs. */
static void check_statuses(struct watch *watch, const struct look *look)
{
    g_autoptr(GHashTable) running = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < look->deployments->len; i++) {
        const struct deployment *deployment = g_ptr_array_index(look->deployments, i);
        enum deployment_status status = (enum deployment_status)deployment->status;
        gpointer known = g_hash_table_lookup(watch->ended, deployment->id);
        if (known != NULL && GPOINTER_TO_INT(known) != (int)status) {
            world_violation("deployment %s was %s and is %s", deployment->version,
                            deployment_statuses[GPOINTER_TO_INT(known)], deployment_statuses[status]);
        }
        if (status >= DEPLOYMENT_FAILED && known == NULL) {
            g_hash_table_insert(watch->ended, g_strdup(deployment->id), GINT_TO_POINTER(status));
        }
        if (status == DEPLOYMENT_RUNNING && !g_hash_table_add(running, deployment->pair_id)) {
            world_violation("two deployments of one pair are running");
        }
        if (status == DEPLOYMENT_FAILED && image_kind_of(deployment->value.image) < IMAGE_BAD) {
            world_violation("a good deployment of %s failed: %s", deployment->value.image, deployment->error_message);
        }
    }
}

/* No slot of the desired template is filled twice. */
static void check_surge(const struct look *look)
{
    g_autoptr(GHashTable) slots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < look->rows->len; i++) {
        const struct instance *row = g_ptr_array_index(look->rows, i);
        if (row->state == INSTANCE_DRAINING || row->state == INSTANCE_STOPPING) {
            continue;
        }
        if (!g_hash_table_add(slots,
                              g_strdup_printf("%s/%s/%" G_GINT64_FORMAT, row->pair_id, row->template, row->slot))) {
            world_violation("two instances in one slot: %s", row->name);
        }
    }
}

static int count_serving(const struct pair *pair, int *ret_excused)
{
    g_autofree char *backend = edge_backend_name(pair->id);
    int serving = 0;
    *ret_excused = 0;
    for (guint i = 0; i < world.servers->len; i++) {
        const struct edge_observed_server *server = g_ptr_array_index(world.servers, i);
        if (strcmp(server->backend, backend) == 0 && !server->is_draining) {
            bool answers = container_answers(world_at(server->address));
            serving += answers;
            *ret_excused += !answers; /* killed: the controller is to mend it, but could not keep it */
        }
    }
    return serving;
}

/* Whoever asked for less since then, even if it failed or was overtaken, may have got it for a while. */
static int64_t promised_replicas(const struct look *look, const struct pair *pair, const struct deployment *serving)
{
    int64_t promised = serving->value.settings.replicas;
    for (guint i = 0; i < look->deployments->len; i++) {
        const struct deployment *deployment = g_ptr_array_index(look->deployments, i);
        if (strcmp(deployment->pair_id, pair->id) == 0 && deployment->number > serving->number) {
            promised = MIN(promised, deployment->value.settings.replicas);
        }
    }
    return promised;
}

/* The servers that do not answer were killed by misfortune: nothing else may take one away while it serves. */
static void check_promise(const struct look *look, const struct pair *pair)
{
    const struct deployment *serving = find_deployment(look, pair->serving_deployment_id);
    const struct deployment *desired = find_deployment(look, pair->desired_deployment_id);
    bool has_volume =
        serving != NULL && serving->value.settings.volumes != NULL && serving->value.settings.volumes->len > 0;
    if (serving == NULL || desired == NULL || has_volume || !world.has_table) {
        return;
    }
    int excused = 0;
    int serves = count_serving(pair, &excused);
    int64_t promised = promised_replicas(look, pair, serving);
    if (serves + excused < promised) {
        world_violation("%d of %" G_GINT64_FORMAT " promised instances have traffic", serves + excused, promised);
    }
}

static bool is_something_left(const struct look *look, const struct pair *pair)
{
    for (guint i = 0; i < look->rows->len; i++) {
        if (strcmp(((const struct instance *)g_ptr_array_index(look->rows, i))->pair_id, pair->id) == 0) {
            return true;
        }
    }
    for (guint i = 0; i < world.containers->len; i++) {
        if (g_strcmp0(((const struct container *)g_ptr_array_index(world.containers, i))->pair, pair->id) == 0) {
            return true;
        }
    }
    return false;
}

/* Of three services one leaves at a time, whatever was deleted: the next one when nothing of it is left. */
static void check_pace(struct watch *watch, const struct look *look)
{
    for (guint i = 0; i < look->pairs->len; i++) {
        const struct pair *pair = g_ptr_array_index(look->pairs, i);
        bool is_to_serve = pair->desired_deployment_id != NULL && pair->serving_deployment_id != NULL;
        if (pair->desired_deployment_id != NULL || !is_something_left(look, pair)) {
            g_hash_table_remove(watch->retiring, pair->id);
        } else if (g_hash_table_contains(watch->served, pair->id)) {
            g_hash_table_add(watch->retiring, g_strdup(pair->id));
            if (!watch->town->is_deleted) {
                world_violation("%s is stopped, and nobody has deleted it", pair->host);
            }
        }
        if (is_to_serve) {
            g_hash_table_add(watch->served, g_strdup(pair->id));
        } else {
            g_hash_table_remove(watch->served, pair->id);
        }
    }
    if (g_hash_table_size(watch->retiring) > 1) {
        world_violation("%u services are being stopped at once", g_hash_table_size(watch->retiring));
    }
}

/* --- at the end ----------------------------------------------------------------------------------------------------------------- */

static void check_settled(const struct look *look, const struct pair *pair)
{
    const struct deployment *desired = find_deployment(look, pair->desired_deployment_id);
    int64_t want = desired != NULL ? desired->value.settings.replicas : 0;
    int excused = 0;
    int serves = count_serving(pair, &excused);
    int64_t running = 0;
    for (guint i = 0; i < world.containers->len; i++) {
        const struct container *container = g_ptr_array_index(world.containers, i);
        running += g_strcmp0(container->pair, pair->id) == 0;
    }
    if (desired != NULL && desired->status != DEPLOYMENT_RUNNING) {
        world_violation("at the end deployment %s is %s (%s)", desired->version, deployment_statuses[desired->status],
                        pair->status_reason);
    } else if (serves != want || excused != 0 || running != want) {
        world_violation("at the end %d serve, %d are dead, %" G_GINT64_FORMAT " containers, %" G_GINT64_FORMAT
                        " wanted",
                        serves, excused, running, want);
    } else if (pair->observed_generation != pair->generation) {
        world_violation("at the end the pair's newest generation is not said to be observed");
    }
}

/* The newest deployment that could run is the one that does. */
static void check_outcome(const struct look *look, const struct pair *pair)
{
    const struct deployment *best = NULL;
    for (guint i = 0; i < look->deployments->len; i++) {
        const struct deployment *deployment = g_ptr_array_index(look->deployments, i);
        bool counts = strcmp(deployment->pair_id, pair->id) == 0 && deployment->status <= DEPLOYMENT_RUNNING;
        if (counts && (best == NULL || deployment->number > best->number)) {
            best = deployment;
        }
    }
    if (best != NULL && g_strcmp0(best->id, pair->desired_deployment_id) != 0) {
        world_violation("at the end %s is not what is desired", best->version);
    }
}

static void check_gone(const struct look *look, const struct pair *pair)
{
    bool is_gone = pair->desired_deployment_id == NULL && pair->host == NULL;
    if (pair->leaving_us != CONTRACT_ABSENT) {
        world_violation("at the end a pair is still to leave");
    } else if (look->watch->town->is_deleted && !is_gone) {
        world_violation("at the end the project is deleted, but %s is not free", pair->host);
    }
}

static struct look look_at_all(const struct watch *watch)
{
    struct look look = {.watch = watch};
    g_autoptr(GError) error = NULL;
    struct process *process = world.process;
    world.process = NULL; /* the watch has no misfortune */
    bool ok = store_read(watch->town->store, "watch", read_all, &look, &error);
    world.process = process;
    g_assert_no_error(error);
    g_assert_true(ok);
    return look;
}

static void look_clear(struct look *look)
{
    g_ptr_array_unref(look->pairs);
    g_ptr_array_unref(look->rows);
    g_ptr_array_unref(look->deployments);
}

void watch_step(struct watch *watch)
{
    struct look look = look_at_all(watch);
    check_statuses(watch, &look);
    check_surge(&look);
    check_pace(watch, &look);
    for (guint i = 0; i < look.pairs->len; i++) {
        check_promise(&look, g_ptr_array_index(look.pairs, i));
    }
    look_clear(&look);
}

void watch_end(struct watch *watch)
{
    struct look look = look_at_all(watch);
    for (guint i = 0; i < look.pairs->len; i++) {
        check_settled(&look, g_ptr_array_index(look.pairs, i));
        check_outcome(&look, g_ptr_array_index(look.pairs, i));
        check_gone(&look, g_ptr_array_index(look.pairs, i));
    }
    look_clear(&look);
    world_check_foreign();
}
