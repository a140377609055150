/* The files of migrations: from the binary, or from a folder by the same rules as
 * tools/embed_migrations.py. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "store/migrate_internal.h"

#define FILE_MAX_BYTES (4 << 20)
#define FILES_MAX 10000

static void text_clear(struct migration_text *text)
{
    g_free((char *)text->name);
    g_free((char *)text->up);
    g_free((char *)text->down);
}

void migration_set_done(struct migration_set *set)
{
    for (size_t i = 0; set->owned != NULL && i < set->n; i++) {
        text_clear(&set->owned[i]);
    }
    g_free(set->owned);
    *set = (struct migration_set){0};
}

static bool is_migration(const char *file)
{
    return g_str_has_suffix(file, ".up.sql") || g_str_has_suffix(file, ".down.sql");
}

/* Splits NNNN_name.up.sql. */
static bool parse_name(const char *file, int64_t *ret_version, char **ret_name, bool *ret_is_up)
{
    bool is_up = g_str_has_suffix(file, ".up.sql");
    size_t digits = strspn(file, "0123456789");
    if (digits == 0 || digits > 18 || file[digits] != '_') {
        return false;
    }
    guint64 version = 0;
    g_autofree char *number = g_strndup(file, digits);
    if (!g_ascii_string_to_unsigned(number, 10, 1, INT64_MAX, &version, NULL)) {
        return false;
    }
    *ret_version = (int64_t)version;
    *ret_is_up = is_up;
    *ret_name = g_strndup(file, strlen(file) - strlen(is_up ? ".up.sql" : ".down.sql"));
    return true;
}

static struct migration_text *find_or_add(GArray *texts, int64_t version)
{
    for (guint i = 0; i < texts->len; i++) {
        struct migration_text *text = &g_array_index(texts, struct migration_text, i);
        if (text->version == version) {
            return text;
        }
    }
    struct migration_text fresh = {.version = version};
    g_array_append_val(texts, fresh);
    return &g_array_index(texts, struct migration_text, texts->len - 1);
}

static bool add_file(GArray *texts, const char *folder, const char *file, GError **error)
{
    int64_t version = 0;
    bool is_up = false;
    g_autofree char *name = NULL;
    if (!is_migration(file)) {
        return true; /* a README may lie there */
    }
    if (!parse_name(file, &version, &name, &is_up)) {
        sy_fail(error, SY_MIGRATION_FAILED, "%s: %s has no version", folder, file);
        sy_error_set_hint(error, "Name it NNNN_what_it_does.up.sql or .down.sql, with a number from 1 on.");
        return false;
    }
    if (texts->len >= FILES_MAX) {
        return sy_fail(error, SY_MIGRATION_FAILED, "%s: more than %d migrations", folder, FILES_MAX);
    }
    struct migration_text *text = find_or_add(texts, version);
    if ((is_up ? text->up : text->down) != NULL || (text->name != NULL && strcmp(text->name, name) != 0)) {
        return sy_fail(error, SY_MIGRATION_FAILED, "%s: %s and %s have the same version", folder, text->name, file);
    }
    if (text->name == NULL) {
        text->name = g_steal_pointer(&name);
    }
    g_autofree char *path = g_build_filename(folder, file, NULL);
    size_t length = 0;
    g_autofree char *content = file_read(path, FILE_MAX_BYTES, &length, error);
    if (content == NULL) {
        return false;
    }
    if (!g_utf8_validate_len(content, length, NULL)) {
        return sy_fail(error, SY_MIGRATION_FAILED, "%s is not UTF-8 text", path);
    }
    *(is_up ? &text->up : &text->down) = g_steal_pointer(&content);
    return true;
}

static int by_version(const void *a, const void *b)
{
    int64_t x = ((const struct migration_text *)a)->version;
    int64_t y = ((const struct migration_text *)b)->version;
    return (x > y) - (x < y);
}

static void text_clear_element(gpointer text)
{
    text_clear(text);
}

static bool load_folder(struct migration_set *set, const char *folder, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GDir) entries = g_dir_open(folder, 0, &failure);
    if (entries == NULL) {
        return sy_fail(error, SY_MIGRATION_FAILED, "%s", failure->message);
    }
    g_autoptr(GArray) texts = g_array_new(FALSE, TRUE, sizeof(struct migration_text));
    g_array_set_clear_func(texts, text_clear_element);
    const char *file;
    while ((file = g_dir_read_name(entries)) != NULL) {
        if (!add_file(texts, folder, file, error)) {
            return false;
        }
    }
    gsize n = 0;
    set->owned = g_array_steal(texts, &n);
    set->n = n;
    set->items = set->owned;
    if (n > 0) {
        qsort(set->owned, n, sizeof *set->owned, by_version);
    }
    return true;
}

bool migration_set_load(struct migration_set *set, const char *folder, enum store_dialect dialect, GError **error)
{
    *set = (struct migration_set){0};
    if (folder != NULL) {
        g_autofree char *path = g_build_filename(folder, dialect == STORE_SQLITE ? "sqlite" : "postgresql", NULL);
        return load_folder(set, path, error);
    }
    set->items = dialect == STORE_SQLITE ? migrations_sqlite : migrations_postgresql;
    set->n = dialect == STORE_SQLITE ? n_migrations_sqlite : n_migrations_postgresql;
    return true;
}

size_t migration_line(const char *text, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && text[i] != '\0'; i++) {
        line += text[i] == '\n';
    }
    return line;
}
