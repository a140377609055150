/* Reading both sides of one pair. The engine is looked at before the ledger is read: a row is written before its container is
 * made and deleted after it is gone, so a container without a row is truly nobody's. */
#include "switchyard/controllers/internal.h"

#include <string.h>

#include "base/error.h"

char *edge_backend_name(const char *pair_id)
{
    return g_strdup_printf("b-%s", pair_id);
}

char *edge_server_name(const char *instance_id)
{
    return g_strdup_printf("i-%s", instance_id);
}

struct reading {
    struct pass *pass;
    const char *pair_id;
};

static bool read_rows(struct tx *tx, void *arg, GError **error)
{
    const struct reading *reading = arg;
    struct pass *pass = reading->pass;
    struct scope scope = app_scope(pass->controller->app);
    g_clear_pointer(&pass->pair, contract_object_free);
    g_clear_pointer(&pass->desired, contract_object_free);
    g_clear_pointer(&pass->service, contract_object_free);
    g_clear_pointer(&pass->environment, contract_object_free);
    g_clear_pointer(&pass->rows, g_ptr_array_unref);
    if (!pair_by_id(tx, reading->pair_id, &pass->pair, error) ||
        !instance_list(tx, reading->pair_id, &pass->rows, error) ||
        !environment_by_id(tx, &scope, pass->pair->environment_id, &pass->environment, error)) {
        return false;
    }
    if (pass->pair->desired_deployment_id != NULL &&
        !deployment_by_id(tx, &scope, pass->pair->desired_deployment_id, &pass->desired, error)) {
        return false;
    }
    return service_by_id_even_deleted(tx, &scope, pass->pair->service_id, &pass->service, error);
}

static enum container_state container_state(const struct engine_instance *container)
{
    if (container == NULL) {
        return CONTAINER_MISSING;
    }
    switch (container->state) {
    case ENGINE_RUNNING:
        return CONTAINER_RUNNING;
    case ENGINE_RESTARTING:
        return CONTAINER_RESTARTING;
    default:
        return CONTAINER_STOPPED;
    }
}

/* The list tells neither why a container ended nor how often it was started; only those that matter are asked one by one. */
static void observe_end(struct pass *pass, const struct engine_instance *container, struct observed_instance *observed)
{
    struct engine *engine = pass->controller->app->engine;
    struct engine_instance *details = NULL;
    g_autoptr(GError) ignored = NULL; /* the exit code is for the words only */
    if (container == NULL) {
        return;
    }
    bool are_restarts_due = restarts_are_due(pass->controller, container->id);
    if ((observed->container == CONTAINER_RUNNING && !are_restarts_due) ||
        !engine->ops->instance_inspect(engine, container->id, &details, &ignored)) {
        return;
    }
    if (observed->container != CONTAINER_RUNNING) {
        observed->exit_code = details->exit_code;
        observed->was_oom_killed = details->was_oom_killed;
        observed->start_error = details->start_error;
        if (details->start_error != NULL) {
            g_ptr_array_add(pass->start_errors, g_steal_pointer(&details->start_error));
        }
    }
    observed->restarts = details->restarts;
    engine_instance_free(details);
}

static void observe_edge(const struct pass *pass, struct observed_instance *observed)
{
    if (!pass->snapshot->is_edge_ready) {
        return;
    }
    g_autofree char *backend = edge_backend_name(pass->pair->id);
    g_autofree char *name = edge_server_name(observed->row->id);
    g_autofree char *key = g_strdup_printf("%s/%s", backend, name);
    const struct edge_observed_server *server = g_hash_table_lookup(pass->snapshot->by_server, key);
    observed->is_edge_observed_since = pass->snapshot->taken_wall_us > observed->row->state_since_us;
    observed->is_in_edge = server != NULL;
    observed->is_edge_up = server != NULL && server->is_up && !server->is_draining;
    observed->edge_sessions = server != NULL ? server->current : 0;
}

/* A row may have been written by a process with another clock: the machine's was set meanwhile. What lies in the future counts
 * from our own start. And a start that nobody could watch gets its grace again. */
static void correct_times(const struct pass *pass, struct instance *row)
{
    int64_t begin_us = pass->controller->started_wall_us;
    bool is_leaving = row->state == INSTANCE_DRAINING || row->state == INSTANCE_STOPPING;
    if (row->state_since_us > pass->now_us) {
        row->state_since_us = begin_us;
    } else if (!is_leaving) {
        row->state_since_us = MAX(row->state_since_us, begin_us);
    }
    if (row->started_us != CONTRACT_ABSENT) {
        row->started_us = row->started_us > pass->now_us ? begin_us : MAX(row->started_us, begin_us);
    }
    if (row->retry_us != CONTRACT_ABSENT && row->retry_us > pass->now_us + MAX_BACKOFF_US) {
        row->retry_us = CONTRACT_ABSENT;
    }
}

/* So may have been the deployment: a deadline that counts from a start in the future would not come. */
static void correct_start(const struct pass *pass)
{
    struct deployment *desired = pass->desired;
    if (desired != NULL && desired->started_us != CONTRACT_ABSENT && desired->started_us > pass->now_us) {
        desired->started_us = pass->controller->started_wall_us;
    }
}

static void observe_instance(struct pass *pass, const struct instance *row, struct probe_record *copy)
{
    struct controller *controller = pass->controller;
    const struct engine_instance *container = g_hash_table_lookup(pass->snapshot->by_instance, row->id);
    struct observed_instance observed = {.row = row, .container = container_state(container), .exit_code = -1};
    g_mutex_lock(&controller->lock);
    observed.is_busy = g_hash_table_contains(controller->busy, row->id);
    const struct probe_record *record = g_hash_table_lookup(controller->probes, row->id);
    if (record != NULL) {
        *copy = *record;
    }
    g_mutex_unlock(&controller->lock);
    /* A probe from before the last start says nothing, nor does one by another deployment's rule. */
    const char *desired = pass->desired != NULL ? pass->desired->id : "";
    if (copy->probed_us > 0 && copy->probed_us >= row->started_us && strcmp(copy->deployment_id, desired) == 0) {
        observed.probed_us = copy->probed_us;
        observed.is_probe_ok = copy->is_ok;
        observed.n_probes = copy->n_probes;
        observed.probe_detail = copy->detail;
    }
    if (!observed.is_busy) {
        observe_end(pass, container, &observed);
    }
    observe_edge(pass, &observed);
    g_array_append_val(pass->observed, observed);
}

static bool is_release_busy(const struct pass *pass)
{
    g_autofree char *key = g_strdup_printf("release:%s", pass->pair->id);
    g_mutex_lock(&pass->controller->lock);
    bool is_busy = g_hash_table_contains(pass->controller->busy, key);
    g_mutex_unlock(&pass->controller->lock);
    return is_busy;
}

static bool has_row(const struct pass *pass, const char *instance_id)
{
    for (guint i = 0; i < pass->rows->len; i++) {
        const struct instance *row = g_ptr_array_index(pass->rows, i);
        if (g_strcmp0(row->id, instance_id) == 0) {
            return true;
        }
    }
    return false;
}

/* A release command's container belongs to its deployment until that has its outcome. */
static bool awaits_release(const struct pass *pass, const struct engine_instance *container)
{
    const struct deployment *desired = pass->desired;
    return g_strcmp0(container->role, "release-command") == 0 &&
           (is_release_busy(pass) || (desired != NULL && g_strcmp0(container->instance, desired->id) == 0 &&
                                      desired->status <= DEPLOYMENT_DEPLOYING && desired->release_command_done <= 0));
}

static void find_orphans(struct pass *pass)
{
    const GPtrArray *containers = g_hash_table_lookup(pass->snapshot->by_pair, pass->pair->id);
    for (guint i = 0; containers != NULL && i < containers->len; i++) {
        const struct engine_instance *container = g_ptr_array_index(containers, i);
        if (!has_row(pass, container->instance) && !awaits_release(pass, container)) {
            g_ptr_array_add(pass->orphans, g_strdup(container->id));
        }
    }
    g_ptr_array_add(pass->orphans, NULL);
}

bool pass_read(struct pass *pass, struct controller *controller, const char *pair_id, int64_t not_before_us,
               GError **error)
{
    *pass = (struct pass){.controller = controller};
    pass->observed = g_array_new(FALSE, TRUE, sizeof(struct observed_instance));
    pass->start_errors = g_ptr_array_new_with_free_func(g_free);
    pass->edge_refusal = edge_refusal(controller->app->edge);
    pass->orphans = g_ptr_array_new_with_free_func(g_free);
    pass->snapshot = observer_look(controller->observer, not_before_us, error);
    struct reading reading = {.pass = pass, .pair_id = pair_id};
    if (pass->snapshot == NULL || !store_read(controller->app->store, "pass_read", read_rows, &reading, error)) {
        return false;
    }
    pass->now_us = clock_wall_us(controller->app->clock);
    correct_start(pass);
    pass->probe_copies = g_new0(struct probe_record, pass->rows->len + 1);
    for (guint i = 0; i < pass->rows->len; i++) {
        correct_times(pass, g_ptr_array_index(pass->rows, i));
        observe_instance(pass, g_ptr_array_index(pass->rows, i), &pass->probe_copies[i]);
    }
    find_orphans(pass);
    return true;
}

bool pass_edge_differs(const struct pass *pass)
{
    bool needs_edge = pass->desired != NULL && deployment_needs_edge(pass->desired);
    for (guint i = 0; i < pass->observed->len; i++) {
        const struct observed_instance *observed = &g_array_index(pass->observed, struct observed_instance, i);
        int state = observed->row->state;
        bool is_missing = state == INSTANCE_ROUTED && needs_edge && !observed->is_in_edge;
        bool is_not_told = state == INSTANCE_DRAINING && observed->is_in_edge && observed->is_edge_up;
        if (observed->is_edge_observed_since && (is_missing || is_not_told)) {
            return true;
        }
    }
    return false;
}

void pass_input(const struct pass *pass, struct plan_input *ret_input)
{
    *ret_input = (struct plan_input){
        .pair = pass->pair,
        .desired = pass->desired,
        .instances = (const struct observed_instance *)(void *)pass->observed->data,
        .n_instances = pass->observed->len,
        .orphans = (const char *const *)pass->orphans->pdata,
        .is_engine_ready = true,
        .is_edge_ready = pass->snapshot->is_edge_ready,
        .edge_refusal = pass->edge_refusal,
        .is_release_command_busy = is_release_busy(pass),
    };
}

void pass_clear(struct pass *pass)
{
    contract_object_free(pass->pair);
    contract_object_free(pass->desired);
    contract_object_free(pass->service);
    contract_object_free(pass->environment);
    g_clear_pointer(&pass->rows, g_ptr_array_unref);
    g_clear_pointer(&pass->observed, g_array_unref);
    g_clear_pointer(&pass->orphans, g_ptr_array_unref);
    snapshot_unref(pass->snapshot);
    g_free(pass->probe_copies);
    g_clear_pointer(&pass->start_errors, g_ptr_array_unref);
    g_free(pass->edge_refusal);
}
