#include "build/build_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/quantity.h"
#include "build/pipeline.h"

#define PARENT "docker/buildkit"
#define PERIOD_US 100000
#define VALUE_LENGTH 64

void limits_place_clear(struct limits_place *place)
{
    g_clear_pointer(&place->memory, g_free);
    g_clear_pointer(&place->cpu, g_free);
    place->kind = LIMITS_NONE;
}

/* --- files of a cgroup -------------------------------------------------------------------------------------------------- */

bool cgroup_write(const char *folder, const char *file, const char *value, GError **error)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);
    g_auto(fd_t) fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || write(fd, value, strlen(value)) != (ssize_t)strlen(value)) {
        return sy_fail_errno(error, errno, "cannot write %s to %s", value, path);
    }
    return true;
}

static char *cgroup_read(const char *folder, const char *file)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);
    return file_read(path, 65536, NULL, NULL);
}

/* The number after `name` at the beginning of a line ("oom_kill 3"), or after nothing when name is "". */
static int64_t number_of(const char *text, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    size_t length = strlen(name);
    for (char **line = lines; *line != NULL; line++) {
        int64_t value;
        if (strncmp(*line, name, length) == 0 && int_parse(g_strstrip(*line + length), 0, INT64_MAX, &value)) {
            return value;
        }
    }
    return -1;
}

/* --- where ------------------------------------------------------------------------------------------------------------------ */

static bool is_folder(const char *root, const char *name)
{
    g_autofree char *path = g_build_filename(root, name, NULL);
    return g_file_test(path, G_FILE_TEST_IS_DIR);
}

static bool has_controller(const char *text, const char *name)
{
    g_auto(GStrv) words = g_strsplit_set(text != NULL ? text : "", " \n", -1);
    return g_strv_contains((const char *const *)words, name);
}

void limits_find(const char *root, bool has_systemd, struct limits_place *ret_place)
{
    *ret_place = (struct limits_place){.kind = LIMITS_NONE};
    g_autofree char *controllers = cgroup_read(root, "cgroup.controllers");
    if (has_controller(controllers, "memory")) {
        /* Under systemd Docker's default driver is systemd; `docker` at the root tells that it is not used. */
        ret_place->kind = has_systemd && !is_folder(root, "docker") ? LIMITS_STEPS : LIMITS_V2;
        ret_place->memory = ret_place->kind == LIMITS_V2 ? g_build_filename(root, PARENT, NULL) : NULL;
        ret_place->cpu = g_strdup(ret_place->memory);
    } else if (is_folder(root, "memory")) {
        ret_place->kind = LIMITS_V1;
        ret_place->memory = g_build_filename(root, "memory", PARENT, NULL);
        const char *cpu = is_folder(root, "cpu") ? "cpu" : is_folder(root, "cpu,cpuacct") ? "cpu,cpuacct" : NULL;
        ret_place->cpu = cpu != NULL ? g_build_filename(root, cpu, PARENT, NULL) : NULL;
    }
}

/* --- setting ---------------------------------------------------------------------------------------------------------------- */

/* Memory with swap may never be less than memory alone, so the order depends on the direction. */
static bool limit_memory_v1(const char *folder, int64_t memory_bytes, GError **error)
{
    char value[VALUE_LENGTH];
    g_autofree char *swap = g_build_filename(folder, "memory.memsw.limit_in_bytes", NULL);
    bool counts_swap = g_file_test(swap, G_FILE_TEST_EXISTS);
    g_snprintf(value, sizeof value, "%" G_GINT64_FORMAT, memory_bytes > 0 ? memory_bytes : -1);
    bool is_raised = counts_swap && cgroup_write(folder, "memory.memsw.limit_in_bytes", value, NULL);
    if (!cgroup_write(folder, "memory.limit_in_bytes", value, error)) {
        return false;
    }
    return !counts_swap || is_raised || cgroup_write(folder, "memory.memsw.limit_in_bytes", value, error);
}

static bool limit_cpu_v1(const char *folder, int64_t cpu_millis, GError **error)
{
    char value[VALUE_LENGTH];
    g_snprintf(value, sizeof value, "%" G_GINT64_FORMAT, cpu_millis > 0 ? cpu_millis * (PERIOD_US / 1000) : -1);
    return cgroup_write(folder, "cpu.cfs_period_us", G_STRINGIFY(PERIOD_US), error) &&
           cgroup_write(folder, "cpu.cfs_quota_us", value, error);
}

bool cgroup_limit_v2(const char *folder, int64_t memory_bytes, int64_t cpu_millis, GError **error)
{
    char value[VALUE_LENGTH] = "max";
    if (memory_bytes > 0) {
        g_snprintf(value, sizeof value, "%" G_GINT64_FORMAT, memory_bytes);
    }
    if (!cgroup_write(folder, "memory.max", value, error)) {
        return false;
    }
    bool has_swap_limit = cgroup_write(folder, "memory.swap.max", memory_bytes > 0 ? "0" : "max", NULL);
    (void)has_swap_limit; /* not there without swap accounting */
    if (cpu_millis > 0) {
        g_snprintf(value, sizeof value, "%" G_GINT64_FORMAT " %d", cpu_millis * (PERIOD_US / 1000), PERIOD_US);
    } else {
        g_snprintf(value, sizeof value, "max %d", PERIOD_US);
    }
    return cgroup_write(folder, "cpu.max", value, error);
}

/* A controller works below a folder only when every folder above passes it on. */
static bool apply_v2(const char *root, const struct limits_place *place, int64_t memory_bytes, int64_t cpu_millis,
                     GError **error)
{
    g_autofree char *docker = g_build_filename(root, "docker", NULL);
    const char *const above[] = {root, docker};
    for (size_t i = 0; i < G_N_ELEMENTS(above); i++) {
        if (!folder_ensure(above[i], 0755, error) ||
            !cgroup_write(above[i], "cgroup.subtree_control", "+memory +cpu", error)) {
            return false;
        }
    }
    return folder_ensure(place->memory, 0755, error) && cgroup_limit_v2(place->memory, memory_bytes, cpu_millis, error);
}

static bool apply_v1(const struct limits_place *place, int64_t memory_bytes, int64_t cpu_millis, GError **error)
{
    if (!folder_ensure(place->memory, 0755, error) || !limit_memory_v1(place->memory, memory_bytes, error)) {
        return false;
    }
    if (place->cpu == NULL) {
        return sy_fail(error, SY_NOT_SUPPORTED, "the cpu controller is not mounted");
    }
    return folder_ensure(place->cpu, 0755, error) && limit_cpu_v1(place->cpu, cpu_millis, error);
}

static bool apply(const char *root, const struct limits_place *place, int64_t memory_bytes, int64_t cpu_millis,
                  GError **error)
{
    switch (place->kind) {
    case LIMITS_V1:
        return apply_v1(place, memory_bytes, cpu_millis, error);
    case LIMITS_V2:
        return apply_v2(root, place, memory_bytes, cpu_millis, error);
    case LIMITS_STEPS:
        return access(root, W_OK) == 0 || sy_fail_errno(error, errno, "cannot write below %s", root);
    case LIMITS_NONE:
        break;
    }
    return sy_fail(error, SY_NOT_SUPPORTED, "no cgroup memory controller at %s", root);
}

bool limits_apply(const char *root, const struct limits_place *place, int64_t memory_bytes, int64_t cpu_millis,
                  char **ret_reason)
{
    g_autoptr(GError) error = NULL;
    bool ok = apply(root, place, memory_bytes, cpu_millis, &error);
    if (!ok && ret_reason != NULL) {
        *ret_reason = g_strdup(error->message);
    }
    return ok;
}

bool build_limits_apply(int64_t memory_bytes, int64_t cpu_millis, char **ret_reason)
{
    g_auto(limits_place_t) place = {0};
    limits_find(CGROUP_ROOT, g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR), &place);
    return limits_apply(CGROUP_ROOT, &place, memory_bytes, cpu_millis, ret_reason);
}

/* --- what came of them -------------------------------------------------------------------------------------------------------- */

void limits_pressure(const struct limits_place *place, struct limits_pressure *ret_pressure)
{
    *ret_pressure = (struct limits_pressure){.hits = -1, .kills = -1};
    if (place->kind == LIMITS_V1) {
        g_autofree char *hits = cgroup_read(place->memory, "memory.failcnt");
        g_autofree char *kills = cgroup_read(place->memory, "memory.oom_control");
        ret_pressure->hits = number_of(hits, "");
        ret_pressure->kills = number_of(kills, "oom_kill ");
    } else if (place->kind == LIMITS_V2) {
        g_autofree char *events = cgroup_read(place->memory, "memory.events");
        ret_pressure->hits = number_of(events, "max ");
        ret_pressure->kills = number_of(events, "oom_kill ");
    }
}
