#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/error.h"
#include "base/file.h"

/* Younger than the headers of Debian 12 (linux/landlock.h). */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* version 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* version 5 */
#endif

#define FIRST_USABLE 2

#define WRITE_EXISTING (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define REMOVE (LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define MAKE_PLAIN                                                                                                     \
    (LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM |                         \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_REFER)
#define MAKE_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* What a rule on a file, rather than a folder, may hold. */
#define OF_FILES                                                                                                       \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | WRITE_EXISTING | LANDLOCK_ACCESS_FS_IOCTL_DEV)

int confine_files_version(char **ret_why)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version > 0) {
        return (int)version;
    }
    if (ret_why != NULL) {
        *ret_why = g_strdup(errno == EOPNOTSUPP ? "Landlock is not enabled (boot with lsm=landlock,…)"
                            : errno == ENOSYS   ? "this kernel has no Landlock (Linux 5.19 or later has)"
                                                : "Landlock is kept from us, it seems by a filter of system calls");
    }
    return 0;
}

/* All that this version knows; what is not handled stays allowed. */
static uint64_t handled_by(int version)
{
    uint64_t handled =
        READ | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | REMOVE | MAKE_PLAIN | MAKE_DEVICES;
    handled |= version >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0;
    handled |= version >= 5 ? LANDLOCK_ACCESS_FS_IOCTL_DEV : 0;
    return handled;
}

static uint64_t accesses_of(unsigned rights)
{
    static const struct {
        unsigned right;
        uint64_t accesses;
    } table[] = {
        {CONFINE_READ, READ},
        {CONFINE_RUN, LANDLOCK_ACCESS_FS_EXECUTE},
        {CONFINE_CHANGE, READ | WRITE_EXISTING | REMOVE | MAKE_PLAIN},
        {CONFINE_DEVICES, MAKE_DEVICES | LANDLOCK_ACCESS_FS_IOCTL_DEV},
        {CONFINE_WRITE, WRITE_EXISTING},
        {CONFINE_FOLDERS, LANDLOCK_ACCESS_FS_MAKE_DIR},
        {CONFINE_SOCKETS, LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE},
    };
    uint64_t accesses = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        accesses |= (rights & table[i].right) != 0 ? table[i].accesses : 0;
    }
    return accesses;
}

static bool add_rule(int ruleset, const struct confine_rule *rule, uint64_t handled, GError **error)
{
    struct stat status;
    g_auto(fd_t) fd = open(rule->path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ||
               sy_fail_errno(error, errno, "cannot open %s", rule->path);
    }
    uint64_t accesses = accesses_of(rule->rights) & handled & (S_ISDIR(status.st_mode) ? ~UINT64_C(0) : OF_FILES);
    const struct landlock_path_beneath_attr attributes = {.allowed_access = accesses, .parent_fd = fd};
    return accesses == 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attributes, 0U) == 0 ||
           sy_fail_errno(error, errno, "Landlock refuses a rule for %s", rule->path);
}

bool confine_files(const struct confine_rule *rules, size_t n_rules, GError **error)
{
    g_autofree char *why = NULL;
    int version = confine_files_version(&why);
    if (version < FIRST_USABLE) {
        return sy_fail(error, SY_NOT_SUPPORTED, "%s",
                       why != NULL ? why : "this kernel's Landlock is too old (Linux 5.19 or later is needed)");
    }
    const struct landlock_ruleset_attr attributes = {.handled_access_fs = handled_by(version)};
    g_auto(fd_t) ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0U);
    if (ruleset < 0) {
        return sy_fail_errno(error, errno, "Landlock gives no set of rules");
    }
    for (size_t i = 0; i < n_rules; i++) {
        if (!add_rule(ruleset, &rules[i], attributes.handled_access_fs, error)) {
            return false;
        }
    }
    return (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0) ||
           sy_fail_errno(error, errno, "Landlock does not hold");
}
