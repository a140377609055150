#include "enclii/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "enclii/ignore.h"
#include "enclii/tar.h"

#define MAX_ENTRIES 200000 /* what the server unpacks */
#define MAX_IGNORE_BYTES (1 << 20)
#define MAX_DEPTH 256
#define MAX_LINK 4096
#define PIECE (64 << 10)

/* The patterns of one file, and where in `packer.path` the paths that it speaks of begin. */
struct layer {
    struct ignore *ignore;
    size_t offset;
};

struct packer {
    const struct pack_options *options;
    struct tar tar;
    GArray *layers;     /* struct layer, the deepest last */
    GString *path;      /* of the entry at hand, from the top of the git work tree (or from the root) */
    size_t root_length; /* of its beginning that leads to the root: not part of names in the archive */
    unsigned depth;
    unsigned n_entries, n_files;
    char *piece;
};

typedef DIR dir_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(dir_t, closedir)

static const char *archive_path(const struct packer *packer)
{
    return packer->path->str + packer->root_length;
}

static bool is_cancelled(const struct packer *packer)
{
    return packer->options->cancelled != NULL && g_atomic_int_get(packer->options->cancelled) != 0;
}

static bool refuse(const struct packer *packer, GError **error, const char *what)
{
    sy_fail(error, SY_INVALID_INPUT, "%s %s", archive_path(packer), what);
    sy_error_set_hint(error, "Leave it out by a line in .encliiignore, which is written like .gitignore.");
    return false;
}

/* --- what is left out ----------------------------------------------------------------------------------------------------------- */

static void layer_clear(void *data)
{
    ignore_free(((struct layer *)data)->ignore);
}

static bool add_layer(struct packer *packer, int folder_fd, const char *name, GError **error)
{
    g_auto(fd_t) fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat facts;
    if (fd < 0 && (errno == ENOENT || errno == ELOOP)) {
        return true; /* git follows no link here either */
    }
    if (fd < 0 || fstat(fd, &facts) != 0) {
        return sy_fail_errno(error, errno, "cannot read %s%s", packer->path->str, name);
    }
    if (!S_ISREG(facts.st_mode)) {
        return true;
    }
    if (facts.st_size > MAX_IGNORE_BYTES) {
        return sy_fail(error, SY_TOO_LARGE, "%s%s is larger than %d KiB", packer->path->str, name,
                       MAX_IGNORE_BYTES >> 10);
    }
    g_autofree char *text = g_malloc(MAX_IGNORE_BYTES);
    size_t length = 0;
    for (ssize_t got = 1; got > 0 && length < MAX_IGNORE_BYTES; length += (size_t)got) {
        got = TEMP_FAILURE_RETRY(read(fd, text + length, MAX_IGNORE_BYTES - length));
        if (got < 0) {
            return sy_fail_errno(error, errno, "cannot read %s%s", packer->path->str, name);
        }
    }
    struct layer layer = {ignore_parse(text, length), packer->path->len};
    g_array_append_val(packer->layers, layer);
    return true;
}

/* packer->path is the folder's own, with its final slash (empty at the top). */
static bool add_layers(struct packer *packer, int folder_fd, GError **error)
{
    return add_layer(packer, folder_fd, ".gitignore", error) && add_layer(packer, folder_fd, ".encliiignore", error);
}

static bool is_left_out(const struct packer *packer, const char *name, bool is_folder)
{
    if (strcmp(name, ".git") == 0 || strcmp(archive_path(packer), "enclii.yaml") == 0) {
        return true;
    }
    for (guint i = packer->layers->len; i > 0; i--) {
        const struct layer *layer = &g_array_index(packer->layers, struct layer, i - 1);
        enum ignore_verdict verdict = ignore_match(layer->ignore, packer->path->str + layer->offset, is_folder);
        if (verdict != IGNORE_UNDECIDED) {
            return verdict == IGNORE_LEAVE_OUT;
        }
    }
    return false;
}

/* --- entries ------------------------------------------------------------------------------------------------------------------ */

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool fail_changed(const struct packer *packer, GError **error)
{
    sy_fail(error, SY_CONFLICT, "%s changed while it was read", archive_path(packer));
    sy_error_set_hint(error, "Try again once nothing writes there, or leave it out by .encliiignore.");
    return false;
}

static bool copy_content(struct packer *packer, int fd, int64_t size_bytes, GError **error)
{
    while (size_bytes > 0) {
        ssize_t got = TEMP_FAILURE_RETRY(read(fd, packer->piece, (size_t)MIN(size_bytes, PIECE)));
        if (got < 0) {
            return sy_fail_errno(error, errno, "cannot read %s", archive_path(packer));
        }
        if (got == 0) {
            return fail_changed(packer, error);
        }
        if (is_cancelled(packer)) {
            return sy_fail(error, SY_CANCELLED, "cancelled");
        }
        if (!tar_put_content(&packer->tar, packer->piece, (size_t)got, error)) {
            return false;
        }
        size_bytes -= got;
    }
    return true;
}

static bool add_file(struct packer *packer, int folder_fd, const char *name, GError **error)
{
    g_auto(fd_t) fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    struct stat before;
    struct stat after;
    if (fd < 0 || fstat(fd, &before) != 0) {
        return sy_fail_errno(error, errno, "cannot read %s", archive_path(packer));
    }
    if (!S_ISREG(before.st_mode)) {
        return fail_changed(packer, error);
    }
    packer->n_files++;
    bool is_executable = (before.st_mode & S_IXUSR) != 0;
    if (!tar_begin_file(&packer->tar, archive_path(packer), is_executable, before.st_size, error) ||
        !copy_content(packer, fd, before.st_size, error)) {
        return false;
    }
    if (fstat(fd, &after) != 0 || !is_unchanged(&before, &after)) {
        return fail_changed(packer, error);
    }
    return true;
}

/* By words alone: how far a link in a folder `depth` levels below the packed one climbs. */
static bool stays_inside(const char *target, unsigned depth)
{
    int64_t level = depth;
    if (target[0] == '/') {
        return false;
    }
    for (const char *p = target; *p != '\0';) {
        size_t length = strcspn(p, "/");
        if (length == 2 && p[0] == '.' && p[1] == '.') {
            level--;
        } else if (length > 0 && !(length == 1 && p[0] == '.')) {
            level++;
        }
        if (level < 0) {
            return false;
        }
        p += length + strspn(p + length, "/");
    }
    return true;
}

static bool add_link(struct packer *packer, int folder_fd, const char *name, GError **error)
{
    char target[MAX_LINK + 1];
    ssize_t length = readlinkat(folder_fd, name, target, MAX_LINK);
    if (length < 0) {
        return sy_fail_errno(error, errno, "cannot read the link %s", archive_path(packer));
    }
    target[length] = '\0';
    if (!stays_inside(target, packer->depth)) {
        g_autofree char *what = g_strdup_printf("is a link out of the folder (to %s)", target);
        return refuse(packer, error, what);
    }
    packer->n_files++;
    return tar_add_link(&packer->tar, archive_path(packer), target, error);
}

static bool add_contents(struct packer *packer, int folder_fd, GError **error);

static bool add_folder(struct packer *packer, int folder_fd, const char *name, GError **error)
{
    g_auto(fd_t) fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot read %s", archive_path(packer));
    }
    if (packer->depth >= MAX_DEPTH) {
        return refuse(packer, error, "is nested too deeply");
    }
    if (!tar_add_folder(&packer->tar, archive_path(packer), error)) {
        return false;
    }
    packer->depth++;
    g_string_append_c(packer->path, '/');
    bool ok = add_contents(packer, fd, error);
    packer->depth--;
    return ok;
}

static bool add_entry(struct packer *packer, int folder_fd, const char *name, GError **error)
{
    struct stat facts;
    if (fstatat(folder_fd, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? fail_changed(packer, error)
                               : sy_fail_errno(error, errno, "cannot look at %s", archive_path(packer));
    }
    if (is_left_out(packer, name, S_ISDIR(facts.st_mode))) {
        return true;
    }
    if (++packer->n_entries > MAX_ENTRIES) {
        return sy_fail(error, SY_TOO_LARGE, "there are more than %d files; the last was %s", MAX_ENTRIES,
                       archive_path(packer));
    }
    switch (facts.st_mode & S_IFMT) {
    case S_IFREG:
        return add_file(packer, folder_fd, name, error);
    case S_IFDIR:
        return add_folder(packer, folder_fd, name, error);
    case S_IFLNK:
        return add_link(packer, folder_fd, name, error);
    case S_IFSOCK:
        return refuse(packer, error, "is a socket");
    case S_IFIFO:
        return refuse(packer, error, "is a FIFO");
    default:
        return refuse(packer, error, "is a device");
    }
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *list_names(const struct packer *packer, int folder_fd, GError **error)
{
    int own = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(dir_t) folder = own >= 0 ? fdopendir(own) : NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    if (folder == NULL) {
        sy_fail_errno(error, errno, "cannot list %s", archive_path(packer));
        return NULL;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            g_ptr_array_add(names, g_strdup(entry->d_name));
        }
        if (names->len > MAX_ENTRIES) {
            sy_fail(error, SY_TOO_LARGE, "%s holds more than %d files", archive_path(packer), MAX_ENTRIES);
            return NULL;
        }
    }
    if (errno != 0) {
        sy_fail_errno(error, errno, "cannot list %s", archive_path(packer));
        return NULL;
    }
    g_ptr_array_sort(names, compare_names);
    return g_steal_pointer(&names);
}

/* packer->path ends with the folder's slash, or is empty at the top. */
static bool add_contents(struct packer *packer, int folder_fd, GError **error)
{
    guint n_layers = packer->layers->len;
    size_t length = packer->path->len;
    g_autoptr(GPtrArray) names = list_names(packer, folder_fd, error);
    bool ok = names != NULL && add_layers(packer, folder_fd, error);
    for (guint i = 0; ok && i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_string_truncate(packer->path, length);
        g_string_append(packer->path, name);
        ok = (!is_cancelled(packer) || sy_fail(error, SY_CANCELLED, "cancelled")) &&
             add_entry(packer, folder_fd, name, error);
    }
    g_string_truncate(packer->path, length);
    g_array_set_size(packer->layers, n_layers);
    return ok;
}

/* --- the way to the packed folder --------------------------------------------------------------------------------------------- */

/* The nearest folder with a .git, or the root itself: from there on .gitignore files count. */
static char *find_top(const char *root)
{
    g_autofree char *at = g_strdup(root);
    for (;;) {
        g_autofree char *git = g_build_filename(at, ".git", NULL);
        if (g_file_test(git, G_FILE_TEST_EXISTS)) {
            return g_steal_pointer(&at);
        }
        char *parent = g_path_get_dirname(at);
        bool is_end = strcmp(parent, at) == 0;
        g_free(at);
        at = parent;
        if (is_end) {
            return g_strdup(root);
        }
    }
}

static bool open_below(struct packer *packer, fd_t *fd, const char *name, GError **error)
{
    g_string_append(packer->path, name);
    int next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (next < 0) {
        return sy_fail_errno(error, errno, "cannot open %s", packer->path->str);
    }
    g_string_append_c(packer->path, '/');
    fd_close(fd);
    *fd = next;
    return true;
}

static char **parts_of(const char *path)
{
    g_auto(GStrv) all = g_strsplit(path, "/", -1);
    g_autoptr(GStrvBuilder) parts = g_strv_builder_new();
    for (char **part = all; *part != NULL; part++) {
        if (**part != '\0' && strcmp(*part, ".") != 0) {
            g_strv_builder_add(parts, *part);
        }
    }
    return g_strv_builder_end(parts);
}

/* A folder that git leaves out and that is packed all the same is meant: what is said above it does not count then. */
static void forget_if_left_out(struct packer *packer, const char *name)
{
    size_t length = packer->path->len;
    g_string_append(packer->path, name);
    if (is_left_out(packer, name, true)) {
        g_array_set_size(packer->layers, 0);
    }
    g_string_truncate(packer->path, length);
}

/* From the top to the packed folder, taking the patterns on the way, and writing the folders that are part of the archive. */
static bool descend(struct packer *packer, const char *top, fd_t *fd, GError **error)
{
    g_auto(GStrv) above = parts_of(packer->options->root + strlen(top));
    g_auto(GStrv) context = parts_of(packer->options->context);
    for (char **part = above; *part != NULL; part++) {
        if (!add_layers(packer, *fd, error)) {
            return false;
        }
        forget_if_left_out(packer, *part);
        if (!open_below(packer, fd, *part, error)) {
            return false;
        }
    }
    packer->root_length = packer->path->len;
    for (char **part = context; *part != NULL; part++) {
        if (strcmp(*part, "..") == 0) {
            return sy_fail(error, SY_INVALID_INPUT, "%s leads out of the project", packer->options->context);
        }
        if (!add_layers(packer, *fd, error) || !open_below(packer, fd, *part, error)) {
            return false;
        }
        g_autofree char *path = g_strndup(archive_path(packer), strlen(archive_path(packer)) - 1);
        if (!tar_add_folder(&packer->tar, path, error)) {
            return false;
        }
    }
    return true;
}

static int open_temporary(const char *folder, GError **error)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return fd;
    }
    g_autofree char *path = g_build_filename(folder, "enclii-XXXXXX", NULL); /* a file system without O_TMPFILE */
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        sy_fail_errno(error, errno, "cannot write in %s", folder);
    } else {
        unlink(path);
    }
    return fd;
}

static bool write_archive(struct packer *packer, char **ret_sha256, GError **error)
{
    g_autofree char *top = find_top(packer->options->root);
    g_auto(fd_t) fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return sy_fail_errno(error, errno, "cannot open %s", top);
    }
    return descend(packer, strcmp(top, "/") == 0 ? "" : top, &fd, error) && add_contents(packer, fd, error) &&
           tar_finish(&packer->tar, ret_sha256, error);
}

bool pack_folder(const struct pack_options *options, struct pack *ret_pack, GError **error)
{
    g_auto(fd_t) fd = open_temporary(options->temporary_folder, error);
    if (fd < 0) {
        return false;
    }
    struct packer packer = {
        .options = options,
        .layers = g_array_new(FALSE, FALSE, sizeof(struct layer)),
        .path = g_string_new(NULL),
        .piece = g_malloc(PIECE),
    };
    g_array_set_clear_func(packer.layers, layer_clear);
    tar_init(&packer.tar, fd, options->limit_bytes);
    struct pack pack = {.fd = -1};
    bool ok = write_archive(&packer, &pack.sha256, error);
    if (ok && lseek(fd, 0, SEEK_SET) != 0) {
        ok = sy_fail_errno(error, errno, "cannot read the archive back");
    }
    if (ok) {
        pack.fd = fd;
        pack.size_bytes = packer.tar.size_bytes;
        pack.n_files = packer.n_files;
        *ret_pack = pack;
        fd = -1;
    } else {
        g_free(pack.sha256);
    }
    tar_clear(&packer.tar);
    g_array_unref(packer.layers);
    g_string_free(packer.path, TRUE);
    g_free(packer.piece);
    return ok;
}

void pack_clear(struct pack *pack)
{
    fd_close(&pack->fd);
    g_clear_pointer(&pack->sha256, g_free);
}
