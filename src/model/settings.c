#include "model/settings.h"

#include <string.h>

#include "base/error.h"
#include "base/id.h"

const char *const stop_signals[] = {"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", NULL};

static const struct field health_rule_fields[] = {
    {.name = "path",
     .kind = KIND_STRING,
     .offset = offsetof(struct health_rule, path),
     .check = check_path,
     .maximum = 1024,
     .minimum = 1,
     .doc = "GET path that answers 2xx or 3xx when healthy; absent: an accepted TCP connection"},
    {.name = "interval",
     .kind = KIND_DURATION,
     .offset = offsetof(struct health_rule, interval_ms),
     .minimum = 100,
     .maximum = 300000,
     .fallback = "5s",
     .doc = "between two checks by the edge"},
    {.name = "timeout",
     .kind = KIND_DURATION,
     .offset = offsetof(struct health_rule, timeout_ms),
     .minimum = 50,
     .maximum = 60000,
     .fallback = "2s",
     .doc = "longest wait for one answer"},
    {.name = "grace",
     .kind = KIND_DURATION,
     .offset = offsetof(struct health_rule, grace_ms),
     .minimum = 1000,
     .maximum = 3600000,
     .fallback = "60s",
     .doc = "time a new instance has to become healthy"},
};
const struct type health_rule_type = {
    .name = "Health",
    .size = sizeof(struct health_rule),
    .fields = health_rule_fields,
    .n_fields = G_N_ELEMENTS(health_rule_fields),
    .shorthand = "path",
    .doc = "Health rule of a service.",
};

static const struct field resources_fields[] = {
    {.name = "cpu",
     .kind = KIND_CPU,
     .offset = offsetof(struct resources, cpu_millis),
     .minimum = 10,
     .maximum = 256000,
     .fallback = "1",
     .doc = "CPUs one instance may use at most"},
    {.name = "memory",
     .kind = KIND_SIZE,
     .offset = offsetof(struct resources, memory_bytes),
     .minimum = 8 << 20,
     .maximum = INT64_C(1) << 40,
     .fallback = "512Mi",
     .doc = "memory one instance may use at most; no swap"},
    {.name = "pids",
     .kind = KIND_INT,
     .offset = offsetof(struct resources, pids),
     .minimum = 8,
     .maximum = 32768,
     .fallback = "256",
     .doc = "processes and threads of one instance"},
};
const struct type resources_type = {
    .name = "Resources",
    .size = sizeof(struct resources),
    .fields = resources_fields,
    .n_fields = G_N_ELEMENTS(resources_fields),
    .doc = "Limits of one instance.",
};

static const struct field stop_rule_fields[] = {
    {.name = "signal",
     .kind = KIND_ENUM,
     .offset = offsetof(struct stop_rule, signal),
     .names = stop_signals,
     .fallback = "TERM",
     .doc = "first signal"},
    {.name = "grace",
     .kind = KIND_DURATION,
     .offset = offsetof(struct stop_rule, grace_ms),
     .minimum = 0,
     .maximum = 3600000,
     .fallback = "30s",
     .doc = "for requests in flight to end, and then again between the signal and SIGKILL"},
};
const struct type stop_rule_type = {
    .name = "Stop",
    .size = sizeof(struct stop_rule),
    .fields = stop_rule_fields,
    .n_fields = G_N_ELEMENTS(stop_rule_fields),
    .doc = "How an instance is stopped.",
};

static const struct field security_fields[] = {
    {.name = "user",
     .kind = KIND_INT,
     .offset = offsetof(struct security, user),
     .minimum = 0,
     .maximum = 2147483647,
     .fallback = "65532",
     .doc = "numeric user and group"},
    {.name = "read_only",
     .kind = KIND_BOOL,
     .offset = offsetof(struct security, is_read_only),
     .fallback = "true",
     .doc = "root file system; /tmp is always writable"},
};
const struct type security_type = {
    .name = "Security",
    .size = sizeof(struct security),
    .fields = security_fields,
    .n_fields = G_N_ELEMENTS(security_fields),
    .doc = "Exceptions from the hardened defaults.",
};

/* The macro wants a struct that embeds the settings; alone they are at offset 0. */
struct settings_only {
    struct settings own;
};

static const struct field settings_fields[] = {SETTINGS_FIELDS(struct settings_only, own)};
const struct type settings_type = {
    .name = "Settings",
    .size = sizeof(struct settings),
    .fields = settings_fields,
    .n_fields = G_N_ELEMENTS(settings_fields),
    .doc = "How a service runs.",
};

static void add_issue(GError **error, const char *prefix, const char *name, const char *detail)
{
    g_autofree char *path = *prefix != '\0' ? g_strdup_printf("%s.%s", prefix, name) : g_strdup(name);
    sy_error_add_issue(error, path, "rule", detail);
}

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* What is wrong with the path of the volume at `index`, or NULL. */
static const char *volume_rule(const GPtrArray *volumes, guint index)
{
    const char *path = ((const struct string_pair *)g_ptr_array_index(volumes, index))->value;
    const char *rule = check_absolute(path);
    if (rule != NULL) {
        return rule;
    }
    if (strcmp(path, "/tmp") == 0 || is_below(path, "/proc") || is_below(path, "/sys") || is_below(path, "/dev")) {
        return "must not be /tmp, /proc, /sys or /dev";
    }
    for (guint i = 0; i < index; i++) {
        if (strcmp(((const struct string_pair *)g_ptr_array_index(volumes, i))->value, path) == 0) {
            return "must not be the path of another volume";
        }
    }
    return NULL;
}

static void check_volumes(const struct settings *settings, const char *prefix, GError **error)
{
    for (guint i = 0; settings->volumes != NULL && i < settings->volumes->len; i++) {
        const char *rule = volume_rule(settings->volumes, i);
        if (rule != NULL) {
            const struct string_pair *volume = g_ptr_array_index(settings->volumes, i);
            g_autofree char *name = g_strdup_printf("volumes.%s", volume->key);
            add_issue(error, prefix, name, rule);
        }
    }
    if (settings->volumes != NULL && settings->volumes->len > 0 && settings->replicas > 1) {
        add_issue(error, prefix, "replicas", "must be 0 or 1 for a service with a volume, which has one writer");
    }
}

bool settings_check(const struct settings *settings, const char *prefix, GError **error)
{
    GError *found = NULL;
    check_volumes(settings, prefix, &found);
    if (settings->port == 0 && settings->health.path != NULL) {
        add_issue(&found, prefix, "health.path", "needs a port to ask; remove it, or set port");
    }
    if (settings->port == 0 && settings->domains != NULL && settings->domains[0] != NULL) {
        add_issue(&found, prefix, "domains", "need a port to route to; remove them, or set port");
    }
    if (string_map_get(settings->env, "PORT") != NULL) {
        add_issue(&found, prefix, "env.PORT", "is set from port; remove it here");
    }
    bool ok = found == NULL;
    const GPtrArray *issues = ok ? NULL : sy_error_issues(found);
    for (guint i = 0; issues != NULL && i < issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(issues, i);
        sy_error_add_issue(error, issue->path, issue->code, issue->detail);
    }
    g_clear_error(&found);
    return ok;
}

char **settings_exceptions(const struct settings *settings)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    if (settings->security.user != DEFAULT_USER) {
        g_autofree char *text = g_strdup_printf("runs as user %" G_GINT64_FORMAT, settings->security.user);
        g_strv_builder_add(words, text);
    }
    if (settings->security.is_read_only == 0) {
        g_strv_builder_add(words, "its root file system is writable");
    }
    return g_strv_builder_end(words);
}
