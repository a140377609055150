#include "enclii/tar.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"

#define BLOCK 512
#define BUFFER (256 << 10)
#define NAME_LENGTH 100
#define PREFIX_LENGTH 155
#define MAX_OCTAL_SIZE (INT64_C(1) << 33) /* eleven octal digits */

/* POSIX.1-1988, "ustar Interchange Format": every member is text, a block in all. */
struct header {
    char name[NAME_LENGTH];
    char mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8];
    char type;
    char link[NAME_LENGTH];
    char magic[6], version[2];
    char user[32], group[32], major[8], minor[8];
    char prefix[PREFIX_LENGTH];
    char padding[12];
};
G_STATIC_ASSERT(sizeof(struct header) == BLOCK);

void tar_init(struct tar *tar, int fd, int64_t limit_bytes)
{
    *tar = (struct tar){
        .fd = fd,
        .digest = g_checksum_new(G_CHECKSUM_SHA256),
        .buffer = g_string_sized_new(BUFFER),
        .limit_bytes = limit_bytes,
    };
}

void tar_clear(struct tar *tar)
{
    g_clear_pointer(&tar->digest, g_checksum_free);
    if (tar->buffer != NULL) {
        g_string_free(tar->buffer, TRUE);
    }
    tar->buffer = NULL;
}

/* --- bytes -------------------------------------------------------------------------------------------------------------------- */

static bool flush(struct tar *tar, GError **error)
{
    g_checksum_update(tar->digest, (const guchar *)tar->buffer->str, (gssize)tar->buffer->len);
    bool ok = fd_write_all(tar->fd, tar->buffer->str, tar->buffer->len, error);
    g_string_truncate(tar->buffer, 0);
    return ok;
}

static bool put(struct tar *tar, const void *bytes, size_t length, GError **error)
{
    tar->size_bytes += (int64_t)length;
    g_string_append_len(tar->buffer, bytes, (gssize)length);
    return tar->buffer->len < BUFFER || flush(tar, error);
}

static bool pad(struct tar *tar, GError **error)
{
    static const char zeros[BLOCK];
    size_t over = (size_t)(tar->size_bytes % BLOCK);
    return over == 0 || put(tar, zeros, BLOCK - over, error);
}

static bool check_limit(const struct tar *tar, const char *path, int64_t more, GError **error)
{
    if (tar->limit_bytes == 0 || tar->size_bytes + more <= tar->limit_bytes) {
        return true;
    }
    sy_fail(error, SY_TOO_LARGE, "the source is larger than the server takes (%" G_GINT64_FORMAT " MiB), reached at %s",
            tar->limit_bytes >> 20, path);
    sy_error_set_hint(error, "Leave files out by .encliiignore, which is written like .gitignore.");
    return false;
}

/* --- headers ------------------------------------------------------------------------------------------------------------------ */

static void seal(struct header *header)
{
    unsigned sum = 0;
    memset(header->checksum, ' ', sizeof header->checksum);
    for (size_t i = 0; i < sizeof *header; i++) {
        sum += ((const unsigned char *)header)[i];
    }
    g_snprintf(header->checksum, 7, "%06o", sum); /* six digits, NUL, blank: as the standard has it */
}

static void fill(struct header *header, char type, unsigned mode, int64_t size_bytes)
{
    memcpy(header->magic, "ustar", sizeof header->magic);
    memcpy(header->version, "00", sizeof header->version);
    header->type = type;
    g_snprintf(header->mode, sizeof header->mode, "%07o", mode);
    g_snprintf(header->uid, sizeof header->uid, "%07o", 0U);
    g_snprintf(header->gid, sizeof header->gid, "%07o", 0U);
    g_snprintf(header->mtime, sizeof header->mtime, "%011o", 0U);
    g_snprintf(header->major, sizeof header->major, "%07o", 0U);
    g_snprintf(header->minor, sizeof header->minor, "%07o", 0U);
    g_snprintf(header->size, sizeof header->size, "%011" G_GINT64_MODIFIER "o",
               size_bytes < MAX_OCTAL_SIZE ? (guint64)size_bytes : 0);
}

/* Puts the path into name, or prefix and name; false when neither holds it. */
static bool place_path(struct header *header, const char *path, size_t length)
{
    if (length <= NAME_LENGTH) {
        memcpy(header->name, path, length);
        return true;
    }
    size_t low = length - NAME_LENGTH - 1;
    for (size_t i = low; i < length && i <= PREFIX_LENGTH; i++) {
        if (path[i] == '/' && i > 0 && i + 1 < length) {
            memcpy(header->prefix, path, i);
            memcpy(header->name, path + i + 1, length - i - 1);
            return true;
        }
    }
    return false;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void add_record(GString *records, const char *key, const char *value, size_t length)
{
    size_t rest = strlen(key) + length + 3;
    size_t total = rest + 1;
    for (;;) {
        g_autofree char *digits = g_strdup_printf("%zu", total);
        if (rest + strlen(digits) == total) {
            break;
        }
        total = rest + strlen(digits);
    }
    g_string_append_printf(records, "%zu %s=", total, key);
    g_string_append_len(records, value, (gssize)length);
    g_string_append_c(records, '\n');
}

static bool put_records(struct tar *tar, const GString *records, GError **error)
{
    struct header header = {.type = '\0'};
    fill(&header, 'x', 0644, (int64_t)records->len);
    memcpy(header.name, "PaxHeaders/entry", strlen("PaxHeaders/entry"));
    seal(&header);
    return put(tar, &header, sizeof header, error) && put(tar, records->str, records->len, error) && pad(tar, error);
}

static bool put_header(struct tar *tar, struct header *header, const char *path, const char *target, int64_t size_bytes,
                       GError **error)
{
    g_autoptr(GString) records = g_string_new(NULL);
    size_t length = strlen(path);
    /* By the standard a pax name is UTF-8, which readers convert to their locale or fail; ours are bytes. */
    bool is_binary = !g_str_is_ascii(path) || (target != NULL && !g_str_is_ascii(target));
    if (!place_path(header, path, length)) {
        memcpy(header->name, path, NAME_LENGTH);
        add_record(records, "path", path, length);
    }
    if (target != NULL && strlen(target) > NAME_LENGTH) {
        add_record(records, "linkpath", target, strlen(target));
    }
    if (target != NULL) {
        memcpy(header->link, target, MIN(strlen(target), (size_t)NAME_LENGTH));
    }
    if (size_bytes >= MAX_OCTAL_SIZE) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, size_bytes);
        add_record(records, "size", text, strlen(text));
    }
    if (records->len > 0 && is_binary) {
        g_autoptr(GString) all = g_string_new(NULL);
        add_record(all, "hdrcharset", "BINARY", strlen("BINARY"));
        g_string_append_len(all, records->str, (gssize)records->len);
        g_string_assign(records, all->str);
    }
    seal(header);
    return (records->len == 0 || put_records(tar, records, error)) && put(tar, header, sizeof *header, error);
}

/* --- entries ------------------------------------------------------------------------------------------------------------------ */

bool tar_add_folder(struct tar *tar, const char *path, GError **error)
{
    struct header header = {.type = '\0'};
    g_autofree char *with_slash = g_strconcat(path, "/", NULL);
    fill(&header, '5', 0755, 0);
    return check_limit(tar, path, BLOCK, error) && put_header(tar, &header, with_slash, NULL, 0, error);
}

bool tar_add_link(struct tar *tar, const char *path, const char *target, GError **error)
{
    struct header header = {.type = '\0'};
    fill(&header, '2', 0755, 0);
    return check_limit(tar, path, BLOCK, error) && put_header(tar, &header, path, target, 0, error);
}

bool tar_begin_file(struct tar *tar, const char *path, bool is_executable, int64_t size_bytes, GError **error)
{
    struct header header = {.type = '\0'};
    g_return_val_if_fail(tar->left == 0, FALSE);
    fill(&header, '0', is_executable ? 0755 : 0644, size_bytes);
    if (!check_limit(tar, path, BLOCK + size_bytes, error) ||
        !put_header(tar, &header, path, NULL, size_bytes, error)) {
        return false;
    }
    tar->left = size_bytes;
    return true;
}

bool tar_put_content(struct tar *tar, const void *bytes, size_t length, GError **error)
{
    g_return_val_if_fail((int64_t)length <= tar->left, FALSE);
    tar->left -= (int64_t)length;
    return put(tar, bytes, length, error) && (tar->left > 0 || pad(tar, error));
}

bool tar_finish(struct tar *tar, char **ret_sha256, GError **error)
{
    static const char zeros[2 * BLOCK];
    g_return_val_if_fail(tar->left == 0, FALSE);
    if (!put(tar, zeros, sizeof zeros, error) || !flush(tar, error)) {
        return false;
    }
    *ret_sha256 = g_strdup(g_checksum_get_string(tar->digest));
    return true;
}
