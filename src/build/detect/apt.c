#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"

#define PACKAGE_LIMIT 100

/* Debian Policy 5.6.1. */
static bool is_package_name(const char *name)
{
    return g_ascii_isalnum(*name) && strlen(name) >= 2 && strlen(name) <= 100 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-") == strlen(name);
}

bool apt_read(struct look *look, GError **error)
{
    const char *file = folder_has(look->fd, "apt.txt") ? "apt.txt" : folder_has(look->fd, "Aptfile") ? "Aptfile" : NULL;
    g_autofree char *text = file != NULL ? folder_text(look->fd, file, error) : NULL;
    if (text == NULL) {
        return file == NULL;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GStrvBuilder) build = g_strv_builder_new();
    g_autoptr(GStrvBuilder) run = g_strv_builder_new();
    guint n = 0;
    for (guint i = 0; lines[i] != NULL; i++) {
        char *comment = strchr(lines[i], '#');
        if (comment != NULL) {
            *comment = '\0';
        }
        const char *name = g_strstrip(lines[i]);
        if (*name == '\0') {
            continue;
        }
        if (!is_package_name(name) || ++n > PACKAGE_LIMIT) {
            return sy_fail(error, SY_INVALID_INPUT, "%s, line %u: one name of a Debian package per line, at most %d",
                           file, i + 1, PACKAGE_LIMIT);
        }
        g_strv_builder_add(build, name);
        if (!g_str_has_suffix(name, "-dev")) {
            g_strv_builder_add(run, name);
        }
    }
    look->apt_build = g_strv_builder_end(build);
    look->apt_run = g_strv_builder_end(run);
    return true;
}
