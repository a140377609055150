/* .env files: KEY=VALUE lines as docker compose and direnv users write them.
 *
 * `export` in front is allowed; `#` begins a comment at the start of a line and after a blank.
 * 'single quotes' are literal, "double quotes" know \n \r \t \" \\ \$; both may span lines. Nothing
 * is ever expanded: `$` is a character. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A map of struct string_pair (contract.h); a later line wins. SY_INVALID_INPUT names `name` and the
 * line. */
GPtrArray *dotenv_parse(const char *text, size_t length, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
