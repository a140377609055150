/* One PostgreSQL connection: connecting, bounded waits, errors, statements. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/postgresql.h"

/* The server ends a statement at its limit; when even that answer does not come, the connection is
 * lost. */
#define PIPELINE_MAX 8 /* commands in one pipeline, and more */
#define ANSWER_GRACE_MS 2000

/* How often a wait looks whether the server is known to hang. */
#define BETWEEN_LOOKS_MS 200
#define MAX_PARAMETERS 1000

/* pg_type.h */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_NAME = 19,
    OID_UNKNOWN = 705,
    OID_VARCHAR = 1043,
    OID_NUMERIC = 1700
};

/* --- errors ----------------------------------------------------------------------------------- */

static bool is_state(const char *state, const char *const *list)
{
    return g_strv_contains(list, state);
}

static enum sy_code code_of(const char *state)
{
    if (strcmp(state, "23505") == 0) {
        return SY_ALREADY_EXISTS;
    }
    if (g_str_has_prefix(state, "23")) {
        return SY_CONFLICT;
    }
    if (strcmp(state, "53100") == 0) {
        return SY_DISK_FULL;
    }
    /* Deadlock, serialisation, lock_timeout, statement_timeout. */
    if (is_state(state, (const char *[]){"40001", "40P01", "55P03", "57014", NULL})) {
        return SY_STORE_BUSY;
    }
    if (g_str_has_prefix(state, "08") || g_str_has_prefix(state, "57P") || strcmp(state, "53300") == 0) {
        return SY_STORE_UNAVAILABLE;
    }
    return SY_STORE_FAILED;
}

static bool lose(struct postgresql_connection *connection, struct postgresql_failure *ret_failure, const char *why,
                 GError **error)
{
    connection->is_broken = true;
    *ret_failure = (struct postgresql_failure){.is_soft = true, .is_lost = true};
    return sy_fail(error, SY_STORE_UNAVAILABLE, "connection to the database was lost: %s", why);
}

/* libpq's words without the trailing newline. */
static char *libpq_message(const PGconn *pg)
{
    return g_strstrip(g_strdup(PQerrorMessage(pg)));
}

static bool lose_by_libpq(struct postgresql_connection *connection, struct postgresql_failure *ret_failure,
                          GError **error)
{
    g_autofree char *message = libpq_message(connection->pg);
    return lose(connection, ret_failure, message, error);
}

/* Sets the error that a server's error report stands for. */
static bool fail_by_result(struct postgresql_connection *connection, const PGresult *result,
                           struct postgresql_failure *ret_failure, GError **error)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    if (state == NULL || PQstatus(connection->pg) == CONNECTION_BAD) {
        return message != NULL ? lose(connection, ret_failure, message, error)
                               : lose_by_libpq(connection, ret_failure, error);
    }
    enum sy_code code = code_of(state);
    if (strcmp(state, "XX001") == 0 || strcmp(state, "XX002") == 0) {
        store_set_fatal(&connection->store->base); /* a corrupt page, a corrupt index */
    }
    /* A plan of before a migration, or a statement that a pooler forgot: a new connection prepares
     * anew. */
    bool is_stale = is_state(state, (const char *[]){"26000", NULL}) ||
                    (strcmp(state, "0A000") == 0 && strstr(message, "cached plan") != NULL);
    *ret_failure = (struct postgresql_failure){
        .is_soft =
            is_stale || code == SY_STORE_UNAVAILABLE || is_state(state, (const char *[]){"40001", "40P01", NULL}),
        .is_lost = is_stale || code == SY_STORE_UNAVAILABLE,
    };
    connection->is_broken |= ret_failure->is_lost;
    return sy_fail(error, code, "%s (SQLSTATE %s%s%s)", message != NULL ? message : "error", state,
                   position != NULL ? ", at character " : "", position != NULL ? position : "");
}

/* --- waiting ---------------------------------------------------------------------------------- */

bool postgresql_is_hung(struct postgresql_store *store)
{
    int64_t since_us = atomic_load(&store->silent_since_us);
    return since_us != 0 && g_get_monotonic_time() - since_us > POSTGRESQL_HUNG_US;
}

/* False when the deadline passed, the server hangs, or the socket is gone. */
static bool wait_for_socket(const struct postgresql_connection *connection, short events, int64_t deadline_us)
{
    struct pollfd fd = {.fd = PQsocket(connection->pg), .events = events};
    for (;;) {
        int64_t left_us = deadline_us - g_get_monotonic_time();
        if (fd.fd < 0 || left_us <= 0 || (!connection->is_ping && postgresql_is_hung(connection->store))) {
            return false;
        }
        int n = poll(&fd, 1, (int)MIN(left_us / 1000 + 1, BETWEEN_LOOKS_MS));
        if (n > 0) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
    }
}

static bool flush(struct postgresql_connection *connection, int64_t deadline_us)
{
    PGconn *pg = connection->pg;
    int rc;
    while ((rc = PQflush(pg)) == 1) {
        /* The server may be blocked on sending to us: read, too. */
        if (!wait_for_socket(connection, POLLIN | POLLOUT, deadline_us) || PQconsumeInput(pg) == 0) {
            return false;
        }
    }
    return rc == 0;
}

/* The next result, NULL when there is no more. False when the connection was lost. */
static bool next_result(struct postgresql_connection *connection, int64_t deadline_us, PGresult **ret_result,
                        struct postgresql_failure *ret_failure, GError **error)
{
    PGconn *pg = connection->pg;
    while (PQisBusy(pg) != 0) {
        if (!wait_for_socket(connection, POLLIN, deadline_us)) {
            return lose(connection, ret_failure, "no answer in time", error);
        }
        if (PQconsumeInput(pg) == 0) {
            return lose_by_libpq(connection, ret_failure, error);
        }
    }
    *ret_result = PQgetResult(pg);
    return true;
}

static bool is_failure(const PGresult *result)
{
    ExecStatusType status = result != NULL ? PQresultStatus(result) : PGRES_COMMAND_OK;
    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

/* The results of one command, or of a pipeline up to its end: in *kept the first error, else the last result. */
static bool collect_results(struct postgresql_connection *connection, int64_t deadline_us, PGresult **kept,
                            struct postgresql_failure *ret_failure, GError **error)
{
    bool is_pipeline = PQpipelineStatus(connection->pg) != PQ_PIPELINE_OFF;
    for (int n_ends = 0; n_ends < (is_pipeline ? PIPELINE_MAX : 1);) {
        PGresult *result = NULL;
        if (!next_result(connection, deadline_us, &result, ret_failure, error)) {
            return false;
        }
        if (result == NULL) {
            n_ends++; /* of one command */
            continue;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            PQclear(result);
            return lose(connection, ret_failure, "COPY is not supported", error);
        }
        PGresult *worse = is_failure(*kept) || status == PGRES_PIPELINE_SYNC ? result : *kept;
        *kept = worse == result ? *kept : result;
        PQclear(worse);
        if (status == PGRES_PIPELINE_SYNC) {
            return PQexitPipelineMode(connection->pg) == 1 || lose_by_libpq(connection, ret_failure, error);
        }
    }
    return !is_pipeline || lose_by_libpq(connection, ret_failure, error);
}

/* After a successful PQsend…: flushes and takes all results. */
static PGresult *take_results(struct postgresql_connection *connection, int64_t limit_ms,
                              struct postgresql_failure *ret_failure, GError **error)
{
    int64_t deadline_us = deadline_after_ms(connection->is_ping ? POSTGRESQL_PING_MS : limit_ms + ANSWER_GRACE_MS);
    if (!flush(connection, deadline_us)) {
        lose_by_libpq(connection, ret_failure, error);
        return NULL;
    }
    PGresult *kept = NULL;
    if (!collect_results(connection, deadline_us, &kept, ret_failure, error)) {
        PQclear(kept);
        return NULL;
    }
    if (kept == NULL) {
        lose_by_libpq(connection, ret_failure, error);
        return NULL;
    }
    ExecStatusType status = PQresultStatus(kept);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        fail_by_result(connection, kept, ret_failure, error);
        PQclear(kept);
        return NULL;
    }
    return kept;
}

/* Reads what is still to come of the transaction before. */
static bool settle(struct postgresql_connection *connection, struct postgresql_failure *ret_failure, GError **error)
{
    if (!connection->is_ending) {
        return true;
    }
    connection->is_ending = false;
    PGresult *result = take_results(connection, connection->store->base.options.statement_ms, ret_failure, error);
    if (result == NULL && !connection->is_broken) {
        g_clear_error(error);
        return lose(connection, ret_failure, "the transaction before could not be rolled back", error);
    }
    PQclear(result);
    return result != NULL;
}

bool postgresql_simple(struct postgresql_connection *connection, const char *text, int64_t limit_ms, char *ret_tag,
                       struct postgresql_failure *ret_failure, GError **error)
{
    if (limit_ms == 0) {
        limit_ms = connection->store->base.options.statement_ms;
    }
    *ret_failure = (struct postgresql_failure){0};
    if (!settle(connection, ret_failure, error)) {
        return false;
    }
    if (PQsendQuery(connection->pg, text) == 0) {
        return lose_by_libpq(connection, ret_failure, error);
    }
    PGresult *result = take_results(connection, limit_ms, ret_failure, error);
    if (result == NULL) {
        return false;
    }
    if (ret_tag != NULL) {
        g_strlcpy(ret_tag, PQcmdStatus(result), 32);
    }
    PQclear(result);
    return true;
}

/* --- transactions ----------------------------------------------------------------------------- */

void postgresql_begin(struct postgresql_connection *connection, const char *begin)
{
    connection->begin = begin;
}

bool postgresql_has_begun(const struct postgresql_connection *connection)
{
    return connection->begin == NULL;
}

bool postgresql_is_idle(const struct postgresql_connection *connection)
{
    return connection->is_ending || PQtransactionStatus(connection->pg) == PQTRANS_IDLE;
}

void postgresql_end(struct postgresql_connection *connection)
{
    connection->begin = NULL;
    if (connection->is_broken || postgresql_is_idle(connection)) {
        return;
    }
    connection->is_ending = PQsendQuery(connection->pg, "ROLLBACK") != 0 && PQflush(connection->pg) >= 0;
    connection->is_broken = !connection->is_ending;
}

/* --- connecting ------------------------------------------------------------------------------- */

/* The user's URL wins over what stands before it; UTF-8 over the URL. */
static PGconn *connect_by_url(const char *url)
{
    const char *const keys[] = {
        "application_name", "connect_timeout",  "keepalives", "keepalives_idle", "keepalives_interval",
        "keepalives_count", "tcp_user_timeout", "dbname",     "client_encoding", NULL};
    const char *const values[] = {"enclii", "3", "1", "10", "5", "3", "15000", url, "UTF8", NULL};
    return PQconnectdbParams(keys, values, 1);
}

/* The server's word on one setting; newly allocated. */
static char *show(struct postgresql_connection *connection, const char *name)
{
    g_autofree char *text = g_strdup_printf("SHOW %s", name);
    PGresult *result = PQexec(connection->pg, text);
    char *value = PQresultStatus(result) == PGRES_TUPLES_OK ? g_strdup(PQgetvalue(result, 0, 0)) : g_strdup("?");
    PQclear(result);
    return value;
}

/* An acknowledged write must be on disk: synchronous_commit may be stronger than `on`, never weaker
 * than local. */
static bool check_durability(struct postgresql_connection *connection, GError **error)
{
    g_autofree char *commits = show(connection, "synchronous_commit");
    struct postgresql_failure failure;
    if (strcmp(commits, "off") == 0 &&
        !postgresql_simple(connection, "SET synchronous_commit = on", 0, NULL, &failure, error)) {
        return false;
    }
    if (connection->store->base.options.allow_volatile) {
        return true;
    }
    for (const char *const *name = (const char *[]){"fsync", "full_page_writes", NULL}; *name != NULL; name++) {
        g_autofree char *value = show(connection, *name);
        if (strcmp(value, "on") != 0) {
            sy_fail(error, SY_STORE_FAILED,
                    "the server runs with %s = %s: a power failure would lose what was acknowledged", *name, value);
            sy_error_set_hint(error, "Set %s = on in postgresql.conf and reload the server.", *name);
            return false;
        }
    }
    return true;
}

static bool set_up(struct postgresql_connection *connection, GError **error)
{
    const struct store_options *options = &connection->store->base.options;
    int version = PQserverVersion(connection->pg);
    if (version < 130000) {
        return sy_fail(error, SY_STORE_FAILED, "the server is PostgreSQL %d; 13 is the oldest that works",
                       version / 10000);
    }
    /* The last one makes a server notice that its client died, which else holds its locks until the statement ends. */
    g_autofree char *text =
        g_strdup_printf("SET statement_timeout = %" G_GINT64_FORMAT "; SET lock_timeout = %" G_GINT64_FORMAT
                        "; SET idle_in_transaction_session_timeout = 60000; SET timezone = 'UTC'"
                        "; SET default_transaction_isolation = 'read committed'; SET standard_conforming_strings = on"
                        "; SET client_min_messages = error%s",
                        options->statement_ms, MIN(options->wait_ms, options->statement_ms),
                        version >= 140000 ? "; SET client_connection_check_interval = 1000" : "");
    struct postgresql_failure failure;
    return postgresql_simple(connection, text, 0, NULL, &failure, error) && check_durability(connection, error);
}

static void ignore_notice(void *arg, const PGresult *result)
{
}

/* Closing the connection forgets its statements; before that DEALLOCATE ALL does (see
 * pool_acquire). */
static void forget(void *prepared)
{
    g_free(prepared);
}

struct postgresql_connection *postgresql_connect(struct postgresql_store *store, GError **error)
{
    struct postgresql_connection *connection = g_new0(struct postgresql_connection, 1);
    connection->store = store;
    statement_cache_init(&connection->statements, forget);
    connection->pg = connect_by_url(store->url);
    bool ok = PQstatus(connection->pg) == CONNECTION_OK;
    if (!ok) {
        g_autofree char *message = libpq_message(connection->pg);
        sy_fail(error, SY_STORE_UNAVAILABLE, "cannot connect to the database: %s", message);
    } else {
        PQsetNoticeReceiver(connection->pg, ignore_notice, NULL);
        ok = PQsetnonblocking(connection->pg, 1) == 0 || sy_fail(error, SY_INTERNAL, "PQsetnonblocking");
    }
    if (!ok || !set_up(connection, error)) {
        postgresql_connection_free(connection);
        return NULL;
    }
    return connection;
}

void postgresql_connection_free(struct postgresql_connection *connection)
{
    if (connection != NULL) {
        statement_cache_done(&connection->statements);
        PQfinish(connection->pg);
        g_free(connection);
    }
}

/* --- statements ------------------------------------------------------------------------------- */

/* '0', 'i', 't' per parameter. The columns type an insert's and an update's parameters. */
static char *kinds_of(const struct query *query)
{
    if (query->source.form != STATEMENT_TEXT) {
        return g_strdup("");
    }
    char *kinds = g_malloc(query->n_parameters + 1);
    for (size_t i = 0; i < query->n_parameters; i++) {
        kinds[i] = "0it"[query->parameters[i].kind];
    }
    kinds[query->n_parameters] = '\0';
    return kinds;
}

static bool prepare(struct postgresql_connection *connection, struct statement *statement,
                    struct postgresql_failure *ret_failure, GError **error)
{
    size_t n = strlen(statement->kinds);
    g_autofree Oid *types = g_new0(Oid, n + 1);
    for (size_t i = 0; i < n; i++) {
        types[i] = statement->kinds[i] == 'i' ? OID_INT8 : statement->kinds[i] == 't' ? OID_TEXT : 0;
    }
    g_autofree char *name = g_strdup_printf("s%u", connection->next_name++);
    if (PQsendPrepare(connection->pg, name, statement->sql, (int)n, types) == 0) {
        return lose_by_libpq(connection, ret_failure, error);
    }
    PGresult *result = take_results(connection, connection->store->base.options.statement_ms, ret_failure, error);
    if (result == NULL) {
        return false;
    }
    PQclear(result);
    statement->prepared = g_steal_pointer(&name);
    return true;
}

static bool send_prepared(struct postgresql_connection *connection, const char *name, const struct query *query)
{
    size_t n = query->n_parameters;
    g_autofree const char **values = g_new0(const char *, n + 1);
    g_autofree char *numbers = g_malloc(n * 24 + 1);
    for (size_t i = 0; i < n; i++) {
        const struct sql_value *value = &query->parameters[i];
        if (value->kind == SQL_INT) {
            g_snprintf(numbers + i * 24, 24, "%" G_GINT64_FORMAT, value->integer);
            values[i] = numbers + i * 24;
        } else if (value->kind == SQL_TEXT) {
            values[i] = value->text;
        }
    }
    return PQsendQueryPrepared(connection->pg, name, (int)n, values, NULL, NULL, 0) != 0;
}

static bool to_integer(const char *text, struct sql_value *ret_value)
{
    gint64 integer = 0;
    bool ok = g_ascii_string_to_signed(text, 10, INT64_MIN, INT64_MAX, &integer, NULL);
    *ret_value = (struct sql_value){.kind = SQL_INT, .integer = integer};
    return ok;
}

static bool read_value(const PGresult *result, int row, int column, struct sql_value *ret_value, GError **error)
{
    const char *text = PQgetvalue(result, row, column);
    if (PQgetisnull(result, row, column) != 0) {
        *ret_value = (struct sql_value){.kind = SQL_NULL};
        return true;
    }
    bool ok = false;
    switch (PQftype(result, column)) {
    case OID_INT8:
    case OID_INT4:
    case OID_INT2:
    case OID_NUMERIC:
        ok = to_integer(text, ret_value);
        break;
    case OID_BOOL:
        *ret_value = (struct sql_value){.kind = SQL_INT, .integer = *text == 't'};
        ok = true;
        break;
    case OID_TEXT:
    case OID_VARCHAR:
    case OID_NAME:
    case OID_UNKNOWN:
        *ret_value = (struct sql_value){.kind = SQL_TEXT, .text = text};
        ok = true;
        break;
    default:
        break;
    }
    return ok || sy_fail(error, SY_STORE_FAILED, "column %s is neither a whole number nor text: cast it",
                         PQfname(result, column));
}

static bool hand_rows(const PGresult *result, struct query *query, GError **error)
{
    size_t n = (size_t)PQnfields(result);
    g_autofree struct sql_value *values = g_new(struct sql_value, n + 1);
    for (int row = 0; query->row_fn != NULL && row < PQntuples(result); row++) {
        for (size_t i = 0; i < n; i++) {
            if (!read_value(result, row, (int)i, &values[i], error)) {
                return false;
            }
        }
        if (!query->row_fn(values, n, query->row_arg, error)) {
            query->row_failed = true;
            return false;
        }
    }
    return true;
}

/* Rows inserted, updated or deleted; a SELECT's tag counts rows, too, which are not changes. */
static int64_t changed_rows(PGresult *result)
{
    gint64 n = 0;
    bool is_select = g_str_has_prefix(PQcmdStatus(result), "SELECT");
    return !is_select && g_ascii_string_to_signed(PQcmdTuples(result), 10, 0, INT64_MAX, &n, NULL) ? n : 0;
}

/* `begin` and the statement in one pipeline: one round trip for both. */
static bool send_with_begin(struct postgresql_connection *connection, const char *name, const struct query *query)
{
    PGconn *pg = connection->pg;
    const char *begin = g_steal_pointer(&connection->begin);
    return PQenterPipelineMode(pg) == 1 && PQsendQueryParams(pg, begin, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
           send_prepared(connection, name, query) && PQpipelineSync(pg) == 1;
}

static bool send_statement(struct postgresql_connection *connection, const char *name, const struct query *query)
{
    return connection->begin != NULL ? send_with_begin(connection, name, query)
                                     : send_prepared(connection, name, query);
}

bool postgresql_run(struct postgresql_connection *connection, struct query *query,
                    struct postgresql_failure *ret_failure, GError **error)
{
    *ret_failure = (struct postgresql_failure){0};
    if (!settle(connection, ret_failure, error)) {
        return false;
    }
    if (query->n_parameters > MAX_PARAMETERS) {
        return sy_fail(error, SY_STORE_FAILED, "more than %d parameters", MAX_PARAMETERS);
    }
    g_autofree char *kinds = kinds_of(query);
    struct statement *statement =
        statement_cache_get(&connection->statements, &query->source, kinds, query->n_parameters, error);
    if (statement == NULL || (statement->prepared == NULL && !prepare(connection, statement, ret_failure, error))) {
        return false;
    }
    if (!send_statement(connection, statement->prepared, query)) {
        return lose_by_libpq(connection, ret_failure, error);
    }
    PGresult *result = take_results(connection, connection->store->base.options.statement_ms, ret_failure, error);
    if (result == NULL) {
        return false;
    }
    query->n_changed = changed_rows(result);
    bool ok = hand_rows(result, query, error);
    PQclear(result);
    return ok;
}
