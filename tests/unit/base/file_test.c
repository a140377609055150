/* Files that are old or new and never half; folders that go without taking anything else along. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

struct folder {
    char *path;
};

static void make_folder(struct folder *folder, gconstpointer data)
{
    folder->path = g_dir_make_tmp("file-test-XXXXXX", NULL);
}

static void remove_folder(struct folder *folder, gconstpointer data)
{
    g_assert_true(folder_remove(folder->path, NULL));
    g_assert_false(g_file_test(folder->path, G_FILE_TEST_EXISTS));
    g_free(folder->path);
}

static char *path_in(const struct folder *folder, const char *name)
{
    return g_build_filename(folder->path, name, NULL);
}

static void put(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    bool ok = file_replace(path, text, strlen(text), 0600, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

static void assert_holds(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    size_t length = 0;
    g_autofree char *read = file_read(path, 1 << 20, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(read, ==, text);
    g_assert_cmpuint(length, ==, strlen(text));
}

static int count_entries(const char *path)
{
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    int n = 0;
    while (g_dir_read_name(folder) != NULL) {
        n++;
    }
    return n;
}

static void reads_up_to_its_limit(struct folder *folder, gconstpointer data)
{
    g_autofree char *path = path_in(folder, "f");
    g_autoptr(GError) error = NULL;
    put(path, "hello");
    g_autofree char *all = file_read(path, 5, NULL, &error);
    g_assert_cmpstr(all, ==, "hello");
    g_assert_null(file_read(path, 4, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_TOO_LARGE);
    g_clear_error(&error);
    g_autofree char *missing = path_in(folder, "missing");
    g_assert_null(file_read(missing, 4, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(file_read(folder->path, 4, NULL, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
}

static void replaces_with_content_and_mode(struct folder *folder, gconstpointer data)
{
    g_autofree char *path = path_in(folder, "f");
    struct stat status;
    put(path, "old");
    put(path, "new");
    assert_holds(path, "new");
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, 0600);
    g_assert_cmpint(count_entries(folder->path), ==, 1); /* no temporary file is left */
}

/* Who replaces a link replaces the link, not what it points to. */
static void does_not_write_through_a_link(struct folder *folder, gconstpointer data)
{
    g_autofree char *target = path_in(folder, "target");
    g_autofree char *link_path = path_in(folder, "link");
    put(target, "precious");
    g_assert_cmpint(symlink(target, link_path), ==, 0);
    put(link_path, "new");
    assert_holds(target, "precious");
    assert_holds(link_path, "new");
}

static void a_failed_write_leaves_the_old_file(struct folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *sub = path_in(folder, "sub");
    g_assert_true(folder_ensure(sub, 0700, NULL));
    g_assert_false(file_replace(sub, "x", 1, 0600, &error)); /* a file cannot replace a folder */
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
    g_clear_error(&error);
    g_assert_cmpint(count_entries(folder->path), ==, 1);
    g_autofree char *nowhere = path_in(folder, "no/f");
    g_assert_false(file_replace(nowhere, "x", 1, 0600, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
}

static gpointer replace_again_and_again(gpointer data)
{
    const char *path = data;
    g_autofree char *text = g_strnfill(30000, 'b');
    for (int i = 0; i < 60; i++) {
        text[0] = text[29999] = (char)('a' + i % 26);
        g_assert_true(file_replace(path, text, 30000, 0600, NULL));
    }
    return NULL;
}

static void readers_never_see_half_a_file(struct folder *folder, gconstpointer data)
{
    g_autofree char *path = path_in(folder, "f");
    GThread *threads[3];
    g_autofree char *first = g_strnfill(30000, 'b');
    put(path, first);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("replace", replace_again_and_again, path);
    }
    for (int i = 0; i < 500; i++) {
        size_t length = 0;
        g_autofree char *text = file_read(path, 1 << 20, &length, NULL);
        g_assert_cmpuint(length, ==, 30000);
        g_assert_cmpint(text[0], ==, text[29999]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpint(count_entries(folder->path), ==, 1);
}

struct creation {
    const char *path;
    int *n_refused;
};

static gpointer create(gpointer data)
{
    const struct creation *creation = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup_printf("%p", (void *)g_thread_self());
    if (file_create(creation->path, text, strlen(text), 0600, &error)) {
        return g_steal_pointer(&text);
    }
    g_assert_error(error, SY_ERROR, SY_ALREADY_EXISTS);
    g_atomic_int_inc(creation->n_refused);
    return NULL;
}

static void of_many_creators_one_wins(struct folder *folder, gconstpointer data)
{
    for (int round = 0; round < 20; round++) {
        g_autofree char *name = g_strdup_printf("f%d", round);
        g_autofree char *path = path_in(folder, name);
        g_autofree char *winner = NULL;
        int n_refused = 0;
        struct creation creation = {.path = path, .n_refused = &n_refused};
        GThread *threads[6];
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
            threads[i] = g_thread_new("create", create, &creation);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
            char *text = g_thread_join(threads[i]);
            winner = text != NULL ? text : winner;
        }
        g_assert_cmpint(n_refused, ==, G_N_ELEMENTS(threads) - 1);
        assert_holds(path, winner);
    }
    g_assert_cmpint(count_entries(folder->path), ==, 20);
}

static void creating_where_a_link_dangles_is_refused(struct folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_in(folder, "link");
    g_autofree char *target = path_in(folder, "target");
    g_assert_cmpint(symlink(target, path), ==, 0);
    g_assert_false(file_create(path, "x", 1, 0600, &error));
    g_assert_error(error, SY_ERROR, SY_ALREADY_EXISTS);
    g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
}

static void makes_folders_on_the_way(struct folder *folder, gconstpointer data)
{
    g_autofree char *deep = path_in(folder, "a/b/c");
    g_autofree char *file = path_in(folder, "f");
    g_autofree char *below = path_in(folder, "f/b");
    g_autoptr(GError) error = NULL;
    struct stat status;
    g_assert_true(folder_ensure(deep, 0700, &error));
    g_assert_true(folder_ensure(deep, 0700, &error));
    g_assert_cmpint(stat(deep, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, 0700);
    put(file, "x");
    g_assert_false(folder_ensure(below, 0700, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
}

static void removing_does_not_follow_links(struct folder *folder, gconstpointer data)
{
    g_autofree char *outside = path_in(folder, "outside");
    g_autofree char *precious = path_in(folder, "outside/precious");
    g_autofree char *victim = path_in(folder, "victim/sub/deeper");
    g_autofree char *top = path_in(folder, "victim");
    g_autofree char *to_folder = path_in(folder, "victim/sub/link");
    g_autofree char *to_file = path_in(folder, "victim/file-link");
    g_assert_true(folder_ensure(outside, 0700, NULL) && folder_ensure(victim, 0700, NULL));
    put(precious, "precious");
    g_assert_cmpint(symlink(outside, to_folder), ==, 0);
    g_assert_cmpint(symlink(precious, to_file), ==, 0);
    g_autofree char *closed = path_in(folder, "victim/sub");
    g_assert_cmpint(chmod(closed, 0500), ==, 0);
    g_assert_true(folder_remove(top, NULL));
    g_assert_false(g_file_test(top, G_FILE_TEST_EXISTS));
    assert_holds(precious, "precious");
    g_autofree char *link_path = path_in(folder, "link");
    g_assert_cmpint(symlink(outside, link_path), ==, 0);
    g_assert_true(folder_remove(link_path, NULL)); /* the link itself goes */
    assert_holds(precious, "precious");
    g_assert_true(folder_remove(top, NULL)); /* missing is success */
}

static void free_space_is_told(struct folder *folder, gconstpointer data)
{
    int64_t free_bytes = 0;
    int64_t total_bytes = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(disk_space(folder->path, &free_bytes, &total_bytes, &error));
    g_assert_cmpint(free_bytes, >, 0);
    g_assert_cmpint(total_bytes, >=, free_bytes);
    g_assert_false(disk_space("/nonexistent/x", &free_bytes, &total_bytes, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
}

static void a_full_disk_has_its_own_code(struct folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_auto(fd_t) fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        g_test_skip("there is no /dev/full here");
        return;
    }
    g_assert_false(fd_write_all(fd, "x", 1, &error));
    g_assert_error(error, SY_ERROR, SY_DISK_FULL);
}

static void only_temporaries_of_ours_are_removed(struct folder *folder, gconstpointer data)
{
    static const char *const left[] = {"state.0a1b2c3d.tmp", "a.b.00000000.tmp"};
    static const char *const others[] = {
        "state", "notes.tmp", ".0a1b2c3d.tmp", "state.0A1B2C3D.tmp", "state.0a1b2c3.tmp", "state.0a1b2c3d.tmp.bak"};
    g_autoptr(GError) error = NULL;
    g_autofree char *named_so = path_in(folder, "folder.0a1b2c3d.tmp");
    g_autofree char *missing = path_in(folder, "missing");
    g_assert_true(folder_ensure(named_so, 0700, &error));
    for (size_t i = 0; i < G_N_ELEMENTS(left) + G_N_ELEMENTS(others); i++) {
        g_autofree char *path = path_in(folder, i < 2 ? left[i] : others[i - 2]);
        put(path, "half");
    }
    bool ok = file_remove_temporaries(folder->path, &error) && file_remove_temporaries(missing, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
        g_autofree char *path = path_in(folder, left[i]);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
    g_assert_cmpint(count_entries(folder->path), ==, (int)G_N_ELEMENTS(others) + 1);
}

/* The limit on a file's size stands for any write that fails in the middle. */
static void a_write_that_is_cut_off_leaves_the_old_file_alone(struct folder *folder, gconstpointer data)
{
    struct rlimit all, few;
    g_autoptr(GError) replacing = NULL;
    g_autoptr(GError) creating = NULL;
    g_autofree char *path = path_in(folder, "f");
    g_autofree char *fresh = path_in(folder, "fresh");
    g_autofree char *text = g_strnfill(100000, 'x');
    put(path, "old");
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &all), ==, 0);
    few = all;
    few.rlim_cur = 4096;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &few), ==, 0);
    bool replaced = file_replace(path, text, 100000, 0600, &replacing);
    bool created = file_create(fresh, text, 100000, 0600, &creating);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &all), ==, 0);
    signal(SIGXFSZ, before);
    g_assert_false(replaced);
    g_assert_error(replacing, SY_ERROR, SY_IO_FAILED);
    g_assert_true(g_str_has_prefix(replacing->message, path)); /* and the name of the temporary file */
    g_assert_nonnull(strstr(replacing->message, "File too large"));
    g_assert_false(created);
    g_assert_error(creating, SY_ERROR, SY_IO_FAILED);
    assert_holds(path, "old");
    g_assert_cmpint(count_entries(folder->path), ==, 1);
}

static void what_is_no_folder_is_told(struct folder *folder, gconstpointer data)
{
    g_autofree char *path = path_in(folder, "f");
    g_autofree char *below = path_in(folder, "f/below");
    g_autofree char *loop = path_in(folder, "loop");
    g_autoptr(GError) reading = NULL;
    g_autoptr(GError) listing = NULL;
    g_autoptr(GError) removing = NULL;
    g_autoptr(GError) making = NULL;
    g_autoptr(GError) looping = NULL;
    put(path, "x");
    g_assert_cmpint(symlink(loop, loop), ==, 0);
    g_assert_null(file_read(below, 10, NULL, &reading));
    g_assert_error(reading, SY_ERROR, SY_IO_FAILED); /* not SY_NOT_FOUND, which callers take for "not yet" */
    g_assert_null(file_read(loop, 10, NULL, &looping));
    g_assert_error(looping, SY_ERROR, SY_IO_FAILED);
    g_assert_false(file_remove_temporaries(path, &listing));
    g_assert_error(listing, SY_ERROR, SY_IO_FAILED);
    g_assert_false(folder_remove(below, &removing));
    g_assert_error(removing, SY_ERROR, SY_IO_FAILED);
    g_assert_false(folder_ensure(below, 0700, &making));
    g_assert_error(making, SY_ERROR, SY_IO_FAILED);
    assert_holds(path, "x");
}

/* Root may do everything: somebody else tries. */
static void what_is_not_permitted_is_told(struct folder *folder, gconstpointer data)
{
    g_autofree char *path = path_in(folder, "f");
    g_autofree char *fresh = path_in(folder, "fresh");
    GError *errors[5] = {NULL};
    put(path, "secret");
    g_assert_cmpint(chmod(folder->path, 0500), ==, 0);
    bool is_root = geteuid() == 0;
    if (is_root && (chown(folder->path, 65534, 65534) != 0 || chown(path, 65534, 65534) != 0 || seteuid(65534) != 0)) {
        g_test_skip("there is no other user here");
        return;
    }
    bool any_ok = file_replace(path, "new", 3, 0600, &errors[0]) || file_create(fresh, "new", 3, 0600, &errors[1]) ||
                  folder_ensure(fresh, 0700, &errors[2]) || folder_remove(path, &errors[3]) || chmod(path, 0) != 0;
    g_autofree char *text = file_read(path, 100, NULL, &errors[4]);
    if (is_root) {
        g_assert_cmpint(seteuid(0), ==, 0);
    }
    g_assert_cmpint(chmod(folder->path, 0700), ==, 0);
    g_assert_cmpint(chmod(path, 0600), ==, 0);
    g_assert_false(any_ok);
    g_assert_null(text);
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        g_assert_error(errors[i], SY_ERROR, SY_IO_FAILED);
        g_assert_nonnull(strstr(errors[i]->message, "Permission denied"));
        g_assert_nonnull(strstr(errors[i]->message, folder->path));
        g_error_free(errors[i]);
    }
    assert_holds(path, "secret");
    g_assert_cmpint(count_entries(folder->path), ==, 1);
}

/* Such a tree cannot be made by an upload; who finds one removes it by other means. */
static void a_bottomless_folder_is_given_up(struct folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *top = path_in(folder, "d");
    g_assert_true(folder_ensure(top, 0700, &error));
    int levels[300];
    levels[0] = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 1; i < 300; i++) {
        g_assert_cmpint(mkdirat(levels[i - 1], "d", 0700), ==, 0);
        levels[i] = openat(levels[i - 1], "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(levels[i], >=, 0);
    }
    g_assert_false(folder_remove(top, &error));
    g_assert_error(error, SY_ERROR, SY_IO_FAILED);
    g_assert_nonnull(strstr(error->message, "nested too deeply"));
    for (int i = 299; i > 0; i--) {
        close(levels[i]);
        g_assert_cmpint(unlinkat(levels[i - 1], "d", AT_REMOVEDIR), ==, 0);
    }
    close(levels[0]);
}

static void a_full_disk_is_told_with_its_figures(struct folder *folder, gconstpointer data)
{
    GError *error = NULL;
    disk_full_explain(folder->path, NULL);
    disk_full_explain(folder->path, &error);
    g_assert_null(error);
    sy_fail_errno(&error, ENOSPC, "cannot write");
    disk_full_explain("/nonexistent/x", &error);
    g_assert_cmpstr(error->message, ==, "cannot write: No space left on device");
    disk_full_explain(folder->path, &error);
    g_assert_error(error, SY_ERROR, SY_DISK_FULL);
    g_assert_true(g_str_has_suffix(error->message, " MiB are free: cannot write: No space left on device"));
    g_clear_error(&error);
    sy_fail_errno(&error, EIO, "cannot write");
    disk_full_explain(folder->path, &error);
    g_assert_cmpstr(error->message, ==, "cannot write: Input/output error");
    g_error_free(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/file/" #name, struct folder, NULL, make_folder, name, remove_folder)
    ADD(reads_up_to_its_limit);
    ADD(replaces_with_content_and_mode);
    ADD(does_not_write_through_a_link);
    ADD(a_failed_write_leaves_the_old_file);
    ADD(readers_never_see_half_a_file);
    ADD(of_many_creators_one_wins);
    ADD(creating_where_a_link_dangles_is_refused);
    ADD(only_temporaries_of_ours_are_removed);
    ADD(makes_folders_on_the_way);
    ADD(removing_does_not_follow_links);
    ADD(free_space_is_told);
    ADD(a_full_disk_has_its_own_code);
    ADD(a_write_that_is_cut_off_leaves_the_old_file_alone);
    ADD(what_is_no_folder_is_told);
    ADD(what_is_not_permitted_is_told);
    ADD(a_bottomless_folder_is_given_up);
    ADD(a_full_disk_is_told_with_its_figures);
    return g_test_run();
}
