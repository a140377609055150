/* What to build and how. */
#pragma once

#include "contract/contract.h"

enum build_type {
    BUILD_AUTO,
    BUILD_DOCKERFILE,
    BUILD_IMAGE,
    BUILD_GO,
    BUILD_NODE,
    BUILD_PYTHON,
    BUILD_C,
    BUILD_STATIC,
    BUILD_BUILDPACK, /* what older clients send for BUILD_AUTO */
};
extern const char *const build_types[];

struct build_config {
    int type;         /* enum build_type */
    char *context;    /* folder inside the source */
    char *dockerfile; /* path inside the context */
    char *target;
    GPtrArray *build_args; /* string map; visible in the image's history: not for secrets */
    char *image;           /* for BUILD_IMAGE */
};

extern const struct type build_config_type; /* the API's names */
extern const struct type build_spec_type;   /* enclii.yaml's names; bare text is the context */
