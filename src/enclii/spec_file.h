/* enclii.yaml as a file: found, read strictly, every finding with its place in the file.
 *
 * The error of a file that is not right is SY_INVALID_INPUT, its message one line per finding
 * ("enclii.yaml:4:5: services.web.prot is not known here; did you mean port?") with the line of the file beneath. */
#pragma once

#include <jansson.h>

#include "model/spec.h"

#define SPEC_FILE_NAME "enclii.yaml"

struct spec_file {
    char *path;        /* absolute */
    char *folder;      /* where it lies: the root of what is packed */
    json_t *json;      /* every scalar as text: what PUT …/spec takes */
    struct spec *spec; /* the same, decoded */
};

/* The nearest enclii.yaml in `folder` or above it, up to and including the top of a git work tree; SY_INVALID_INPUT with the
 * way out when there is none. */
char *spec_file_find(const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* `name` is what messages call the file. */
struct spec_file *spec_file_read(const char *path, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same for text that is there already (path and folder stay NULL). */
struct spec_file *spec_file_parse(const char *text, size_t length, const char *name,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
void spec_file_free(struct spec_file *file);
typedef struct spec_file spec_file_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(spec_file_t, spec_file_free)
