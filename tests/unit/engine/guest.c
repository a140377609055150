/* The only program of the test image; statically linked, its first argument says what it does. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static long number(int argc, char **argv, int index)
{
    return argc > index ? strtol(argv[index], NULL, 10) : 0;
}

static int say(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        fprintf(argv[i][0] == '!' ? stderr : stdout, "%s\n", argv[i]);
        fflush(stdout);
    }
    return 0;
}

static int count(long n)
{
    for (long i = 0; i < n; i++) {
        printf("line %ld\n", i);
    }
    fflush(stdout);
    return 0;
}

/* One line of n bytes, then one without a newline. */
static int print_long(long n)
{
    char *line = malloc((size_t)n);
    memset(line, 'x', (size_t)n);
    line[0] = 'a';
    line[n - 1] = 'z';
    fwrite(line, 1, (size_t)n, stdout);
    fputs("\nend", stdout);
    fflush(stdout);
    free(line);
    return 0;
}

/* Until it is told to end. `stubborn` is told in vain. */
static int stay(bool is_stubborn)
{
    sigset_t set;
    int received = 0;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    puts("ready");
    fflush(stdout);
    do {
        sigwait(&set, &received);
        printf("got %s\n", received == SIGTERM ? "TERM" : "USR1");
        fflush(stdout);
    } while (is_stubborn);
    return received == SIGTERM ? 0 : 3;
}

/* A line, and another each time it gets SIGUSR1. */
static int eat(long mib)
{
    for (long i = 0; i < mib; i++) {
        char *piece = malloc(1 << 20);
        if (piece == NULL) {
            return 4;
        }
        memset(piece, (int)i + 1, 1 << 20);
    }
    puts("eaten");
    return 0;
}

static void try_write(const char *label, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    bool ok = fd >= 0 && write(fd, "x", 1) == 1;
    printf("%s=%s\n", label, ok ? "ok" : strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
}

static void print_status(void)
{
    static const char *const wanted[] = {"CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:"};
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0) {
                printf("%.*s=%s", (int)strlen(wanted[i]) - 1, line, line + strlen(wanted[i]) + 1);
            }
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void print_tmp_options(void)
{
    FILE *file = fopen("/proc/self/mounts", "re");
    char line[1024];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, " /tmp ") != NULL) {
            printf("tmp=%s", line);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

/* What the kernel lets this process do. */
static int report(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    printf("uid=%u\ngid=%u\nnofile=%lu\nis_first=%d\n", getuid(), getgid(), (unsigned long)files.rlim_max,
           getpid() == 1);
    print_status();
    print_tmp_options();
    try_write("root", "/written");
    try_write("temp", "/tmp/written");
    printf("mount=%s\n", mount("none", "/tmp", "tmpfs", 0, NULL) == 0 ? "ok" : strerror(errno));
    printf("token=%s\n", getenv("TOKEN") != NULL ? getenv("TOKEN") : "");
    return 0;
}

/* How many children the pids limit allows. */
static int fork_many(void)
{
    int n = 0;
    for (; n < 500; n++) {
        pid_t child = fork();
        if (child < 0) {
            break;
        }
        if (child == 0) {
            pause();
            _exit(0);
        }
    }
    printf("forked=%d\n", n);
    fflush(stdout);
    kill(0, SIGKILL);
    return 0;
}

static int write_file(const char *path)
{
    struct stat info;
    char folder[256];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    stat(folder, &info);
    printf("owner=%u:%u mode=%o\n", info.st_uid, info.st_gid, info.st_mode & 07777);
    try_write("file", path);
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    return strcmp(verb, "say") == 0        ? say(argc, argv)
           : strcmp(verb, "count") == 0    ? count(number(argc, argv, 2))
           : strcmp(verb, "long") == 0     ? print_long(number(argc, argv, 2))
           : strcmp(verb, "stay") == 0     ? stay(false)
           : strcmp(verb, "stubborn") == 0 ? stay(true)
           : strcmp(verb, "eat") == 0      ? eat(number(argc, argv, 2))
           : strcmp(verb, "report") == 0   ? report()
           : strcmp(verb, "fork") == 0     ? fork_many()
           : strcmp(verb, "write") == 0    ? write_file(argv[2])
           : strcmp(verb, "exit") == 0     ? (int)number(argc, argv, 2)
                                           : 99;
}
