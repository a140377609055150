#include "build/detect.h"

#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"

/* In the order in which they are asked. */
static const struct {
    enum build_type type;
    const char *name;
    detector_fn detect;
    const char *looks_for;
} detectors[] = {
    {BUILD_DOCKERFILE, "dockerfile", detect_dockerfile, "Dockerfile"},
    {BUILD_GO, "go", detect_go, "go.mod"},
    {BUILD_NODE, "node", detect_node, "package.json"},
    {BUILD_PYTHON, "python", detect_python, "pyproject.toml, requirements.txt, setup.py"},
    {BUILD_C, "c", detect_c, "meson.build, CMakeLists.txt or Makefile with C or C++ sources"},
    {BUILD_STATIC, "static", detect_static, "index.html (also in public/, dist/, build/, _site/)"},
};

void detection_free(struct detection *detection)
{
    if (detection != NULL) {
        g_free(detection->label);
        g_free(detection->reason);
        g_free(detection->how_to_change);
        g_free(detection->dockerfile);
        g_free(detection->dockerfile_path);
        g_strfreev(detection->command);
        g_free(detection);
    }
}

static void look_clear(struct look *look)
{
    g_clear_pointer(&look->web, g_strfreev);
    g_clear_pointer(&look->apt_build, g_strfreev);
    g_clear_pointer(&look->apt_run, g_strfreev);
}
typedef struct look look_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(look_t, look_clear)

static bool read_procfile(struct look *look, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = folder_has(look->fd, "Procfile") ? folder_text(look->fd, "Procfile", &failure) : NULL;
    if (text != NULL && procfile_parse(text, strlen(text), "web", &look->web, &failure)) {
        return true;
    }
    /* One without a web line, for workers only, says nothing here. */
    if (failure == NULL || sy_error_code(failure) == SY_NOT_FOUND) {
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return false;
}

static bool fail_undetected(enum build_type type, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(detectors); i++) {
        if (type == detectors[i].type) {
            sy_fail(error, SY_NOT_DETECTED, "build.type is %s, but there is no %s", detectors[i].name,
                    detectors[i].looks_for);
            sy_error_set_hint(error, "Add it, correct build.context, or delete build.type to let the files decide.");
            return false;
        }
        g_string_append_printf(list, "%s%s", i > 0 ? "; " : "", detectors[i].looks_for);
    }
    return sy_fail(error, SY_NOT_DETECTED, "nothing says how to build this folder; looked for: %s", list->str);
}

static bool run_detectors(const struct look *look, enum build_type type, struct detection *ret, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(detectors); i++) {
        if (type != BUILD_AUTO && type != detectors[i].type) {
            continue;
        }
        enum finding finding = detectors[i].detect(look, ret, error);
        if (finding != FINDING_NONE) {
            return finding == FINDING_MATCH;
        }
    }
    return fail_undetected(type, error);
}

static enum build_type effective_type(const struct build_config *config)
{
    if (config == NULL) {
        return BUILD_AUTO;
    }
    bool is_open = config->type < 0 || config->type == BUILD_AUTO || config->type == BUILD_BUILDPACK;
    return !is_open ? (enum build_type)config->type : config->dockerfile != NULL ? BUILD_DOCKERFILE : BUILD_AUTO;
}

/* BuildKit takes this one as a frontend to run instead of the Dockerfile's. */
static bool check_args(const struct build_config *config, GError **error)
{
    if (config == NULL || string_map_get(config->build_args, "BUILDKIT_SYNTAX") == NULL) {
        return true;
    }
    return sy_fail(error, SY_INVALID_INPUT,
                   "the build argument BUILDKIT_SYNTAX is refused: it would run a program in the builder");
}

bool detect(int folder_fd, const struct build_config *config, struct detection **ret_detection, GError **error)
{
    g_autoptr(detection_t) found = g_new0(struct detection, 1);
    g_auto(look_t) look = {.fd = folder_fd, .config = config};
    enum build_type type = effective_type(config);
    if (!check_args(config, error)) {
        return false;
    }
    if (type == BUILD_IMAGE) {
        found->builder = "image";
        found->label = g_strdup("image");
        found->reason = g_strdup("image is set: nothing is built");
    } else {
        /* Both speak to the language builders only: a Dockerfile says all of it itself. */
        bool has_own =
            type == BUILD_DOCKERFILE ||
            (type == BUILD_AUTO && (folder_has(folder_fd, "Dockerfile") || folder_has(folder_fd, "Containerfile")));
        if ((!has_own && (!read_procfile(&look, error) || !apt_read(&look, error))) ||
            !run_detectors(&look, type, found, error)) {
            return false;
        }
    }
    found->how_to_change =
        g_strdup(type == BUILD_AUTO ? "set build: {type: go|node|python|c|static} in enclii.yaml, or add a Dockerfile"
                                    : "change build in enclii.yaml");
    *ret_detection = g_steal_pointer(&found);
    return true;
}
