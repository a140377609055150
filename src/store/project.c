#include "base/error.h"
#include "store/resources.h"
#include "store/scope_sql.h"

bool project_insert(struct tx *tx, const struct project *project, GError **error)
{
    if (!tx_insert(tx, &project_type, project, error)) {
        if (g_error_matches(error != NULL ? *error : NULL, SY_ERROR, SY_ALREADY_EXISTS)) {
            g_clear_error(error);
            sy_fail(error, SY_ALREADY_EXISTS, "there is a project %s already", project->slug);
        }
        return false;
    }
    return true;
}

bool project_by_slug(struct tx *tx, const struct scope *scope, const char *slug, struct project **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &project_type, &row,
                "SELECT {} FROM projects WHERE slug = $1 AND deleted_at IS NULL AND " IN_SCOPE("$2", "$3", "id"),
                PARAMS(P_TEXT(slug), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "there is no project %s", slug);
}

bool project_by_id(struct tx *tx, const struct scope *scope, const char *id, struct project **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(tx, &project_type, &row, "SELECT {} FROM projects WHERE id = $1 AND " IN_SCOPE("$2", "$3", "id"),
                PARAMS(P_TEXT(id), P_TEXT(scope->organization_id), P_TEXT(scope->project_id)), error)) {
        return false;
    }
    *ret = row;
    return row != NULL || sy_fail(error, SY_NOT_FOUND, "there is no project with the id %s", id);
}

bool project_list(struct tx *tx, const struct scope *scope, const struct page *page, GPtrArray **ret, GError **error)
{
    return tx_list(
        tx, &project_type, ret,
        "SELECT {} FROM projects WHERE deleted_at IS NULL AND " IN_SCOPE("$1", "$2", "id") " AND " PAGE("$3", "$4"),
        PARAMS(P_TEXT(scope->organization_id), P_TEXT(scope->project_id), P_TEXT(page->after), P_INT(page->limit)),
        error);
}

bool project_update(struct tx *tx, struct project *project, int64_t now_us, GError **error)
{
    project->updated_us = now_us;
    project->revision++;
    return tx_update(tx, &project_type, project, error);
}

bool project_list_expired(struct tx *tx, int64_t deleted_before_us, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &project_type, ret, "SELECT {} FROM projects WHERE deleted_at < $1",
                   PARAMS(P_INT(deleted_before_us)), error);
}

bool project_restore_rows(struct tx *tx, const struct scope *scope, const char *slug, int64_t deleted_after_us,
                          int64_t now_us, struct project **ret, GError **error)
{
    void *row = NULL;
    if (!tx_get(
            tx, &project_type, &row,
            "SELECT {} FROM projects WHERE slug = $1 AND deleted_at > $4 AND " IN_SCOPE(
                "$2", "$3", "id") " ORDER BY deleted_at DESC LIMIT 1",
            PARAMS(P_TEXT(slug), P_TEXT(scope->organization_id), P_TEXT(scope->project_id), P_INT(deleted_after_us)),
            error)) {
        return false;
    }
    g_autoptr(project_t) project = row;
    if (project == NULL) {
        return sy_fail(error, SY_NOT_FOUND, "no project %s was deleted within the last 48 hours", slug);
    }
    if (!tx_exec(tx, "UPDATE services SET deleted_at = NULL WHERE project_id = $1 AND deleted_at = $2",
                 PARAMS(P_TEXT(project->id), P_INT(project->deleted_us)), NULL, error)) {
        return false;
    }
    if (!tx_exec(tx,
                 "UPDATE pairs SET leaving_at = NULL, revision = revision + 1 WHERE project_id = $1 AND leaving_at IS "
                 "NOT NULL AND desired_deployment_id IS NOT NULL AND host IS NOT NULL AND environment_id IN (SELECT id "
                 "FROM environments "
                 "WHERE project_id = $1 AND deleted_at IS NULL)",
                 PARAMS(P_TEXT(project->id)), NULL, error)) {
        return false;
    }
    if (!tx_exec(tx,
                 "UPDATE volumes SET tombstoned_at = NULL WHERE pair_id IN (SELECT id FROM pairs WHERE project_id = $1 "
                 "AND leaving_at IS NULL AND desired_deployment_id IS NOT NULL)",
                 PARAMS(P_TEXT(project->id)), NULL, error)) {
        return false;
    }
    project->deleted_us = CONTRACT_ABSENT;
    if (!project_update(tx, project, now_us, error)) {
        return false;
    }
    *ret = g_steal_pointer(&project);
    return true;
}
