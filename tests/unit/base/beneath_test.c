/* What is opened beneath a folder, and what is not; by openat2, and by a kernel or sandbox without it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/file.h"

/* why: 0 when it opens. */
struct attempt {
    const char *path;
    int flags;
    int why;
    int why_without; /* where there is no openat2 */
};

static const struct attempt attempts[] = {
    {"file", O_RDONLY, 0, 0},
    {"folder", O_RDONLY | O_DIRECTORY, 0, 0},
    {"folder/", O_RDONLY | O_DIRECTORY, 0, 0},
    {".", O_RDONLY | O_DIRECTORY, 0, 0},
    {"./folder//file", O_RDONLY, 0, 0},
    {"absent", O_RDONLY, ENOENT, ENOENT},
    {"absent/file", O_RDONLY, ENOENT, ENOENT},
    {"file/file", O_RDONLY, ENOTDIR, ENOTDIR},
    {"", O_RDONLY, ENOENT, ENOENT},
    /* links: those that stay inside are followed by the kernel only */
    {"inner", O_RDONLY, 0, ELOOP},
    {"inner_folder/file", O_RDONLY, 0, ENOTDIR},
    {"outer", O_RDONLY, EXDEV, ELOOP},
    {"outer_folder/passwd", O_RDONLY, EXDEV, ENOTDIR},
    {"loop", O_RDONLY, ELOOP, ELOOP},
    /* ways out */
    {"/etc/passwd", O_RDONLY, EXDEV, EXDEV},
    {"../secret", O_RDONLY, EXDEV, EXDEV},
    {"folder/../../secret", O_RDONLY, EXDEV, EXDEV},
    {"..", O_RDONLY | O_DIRECTORY, EXDEV, EXDEV},
};

static void put(int fd, const char *name)
{
    g_auto(fd_t) made = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    g_assert_cmpint(made, >=, 0);
}

/* PARENT/secret beside PARENT/tree, which is opened. */
static int make_tree(const char *parent)
{
    g_auto(fd_t) above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(above, "secret");
    g_assert_cmpint(mkdirat(above, "tree", 0700), ==, 0);
    int fd = openat(above, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(fd, "file");
    g_assert_cmpint(mkdirat(fd, "folder", 0700), ==, 0);
    put(fd, "folder/file");
    const char *links[][2] = {{"file", "inner"},
                              {"folder", "inner_folder"},
                              {"../secret", "outer"},
                              {"/etc", "outer_folder"},
                              {"loop", "loop"}};
    for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
        g_assert_cmpint(symlinkat(links[i][0], fd, links[i][1]), ==, 0);
    }
    return fd;
}

static void try_all(bool has_openat2)
{
    g_autofree char *parent = g_dir_make_tmp("beneath-test-XXXXXX", NULL);
    g_auto(fd_t) tree = make_tree(parent);
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        const struct attempt *attempt = &attempts[i];
        errno = 0;
        g_auto(fd_t) fd = open_beneath(tree, attempt->path, attempt->flags);
        int why = fd >= 0 ? 0 : errno;
        g_test_message("%s", attempt->path);
        g_assert_cmpint(why, ==, has_openat2 ? attempt->why : attempt->why_without);
        g_assert_true(fd < 0 || fcntl(fd, F_GETFD) == FD_CLOEXEC);
    }
    g_assert_true(folder_remove(parent, NULL));
}

static bool forbid_openat2(int why)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)why),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = G_N_ELEMENTS(steps), .filter = steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

static void links_are_followed_only_inside(void)
{
    try_all(true);
}

static void no_link_is_followed_without_openat2(gconstpointer data)
{
    if (g_test_subprocess()) {
        g_assert_true(forbid_openat2(GPOINTER_TO_INT(data)));
        try_all(false);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/beneath/links_are_followed_only_inside", links_are_followed_only_inside);
    g_test_add_data_func("/beneath/no_link_is_followed_where_the_kernel_has_no_openat2", GINT_TO_POINTER(ENOSYS),
                         no_link_is_followed_without_openat2);
    g_test_add_data_func("/beneath/no_link_is_followed_where_a_sandbox_forbids_openat2", GINT_TO_POINTER(EPERM),
                         no_link_is_followed_without_openat2);
    return g_test_run();
}
