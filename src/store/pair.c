#include "base/error.h"
#include "base/id.h"
#include "store/resources.h"

bool pair_find(struct tx *tx, const char *service_id, const char *environment_id, struct pair **ret, GError **error)
{
    void *row = NULL;
    bool ok = tx_get(tx, &pair_type, &row, "SELECT {} FROM pairs WHERE service_id = $1 AND environment_id = $2",
                     PARAMS(P_TEXT(service_id), P_TEXT(environment_id)), error);
    *ret = row;
    return ok;
}

bool pair_by_id(struct tx *tx, const char *id, struct pair **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &pair_type, &row, "SELECT {} FROM pairs WHERE id = $1", PARAMS(P_TEXT(id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "nothing is deployed under the id %s", id);
}

/* <service>-<project>[-<environment>].<base domain>; one name where service and project are called the same. */
static char *host_label(const char *service, const char *project, const char *environment, bool with_hash)
{
    g_autoptr(GString) label = g_string_new(service);
    if (g_strcmp0(service, project) != 0) {
        g_string_append_printf(label, "-%s", project);
    }
    if (g_strcmp0(environment, "production") != 0) {
        g_string_append_printf(label, "-%s", environment);
    }
    return dns_label_fit(label->str, with_hash);
}

bool pair_take_name(struct tx *tx, const char *name, GError **error)
{
    return tx_exec(tx,
                   "UPDATE pairs SET host = NULL, revision = revision + 1 WHERE host = $1 AND leaving_at IS NOT NULL",
                   PARAMS(P_TEXT(name)), NULL, error) &&
           tx_exec(tx,
                   "DELETE FROM domains WHERE domain = $1 AND pair_id IN (SELECT id FROM pairs WHERE leaving_at IS NOT "
                   "NULL)",
                   PARAMS(P_TEXT(name)), NULL, error);
}

/* The later of two that would clash gets a hash over all its names, which cannot clash again. */
static bool choose_host(struct tx *tx, const struct service *service, const struct environment *environment,
                        const char *project_slug, const char *base_domain, char **ret_host, GError **error)
{
    g_autofree char *label = host_label(service->name, project_slug, environment->name, false);
    g_autofree char *host = g_strdup_printf("%s.%s", label, base_domain);
    int64_t taken = 0;
    if (!pair_take_name(tx, host, error) ||
        !tx_get_int(
            tx, 0, &taken,
            "SELECT (SELECT COUNT(*) FROM pairs WHERE host = $1) + (SELECT COUNT(*) FROM domains WHERE domain = $1)",
            PARAMS(P_TEXT(host)), error)) {
        return false;
    }
    if (taken > 0) {
        g_autofree char *all = g_strdup_printf("%s/%s/%s", service->id, project_slug, environment->id);
        g_autofree char *hash = sha256_hex(all, strlen(all));
        g_autofree char *longer = g_strdup_printf("%.54s-%.8s", label, hash);
        g_free(host);
        host = g_strdup_printf("%s.%s", longer, base_domain);
    }
    *ret_host = g_steal_pointer(&host);
    return true;
}

bool pair_ensure(struct tx *tx, const struct service *service, const struct environment *environment,
                 const char *project_slug, const char *base_domain, int64_t now_us, struct pair **ret, GError **error)
{
    g_autoptr(pair_t) pair = NULL;
    if (!pair_find(tx, service->id, environment->id, &pair, error)) {
        return false;
    }
    if (pair == NULL) {
        pair = contract_new(&pair_type);
        pair->id = uuid_new();
        pair->organization_id = g_strdup(service->organization_id);
        pair->project_id = g_strdup(service->project_id);
        pair->service_id = g_strdup(service->id);
        pair->environment_id = g_strdup(environment->id);
        pair->created_us = now_us;
        pair->updated_us = now_us;
        pair->revision = 1;
        if (!choose_host(tx, service, environment, project_slug, base_domain, &pair->host, error) ||
            !tx_insert(tx, &pair_type, pair, error)) {
            return false;
        }
    } else if (pair->host == NULL) {
        /* It gave its name away when it was deleted, and is back. */
        if (!choose_host(tx, service, environment, project_slug, base_domain, &pair->host, error) ||
            !pair_update(tx, pair, now_us, error)) {
            return false;
        }
    }
    *ret = g_steal_pointer(&pair);
    return true;
}

bool pair_update(struct tx *tx, struct pair *pair, int64_t now_us, GError **error)
{
    pair->updated_us = now_us;
    pair->revision++;
    return tx_update(tx, &pair_type, pair, error);
}

bool pair_list(struct tx *tx, const char *service_id, const char *environment_id, GPtrArray **ret, GError **error)
{
    if (service_id != NULL) {
        return tx_list(tx, &pair_type, ret, "SELECT {} FROM pairs WHERE service_id = $1 ORDER BY id",
                       PARAMS(P_TEXT(service_id)), error);
    }
    if (environment_id != NULL) {
        return tx_list(tx, &pair_type, ret, "SELECT {} FROM pairs WHERE environment_id = $1 ORDER BY id",
                       PARAMS(P_TEXT(environment_id)), error);
    }
    return tx_list(tx, &pair_type, ret, "SELECT {} FROM pairs ORDER BY id", NO_PARAMS, error);
}

static bool take_counts(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    *(struct pair_counts *)arg =
        (struct pair_counts){.running = values[0].integer, .waiting = values[1].integer, .leaving = values[2].integer};
    return true;
}

bool pair_count(struct tx *tx, struct pair_counts *ret_counts, GError **error)
{
    return tx_query(tx,
                    "SELECT (SELECT COUNT(DISTINCT pair_id) FROM instances), COUNT(desired_deployment_id), "
                    "COUNT(*) - COUNT(desired_deployment_id) FROM pairs WHERE leaving_at IS NOT NULL",
                    NO_PARAMS, take_counts, ret_counts, error);
}

bool pair_list_waiting(struct tx *tx, int64_t limit, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &pair_type, ret,
                   "SELECT {} FROM pairs WHERE leaving_at IS NOT NULL AND desired_deployment_id IS NOT NULL "
                   "ORDER BY leaving_at, id LIMIT $1",
                   PARAMS(P_INT(limit)), error);
}
