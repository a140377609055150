#include "enclii/spec_file.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "enclii/yaml.h"

#define MAX_BYTES (1 << 20)
#define MAX_EXCERPT 100

/* --- finding it --------------------------------------------------------------------------------------------------------------- */

char *spec_file_find(const char *folder, GError **error)
{
    g_autofree char *at = g_canonicalize_filename(folder, NULL);
    for (;;) {
        g_autofree char *path = g_build_filename(at, SPEC_FILE_NAME, NULL);
        g_autofree char *git = g_build_filename(at, ".git", NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
            return g_steal_pointer(&path);
        }
        if (g_file_test(git, G_FILE_TEST_EXISTS) || strcmp(at, "/") == 0) {
            break;
        }
        char *parent = g_path_get_dirname(at);
        g_free(at);
        at = parent;
    }
    sy_fail(error, SY_INVALID_INPUT, "there is no %s here or above", SPEC_FILE_NAME);
    sy_error_set_hint(error, "Make one with: enclii init");
    return NULL;
}

/* --- findings with their places ----------------------------------------------------------------------------------------------- */

/* Of a finding about a path that the file lacks (a missing key), the nearest thing above it has the place. */
static struct yaml_place find_place(const struct yaml_document *document, const struct sy_issue *issue)
{
    bool is_about_key = strcmp(issue->code, "unknown") == 0 || strcmp(issue->code, "reserved") == 0;
    g_autofree char *path = g_strdup(issue->path);
    for (;;) {
        const struct yaml_place *key = g_hash_table_lookup(document->keys, path);
        const struct yaml_place *value = g_hash_table_lookup(document->values, path);
        const struct yaml_place *place = is_about_key && key != NULL ? key : value;
        if (place != NULL) {
            return *place;
        }
        char *dot = strrchr(path, '.');
        char *bracket = strrchr(path, '[');
        char *cut = MAX(dot, bracket);
        if (cut == NULL) {
            return (struct yaml_place){1, 1};
        }
        *cut = '\0';
        is_about_key = true;
    }
}

/* Line `number` of the text as one line of the message, with a mark beneath the column. */
static void append_excerpt(GString *out, const char *text, size_t length, struct yaml_place place)
{
    const char *line = text;
    for (int i = 1; i < place.line && line != NULL; i++) {
        line = memchr(line, '\n', length - (size_t)(line - text));
        line = line != NULL ? line + 1 : NULL;
    }
    if (line == NULL || line >= text + length) {
        return;
    }
    const char *end = memchr(line, '\n', length - (size_t)(line - text));
    size_t width = (size_t)((end != NULL ? end : text + length) - line);
    g_autofree char *whole = g_strndup(line, width);
    for (char *p = whole; *p != '\0'; p++) {
        *p = g_ascii_iscntrl(*p) ? ' ' : *p;
    }
    g_autofree char *shown =
        g_utf8_strlen(whole, -1) > MAX_EXCERPT ? g_utf8_substring(whole, 0, MAX_EXCERPT) : g_strdup(whole);
    g_string_append_printf(out, "\n  %5d | %s", place.line, shown);
    if (place.column <= MAX_EXCERPT) {
        g_string_append_printf(out, "\n        | %*s", place.column, "^");
    }
}

static bool explain(const struct yaml_document *document, const char *text, size_t length, const char *name,
                    const GError *failure, GError **error)
{
    const GPtrArray *issues = sy_error_issues(failure);
    g_autoptr(GString) message = g_string_new(NULL);
    for (guint i = 0; issues != NULL && i < issues->len; i++) {
        const struct sy_issue *issue = g_ptr_array_index(issues, i);
        struct yaml_place place = find_place(document, issue);
        g_string_append_printf(message, "%s%s:%d:%d: %s%s%s", i > 0 ? "\n" : "", name, place.line, place.column,
                               issue->path, *issue->path != '\0' ? " " : "", issue->detail);
        append_excerpt(message, text, length, place);
    }
    if (message->len == 0) {
        g_string_append_printf(message, "%s: %s", name, failure->message);
    }
    sy_fail(error, sy_error_code(failure), "%s", message->str);
    sy_error_set_hint(error, "Every key is described by: enclii schema");
    return false;
}

/* A syntax error says LINE:COLUMN itself; the line is added beneath. */
static bool explain_syntax(const char *text, size_t length, const char *name, const GError *failure, GError **error)
{
    struct yaml_place place = {0, 0};
    g_autoptr(GString) message = g_string_new(NULL);
    g_string_append_printf(message, "%s:%s", name, failure->message);
    char *rest = NULL;
    place.line = (int)g_ascii_strtoll(failure->message, &rest, 10);
    place.column = *rest == ':' ? (int)g_ascii_strtoll(rest + 1, NULL, 10) : 0;
    if (place.line > 0 && place.column > 0 && g_utf8_validate_len(text, length, NULL)) {
        append_excerpt(message, text, length, place);
    }
    return sy_fail(error, SY_INVALID_INPUT, "%s", message->str);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

struct spec_file *spec_file_parse(const char *text, size_t length, const char *name, GError **error)
{
    g_auto(yaml_document_t) document = {0};
    g_autoptr(GError) failure = NULL;
    if (length > MAX_BYTES) {
        sy_fail(error, SY_TOO_LARGE, "%s is larger than %d KiB", name, MAX_BYTES >> 10);
        return NULL;
    }
    if (!yaml_parse(text, length, &document, &failure)) {
        explain_syntax(text, length, name, failure, error);
        return NULL;
    }
    g_autoptr(spec_t) spec = spec_decode(document.json, DECODE_TEXT, &failure);
    if (spec == NULL) {
        explain(&document, text, length, name, failure, error);
        return NULL;
    }
    struct spec_file *file = g_new0(struct spec_file, 1);
    file->json = json_incref(document.json);
    file->spec = g_steal_pointer(&spec);
    return file;
}

struct spec_file *spec_file_read(const char *path, const char *name, GError **error)
{
    size_t length = 0;
    g_autofree char *text = file_read(path, MAX_BYTES, &length, error);
    struct spec_file *file = text != NULL ? spec_file_parse(text, length, name, error) : NULL;
    if (file != NULL) {
        file->path = g_canonicalize_filename(path, NULL);
        file->folder = g_path_get_dirname(file->path);
    }
    return file;
}

void spec_file_free(struct spec_file *file)
{
    if (file == NULL) {
        return;
    }
    g_free(file->path);
    g_free(file->folder);
    json_decref(file->json);
    contract_object_free(file->spec);
    g_free(file);
}
