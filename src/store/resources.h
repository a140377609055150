/* Rows of every resource: what the handlers and controllers may ask of the store.
 *
 * One .c file per resource, its statement text beside its use. Functions named x_by_… and x_require_… fail with SY_NOT_FOUND
 * in words a user understands; x_find_… set *ret to NULL instead. Objects returned belong to the caller
 * (g_autoptr(project_t)); lists own their elements. `scope` limits every query to what the caller may see; controllers
 * use scope_all. Lists are ordered by creation, newest first unless said otherwise. */
#pragma once

#include "model/deployment.h"
#include "model/domain.h"
#include "model/environment.h"
#include "model/event.h"
#include "model/idempotency.h"
#include "model/instance.h"
#include "model/lease.h"
#include "model/pair.h"
#include "model/project.h"
#include "model/release.h"
#include "model/service.h"
#include "model/source.h"
#include "model/token.h"
#include "model/variable.h"
#include "model/volume.h"
#include "store/scope.h"
#include "store/store.h"

#define MUST G_GNUC_WARN_UNUSED_RESULT

/* A page of a list: rows older than the cursor (an id; UUIDv7 sorts by time), at most limit. */
struct page {
    const char *after; /* NULL: from the start */
    int64_t limit;
};

/* installation.c: made at the first start */
bool installation_ensure(struct tx *tx, const char *new_id, const char *master_key_id, int64_t now_us, char **ret_id,
                         char **ret_master_key_id, char **ret_organization_id, GError **error) MUST;

/* project.c */
bool project_insert(struct tx *tx, const struct project *project, GError **error) MUST;
bool project_by_slug(struct tx *tx, const struct scope *scope, const char *slug, struct project **ret,
                     GError **error) MUST;
bool project_by_id(struct tx *tx, const struct scope *scope, const char *id, struct project **ret, GError **error) MUST;
bool project_list(struct tx *tx, const struct scope *scope, const struct page *page, GPtrArray **ret,
                  GError **error) MUST;
bool project_update(struct tx *tx, struct project *project, int64_t now_us, GError **error) MUST;
/* Undoes a deletion since `deleted_after_us`: the project and the services that went with it. What still waits to leave stays;
 * the rest does not run until it is deployed. */
bool project_restore_rows(struct tx *tx, const struct scope *scope, const char *slug, int64_t deleted_after_us,
                          int64_t now_us, struct project **ret, GError **error) MUST;
bool project_list_expired(struct tx *tx, int64_t deleted_before_us, GPtrArray **ret, GError **error) MUST;

/* environment.c */
bool environment_insert(struct tx *tx, const struct environment *environment, GError **error) MUST;
bool environment_by_name(struct tx *tx, const struct scope *scope, const char *project_id, const char *name,
                         struct environment **ret, GError **error) MUST;
bool environment_by_id(struct tx *tx, const struct scope *scope, const char *id, struct environment **ret,
                       GError **error) MUST;
bool environment_list(struct tx *tx, const struct scope *scope, const char *project_id, GPtrArray **ret,
                      GError **error) MUST;
bool environment_list_all(struct tx *tx, GPtrArray **ret, GError **error) MUST; /* tombstoned ones too */
bool environment_update(struct tx *tx, struct environment *environment, int64_t now_us, GError **error) MUST;

/* service.c; struct service.project is filled in */
bool service_insert(struct tx *tx, const struct service *service, GError **error) MUST;
bool service_by_id(struct tx *tx, const struct scope *scope, const char *id, struct service **ret, GError **error) MUST;
bool service_by_id_even_deleted(struct tx *tx, const struct scope *scope, const char *id, struct service **ret,
                                GError **error) MUST;
bool service_find_by_name(struct tx *tx, const struct scope *scope, const char *project_id, const char *name,
                          struct service **ret, GError **error) MUST;
bool service_list(struct tx *tx, const struct scope *scope, const char *project_id, const struct page *page,
                  GPtrArray **ret, GError **error) MUST;
bool service_update(struct tx *tx, struct service *service, int64_t now_us, GError **error) MUST;

/* pair.c */
bool pair_find(struct tx *tx, const char *service_id, const char *environment_id, struct pair **ret,
               GError **error) MUST;
bool pair_by_id(struct tx *tx, const char *id, struct pair **ret, GError **error) MUST;
/* The pair's row, made with its host name when it is not there yet. */
bool pair_ensure(struct tx *tx, const struct service *service, const struct environment *environment,
                 const char *project_slug, const char *base_domain, int64_t now_us, struct pair **ret,
                 GError **error) MUST;
bool pair_update(struct tx *tx, struct pair *pair, int64_t now_us, GError **error) MUST;
bool pair_list(struct tx *tx, const char *service_id, const char *environment_id, GPtrArray **ret,
               GError **error) MUST; /* of the service, else of the environment, else all */
/* How many pairs have instances; are to leave and still wanted; are leaving: nothing of them is wanted any more. */
struct pair_counts {
    int64_t running, waiting, leaving;
};
/* Takes the name from pairs that are leaving: who asks for it now is served, who leaves has its last requests only. */
bool pair_take_name(struct tx *tx, const char *name, GError **error) MUST;
bool pair_count(struct tx *tx, struct pair_counts *ret_counts, GError **error) MUST;
/* Those that have been waiting to leave for longest. */
bool pair_list_waiting(struct tx *tx, int64_t limit, GPtrArray **ret, GError **error) MUST;

/* scan.c: little of much, for the controller's resync */
struct scanned_pair {
    char id[37];
    int64_t revision;
};
struct scanned_instance {
    char id[37], pair_id[37];
    char state[12];
    int64_t state_since_us, restarts;
};
struct scan {
    GArray *pairs;     /* of struct scanned_pair, sorted by id */
    GArray *instances; /* of struct scanned_instance, sorted by (pair_id, id) */
};
bool scan_read(struct tx *tx, struct scan *ret_scan,
               GError **error) MUST; /* *ret_scan is cleared first: {0} at the start */
void scan_clear(struct scan *scan);

/* release.c */
bool release_insert(struct tx *tx, struct release *release, GError **error) MUST; /* gives the number and version */
bool release_by_id(struct tx *tx, const struct scope *scope, const char *id, struct release **ret, GError **error) MUST;
/* `reference`: id, "v3" or "latest" (the newest that is ready). */
bool release_by_reference(struct tx *tx, const struct scope *scope, const char *service_id, const char *reference,
                          struct release **ret, GError **error) MUST;
bool release_list(struct tx *tx, const struct scope *scope, const char *service_id, const struct page *page,
                  GPtrArray **ret, GError **error) MUST;
bool release_find_by_fingerprint(struct tx *tx, const char *service_id, const char *fingerprint, struct release **ret,
                                 GError **error) MUST;
bool release_update(struct tx *tx, struct release *release, GError **error) MUST;
/* SY_CONFLICT when the move is not allowed. */
bool release_set_status(struct tx *tx, struct release *release, enum release_status status, GError **error) MUST;
/* The oldest queued release, or one whose lease has run out, leased to `owner` until now + lease_us; NULL when there is none. */
bool release_claim(struct tx *tx, const char *owner, int64_t lease_us, struct release **ret, GError **error) MUST;
/* False in *ret_held when the lease has gone to another. */
/* Puts back into the queue what `owner` was building when it died. */
bool release_abandon(struct tx *tx, const char *owner, GError **error) MUST;
bool release_renew(struct tx *tx, const char *id, const char *owner, int64_t lease_us, bool *ret_held,
                   bool *ret_cancelled, GError **error) MUST;
bool release_counts(struct tx *tx, int64_t *ret_queued, int64_t *ret_building, GPtrArray **ret_recent,
                    GError **error) MUST;
/* Ready releases whose image garbage collection has not taken, lost ones too, oldest first. */
bool release_list_with_images(struct tx *tx, GPtrArray **ret, GError **error) MUST;
/* Those whose image the engine had not when it was asked: the first RELEASES_LOST_PAGE with an id after this one (NULL: of all). */
#define RELEASES_LOST_PAGE 1000
bool release_list_lost(struct tx *tx, const char *after, GPtrArray **ret, GError **error) MUST;
/* The newest that has given its image this tag; NULL: none. */
bool release_find_by_image(struct tx *tx, const char *image_uri, struct release **ret, GError **error) MUST;

/* deployment.c; struct deployment.environment and release_version are filled in */
bool deployment_insert(struct tx *tx, struct deployment *deployment,
                       GError **error) MUST; /* gives the number and version */
bool deployment_by_id(struct tx *tx, const struct scope *scope, const char *id, struct deployment **ret,
                      GError **error) MUST;
bool deployment_by_reference(struct tx *tx, const struct scope *scope, const char *service_id, const char *reference,
                             struct deployment **ret, GError **error) MUST;
bool deployment_list(struct tx *tx, const struct scope *scope, const char *service_id, const struct page *page,
                     GPtrArray **ret, GError **error) MUST;
bool deployment_find_latest(struct tx *tx, const struct scope *scope, const char *service_id,
                            const char *environment_id, struct deployment **ret,
                            GError **error) MUST; /* environment_id NULL: any */
/* The newest that was healthy, older than `before` and with another value or configuration; NULL when there is none. */
bool deployment_find_way_back(struct tx *tx, const struct deployment *before, struct deployment **ret,
                              GError **error) MUST;
bool deployment_find_by_release(struct tx *tx, const char *pair_id, const char *release_id, struct deployment **ret,
                                GError **error) MUST;
bool deployment_update(struct tx *tx, struct deployment *deployment, GError **error) MUST;
bool deployment_set_status(struct tx *tx, struct deployment *deployment, enum deployment_status status, int64_t now_us,
                           GError **error) MUST;
/* How many there are of each status. */
bool deployment_counts(struct tx *tx, void (*fn)(const char *status, int64_t count, void *arg), void *arg,
                       GError **error) MUST;
/* Release ids that running or rollback targets need: of each pair what is desired, what serves and the newest `keep` healthy. */
bool deployment_list_pinned_releases(struct tx *tx, int64_t keep, GPtrArray **ret_ids, GError **error) MUST;

/* instance.c */
bool instance_insert(struct tx *tx, const struct instance *instance, GError **error) MUST;
bool instance_by_id(struct tx *tx, const char *id, struct instance **ret, GError **error) MUST; /* NULL when gone */
bool instance_list(struct tx *tx, const char *pair_id, GPtrArray **ret, GError **error) MUST;   /* NULL: of all pairs */
bool instance_update(struct tx *tx, struct instance *instance, GError **error) MUST;
bool instance_delete(struct tx *tx, const char *id, GError **error) MUST;
/* Set of the addresses that are taken. */
bool instance_list_addresses(struct tx *tx, const char *environment_id, GHashTable **ret, GError **error) MUST;

/* variable.c */
bool variable_list(struct tx *tx, const struct scope *scope, const char *service_id, const char *environment_id,
                   GPtrArray **ret, GError **error) MUST; /* environment_id NULL: all rows */
bool variable_by_id(struct tx *tx, const struct scope *scope, const char *service_id, const char *id,
                    struct variable **ret, GError **error) MUST;
bool variable_find(struct tx *tx, const char *service_id, const char *environment_id, const char *key,
                   struct variable **ret, GError **error) MUST;
bool variable_insert(struct tx *tx, const struct variable *variable, GError **error) MUST;
bool variable_update(struct tx *tx, struct variable *variable, int64_t now_us, GError **error) MUST;
bool variable_delete(struct tx *tx, const char *id, GError **error) MUST;
/* What holds in an environment: its own rows over the service's, removed ones left out. */
bool variable_list_effective(struct tx *tx, const char *service_id, const char *environment_id, GPtrArray **ret,
                             GError **error) MUST;
bool config_version_insert(struct tx *tx, const struct config_version *version, GError **error) MUST;
bool config_version_find(struct tx *tx, const char *pair_id, int64_t version, struct config_version **ret,
                         GError **error) MUST;

/* domain.c */
bool domain_insert(struct tx *tx, const struct domain *domain, GError **error) MUST;
bool domain_list(struct tx *tx, const struct scope *scope, const char *service_id, GPtrArray **ret,
                 GError **error) MUST;
bool domain_list_pair(struct tx *tx, const char *pair_id, GPtrArray **ret, GError **error) MUST; /* NULL: all */
bool domain_by_id(struct tx *tx, const struct scope *scope, const char *service_id, const char *id, struct domain **ret,
                  GError **error) MUST;
bool domain_update(struct tx *tx, struct domain *domain, GError **error) MUST;
bool domain_delete(struct tx *tx, const char *id, GError **error) MUST;

/* token.c */
bool token_insert(struct tx *tx, const struct token *token, GError **error) MUST;
bool token_find_by_hash(struct tx *tx, const char *hash, struct token **ret, GError **error) MUST;
bool token_list(struct tx *tx, const struct scope *scope, GPtrArray **ret, GError **error) MUST;
bool token_by_id(struct tx *tx, const struct scope *scope, const char *id, struct token **ret, GError **error) MUST;
bool token_revoke(struct tx *tx, const char *id, int64_t now_us, GError **error) MUST;
bool token_touch(struct tx *tx, const char *id, int64_t now_us, GError **error) MUST;

/* event.c */
bool event_append(struct tx *tx, const struct event *event, GError **error) MUST;
/* Rising numbers beyond `after`, at most limit; filters may be NULL. */
struct event_filter {
    const char *project_id, *service_id, *deployment_id;
};
bool event_list(struct tx *tx, const struct scope *scope, const struct event_filter *filter, int64_t after,
                int64_t limit, GPtrArray **ret, GError **error) MUST;
bool event_list_newest(struct tx *tx, const struct scope *scope, const struct event_filter *filter, int64_t before,
                       int64_t limit, GPtrArray **ret, GError **error) MUST;
/* The highest number below which none is still in flight; run by store_write (see event.c). */
bool event_horizon(struct tx *tx, int64_t *ret_number, GError **error) MUST;
bool event_trim(struct tx *tx, int64_t older_than_us, GError **error) MUST;

/* source.c */
bool source_find(struct tx *tx, const char *project_id, const char *sha256, struct source **ret, GError **error) MUST;
bool source_find_newest(struct tx *tx, const char *project_id, struct source **ret, GError **error) MUST;
bool source_insert(struct tx *tx, const struct source *source, GError **error) MUST;
bool source_touch(struct tx *tx, const char *id, int64_t now_us, GError **error) MUST;
bool source_list_all(struct tx *tx, GPtrArray **ret, GError **error) MUST; /* least recently used first */
bool source_delete(struct tx *tx, const char *id, GError **error) MUST;

/* volume.c */
/* The newest of this name, a tombstoned one too. */
bool volume_find(struct tx *tx, const char *pair_id, const char *name, struct volume **ret, GError **error) MUST;
bool volume_insert(struct tx *tx, const struct volume *volume, GError **error) MUST;
bool volume_update(struct tx *tx, struct volume *volume, GError **error) MUST;
bool volume_list(struct tx *tx, const char *pair_id, GPtrArray **ret, GError **error) MUST; /* NULL: all */

/* lease.c: who may act. A lease is the holder's until it lets go, or until somebody has seen it unrenewed for as long as it
 * lasts by a clock that does not jump: the caller's monotonic one. `until` in the row is for people.
 *
 * Held when `holder` has it already, it is free, or it still is as `unrenewed` says (NULL: not to be taken from another).
 * *ret_seen is what it is like now. */
struct lease_seen {
    int64_t fence; /* rises with each new holder; -1: nothing seen */
    int64_t until_us;
};
bool lease_acquire(struct tx *tx, const char *name, const char *holder, int64_t duration_us,
                   const struct lease_seen *unrenewed, bool *ret_held, struct lease_seen *ret_seen,
                   GError **error) MUST;
bool lease_release(struct tx *tx, const char *name, const char *holder, GError **error) MUST;
/* Whether it is the holder's; the transaction then excludes every other one that asks this, and anyone who takes the lease. */
bool lease_confirm(struct tx *tx, const char *name, const char *holder, bool *ret_held, GError **error) MUST;

/* idempotency.c */
bool idempotency_find(struct tx *tx, const char *id, struct idempotency **ret, GError **error) MUST;
/* *ret_kept is false when a row of this id is there that was made after `expired_us`: it stays. */
bool idempotency_insert(struct tx *tx, const struct idempotency *row, int64_t expired_us, bool *ret_kept,
                        GError **error) MUST;
bool idempotency_trim(struct tx *tx, int64_t older_than_us, GError **error) MUST;
