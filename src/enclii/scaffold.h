/* A first enclii.yaml for a folder that has none: what is there, by the builder's own eyes, and the text that says so. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct scaffold_service {
    char *name;
    char *context; /* "." or "./apps/web" */
    char *builder; /* node */
    char *label;   /* Node 18 */
    char *reason;  /* package.json has a start script */
    int64_t port;  /* 0: not known */
};

/* The root alone when something fits it; else its folders, and those of apps/, services/ and packages/, that hold something.
 * SY_NOT_DETECTED when nothing does. An array of struct scaffold_service *. */
GPtrArray *scaffold_look(const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A project's slug from any name: "My_App" → "my-app". Newly allocated, always valid. */
char *scaffold_slug(const char *name);

/* The file's text; valid YAML that spec_file_parse takes. */
char *scaffold_text(const char *project, const GPtrArray *services);
