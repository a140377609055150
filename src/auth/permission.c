#include "auth/permission.h"

#include <string.h>

static const struct permission permissions[] = {
    {"project.read", SCOPE_READ, false},        {"project.create", SCOPE_DEPLOY, true},
    {"project.update", SCOPE_DEPLOY, false},    {"project.delete", SCOPE_ADMIN, false},
    {"environment.read", SCOPE_READ, false},    {"environment.write", SCOPE_DEPLOY, false},
    {"environment.delete", SCOPE_ADMIN, false}, {"service.read", SCOPE_READ, false},
    {"service.write", SCOPE_DEPLOY, false},     {"service.delete", SCOPE_ADMIN, false},
    {"source.write", SCOPE_DEPLOY, false},      {"release.read", SCOPE_READ, false},
    {"release.create", SCOPE_DEPLOY, false},    {"deployment.read", SCOPE_READ, false},
    {"deployment.create", SCOPE_DEPLOY, false}, {"log.read", SCOPE_READ, false},
    {"event.read", SCOPE_READ, false},          {"variable.read", SCOPE_READ, false},
    {"variable.write", SCOPE_DEPLOY, false},    {"variable.reveal", SCOPE_ADMIN, false},
    {"domain.read", SCOPE_READ, false},         {"domain.write", SCOPE_DEPLOY, false},
    {"token.read", SCOPE_ADMIN, true},          {"token.write", SCOPE_ADMIN, true},
    {"system.read", SCOPE_READ, true},          {"system.write", SCOPE_ADMIN, true},
};

const struct permission *permission_find(const char *name)
{
    for (size_t i = 0; i < sizeof permissions / sizeof permissions[0]; i++) {
        if (strcmp(permissions[i].name, name) == 0) {
            return &permissions[i];
        }
    }
    return NULL;
}

enum scope_level scope_level_from_name(const char *name)
{
    if (strcmp(name, "admin") == 0) {
        return SCOPE_ADMIN;
    }
    if (strcmp(name, "deploy") == 0) {
        return SCOPE_DEPLOY;
    }
    return strcmp(name, "read") == 0 ? SCOPE_READ : SCOPE_NONE;
}

const char *scope_level_name(enum scope_level level)
{
    static const char *const names[] = {"none", "read", "deploy", "admin"};
    return names[level];
}

bool permission_is_granted(const struct permission *permission, enum scope_level level, bool is_bound_to_project)
{
    return level >= permission->level && !(permission->is_global && is_bound_to_project);
}
