/* enclii.yaml: the whole project as its owner writes it. */
#pragma once

#include "model/build_config.h"
#include "model/settings.h"

struct service_spec {
    struct build_config build;
    char *image; /* instead of build */
    struct settings settings;
};

struct spec {
    char *project;
    GPtrArray *services; /* map of struct service_spec */
    char *environments;  /* JSON: environment → service → members of Settings; checked by spec_decode
                         */
};

extern const struct type service_spec_type, spec_type;
CONTRACT_AUTOPTR(spec)

/* Decodes and checks everything: unknown and reserved keys, rules across fields, each environment's
 * overrides applied to its service. `mode` is DECODE_CREATE for JSON and DECODE_TEXT for YAML. */
struct spec *spec_decode(const json_t *json, enum decode_mode mode, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The overrides of one service in one environment as JSON text, or NULL. */
char *spec_overrides(const struct spec *spec, const char *environment, const char *service);

/* Applies overrides (JSON text of Settings members, or NULL) to settings. Maps are merged key by
 * key; all else replaces. */
bool settings_apply_overrides(struct settings *settings, const char *overrides, const char *prefix,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What runs: build config of the API's form from a service_spec. */
void service_spec_build_config(const struct service_spec *spec, struct build_config *ret_config);
