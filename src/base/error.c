#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The names that G_DEFINE_EXTENDED_ERROR looks for. */
typedef struct {
    char *hint;
    GPtrArray *issues;
} SyErrorPrivate;

static const struct sy_code_info codes[SY_N_CODES] = {
#define X(name, status, exit_code, retryable, hint) [SY_##name] = {#name, status, exit_code, retryable, hint},
#include "base/errors.def"
#undef X
};

static void issue_free(gpointer data)
{
    struct sy_issue *issue = data;
    g_free(issue->path);
    g_free(issue->code);
    g_free(issue->detail);
    g_free(issue);
}

static void issues_append(GPtrArray **issues, const char *path, const char *code, const char *detail)
{
    struct sy_issue *issue = g_new0(struct sy_issue, 1);
    issue->path = g_strdup(path);
    issue->code = g_strdup(code);
    issue->detail = g_strdup(detail);
    if (*issues == NULL) {
        *issues = g_ptr_array_new_with_free_func(issue_free);
    }
    g_ptr_array_add(*issues, issue);
}

static void sy_error_private_init(SyErrorPrivate *priv)
{
    priv->hint = NULL;
    priv->issues = NULL;
}

static void sy_error_private_copy(const SyErrorPrivate *from, SyErrorPrivate *to)
{
    to->hint = g_strdup(from->hint);
    to->issues = NULL;
    for (guint i = 0; from->issues != NULL && i < from->issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(from->issues, i);
        issues_append(&to->issues, issue->path, issue->code, issue->detail);
    }
}

static void sy_error_private_clear(SyErrorPrivate *priv)
{
    g_clear_pointer(&priv->hint, g_free);
    g_clear_pointer(&priv->issues, g_ptr_array_unref);
}

G_DEFINE_EXTENDED_ERROR(SyError, sy_error)

const struct sy_code_info *sy_code_info(enum sy_code code)
{
    g_return_val_if_fail((unsigned)code < SY_N_CODES, &codes[SY_INTERNAL]);
    return &codes[code];
}

int sy_code_from_name(const char *name)
{
    for (int i = 0; i < SY_N_CODES; i++) {
        if (g_strcmp0(codes[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

bool sy_fail(GError **error, enum sy_code code, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        GError *made = g_error_new_valist(SY_ERROR, (gint)code, format, arguments);
        va_end(arguments);
        g_propagate_error(error, made);
    }
    return false;
}

bool sy_fail_errno(GError **error, int saved_errno, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    bool full = saved_errno == ENOSPC || saved_errno == EDQUOT;
    return sy_fail(error, full ? SY_DISK_FULL : SY_IO_FAILED, "%s: %s", text, g_strerror(saved_errno));
}

void sy_error_set_hint(GError **error, const char *format, ...)
{
    if (error == NULL || *error == NULL || (*error)->domain != SY_ERROR) {
        return;
    }
    SyErrorPrivate *priv = sy_error_get_private(*error);
    va_list arguments;
    va_start(arguments, format);
    g_free(priv->hint);
    priv->hint = g_strdup_vprintf(format, arguments);
    va_end(arguments);
}

void sy_error_add_issue(GError **error, const char *path, const char *code, const char *detail)
{
    if (error == NULL) {
        return;
    }
    if (*error == NULL) {
        const char *separator = *path != '\0' ? ": " : "";
        sy_fail(error, SY_INVALID_INPUT, "%s%s%s", path, separator, detail);
    }
    g_return_if_fail((*error)->domain == SY_ERROR);
    SyErrorPrivate *priv = sy_error_get_private(*error);
    issues_append(&priv->issues, path, code, detail);
}

enum sy_code sy_error_code(const GError *error)
{
    if (error == NULL || error->domain != SY_ERROR || (unsigned)error->code >= SY_N_CODES) {
        return SY_INTERNAL;
    }
    return (enum sy_code)error->code;
}

const char *sy_error_hint(const GError *error)
{
    if (error != NULL && error->domain == SY_ERROR) {
        const SyErrorPrivate *priv = sy_error_get_private(error);
        if (priv->hint != NULL) {
            return priv->hint;
        }
    }
    return codes[sy_error_code(error)].hint;
}

const GPtrArray *sy_error_issues(const GError *error)
{
    if (error == NULL || error->domain != SY_ERROR) {
        return NULL;
    }
    return sy_error_get_private(error)->issues;
}
