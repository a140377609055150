#include "store/resources.h"

/* On PostgreSQL numbers are given when a row is inserted but seen when its transaction commits, so a reader could pass one
 * that is still in flight and never come back to it. Each writer therefore holds this advisory lock shared until it commits;
 * event_horizon takes it exclusively for the moment of reading the highest number: then nothing at or below it is in flight.
 * SQLite has one writer, so its numbers are in commit order. */
#define EVENT_LOCK "4919303726450577"

bool event_append(struct tx *tx, const struct event *event, GError **error)
{
    if (tx_dialect(tx) == STORE_POSTGRESQL &&
        !tx_exec(tx, "SELECT pg_advisory_xact_lock_shared(" EVENT_LOCK ")", NO_PARAMS, NULL, error)) {
        return false;
    }
    return tx_exec(
        tx,
        "INSERT INTO events (organization_id, type, project_id, service_id, environment_id, deployment_id, "
        "release_id, message, data, actor, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        PARAMS(P_TEXT(event->organization_id), P_TEXT(event->type), P_TEXT(event->project_id),
               P_TEXT(event->service_id), P_TEXT(event->environment_id), P_TEXT(event->deployment_id),
               P_TEXT(event->release_id), P_TEXT(event->message), P_TEXT(event->data), P_TEXT(event->actor),
               P_INT(event->created_us)),
        NULL, error);
}

bool event_horizon(struct tx *tx, int64_t *ret_number, GError **error)
{
    if (tx_dialect(tx) == STORE_POSTGRESQL &&
        !tx_exec(tx, "SELECT pg_advisory_xact_lock(" EVENT_LOCK ")", NO_PARAMS, NULL, error)) {
        return false;
    }
    return tx_get_int(tx, 0, ret_number, "SELECT MAX(id) FROM events", NO_PARAMS, error);
}

#define MATCHES                                                                                                        \
    "organization_id = $1 AND (CAST($2 AS TEXT) IS NULL OR project_id = $2) AND "                                      \
    "(CAST($3 AS TEXT) IS NULL OR project_id = $3) AND (CAST($4 AS TEXT) IS NULL OR service_id = $4) AND "             \
    "(CAST($5 AS TEXT) IS NULL OR deployment_id = $5)"
#define MATCH_PARAMETERS                                                                                               \
    P_TEXT(scope->organization_id), P_TEXT(scope->project_id), P_TEXT(filter->project_id), P_TEXT(filter->service_id), \
        P_TEXT(filter->deployment_id)

bool event_list(struct tx *tx, const struct scope *scope, const struct event_filter *filter, int64_t after,
                int64_t limit, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &event_type, ret, "SELECT {} FROM events WHERE " MATCHES " AND id > $6 ORDER BY id LIMIT $7",
                   PARAMS(MATCH_PARAMETERS, P_INT(after), P_INT(limit)), error);
}

bool event_list_newest(struct tx *tx, const struct scope *scope, const struct event_filter *filter, int64_t before,
                       int64_t limit, GPtrArray **ret, GError **error)
{
    return tx_list(tx, &event_type, ret,
                   "SELECT {} FROM events WHERE " MATCHES " AND id < $6 ORDER BY id DESC LIMIT $7",
                   PARAMS(MATCH_PARAMETERS, P_INT(before), P_INT(limit)), error);
}

bool event_trim(struct tx *tx, int64_t older_than_us, GError **error)
{
    return tx_exec(tx, "DELETE FROM events WHERE created_at < $1", PARAMS(P_INT(older_than_us)), NULL, error);
}
