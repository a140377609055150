/* Reading of JSON members, shared by the files of parse.h. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef json_t json_value; /* for g_autoptr */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_value, json_decref)

/* Parses one object or array; NULL with SY_ENGINE_FAILED. */
json_t *parse_json(const char *text, size_t length, json_type type, GError **error);

const char *member_string(const json_t *object, const char *key); /* "" when absent */
int64_t member_int(const json_t *object, const char *key);        /* 0 when absent */
bool member_bool(const json_t *object, const char *key);
int64_t member_time(const json_t *object, const char *key);   /* RFC 3339; 0 when absent or the zero time */
char **member_strings(const json_t *object, const char *key); /* NULL-ended, never NULL */
