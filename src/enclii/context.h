/* Where the server is and who we are: contexts in $XDG_CONFIG_HOME/enclii/config.json (0600).
 *
 *     {"current": "prod", "contexts": {"prod": {"endpoint": "https://…", "token": "enclii_…"}}}
 *
 * ENCLII_API_ENDPOINT and ENCLII_API_TOKEN beat the file; with neither, the unix socket of this
 * machine's switchyard. Only context_find() reads the environment. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/secret.h"

struct context {
    char *name;
    char *endpoint;
    struct secret *token; /* may be NULL */
};

struct contexts {
    char *path;
    char *current;      /* a name, or NULL */
    GPtrArray *entries; /* struct context *, sorted by name */
};

void context_free(struct context *context);
typedef struct context context_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(context_t, context_free)

/* The file's content; empty when there is no file. SY_INVALID_INPUT when it is malformed. */
struct contexts *contexts_read(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool contexts_write(const struct contexts *contexts, GError **error) G_GNUC_WARN_UNUSED_RESULT;
struct context *contexts_find(const struct contexts *contexts, const char *name); /* borrowed or NULL */
void contexts_put(struct contexts *contexts, const char *name, const char *endpoint, const struct secret *token);
bool contexts_remove(struct contexts *contexts, const char *name); /* false: there was none */
void contexts_free(struct contexts *contexts);
typedef struct contexts contexts_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(contexts_t, contexts_free)

/* Of the user: $XDG_CONFIG_HOME/enclii/config.json, else ~/.config/…; newly allocated. */
char *contexts_default_path(void);

/* What holds now. `name` (of --context) may be NULL. The context's own name is NULL when it comes
 * from the environment or is the default. */
struct context *context_find(const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The socket of a switchyard on this machine: of the system's, else of the user's own. */
char *context_default_endpoint(void);
