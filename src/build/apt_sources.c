#include "build/apt_sources.h"

#include <string.h>

#include "base/file.h"

#define FILE_LIMIT (1 << 20)
#define KEYRING "debian-archive-keyring"

static bool is_fetched(const char *uri)
{
    return g_str_has_prefix(uri, "http://") || g_str_has_prefix(uri, "https://");
}

/* Every suite is Debian 12's. */
static bool are_suites(char *const *suites)
{
    static const char *const known[] = {"bookworm", "bookworm-updates", "bookworm-security", NULL};
    guint n = 0;
    for (; *suites != NULL; suites++) {
        if (**suites != '\0') {
            n++;
            if (!g_strv_contains(known, *suites)) {
                return false;
            }
        }
    }
    return n > 0;
}

/* --- deb822 ------------------------------------------------------------------------------------------------------------- */

/* The value of a field of one stanza, words split; comments are gone already. */
static char **field_words(char *const *lines, const char *name)
{
    size_t length = strlen(name);
    for (; *lines != NULL; lines++) {
        if (g_ascii_strncasecmp(*lines, name, length) == 0 && (*lines)[length] == ':') {
            g_autofree char *value = g_strstrip(g_strdup(*lines + length + 1));
            return g_strsplit_set(value, " \t", -1);
        }
    }
    return NULL;
}

static bool all_fetched(char *const *uris)
{
    for (; *uris != NULL; uris++) {
        if (**uris != '\0' && !is_fetched(*uris)) {
            return false;
        }
    }
    return true;
}

static bool stanza_fits(char *const *lines)
{
    g_auto(GStrv) types = field_words(lines, "Types");
    g_auto(GStrv) suites = field_words(lines, "Suites");
    g_auto(GStrv) uris = field_words(lines, "URIs");
    g_auto(GStrv) components = field_words(lines, "Components");
    g_auto(GStrv) enabled = field_words(lines, "Enabled");
    g_auto(GStrv) key = field_words(lines, "Signed-By");
    if (types == NULL || suites == NULL || uris == NULL || components == NULL) {
        return false;
    }
    return g_strv_contains((const char *const *)types, "deb") && are_suites(suites) && all_fetched(uris) &&
           g_strv_contains((const char *const *)components, "main") &&
           (enabled == NULL || g_ascii_strcasecmp(enabled[0], "no") != 0) &&
           (key == NULL || (key[0] != NULL && strstr(key[0], KEYRING) != NULL));
}

static void take_stanza(struct apt_sources *sources, GPtrArray *lines)
{
    g_ptr_array_add(lines, NULL);
    char *const *fields = (char *const *)lines->pdata;
    if (stanza_fits(fields)) {
        for (; *fields != NULL; fields++) {
            g_string_append_printf(sources->stanzas, "%s\n", *fields);
        }
        g_string_append_c(sources->stanzas, '\n');
    }
    g_ptr_array_set_size(lines, 0);
}

void apt_sources_add_stanzas(struct apt_sources *sources, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) stanza = g_ptr_array_new();
    for (char **line = lines; *line != NULL; line++) {
        g_strchomp(*line);
        if (**line == '\0') {
            take_stanza(sources, stanza);
        } else if (**line != '#') {
            g_ptr_array_add(stanza, *line);
        }
    }
    take_stanza(sources, stanza);
}

/* --- one line each: deb [options] uri suite component… ------------------------------------------------------------------------ */

static bool line_fits(const char *line)
{
    const char *at = line + strlen("deb");
    at += strspn(at, " \t");
    if (*at == '[') {
        const char *end = strchr(at, ']');
        const char *key = strstr(at, "signed-by=");
        if (end == NULL || (key != NULL && key < end && strstr(key, KEYRING) == NULL)) {
            return false;
        }
        at = end + 1;
    }
    g_auto(GStrv) words = g_strsplit_set(at, " \t", -1);
    g_autoptr(GPtrArray) given = g_ptr_array_new();
    for (char **word = words; *word != NULL; word++) {
        if (**word != '\0') {
            g_ptr_array_add(given, *word);
        }
    }
    if (given->len < 3) {
        return false;
    }
    g_ptr_array_add(given, NULL);
    char *suites[] = {given->pdata[1], NULL};
    return is_fetched(given->pdata[0]) && are_suites(suites) &&
           g_strv_contains((const char *const *)given->pdata + 2, "main");
}

void apt_sources_add_lines(struct apt_sources *sources, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        char *entry = g_strstrip(*line);
        if ((g_str_has_prefix(entry, "deb ") || g_str_has_prefix(entry, "deb\t")) && line_fits(entry)) {
            g_string_append_printf(sources->lines, "%s\n", entry);
        }
    }
}

/* --- the folder ------------------------------------------------------------------------------------------------------------------ */

static void add_file(struct apt_sources *sources, const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = file_read(path, FILE_LIMIT, NULL, NULL);
    if (text != NULL && g_str_has_suffix(name, ".sources")) {
        apt_sources_add_stanzas(sources, text);
    } else if (text != NULL && g_str_has_suffix(name, ".list")) {
        apt_sources_add_lines(sources, text);
    }
}

static bool has_main_suite(const struct apt_sources *sources)
{
    g_autofree char *all = g_strconcat(sources->stanzas->str, sources->lines->str, NULL);
    g_auto(GStrv) words = g_strsplit_set(all, " \t\n", -1);
    return g_strv_contains((const char *const *)words, "bookworm");
}

bool apt_sources_read(const char *folder, struct apt_sources *ret_sources)
{
    g_autofree char *below = g_build_filename(folder, "sources.list.d", NULL);
    g_autoptr(GDir) dir = g_dir_open(below, 0, NULL);
    const char *name;
    *ret_sources = (struct apt_sources){.stanzas = g_string_new(NULL), .lines = g_string_new(NULL)};
    add_file(ret_sources, folder, "sources.list");
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        add_file(ret_sources, below, name);
    }
    return has_main_suite(ret_sources);
}

void apt_sources_clear(struct apt_sources *sources)
{
    if (sources->stanzas != NULL) {
        g_string_free(g_steal_pointer(&sources->stanzas), TRUE);
    }
    if (sources->lines != NULL) {
        g_string_free(g_steal_pointer(&sources->lines), TRUE);
    }
}
