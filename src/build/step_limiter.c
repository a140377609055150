#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/file.h"
#include "build/build_limits.h"

#define MAX_FOLDERS 8

/* `stop` is an eventfd; the thread alone uses the rest until it is joined. */
struct step_limiter {
    GThread *thread;
    fd_t watch, stop;
    char *folders[MAX_FOLDERS];
    int watches[MAX_FOLDERS];
    size_t n_folders;
    int64_t memory_bytes, cpu_millis;
    int n_limited;
};

/* "system.slice:docker:q5z…": what BuildKit makes of the engine's "slice:prefix:" when runc takes it for a path. */
static bool is_step(const char *name)
{
    return strstr(name, ".slice:docker:") != NULL;
}

static void take_event(struct step_limiter *limiter, const struct inotify_event *event)
{
    if (event->len == 0 || (event->mask & IN_ISDIR) == 0 || !is_step(event->name)) {
        return;
    }
    for (size_t i = 0; i < limiter->n_folders; i++) {
        if (limiter->watches[i] == event->wd) {
            g_autofree char *folder = g_build_filename(limiter->folders[i], event->name, NULL);
            limiter->n_limited += cgroup_limit_v2(folder, limiter->memory_bytes, limiter->cpu_millis, NULL);
        }
    }
}

static void take_events(struct step_limiter *limiter)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t length = read(limiter->watch, bytes, sizeof bytes);
    for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= length;) {
        const struct inotify_event *event = (const void *)(bytes + at);
        take_event(limiter, event);
        at += (ssize_t)(sizeof(struct inotify_event) + event->len);
    }
}

static gpointer watch(gpointer data)
{
    struct step_limiter *limiter = data;
    struct pollfd polls[2] = {{.fd = limiter->watch, .events = POLLIN}, {.fd = limiter->stop, .events = POLLIN}};
    for (;;) {
        if (poll(polls, 2, -1) <= 0) {
            continue;
        }
        if (polls[0].revents != 0) {
            take_events(limiter);
        }
        if (polls[1].revents != 0) {
            return NULL;
        }
    }
}

struct step_limiter *step_limiter_start(const char *const *folders, int64_t memory_bytes, int64_t cpu_millis)
{
    struct step_limiter *limiter = g_new0(struct step_limiter, 1);
    limiter->memory_bytes = memory_bytes;
    limiter->cpu_millis = cpu_millis;
    limiter->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    limiter->stop = eventfd(0, EFD_CLOEXEC);
    for (; *folders != NULL && limiter->n_folders < MAX_FOLDERS; folders++) {
        int number = inotify_add_watch(limiter->watch, *folders, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
        if (number >= 0) {
            limiter->watches[limiter->n_folders] = number;
            limiter->folders[limiter->n_folders++] = g_strdup(*folders);
        }
    }
    if (limiter->watch >= 0 && limiter->stop >= 0) {
        limiter->thread = g_thread_new("build-limit", watch, limiter);
    }
    return limiter;
}

int step_limiter_stop(struct step_limiter *limiter)
{
    uint64_t one = 1;
    if (limiter == NULL) {
        return 0;
    }
    if (limiter->thread != NULL && write(limiter->stop, &one, sizeof one) == (ssize_t)sizeof one) {
        g_thread_join(limiter->thread);
    }
    int n_limited = limiter->n_limited;
    fd_close(&limiter->watch);
    fd_close(&limiter->stop);
    for (size_t i = 0; i < limiter->n_folders; i++) {
        g_free(limiter->folders[i]);
    }
    g_free(limiter);
    return n_limited;
}
