/* Preloaded into a program under test: counts its calls of fallible file functions and makes one of them, or all from one on, fail.
 *
 * What to do stands in a file that is mapped by the test and by us (struct fault_state, packed by harness/fault.py), named by
 * FAULT_STATE. Only files whose path holds FAULT_PATH count. A close that fails has closed, as on Linux. Built by the tests. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum call { OPEN, WRITE, FSYNC, FDATASYNC, RENAME, MKDIR, UNLINK, FTRUNCATE, CLOSE, LINK, N_CALLS };

struct fault_state {
    _Atomic int32_t call;      /* enum call; -1: none fails; -2: fsync and fdatasync */
    _Atomic int32_t at;        /* the n-th from the beginning of the count */
    _Atomic int32_t all_after; /* and every later one */
    _Atomic int32_t code;      /* errno */
    _Atomic int32_t n_injected;
    _Atomic int32_t counts[N_CALLS];
};

static struct fault_state *state;
static char wanted[256];

static void __attribute__((constructor)) begin(void)
{
    const char *path = getenv("FAULT_STATE");
    const char *part = getenv("FAULT_PATH");
    int fd = path != NULL && part != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0) {
        return;
    }
    snprintf(wanted, sizeof wanted, "%s", part);
    void *mapped = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    state = mapped != MAP_FAILED ? mapped : NULL;
    syscall(SYS_close, fd);
}

/* True when this call is to fail; errno is set then. */
static int fails(enum call call, const char *path)
{
    if (state == NULL || path == NULL || strstr(path, wanted) == NULL) {
        return 0;
    }
    int32_t n = atomic_fetch_add(&state->counts[call], 1) + 1;
    int32_t armed = atomic_load(&state->call);
    int is_meant = armed == (int32_t)call || (armed == -2 && (call == FSYNC || call == FDATASYNC));
    int32_t at = atomic_load(&state->at);
    if (!is_meant || !(n == at || (n > at && atomic_load(&state->all_after)))) {
        return 0;
    }
    atomic_fetch_add(&state->n_injected, 1);
    errno = atomic_load(&state->code);
    return 1;
}

static int fails_at(enum call call, int folder, const char *path)
{
    char link[32], full[8192];
    if (state == NULL || path == NULL || path[0] == '/' || folder == AT_FDCWD) {
        return fails(call, path);
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, full, 4096);
    if (length < 0) {
        return 0;
    }
    snprintf(full + length, sizeof full - (size_t)length, "/%s", path);
    return fails(call, full);
}

static int fails_on(enum call call, int fd)
{
    char link[32], path[4096];
    int saved = errno;
    if (state == NULL) {
        return 0;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length < 0) {
        return 0;
    }
    path[length] = '\0';
    return fails(call, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;                                               \
        va_end(rest);                                                                                                  \
        return fails(OPEN, path) ? -1 : NEXT(name)(path, flags, mode);                                                 \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                                                                                 \
    int name(int folder, const char *path, int flags, ...)                                                             \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;                                               \
        va_end(rest);                                                                                                  \
        return fails_at(OPEN, folder, path) ? -1 : NEXT(name)(folder, path, flags, mode);                              \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

/* What _FORTIFY_SOURCE makes of an open without a mode. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open(path, flags);
}
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open64(path, flags);
}
int __openat_2(int folder, const char *path, int flags);
int __openat_2(int folder, const char *path, int flags)
{
    return openat(folder, path, flags);
}
int __openat64_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags)
{
    return openat64(folder, path, flags);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    return fails_on(WRITE, fd) ? -1 : NEXT(write)(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    return fails_on(WRITE, fd) ? -1 : NEXT(pwrite)(fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    return fails_on(WRITE, fd) ? -1 : NEXT(pwrite64)(fd, bytes, length, offset);
}

int fsync(int fd)
{
    return fails_on(FSYNC, fd) ? -1 : NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    return fails_on(FDATASYNC, fd) ? -1 : NEXT(fdatasync)(fd);
}

int rename(const char *from, const char *to)
{
    return fails(RENAME, to) ? -1 : NEXT(rename)(from, to);
}

int link(const char *from, const char *to)
{
    return fails(LINK, to) ? -1 : NEXT(link)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(MKDIR, path) ? -1 : NEXT(mkdir)(path, mode);
}

int unlink(const char *path)
{
    return fails(UNLINK, path) ? -1 : NEXT(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags)
{
    return fails_at(UNLINK, folder, path) ? -1 : NEXT(unlinkat)(folder, path, flags);
}

int ftruncate(int fd, off_t length)
{
    return fails_on(FTRUNCATE, fd) ? -1 : NEXT(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return fails_on(FTRUNCATE, fd) ? -1 : NEXT(ftruncate64)(fd, length);
}

int close(int fd)
{
    int is_broken = fails_on(CLOSE, fd);
    int code = errno;
    int result = NEXT(close)(fd);
    if (is_broken) {
        errno = code;
    }
    return is_broken ? -1 : result;
}
