/* Who listens on a port: its inode in /proc/net/tcp, then the process that has that socket open. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "edge/internal.h"

#define INODES_MAX 16
#define TABLE_LIMIT ((size_t)16 << 20)

struct inodes {
    uint64_t of[INODES_MAX];
    size_t n;
};

/* A line like "  0: 0100007F:1F90 00000000:0000 0A … uid timeout inode …" (proc(5)); state 0A is LISTEN. */
static void read_line(const char *line, size_t length, int port, struct inodes *inodes)
{
    unsigned local_port = 0;
    unsigned state = 0;
    uint64_t inode = 0;
    char fields[256] = {0};
    memcpy(fields, line, MIN(length, sizeof fields - 1));
    int found = sscanf(fields, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*d %" G_GUINT64_FORMAT,
                       &local_port, &state, &inode);
    if (found == 3 && (int)local_port == port && state == 0x0A) {
        inodes->of[inodes->n++] = inode;
    }
}

/* A busy machine's table has tens of thousands of lines: each is looked at without measuring the rest, as the functions on
 * strings may do. */
static void find_listeners(const char *path, int port, struct inodes *inodes)
{
    size_t length = 0;
    g_autofree char *text = file_read(path, TABLE_LIMIT, &length, NULL);
    const char *end = text != NULL ? text + length : NULL;
    for (const char *line = text, *next; line != end && inodes->n < INODES_MAX; line = next) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        next = newline != NULL ? newline + 1 : end;
        read_line(line, (size_t)(next - line), port, inodes);
    }
}

static bool has_socket(const char *pid, const struct inodes *inodes)
{
    g_autofree char *folder = g_build_filename("/proc", pid, "fd", NULL);
    DIR *fds = opendir(folder);
    bool found = false;
    struct dirent *entry;
    while (fds != NULL && !found && (entry = readdir(fds)) != NULL) {
        char target[64] = {0};
        uint64_t inode;
        ssize_t length = readlinkat(dirfd(fds), entry->d_name, target, sizeof target - 1);
        if (length > 0 && sscanf(target, "socket:[%" G_GUINT64_FORMAT "]", &inode) == 1) {
            for (size_t i = 0; i < inodes->n; i++) {
                found = found || inodes->of[i] == inode;
            }
        }
    }
    if (fds != NULL) {
        closedir(fds);
    }
    return found;
}

static char *describe(const char *pid)
{
    g_autofree char *path = g_build_filename("/proc", pid, "comm", NULL);
    g_autofree char *name = file_read(path, 256, NULL, NULL);
    if (name == NULL) {
        return g_strdup_printf("pid %s", pid);
    }
    g_strstrip(name);
    for (char *p = name; *p != '\0'; p++) {
        *p = g_ascii_isprint(*p) ? *p : '?';
    }
    return g_strdup_printf("%s (pid %s)", name, pid);
}

char *edge_port_holder(int port, int64_t *ret_pid)
{
    *ret_pid = 0;
    struct inodes inodes = {.n = 0};
    find_listeners("/proc/net/tcp", port, &inodes);
    find_listeners("/proc/net/tcp6", port, &inodes);
    if (inodes.n == 0) {
        return NULL;
    }
    DIR *processes = opendir("/proc");
    char *holder = NULL;
    struct dirent *entry;
    while (processes != NULL && holder == NULL && (entry = readdir(processes)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0]) && has_socket(entry->d_name, &inodes)) {
            holder = describe(entry->d_name);
            *ret_pid = g_ascii_strtoll(entry->d_name, NULL, 10);
        }
    }
    if (processes != NULL) {
        closedir(processes);
    }
    return holder != NULL ? holder : g_strdup("another program (ss -tlnp tells root which)");
}
