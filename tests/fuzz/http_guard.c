/* The framing guard behind a lenient parser, against a strict reading of the same bytes: what it lets through is unambiguous. */
#include "../unit/http/mhd_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool starts_with_name(const char *line, const char *name)
{
    size_t length = strlen(name);
    return g_ascii_strncasecmp(line, name, length) == 0 && line[length] == ':';
}

/* RFC 9112: lines end with CR LF and with nothing else, no line is folded, names are tokens right before the colon. */
static bool is_strict(const char *text, size_t length, int *ret_lengths, int *ret_codings, int *ret_hosts)
{
    if (memchr(text, '\0', length) != NULL || length < 4 || memcmp(text + length - 4, "\r\n\r\n", 4) != 0) {
        return false;
    }
    g_autofree char *whole = g_strndup(text, length - 4);
    g_auto(GStrv) lines = g_strsplit(whole, "\r\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (**line == '\0' || strpbrk(*line, "\r\n") != NULL) {
            return false;
        }
        char *colon = line == lines ? NULL : strchr(*line, ':');
        g_autofree char *name = colon != NULL ? g_strndup(*line, (gsize)(colon - *line)) : NULL;
        if (line != lines && (name == NULL || !guard_is_token(name))) {
            return false;
        }
        *ret_lengths += line != lines && starts_with_name(*line, "content-length");
        *ret_codings += line != lines && starts_with_name(*line, "transfer-encoding");
        *ret_hosts += line != lines && starts_with_name(*line, "host");
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    bool is_blind = memmem(text, size, "\0\n", 2) != NULL || memmem(text, size, "\0\r", 2) != NULL;
    if (size > 65536 || is_blind) {
        return 0; /* see guard.h */
    }
    g_autofree char *copy = g_malloc(size + 1);
    memcpy(copy, text, size);
    copy[size] = '\0';
    struct mhd_head head;
    struct guard_framing framing;
    int lengths = 0;
    int codings = 0;
    int hosts = 0;
    g_autoptr(GError) error = NULL;
    if (!mhd_parse_head(copy, size, &head)) {
        return 0;
    }
    head.head.headers = head.headers;
    if (!guard_check(&head.head, &framing, &error)) {
        if (error == NULL) {
            g_printerr("a refusal without an error\n");
            abort();
        }
        return 0;
    }
    bool is_sound = is_strict(text, size, &lengths, &codings, &hosts) && lengths + codings <= 1 && hosts <= 1 &&
                    framing.is_chunked == (codings == 1) && (framing.content_length >= 0) == (lengths == 1);
    if (!is_sound) {
        g_printerr("an ambiguous head passed\n");
        abort();
    }
    return 0;
}
