#include "base/error.h"
#include "store/resources.h"

/* A generated host name is its pair's for good, whether that serves just now or not. */
static bool check_free(struct tx *tx, const char *name, GError **error)
{
    int64_t n = 0;
    return tx_get_int(tx, 0, &n, "SELECT COUNT(*) FROM pairs WHERE host = $1", PARAMS(P_TEXT(name)), error) &&
           (n == 0 || sy_fail(error, SY_ALREADY_EXISTS, "%s", name));
}

bool domain_insert(struct tx *tx, const struct domain *domain, GError **error)
{
    if (pair_take_name(tx, domain->domain, error) && check_free(tx, domain->domain, error) &&
        tx_insert(tx, &domain_type, domain, error)) {
        return true;
    }
    if (g_error_matches(error != NULL ? *error : NULL, SY_ERROR, SY_ALREADY_EXISTS)) {
        g_clear_error(error);
        sy_fail(error, SY_ALREADY_EXISTS, "the domain %s is in use already", domain->domain);
        sy_error_set_hint(error, "A host name leads to one service in one environment: remove it there first, from"
                                 " enclii.yaml or with enclii domains remove.");
    }
    return false;
}

bool domain_list(struct tx *tx, const struct scope *scope, const char *service_id, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &domain_type, ret,
                   "SELECT {} FROM domains WHERE service_id = $1 AND organization_id = $2 ORDER BY domain",
                   PARAMS(P_TEXT(service_id), P_TEXT(scope->organization_id)), error);
}

bool domain_list_pair(struct tx *tx, const char *pair_id, GPtrArray **ret, GError **error)
{
    if (pair_id == NULL) {
        return tx_list(tx, &domain_type, ret, "SELECT {} FROM domains ORDER BY domain", NO_PARAMS, error);
    }
    return tx_list(tx, &domain_type, ret, "SELECT {} FROM domains WHERE pair_id = $1 ORDER BY domain",
                   PARAMS(P_TEXT(pair_id)), error);
}

bool domain_by_id(struct tx *tx, const struct scope *scope, const char *service_id, const char *id, struct domain **ret,
                  GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &domain_type, &row,
                "SELECT {} FROM domains WHERE id = $1 AND service_id = $2 AND organization_id = $3",
                PARAMS(P_TEXT(id), P_TEXT(service_id), P_TEXT(scope->organization_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "this service has no domain with the id %s", id);
}

bool domain_update(struct tx *tx, struct domain *domain, GError **error)
{
    return tx_update(tx, &domain_type, domain, error);
}

bool domain_delete(struct tx *tx, const char *id, GError **error)
{
    return tx_exec(tx, "DELETE FROM domains WHERE id = $1", PARAMS(P_TEXT(id)), NULL, error);
}
