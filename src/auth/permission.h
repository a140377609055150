/* Permissions: what a route asks for, and which token scope grants it. Pure.
 *
 * Scopes contain one another: admin ⊃ deploy ⊃ read. Roles of users come later and map to the same permissions. */
#pragma once

#include <stdbool.h>

enum scope_level { SCOPE_NONE, SCOPE_READ, SCOPE_DEPLOY, SCOPE_ADMIN };

struct permission {
    const char *name;       /* "project.read" */
    enum scope_level level; /* the least that grants it */
    bool is_global;         /* concerns no single project: a token bound to one does not have it */
};

/* NULL when there is no such permission: a route that names it is refused at start. */
const struct permission *permission_find(const char *name);

/* Level of a scope's name, SCOPE_NONE when unknown. */
enum scope_level scope_level_from_name(const char *name);
const char *scope_level_name(enum scope_level level); /* "none", "read", … */

bool permission_is_granted(const struct permission *permission, enum scope_level level, bool is_bound_to_project);
