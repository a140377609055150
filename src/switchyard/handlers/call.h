/* What every handler needs: who calls, the store transaction with its outputs, the page. Internal to handlers/. */
#pragma once

#include "base/error.h"
#include "base/id.h"
#include "model/reply.h"
#include "model/request.h"
#include "switchyard/app.h"
#include "switchyard/hub.h"
#include "switchyard/operations/deploy.h"
#include "switchyard/operations/history.h"

struct call;
/* Sets the reply from the outputs of the transaction. */
typedef void (*call_reply_fn)(struct call *call);

struct call {
    struct app *app;
    struct request *request;
    struct scope scope;
    const char *actor;
    int64_t now_us;
    void *argument; /* of the handler, for its transaction */
    store_fn fn;    /* call_create's */
    call_reply_fn reply;
    /* Outputs of the transaction; reset by call_reset when it runs again, freed at the end. */
    void *row, *second;
    GPtrArray *rows, *more;
    char *text;
    int64_t number;
    bool flag;
};

void call_init(struct call *call, struct request *request);
void call_reset(struct call *call);
void call_clear(struct call *call);
typedef struct call call_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(call_t, call_clear)

bool call_read(struct call *call, store_fn fn, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Wakes the hub after the commit. */
bool call_write(struct call *call, store_fn fn, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* As call_write, for routes that take an Idempotency-Key: `reply` runs at the end of the transaction, and what it has set is kept
 * under the key in the same transaction, so that no crash comes between the change and its key. It may run again, as fn. */
bool call_create(struct call *call, store_fn fn, call_reply_fn reply, GError **error) G_GNUC_WARN_UNUSED_RESULT;

static inline const char *call_parameter(const struct call *call, const char *name)
{
    return request_parameter(call->request, name);
}

/* limit and cursor of the query. Without a limit a list returns up to 1,000 rows, as older clients expect. */
bool call_page(const struct call *call, struct page *ret_page, char **ret_cursor,
               GError **error) G_GNUC_WARN_UNUSED_RESULT;
void reply_page(struct call *call, const char *key, const struct type *type, const struct page *page);

/* The same for a list that is always read whole: cuts the page out of call->rows. `key_field` is what the cursor holds. */
bool reply_slice(struct call *call, const char *key, const struct type *type, const char *key_field,
                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Shared look-ups by path or query: {slug}, {id}; ?environment= (default production). */
bool call_project(struct tx *tx, struct call *call, struct project **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool call_service(struct tx *tx, struct call *call, struct service **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* By name or id. NULL: production when something is there, else the environment deployed to last. */
bool call_environment(struct tx *tx, struct call *call, const struct service *service, const char *named,
                      struct environment **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A new project's or environment's row, filled in from its name, with history. In project.c and environment.c. */
bool project_make(struct tx *tx, struct call *call, struct project *project, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool environment_make(struct tx *tx, struct call *call, const struct project *project, struct environment *environment,
                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool is_dry_run(const struct request *request);
