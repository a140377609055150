#include <string.h>

#include "load.h"

#define HEAD_LIMIT 65536
#define BODY_KEPT 65536

void answer_init(struct answer *answer)
{
    *answer = (struct answer){.head = g_string_new(NULL), .body = g_string_new(NULL), .line = g_string_new(NULL)};
}

void answer_clear(struct answer *answer)
{
    g_string_free(answer->head, TRUE);
    g_string_free(answer->body, TRUE);
    g_string_free(answer->line, TRUE);
}

char *answer_header(const struct answer *answer, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(answer->head->str, "\r\n", -1);
    size_t length = strlen(name);
    for (char **line = lines; *line != NULL; line++) {
        if (g_ascii_strncasecmp(*line, name, length) == 0 && (*line)[length] == ':') {
            return g_strstrip(g_strdup(*line + length + 1));
        }
    }
    return NULL;
}

static void read_head(struct answer *answer)
{
    g_autofree char *length = answer_header(answer, "Content-Length");
    g_autofree char *coding = answer_header(answer, "Transfer-Encoding");
    g_autofree char *connection = answer_header(answer, "Connection");
    const char *code = strchr(answer->head->str, ' ');
    answer->status = code != NULL ? (int)g_ascii_strtoll(code, NULL, 10) : 0;
    answer->is_chunked = coding != NULL && g_ascii_strcasecmp(coding, "chunked") == 0;
    answer->closes = connection != NULL && g_ascii_strcasecmp(connection, "close") == 0;
    answer->left = answer->is_chunked ? 0 : length != NULL ? g_ascii_strtoll(length, NULL, 10) : -1;
    bool has_none = answer->status == 101 || answer->status == 204 || (answer->left == 0 && !answer->is_chunked);
    answer->state = !g_str_has_prefix(answer->head->str, "HTTP/1.") ? ANSWER_BROKEN
                    : has_none                                      ? ANSWER_DONE
                                                                    : ANSWER_BODY;
}

static size_t feed_head(struct answer *answer, const char *bytes, size_t n)
{
    size_t before = answer->head->len;
    g_string_append_len(answer->head, bytes, (gssize)n);
    const char *stop = strstr(answer->head->str, "\r\n\r\n");
    if (stop == NULL) {
        answer->state = answer->head->len > HEAD_LIMIT ? ANSWER_BROKEN : ANSWER_HEAD;
        return n;
    }
    size_t length = (size_t)(stop - answer->head->str) + 4;
    g_string_truncate(answer->head, length);
    read_head(answer);
    return length - before;
}

static void keep_body(struct answer *answer, const char *bytes, size_t n)
{
    answer->bytes += (int64_t)n;
    g_string_append_len(answer->body, bytes, (gssize)MIN(n, BODY_KEPT - MIN(answer->body->len, BODY_KEPT)));
}

static size_t feed_plain(struct answer *answer, const char *bytes, size_t n)
{
    size_t taken = answer->left < 0 ? n : MIN(n, (size_t)answer->left);
    keep_body(answer, bytes, taken);
    answer->left -= answer->left < 0 ? 0 : (int64_t)taken;
    return taken;
}

/* A line of the chunked coding: a size, or the empty one behind a chunk. */
static void chunk_line(struct answer *answer)
{
    g_string_truncate(answer->line, answer->line->len - 2);
    if (answer->line->len > 0) {
        answer->left = g_ascii_strtoll(answer->line->str, NULL, 16);
        answer->closes |= answer->left == 0; /* trailers are not read: the connection is not used again */
        answer->state = answer->left == 0 ? ANSWER_DONE : ANSWER_BODY;
    }
    g_string_truncate(answer->line, 0);
}

static size_t feed_chunked(struct answer *answer, const char *bytes, size_t n)
{
    if (answer->left > 0) {
        return feed_plain(answer, bytes, n);
    }
    g_string_append_c(answer->line, *bytes);
    if (g_str_has_suffix(answer->line->str, "\r\n")) {
        chunk_line(answer);
    }
    if (answer->line->len > 100) {
        answer->state = ANSWER_BROKEN;
    }
    return 1;
}

size_t answer_feed(struct answer *answer, const char *bytes, size_t n)
{
    size_t used = 0;
    while (used < n && (answer->state == ANSWER_HEAD || answer->state == ANSWER_BODY)) {
        const char *rest = bytes + used;
        if (answer->state == ANSWER_HEAD) {
            used += feed_head(answer, rest, n - used);
        } else if (answer->is_chunked) {
            used += feed_chunked(answer, rest, n - used);
        } else {
            used += feed_plain(answer, rest, n - used);
            answer->state = answer->left == 0 ? ANSWER_DONE : ANSWER_BODY;
        }
    }
    return used;
}
