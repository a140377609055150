#include "base/id.h"
#include "store/resources.h"

static bool create(struct tx *tx, const char *id, const char *master_key_id, int64_t now_us, GError **error)
{
    g_autoptr(organization_t) organization = contract_new(&organization_type);
    organization->id = uuid_new();
    organization->name = g_strdup("Default");
    organization->slug = g_strdup("default");
    organization->created_us = now_us;
    return tx_exec(tx, "INSERT INTO installation (id, created_at, master_key_id) VALUES ($1, $2, $3)",
                   PARAMS(P_TEXT(id), P_INT(now_us), P_TEXT(master_key_id)), NULL, error) &&
           tx_insert(tx, &organization_type, organization, error);
}

bool installation_ensure(struct tx *tx, const char *new_id, const char *master_key_id, int64_t now_us, char **ret_id,
                         char **ret_master_key_id, char **ret_organization_id, GError **error)
{
    g_autofree char *id = NULL;
    if (!tx_get_text(tx, &id, "SELECT id FROM installation", NO_PARAMS, error) ||
        (id == NULL && !create(tx, new_id, master_key_id, now_us, error))) {
        return false;
    }
    g_clear_pointer(ret_id, g_free);
    g_clear_pointer(ret_master_key_id, g_free);
    g_clear_pointer(ret_organization_id, g_free);
    return tx_get_text(tx, ret_id, "SELECT id FROM installation", NO_PARAMS, error) &&
           tx_get_text(tx, ret_master_key_id, "SELECT master_key_id FROM installation", NO_PARAMS, error) &&
           tx_get_text(tx, ret_organization_id, "SELECT id FROM organizations WHERE slug = 'default'", NO_PARAMS,
                       error);
}
