/* Questions to a person. On stderr, answers from stdin. */
#pragma once

#include "base/secret.h"
#include "enclii/cli.h"

/* True when the answer is yes, or --yes was given. Without a terminal SY_INVALID_INPUT asks for
 * --yes; a no is SY_CANCELLED. */
bool prompt_confirm(struct cli *cli, const char *question, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One secret: a line from the terminal without echo, else all of stdin up to one final newline. */
struct secret *prompt_secret(struct cli *cli, const char *label, GError **error) G_GNUC_WARN_UNUSED_RESULT;
