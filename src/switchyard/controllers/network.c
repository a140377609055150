/* Networks of environments: a subnet each, fixed addresses inside. */
#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "base/quantity.h"
#include "switchyard/controllers/internal.h"

#define FIRST_HOST 10
#define LAST_HOST 250
#define MAX_ASSIGNMENTS 5

char *network_name(const struct app *app, const struct environment *environment)
{
    return g_strdup_printf("enclii-%s-%s", uuid_tail(app->installation_id), environment->id);
}

struct range {
    uint32_t base, mask;
};

static bool parse_range(const char *text, struct range *ret)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    struct in_addr address;
    int64_t bits = 32;
    if (parts[0] == NULL || inet_pton(AF_INET, parts[0], &address) != 1 ||
        (parts[1] != NULL && !int_parse(parts[1], 0, 32, &bits))) {
        return false;
    }
    ret->mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    ret->base = ntohl(address.s_addr) & ret->mask;
    return true;
}

static bool overlap(const struct range *a, const struct range *b)
{
    uint32_t mask = a->mask & b->mask;
    return (a->base & mask) == (b->base & mask);
}

static bool is_taken(const struct range *candidate, const GPtrArray *others)
{
    for (guint i = 0; i < others->len; i++) {
        struct range other;
        if (parse_range(g_ptr_array_index(others, i), &other) && overlap(candidate, &other)) {
            return true;
        }
    }
    return false;
}

/* A /24 of the pool that overlaps none of `taken`; NULL when the pool is used up. Each installation begins at a place of its
 * own: two that choose at the same moment do not see each other's choice. */
static char *choose_subnet(const char *pool_text, const char *installation, const GPtrArray *taken)
{
    struct range pool;
    if (!parse_range(pool_text, &pool)) {
        return NULL;
    }
    uint32_t n = (~pool.mask >> 8) + 1;
    uint32_t first = g_str_hash(installation) % n;
    for (uint32_t i = 0; i < n; i++) {
        struct range candidate = {.base = pool.base + ((first + i) % n << 8), .mask = 0xffffff00};
        if (!is_taken(&candidate, taken)) {
            struct in_addr address = {.s_addr = htonl(candidate.base)};
            char text[INET_ADDRSTRLEN];
            inet_ntop(AF_INET, &address, text, sizeof text);
            return g_strdup_printf("%s/24", text);
        }
    }
    return NULL;
}

struct assignment {
    struct controller *controller;
    struct environment *environment;
    const GPtrArray *foreign;
};

static bool assign(struct tx *tx, void *arg, GError **error)
{
    const struct assignment *assignment = arg;
    struct app *app = assignment->controller->app;
    struct scope scope = app_scope(app);
    g_autoptr(GPtrArray) all = NULL;
    g_autoptr(environment_t) row = NULL;
    if (!environment_list_all(tx, &all, error) ||
        !environment_by_id(tx, &scope, assignment->environment->id, &row, error)) {
        return false;
    }
    g_clear_pointer(&assignment->environment->subnet, g_free);
    if (row->subnet == NULL) {
        g_autoptr(GPtrArray) taken = g_ptr_array_new();
        for (guint i = 0; i < all->len; i++) {
            const struct environment *other = g_ptr_array_index(all, i);
            if (other->subnet != NULL) {
                g_ptr_array_add(taken, other->subnet);
            }
        }
        for (guint i = 0; i < assignment->foreign->len; i++) {
            g_ptr_array_add(taken, g_ptr_array_index(assignment->foreign, i));
        }
        row->subnet = choose_subnet(app->config->network_pool, app->installation_id, taken);
        if (row->subnet == NULL) {
            sy_fail(error, SY_CONFLICT, "every /24 of the network pool %s is in use", app->config->network_pool);
            sy_error_set_hint(error, "Set network_pool to a larger or another range.");
            return false;
        }
        if (!environment_update(tx, row, clock_wall_us(app->clock), error)) {
            return false;
        }
    }
    assignment->environment->subnet = g_strdup(row->subnet);
    return true;
}

bool network_ensure(struct controller *controller, const struct environment *environment, GError **error)
{
    struct app *app = controller->app;
    struct range range;
    if (environment->subnet == NULL || !parse_range(environment->subnet, &range)) {
        return sy_fail(error, SY_INTERNAL, "environment %s has no subnet", environment->name);
    }
    struct in_addr address = {.s_addr = htonl(range.base + 1)};
    char gateway[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address, gateway, sizeof gateway);
    g_autofree char *name = network_name(app, environment);
    g_autofree char *object = g_strdup_printf(ENGINE_LABEL_OBJECT "=%s", environment->id);
    const char *const labels[] = {object, ENGINE_LABEL_ROLE "=network", NULL};
    return app->engine->ops->network_ensure(app->engine, name, environment->subnet, gateway, labels, error);
}

/* As long as no instance has an address of it. */
static bool unassign(struct tx *tx, void *arg, GError **error)
{
    const struct assignment *assignment = arg;
    struct app *app = assignment->controller->app;
    struct scope scope = app_scope(app);
    g_autoptr(GHashTable) addresses = NULL;
    g_autoptr(environment_t) row = NULL;
    if (!instance_list_addresses(tx, assignment->environment->id, &addresses, error) ||
        !environment_by_id(tx, &scope, assignment->environment->id, &row, error)) {
        return false;
    }
    if (g_hash_table_size(addresses) > 0) {
        return sy_fail(error, SY_CONFLICT, "instances have addresses of the subnet %s already", row->subnet);
    }
    g_clear_pointer(&row->subnet, g_free);
    return environment_update(tx, row, clock_wall_us(app->clock), error);
}

/* A subnet, and the network that keeps it. False with SY_ENGINE_FAILED or SY_CONFLICT when somebody has taken that subnet
 * since we looked; it is free for another try then, and `refused` has it. After the last try it stays as it is. */
static bool try_assign(struct assignment *assignment, GPtrArray *refused, bool is_last, GError **error)
{
    struct controller *controller = assignment->controller;
    struct engine *engine = controller->app->engine;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    if (!engine->ops->network_list(engine, &names, &subnets, error)) {
        return false;
    }
    for (guint i = 0; i < refused->len; i++) {
        g_ptr_array_add(subnets, g_strdup(g_ptr_array_index(refused, i)));
    }
    assignment->foreign = subnets;
    if (!store_write(controller->app->store, "network_assign", assign, assignment, error)) {
        return false;
    }
    GError *failure = NULL;
    if (network_ensure(controller, assignment->environment, &failure)) {
        return true;
    }
    g_autoptr(GError) ignored = NULL; /* then the job that starts the instance says what is wrong */
    g_ptr_array_add(refused, g_strdup(assignment->environment->subnet));
    if (is_last || !store_write(controller->app->store, "network_unassign", unassign, assignment, &ignored)) {
        g_error_free(failure);
        return true;
    }
    g_clear_pointer(&assignment->environment->subnet, g_free);
    g_propagate_error(error, failure);
    return false;
}

bool network_assign(struct controller *controller, struct environment *environment, GError **error)
{
    struct assignment assignment = {.controller = controller, .environment = environment};
    g_autoptr(GPtrArray) refused = g_ptr_array_new_with_free_func(g_free);
    for (int attempt = 1; environment->subnet == NULL; attempt++) {
        GError *failure = NULL;
        if (try_assign(&assignment, refused, attempt == MAX_ASSIGNMENTS, &failure)) {
            return true;
        }
        bool is_taken = refused->len > 0 && (g_error_matches(failure, SY_ERROR, SY_CONFLICT) ||
                                             g_error_matches(failure, SY_ERROR, SY_ENGINE_FAILED));
        if (!is_taken) {
            g_propagate_error(error, failure);
            return false;
        }
        g_error_free(failure);
    }
    return true;
}

char *network_free_address(struct tx *tx, const struct environment *environment, GError **error)
{
    struct range range;
    g_autoptr(GHashTable) taken = NULL;
    if (environment->subnet == NULL || !parse_range(environment->subnet, &range)) {
        sy_fail(error, SY_CONFLICT, "environment %s has no subnet now; one is chosen again", environment->name);
        return NULL;
    }
    if (!instance_list_addresses(tx, environment->id, &taken, error)) {
        return NULL;
    }
    for (uint32_t host = FIRST_HOST; host <= LAST_HOST; host++) {
        struct in_addr address = {.s_addr = htonl(range.base + host)};
        char text[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &address, text, sizeof text);
        if (!g_hash_table_contains(taken, text)) {
            return g_strdup(text);
        }
    }
    sy_fail(error, SY_CONFLICT, "environment %s has no free address: %d instances are the most it can hold",
            environment->name, LAST_HOST - FIRST_HOST + 1);
    return NULL;
}
