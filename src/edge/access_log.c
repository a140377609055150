/* The two files that HAProxy appends to: its access log and its complaints. It holds them open for its whole life, so
 * they are cut in place: the tail is copied beside, then the file is emptied; O_APPEND makes the next line the first. */
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "edge/internal.h"

#define CUT_BYTES ((off_t)64 << 20)
#define KEPT_BYTES ((off_t)16 << 20)
#define CEILING_BYTES ((rlim_t)256 << 20)
#define WORDS_LIMIT 4000

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

void edge_bound_logs(struct edge *edge)
{
    if (g_mutex_trylock(&edge->log_lock)) {
        cut(edge->options.access_log, CUT_BYTES, KEPT_BYTES);
        cut(edge->complaints_path, CUT_BYTES / 16, KEPT_BYTES / 16);
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
