/* Errors: GError in the domain SY_ERROR, with an optional hint and a list of field issues.
 *
 * Invariants: a function that fails sets the error exactly once; outputs are untouched on failure.
 * Each layer that knows something new adds one prefix with g_prefix_error(). Libraries never log.
 * The hint says what to do next; without one of its own an error has its code's default hint.
 * Issues are the per-field findings of a validation (RFC 9457 section 3.2, member `errors`).
 * Threads: a GError belongs to one thread at a time. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum sy_code {
#define X(name, status, exit_code, retryable, hint) SY_##name,
#include "base/errors.def"
#undef X
    SY_N_CODES
};

#define SY_ERROR (sy_error_quark())
GQuark sy_error_quark(void);

/* One finding about one field; all three are owned by the error. */
struct sy_issue {
    char *path;   /* services.web.port */
    char *code;   /* lower case, stable: required, unknown, range, pattern, type, … */
    char *detail; /* must be 1..65535 */
};

/* Facts of a code that hold for every occurrence. */
struct sy_code_info {
    const char *name; /* stable, upper case: INVALID_INPUT */
    int status;       /* HTTP */
    int exit_code;    /* of the CLI */
    bool retryable;
    const char *hint;
};
const struct sy_code_info *sy_code_info(enum sy_code code);

/* Code with this upper-case name, or -1. */
int sy_code_from_name(const char *name);

/* Sets *error (unless error is NULL) to `code` with a formatted detail. Always returns false, so
 * that a failing function can end with `return sy_fail(error, …)`. */
bool sy_fail(GError **error, enum sy_code code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* As sy_fail, appending strerror(saved_errno); ENOSPC and EDQUOT become SY_DISK_FULL. */
bool sy_fail_errno(GError **error, int saved_errno, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Replaces the hint of an error that sy_fail has set. */
void sy_error_set_hint(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Adds a finding, creating an SY_INVALID_INPUT error when there is none yet. */
void sy_error_add_issue(GError **error, const char *path, const char *code, const char *detail);

/* The code, or SY_INTERNAL for errors of a foreign domain. */
enum sy_code sy_error_code(const GError *error);
const char *sy_error_hint(const GError *error);

/* Borrowed array of struct sy_issue *, or NULL when there are none. */
const GPtrArray *sy_error_issues(const GError *error);
