/* What HAProxy writes: its access log, by way of a process of ours that outlives switchyard as HAProxy does, and its
 * complaints.
 *
 * HAProxy 2.6 clears O_APPEND of a file that it logs to (fd_set_nonblock sets O_NONBLOCK alone), so such a file cannot be cut
 * while it is open: what comes next would be written where the old end was, behind a hole. To its standard error it does not
 * log, only complain, which leaves the flag alone: that file is cut in place. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "edge/internal.h"

#define COMPLAINTS_BYTES ((off_t)4 << 20)
#define COMPLAINTS_KEPT_BYTES ((off_t)1 << 20)
#define CEILING_BYTES ((rlim_t)256 << 20)
#define WORDS_LIMIT 4000
#define CHUNK_BYTES ((size_t)1 << 16)

/* --- the access log ---------------------------------------------------------------------------------------------------- */

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The descriptor of a file with room for `length` bytes more. What is full becomes PATH.1, at the end of a line: its last bytes
 * are taken from *ret_bytes. One that somebody has removed is made anew. */
static int make_room(int fd, const char *path, off_t limit, const char **ret_bytes, size_t *ret_length)
{
    struct stat stat;
    const char *end = memchr(*ret_bytes, '\n', *ret_length);
    if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_nlink == 0) {
        fd_close(&fd);
        return open_log(path);
    }
    if (end == NULL || stat.st_size + (off_t)*ret_length <= limit) {
        return fd;
    }
    g_autofree char *beside = g_strconcat(path, ".1", NULL);
    size_t rest = (size_t)(end + 1 - *ret_bytes);
    if (fd_write_all(fd, *ret_bytes, rest, NULL) && rename(path, beside) == 0) {
        *ret_bytes += rest;
        *ret_length -= rest;
        fd_close(&fd);
        return open_log(path);
    }
    return fd;
}

void edge_log_write(int fd, const char *path, int64_t limit_bytes)
{
    g_auto(fd_t) log = -1;
    g_autofree char *chunk = g_malloc(CHUNK_BYTES);
    for (;;) {
        ssize_t got = read(fd, chunk, CHUNK_BYTES);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return;
        }
        const char *bytes = chunk;
        size_t length = (size_t)MAX(got, 0);
        log = make_room(log, path, (off_t)limit_bytes, &bytes, &length);
        bool is_written = log >= 0 && fd_write_all(log, bytes, length, NULL);
        (void)is_written; /* a full disk: HAProxy does not wait, and neither does anybody for its log */
    }
}

/* --- complaints -------------------------------------------------------------------------------------------------------- */

static void cut(const char *path, off_t limit, off_t kept)
{
    struct stat stat;
    g_autofree char *beside = g_strconcat(path, ".1", NULL);
    g_auto(fd_t) fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_size <= limit) {
        return;
    }
    g_auto(fd_t) out = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    g_autofree char *bytes = g_malloc(1 << 16);
    bool is_line_start = false;
    for (off_t at = stat.st_size - kept; out >= 0;) {
        ssize_t got = pread(fd, bytes, 1 << 16, at);
        if (got <= 0) {
            break;
        }
        const char *begin = is_line_start ? bytes : memchr(bytes, '\n', (size_t)got);
        begin = begin != NULL && !is_line_start ? begin + 1 : begin;
        if (begin != NULL) {
            is_line_start = true;
            if (!fd_write_all(out, begin, (size_t)(bytes + got - begin), NULL)) {
                break; /* a full disk: emptying the file is what helps */
            }
        }
        at += got;
    }
    if (ftruncate(fd, 0) != 0) {
        return; /* the ceiling still holds */
    }
}

void edge_bound_complaints(struct edge *edge)
{
    if (g_mutex_trylock(&edge->log_lock)) {
        cut(edge->complaints_path, COMPLAINTS_BYTES, COMPLAINTS_KEPT_BYTES);
        g_mutex_unlock(&edge->log_lock);
    }
}

void edge_limit_files(pid_t pid)
{
    struct rlimit limit = {.rlim_cur = CEILING_BYTES, .rlim_max = CEILING_BYTES};
    (void)prlimit(pid, RLIMIT_FSIZE, &limit, NULL);
}

int64_t edge_complaints_offset(struct edge *edge)
{
    struct stat found;
    return stat(edge->complaints_path, &found) == 0 ? found.st_size : 0;
}

char *edge_words(const char *output)
{
    g_auto(GStrv) lines = g_strsplit(output, "\n", -1);
    g_autoptr(GString) words = g_string_new(NULL);
    for (size_t i = 0; lines[i] != NULL; i++) {
        const char *alert = strstr(lines[i], "[ALERT]");
        const char *text = alert != NULL ? strstr(alert, ") : ") : NULL;
        if (text != NULL && words->len < 1000) {
            g_string_append_printf(words, "%s%.400s", words->len > 0 ? "; " : "", text + strlen(") : "));
        }
    }
    if (words->len == 0) {
        g_string_append(words, "no reason given (under systemd: journalctl -u enclii-edge)");
    }
    return g_string_free(g_steal_pointer(&words), FALSE);
}

char *edge_complaints(struct edge *edge, int64_t offset)
{
    char bytes[WORDS_LIMIT + 1] = {0};
    g_auto(fd_t) fd = open(edge->complaints_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, bytes, WORDS_LIMIT, (off_t)offset) <= 0) {
        bytes[0] = '\0';
    }
    return edge_words(bytes);
}
