#include "enclii/context.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "contract/contract.h"

#define LIMIT (1 << 20)

void context_free(struct context *context)
{
    if (context != NULL) {
        g_free(context->name);
        g_free(context->endpoint);
        secret_free(context->token);
        g_free(context);
    }
}

static struct context *context_new(const char *name, const char *endpoint, const char *token)
{
    struct context *context = g_new0(struct context, 1);
    context->name = g_strdup(name);
    context->endpoint = g_strdup(endpoint);
    context->token = token != NULL && *token != '\0' ? secret_new(token, strlen(token)) : NULL;
    return context;
}

void contexts_free(struct contexts *contexts)
{
    if (contexts != NULL) {
        g_free(contexts->path);
        g_free(contexts->current);
        g_ptr_array_unref(contexts->entries);
        g_free(contexts);
    }
}

struct context *contexts_find(const struct contexts *contexts, const char *name)
{
    for (guint i = 0; name != NULL && i < contexts->entries->len; i++) {
        struct context *context = g_ptr_array_index(contexts->entries, i);
        if (strcmp(context->name, name) == 0) {
            return context;
        }
    }
    return NULL;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(struct context *const *)a)->name, (*(struct context *const *)b)->name);
}

void contexts_put(struct contexts *contexts, const char *name, const char *endpoint, const struct secret *token)
{
    contexts_remove(contexts, name);
    g_ptr_array_add(contexts->entries, context_new(name, endpoint, token != NULL ? secret_reveal(token) : NULL));
    g_ptr_array_sort(contexts->entries, by_name);
}

bool contexts_remove(struct contexts *contexts, const char *name)
{
    struct context *context = contexts_find(contexts, name);
    return context != NULL && g_ptr_array_remove(contexts->entries, context);
}

/* --- the file ------------------------------------------------------------------------------------ */

char *contexts_default_path(void)
{
    const char *base = g_getenv("XDG_CONFIG_HOME");
    if (base != NULL && g_path_is_absolute(base)) {
        return g_build_filename(base, "enclii", "config.json", NULL);
    }
    return g_build_filename(g_get_home_dir(), ".config", "enclii", "config.json", NULL);
}

static bool malformed(const struct contexts *contexts, const char *what, GError **error)
{
    sy_fail(error, SY_INVALID_INPUT, "%s: %s", contexts->path, what);
    sy_error_set_hint(error, "Mend the file, or remove it and add your contexts again: enclii context add NAME");
    return false;
}

static bool read_entries(struct contexts *contexts, const json_t *json, GError **error)
{
    json_t *entries = json_object_get(json, "contexts");
    json_t *current = json_object_get(json, "current");
    if (!json_is_object(json) || (entries != NULL && !json_is_object(entries)) ||
        (current != NULL && !json_is_null(current) && !json_is_string(current))) {
        return malformed(contexts, "must be {\"current\": NAME, \"contexts\": {…}}", error);
    }
    const char *name;
    json_t *entry;
    json_object_foreach(entries, name, entry)
    {
        json_t *token = json_object_get(entry, "token");
        const char *endpoint = json_string_value(json_object_get(entry, "endpoint"));
        if (endpoint == NULL || (token != NULL && !json_is_null(token) && !json_is_string(token))) {
            g_autofree char *what =
                g_strdup_printf("contexts.%s must have an endpoint, and a token that is text", name);
            return malformed(contexts, what, error);
        }
        g_ptr_array_add(contexts->entries, context_new(name, endpoint, json_string_value(token)));
    }
    g_ptr_array_sort(contexts->entries, by_name);
    contexts->current = g_strdup(json_string_value(current));
    return true;
}

/* Tokens are nobody else's business, however the file came here. */
static void tighten(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && (status.st_mode & 077) != 0) {
        (void)chmod(path, 0600); /* not ours: then it is as its owner wants it */
    }
}

struct contexts *contexts_read(const char *path, GError **error)
{
    g_autoptr(contexts_t) contexts = g_new0(struct contexts, 1);
    contexts->path = g_strdup(path);
    contexts->entries = g_ptr_array_new_with_free_func((GDestroyNotify)context_free);
    GError *failure = NULL;
    size_t length = 0;
    char *text = file_read(path, LIMIT, &length, &failure);
    if (text == NULL) {
        if (sy_error_code(failure) == SY_NOT_FOUND) {
            g_clear_error(&failure);
            return g_steal_pointer(&contexts);
        }
        g_propagate_error(error, failure);
        return NULL;
    }
    tighten(path);
    json_t *json = json_parse(text, length, &failure);
    secret_wipe(text, length);
    g_free(text);
    bool ok = json != NULL ? read_entries(contexts, json, error) : malformed(contexts, failure->message, error);
    g_clear_error(&failure);
    json_decref(json);
    return ok ? g_steal_pointer(&contexts) : NULL;
}

static void write_entry(struct json_writer *writer, const struct context *context)
{
    json_key(writer, context->name);
    json_object_open(writer);
    json_member_string(writer, "endpoint", context->endpoint);
    if (context->token != NULL) {
        json_member_string(writer, "token", secret_reveal(context->token));
    }
    json_object_close(writer);
}

bool contexts_write(const struct contexts *contexts, GError **error)
{
    GString *out = g_string_sized_new(LIMIT / 16); /* not moved in practice: it is wiped below */
    struct json_writer writer;
    json_writer_init(&writer, out);
    json_object_open(&writer);
    json_member_string(&writer, "current", contexts->current);
    json_key(&writer, "contexts");
    json_object_open(&writer);
    for (guint i = 0; i < contexts->entries->len; i++) {
        write_entry(&writer, g_ptr_array_index(contexts->entries, i));
    }
    json_object_close(&writer);
    json_object_close(&writer);
    g_string_append_c(out, '\n');
    g_autofree char *folder = g_path_get_dirname(contexts->path);
    bool ok = folder_ensure(folder, 0700, error) && file_replace(contexts->path, out->str, out->len, 0600, error);
    secret_wipe(out->str, out->allocated_len);
    g_string_free(out, TRUE);
    return ok;
}

/* --- what holds ---------------------------------------------------------------------------------- */

/* The socket that a switchyard of this user wrote down, or NULL. */
static char *socket_of(const char *data_dir)
{
    g_autofree char *path = g_build_filename(data_dir, "endpoints.json", NULL);
    size_t length = 0;
    g_autofree char *text = file_read(path, LIMIT, &length, NULL);
    json_t *json = text != NULL ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    char *socket = g_strdup(json_string_value(json_object_get(json, "socket")));
    json_decref(json);
    return socket;
}

char *context_default_endpoint(void)
{
    static const char system_socket[] = "/run/enclii/switchyard.sock";
    if (access(system_socket, F_OK) != 0) {
        g_autofree char *own = g_build_filename(g_get_user_data_dir(), "enclii", NULL);
        const char *const folders[] = {own, "/var/lib/enclii"};
        for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
            g_autofree char *endpoint = socket_of(folders[i]);
            if (endpoint != NULL && g_str_has_prefix(endpoint, "unix:") && access(endpoint + 5, F_OK) == 0) {
                return g_steal_pointer(&endpoint);
            }
        }
    }
    return g_strconcat("unix:", system_socket, NULL);
}

static struct context *named_context(const char *name, GError **error)
{
    g_autofree char *path = contexts_default_path();
    g_autoptr(contexts_t) contexts = contexts_read(path, error);
    if (contexts == NULL) {
        return NULL;
    }
    const char *wanted = name != NULL ? name : contexts->current;
    const struct context *found = contexts_find(contexts, wanted);
    if (found != NULL) {
        return context_new(found->name, found->endpoint, found->token != NULL ? secret_reveal(found->token) : NULL);
    }
    if (wanted == NULL) {
        g_autofree char *endpoint = context_default_endpoint();
        return context_new(NULL, endpoint, NULL);
    }
    sy_fail(error, SY_INVALID_INPUT, "there is no context %s in %s", wanted, path);
    sy_error_set_hint(error, "enclii context list");
    return NULL;
}

struct context *context_find(const char *name, GError **error)
{
    const char *endpoint = g_getenv("ENCLII_API_ENDPOINT");
    const char *token = g_getenv("ENCLII_API_TOKEN");
    if (name == NULL && endpoint != NULL && *endpoint != '\0') {
        return context_new(NULL, endpoint, token);
    }
    struct context *context = named_context(name, error);
    if (context != NULL && name == NULL && token != NULL && *token != '\0') {
        secret_free(context->token);
        context->token = secret_new(token, strlen(token));
    }
    return context;
}
