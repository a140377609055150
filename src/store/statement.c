#include "store/statement.h"

#include <string.h>

#include "base/error.h"

/* --- text ------------------------------------------------------------------------------------- */

/* The end of the quoted part or comment that starts at p, or NULL when it is not closed. */
static const char *skip_opaque(const char *p)
{
    if (*p == '-') {
        return p + strcspn(p, "\n");
    }
    /* A doubled quote inside is simply two quoted parts side by side. */
    const char *end = strchr(p + 1, *p);
    return end == NULL ? NULL : end + 1;
}

static bool is_opaque(const char *p)
{
    return *p == '\'' || *p == '"' || (p[0] == '-' && p[1] == '-');
}

/* Appends the column list that the braces at *at stand for and moves behind them. */
static bool expand_braces(GString *sql, const char **at, const struct type *type, GError **error)
{
    const char *begin = *at + 1;
    size_t length = strspn(begin, "abcdefghijklmnopqrstuvwxyz_0123456789");
    const char *end = begin + length;
    bool with_alias = length > 0 && *end == '.';
    if (with_alias) {
        end++;
    }
    if (*end != '}' || (length > 0 && !with_alias)) {
        return sy_fail(error, SY_STORE_FAILED, "statement text: expected {} or {alias.} at \"%.20s\"", *at);
    }
    if (type == NULL) {
        return sy_fail(error, SY_STORE_FAILED, "statement text: {} needs a row type");
    }
    g_autofree char *alias = with_alias ? g_strndup(begin, length) : NULL;
    g_autofree char *columns = contract_column_list(type, alias);
    g_string_append(sql, columns);
    *at = end + 1;
    return true;
}

/* The number behind the dollar at p; 0 when there is none. */
static size_t parameter_number(const char *p)
{
    size_t number = 0;
    for (p++; g_ascii_isdigit(*p) && number < 10000; p++) {
        number = number * 10 + (size_t)(*p - '0');
    }
    return number;
}

static char *expand_text(const char *text, const struct type *type, size_t *ret_n, GError **error)
{
    g_autoptr(GString) sql = g_string_new(NULL);
    size_t n = 0;
    for (const char *p = text; *p != '\0';) {
        if (is_opaque(p)) {
            const char *end = skip_opaque(p);
            if (end == NULL) {
                sy_fail(error, SY_STORE_FAILED, "statement text: unclosed quote at \"%.20s\"", p);
                return NULL;
            }
            g_string_append_len(sql, p, end - p);
            p = end;
            continue;
        }
        if (*p == '{') {
            if (!expand_braces(sql, &p, type, error)) {
                return NULL;
            }
            continue;
        }
        if (*p == '$') {
            n = MAX(n, parameter_number(p));
        }
        g_string_append_c(sql, *p++);
    }
    *ret_n = n;
    return g_string_free(g_steal_pointer(&sql), FALSE);
}

static char *insert_text(const struct type *type, size_t *ret_n)
{
    g_autofree char *columns = contract_column_list(type, NULL);
    GString *sql = g_string_new(NULL);
    g_string_append_printf(sql, "INSERT INTO %s (%s) VALUES (", type->table, columns);
    size_t n = contract_n_columns(type);
    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(sql, "%s$%zu", i == 0 ? "" : ", ", i + 1);
    }
    g_string_append_c(sql, ')');
    *ret_n = n;
    return g_string_free(sql, FALSE);
}

static char *update_text(const struct type *type, size_t *ret_n, GError **error)
{
    GString *sql = g_string_new(NULL);
    g_string_append_printf(sql, "UPDATE %s SET ", type->table);
    size_t n = contract_n_columns(type);
    size_t n_set = 0;
    bool has_id = false;
    for (size_t i = 0; i < n; i++) {
        const char *name = contract_column(type, i)->name;
        if (strcmp(name, "id") == 0) {
            has_id = true;
            continue;
        }
        n_set++;
        g_string_append_printf(sql, "%s%s = $%zu", n_set == 1 ? "" : ", ", name, n_set);
    }
    if (!has_id || n_set == 0) {
        g_string_free(sql, TRUE);
        sy_fail(error, SY_STORE_FAILED, "type %s has no id, or nothing but that, to update by", type->name);
        return NULL;
    }
    g_string_append_printf(sql, " WHERE id = $%zu", n_set + 1);
    *ret_n = n;
    return g_string_free(sql, FALSE);
}

char *statement_expand(const struct statement_source *source, size_t *ret_n_parameters, GError **error)
{
    if (source->form == STATEMENT_TEXT) {
        return expand_text(source->text, source->type, ret_n_parameters, error);
    }
    if (source->type->table == NULL) {
        sy_fail(error, SY_STORE_FAILED, "type %s has no table", source->type->name);
        return NULL;
    }
    return source->form == STATEMENT_INSERT ? insert_text(source->type, ret_n_parameters)
                                            : update_text(source->type, ret_n_parameters, error);
}

/* --- cache ------------------------------------------------------------------------------------ */

static guint statement_hash(gconstpointer key)
{
    const struct statement *statement = key;
    return g_str_hash(statement->text) ^ g_direct_hash(statement->type) ^ g_str_hash(statement->kinds) * 31 ^
           (guint)statement->form;
}

static gboolean statement_equal(gconstpointer a, gconstpointer b)
{
    const struct statement *x = a;
    const struct statement *y = b;
    return x->form == y->form && x->type == y->type && strcmp(x->text, y->text) == 0 && strcmp(x->kinds, y->kinds) == 0;
}

static void statement_free(struct statement *statement)
{
    g_free(statement->text);
    g_free(statement->kinds);
    g_free(statement->sql);
    g_free(statement);
}

void statement_cache_init(struct statement_cache *cache, void (*prepared_free)(void *prepared))
{
    cache->table = g_hash_table_new(statement_hash, statement_equal);
    cache->prepared_free = prepared_free;
}

void statement_cache_clear(struct statement_cache *cache)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, cache->table);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct statement *statement = key;
        g_hash_table_iter_remove(&iter);
        if (statement->prepared != NULL) {
            cache->prepared_free(statement->prepared);
        }
        statement_free(statement);
    }
}

void statement_cache_done(struct statement_cache *cache)
{
    if (cache->table != NULL) {
        statement_cache_clear(cache);
        g_clear_pointer(&cache->table, g_hash_table_unref);
    }
}

struct statement *statement_cache_get(struct statement_cache *cache, const struct statement_source *source,
                                      const char *kinds, size_t n_parameters, GError **error)
{
    const struct statement probe = {.form = source->form,
                                    .text = (char *)(source->text != NULL ? source->text : ""),
                                    .type = source->type,
                                    .kinds = (char *)kinds};
    struct statement *found = g_hash_table_lookup(cache->table, &probe);
    if (found == NULL) {
        size_t n = 0;
        g_autofree char *sql = statement_expand(source, &n, error);
        if (sql == NULL) {
            return NULL;
        }
        found = g_new0(struct statement, 1);
        found->form = probe.form;
        found->text = g_strdup(probe.text);
        found->type = probe.type;
        found->kinds = g_strdup(kinds);
        found->sql = g_steal_pointer(&sql);
        found->n_parameters = n;
        g_hash_table_add(cache->table, found);
    }
    if (found->n_parameters != n_parameters) {
        sy_fail(error, SY_STORE_FAILED, "statement has %zu parameters, %zu were given: %.80s", found->n_parameters,
                n_parameters, found->sql);
        return NULL;
    }
    return found;
}
