/* Floors: the least that each measured thing could cost on this machine, in the same run.
 *
 *   bench-floor http BYTES          a bare epoll server that answers everything with BYTES of body; prints its port
 *   bench-floor commit FILE N       N single-row commits to SQLite (WAL, synchronous=FULL): microseconds each
 *   bench-floor read FILE ROWS N    N reads of ROWS rows by a prepared statement: microseconds each
 *   bench-floor nothing             a program that does nothing: the cost of exec */
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- http ------------------------------------------------------------------------------------------------------------ */

struct shared {
    GString *reply;
    int port;
};

static int listen_on(int port)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0) {
        g_error("cannot listen");
    }
    return fd;
}

static void answer(const struct shared *shared, int fd)
{
    char buffer[16384];
    ssize_t got = recv(fd, buffer, sizeof buffer - 1, 0);
    if (got <= 0) {
        close(fd);
        return;
    }
    buffer[got] = '\0';
    for (const char *at = buffer; (at = strstr(at, "\r\n\r\n")) != NULL; at += 4) {
        ssize_t sent = send(fd, shared->reply->str, shared->reply->len, MSG_NOSIGNAL);
        (void)sent; /* a client that went away is seen at its next event */
    }
}

static gpointer serve(gpointer data)
{
    const struct shared *shared = data;
    int listener = listen_on(shared->port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[128];
        int n = epoll_wait(epoll, events, G_N_ELEMENTS(events), -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                answer(shared, events[i].data.fd);
                continue;
            }
            int one = 1;
            int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            struct epoll_event added = {.events = EPOLLIN, .data.fd = fd};
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &added);
        }
    }
    return NULL;
}

static int run_http(int64_t body_bytes)
{
    struct shared shared = {.reply = g_string_new(NULL)};
    g_autofree char *body = g_strnfill((gsize)body_bytes, 'x');
    g_string_printf(shared.reply,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %" G_GINT64_FORMAT
                    "\r\n\r\n%s",
                    body_bytes, body);
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int first = listen_on(0); /* holds the port; its own queue takes no part: it does not listen to epoll */
    getsockname(first, (struct sockaddr *)&address, &length);
    close(first);
    shared.port = ntohs(address.sin_port);
    GThread *second = g_thread_new("floor", serve, &shared);
    printf("%d\n", shared.port);
    fflush(stdout);
    serve(&shared);
    g_thread_join(second);
    return 0;
}

/* --- SQLite ------------------------------------------------------------------------------------------------------------ */

static sqlite3 *open_database(const char *path)
{
    sqlite3 *database = NULL;
    if (sqlite3_open(path, &database) != SQLITE_OK ||
        sqlite3_exec(database,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, name TEXT, slug TEXT, made INTEGER)",
                     NULL, NULL, NULL) != SQLITE_OK) {
        g_error("%s: %s", path, sqlite3_errmsg(database));
    }
    return database;
}

static void insert(sqlite3_stmt *statement, int64_t n)
{
    sqlite3_bind_text(statement, 1, "a name of usual length", -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, "a-slug-of-usual-length", -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, n);
    if (sqlite3_step(statement) != SQLITE_DONE) {
        g_error("insert failed");
    }
    sqlite3_reset(statement);
}

static int run_commit(const char *path, int64_t n)
{
    sqlite3 *database = open_database(path);
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(database, "INSERT INTO t (name, slug, made) VALUES (?, ?, ?)", -1, &statement, NULL);
    int64_t begin_us = g_get_monotonic_time();
    for (int64_t i = 0; i < n; i++) {
        insert(statement, i);
    }
    printf("%.1f\n", (double)(g_get_monotonic_time() - begin_us) / (double)n);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return 0;
}

static int run_read(const char *path, int64_t n_rows, int64_t n)
{
    sqlite3 *database = open_database(path);
    sqlite3_stmt *statement = NULL;
    sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    sqlite3_prepare_v2(database, "INSERT INTO t (name, slug, made) VALUES (?, ?, ?)", -1, &statement, NULL);
    for (int64_t i = 0; i < 1000; i++) {
        insert(statement, i);
    }
    sqlite3_finalize(statement);
    sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    sqlite3_prepare_v2(database, "SELECT id, name, slug, made FROM t WHERE id > ? ORDER BY id LIMIT ?", -1, &statement,
                       NULL);
    int64_t begin_us = g_get_monotonic_time();
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sqlite3_bind_int64(statement, 1, i % 900);
        sqlite3_bind_int64(statement, 2, n_rows);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            sum += sqlite3_column_bytes(statement, 1) + sqlite3_column_int64(statement, 3);
        }
        sqlite3_reset(statement);
    }
    printf("%.1f\n", (double)(g_get_monotonic_time() - begin_us) / (double)n);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return sum > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "nothing") == 0) {
        return 0;
    }
    if (strcmp(verb, "http") == 0 && argc == 3) {
        return run_http(g_ascii_strtoll(argv[2], NULL, 10));
    }
    if (strcmp(verb, "commit") == 0 && argc == 4) {
        return run_commit(argv[2], MAX(g_ascii_strtoll(argv[3], NULL, 10), 1));
    }
    if (strcmp(verb, "read") == 0 && argc == 5) {
        return run_read(argv[2], g_ascii_strtoll(argv[3], NULL, 10), MAX(g_ascii_strtoll(argv[4], NULL, 10), 1));
    }
    fprintf(stderr, "usage: bench-floor http BYTES | commit FILE N | read FILE ROWS N | nothing\n");
    return 2;
}
