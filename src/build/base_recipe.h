/* Base images that can be assembled here, and what stands for them where a registry is reachable. Constant. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define BASE_DEBIAN "debian:bookworm-slim"

struct base_recipe {
    const char *name;       /* "enclii/base-go:bookworm" */
    const char *upstream;   /* pulled and given that name; NULL: made from Debian's image even then */
    const char *dockerfile; /* FROM BASE_DEBIAN */
};
/* NULL when there is none. `reference` as base_normal_name gives it. */
const struct base_recipe *base_recipe_find(const char *reference);

/* True for the names of Debian 12: they all mean the one that is assembled. */
bool base_is_debian(const char *reference);

/* Without "docker.io/" and "library/", with ":latest" when neither tag nor digest is given. NULL when it is no reference. */
char *base_normal_name(const char *reference);
