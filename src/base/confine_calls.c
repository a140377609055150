#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#endif

#define X32_BIT 0x40000000U /* numbers of the x32 ABI, which shares its architecture with x86-64 */
#define REFUSE(number) (SECCOMP_RET_ERRNO | ((number)&SECCOMP_RET_DATA))
#define KILL SECCOMP_RET_KILL_PROCESS
#define NAMESPACES                                                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* What ends the process: nobody does it by mistake. */
static const int hostile[] = {
    SYS_kexec_load,      SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
};

/* What is refused. Not here, since programs that we start have a use for it: chroot (HAProxy's workers, mmdebstrap), mknod
 * (mmdebstrap; Landlock says where), seccomp and landlock_* (they only take away), clone without namespaces. */
static const int refused[] = {
    /* other processes' memory and descriptors */
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_getfd,
    /* programs in the kernel, and its innards */
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_syslog,
    /* interfaces by which calls pass this filter, or most holes of late years came */
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    /* mounts and namespaces: a way out of Landlock, were it not for Landlock itself */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_setns,
    SYS_unshare,
    /* files by handle: past every folder's permissions */
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    /* programs that are no files, which Landlock does not see */
    SYS_memfd_create,
    /* the machine: clock, names, swap, accounting, quotas, pages */
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_vhangup,
    SYS_migrate_pages,
    SYS_move_pages,
    /* keyrings */
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
#ifdef SYS_memfd_secret
    SYS_memfd_secret,
#endif
#ifdef __x86_64__
    /* ports and segments of the processor; calls of old */
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
    SYS__sysctl,
    SYS_create_module,
    SYS_get_kernel_syms,
    SYS_query_module,
    SYS_nfsservctl,
#endif
};

static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
static const uint32_t personalities[] = {0, 0xffffffffU};                        /* as it is; which one is it? */
static const uint32_t typing[] = {0x5412 /* TIOCSTI */, 0x541C /* TIOCLINUX */}; /* into somebody's terminal */

/* Calls that depend on the low half of one argument. */
enum condition { ANY_BIT_OF, ONE_OF, NONE_OF };
static const struct {
    int number;
    unsigned argument;
    enum condition condition;
    const uint32_t *values;
    size_t n_values;
    uint32_t action;
} conditional[] = {
    {SYS_socket, 0, NONE_OF, families, G_N_ELEMENTS(families), REFUSE(EAFNOSUPPORT)},
    {SYS_socketpair, 0, NONE_OF, families, G_N_ELEMENTS(families), REFUSE(EAFNOSUPPORT)},
    {SYS_clone, 0, ANY_BIT_OF, (const uint32_t[]){NAMESPACES}, 1, REFUSE(EPERM)},
    {SYS_personality, 0, NONE_OF, personalities, G_N_ELEMENTS(personalities), REFUSE(EPERM)},
    {SYS_ioctl, 1, ONE_OF, typing, G_N_ELEMENTS(typing), REFUSE(EPERM)},
};

/* --- the program (classic BPF: Documentation/userspace-api/seccomp_filter.rst of the kernel) ------------------------------- */

static void add(GArray *program, struct sock_filter instruction)
{
    g_array_append_val(program, instruction);
}

static void add_load(GArray *program, size_t offset)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void add_return(GArray *program, uint32_t action)
{
    add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* When the loaded word compares so with `value`, that is the end. */
static void add_verdict(GArray *program, unsigned comparison, uint32_t value, uint32_t action)
{
    add(program, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | comparison | BPF_K), value, 0, 1));
    add_return(program, action);
}

static void add_conditional(GArray *program, size_t index)
{
    enum condition condition = conditional[index].condition;
    uint32_t met = condition == NONE_OF ? SECCOMP_RET_ALLOW : conditional[index].action;
    uint32_t else_action = condition == NONE_OF ? conditional[index].action : SECCOMP_RET_ALLOW;
    unsigned length = (unsigned)(2 + 2 * conditional[index].n_values);
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)conditional[index].number, 0,
                                              (uint8_t)length));
    add_load(program, offsetof(struct seccomp_data, args) + conditional[index].argument * sizeof(uint64_t));
    for (size_t i = 0; i < conditional[index].n_values; i++) {
        add_verdict(program, condition == ANY_BIT_OF ? BPF_JSET : BPF_JEQ, conditional[index].values[i], met);
    }
    add_return(program, else_action);
}

#ifdef ARCHITECTURE
static GArray *make_program(unsigned flags)
{
    GArray *program = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));
    add_load(program, offsetof(struct seccomp_data, arch));
    add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    add_return(program, KILL);
    add_load(program, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    add_verdict(program, BPF_JGE, X32_BIT, KILL);
#endif
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        add_verdict(program, BPF_JEQ, (uint32_t)hostile[i], KILL);
    }
    /* Its flags lie in memory, which a filter cannot read; the C library then uses clone, whose flags it can. */
    add_verdict(program, BPF_JEQ, SYS_clone3, REFUSE(ENOSYS));
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        add_verdict(program, BPF_JEQ, (uint32_t)refused[i], REFUSE(EPERM));
    }
    if ((flags & CONFINE_ALLOW_PTRACE) == 0) {
        add_verdict(program, BPF_JEQ, SYS_ptrace, REFUSE(EPERM));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(conditional); i++) {
        add_conditional(program, i);
    }
    add_return(program, SECCOMP_RET_ALLOW);
    return program;
}

bool confine_calls(unsigned flags, GError **error)
{
    g_autoptr(GArray) program = make_program(flags);
    const struct sock_fprog filter = {.len = (unsigned short)program->len,
                                      .filter = (struct sock_filter *)program->data};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return sy_fail_errno(error, errno, "no_new_privs cannot be set");
    }
    /* All threads: a sanitizer may have one of its own. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0 ||
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 ||
           sy_fail(error, SY_NOT_SUPPORTED, "the kernel takes no filter of system calls: %s", g_strerror(errno));
}
#else
bool confine_calls(unsigned flags, GError **error)
{
    return sy_fail(error, SY_NOT_SUPPORTED, "there is no list of system calls for this processor's architecture");
}
#endif
