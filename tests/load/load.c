#include "load.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "wire.h"

#define LINGER_US (INT64_C(30) * 1000000) /* for what is under way when the load ends */
#define FLUSH_US 100000
/* What is due beyond that waits here, and its time counts: without a bound, a machine that falls behind once gets thousands of
 * connections to carry besides, and never catches up. */
#define MAX_OPEN 400

static const struct kind_ops *const all_kinds[] = {&kind_keep,   &kind_new,   &kind_post,      &kind_slow,
                                                   &kind_upload, &kind_http2, &kind_websocket, &kind_sse};

int64_t now_us(void)
{
    return g_get_monotonic_time();
}

/* --- timers ------------------------------------------------------------------------------------------------------------- */

struct timer {
    int64_t at_us;
    uint64_t number;
    void (*fn)(void *arg);
    void *arg;
};

static gint compare_timers(gconstpointer a, gconstpointer b, gpointer data)
{
    const struct timer *x = a;
    const struct timer *y = b;
    return x->at_us != y->at_us     ? (x->at_us < y->at_us ? -1 : 1)
           : x->number == y->number ? 0
                                    : (x->number < y->number ? -1 : 1);
}

void load_after(struct load *load, int64_t delay_us, void (*fn)(void *arg), void *arg)
{
    struct timer *timer = g_new0(struct timer, 1);
    *timer = (struct timer){.at_us = now_us() + delay_us, .number = load->n_timers++, .fn = fn, .arg = arg};
    g_tree_insert(load->timers, timer, timer);
}

/* Returns when the next one is due. */
static int64_t run_timers(struct load *load)
{
    GTreeNode *node;
    while ((node = g_tree_node_first(load->timers)) != NULL) {
        struct timer timer = *(struct timer *)g_tree_node_key(node);
        if (timer.at_us > now_us()) {
            return timer.at_us;
        }
        g_tree_remove(load->timers, &timer);
        timer.fn(timer.arg);
    }
    return INT64_MAX;
}

/* --- arrivals ----------------------------------------------------------------------------------------------------------- */

static int64_t begin_due(struct load *load, int64_t begin_us)
{
    int64_t next_us = INT64_MAX;
    for (guint i = 0; i < load->kinds->len; i++) {
        struct kind *kind = g_ptr_array_index(load->kinds, i);
        while (kind->ops->begin != NULL) {
            int64_t due_us = begin_us + (int64_t)((double)kind->n_begun * 1e6 / kind->rate);
            if (due_us > now_us()) {
                next_us = MIN(next_us, due_us);
                break;
            }
            if (load->n_open >= MAX_OPEN) {
                return now_us() + 1000;
            }
            kind->n_begun++;
            kind->ops->begin(kind, due_us);
        }
    }
    return next_us;
}

static void stop_kinds(struct load *load)
{
    load->is_stopping = true;
    for (guint i = 0; i < load->kinds->len; i++) {
        struct kind *kind = g_ptr_array_index(load->kinds, i);
        if (kind->ops->stop != NULL) {
            kind->ops->stop(kind);
        }
    }
}

static bool take_signal(int signals)
{
    struct signalfd_siginfo info;
    return read(signals, &info, sizeof info) == sizeof info;
}

static void wait_for_events(struct load *load, int64_t until_us)
{
    struct epoll_event events[256];
    int64_t left_us = until_us - now_us();
    int timeout_ms = left_us <= 0 ? 0 : (int)MIN((left_us + 999) / 1000, FLUSH_US / 1000);
    int n = epoll_wait(load->epoll, events, G_N_ELEMENTS(events), timeout_ms);
    for (int i = 0; i < n; i++) {
        struct wire *wire = events[i].data.ptr;
        if (wire != NULL && !wire->is_dead) {
            wire_event(wire, events[i].events);
        }
    }
}

static void run(struct load *load, int signals)
{
    int64_t begin_us = now_us();
    int64_t end_us = INT64_MAX;
    int64_t flushed_us = 0;
    for (guint i = 0; i < load->kinds->len; i++) {
        struct kind *kind = g_ptr_array_index(load->kinds, i);
        if (kind->ops->start != NULL) {
            kind->ops->start(kind);
        }
    }
    while (now_us() < end_us && !(load->is_stopping && load->n_open == 0)) {
        int64_t next_us = run_timers(load);
        if (!load->is_stopping) {
            next_us = MIN(next_us, begin_due(load, begin_us));
        }
        wait_for_events(load, next_us);
        wire_tell_unopened(load);
        g_ptr_array_set_size(load->dead, 0);
        if (!load->is_stopping && take_signal(signals)) {
            stop_kinds(load);
            end_us = now_us() + LINGER_US;
        }
        if (now_us() - flushed_us > FLUSH_US) {
            fflush(load->ledger);
            flushed_us = now_us();
        }
    }
}

/* --- the program --------------------------------------------------------------------------------------------------------- */

static bool add_kind(struct load *load, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "=", 2);
    double rate = parts[1] != NULL ? g_ascii_strtod(parts[1], NULL) : 0;
    for (size_t i = 0; i < G_N_ELEMENTS(all_kinds); i++) {
        if (g_strcmp0(parts[0], all_kinds[i]->name) == 0 && rate > 0 && rate <= 100000) {
            struct kind *kind = g_new0(struct kind, 1);
            *kind = (struct kind){.ops = all_kinds[i], .load = load, .rate = rate};
            g_ptr_array_add(load->kinds, kind);
            return true;
        }
    }
    fprintf(stderr, "load-ledger: \"%s\" is not KIND=RATE\n", text);
    return false;
}

static char *describe_kinds(void)
{
    GString *out = g_string_new("Kinds:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(all_kinds); i++) {
        g_string_append_printf(out, "  %-8s%s\n", all_kinds[i]->name, all_kinds[i]->help);
    }
    return g_string_free(out, FALSE);
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool parse(struct load *load, int argc, char **argv)
{
    g_autofree char *help = describe_kinds();
    g_autofree char *ledger = NULL;
    int upload_kib = 10240;
    int port = 0;
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"port", 'p', 0, G_OPTION_ARG_INT, &port, "of the edge, on the loopback", "N"},
        {"host", 'H', 0, G_OPTION_ARG_STRING, &load->host, "what is asked for, shorter than 127 bytes", "NAME"},
        {"ledger", 'l', 0, G_OPTION_ARG_FILENAME, &ledger, "where each request gets its line", "FILE"},
        {"slow-ms", 0, 0, G_OPTION_ARG_INT, &load->slow_ms, "of kind slow (10000)", "N"},
        {"upload-kib", 0, 0, G_OPTION_ARG_INT, &upload_kib, "of kind upload (10240)", "N"},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("KIND=RATE… — until SIGTERM or SIGINT");
    g_option_context_set_description(context, help);
    g_option_context_add_main_entries(context, entries, NULL);
    bool ok = g_option_context_parse(context, &argc, &argv, &error) && argc > 1 && port > 0 && port < 65536 &&
              load->host != NULL && strlen(load->host) < 127 && ledger != NULL && upload_kib > 0;
    for (int i = 1; ok && i < argc; i++) {
        ok = add_kind(load, argv[i]);
    }
    load->upload_bytes = (int64_t)upload_kib * 1024;
    load->address = (struct sockaddr_in){.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK), /* never anything else */
                                         .sin_port = htons((uint16_t)port)};
    load->ledger = ok ? fopen(ledger, "we") : NULL;
    if (load->ledger == NULL) {
        fprintf(stderr, "load-ledger: %s\n", error != NULL ? error->message : ok ? g_strerror(errno) : "see --help");
    }
    return load->ledger != NULL;
}

int main(int argc, char **argv)
{
    struct load load = {.slow_ms = 10000};
    load.kinds = g_ptr_array_new();
    load.dead = g_ptr_array_new_with_free_func(wire_free);
    load.unopened = g_ptr_array_new();
    load.timers = g_tree_new_full(compare_timers, NULL, g_free, NULL);
    load.open = g_hash_table_new(g_direct_hash, g_direct_equal);
    if (!parse(&load, argc, argv)) {
        return 2;
    }
    int signals = block_signals();
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (signals < 0 || epoll_ctl(load.epoll, EPOLL_CTL_ADD, signals, &event) != 0) {
        fprintf(stderr, "load-ledger: %s\n", g_strerror(errno));
        return 1;
    }
    run(&load, signals);
    ledger_end(&load);
    printf("{\"requests\":%" G_GINT64_FORMAT ",\"failed\":%" G_GINT64_FORMAT "}\n", load.n_entries, load.n_failed);
    bool ok = fclose(load.ledger) == 0;
    fflush(stdout);
    _exit(ok ? 0 : 1); /* what is still open belongs to the kernel now */
}
