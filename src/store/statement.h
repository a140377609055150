/* Statement text and the per-connection cache of what was prepared from it.
 *
 * A statement is told by its source: constant text that may hold `{}` or `{alias.}` (the column
 * list of `type`), or the insert or update that a type's table implies. Text inside quotes and
 * comments is left alone. A cache belongs to one connection and is used by one thread at a time. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "contract/contract.h"

enum statement_form {
    STATEMENT_TEXT,
    STATEMENT_INSERT, /* every column of type; parameters in column order */
    STATEMENT_UPDATE, /* every column but id, then id: parameters in that order */
};

struct statement_source {
    enum statement_form form;
    const char *text;        /* STATEMENT_TEXT only */
    const struct type *type; /* may be NULL with STATEMENT_TEXT when no {} is in it */
};

/* The SQL, newly allocated, and the highest $n in it. SY_STORE_FAILED for a {} without a type, a
 * type without a table or id, an unclosed quote. */
char *statement_expand(const struct statement_source *source, size_t *ret_n_parameters,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

struct statement {
    enum statement_form form;
    char *text; /* of the source */
    const struct type *type;
    char *kinds; /* '0', 'i' or 't' per parameter where the database types them at preparation; else
                    "" */
    char *sql;
    size_t n_parameters;
    void *prepared; /* the database's; freed by the cache's prepared_free */
};

struct statement_cache {
    GHashTable *table; /* a set of struct statement, owned */
    void (*prepared_free)(void *prepared);
};

/* More distinct statements than this on one connection: all are dropped when the next unit of work
 * begins. A program's text is constant, so that is never reached unless somebody builds text. */
#define STATEMENT_CACHE_LIMIT 500

void statement_cache_init(struct statement_cache *cache, void (*prepared_free)(void *prepared));
void statement_cache_done(struct statement_cache *cache);
void statement_cache_clear(struct statement_cache *cache);

/* The statement for this source and these parameters, made (not yet prepared) when it is new; owned
 * by the cache. SY_STORE_FAILED when the number of parameters is not the text's. */
struct statement *statement_cache_get(struct statement_cache *cache, const struct statement_source *source,
                                      const char *kinds, size_t n_parameters, GError **error) G_GNUC_WARN_UNUSED_RESULT;
