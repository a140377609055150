/* Taking away what runs. In the API a deletion takes effect at once; what runs leaves afterwards, at the pace and through the
 * states of plan/pace.h. Each runs inside one store transaction; the caller wakes the controller for the pairs after the commit. */
#pragma once

#include "switchyard/app.h"

/* The project or environment is tombstoned and its pairs are to leave, one step after the other; a deployment of theirs that is
 * going on is cancelled. The pairs' ids are appended to `pair_ids`. */
bool operation_delete_project(struct tx *tx, const struct app *app, struct project *project, const char *actor,
                              int64_t now_us, GPtrArray *pair_ids, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool operation_delete_environment(struct tx *tx, const struct app *app, struct environment *environment,
                                  const char *actor, int64_t now_us, GPtrArray *pair_ids,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* One service, which its owner named: all of its pairs leave now. */
bool operation_delete_service(struct tx *tx, const struct app *app, struct service *service, const char *actor,
                              int64_t now_us, GPtrArray *pair_ids, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* How many of so many pairs that run leave at a time, in words for a dry run; NULL when there is at most one. */
bool operation_deletion_pace(struct tx *tx, int64_t n_pairs, char **ret_words,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Lets those go whose turn it is, as many as there is room for; appends their ids to `pair_ids`. None when the controller's lease
 * is not app->holder's any more. */
bool operation_retire_next(struct tx *tx, const struct app *app, const char *actor, int64_t now_us, GPtrArray *pair_ids,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Nothing is to run here from now on: waiting → retiring. */
bool operation_retire(struct tx *tx, const struct app *app, struct pair *pair, const char *actor, int64_t now_us,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Nothing runs here any more: retiring → gone. Its names are free from now on. */
bool operation_end_retirement(struct tx *tx, struct pair *pair, int64_t now_us,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
