#include <string.h>

#include "base/error.h"
#include "build/detect/detector.h"

/* One logical line: continuations joined, comments inside them dropped. */
struct lines {
    const char *at;
    const char *end;
    char escape;
};

static char *next_physical(struct lines *lines)
{
    if (lines->at >= lines->end) {
        return NULL;
    }
    const char *newline = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    const char *stop = newline != NULL ? newline : lines->end;
    char *line = g_strndup(lines->at, (size_t)(stop - lines->at));
    lines->at = newline != NULL ? newline + 1 : lines->end;
    return g_strchomp(line);
}

static char *next_logical(struct lines *lines)
{
    GString *whole = NULL;
    for (;;) {
        g_autofree char *line = next_physical(lines);
        if (line == NULL) {
            return whole != NULL ? g_string_free(whole, FALSE) : NULL;
        }
        const char *text = line + strspn(line, " \t");
        if (*text == '#' || *text == '\0') {
            continue;
        }
        size_t length = strlen(text);
        bool goes_on = text[length - 1] == lines->escape;
        whole = whole != NULL ? whole : g_string_new(NULL);
        g_string_append_len(whole, text, (gssize)(length - goes_on));
        if (!goes_on) {
            return g_string_free(whole, FALSE);
        }
    }
}

/* "# key = value" at the head of the file. NULL when the line is none. */
static char *directive(const char *line, const char *key)
{
    size_t length = strlen(key);
    const char *p = line + strspn(line, " \t");
    if (*p != '#' && !g_str_has_prefix(p, "//")) {
        return NULL;
    }
    p += strspn(p, "#/");
    p += strspn(p, " \t");
    if (g_ascii_strncasecmp(p, key, length) != 0) {
        return NULL;
    }
    p += length + strspn(p + length, " \t");
    return *p == '=' ? g_strstrip(g_strdup(p + 1)) : NULL;
}

static bool is_allowed_frontend(const char *value)
{
    return g_regex_match_simple("^(docker\\.io/)?docker/dockerfile:1(\\.[0-9]+){0,2}(-labs)?(@sha256:[0-9a-f]{64})?$",
                                value, G_REGEX_DOLLAR_ENDONLY, 0);
}

/* The head: comments before anything else. A byte order mark does not hide them. */
static struct lines begin(const char *text, size_t length)
{
    struct lines lines = {.at = text, .end = text + length, .escape = '\\'};
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        lines.at += 3;
    }
    return lines;
}

bool dockerfile_check(const char *text, size_t length, bool allow_frontends, GError **error)
{
    struct lines lines = begin(text, length);
    if (memchr(text, '\0', length) != NULL || !g_utf8_validate_len(text, length, NULL)) {
        return sy_fail(error, SY_INVALID_INPUT, "the Dockerfile is not UTF-8 text");
    }
    for (;;) {
        g_autofree char *line = next_physical(&lines);
        const char *start = line != NULL ? line + strspn(line, " \t") : NULL;
        if (start == NULL || (*start != '\0' && *start != '#' && !g_str_has_prefix(start, "//"))) {
            return true;
        }
        g_autofree char *syntax = directive(line, "syntax");
        if (syntax != NULL && !allow_frontends && !is_allowed_frontend(syntax)) {
            g_autofree char *label = g_strndup(syntax, 100);
            sy_fail(error, SY_INVALID_INPUT,
                    "the Dockerfile asks for the frontend %s, a program that would run in the builder", label);
            sy_error_set_hint(error, "Delete the syntax line, or use: # syntax=docker/dockerfile:1");
            return false;
        }
    }
}

static void read_head(struct lines *lines)
{
    const struct lines start = *lines;
    for (;;) {
        g_autofree char *line = next_physical(lines);
        g_autofree char *escape = line != NULL ? directive(line, "escape") : NULL;
        if (escape != NULL && (strcmp(escape, "`") == 0 || strcmp(escape, "\\") == 0)) {
            lines->escape = escape[0];
        }
        if (line == NULL || strchr("#/", line[strspn(line, " \t")]) == NULL) {
            break;
        }
    }
    lines->at = start.at;
}

/* --- FROM --------------------------------------------------------------------------------------------------------------------- */

/* Replaces $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word} by defaults of ARG lines. NULL: not known, or not understood. */
static char *substitute(const char *word, GHashTable *args)
{
    g_autoptr(GString) out = g_string_new(NULL);
    while (*word != '\0') {
        if (*word != '$') {
            g_string_append_c(out, *word++);
            continue;
        }
        bool has_brace = word[1] == '{';
        const char *start = word + 1 + has_brace;
        const char *end = start;
        while (g_ascii_isalnum(*end) || *end == '_') {
            end++;
        }
        g_autofree char *name = g_strndup(start, (size_t)(end - start));
        const char *value = g_hash_table_lookup(args, name);
        g_autofree char *other = NULL;
        if (has_brace && *end == ':' && (end[1] == '-' || end[1] == '+')) {
            const char *brace = strchr(end, '}');
            other = brace != NULL ? g_strndup(end + 2, (size_t)(brace - end - 2)) : NULL;
            bool is_set = value != NULL && *value != '\0';
            value = end[1] == '-' ? (is_set ? value : other) : (is_set ? other : "");
            end = brace != NULL ? brace : end;
        }
        if (value == NULL || end == start || (has_brace && *end != '}')) {
            return NULL;
        }
        g_string_append(out, value);
        word = end + has_brace;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

/* ARG NAME=default, before the first FROM. */
static void take_arg(GHashTable *args, char **words)
{
    for (char **word = words; *word != NULL; word++) {
        char *equals = strchr(*word, '=');
        size_t length = equals != NULL ? strlen(equals + 1) : 0;
        if (equals == NULL) {
            continue;
        }
        const char *value = equals + 1;
        bool is_quoted = length >= 2 && (value[0] == '"' || value[0] == '\'') && value[length - 1] == value[0];
        g_autofree char *plain = is_quoted ? g_strndup(value + 1, length - 2) : g_strdup(value);
        g_hash_table_replace(args, g_strndup(*word, (size_t)(equals - *word)), substitute(plain, args));
    }
}

static char **split_words(const char *text)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_auto(GStrv) all = g_strsplit_set(text, " \t", -1);
    for (char **word = all; *word != NULL; word++) {
        if (**word != '\0') {
            g_strv_builder_add(words, *word);
        }
    }
    return g_strv_builder_end(words);
}

struct bases {
    GHashTable *args;
    GHashTable *stages;
    GPtrArray *found;
};

static void take_from(struct bases *bases, char **words)
{
    while (*words != NULL && g_str_has_prefix(*words, "--")) {
        words++;
    }
    if (*words == NULL) {
        return;
    }
    g_autofree char *image = substitute(*words, bases->args);
    g_autofree char *lower = image != NULL ? g_ascii_strdown(image, -1) : NULL;
    if (image != NULL && *image != '\0' && strcmp(image, "scratch") != 0 &&
        !g_hash_table_contains(bases->stages, lower) &&
        !g_ptr_array_find_with_equal_func(bases->found, image, g_str_equal, NULL)) {
        g_ptr_array_add(bases->found, g_steal_pointer(&image));
    }
    if (words[1] != NULL && g_ascii_strcasecmp(words[1], "as") == 0 && words[2] != NULL) {
        g_hash_table_add(bases->stages, g_ascii_strdown(words[2], -1));
    }
}

/* RUN <<EOF: its lines are not instructions. */
static void skip_heredocs(struct lines *lines, const char *line)
{
    g_autoptr(GMatchInfo) match = NULL;
    g_autoptr(GRegex) regex = g_regex_new("<<-?[\"']?([A-Za-z_][A-Za-z0-9_]*)[\"']?", 0, 0, NULL);
    for (g_regex_match(regex, line, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        for (;;) {
            g_autofree char *inner = next_physical(lines);
            if (inner == NULL || strcmp(inner + strspn(inner, "\t"), name) == 0) {
                break;
            }
        }
    }
}

static void take_line(struct bases *bases, struct lines *lines, const char *line)
{
    g_auto(GStrv) words = split_words(line);
    if (words[0] == NULL) {
        return;
    }
    if (g_ascii_strcasecmp(words[0], "FROM") == 0) {
        take_from(bases, words + 1);
    } else if (g_ascii_strcasecmp(words[0], "ARG") == 0 && bases->found->len == 0 &&
               g_hash_table_size(bases->stages) == 0) {
        take_arg(bases->args, words + 1);
    } else if (strstr(line, "<<") != NULL &&
               (g_ascii_strcasecmp(words[0], "RUN") == 0 || g_ascii_strcasecmp(words[0], "COPY") == 0 ||
                g_ascii_strcasecmp(words[0], "ADD") == 0)) {
        skip_heredocs(lines, line);
    }
}

char **dockerfile_bases(const char *text, size_t length)
{
    struct lines lines = begin(text, length);
    g_autoptr(GHashTable) args = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) stages = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct bases bases = {.args = args, .stages = stages, .found = g_ptr_array_new()};
    read_head(&lines);
    for (;;) {
        g_autofree char *line = next_logical(&lines);
        if (line == NULL) {
            break;
        }
        take_line(&bases, &lines, line);
    }
    g_ptr_array_add(bases.found, NULL);
    return (char **)g_ptr_array_free(bases.found, FALSE);
}

/* --- the folder's own Dockerfile ------------------------------------------------------------------------------------------------ */

/* The last EXPOSE with a plain number: what the program says it listens on. */
static int64_t exposed_port(const char *text)
{
    struct lines lines = begin(text, strlen(text));
    int64_t port = 0;
    read_head(&lines);
    for (;;) {
        g_autofree char *line = next_logical(&lines);
        if (line == NULL) {
            return port;
        }
        g_auto(GStrv) words = split_words(line);
        if (words[0] != NULL && words[1] != NULL && g_ascii_strcasecmp(words[0], "EXPOSE") == 0) {
            guint64 number = g_ascii_strtoull(words[1], NULL, 10);
            port = number >= 1 && number <= 65535 ? (int64_t)number : port;
        }
        skip_heredocs(&lines, line);
    }
}

enum finding detect_dockerfile(const struct look *look, struct detection *ret, GError **error)
{
    const char *named = look->config != NULL ? look->config->dockerfile : NULL;
    const char *path = named != NULL                           ? named
                       : folder_has(look->fd, "Dockerfile")    ? "Dockerfile"
                       : folder_has(look->fd, "Containerfile") ? "Containerfile"
                                                               : NULL;
    if (path == NULL) {
        return FINDING_NONE;
    }
    g_autofree char *text = folder_text(look->fd, path, error);
    if (text == NULL) {
        return FINDING_ERROR;
    }
    ret->builder = "dockerfile";
    ret->label = g_strdup("Dockerfile");
    ret->reason = g_strdup_printf(named != NULL ? "build.dockerfile is %s" : "there is a %s", path);
    ret->dockerfile_path = g_strdup(path);
    ret->port = exposed_port(text);
    return FINDING_MATCH;
}
