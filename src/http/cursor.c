#include <string.h>

#include "base/error.h"
#include "http/server.h"

#define CURSOR_MAX 1024

char *cursor_encode(const char *key)
{
    char *text = g_base64_encode((const guchar *)key, strlen(key));
    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    text[strcspn(text, "=")] = '\0';
    return text;
}

/* Only what cursor_encode writes is a cursor: decoding and encoding again must give the same text. */
char *cursor_decode(const char *cursor, GError **error)
{
    size_t length = strlen(cursor);
    if (length > 0 && length <= CURSOR_MAX) {
        static const char *const padding[] = {"", "===", "==", "="};
        g_autofree char *text = g_strconcat(cursor, padding[length % 4], NULL);
        g_strdelimit(text, "-", '+');
        g_strdelimit(text, "_", '/');
        gsize n = 0;
        g_autofree guchar *bytes = g_base64_decode(text, &n);
        g_autofree char *key = g_strndup((const char *)bytes, n);
        g_autofree char *again = cursor_encode(key);
        if (strlen(key) == n && g_utf8_validate(key, -1, NULL) && strcmp(again, cursor) == 0) {
            return g_steal_pointer(&key);
        }
    }
    sy_error_add_issue(error, "query.cursor", "invalid", "is not a cursor that this server gave out");
    return NULL;
}
