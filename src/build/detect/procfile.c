#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"

#define PROCFILE_LIMIT (64 * 1024)
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/* "web: command"; NULL when the line has no name. */
static char *split_line(char *line, char **ret_command)
{
    size_t length = strspn(line, NAME_CHARACTERS);
    if (length == 0 || line[length] != ':') {
        return NULL;
    }
    line[length] = '\0';
    *ret_command = g_strstrip(line + length + 1);
    return line;
}

static bool parse_command(const char *command, const char *process, char ***ret_argv, GError **error)
{
    const char *reason = NULL;
    char **argv = command_split(command, &reason);
    if (argv == NULL) {
        sy_fail(error, SY_INVALID_INPUT,
                "the Procfile's %s line is not run by a shell, and cannot be run without one: %s", process, reason);
        sy_error_set_hint(error,
                          "Put it into a script and write “%s: ./start” here, or delete the line and set command: "
                          "[\"program\", \"argument\"] in enclii.yaml.",
                          process);
        return false;
    }
    *ret_argv = argv;
    return true;
}

bool procfile_parse(const char *text, size_t length, const char *process, char ***ret_argv, GError **error)
{
    if (length > PROCFILE_LIMIT || !g_utf8_validate_len(text, length, NULL)) {
        return sy_fail(error, SY_INVALID_INPUT, "the Procfile is larger than 64 KiB, or not UTF-8");
    }
    g_autofree char *copy = g_strndup(text, length);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
    const char *found = NULL;
    for (guint i = 0; lines[i] != NULL; i++) {
        char *command = NULL;
        char *line = g_strstrip(lines[i]);
        if (*line == '\0' || *line == '#') {
            continue;
        }
        const char *name = split_line(line, &command);
        if (name == NULL) {
            return sy_fail(error, SY_INVALID_INPUT, "Procfile, line %u: must be NAME: COMMAND", i + 1);
        }
        if (strcmp(name, process) == 0 && found != NULL) {
            return sy_fail(error, SY_INVALID_INPUT, "Procfile, line %u: a second %s", i + 1, process);
        }
        found = strcmp(name, process) == 0 ? command : found;
    }
    if (found == NULL) {
        return sy_fail(error, SY_NOT_FOUND, "the Procfile has no %s line", process);
    }
    return parse_command(found, process, ret_argv, error);
}
