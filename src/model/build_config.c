#include "model/build_config.h"

const char *const build_types[] = {"auto",   "dockerfile", "image",  "go",        "node",
                                   "python", "c",          "static", "buildpack", NULL};

#define BUILD_FIELDS(args_name)                                                                                        \
    {.name = "type",                                                                                                   \
     .kind = KIND_ENUM,                                                                                                \
     .offset = offsetof(struct build_config, type),                                                                    \
     .names = build_types,                                                                                             \
     .fallback = "auto",                                                                                               \
     .doc = "auto looks at the files; buildpack means auto"},                                                          \
        {.name = "context",                                                                                            \
         .kind = KIND_STRING,                                                                                          \
         .offset = offsetof(struct build_config, context),                                                             \
         .check = check_relative,                                                                                      \
         .minimum = 1,                                                                                                 \
         .maximum = 1024,                                                                                              \
         .fallback = ".",                                                                                              \
         .doc = "folder inside the source"},                                                                           \
        {.name = "dockerfile",                                                                                         \
         .kind = KIND_STRING,                                                                                          \
         .offset = offsetof(struct build_config, dockerfile),                                                          \
         .check = check_relative,                                                                                      \
         .minimum = 1,                                                                                                 \
         .maximum = 1024,                                                                                              \
         .doc = "path inside the context"},                                                                            \
        {.name = "target",                                                                                             \
         .kind = KIND_STRING,                                                                                          \
         .offset = offsetof(struct build_config, target),                                                              \
         .check = check_slug,                                                                                          \
         .minimum = 1,                                                                                                 \
         .maximum = 63,                                                                                                \
         .doc = "stage of a multi-stage Dockerfile"},                                                                  \
    {                                                                                                                  \
        .name = args_name, .kind = KIND_STRING_MAP, .offset = offsetof(struct build_config, build_args),               \
        .check = check_variable, .maximum = 64,                                                                        \
        .doc = "build arguments; they stay visible in the image, so no secrets"                                        \
    }

static const struct field build_config_fields[] = {
    BUILD_FIELDS("build_args"),
    {.name = "image",
     .kind = KIND_STRING,
     .offset = offsetof(struct build_config, image),
     .maximum = 512,
     .minimum = 1,
     .check = check_printable,
     .doc = "for type image: the reference to run, best with a digest"},
};
const struct type build_config_type = {
    .name = "BuildConfig",
    .size = sizeof(struct build_config),
    .fields = build_config_fields,
    .n_fields = G_N_ELEMENTS(build_config_fields),
    .doc = "What to build and how.",
};

static const struct field build_spec_fields[] = {BUILD_FIELDS("args")};
const struct type build_spec_type = {
    .name = "Build",
    .size = sizeof(struct build_config),
    .fields = build_spec_fields,
    .n_fields = G_N_ELEMENTS(build_spec_fields),
    .shorthand = "context",
    .doc = "What to build and how; bare text is the folder.",
};
