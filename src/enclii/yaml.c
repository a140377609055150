#include "enclii/yaml.h"

#include <libfyaml.h>
#include <string.h>

#include "base/error.h"

#define MAX_DEPTH 32
#define MAX_REPORT 4096
#define MAX_NAME 128 /* of a key in a path; contract_decode cuts there too */

typedef struct fy_parser fy_parser_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fy_parser_t, fy_parser_destroy)

struct reader {
    struct fy_parser *parser;
    struct fy_event *event; /* the current one */
    struct yaml_document *document;
    GString *path;
    GString *report; /* the parser's own words */
    unsigned depth;
};

static bool fail_at(struct yaml_place place, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool fail_at(struct yaml_place place, GError **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *detail = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return sy_fail(error, SY_INVALID_INPUT, "%d:%d: %s", place.line, place.column, detail);
}

static struct yaml_place place_of(struct fy_event *event)
{
    const struct fy_mark *mark = event != NULL ? fy_event_start_mark(event) : NULL;
    return mark != NULL ? (struct yaml_place){mark->line + 1, mark->column + 1} : (struct yaml_place){1, 1};
}

/* --- events ------------------------------------------------------------------------------------------------------------------- */

/* The parser reports as "<memory-@…>:LINE:COLUMN: error: WORDS\n", then the line itself. Its own list of errors
 * (FYPCF_COLLECT_DIAG) has the same as numbers, but each one holds on to the parser for ever. */
static bool fail_syntax(struct reader *reader, GError **error)
{
    const char *place = strstr(reader->report->str, ">:");
    const char *words = strstr(reader->report->str, "error: ");
    if (place == NULL || words == NULL) {
        return fail_at(place_of(NULL), error, "is no YAML");
    }
    char *rest = NULL;
    int line = (int)g_ascii_strtoll(place + 2, &rest, 10);
    int column = *rest == ':' ? (int)g_ascii_strtoll(rest + 1, NULL, 10) : 1;
    words += strlen("error: ");
    return fail_at((struct yaml_place){line, column}, error, "%.*s", (int)strcspn(words, "\n"), words);
}

static bool next(struct reader *reader, GError **error)
{
    fy_parser_event_free(reader->parser, reader->event);
    reader->event = fy_parser_parse(reader->parser);
    return reader->event != NULL || fail_syntax(reader, error);
}

static bool expect(struct reader *reader, enum fy_event_type type, GError **error)
{
    return reader->event->type == type || fail_at(place_of(reader->event), error, "is not expected here");
}

/* --- nodes -------------------------------------------------------------------------------------------------------------------- */

static bool refuse_magic(struct fy_event *event, GError **error)
{
    if (event->type == FYET_ALIAS || fy_event_get_anchor_token(event) != NULL) {
        return fail_at(place_of(event), error, "anchors (&) and aliases (*) are not used here; write the value out");
    }
    if (fy_event_get_tag_token(event) != NULL) {
        return fail_at(place_of(event), error, "tags (!) are not used here");
    }
    return true;
}

static void remember(GHashTable *table, const char *path, struct yaml_place place)
{
    g_hash_table_insert(table, g_strdup(path), g_memdup2(&place, sizeof place));
}

static bool read_scalar(struct reader *reader, json_t **ret, GError **error)
{
    size_t length = 0;
    const char *text = fy_token_get_text(reader->event->scalar.value, &length);
    bool is_plain =
        reader->event->scalar.value == NULL || fy_scalar_token_get_style(reader->event->scalar.value) == FYSS_PLAIN;
    bool is_null = text == NULL || length == 0 || (length == 1 && text[0] == '~') ||
                   (length == strlen("null") && memcmp(text, "null", length) == 0);
    *ret = is_plain && is_null ? json_null() : json_stringn(text != NULL ? text : "", length);
    return *ret != NULL || fail_at(place_of(reader->event), error, "is not valid UTF-8 text");
}

static bool read_node(struct reader *reader, json_t **ret, GError **error);

static bool read_sequence(struct reader *reader, json_t *array, GError **error)
{
    size_t length = reader->path->len;
    while (next(reader, error)) {
        if (reader->event->type == FYET_SEQUENCE_END) {
            return true;
        }
        json_t *value = NULL;
        g_string_append_printf(reader->path, "[%zu]", json_array_size(array));
        bool ok = read_node(reader, &value, error);
        g_string_truncate(reader->path, length);
        if (!ok) {
            return false;
        }
        json_array_append_new(array, value);
    }
    return false;
}

/* The current event is a key; the value follows. */
static bool read_member(struct reader *reader, json_t *object, GError **error)
{
    struct yaml_place place = place_of(reader->event);
    size_t key_length = 0;
    const char *text =
        reader->event->type == FYET_SCALAR ? fy_token_get_text(reader->event->scalar.value, &key_length) : NULL;
    if (!refuse_magic(reader->event, error)) {
        return false;
    }
    if (text == NULL || key_length == 0 || memchr(text, '\0', key_length) != NULL) {
        return fail_at(place, error, "a key must be plain text");
    }
    g_autofree char *key = g_strndup(text, key_length);
    if (json_object_get(object, key) != NULL) {
        return fail_at(place, error, "%s is there a second time", key);
    }
    size_t length = reader->path->len;
    if (length > 0) {
        g_string_append_c(reader->path, '.');
    }
    g_string_append_len(reader->path, key, (gssize)strnlen(key, MAX_NAME));
    remember(reader->document->keys, reader->path->str, place);
    json_t *value = NULL;
    bool ok = next(reader, error) && read_node(reader, &value, error);
    g_string_truncate(reader->path, length);
    return ok && (json_object_set_new(object, key, value) == 0 || fail_at(place, error, "a key must be UTF-8 text"));
}

static bool read_mapping(struct reader *reader, json_t *object, GError **error)
{
    while (next(reader, error)) {
        if (reader->event->type == FYET_MAPPING_END) {
            return true;
        }
        if (!read_member(reader, object, error)) {
            return false;
        }
    }
    return false;
}

/* Reads the node that the current event begins; *ret is set on success only. */
static bool read_node(struct reader *reader, json_t **ret, GError **error)
{
    struct yaml_place place = place_of(reader->event);
    if (!refuse_magic(reader->event, error)) {
        return false;
    }
    if (reader->depth >= MAX_DEPTH) {
        return fail_at(place, error, "nested deeper than %d levels", MAX_DEPTH);
    }
    remember(reader->document->values, reader->path->str, place);
    if (reader->event->type == FYET_SCALAR) {
        return read_scalar(reader, ret, error);
    }
    bool is_mapping = reader->event->type == FYET_MAPPING_START;
    if (!is_mapping && !expect(reader, FYET_SEQUENCE_START, error)) {
        return false;
    }
    json_t *value = is_mapping ? json_object() : json_array();
    reader->depth++;
    bool ok = is_mapping ? read_mapping(reader, value, error) : read_sequence(reader, value, error);
    reader->depth--;
    if (!ok) {
        json_decref(value);
        return false;
    }
    *ret = value;
    return true;
}

static bool read_stream(struct reader *reader, GError **error)
{
    if (!next(reader, error) || !expect(reader, FYET_STREAM_START, error) || !next(reader, error)) {
        return false;
    }
    if (reader->event->type == FYET_STREAM_END) {
        return fail_at(place_of(NULL), error, "holds nothing");
    }
    if (!expect(reader, FYET_DOCUMENT_START, error) || !next(reader, error) ||
        !read_node(reader, &reader->document->json, error) || !next(reader, error) ||
        !expect(reader, FYET_DOCUMENT_END, error) || !next(reader, error)) {
        return false;
    }
    return reader->event->type == FYET_STREAM_END ||
           fail_at(place_of(reader->event), error, "a second document (---) begins here; only one is read");
}

/* --- the text ----------------------------------------------------------------------------------------------------------------- */

/* Tabs never indent in YAML, and the parser's own words about them do not say so. */
static bool check_tabs(const char *text, size_t length, GError **error)
{
    int line = 1;
    for (const char *p = text; p < text + length; line++) {
        const char *end = memchr(p, '\n', length - (size_t)(p - text));
        end = end != NULL ? end : text + length;
        size_t blanks = 0;
        while (p + blanks < end && (p[blanks] == ' ' || p[blanks] == '\t')) {
            blanks++;
        }
        if (*p == '\t' && p + blanks < end && p[blanks] != '#' && p[blanks] != '\r') {
            return fail_at((struct yaml_place){line, 1}, error, "a tab; YAML is indented with spaces only");
        }
        p = end + 1;
    }
    return true;
}

static bool check_utf8(const char *text, size_t length, GError **error)
{
    const char *end = NULL;
    if (g_utf8_validate_len(text, length, &end)) {
        return true;
    }
    struct yaml_place place = {1, 1};
    for (const char *p = text; p < end; p++) {
        place.line += *p == '\n';
        place.column = *p == '\n' ? 1 : place.column + 1;
    }
    return fail_at(place, error, "is not UTF-8 text");
}

static void add_report(struct fy_diag *diag, void *user, const char *text, size_t length)
{
    GString *report = user;
    if (report->len < MAX_REPORT) {
        g_string_append_len(report, text, (gssize)MIN(length, MAX_REPORT));
    }
}

bool yaml_parse(const char *text, size_t length, struct yaml_document *ret_document, GError **error)
{
    if (!check_utf8(text, length, error) || !check_tabs(text, length, error)) {
        return false;
    }
    g_autoptr(GString) report = g_string_new(NULL);
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    diag_config.output_fn = add_report;
    diag_config.user = report;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    const struct fy_parse_cfg config = {.flags = FYPCF_DEFAULT_VERSION_1_2, .diag = diag};
    g_autoptr(fy_parser_t) parser = fy_parser_create(&config);
    g_autoptr(GString) path = g_string_new(NULL);
    g_auto(yaml_document_t) document = {
        .keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
    };
    struct reader reader = {.parser = parser, .document = &document, .path = path, .report = report};
    bool ok = (parser != NULL && fy_parser_set_string(parser, text, length) == 0)
                  ? read_stream(&reader, error)
                  : sy_fail(error, SY_INTERNAL, "the YAML parser does not start");
    if (parser != NULL) {
        fy_parser_event_free(parser, reader.event);
    }
    fy_diag_unref(diag);
    if (ok) {
        *ret_document = document;
        document = (struct yaml_document){0};
    }
    return ok;
}

void yaml_document_clear(struct yaml_document *document)
{
    json_decref(document->json);
    g_clear_pointer(&document->keys, g_hash_table_unref);
    g_clear_pointer(&document->values, g_hash_table_unref);
    document->json = NULL;
}
