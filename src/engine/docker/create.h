/* The body of POST /containers/create: where a container is hardened. Pure. */
#pragma once

#include "engine/engine.h"

struct create_facts {
    const char *installation;
    bool has_init;      /* the engine can put a small init in front of the program */
    int64_t open_files; /* bound of descriptors; never above the engine's own hard limit */
    bool is_filled;     /* volumes have been filled from the image already, by docker_own_volumes */
};

/* SY_INVALID_INPUT when the spec cannot be written so; the message holds no value of the environment. The body may hold
 * secret values: wipe it. */
GString *create_body(const struct engine_instance_spec *spec, const struct create_facts *facts, GError **error);
