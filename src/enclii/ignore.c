#include "enclii/ignore.h"

#include <string.h>

#define MAX_PATTERN 4096

struct pattern {
    char *text;
    size_t literal; /* bytes before the first special character */
    bool is_negated;
    bool is_folder_only;
    bool is_anchored; /* matched against the whole path, not the last name only */
};

struct ignore {
    GPtrArray *patterns;
};

/* --- reading ------------------------------------------------------------------------------------------------------------------ */

static void pattern_free(void *data)
{
    struct pattern *pattern = data;
    g_free(pattern->text);
    g_free(pattern);
}

/* Trailing blanks go, unless a backslash holds one. */
static size_t trim(const char *line, size_t length)
{
    size_t end = 0;
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\\' && i + 1 < length) {
            i++;
            end = i + 1;
        } else if (line[i] != ' ') {
            end = i + 1;
        }
    }
    return end;
}

static void add_line(struct ignore *ignore, const char *line, size_t length)
{
    struct pattern pattern = {.is_negated = false};
    length = trim(line, length);
    if (length == 0 || line[0] == '#' || length > MAX_PATTERN || memchr(line, '\0', length) != NULL) {
        return;
    }
    if (line[0] == '!') {
        pattern.is_negated = true;
        line++;
        length--;
    }
    if (length > 0 && line[length - 1] == '/') {
        pattern.is_folder_only = true;
        length--;
    }
    pattern.is_anchored = memchr(line, '/', length) != NULL;
    if (length > 0 && line[0] == '/') {
        line++;
        length--;
    }
    if (length == 0) {
        return;
    }
    pattern.text = g_strndup(line, length);
    pattern.literal = strcspn(pattern.text, "*?[\\");
    g_ptr_array_add(ignore->patterns, g_memdup2(&pattern, sizeof pattern));
}

struct ignore *ignore_parse(const char *text, size_t length)
{
    struct ignore *ignore = g_new0(struct ignore, 1);
    ignore->patterns = g_ptr_array_new_with_free_func(pattern_free);
    const char *end = text + length;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
    }
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t width = (size_t)((newline != NULL ? newline : end) - text);
        bool has_return = newline != NULL && width > 0 && text[width - 1] == '\r';
        add_line(ignore, text, has_return ? width - 1 : width);
        text += width + 1;
    }
    return ignore;
}

void ignore_free(struct ignore *ignore)
{
    if (ignore != NULL) {
        g_ptr_array_unref(ignore->patterns);
        g_free(ignore);
    }
}

/* --- matching ------------------------------------------------------------------------------------------------------------------
 *
 * The two ways to fail early keep a pattern of many stars from taking exponential time: once one star has run out of text, no
 * star before it can help. */

enum outcome { MATCH, NO_MATCH, ABORT_ALL, ABORT_TO_DOUBLE_STAR };

static enum outcome match(const char *start, const char *p, const char *text);

static bool is_in_class(const char *name, size_t length, unsigned char c)
{
    static const struct {
        const char *name;
        GAsciiType mask;
    } classes[] = {
        {"alnum", G_ASCII_ALNUM}, {"alpha", G_ASCII_ALPHA}, {"cntrl", G_ASCII_CNTRL},   {"digit", G_ASCII_DIGIT},
        {"graph", G_ASCII_GRAPH}, {"lower", G_ASCII_LOWER}, {"print", G_ASCII_PRINT},   {"punct", G_ASCII_PUNCT},
        {"space", G_ASCII_SPACE}, {"upper", G_ASCII_UPPER}, {"xdigit", G_ASCII_XDIGIT},
    };
    if (length == strlen("blank") && memcmp(name, "blank", length) == 0) {
        return c == ' ' || c == '\t';
    }
    for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
        if (strlen(classes[i].name) == length && memcmp(classes[i].name, name, length) == 0) {
            return (g_ascii_table[c] & classes[i].mask) != 0;
        }
    }
    return false;
}

/* One byte of a bracket expression, a backslash taken off. NULL at the end of the pattern. */
static const char *bracket_byte(const char *p, unsigned char *ret)
{
    if (*p == '\\') {
        p++;
    }
    *ret = (unsigned char)*p;
    return *p != '\0' ? p + 1 : NULL;
}

/* `p` stands at '['. The end of the class, or NULL when it never ends. */
static const char *match_bracket(const char *p, unsigned char c, bool *ret_matches)
{
    bool matches = false;
    bool is_negated = p[1] == '!' || p[1] == '^';
    p += is_negated ? 2 : 1;
    for (bool is_first = true; is_first || *p != ']'; is_first = false) {
        unsigned char low;
        if (p[0] == '[' && p[1] == ':') {
            const char *end = strchr(p + 2, ']');
            if (end == NULL) {
                return NULL;
            }
            if (end > p + 2 && end[-1] == ':') {
                matches = matches || is_in_class(p + 2, (size_t)(end - 1 - (p + 2)), c);
                p = end + 1;
                continue;
            }
        }
        p = bracket_byte(p, &low);
        if (p == NULL) {
            return NULL;
        }
        unsigned char high = low;
        if (p[0] == '-' && p[1] != ']' && p[1] != '\0') {
            p = bracket_byte(p + 1, &high);
            if (p == NULL) {
                return NULL;
            }
        }
        matches = matches || (low <= c && c <= high);
    }
    *ret_matches = matches != is_negated;
    return p + 1;
}

/* `p` stands behind the star or stars. */
static enum outcome match_star(const char *start, const char *p, const char *text, bool crosses)
{
    if (*p == '\0') {
        return crosses || strchr(text, '/') == NULL ? MATCH : ABORT_TO_DOUBLE_STAR;
    }
    if (!crosses && *p == '/') {
        const char *slash = strchr(text, '/');
        return slash != NULL ? match(start, p + 1, slash + 1) : ABORT_ALL;
    }
    for (; *text != '\0'; text++) {
        enum outcome outcome = match(start, p, text);
        if (outcome != NO_MATCH) {
            if (!crosses || outcome != ABORT_TO_DOUBLE_STAR) {
                return outcome;
            }
        } else if (!crosses && *text == '/') {
            return ABORT_TO_DOUBLE_STAR;
        }
    }
    return ABORT_ALL;
}

static enum outcome match_stars(const char *start, const char *p, const char *text)
{
    const char *first = p;
    while (*p == '*') {
        p++;
    }
    bool is_whole_name = p - first > 1 && (first == start || first[-1] == '/') && (*p == '\0' || *p == '/');
    if (is_whole_name && *p == '/' && match(start, p + 1, text) == MATCH) {
        return MATCH; /* no folder at all between the slashes */
    }
    return match_star(start, p, text, is_whole_name);
}

static enum outcome match(const char *start, const char *p, const char *text)
{
    for (; *p != '\0'; text++) {
        if (*p == '*') {
            return match_stars(start, p, text);
        }
        if (*text == '\0') {
            return ABORT_ALL;
        }
        if (*p == '?') {
            if (*text == '/') {
                return NO_MATCH;
            }
            p++;
        } else if (*p == '[') {
            bool matches = false;
            p = match_bracket(p, (unsigned char)*text, &matches);
            if (p == NULL) {
                return ABORT_ALL;
            }
            if (!matches || *text == '/') {
                return NO_MATCH;
            }
        } else {
            p += *p == '\\';
            if (*p != *text) {
                return NO_MATCH;
            }
            p++;
        }
    }
    return *text == '\0' ? MATCH : NO_MATCH;
}

static bool pattern_matches(const struct pattern *pattern, const char *path, const char *name, bool is_folder)
{
    const char *text = pattern->is_anchored ? path : name;
    if ((pattern->is_folder_only && !is_folder) || strncmp(pattern->text, text, pattern->literal) != 0) {
        return false;
    }
    /* git matches what follows the literal beginning as a pattern of its own, so `a**` counts as beginning with two stars. */
    const char *rest = pattern->text + pattern->literal;
    text += pattern->literal;
    return match(rest, rest, text) == MATCH;
}

enum ignore_verdict ignore_match(const struct ignore *ignore, const char *path, bool is_folder)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    for (guint i = ignore->patterns->len; i > 0; i--) {
        const struct pattern *pattern = g_ptr_array_index(ignore->patterns, i - 1);
        if (pattern_matches(pattern, path, name, is_folder)) {
            return pattern->is_negated ? IGNORE_KEEP : IGNORE_LEAVE_OUT;
        }
    }
    return IGNORE_UNDECIDED;
}
