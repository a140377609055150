/* The edge's table, derived from the store: every instance that is routed or draining, every host name. */
#include "switchyard/controllers/internal.h"

#include "base/error.h"
#include "base/log.h"

/* What the edge has to know of a deployment; deployments never change, so it is read once. */
struct routing_rule {
    char *health_path;
    int64_t health_interval_ms, health_timeout_ms;
    char *template;
    bool needs_edge, has_one_writer, is_stopped;
};

static void routing_rule_free(gpointer data)
{
    struct routing_rule *rule = data;
    g_free(rule->health_path);
    g_free(rule->template);
    g_free(rule);
}

struct rendering {
    struct controller *controller;
    struct edge_table *table;
};

static const struct routing_rule *find_rule(struct tx *tx, struct controller *controller, const char *deployment_id,
                                            GError **error)
{
    if (controller->routing == NULL) {
        controller->routing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, routing_rule_free);
    }
    struct routing_rule *rule = g_hash_table_lookup(controller->routing, deployment_id);
    if (rule != NULL) {
        return rule;
    }
    struct scope scope = app_scope(controller->app);
    g_autoptr(deployment_t) deployment = NULL;
    if (!deployment_by_id(tx, &scope, deployment_id, &deployment, error)) {
        return NULL;
    }
    const struct settings *settings = &deployment->value.settings;
    rule = g_new0(struct routing_rule, 1);
    rule->health_path = g_strdup(settings->health.path);
    rule->health_interval_ms = settings->health.interval_ms;
    rule->health_timeout_ms = settings->health.timeout_ms;
    rule->template = g_strdup(deployment->template);
    rule->needs_edge = deployment_needs_edge(deployment);
    rule->has_one_writer = settings->volumes != NULL && settings->volumes->len > 0;
    rule->is_stopped = settings->replicas == 0;
    g_hash_table_insert(controller->routing, g_strdup(deployment_id), rule);
    return rule;
}

static bool is_routed(const struct instance *row)
{
    return row->state == INSTANCE_ROUTED || row->state == INSTANCE_DRAINING;
}

/* The desired deployment's rule from the moment one of its instances is routed, until then the serving one's. */
static const struct routing_rule *rule_of_pair(struct tx *tx, struct controller *controller, const struct pair *pair,
                                               const GPtrArray *rows, GError **error)
{
    const struct routing_rule *desired = NULL;
    if (pair->desired_deployment_id != NULL &&
        (desired = find_rule(tx, controller, pair->desired_deployment_id, error)) == NULL) {
        return NULL;
    }
    for (guint i = 0; desired != NULL && i < rows->len; i++) {
        const struct instance *row = g_ptr_array_index(rows, i);
        if (g_strcmp0(row->pair_id, pair->id) == 0 && row->state == INSTANCE_ROUTED &&
            g_strcmp0(row->template, desired->template) == 0) {
            return desired;
        }
    }
    return pair->serving_deployment_id != NULL ? find_rule(tx, controller, pair->serving_deployment_id, error)
                                               : desired;
}

static bool add_backend(struct tx *tx, struct rendering *rendering, const struct pair *pair, const GPtrArray *rows,
                        GError **error)
{
    GError *failure = NULL;
    const struct routing_rule *rule = rule_of_pair(tx, rendering->controller, pair, rows, &failure);
    if (failure != NULL) {
        g_propagate_error(error, failure);
        return false;
    }
    if (rule == NULL || !rule->needs_edge) {
        return true;
    }
    g_autofree char *name = edge_backend_name(pair->id);
    struct edge_backend *backend = edge_table_add_backend(rendering->table, name);
    backend->health_path = g_strdup(rule->health_path);
    backend->health_interval_ms = rule->health_interval_ms;
    backend->health_timeout_ms = rule->health_timeout_ms;
    backend->retry_wait_ms = rule->has_one_writer ? 30000 : 0;
    backend->is_maintenance = rule->is_stopped;
    for (guint i = 0; i < rows->len; i++) {
        const struct instance *row = g_ptr_array_index(rows, i);
        if (g_strcmp0(row->pair_id, pair->id) == 0 && is_routed(row) && row->address != NULL && row->port > 0) {
            g_autofree char *server = edge_server_name(row->id);
            edge_backend_add_server(backend, server, row->address, row->port,
                                    row->state == INSTANCE_ROUTED ? EDGE_READY : EDGE_DRAIN);
        }
    }
    edge_table_add_host(rendering->table, pair->host, name);
    return true;
}

static const struct edge_backend *find_backend(const struct edge_table *table, const char *name)
{
    for (guint i = 0; i < table->backends->len; i++) {
        const struct edge_backend *backend = g_ptr_array_index(table->backends, i);
        if (g_strcmp0(backend->name, name) == 0) {
            return backend;
        }
    }
    return NULL;
}

/* Rows of one pair, from a list sorted by pair. */
static GPtrArray *rows_of(const GPtrArray *all, const char *pair_id, guint *cursor)
{
    GPtrArray *rows = g_ptr_array_new();
    while (*cursor < all->len &&
           g_strcmp0(((const struct instance *)g_ptr_array_index(all, *cursor))->pair_id, pair_id) < 0) {
        (*cursor)++;
    }
    while (*cursor < all->len &&
           g_strcmp0(((const struct instance *)g_ptr_array_index(all, *cursor))->pair_id, pair_id) == 0) {
        g_ptr_array_add(rows, g_ptr_array_index(all, (*cursor)++));
    }
    return rows;
}

/* One name twice would make the edge refuse the whole table: the generated one stays. */
static void add_domain(struct edge_table *table, GHashTable *names, const struct domain *domain)
{
    g_autofree char *backend = edge_backend_name(domain->pair_id);
    if (find_backend(table, backend) == NULL) {
        return;
    }
    if (!g_hash_table_add(names, domain->domain)) {
        log_event(LOG_WARN, "edge.host_repeated", "host", domain->domain, "service", domain->service_id, NULL);
        return;
    }
    edge_table_add_host(table, domain->domain, backend);
}

static bool render(struct tx *tx, void *arg, GError **error)
{
    struct rendering *rendering = arg;
    g_autoptr(GPtrArray) pairs = NULL;
    g_autoptr(GPtrArray) instances = NULL;
    g_autoptr(GPtrArray) domains = NULL;
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    edge_table_free(rendering->table);
    rendering->table = edge_table_new();
    if (!pair_list(tx, NULL, NULL, &pairs, error) || !instance_list(tx, NULL, &instances, error) ||
        !domain_list_pair(tx, NULL, &domains, error)) {
        return false;
    }
    guint cursor = 0;
    for (guint i = 0; i < pairs->len; i++) {
        const struct pair *pair = g_ptr_array_index(pairs, i);
        g_autoptr(GPtrArray) rows = rows_of(instances, pair->id, &cursor);
        if (pair->host != NULL && !add_backend(tx, rendering, pair, rows, error)) {
            return false;
        }
        if (pair->host != NULL) {
            g_hash_table_add(names, pair->host);
        }
    }
    for (guint i = 0; i < domains->len; i++) {
        add_domain(rendering->table, names, g_ptr_array_index(domains, i));
    }
    return true;
}

bool edge_table_sync(struct controller *controller, GError **error)
{
    struct app *app = controller->app;
    struct rendering rendering = {.controller = controller};
    int request = g_atomic_int_add(&controller->edge_requests, 1) + 1;
    g_mutex_lock(&controller->edge_lock);
    if (controller->edge_served >= request) {
        g_mutex_unlock(&controller->edge_lock); /* somebody who began after us has done it */
        return true;
    }
    int serving = g_atomic_int_get(&controller->edge_requests);
    int removals = g_atomic_int_and((guint *)&controller->edge_removals, 0);
    bool ok = store_read(app->store, "edge_render", render, &rendering, error);
    if (ok) {
        struct edge_apply_result result = {0};
        /* Only what we took away on purpose may make the table smaller; see edge.h. */
        ok = edge_apply(app->edge, rendering.table, removals > 0 ? EDGE_ALLOW_SHRINK : 0, &result, error);
        controller_count(&controller->stats.edge_syncs);
    }
    if (ok) {
        controller->edge_served = serving;
    } else {
        g_atomic_int_add(&controller->edge_removals, removals);
    }
    g_mutex_unlock(&controller->edge_lock);
    edge_table_free(rendering.table);
    return ok;
}
