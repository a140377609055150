/* Archives: what is in them, that the same files give the same bytes, what is refused. Read back by libarchive and by tar(1). */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "enclii/pack.h"
#include "enclii/tar.h"
#include "scratch.h"

typedef struct pack pack_t;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(pack_t, pack_clear)

static bool try_pack(const char *root, const char *context, struct pack *pack, GError **error)
{
    const struct pack_options options = {.root = root, .context = context, .temporary_folder = g_get_tmp_dir()};
    return pack_folder(&options, pack, error);
}

static void pack_all(const char *root, const char *context, struct pack *pack)
{
    g_autoptr(GError) error = NULL;
    bool ok = try_pack(root, context, pack, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

/* "drwxr-xr-x a/", "-rw-r--r-- a/b=content", "lrwxr-xr-x l>target", one per line, by libarchive. */
static char *listing(int fd)
{
    GString *out = g_string_new(NULL);
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    g_assert_cmpint(archive_read_support_format_tar(archive), ==, ARCHIVE_OK);
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    g_assert_cmpint(archive_read_open_fd(archive, fd, 10240), ==, ARCHIVE_OK);
    int status;
    while ((status = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
        g_assert_cmpint(archive_entry_mtime(entry), ==, 0);
        g_assert_cmpint(archive_entry_uid(entry), ==, 0);
        g_string_append_printf(out, "%s%s", archive_entry_strmode(entry), archive_entry_pathname(entry));
        if (archive_entry_filetype(entry) == AE_IFREG) {
            char content[4096];
            la_ssize_t got = archive_read_data(archive, content, sizeof content);
            g_assert_cmpint(got, >=, 0);
            g_string_append_c(out, '=');
            g_string_append_len(out, content, MIN(got, 40));
        } else if (archive_entry_filetype(entry) == AE_IFLNK) {
            g_string_append_printf(out, ">%s", archive_entry_symlink(entry));
        }
        g_string_append_c(out, '\n');
    }
    if (status != ARCHIVE_EOF) {
        g_error("%s", archive_error_string(archive));
    }
    archive_read_free(archive);
    return g_string_free(out, FALSE);
}

static char *names(const char *root, const char *context)
{
    g_auto(pack_t) pack = {.fd = -1};
    pack_all(root, context, &pack);
    return listing(pack.fd);
}

static void make_link(const char *folder, const char *target, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void entries_are_sorted_and_bare(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    scratch_write(folder, "b.txt", "bee");
    scratch_write(folder, "a/z", "zed");
    scratch_write(folder, "a/run", "#!");
    scratch_write(folder, "B", "upper");
    scratch_write(folder, ".git/config", "secret");
    scratch_write(folder, "a/.git", "gitdir: elsewhere");
    scratch_write(folder, "enclii.yaml", "project: x");
    scratch_write(folder, "a/enclii.yaml", "inner");
    g_autofree char *run = g_build_filename(folder, "a/run", NULL);
    g_assert_cmpint(chmod(run, 04711), ==, 0);
    make_link(folder, "../b.txt", "a/up");
    g_autofree char *found = names(folder, ".");
    g_assert_cmpstr(found, ==,
                    "-rw-r--r-- B=upper\n"
                    "drwxr-xr-x a/\n"
                    "-rw-r--r-- a/enclii.yaml=inner\n"
                    "-rwxr-xr-x a/run=#!\n"
                    "lrwxr-xr-x a/up>../b.txt\n"
                    "-rw-r--r-- a/z=zed\n"
                    "-rw-r--r-- b.txt=bee\n");
}

static void same_files_give_the_same_bytes(void)
{
    g_autoptr(scratch_t) one = scratch_new();
    g_autoptr(scratch_t) two = scratch_new();
    static const char *const files[] = {"x", "y/1", "y/2", "z/deep/er/file"};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        scratch_write(one, files[i], files[i]);
        scratch_write(two, files[G_N_ELEMENTS(files) - 1 - i], files[G_N_ELEMENTS(files) - 1 - i]);
    }
    g_autofree char *touched = g_build_filename(two, "x", NULL);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    g_assert_cmpint(utimensat(AT_FDCWD, touched, times, 0), ==, 0);
    g_assert_cmpint(chmod(touched, 0600), ==, 0);
    g_auto(pack_t) a = {.fd = -1};
    g_auto(pack_t) b = {.fd = -1};
    pack_all(one, ".", &a);
    pack_all(two, ".", &b);
    g_assert_cmpstr(a.sha256, ==, b.sha256);
    g_assert_cmpint(a.size_bytes % 512, ==, 0);
    g_assert_cmpuint(a.n_files, ==, 4);

    scratch_write(two, "x", "other");
    g_auto(pack_t) c = {.fd = -1};
    pack_all(two, ".", &c);
    g_assert_cmpstr(a.sha256, !=, c.sha256);
}

static void digest_is_of_the_bytes(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *large = g_strnfill(700000, 'x');
    scratch_write(folder, "large", large);
    g_auto(pack_t) pack = {.fd = -1};
    pack_all(folder, ".", &pack);
    int64_t total = 0;
    char piece[65536];
    for (ssize_t got; (got = read(pack.fd, piece, sizeof piece)) > 0; total += got) {
        g_checksum_update(checksum, (const guchar *)piece, got);
    }
    g_assert_cmpint(total, ==, pack.size_bytes);
    g_assert_cmpstr(g_checksum_get_string(checksum), ==, pack.sha256);
}

static void ignore_files_hold_at_every_level(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    scratch_write(folder, ".git/HEAD", "ref: refs/heads/main\n");
    scratch_write(folder, ".gitignore", "*.log\n/project/out/\n");
    scratch_write(folder, "project/.gitignore", "!keep.log\nnode_modules/\n");
    scratch_write(folder, "project/.encliiignore", "*.md\n!node_modules/\n");
    scratch_write(folder, "project/a.log", "");
    scratch_write(folder, "project/keep.log", "");
    scratch_write(folder, "project/out/x", "");
    scratch_write(folder, "project/README.md", "");
    scratch_write(folder, "project/node_modules/m", "");
    scratch_write(folder, "project/sub/.encliiignore", "!*.md\n");
    scratch_write(folder, "project/sub/b.log", "");
    scratch_write(folder, "project/sub/c.md", "");
    g_autofree char *root = g_build_filename(folder, "project", NULL);
    g_autofree char *found = names(root, ".");
    g_assert_cmpstr(found, ==,
                    "-rw-r--r-- .encliiignore=*.md\n!node_modules/\n\n"
                    "-rw-r--r-- .gitignore=!keep.log\nnode_modules/\n\n"
                    "-rw-r--r-- keep.log=\n"
                    "drwxr-xr-x node_modules/\n"
                    "-rw-r--r-- node_modules/m=\n"
                    "drwxr-xr-x sub/\n"
                    "-rw-r--r-- sub/.encliiignore=!*.md\n\n"
                    "-rw-r--r-- sub/c.md=\n");
}

static void folder_that_git_leaves_out_is_packed_when_it_is_the_root(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    scratch_write(folder, ".git/HEAD", "ref: refs/heads/main\n");
    scratch_write(folder, ".gitignore", "build/\n*.log\n");
    scratch_write(folder, "build/app/server.c", "int main(void) { return 0; }\n");
    scratch_write(folder, "build/app/.gitignore", "left-out\n");
    scratch_write(folder, "build/app/left-out", "x");
    g_autofree char *root = g_build_filename(folder, "build/app", NULL);
    g_autofree char *found = names(root, ".");
    g_assert_cmpstr(found, ==,
                    "-rw-r--r-- .gitignore=left-out\n\n"
                    "-rw-r--r-- server.c=int main(void) { return 0; }\n\n");
}

static void context_is_packed_under_its_own_path(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    scratch_write(folder, ".gitignore", "*.log\n");
    scratch_write(folder, "apps/.gitignore", "tmp\n");
    scratch_write(folder, "apps/web/main.c", "main");
    scratch_write(folder, "apps/web/a.log", "");
    scratch_write(folder, "apps/web/tmp", "");
    scratch_write(folder, "apps/api/main.c", "other");
    g_autofree char *found = names(folder, "./apps/web");
    g_assert_cmpstr(found, ==, "drwxr-xr-x apps/\ndrwxr-xr-x apps/web/\n-rw-r--r-- apps/web/main.c=main\n");
}

static void long_and_strange_names_survive(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(scratch_t) other = scratch_new();
    g_autofree char *part = g_strnfill(90, 'n');
    g_autofree char *whole = g_strnfill(240, 'w');
    g_autofree char *in_prefix = g_strdup_printf("%s/file-%s", part, part);
    g_autofree char *too_long = g_strdup_printf("%s/%s/%s/%s", part, part, part, whole);
    g_autofree char *accents = g_strdup_printf("%s/\xC3\xA4\xC3\xB6 \"quote\" %s/%s", part, part, part);
    g_autofree char *bytes = g_strdup_printf("%s/\xFF\xFE/%s", part, part);
    const char *const paths[] = {in_prefix, too_long, accents, bytes, "blank and \\ backslash"};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        scratch_write(folder, paths[i], "content");
    }
    make_link(folder, too_long, "link");
    g_auto(pack_t) pack = {.fd = -1};
    pack_all(folder, ".", &pack);
    g_autofree char *found = listing(pack.fd);
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *line = g_strdup_printf(" %s=content\n", paths[i]);
        if (strstr(found, line) == NULL) {
            g_error("%s is not in\n%s", paths[i], found);
        }
    }
    /* tar(1) unpacks it; packing that gives the same archive. */
    g_autofree char *command =
        g_strdup_printf("tar --warning=no-unknown-keyword -xf /proc/%d/fd/%d -C %s", (int)getpid(), pack.fd, other);
    g_free(scratch_run(folder, 0, command));
    g_auto(pack_t) again = {.fd = -1};
    pack_all(other, ".", &again);
    g_assert_cmpstr(again.sha256, ==, pack.sha256);
}

/* --- refusals ------------------------------------------------------------------------------------------------------------------ */

static void assert_refused(const char *folder, enum sy_code code, const char *words)
{
    g_autoptr(GError) error = NULL;
    struct pack pack = {.fd = -1};
    g_assert_false(try_pack(folder, ".", &pack, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    if (strstr(error->message, words) == NULL) {
        g_error("%s does not say %s", error->message, words);
    }
}

static void link_out_of_the_folder_is_refused(void)
{
    static const char *const targets[] = {"/etc/passwd", "../../x", "sub/../../../x", "..//../x"};
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(scratch_t) folder = scratch_new();
        scratch_write(folder, "sub/file", "");
        make_link(folder, targets[i], "sub/leak");
        assert_refused(folder, SY_INVALID_INPUT, "sub/leak is a link out of the folder");
        scratch_write(folder, ".encliiignore", "leak\n");
        g_free(names(folder, "."));
    }
}

static void socket_and_fifo_are_refused_by_name(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autofree char *fifo = g_build_filename(folder, "queue", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    assert_refused(folder, SY_INVALID_INPUT, "queue is a FIFO");
    g_assert_cmpint(unlink(fifo), ==, 0);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/door", folder);
    g_auto(fd_t) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (const struct sockaddr *)&address, sizeof address), ==, 0);
    assert_refused(folder, SY_INVALID_INPUT, "door is a socket");
}

static void archive_beyond_the_limit_is_told_before_it_is_written(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autofree char *path = g_build_filename(folder, "huge", NULL);
    g_auto(fd_t) fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    g_assert_cmpint(ftruncate(fd, INT64_C(1) << 40), ==, 0);
    const struct pack_options options = {
        .root = folder, .context = ".", .temporary_folder = g_get_tmp_dir(), .limit_bytes = 1 << 20};
    struct pack pack = {.fd = -1};
    g_autoptr(GError) error = NULL;
    g_assert_false(pack_folder(&options, &pack, &error));
    g_assert_error(error, SY_ERROR, SY_TOO_LARGE);
    g_assert_nonnull(strstr(error->message, "huge"));
}

static gpointer keep_appending(gpointer data)
{
    const char *path = data;
    g_auto(fd_t) fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    for (int i = 0; i < 100000 && g_file_test(path, G_FILE_TEST_EXISTS); i++) {
        g_assert_cmpint(write(fd, "x", 1), ==, 1);
    }
    return NULL;
}

static void file_that_changes_meanwhile_is_noticed(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autofree char *large = g_strnfill(8 << 20, 'x');
    scratch_write(folder, "growing", large);
    g_autofree char *path = g_build_filename(folder, "growing", NULL);
    g_autoptr(GError) error = NULL;
    struct pack pack = {.fd = -1};
    GThread *thread = g_thread_new("writer", keep_appending, path);
    bool ok = true;
    for (int i = 0; i < 50 && ok; i++) {
        pack_clear(&pack);
        pack.fd = -1;
        ok = try_pack(folder, ".", &pack, &error);
    }
    unlink(path);
    g_thread_join(thread);
    g_assert_false(ok);
    g_assert_error(error, SY_ERROR, SY_CONFLICT);
    g_assert_nonnull(strstr(error->message, "growing changed"));
}

static void size_beyond_eight_gigabytes_is_written_in_a_record(void)
{
    /* Only the head: the content would take the disk. */
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(folder, "tar", NULL);
    g_auto(fd_t) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_auto(tar_t) tar;
    tar_init(&tar, fd, 0);
    g_assert_true(tar_begin_file(&tar, "big", false, INT64_C(10) << 30, &error));
    g_assert_nonnull(
        memmem(tar.buffer->str, tar.buffer->len, "20 size=10737418240\n", strlen("20 size=10737418240\n")));
}

static void cancelled_pack_stops(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GError) error = NULL;
    const int cancelled = 1;
    scratch_write(folder, "file", "x");
    const struct pack_options options = {
        .root = folder, .context = ".", .temporary_folder = g_get_tmp_dir(), .cancelled = &cancelled};
    struct pack pack = {.fd = -1};
    g_assert_false(pack_folder(&options, &pack, &error));
    g_assert_error(error, SY_ERROR, SY_CANCELLED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pack/entries_are_sorted_and_bare", entries_are_sorted_and_bare);
    g_test_add_func("/pack/same_files_give_the_same_bytes", same_files_give_the_same_bytes);
    g_test_add_func("/pack/digest_is_of_the_bytes", digest_is_of_the_bytes);
    g_test_add_func("/pack/ignore_files_hold_at_every_level", ignore_files_hold_at_every_level);
    g_test_add_func("/pack/folder_that_git_leaves_out_is_packed_when_it_is_the_root",
                    folder_that_git_leaves_out_is_packed_when_it_is_the_root);
    g_test_add_func("/pack/context_is_packed_under_its_own_path", context_is_packed_under_its_own_path);
    g_test_add_func("/pack/long_and_strange_names_survive", long_and_strange_names_survive);
    g_test_add_func("/pack/link_out_of_the_folder_is_refused", link_out_of_the_folder_is_refused);
    g_test_add_func("/pack/socket_and_fifo_are_refused_by_name", socket_and_fifo_are_refused_by_name);
    g_test_add_func("/pack/archive_beyond_the_limit_is_told_before_it_is_written",
                    archive_beyond_the_limit_is_told_before_it_is_written);
    g_test_add_func("/pack/file_that_changes_meanwhile_is_noticed", file_that_changes_meanwhile_is_noticed);
    g_test_add_func("/pack/size_beyond_eight_gigabytes_is_written_in_a_record",
                    size_beyond_eight_gigabytes_is_written_in_a_record);
    g_test_add_func("/pack/cancelled_pack_stops", cancelled_pack_stops);
    return g_test_run();
}
