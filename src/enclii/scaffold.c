#include "enclii/scaffold.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "build/detect.h"
#include "enclii/output.h"

#define MAX_SERVICES 20
#define MAX_FOLDERS 1000
#define SLUG_MIN 3 /* of a project */
#define SLUG_MAX 50
#define DEFAULT_PORT 8080

static void service_free(void *data)
{
    struct scaffold_service *service = data;
    g_free(service->name);
    g_free(service->context);
    g_free(service->builder);
    g_free(service->label);
    g_free(service->reason);
    g_free(service);
}

/* --- names -------------------------------------------------------------------------------------------------------------------- */

/* Lower-case words with hyphens between, beginning with a letter, at most `limit` bytes; may be empty. */
static char *as_label(const char *name, size_t limit)
{
    GString *out = g_string_new(NULL);
    for (const char *p = name; *p != '\0'; p++) {
        if (g_ascii_isalpha(*p) || (g_ascii_isdigit(*p) && out->len > 0)) {
            g_string_append_c(out, g_ascii_tolower(*p));
        } else if (out->len > 0 && out->str[out->len - 1] != '-' && !g_ascii_isdigit(*p)) {
            g_string_append_c(out, '-');
        }
    }
    g_string_truncate(out, MIN(out->len, limit));
    while (out->len > 0 && out->str[out->len - 1] == '-') {
        g_string_truncate(out, out->len - 1);
    }
    return g_string_free(out, FALSE);
}

char *scaffold_slug(const char *name)
{
    g_autofree char *label = as_label(name, SLUG_MAX);
    if (strlen(label) >= SLUG_MIN) {
        return g_steal_pointer(&label);
    }
    return *label != '\0' ? g_strconcat(label, "-app", NULL) : g_strdup("my-app");
}

/* --- looking ------------------------------------------------------------------------------------------------------------------ */

static bool has_name(const GPtrArray *services, const char *name)
{
    for (guint i = 0; i < services->len; i++) {
        if (strcmp(((const struct scaffold_service *)g_ptr_array_index(services, i))->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static char *unused_name(const GPtrArray *services, const char *wanted)
{
    char *name = g_strdup(wanted);
    for (int i = 2; has_name(services, name); i++) {
        g_free(name);
        name = g_strdup_printf("%.58s-%d", wanted, i);
    }
    return name;
}

static void add_service(GPtrArray *services, const char *name, const char *context, const struct detection *found)
{
    g_autofree char *label = as_label(name, 60);
    struct scaffold_service *service = g_new0(struct scaffold_service, 1);
    service->name = unused_name(services, *label != '\0' ? label : "web");
    service->context = g_strdup(context);
    service->builder = g_strdup(found->builder);
    service->label = g_strdup(found->label);
    service->reason = g_strdup(found->reason);
    service->port = found->port;
    g_ptr_array_add(services, service);
}

static int compare_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Folders in `folder`, sorted; hidden ones and those of package managers are none. */
static GPtrArray *list_folders(const char *folder)
{
    static const char *const skipped[] = {"node_modules", "vendor", "venv", "__pycache__",
                                          "target",       "build",  "dist", NULL};
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) listing = g_dir_open(folder, 0, NULL);
    const char *name;
    while (listing != NULL && names->len < MAX_FOLDERS && (name = g_dir_read_name(listing)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        bool is_link = g_file_test(path, G_FILE_TEST_IS_SYMLINK);
        if (name[0] != '.' && !is_link && !g_strv_contains(skipped, name) && g_file_test(path, G_FILE_TEST_IS_DIR)) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_ptr_array_sort(names, compare_text);
    return names;
}

static bool look_at(const char *folder, struct detection **ret, GError **error)
{
    g_auto(fd_t) fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot open %s", folder);
    }
    return detect(fd, NULL, ret, error);
}

/* `below` is "" or "apps". */
static void look_below(const char *root, const char *below, GPtrArray *services)
{
    g_autofree char *folder = g_build_filename(root, below, NULL);
    g_autoptr(GPtrArray) names = list_folders(folder);
    for (guint i = 0; i < names->len && services->len < MAX_SERVICES; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *context =
            *below != '\0' ? g_strdup_printf("./%s/%s", below, name) : g_strdup_printf("./%s", name);
        g_autoptr(detection_t) found = NULL;
        g_autoptr(GError) ignored = NULL; /* it is no service, then */
        if (check_relative(context) == NULL && look_at(path, &found, &ignored)) {
            add_service(services, name, context, found);
        }
    }
}

GPtrArray *scaffold_look(const char *folder, GError **error)
{
    static const char *const usual[] = {"", "apps", "services", "packages"};
    g_autoptr(GPtrArray) services = g_ptr_array_new_with_free_func(service_free);
    g_autoptr(detection_t) found = NULL;
    GError *failure = NULL;
    if (look_at(folder, &found, &failure)) {
        add_service(services, "web", ".", found);
        return g_steal_pointer(&services);
    }
    for (size_t i = 0; sy_error_code(failure) == SY_NOT_DETECTED && i < G_N_ELEMENTS(usual); i++) {
        look_below(folder, usual[i], services);
    }
    if (services->len == 0) {
        g_propagate_error(error, failure);
        return NULL;
    }
    g_error_free(failure);
    return g_steal_pointer(&services);
}

/* --- writing ------------------------------------------------------------------------------------------------------------------ */

static void append_service(GString *out, const struct scaffold_service *service, bool is_only)
{
    g_autofree char *label = text_neutralise(service->label != NULL ? service->label : service->builder, false);
    g_autofree char *reason = text_neutralise(service->reason != NULL ? service->reason : "", false);
    bool is_plain = strspn(service->context, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-") ==
                    strlen(service->context);
    g_autofree char *quoted = g_strescape(service->context, NULL);
    g_string_append_printf(out, "  %s:\n", service->name);
    g_string_append_printf(out, "    # %s%s%s\n", label, *reason != '\0' ? ": " : "", reason);
    g_string_append_printf(out, is_plain ? "    build: %s\n" : "    build: \"%s\"\n",
                           is_plain ? service->context : quoted);
    g_string_append_printf(
        out, "    port: %" G_GINT64_FORMAT "  # PORT is set to it; the program listens there, on 0.0.0.0\n",
        service->port > 0 ? service->port : DEFAULT_PORT);
    if (is_only) {
        g_string_append(
            out, "    # health: /healthz         # answers 2xx or 3xx once it can serve; else an open port is enough\n"
                 "    # replicas: 2\n"
                 "    # env: {LOG_LEVEL: info}\n"
                 "    # secrets: [DATABASE_URL]  # must have a value: enclii env set --secret DATABASE_URL\n");
    }
}

char *scaffold_text(const char *project, const GPtrArray *services)
{
    GString *out = g_string_new("# What runs, for `enclii up` and `enclii deploy`. Every key: enclii schema\n");
    g_string_append_printf(out, "project: %s\nservices:\n", project);
    for (guint i = 0; i < services->len; i++) {
        append_service(out, g_ptr_array_index(services, i), services->len == 1);
    }
    g_string_append(out, "# environments:\n#   production: {");
    g_string_append_printf(out, "%s: {replicas: 2}}  # what differs there\n",
                           ((const struct scaffold_service *)g_ptr_array_index(services, 0))->name);
    return g_string_free(out, FALSE);
}
