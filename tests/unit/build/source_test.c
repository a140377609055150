/* Unpacking: what comes out, and that nothing gets out. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/error.h"
#include "build/source.h"
#include "build/source_tree.h"
#include "packer.h"

struct box {
    char *outer; /* a folder around the one that is unpacked to: nothing else may appear in it */
    char *inner;
    int fd;
};

static struct box box_new(void)
{
    struct box box = {.outer = g_dir_make_tmp("enclii-source-XXXXXX", NULL)};
    box.inner = g_build_filename(box.outer, "inner", NULL);
    g_assert_cmpint(mkdir(box.inner, 0700), ==, 0);
    box.fd = open(box.inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(box.fd, >=, 0);
    return box;
}

static void box_end(struct box *box)
{
    g_autoptr(GDir) folder = g_dir_open(box->outer, 0, NULL);
    g_assert_cmpstr(g_dir_read_name(folder), ==, "inner");
    g_assert_null(g_dir_read_name(folder));
    close(box->fd);
    g_assert_true(source_remove(box->outer, NULL));
    g_assert_false(g_file_test(box->outer, G_FILE_TEST_EXISTS));
    g_free(box->outer);
    g_free(box->inner);
}

static char *content_of(const struct box *box, const char *name)
{
    g_autofree char *path = g_build_filename(box->inner, name, NULL);
    char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static struct stat stat_of(const struct box *box, const char *name)
{
    struct stat stat = {0};
    g_assert_cmpint(fstatat(box->fd, name, &stat, AT_SYMLINK_NOFOLLOW), ==, 0);
    return stat;
}

static void keeps_files_modes_and_links(void)
{
    static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_XZ,
                                  ARCHIVE_FILTER_BZIP2};
    for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
        struct box box = box_new();
        struct packer packer = packer_new(filters[i]);
        struct source_tree tree = {0};
        g_autoptr(GError) error = NULL;
        packer_entry(&packer, AE_IFDIR, "./", 0755, NULL, NULL, 0);
        packer_entry(&packer, AE_IFDIR, "bin/", 0700, NULL, NULL, 0);
        packer_entry(&packer, AE_IFREG, "bin/run", 06755, NULL, "#!\n", 0);
        packer_file(&packer, "./a/b/c.txt", "deep");
        packer_file(&packer, "größe.txt", "ö");
        packer_link(&packer, "a/up", "../bin/run");
        packer_link(&packer, "dangling", "not/there");
        g_auto(fd_t) archive = packer_end(&packer);
        g_assert_true(source_unpack(archive, box.fd, NULL, NULL, &tree, &error));
        g_assert_no_error(error);
        g_autofree char *deep = content_of(&box, "a/b/c.txt");
        g_autofree char *umlaut = content_of(&box, "größe.txt");
        g_autofree char *linked = content_of(&box, "a/up");
        g_assert_cmpstr(deep, ==, "deep");
        g_assert_cmpstr(umlaut, ==, "ö");
        g_assert_cmpstr(linked, ==, "#!\n");
        g_assert_cmphex(stat_of(&box, "bin/run").st_mode, ==, S_IFREG | 0755);
        g_assert_cmphex(stat_of(&box, "a/b/c.txt").st_mode, ==, S_IFREG | 0644);
        g_assert_cmphex(stat_of(&box, "bin").st_mode, ==, S_IFDIR | 0755);
        g_assert_cmphex(stat_of(&box, "dangling").st_mode & S_IFMT, ==, S_IFLNK);
        g_assert_cmpint(stat_of(&box, "bin/run").st_uid, ==, geteuid());
        g_assert_cmpint(stat_of(&box, "bin/run").st_mtime, ==, SOURCE_TIME_S);
        g_assert_cmpint(stat_of(&box, "a").st_mtime, ==, SOURCE_TIME_S);
        g_assert_cmpint(tree.entry_count, ==, 8);
        g_assert_cmpint(tree.total_bytes, ==, 3 + 4 + 2);
        box_end(&box);
    }
}

/* --- what is refused ------------------------------------------------------------------------------------------------------- */

static void absolute(struct packer *packer)
{
    packer_file(packer, "/tmp/enclii-escaped", "x");
}

static void dots(struct packer *packer)
{
    packer_file(packer, "a/../../escaped", "x");
}

static void dots_inside(struct packer *packer)
{
    packer_file(packer, "a/../b", "x");
}

static void folder_of_dots(struct packer *packer)
{
    packer_entry(packer, AE_IFDIR, "../escaped/", 0755, NULL, NULL, 0);
}

static void through_link(struct packer *packer)
{
    packer_entry(packer, AE_IFDIR, "real/", 0755, NULL, NULL, 0);
    packer_link(packer, "link", "real");
    packer_file(packer, "link/file", "x");
}

static void folder_through_link(struct packer *packer)
{
    packer_link(packer, "link", "real");
    packer_entry(packer, AE_IFDIR, "link/", 0755, NULL, NULL, 0);
}

static void link_up(struct packer *packer)
{
    packer_link(packer, "link", "..");
}

static void link_up_deep(struct packer *packer)
{
    packer_link(packer, "a/b/link", "../../../x");
}

static void link_absolute(struct packer *packer)
{
    packer_link(packer, "passwd", "/etc/passwd");
}

/* Each of the two leads inside when looked at alone; together they lead out. */
static void links_that_add_up(struct packer *packer)
{
    packer_link(packer, "a/b/root", "../..");
    packer_link(packer, "out", "a/b/root/../..");
}

static void hard_link(struct packer *packer)
{
    packer_file(packer, "a", "x");
    packer_entry(packer, AE_IFREG, "b", 0644, "a", NULL, 0);
}

static void hard_link_out(struct packer *packer)
{
    packer_entry(packer, AE_IFREG, "b", 0644, "/etc/passwd", NULL, 0);
}

static void device(struct packer *packer)
{
    packer_entry(packer, AE_IFCHR, "null", 0666, NULL, NULL, 0);
}

static void block_device(struct packer *packer)
{
    packer_entry(packer, AE_IFBLK, "disk", 0666, NULL, NULL, 0);
}

static void fifo(struct packer *packer)
{
    packer_entry(packer, AE_IFIFO, "pipe", 0666, NULL, NULL, 0);
}

static void file_over_folder(struct packer *packer)
{
    packer_entry(packer, AE_IFDIR, "a/", 0755, NULL, NULL, 0);
    packer_file(packer, "a", "x");
}

static void folder_over_file(struct packer *packer)
{
    packer_file(packer, "a", "x");
    packer_file(packer, "a/b", "x");
}

static void root_as_file(struct packer *packer)
{
    packer_file(packer, "./.", "x");
}

static void long_name(struct packer *packer)
{
    g_autofree char *name = g_strnfill(300, 'n');
    packer_file(packer, name, "x");
}

static void long_path(struct packer *packer)
{
    g_autoptr(GString) name = g_string_new(NULL);
    for (int i = 0; i < 60; i++) {
        g_string_append_printf(name, "%080d/", i);
    }
    packer_file(packer, g_string_append(name, "x")->str, "x");
}

static void deep_path(struct packer *packer)
{
    g_autoptr(GString) name = g_string_new(NULL);
    for (int i = 0; i < 200; i++) {
        g_string_append(name, "d/");
    }
    packer_file(packer, g_string_append(name, "x")->str, "x");
}

static const struct refusal {
    const char *name;
    void (*pack)(struct packer *packer);
    const char *words;
} refusals[] = {
    {"absolute", absolute, "/tmp/enclii-escaped: absolute"},
    {"dots", dots, "a/../../escaped: “..”"},
    {"dots-inside", dots_inside, "a/../b: “..”"},
    {"folder-of-dots", folder_of_dots, "../escaped/: “..”"},
    {"through-link", through_link, "link/file: it runs through a symbolic link"},
    {"folder-through-link", folder_through_link, "link/: it runs through a symbolic link"},
    {"link-up", link_up, "link: this symbolic link leads out"},
    {"link-up-deep", link_up_deep, "a/b/link: this symbolic link leads out"},
    {"link-absolute", link_absolute, "passwd: this symbolic link leads out"},
    {"links-that-add-up", links_that_add_up, "out: this symbolic link leads out"},
    {"hard-link", hard_link, "b: hard links"},
    {"hard-link-out", hard_link_out, "b: hard links"},
    {"device", device, "null: devices"},
    {"block-device", block_device, "disk: devices"},
    {"fifo", fifo, "pipe: FIFOs"},
    {"file-over-folder", file_over_folder, "a: it is in the archive as a folder too"},
    {"folder-over-file", folder_over_file, "a/b: it runs through a symbolic link or a file"},
    {"root-as-file", root_as_file, "it names the folder itself"},
    {"long-name", long_name, "one name of the path is too long"},
    {"long-path", long_path, "the path is too long"},
    {"deep-path", deep_path, "too many folders deep"},
};

static void refuses_with_name_and_rule(gconstpointer data)
{
    const struct refusal *refusal = data;
    struct box box = box_new();
    struct packer packer = packer_new(ARCHIVE_FILTER_NONE);
    struct source_tree tree = {.entry_count = -1};
    g_autoptr(GError) error = NULL;
    refusal->pack(&packer);
    g_auto(fd_t) archive = packer_end(&packer);
    g_assert_false(source_unpack(archive, box.fd, NULL, NULL, &tree, &error));
    g_assert_error(error, SY_ERROR, SY_SOURCE_REFUSED);
    if (strstr(error->message, refusal->words) == NULL) {
        g_test_message("“%s” does not hold “%s”", error->message, refusal->words);
        g_test_fail();
    }
    g_assert_cmpint(tree.entry_count, ==, -1);
    g_assert_false(g_file_test("/tmp/enclii-escaped", G_FILE_TEST_EXISTS));
    box_end(&box);
}

static void last_of_two_wins_but_not_through_a_link(void)
{
    struct box box = box_new();
    struct packer packer = packer_new(ARCHIVE_FILTER_NONE);
    struct source_tree tree;
    g_autoptr(GError) error = NULL;
    packer_file(&packer, "target", "untouched");
    packer_file(&packer, "twice", "first, and longer");
    packer_file(&packer, "twice", "second");
    packer_link(&packer, "link", "target");
    packer_file(&packer, "link", "a file now");
    g_auto(fd_t) archive = packer_end(&packer);
    g_assert_true(source_unpack(archive, box.fd, NULL, NULL, &tree, &error));
    g_autofree char *target = content_of(&box, "target");
    g_autofree char *twice = content_of(&box, "twice");
    g_autofree char *link = content_of(&box, "link");
    g_assert_cmpstr(target, ==, "untouched");
    g_assert_cmpstr(twice, ==, "second");
    g_assert_cmpstr(link, ==, "a file now");
    g_assert_cmpint(tree.entry_count, ==, 3);
    box_end(&box);
}

/* --- limits ---------------------------------------------------------------------------------------------------------------- */

static void assert_too_large(struct packer *packer, const struct source_limits *limits, const char *words)
{
    struct box box = box_new();
    struct source_tree tree;
    g_autoptr(GError) error = NULL;
    g_auto(fd_t) archive = packer_end(packer);
    g_assert_false(source_unpack(archive, box.fd, limits, NULL, &tree, &error));
    g_assert_error(error, SY_ERROR, SY_TOO_LARGE);
    g_assert_nonnull(strstr(error->message, words));
    box_end(&box);
}

static void pack_zeros(struct packer *packer, const char *name, int64_t size)
{
    g_autofree char *zeros = g_malloc0(1 << 20);
    packer_entry(packer, AE_IFREG, name, 0644, NULL, NULL, size);
    for (int64_t at = 0; at < size; at += 1 << 20) {
        g_assert_cmpint(archive_write_data(packer->archive, zeros, (size_t)MIN(1 << 20, size - at)), >, 0);
    }
}

static void bombs_end_at_the_ratio(void)
{
    struct packer packer = packer_new(ARCHIVE_FILTER_GZIP);
    pack_zeros(&packer, "zeros", INT64_C(200) << 20);
    assert_too_large(&packer, NULL, "200 times");
}

static void xz_ends_at_a_limit_of_its_own(void)
{
    struct source_limits limits = source_default_limits;
    limits.xz_bytes = 1 << 20;
    struct packer xz = packer_new(ARCHIVE_FILTER_XZ);
    struct packer zstd = packer_new(ARCHIVE_FILTER_ZSTD);
    pack_zeros(&xz, "zeros", 3 << 20);
    pack_zeros(&zstd, "zeros", 3 << 20);
    assert_too_large(&xz, &limits, "too many for xz");
    struct box box = box_new();
    struct source_tree tree;
    g_auto(fd_t) archive = packer_end(&zstd);
    g_assert_true(source_unpack(archive, box.fd, &limits, NULL, &tree, NULL));
    box_end(&box);
}

static void totals_end_at_their_limit(void)
{
    struct source_limits limits = source_default_limits;
    limits.total_bytes = 1000;
    struct packer packer = packer_new(ARCHIVE_FILTER_NONE);
    pack_zeros(&packer, "a", 600);
    pack_zeros(&packer, "b", 600);
    assert_too_large(&packer, &limits, "1000 bytes");
}

static void one_file_ends_at_its_limit(void)
{
    struct source_limits limits = source_default_limits;
    limits.entry_bytes = 1000;
    struct packer packer = packer_new(ARCHIVE_FILTER_NONE);
    pack_zeros(&packer, "big", 1001);
    assert_too_large(&packer, &limits, "big: larger than 1000");
}

static void holes_count_in_full(void)
{
    struct packer packer = packer_new(ARCHIVE_FILTER_NONE);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_copy_pathname(entry, "hole");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, INT64_C(1) << 40);
    archive_entry_sparse_add_entry(entry, 0, 1);
    g_assert_cmpint(archive_write_header(packer.archive, entry), ==, ARCHIVE_OK);
    g_assert_cmpint(archive_write_data(packer.archive, "x", 1), ==, 1);
    archive_entry_free(entry);
    assert_too_large(&packer, NULL, "hole: larger than");
}

static void entries_end_at_their_limit(void)
{
    struct source_limits limits = source_default_limits;
    limits.entry_count = 10;
    struct packer same = packer_new(ARCHIVE_FILTER_NONE);
    struct packer deep = packer_new(ARCHIVE_FILTER_NONE);
    for (int i = 0; i < 11; i++) {
        packer_file(&same, "same", "x");
    }
    packer_file(&deep, "1/2/3/4/5/6/7/8/9/10/11", "x");
    assert_too_large(&same, &limits, "more than 10");
    assert_too_large(&deep, &limits, "more than 10");
}

/* --- damage, cancellation -------------------------------------------------------------------------------------------------- */

static int good_archive(int filter)
{
    struct packer packer = packer_new(filter);
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    g_autoptr(GString) text = g_string_new(NULL);
    while (text->len < 40000) {
        g_string_append_printf(text, "%u ", g_rand_int(random));
    }
    packer_file(&packer, "text", text->str);
    return packer_end(&packer);
}

static void truncated_archives_are_told(void)
{
    static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_XZ};
    for (size_t i = 0; i < G_N_ELEMENTS(filters); i++) {
        struct box box = box_new();
        struct source_tree tree;
        g_autoptr(GError) error = NULL;
        g_auto(fd_t) archive = good_archive(filters[i]);
        struct stat stat;
        g_assert_cmpint(fstat(archive, &stat), ==, 0);
        g_assert_cmpint(ftruncate(archive, stat.st_size / 2), ==, 0);
        g_assert_false(source_unpack(archive, box.fd, NULL, NULL, &tree, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_nonnull(strstr(sy_error_hint(error), "complete tar archive"));
        box_end(&box);
    }
}

static void what_is_no_archive_is_told(void)
{
    static const char *const texts[] = {"", "hello",
                                        "PK\003\004 a zip file, perhaps, or something that begins like one"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct box box = box_new();
        struct source_tree tree;
        g_autoptr(GError) error = NULL;
        g_auto(fd_t) file = memfd_create("text", MFD_CLOEXEC);
        g_assert_cmpint(write(file, texts[i], strlen(texts[i])), ==, (gssize)strlen(texts[i]));
        g_assert_cmpint(lseek(file, 0, SEEK_SET), ==, 0);
        g_assert_false(source_unpack(file, box.fd, NULL, NULL, &tree, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        box_end(&box);
    }
}

static void twice_compressed_is_refused(void)
{
    struct box box = box_new();
    struct source_tree tree;
    g_autoptr(GError) error = NULL;
    g_auto(fd_t) inner = good_archive(ARCHIVE_FILTER_GZIP);
    g_auto(fd_t) outer = memfd_create("outer", MFD_CLOEXEC);
    struct archive *gzip = archive_write_new();
    char bytes[100000];
    ssize_t length = read(inner, bytes, sizeof bytes);
    archive_write_set_format_raw(gzip);
    archive_write_add_filter_gzip(gzip);
    g_assert_cmpint(archive_write_open_fd(gzip, outer), ==, ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    g_assert_cmpint(archive_write_header(gzip, entry), ==, ARCHIVE_OK);
    g_assert_cmpint(archive_write_data(gzip, bytes, (size_t)length), ==, length);
    archive_entry_free(entry);
    archive_write_free(gzip);
    g_assert_cmpint(lseek(outer, 0, SEEK_SET), ==, 0);
    g_assert_false(source_unpack(outer, box.fd, NULL, NULL, &tree, &error));
    g_assert_error(error, SY_ERROR, SY_SOURCE_REFUSED);
    box_end(&box);
}

static void can_be_cancelled(void)
{
    struct box box = box_new();
    struct source_tree tree;
    g_autoptr(GError) error = NULL;
    int cancelled = 1;
    g_auto(fd_t) archive = good_archive(ARCHIVE_FILTER_GZIP);
    g_assert_false(source_unpack(archive, box.fd, NULL, &cancelled, &tree, &error));
    g_assert_error(error, SY_ERROR, SY_CANCELLED);
    box_end(&box);
}

static void a_failing_write_is_told(void)
{
    g_autoptr(GError) error = NULL;
    struct source_tree tree;
    struct box box = box_new();
    struct packer packer = packer_new(ARCHIVE_FILTER_NONE);
    packer_file(&packer, "file", "x");
    g_auto(fd_t) archive = packer_end(&packer);
    /* A folder that is gone takes no new files: the operating system's own words have to arrive. */
    g_assert_cmpint(rmdir(box.inner), ==, 0);
    g_assert_false(source_unpack(archive, box.fd, NULL, NULL, &tree, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
    g_assert_cmpint(mkdir(box.inner, 0700), ==, 0);
    box_end(&box);
}

/* --- the tree ---------------------------------------------------------------------------------------------------------------- */

static void links_are_judged_by_depth(void)
{
    static const struct {
        const char *target;
        unsigned depth;
        bool is_inside;
    } cases[] = {{"a", 0, true},      {"./a/b", 0, true}, {"..", 0, false},     {"..", 1, true},
                 {"../..", 1, false}, {"../a", 1, true},  {"a/..", 5, false},   {"a/../b", 5, false},
                 {"/a", 5, false},    {"", 5, false},     {".//../a", 1, true}, {"...", 0, true},
                 {"..a", 0, true},    {"a/...", 0, true}, {"./..", 0, false}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s at depth %u", cases[i].target, cases[i].depth);
        g_assert_cmpint(source_link_is_inside(cases[i].target, cases[i].depth), ==, cases[i].is_inside);
    }
}

static void settling_leaves_out_what_leads_out(void)
{
    struct box box = box_new();
    g_autoptr(GPtrArray) removed = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    struct source_tree tree;
    g_assert_cmpint(mkdirat(box.fd, "d", 0700), ==, 0);
    g_assert_cmpint(symlinkat("/etc/passwd", box.fd, "d/out"), ==, 0);
    g_assert_cmpint(symlinkat("in", box.fd, "d/ok"), ==, 0);
    g_assert_cmpint(mkfifoat(box.fd, "pipe", 0600), ==, 0);
    g_assert_true(source_settle(box.fd, &source_default_limits, NULL, removed, &tree, &error));
    g_assert_cmpint(removed->len, ==, 2);
    g_assert_true(g_ptr_array_find_with_equal_func(removed, "d/out", g_str_equal, NULL));
    g_assert_cmphex(stat_of(&box, "d/ok").st_mode & S_IFMT, ==, S_IFLNK);
    g_assert_cmpint(faccessat(box.fd, "pipe", F_OK, 0), !=, 0);
    box_end(&box);
}

static void labels_are_printable(void)
{
    g_autofree char *control = source_label("a\nb\033[31m\xFF");
    g_autofree char *name = g_strnfill(1000, 'x');
    g_autofree char *label = source_label(name);
    for (const char *p = control; *p != '\0'; p++) {
        g_assert_cmpint((unsigned char)*p, >=, ' ');
    }
    g_assert_true(g_utf8_validate(control, -1, NULL));
    g_assert_cmpuint(strlen(label), <, 250);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/source/keeps_files_modes_and_links", keeps_files_modes_and_links);
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strconcat("/source/refuses/", refusals[i].name, NULL);
        g_test_add_data_func(path, &refusals[i], refuses_with_name_and_rule);
    }
    g_test_add_func("/source/last_of_two_wins_but_not_through_a_link", last_of_two_wins_but_not_through_a_link);
    g_test_add_func("/source/bombs_end_at_the_ratio", bombs_end_at_the_ratio);
    g_test_add_func("/source/xz_ends_at_a_limit_of_its_own", xz_ends_at_a_limit_of_its_own);
    g_test_add_func("/source/totals_end_at_their_limit", totals_end_at_their_limit);
    g_test_add_func("/source/one_file_ends_at_its_limit", one_file_ends_at_its_limit);
    g_test_add_func("/source/holes_count_in_full", holes_count_in_full);
    g_test_add_func("/source/entries_end_at_their_limit", entries_end_at_their_limit);
    g_test_add_func("/source/truncated_archives_are_told", truncated_archives_are_told);
    g_test_add_func("/source/what_is_no_archive_is_told", what_is_no_archive_is_told);
    g_test_add_func("/source/twice_compressed_is_refused", twice_compressed_is_refused);
    g_test_add_func("/source/can_be_cancelled", can_be_cancelled);
    g_test_add_func("/source/a_failing_write_is_told", a_failing_write_is_told);
    g_test_add_func("/source/links_are_judged_by_depth", links_are_judged_by_depth);
    g_test_add_func("/source/settling_leaves_out_what_leads_out", settling_leaves_out_what_leads_out);
    g_test_add_func("/source/labels_are_printable", labels_are_printable);
    return g_test_run();
}
