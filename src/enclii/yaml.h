/* YAML 1.2 text (a strict subset) to JSON in which every scalar is text, with the place of every member.
 *
 * The subset: one document, no tags, no duplicate keys, keys are scalars, at most 32 levels. Aliases are copied where they stand;
 * what all of them copy together is bounded (alias bombs), and none may stand inside its own anchor. A plain scalar that is
 * empty, `~` or `null` becomes null. Pure.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct yaml_place {
    int line, column; /* both from 1 */
};

struct yaml_document {
    json_t *json;
    GHashTable *keys;   /* path as contract_decode writes it (services.web.port, command[1]) → struct yaml_place * */
    GHashTable *values; /* the same paths */
};

/* SY_INVALID_INPUT; the message begins with "LINE:COLUMN: ". */
bool yaml_parse(const char *text, size_t length, struct yaml_document *ret_document,
                GError **error) G_GNUC_WARN_UNUSED_RESULT;
void yaml_document_clear(struct yaml_document *document);
typedef struct yaml_document yaml_document_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(yaml_document_t, yaml_document_clear)
