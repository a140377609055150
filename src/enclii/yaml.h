/* YAML 1.2 text (a strict subset) to JSON in which every scalar is text, with the place of every member.
 *
 * The subset: one document, no anchors, aliases or tags, no duplicate keys, keys are scalars, at most 32 levels; so no input
 * can grow beyond its own size (alias bombs). A plain scalar that is empty, `~` or `null` becomes null. Pure. */
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
