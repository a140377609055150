/* An HTTP/1.1 load generator for the loopback: one thread, epoll, keep-alive connections.
 *
 * Open loop (--rate): request number n is due at n / rate whatever became of the others; its latency counts from when it was
 * due, so a server that stalls is charged for everybody who had to wait (no coordinated omission). Closed loop (no --rate):
 * every connection asks again as soon as it has its answer. Prints one JSON object. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define MAX_REQUESTS (INT64_C(50) * 1000 * 1000)
#define BUFFER_BYTES 65536

struct connection {
    int fd;
    int64_t due_ns; /* of the request under way; 0: idle */
    GString *out;
    size_t written;
    size_t filled;
    char buffer[BUFFER_BYTES];
    int64_t body_left; /* -1: the head is not whole yet */
    int status;
};

struct load {
    struct sockaddr_storage address;
    socklen_t address_length;
    char *method, *path, *body;
    char **headers;
    char **targets; /* lines "path<tab>body", taken in turn; NULL: path and body */
    guint n_targets;
    int n_connections;
    double rate, seconds, warmup;
    int epoll;
    struct connection **connections;
    GQueue idle;
    GArray *microseconds; /* of uint32_t, after the warm-up */
    int64_t begin_ns, measure_ns, end_ns;
    int64_t n_started, n_done, n_bad_status, n_errors, n_under_way;
    int last_bad_status;
    uint64_t counter;
};

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool open_connection(struct load *load, struct connection *connection)
{
    int one = 1;
    connection->fd = socket(load->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&load->address, load->address_length) != 0) {
        return false;
    }
    if (load->address.ss_family != AF_UNIX) {
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    int flags = fcntl(connection->fd, F_GETFL);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    connection->due_ns = 0;
    connection->body_left = -1;
    connection->filled = connection->written = 0;
    return fcntl(connection->fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

static void append_with_counter(GString *out, const char *text, uint64_t counter)
{
    const char *at;
    while ((at = strstr(text, "{n}")) != NULL) {
        g_string_append_len(out, text, at - text);
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, counter);
        text = at + 3;
    }
    g_string_append(out, text);
}

static void write_request(struct load *load, struct connection *connection)
{
    g_autoptr(GString) body = g_string_new(NULL);
    GString *out = connection->out;
    uint64_t counter = load->counter++;
    const char *path = load->path;
    const char *text = load->body;
    g_autofree char *line = load->targets != NULL ? g_strdup(load->targets[counter % load->n_targets]) : NULL;
    if (line != NULL) {
        char *tab = strchr(line, '\t');
        path = line;
        text = tab != NULL ? tab + 1 : NULL;
        if (tab != NULL) {
            *tab = '\0';
        }
    }
    g_string_truncate(out, 0);
    g_string_append_printf(out, "%s ", load->method);
    append_with_counter(out, path, counter);
    g_string_append(out, " HTTP/1.1\r\nHost: localhost\r\n");
    for (char **header = load->headers; header != NULL && *header != NULL; header++) {
        append_with_counter(out, *header, counter);
        g_string_append(out, "\r\n");
    }
    if (text != NULL) {
        append_with_counter(body, text, counter);
        g_string_append_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body->len);
    }
    g_string_append(out, "\r\n");
    g_string_append_len(out, body->str, (gssize)body->len);
    connection->written = 0;
}

static void flush(struct connection *connection)
{
    while (connection->written < connection->out->len) {
        ssize_t sent = send(connection->fd, connection->out->str + connection->written,
                            connection->out->len - connection->written, MSG_NOSIGNAL);
        if (sent < 0) {
            return; /* EAGAIN: epoll tells; anything else is seen when reading */
        }
        connection->written += (size_t)sent;
    }
}

static void begin_request(struct load *load, struct connection *connection, int64_t due_ns)
{
    write_request(load, connection);
    connection->due_ns = due_ns;
    connection->body_left = -1;
    connection->filled = 0;
    load->n_started++;
    load->n_under_way++;
    flush(connection);
}

/* The length of the body when the head is whole, else -1. Only what our servers send: Content-Length. */
static int64_t read_head(struct connection *connection)
{
    connection->buffer[MIN(connection->filled, BUFFER_BYTES - 1)] = '\0';
    char *end = strstr(connection->buffer, "\r\n\r\n");
    if (end == NULL) {
        return -1;
    }
    int64_t length = 0;
    connection->status = (int)g_ascii_strtoll(connection->buffer + strlen("HTTP/1.1 "), NULL, 10);
    for (char *line = connection->buffer; line < end; line = strstr(line, "\r\n") + 2) {
        if (g_ascii_strncasecmp(line, "content-length:", 15) == 0) {
            length = g_ascii_strtoll(line + 15, NULL, 10);
        }
    }
    size_t head = (size_t)(end + 4 - connection->buffer);
    return length - (int64_t)(connection->filled - head);
}

static void end_request(struct load *load, struct connection *connection, bool is_error)
{
    int64_t now = now_ns();
    load->n_under_way--;
    if (connection->due_ns >= load->measure_ns) {
        uint32_t microseconds = (uint32_t)MIN((now - connection->due_ns) / 1000, UINT32_MAX);
        load->n_done++;
        load->n_errors += is_error;
        if (!is_error && connection->status / 100 != 2) {
            load->n_bad_status++;
            load->last_bad_status = connection->status;
        }
        if (load->microseconds->len < MAX_REQUESTS) {
            g_array_append_val(load->microseconds, microseconds);
        }
    }
    connection->due_ns = 0;
}

static void after_request(struct load *load, struct connection *connection)
{
    if (load->rate <= 0 && now_ns() < load->end_ns) {
        begin_request(load, connection, now_ns());
    } else {
        g_queue_push_tail(&load->idle, connection);
    }
}

static void on_broken(struct load *load, struct connection *connection)
{
    bool was_busy = connection->due_ns != 0;
    if (was_busy) {
        end_request(load, connection, true);
    } else {
        g_queue_remove(&load->idle, connection);
    }
    close(connection->fd);
    if (!open_connection(load, connection)) {
        connection->fd = -1;
        return;
    }
    after_request(load, connection);
}

static void on_readable(struct load *load, struct connection *connection)
{
    for (;;) {
        bool in_body = connection->body_left >= 0;
        size_t offset = in_body ? 0 : connection->filled;
        if (!in_body && offset >= BUFFER_BYTES - 1) {
            on_broken(load, connection);
            return;
        }
        ssize_t got = recv(connection->fd, connection->buffer + offset, BUFFER_BYTES - 1 - offset, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (got <= 0 || connection->due_ns == 0) {
            on_broken(load, connection);
            return;
        }
        if (in_body) {
            connection->body_left -= got;
        } else {
            connection->filled += (size_t)got;
            connection->body_left = read_head(connection);
        }
        if (connection->body_left == 0) {
            end_request(load, connection, false);
            after_request(load, connection);
            return;
        }
    }
}

/* Starts what is due while connections are free; returns nanoseconds until the next is. */
static int64_t start_due(struct load *load)
{
    int64_t now = now_ns();
    while (load->rate > 0) {
        int64_t due = load->begin_ns + (int64_t)((double)load->n_started * 1e9 / load->rate);
        if (due > now || due >= load->end_ns || g_queue_is_empty(&load->idle)) {
            return MAX(due - now, 0);
        }
        begin_request(load, g_queue_pop_head(&load->idle), due);
    }
    return 100 * 1000 * 1000;
}

static bool open_all(struct load *load)
{
    for (int i = 0; i < load->n_connections; i++) {
        struct connection *connection = g_new0(struct connection, 1);
        connection->out = g_string_new(NULL);
        load->connections[i] = connection;
        if (!open_connection(load, connection)) {
            return false;
        }
        g_queue_push_tail(&load->idle, connection);
    }
    return true;
}

static void run(struct load *load)
{
    struct epoll_event events[256];
    load->begin_ns = now_ns();
    load->measure_ns = load->begin_ns + (int64_t)(load->warmup * 1e9);
    load->end_ns = load->measure_ns + (int64_t)(load->seconds * 1e9);
    while (load->rate <= 0 && !g_queue_is_empty(&load->idle)) {
        begin_request(load, g_queue_pop_head(&load->idle), now_ns());
    }
    while (now_ns() < load->end_ns || (load->n_under_way > 0 && now_ns() < load->end_ns + INT64_C(10000000000))) {
        int64_t wait_ns = start_due(load);
        int timeout_ms = wait_ns < 1000000 ? 0 : (int)MIN(wait_ns / 1000000, 50);
        int n = epoll_wait(load->epoll, events, G_N_ELEMENTS(events), timeout_ms);
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) != 0 && connection->due_ns != 0) {
                flush(connection);
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
                on_readable(load, connection);
            }
        }
    }
}

static gint compare(gconstpointer a, gconstpointer b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(const GArray *sorted, double share)
{
    if (sorted->len == 0) {
        return 0;
    }
    guint at = MIN((guint)(share * sorted->len), sorted->len - 1);
    return g_array_index(sorted, uint32_t, at) / 1000.0;
}

static void print_report(struct load *load)
{
    g_array_sort(load->microseconds, compare);
    const GArray *times = load->microseconds;
    printf("{\"requests\":%" G_GINT64_FORMAT ",\"errors\":%" G_GINT64_FORMAT ",\"bad_status\":%" G_GINT64_FORMAT
           ",\"last_bad_status\":%d,\"unanswered\":%" G_GINT64_FORMAT ",\"per_second\":%.0f,\"p50_ms\":%.3f"
           ",\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f}\n",
           load->n_done, load->n_errors, load->n_bad_status, load->last_bad_status, load->n_under_way,
           (double)load->n_done / load->seconds, percentile_ms(times, 0.50), percentile_ms(times, 0.99),
           percentile_ms(times, 0.999), percentile_ms(times, 1));
}

static bool parse_endpoint(struct load *load, const char *text)
{
    if (g_str_has_prefix(text, "unix:")) {
        struct sockaddr_un *address = (struct sockaddr_un *)&load->address;
        address->sun_family = AF_UNIX;
        load->address_length = sizeof *address;
        return g_strlcpy(address->sun_path, text + strlen("unix:"), sizeof address->sun_path) <
               sizeof address->sun_path;
    }
    const char *colon = strrchr(text, ':');
    struct sockaddr_in *address = (struct sockaddr_in *)&load->address;
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* never anything else */
    address->sin_port = htons(colon != NULL ? (uint16_t)g_ascii_strtoull(colon + 1, NULL, 10) : 0);
    load->address_length = sizeof *address;
    return address->sin_port != 0;
}

static bool read_targets(struct load *load, const char *file, GError **error)
{
    g_autofree char *text = NULL;
    if (file == NULL) {
        return true;
    }
    if (!g_file_get_contents(file, &text, NULL, error)) {
        return false;
    }
    load->targets = g_strsplit(g_strchomp(text), "\n", -1);
    load->n_targets = g_strv_length(load->targets);
    return load->n_targets > 0;
}

int main(int argc, char **argv)
{
    g_autofree char *targets = NULL;
    struct load load = {.n_connections = 16, .seconds = 5, .warmup = 1};
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"rate", 'r', 0, G_OPTION_ARG_DOUBLE, &load.rate, "requests per second; none: as fast as it goes", "N"},
        {"connections", 'c', 0, G_OPTION_ARG_INT, &load.n_connections, "kept-alive connections", "N"},
        {"seconds", 's', 0, G_OPTION_ARG_DOUBLE, &load.seconds, "how long is measured", "N"},
        {"warmup", 'w', 0, G_OPTION_ARG_DOUBLE, &load.warmup, "seconds before that", "N"},
        {"method", 'm', 0, G_OPTION_ARG_STRING, &load.method, "HTTP method", "NAME"},
        {"path", 'p', 0, G_OPTION_ARG_STRING, &load.path, "target; {n} becomes a number of its own", "PATH"},
        {"header", 'H', 0, G_OPTION_ARG_STRING_ARRAY, &load.headers, "header line", "LINE"},
        {"body", 'b', 0, G_OPTION_ARG_STRING, &load.body, "JSON body; {n} becomes a number of its own", "TEXT"},
        {"paths", 'P', 0, G_OPTION_ARG_FILENAME, &targets, "lines of path, tab, body: taken in turn", "FILE"},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("unix:PATH|PORT: load on the loopback");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 || !parse_endpoint(&load, argv[1]) ||
        !read_targets(&load, targets, &error) || load.n_connections < 1 || load.n_connections > MAX_CONNECTIONS ||
        load.seconds <= 0 || load.seconds > 3600) {
        fprintf(stderr, "bench-load: %s\n", error != NULL ? error->message : "see --help");
        return 2;
    }
    load.method = load.method != NULL ? load.method : g_strdup("GET");
    load.path = load.path != NULL ? load.path : g_strdup("/");
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.connections = g_new0(struct connection *, (gsize)load.n_connections);
    load.microseconds = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), 1 << 20);
    g_queue_init(&load.idle);
    if (!open_all(&load)) {
        fprintf(stderr, "bench-load: %s: %s\n", argv[1], g_strerror(errno));
        return 1;
    }
    run(&load);
    print_report(&load);
    return load.n_done > 0 ? 0 : 1;
}
