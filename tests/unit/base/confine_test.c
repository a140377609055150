/* What a confined process can no longer do. Each check forks: there is no way back. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "base/file.h"

/* 0: as it should be; else the number of what was not. Runs in a child; no GLib assertion reaches the parent from there. */
typedef int (*act_fn)(const char *folder);

static int run(act_fn act, const char *folder, int *ret_signal)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(act(folder));
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    *ret_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(act_fn act, const char *folder)
{
    int number = 0;
    int wrong = run(act, folder, &number);
    g_assert_cmpint(number, ==, 0);
    g_assert_cmpint(wrong, ==, 0);
}

static bool has_landlock(void)
{
    g_autofree char *why = NULL;
    if (confine_files_version(&why) >= 2) {
        return true;
    }
    g_test_skip(why != NULL ? why : "this kernel's Landlock is too old");
    return false;
}

static bool is_refused(long result, int with)
{
    return result < 0 && errno == with;
}

static bool can_open(const char *folder, const char *name, int flags)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_auto(fd_t) fd = open(path, flags | O_CLOEXEC, 0600);
    return fd >= 0;
}

/* --- files ----------------------------------------------------------------------------------------------------------------- */

/* FOLDER holds read/ and write/, each with a file `old`, and none/. */
static char *make_folder(void)
{
    static const char *const files[] = {"read/old", "write/old", "none/old", "read/program"};
    static const char script[] = "#!/bin/true\n";
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("confine-XXXXXX", &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i], NULL);
        g_autofree char *parent = g_path_get_dirname(path);
        g_assert_true(folder_ensure(parent, 0700, &error));
        g_assert_true(file_replace(path, script, strlen(script), 0700, &error));
    }
    return folder;
}

static void remove_folder(char *folder)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(folder_remove(folder, &error));
    g_free(folder);
}

static bool keep_two_folders(const char *folder)
{
    g_autofree char *reading = g_build_filename(folder, "read", NULL);
    g_autofree char *writing = g_build_filename(folder, "write", NULL);
    const struct confine_rule rules[] = {{(char *)"/usr", CONFINE_READ | CONFINE_RUN},
                                         {(char *)"/lib", CONFINE_READ | CONFINE_RUN},
                                         {(char *)"/lib64", CONFINE_READ | CONFINE_RUN},
                                         {(char *)"/bin", CONFINE_READ | CONFINE_RUN},
                                         {(char *)"/dev/null", CONFINE_READ | CONFINE_WRITE},
                                         {(char *)"/proc", CONFINE_READ},
                                         {(char *)"/no/such/folder", CONFINE_CHANGE},
                                         {reading, CONFINE_READ},
                                         {writing, CONFINE_CHANGE}};
    return confine_files(rules, G_N_ELEMENTS(rules), NULL);
}

static int use_files(const char *folder)
{
    g_autofree char *old = g_build_filename(folder, "write/old", NULL);
    g_autofree char *new = g_build_filename(folder, "write/deep/new", NULL);
    g_autofree char *deep = g_build_filename(folder, "write/deep", NULL);
    struct stat status;
    if (!keep_two_folders(folder)) {
        return 1;
    }
    return !can_open(folder, "read/old", O_RDONLY)                       ? 2
           : can_open(folder, "read/old", O_WRONLY)                      ? 3
           : can_open(folder, "read/new", O_WRONLY | O_CREAT)            ? 4
           : !can_open(folder, "write/old", O_RDWR | O_TRUNC)            ? 5
           : !can_open(folder, "write/new", O_WRONLY | O_CREAT)          ? 6
           : mkdir(deep, 0700) != 0                                      ? 7
           : rename(old, new) != 0                                       ? 8 /* to another folder */
           : can_open(folder, "none/old", O_RDONLY)                      ? 9
           : can_open(folder, "none", O_RDONLY | O_DIRECTORY)            ? 10
           : can_open("/etc", "enclii-confine-test", O_WRONLY | O_CREAT) ? 11
           : can_open("/etc", "passwd", O_RDONLY)                        ? 12
           : !can_open("/dev", "null", O_RDWR)                           ? 13
           : !can_open("/proc/self", "status", O_RDONLY)                 ? 14
           : stat("/etc/passwd", &status) != 0                           ? 15
                                                                         : 0;
}

static void files_are_what_the_rules_say(void)
{
    if (!has_landlock()) {
        return;
    }
    char *folder = make_folder();
    expect(use_files, folder);
    remove_folder(folder);
}

/* A link inside is no way to what is outside. */
static int follow_links(const char *folder)
{
    g_autofree char *link = g_build_filename(folder, "write/link", NULL);
    if (symlink("/etc/passwd", link) != 0 || !keep_two_folders(folder)) {
        return 1;
    }
    return can_open(folder, "write/link", O_RDONLY) ? 2 : can_open(folder, "write/link", O_WRONLY) ? 3 : 0;
}

static void links_do_not_lead_out(void)
{
    if (!has_landlock()) {
        return;
    }
    char *folder = make_folder();
    expect(follow_links, folder);
    remove_folder(folder);
}

static int exit_of(const char *program)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, NULL);
        _exit(errno == EACCES ? 100 : 101);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Also what a child inherits: /bin/touch is started, and may not write either. */
static int start_programs(const char *folder)
{
    g_autofree char *program = g_build_filename(folder, "read/program", NULL);
    g_autofree char *copy = g_build_filename(folder, "write/old", NULL);
    g_autofree char *wanted = g_build_filename(folder, "none/touched", NULL);
    if (!keep_two_folders(folder)) {
        return 1;
    }
    if (exit_of("/bin/true") != 0) {
        return 2;
    }
    if (exit_of(program) != 100 || exit_of(copy) != 100) {
        return 3;
    }
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO);
        execl("/bin/touch", "touch", wanted, NULL);
        _exit(101);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 1 ? 0 : 4;
}

static void programs_run_only_from_their_folders(void)
{
    if (!has_landlock()) {
        return;
    }
    char *folder = make_folder();
    expect(start_programs, folder);
    remove_folder(folder);
}

static int make_devices(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "write/device", NULL);
    if (!keep_two_folders(folder)) {
        return 1;
    }
    return mknod(path, S_IFCHR | 0600, 0x103) == 0                       ? 2
           : mount("none", folder, "tmpfs", 0, NULL) == 0                ? 3
           : !is_refused(mount("none", folder, "tmpfs", 0, NULL), EPERM) ? 4
                                                                         : 0;
}

static void devices_and_mounts_are_out_of_reach(void)
{
    if (!has_landlock() || geteuid() != 0) {
        if (geteuid() != 0) {
            g_test_skip("only root could");
        }
        return;
    }
    char *folder = make_folder();
    expect(make_devices, folder);
    remove_folder(folder);
}

/* --- system calls ----------------------------------------------------------------------------------------------------------- */

static int call_refused(const char *folder)
{
    struct perf_event_attr event = {.size = sizeof event};
    union bpf_attr attributes = {0};
    char bytes[8] = "";
    const struct iovec here = {bytes, sizeof bytes};
    if (!confine_calls(0, NULL)) {
        return 1;
    }
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1                                               ? 2
           : prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER                                ? 3
           : !is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM)                               ? 4
           : !is_refused(syscall(SYS_process_vm_readv, getppid(), &here, 1, &here, 1, 0), EPERM)     ? 5
           : !is_refused(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), EPERM)    ? 6
           : !is_refused(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), EPERM)                  ? 7
           : !is_refused(syscall(SYS_io_uring_setup, 1, bytes), EPERM)                               ? 8
           : !is_refused(syscall(SYS_userfaultfd, 0), EPERM)                                         ? 9
           : !is_refused(syscall(SYS_memfd_create, "x", 0), EPERM)                                   ? 10
           : !is_refused(unshare(CLONE_NEWUSER), EPERM)                                              ? 11
           : !is_refused(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL), EPERM) ? 12
           : !is_refused(syscall(SYS_clone3, NULL, 0), ENOSYS)                                       ? 13
           : !is_refused(mount("none", "/mnt", "tmpfs", 0, NULL), EPERM)                             ? 14
           : !is_refused(syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM)                                  ? 15
           : !is_refused(socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT)                               ? 16
           : !is_refused(socket(AF_ALG, SOCK_SEQPACKET, 0), EAFNOSUPPORT)                            ? 17
           : !is_refused(personality(ADDR_NO_RANDOMIZE), EPERM)                                      ? 18
           : !is_refused(syscall(SYS_open_by_handle_at, AT_FDCWD, bytes, O_RDONLY), EPERM)           ? 19
           : !is_refused(sethostname("x", 1), EPERM)                                                 ? 20
           : !is_refused(syscall(SYS_ioctl, 0, 0x5412, bytes), EPERM)                                ? 21
                                                                                                     : 0;
}

static void dangerous_calls_are_refused(void)
{
    expect(call_refused, NULL);
}

static gpointer nothing(gpointer arg)
{
    return arg;
}

/* What a daemon lives on. */
static int call_allowed(const char *folder)
{
    int pair[2];
    if (!confine_calls(0, NULL)) {
        return 1;
    }
    GThread *thread = g_thread_new("confined", nothing, GINT_TO_POINTER(1));
    return g_thread_join(thread) == NULL                                    ? 2
           : socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0                 ? 3
           : socket(AF_INET, SOCK_STREAM, 0) < 0                            ? 4
           : socket(AF_NETLINK, SOCK_RAW, 0) < 0                            ? 5
           : personality(0xffffffff) < 0                                    ? 6
           : exit_of("/bin/true") != 0                                      ? 7
           : kill(getpid(), 0) != 0                                         ? 8
           : !is_refused(syscall(SYS_ioctl, pair[0], 0x5401, NULL), ENOTTY) ? 9
                                                                            : 0;
}

static void ordinary_calls_go_on(void)
{
    expect(call_allowed, NULL);
}

static int load_module(const char *folder)
{
    return confine_calls(0, NULL) ? (int)syscall(SYS_finit_module, -1, "", 0) : 1;
}

static int restart_machine(const char *folder)
{
    return confine_calls(0, NULL) ? (int)syscall(SYS_reboot, 0, 0, 0, NULL) : 1;
}

#ifdef __x86_64__
static int call_by_x32(const char *folder)
{
    return confine_calls(0, NULL) ? (int)syscall(0x40000000L + SYS_getpid) : 1;
}

/* By its own gate: numbers mean something else there (11 is execve, munmap here). */
static int call_by_i386(const char *folder)
{
    long result = 20; /* getpid */
    if (!confine_calls(0, NULL)) {
        return 1;
    }
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return (int)(result & 0x7f);
}
#endif

static void hostile_calls_end_the_process(void)
{
    static const act_fn acts[] = {
        load_module,
        restart_machine,
#ifdef __x86_64__
        call_by_x32,
        call_by_i386,
#endif
    };
    for (size_t i = 0; i < G_N_ELEMENTS(acts); i++) {
        int number = 0;
        int wrong = run(acts[i], NULL, &number);
        g_test_message("act %zu: exit %d, signal %d", i, wrong, number);
        g_assert_true(number == SIGSYS || number == SIGSEGV); /* a kernel without i386 has no such gate */
        g_assert_true(number == SIGSYS || i == 3);
    }
}

static int trace_when_allowed(const char *folder)
{
    if (!confine_calls(CONFINE_ALLOW_PTRACE, NULL)) {
        return 1;
    }
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 ? 2 : !is_refused(syscall(SYS_userfaultfd, 0), EPERM) ? 3 : 0;
}

static void sanitizers_may_keep_ptrace(void)
{
    expect(trace_when_allowed, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/confine/files", files_are_what_the_rules_say);
    g_test_add_func("/base/confine/links", links_do_not_lead_out);
    g_test_add_func("/base/confine/programs", programs_run_only_from_their_folders);
    g_test_add_func("/base/confine/devices", devices_and_mounts_are_out_of_reach);
    g_test_add_func("/base/confine/refused", dangerous_calls_are_refused);
    g_test_add_func("/base/confine/allowed", ordinary_calls_go_on);
    g_test_add_func("/base/confine/hostile", hostile_calls_end_the_process);
    g_test_add_func("/base/confine/ptrace", sanitizers_may_keep_ptrace);
    return g_test_run();
}
