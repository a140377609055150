#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "build/source_tree.h"

#define PACKED_BLOCK (64 * 1024)
#define RATIO_FROM_BYTES (INT64_C(64) << 20)

struct unpacking {
    struct archive *archive;
    const struct source_limits *limits;
    const int *cancelled;
    int archive_fd;
    int folder_fd;
    int64_t packed_bytes;
    struct source_tree tree;
    char block[PACKED_BLOCK];
};

/* One entry's place: `parts` are the plain names from the root, at least one. */
struct place {
    char *label;
    char **parts;
    unsigned n_parts;
};

static void place_clear(struct place *place)
{
    g_clear_pointer(&place->label, g_free);
    g_clear_pointer(&place->parts, g_strfreev);
}
typedef struct place place_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(place_t, place_clear)

static bool refuse(GError **error, const struct place *place, const char *rule)
{
    return sy_fail(error, SY_SOURCE_REFUSED, "%s: %s", place->label, rule);
}

static bool is_cancelled(const struct unpacking *unpacking)
{
    return unpacking->cancelled != NULL && g_atomic_int_get(unpacking->cancelled) != 0;
}

/* --- reading ------------------------------------------------------------------------------------------------------------- */

static la_ssize_t read_packed(struct archive *archive, void *arg, const void **ret_block)
{
    struct unpacking *unpacking = arg;
    ssize_t length;
    do {
        length = is_cancelled(unpacking) ? -1 : read(unpacking->archive_fd, unpacking->block, sizeof unpacking->block);
    } while (length < 0 && errno == EINTR && !is_cancelled(unpacking));
    if (length < 0) {
        archive_set_error(archive, errno, "cannot read the archive");
        return ARCHIVE_FATAL;
    }
    *ret_block = unpacking->block;
    unpacking->packed_bytes += length;
    return length;
}

static bool fail_reading(struct unpacking *unpacking, GError **error)
{
    if (is_cancelled(unpacking)) {
        return sy_fail(error, SY_CANCELLED, "cancelled while unpacking the source");
    }
    const char *text = archive_error_string(unpacking->archive);
    sy_fail(error, SY_INVALID_INPUT, "the archive cannot be read: %s", text != NULL ? text : "it is damaged");
    sy_error_set_hint(error, "Send a complete tar archive, plain or compressed by gzip, zstd, xz or bzip2.");
    return false;
}

static bool check_ratio(struct unpacking *unpacking, GError **error)
{
    int64_t unpacked = archive_filter_bytes(unpacking->archive, 0);
    if (is_cancelled(unpacking)) {
        return sy_fail(error, SY_CANCELLED, "cancelled while unpacking the source");
    }
    if (unpacked > RATIO_FROM_BYTES && unpacked / unpacking->limits->ratio > unpacking->packed_bytes) {
        return sy_fail(error, SY_TOO_LARGE, "the archive unpacks to more than %" G_GINT64_FORMAT " times its size",
                       unpacking->limits->ratio);
    }
    return true;
}

static bool count_entry(struct unpacking *unpacking, GError **error)
{
    return ++unpacking->tree.entry_count <= unpacking->limits->entry_count ||
           sy_fail(error, SY_TOO_LARGE, "the archive holds more than %" G_GINT64_FORMAT " files and folders",
                   unpacking->limits->entry_count);
}

static bool count_bytes(struct unpacking *unpacking, const struct place *place, int64_t size, GError **error)
{
    const struct source_limits *limits = unpacking->limits;
    if (size < 0 || size > limits->entry_bytes) {
        return sy_fail(error, SY_TOO_LARGE, "%s: larger than %" G_GINT64_FORMAT " bytes", place->label,
                       limits->entry_bytes);
    }
    if (size > limits->total_bytes - unpacking->tree.total_bytes) {
        return sy_fail(error, SY_TOO_LARGE, "the archive unpacks to more than %" G_GINT64_FORMAT " bytes",
                       limits->total_bytes);
    }
    unpacking->tree.total_bytes += size;
    return true;
}

/* --- where an entry goes --------------------------------------------------------------------------------------------------- */

/* Zero parts: the root itself ("./"). */
static bool find_place(const char *name, struct place *ret_place, GError **error)
{
    g_auto(place_t) place = {.label = source_label(name)};
    if (name[0] == '/') {
        return refuse(error, &place, "absolute paths are refused");
    }
    if (strlen(name) >= PATH_MAX) {
        return refuse(error, &place, "the path is too long");
    }
    g_auto(GStrv) all = g_strsplit(name, "/", -1);
    g_autoptr(GPtrArray) parts = g_ptr_array_new();
    for (char **part = all; *part != NULL; part++) {
        if (strcmp(*part, "..") == 0) {
            return refuse(error, &place, "“..” in a path is refused");
        }
        if (strlen(*part) > NAME_MAX) {
            return refuse(error, &place, "one name of the path is too long");
        }
        if (**part != '\0' && strcmp(*part, ".") != 0) {
            g_ptr_array_add(parts, *part);
        }
    }
    if (parts->len > SOURCE_DEPTH_LIMIT) {
        return refuse(error, &place, "it lies too many folders deep");
    }
    place.n_parts = parts->len;
    g_ptr_array_add(parts, NULL);
    place.parts = g_strdupv((char **)parts->pdata);
    *ret_place = place;
    place = (struct place){0};
    return true;
}

static int open_folder(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens a folder beneath `parent`, making it when it is missing; never through a link. */
static bool enter(struct unpacking *unpacking, const struct place *place, int parent, const char *name, fd_t *ret_fd,
                  GError **error)
{
    int fd = open_folder(parent, name);
    if (fd < 0 && errno == ENOENT) {
        if (!count_entry(unpacking, error)) {
            return false;
        }
        if (mkdirat(parent, name, 0700) != 0) {
            return sy_fail_errno(error, errno, "%s: cannot make a folder", place->label);
        }
        fd = open_folder(parent, name);
        if (fd >= 0 && fchmod(fd, 0755) != 0) {
            close(fd);
            return sy_fail_errno(error, errno, "%s: cannot set the mode", place->label);
        }
    }
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
        return refuse(error, place, "it runs through a symbolic link or a file");
    }
    if (fd < 0) {
        return sy_fail_errno(error, errno, "%s: cannot open a folder", place->label);
    }
    *ret_fd = fd;
    return true;
}

/* The folder that the entry's first `n` parts name. */
static bool enter_all(struct unpacking *unpacking, const struct place *place, unsigned n, fd_t *ret_fd, GError **error)
{
    g_auto(fd_t) fd = open_folder(unpacking->folder_fd, ".");
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot open the folder to unpack to");
    }
    for (unsigned i = 0; i < n; i++) {
        g_auto(fd_t) next = -1;
        if (!enter(unpacking, place, fd, place->parts[i], &next, error)) {
            return false;
        }
        close(fd);
        fd = next;
        next = -1;
    }
    *ret_fd = fd;
    fd = -1;
    return true;
}

/* The last of two entries with one name wins, unless one of them is a folder. */
static bool make_room(const struct place *place, int parent, const char *name, GError **error)
{
    struct stat stat;
    if (fstatat(parent, name, &stat, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT || sy_fail_errno(error, errno, "%s: cannot look", place->label);
    }
    if (S_ISDIR(stat.st_mode)) {
        return refuse(error, place, "it is in the archive as a folder too");
    }
    return unlinkat(parent, name, 0) == 0 || sy_fail_errno(error, errno, "%s: cannot replace it", place->label);
}

/* --- writing --------------------------------------------------------------------------------------------------------------- */

static bool write_at(int fd, const char *bytes, size_t length, int64_t offset, GError **error)
{
    while (length > 0) {
        ssize_t written = pwrite(fd, bytes, length, offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return sy_fail_errno(error, errno, "cannot write");
        }
        bytes += written;
        offset += written;
        length -= (size_t)written;
    }
    return true;
}

/* Holes of sparse files stay holes; their size was counted in full. */
static bool write_content(struct unpacking *unpacking, const struct place *place, int fd, int64_t size, GError **error)
{
    for (;;) {
        const void *bytes;
        size_t length;
        la_int64_t offset;
        int status = archive_read_data_block(unpacking->archive, &bytes, &length, &offset);
        if (status == ARCHIVE_EOF) {
            break;
        }
        if (status != ARCHIVE_OK) {
            return fail_reading(unpacking, error);
        }
        if (offset < 0 || offset > size || (int64_t)length > size - offset) {
            return sy_fail(error, SY_INVALID_INPUT, "%s: holds more than its header says", place->label);
        }
        if (!check_ratio(unpacking, error) || !write_at(fd, bytes, length, offset, error)) {
            g_prefix_error(error, "%s: ", place->label);
            return false;
        }
    }
    return ftruncate(fd, size) == 0 || sy_fail_errno(error, errno, "%s: cannot set the size", place->label);
}

static bool write_file(struct unpacking *unpacking, const struct place *place, int parent, struct archive_entry *entry,
                       GError **error)
{
    const char *name = place->parts[place->n_parts - 1];
    int64_t size = archive_entry_size(entry);
    if (!count_bytes(unpacking, place, size, error) || !make_room(place, parent, name, error)) {
        return false;
    }
    g_auto(fd_t) fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "%s: cannot create it", place->label);
    }
    mode_t mode = archive_entry_perm(entry) & 0111 ? 0755 : 0644;
    return write_content(unpacking, place, fd, size, error) &&
           (fchmod(fd, mode) == 0 || sy_fail_errno(error, errno, "%s: cannot set the mode", place->label));
}

static bool write_link(const struct place *place, int parent, struct archive_entry *entry, GError **error)
{
    const char *name = place->parts[place->n_parts - 1];
    const char *target = archive_entry_symlink(entry);
    if (target == NULL || strlen(target) >= PATH_MAX) {
        return refuse(error, place, "the target of this symbolic link is not a path");
    }
    if (!source_link_is_inside(target, place->n_parts - 1)) {
        return refuse(error, place, "this symbolic link leads out of the folder, or has “..” behind a name");
    }
    return make_room(place, parent, name, error) &&
           (symlinkat(target, parent, name) == 0 || sy_fail_errno(error, errno, "%s: cannot create it", place->label));
}

static const char *refused_kind(struct archive_entry *entry)
{
    if (archive_entry_hardlink(entry) != NULL) {
        return "hard links are refused";
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR:
    case AE_IFLNK:
        return NULL;
    case AE_IFBLK:
    case AE_IFCHR:
        return "devices are refused";
    case AE_IFIFO:
        return "FIFOs are refused";
    case AE_IFSOCK:
        return "sockets are refused";
    default:
        return "this kind of entry is refused";
    }
}

static bool unpack_entry(struct unpacking *unpacking, struct archive_entry *entry, GError **error)
{
    const char *name = archive_entry_pathname(entry);
    g_auto(place_t) place = {0};
    if (name == NULL || *name == '\0') {
        return sy_fail(error, SY_SOURCE_REFUSED, "entry %" G_GINT64_FORMAT " of the archive has no name that is UTF-8",
                       unpacking->tree.entry_count + 1);
    }
    if (!find_place(name, &place, error)) {
        return false;
    }
    const char *rule = refused_kind(entry);
    bool is_folder = archive_entry_filetype(entry) == AE_IFDIR;
    if (rule == NULL && place.n_parts == 0 && !is_folder) {
        rule = "it names the folder itself";
    }
    if (rule != NULL) {
        return refuse(error, &place, rule);
    }
    g_auto(fd_t) parent = -1;
    if (!enter_all(unpacking, &place, place.n_parts - !is_folder, &parent, error)) {
        return false;
    }
    if (is_folder) {
        return true;
    }
    if (!count_entry(unpacking, error)) {
        return false;
    }
    return archive_entry_filetype(entry) == AE_IFLNK ? write_link(&place, parent, entry, error)
                                                     : write_file(unpacking, &place, parent, entry, error);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------- */

static bool open_archive(struct unpacking *unpacking, GError **error)
{
    struct archive *archive = unpacking->archive;
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_format_tar(archive);
    if (archive_read_open(archive, unpacking, NULL, read_packed, NULL) != ARCHIVE_OK) {
        return fail_reading(unpacking, error);
    }
    /* The last filter is the reading itself. */
    if (archive_filter_count(archive) > 2) {
        return sy_fail(error, SY_SOURCE_REFUSED, "the archive is compressed more than once");
    }
    return true;
}

static bool unpack_all(struct unpacking *unpacking, GError **error)
{
    int64_t headers = 0;
    for (;;) {
        struct archive_entry *entry;
        int status = archive_read_next_header(unpacking->archive, &entry);
        if (status == ARCHIVE_EOF) {
            return true;
        }
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
            return fail_reading(unpacking, error);
        }
        /* An archive of one name a million times makes one file, and is refused. */
        if (++headers > unpacking->limits->entry_count) {
            return sy_fail(error, SY_TOO_LARGE, "the archive holds more than %" G_GINT64_FORMAT " entries",
                           unpacking->limits->entry_count);
        }
        if (!check_ratio(unpacking, error) || !unpack_entry(unpacking, entry, error)) {
            return false;
        }
    }
}

static bool settle(struct unpacking *unpacking, GError **error)
{
    g_autoptr(GPtrArray) removed = g_ptr_array_new_with_free_func(g_free);
    return source_settle(unpacking->folder_fd, unpacking->limits, unpacking->cancelled, removed, &unpacking->tree,
                         error);
}

bool source_unpack(int archive_fd, int folder_fd, const struct source_limits *limits, const int *cancelled,
                   struct source_tree *ret_tree, GError **error)
{
    g_autofree struct unpacking *unpacking = g_new0(struct unpacking, 1);
    unpacking->limits = limits != NULL ? limits : &source_default_limits;
    unpacking->cancelled = cancelled;
    unpacking->archive_fd = archive_fd;
    unpacking->folder_fd = folder_fd;
    unpacking->archive = archive_read_new();
    /* libarchive turns names into the locale's encoding: they stay what they are only in UTF-8. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
    bool ok = open_archive(unpacking, error) && unpack_all(unpacking, error);
    archive_read_free(unpacking->archive);
    if (utf8 != (locale_t)0) {
        uselocale(before);
        freelocale(utf8);
    }
    if (!ok || !settle(unpacking, error)) {
        return false;
    }
    *ret_tree = unpacking->tree;
    return true;
}
