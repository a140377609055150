/* The statement functions of a unit of work: everything is one struct query, handed to the
 * database. */
#include <string.h>

#include "base/error.h"
#include "store/internal.h"

enum store_dialect tx_dialect(const struct tx *tx)
{
    return tx->store->backend->dialect;
}

static bool run(struct tx *tx, struct query *query, GError **error)
{
    if (tx->failure != NULL) {
        return sy_fail(error, SY_STORE_FAILED, "an earlier statement of this unit of work failed: %s",
                       tx->failure->message);
    }
    g_autoptr(GError) failure = NULL;
    if (tx->store->backend->query(tx, query, &failure)) {
        return true;
    }
    if (!query->row_failed) {
        tx->failure = g_error_copy(failure);
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

bool tx_exec(struct tx *tx, const char *text, const struct sql_value *parameters, size_t n_parameters,
             int64_t *ret_changed, GError **error)
{
    struct query query = {.source = {.text = text}, .parameters = parameters, .n_parameters = n_parameters};
    if (!run(tx, &query, error)) {
        return false;
    }
    if (ret_changed != NULL) {
        *ret_changed = query.n_changed;
    }
    return true;
}

bool tx_query(struct tx *tx, const char *text, const struct sql_value *parameters, size_t n_parameters,
              tx_row_fn row_fn, void *arg, GError **error)
{
    struct query query = {.source = {.text = text},
                          .parameters = parameters,
                          .n_parameters = n_parameters,
                          .row_fn = row_fn,
                          .row_arg = arg};
    return run(tx, &query, error);
}

bool tx_now(struct tx *tx, int64_t *ret_now_us, GError **error)
{
    return tx->store->backend->now(tx, ret_now_us, error);
}

/* --- objects ---------------------------------------------------------------------------------- */

/* Column values of an object; `owned` parts are released by values_free. */
static struct sql_value *values_of(const struct type *type, const void *object, bool id_last)
{
    size_t n = contract_n_columns(type);
    struct sql_value *values = g_new0(struct sql_value, n);
    size_t next = 0;
    for (size_t i = 0; i < n; i++) {
        const struct field *field = contract_column(type, i);
        bool is_id = id_last && strcmp(field->name, "id") == 0;
        contract_get_column(type, field, object, &values[is_id ? n - 1 : next]);
        next += is_id ? 0 : 1;
    }
    return values;
}

static void values_free(struct sql_value *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sql_value_clear(&values[i]);
    }
    g_free(values);
}

bool tx_insert(struct tx *tx, const struct type *type, const void *object, GError **error)
{
    size_t n = contract_n_columns(type);
    struct sql_value *values = values_of(type, object, false);
    struct query query = {.source = {.form = STATEMENT_INSERT, .type = type}, .parameters = values, .n_parameters = n};
    bool ok = run(tx, &query, error);
    values_free(values, n);
    return ok;
}

bool tx_update(struct tx *tx, const struct type *type, const void *object, GError **error)
{
    size_t n = contract_n_columns(type);
    struct sql_value *values = values_of(type, object, true);
    struct query query = {.source = {.form = STATEMENT_UPDATE, .type = type}, .parameters = values, .n_parameters = n};
    bool ok = run(tx, &query, error);
    values_free(values, n);
    if (ok && query.n_changed == 0) {
        return sy_fail(error, SY_NOT_FOUND, "%s does not exist", type->name);
    }
    return ok;
}

struct rows {
    const struct type *type;
    GPtrArray *objects; /* tx_list */
    void *object;       /* tx_get */
};

static bool take_only_row(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    struct rows *rows = arg;
    if (rows->object != NULL) {
        return sy_fail(error, SY_STORE_FAILED, "more than one %s where one was expected", rows->type->name);
    }
    rows->object = contract_from_row(rows->type, values, n_values, error);
    return rows->object != NULL;
}

bool tx_get(struct tx *tx, const struct type *type, void **ret_object, const char *text,
            const struct sql_value *parameters, size_t n_parameters, GError **error)
{
    struct rows rows = {.type = type};
    struct query query = {.source = {.text = text, .type = type},
                          .parameters = parameters,
                          .n_parameters = n_parameters,
                          .row_fn = take_only_row,
                          .row_arg = &rows};
    if (!run(tx, &query, error)) {
        contract_free(type, rows.object);
        return false;
    }
    *ret_object = rows.object;
    return true;
}

static bool take_row(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    struct rows *rows = arg;
    void *object = contract_from_row(rows->type, values, n_values, error);
    if (object == NULL) {
        return false;
    }
    g_ptr_array_add(rows->objects, object);
    return true;
}

bool tx_list(struct tx *tx, const struct type *type, GPtrArray **ret_objects, const char *text,
             const struct sql_value *parameters, size_t n_parameters, GError **error)
{
    g_autoptr(GPtrArray) objects = contract_array_new(type);
    struct rows rows = {.type = type, .objects = objects};
    struct query query = {.source = {.text = text, .type = type},
                          .parameters = parameters,
                          .n_parameters = n_parameters,
                          .row_fn = take_row,
                          .row_arg = &rows};
    if (!run(tx, &query, error)) {
        return false;
    }
    *ret_objects = g_steal_pointer(&objects);
    return true;
}

/* --- one value -------------------------------------------------------------------------------- */

struct first_value {
    bool is_seen;
    bool wants_text;
    struct sql_value value;
};

/* Keeps the first row's first column; later rows are passed over. */
static bool take_first_value(const struct sql_value *values, size_t n_values, void *arg, GError **error)
{
    struct first_value *first = arg;
    if (first->is_seen || n_values == 0) {
        return true;
    }
    first->is_seen = true;
    if (values[0].kind == SQL_NULL) {
        return true;
    }
    if ((values[0].kind == SQL_TEXT) != first->wants_text) {
        return sy_fail(error, SY_STORE_FAILED, "statement gives %s where %s was expected",
                       first->wants_text ? "a number" : "text", first->wants_text ? "text" : "a number");
    }
    first->value.kind = values[0].kind;
    first->value.integer = values[0].integer;
    first->value.owned = first->wants_text ? g_strdup(values[0].text) : NULL;
    return true;
}

static bool get_first(struct tx *tx, struct first_value *first, const char *text, const struct sql_value *parameters,
                      size_t n_parameters, GError **error)
{
    struct query query = {.source = {.text = text},
                          .parameters = parameters,
                          .n_parameters = n_parameters,
                          .row_fn = take_first_value,
                          .row_arg = first};
    if (!run(tx, &query, error)) {
        g_clear_pointer(&first->value.owned, g_free);
        return false;
    }
    return true;
}

bool tx_get_int(struct tx *tx, int64_t absent, int64_t *ret_value, const char *text, const struct sql_value *parameters,
                size_t n_parameters, GError **error)
{
    struct first_value first = {0};
    if (!get_first(tx, &first, text, parameters, n_parameters, error)) {
        return false;
    }
    *ret_value = first.value.kind == SQL_INT ? first.value.integer : absent;
    return true;
}

bool tx_get_text(struct tx *tx, char **ret_value, const char *text, const struct sql_value *parameters,
                 size_t n_parameters, GError **error)
{
    struct first_value first = {.wants_text = true};
    if (!get_first(tx, &first, text, parameters, n_parameters, error)) {
        return false;
    }
    *ret_value = first.value.owned;
    return true;
}
