/* A service that does what tests ask of it. One static binary, so that its image is FROM scratch and builds in a second.
 *
 *   /            "version V instance H", V being the content of the file /version
 *   /healthz     200, or 500 with FAIL_HEALTH set
 *   /slow/MS     answers after MS milliseconds
 *   /others      how many other requests are under way
 *   /env/NAME    the variable's value
 *   /headers     the request's head
 *   /log/TEXT    writes the line TEXT to stdout
 *   /flood/N     writes N numbered lines of 100 bytes to stdout, as fast as it takes them
 *   /log-env/NAME  writes the variable's value to stdout
 *   /log-padded/N/NAME  the value after N bytes of padding, so that whoever cuts long lines cuts the value
 *   /fetch/HOST/PORT   "/" of another service, by its name inside the environment
 *   /upload      counts the bytes of the body
 *   /ws, /sse    a WebSocket that echoes, a stream of events (streams.h)
 *   /exit/N      ends the process
 * EXIT_AT_START=N ends with N after a line on stderr, before which comes the value of the variable that PRINT_AT_START
 * names; START_DELAY_MS waits before it listens. SIGTERM: no new connections, running requests are finished, exit 0.
 * `answer print NAME N` as a command writes the variable's value and ends with N. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "streams.h"

static atomic_bool is_stopping;
static atomic_int n_requests;
static char version[64] = "none", host[64];

static void on_term(int number)
{
    (void)number;
    atomic_store(&is_stopping, true);
}

static void reply(int fd, int status, bool closes, const char *format, ...)
{
    char body[4096], head[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    length = length < (int)sizeof body ? length : (int)sizeof body - 1;
    int head_length =
        snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n",
                 status, status == 200 ? "OK" : "Error", length, closes ? "Connection: close\r\n" : "");
    struct {
        const char *at;
        int left;
    } parts[] = {{head, head_length}, {body, length}};
    for (size_t i = 0; i < 2; i++) {
        while (parts[i].left > 0) {
            ssize_t sent = send(fd, parts[i].at, (size_t)parts[i].left, MSG_NOSIGNAL);
            if (sent <= 0) {
                return;
            }
            parts[i].at += sent;
            parts[i].left -= (int)sent;
        }
    }
}

static bool fetch(const char *name, const char *port, char *answer, size_t size)
{
    struct addrinfo *list = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    int failure = getaddrinfo(name, port, &hints, &list);
    if (failure != 0) {
        snprintf(answer, size, "%s: %s", name, gai_strerror(failure));
        return false;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, list->ai_addr, list->ai_addrlen) == 0;
    freeaddrinfo(list);
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    ok = ok && send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0;
    size_t got = 0;
    for (ssize_t n = 1; ok && n > 0 && got < size - 1; got += (size_t)n) {
        n = recv(fd, answer + got, size - 1 - got, 0);
        n = n < 0 ? 0 : n;
    }
    answer[got] = '\0';
    if (!ok) {
        snprintf(answer, size, "%s: %s", name, strerror(errno));
    }
    close(fd);
    return ok;
}

static bool is_over(void)
{
    return atomic_load(&is_stopping);
}

static void print_value(FILE *to, const char *name)
{
    const char *value = getenv(name);
    fprintf(to, "%s is %s\n", name, value != NULL ? value : "not set");
}

static void flood(long n)
{
    static const char filler[] = "GET /api/v1/projects/42/services?limit=50 200 1.8ms request_id=0190b2c4aaaaaaaaa";
    fflush(stdout);
    setvbuf(stdout, NULL, _IOFBF, 65536);
    for (long i = 0; i < n; i++) {
        printf("flood-%010ld %s\n", i, filler);
    }
    fflush(stdout);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static void answer(int fd, const char *path, long long body_bytes, bool closes)
{
    char name[256], port[16], text[2048];
    if (strcmp(path, "/healthz") == 0) {
        reply(fd, getenv("FAIL_HEALTH") != NULL ? 500 : 200, closes, "health of %s\n", version);
    } else if (strcmp(path, "/others") == 0) {
        reply(fd, 200, closes, "%d\n", atomic_load(&n_requests) - 1);
    } else if (strncmp(path, "/slow/", 6) == 0) {
        usleep((useconds_t)atol(path + 6) * 1000);
        reply(fd, 200, closes, "slow %s\n", version);
    } else if (strncmp(path, "/env/", 5) == 0) {
        const char *value = getenv(path + 5);
        reply(fd, value != NULL ? 200 : 404, closes, "%s", value != NULL ? value : "");
    } else if (strncmp(path, "/log/", 5) == 0) {
        printf("%s\n", path + 5);
        reply(fd, 200, closes, "logged\n");
    } else if (strncmp(path, "/flood/", 7) == 0) {
        flood(atol(path + 7));
        reply(fd, 200, closes, "flooded\n");
    } else if (strncmp(path, "/log-env/", 9) == 0) {
        print_value(stdout, path + 9);
        reply(fd, 200, closes, "logged\n");
    } else if (sscanf(path, "/log-padded/%lld/%255s", &body_bytes, name) == 2) {
        const char *value = getenv(name);
        printf("%0*d%s and more\n", (int)body_bytes, 0, value != NULL ? value : "not set");
        reply(fd, 200, closes, "logged\n");
    } else if (sscanf(path, "/fetch/%255[^/]/%15[0-9]", name, port) == 2) {
        bool ok = fetch(name, port, text, sizeof text);
        reply(fd, ok ? 200 : 502, closes, "%s\n", text);
    } else if (strcmp(path, "/upload") == 0) {
        reply(fd, 200, closes, "%lld\n", body_bytes);
    } else if (strncmp(path, "/exit/", 6) == 0) {
        fprintf(stderr, "told to exit with %s\n", path + 6);
        _exit(atoi(path + 6));
    } else if (strcmp(path, "/") == 0) {
        reply(fd, 200, closes, "version %s instance %s\n", version, host);
    } else {
        reply(fd, 404, closes, "nothing at %s\n", path);
    }
}

/* Reads one request; false when the connection is over. */
static bool serve_one(int fd)
{
    char head[16384];
    size_t got = 0;
    char *end = NULL;
    while (end == NULL && got < sizeof head - 1) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = poll(&wait, 1, 100);
        if (ready == 0 && got == 0 && atomic_load(&is_stopping)) {
            return false;
        }
        if (ready <= 0) {
            continue;
        }
        ssize_t n = recv(fd, head + got, sizeof head - 1 - got, 0);
        if (n <= 0) {
            return false;
        }
        got += (size_t)n;
        head[got] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    if (end == NULL) {
        return false;
    }
    atomic_fetch_add(&n_requests, 1);
    const char *length_at = strcasestr(head, "\r\ncontent-length:");
    long long length = length_at != NULL ? atoll(length_at + 17) : 0;
    long long seen = (long long)(got - (size_t)(end + 4 - head));
    char sink[16384];
    for (ssize_t n = 1; seen < length && n > 0; seen += n > 0 ? n : 0) {
        n = recv(fd, sink, sizeof sink, 0);
    }
    char path[1024] = "/";
    sscanf(head, "%*s %1023s", path);
    bool lasts = strcmp(path, "/ws") == 0 || strcmp(path, "/sse") == 0;
    bool closes = lasts || atomic_load(&is_stopping) || strcasestr(head, "\r\nconnection: close") != NULL;
    if (strcmp(path, "/ws") == 0) {
        serve_websocket(fd, head, is_over);
    } else if (strcmp(path, "/headers") == 0) {
        reply(fd, 200, closes, "%.4000s", head);
    } else if (lasts) {
        serve_events(fd, is_over);
    } else {
        answer(fd, path, seen, closes);
    }
    atomic_fetch_sub(&n_requests, 1);
    return !closes;
}

static void *serve(void *argument)
{
    int fd = (int)(long)argument;
    while (serve_one(fd)) {
    }
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && strcmp(argv[1], "print") == 0) {
        print_value(stderr, argv[2]);
        return atoi(argv[3]);
    }
    gethostname(host, sizeof host - 1);
    FILE *file = fopen("/version", "r");
    if (file != NULL) {
        if (fscanf(file, "%63s", version) != 1) {
            strcpy(version, "empty");
        }
        fclose(file);
    }
    if (getenv("EXIT_AT_START") != NULL) {
        if (getenv("PRINT_AT_START") != NULL) {
            print_value(stderr, getenv("PRINT_AT_START"));
        }
        fprintf(stderr, "version %s cannot start: EXIT_AT_START is set\n", version);
        return atoi(getenv("EXIT_AT_START"));
    }
    if (getenv("START_DELAY_MS") != NULL) {
        usleep((useconds_t)atol(getenv("START_DELAY_MS")) * 1000);
    }
    struct sigaction action = {.sa_handler = on_term};
    sigaction(SIGTERM, &action, NULL);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    const char *port = getenv("PORT");
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port != NULL ? port : "8080"))};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 512) != 0) {
        perror("listen");
        return 1;
    }
    printf("version %s listens\n", version);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    while (!atomic_load(&is_stopping)) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        if (poll(&wait, 1, 100) <= 0) {
            continue;
        }
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        pthread_t thread;
        if (fd >= 0 && pthread_create(&thread, &attributes, serve, (void *)(long)fd) != 0) {
            close(fd);
        }
    }
    close(listener);
    for (int i = 0; i < 3000 && atomic_load(&n_requests) > 0; i++) {
        usleep(10000);
    }
    usleep(150000); /* the last replies are on their way */
    printf("version %s stops\n", version);
    return 0;
}
