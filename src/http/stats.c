/* Counters per route: relaxed atomics, summed up only when somebody asks. */
#include "http/internal.h"

const double server_latency_bounds[SERVER_N_BOUNDS] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
};

static void add(_Atomic int64_t *counter, int64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int64_t get(_Atomic int64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void stats_count(struct route_counters *counters, int status, int64_t duration_us)
{
    int i = 0;
    while (i < SERVER_N_BOUNDS && (double)duration_us > server_latency_bounds[i] * 1e6) {
        i++;
    }
    add(&counters->by_class[CLAMP(status / 100, 1, 5) - 1], 1);
    add(&counters->buckets[i], 1);
    add(&counters->sum_us, duration_us);
}

void server_stats(struct server *server, struct server_stats *ret_stats)
{
    *ret_stats = (struct server_stats){
        .connections = get(&server->connections),
        .workers_busy = worker_pool_busy(server->workers),
        .queue_length = worker_pool_queued(server->workers),
        .streams = get(&server->streams),
        .rejected = get(&server->rejected),
    };
}

void server_route_stats(struct server *server, server_route_stats_fn fn, void *arg)
{
    for (size_t i = 0; i < server->n_routes; i++) {
        struct route_counters *counters = &server->counters[i];
        int64_t by_class[5], buckets[SERVER_N_BOUNDS + 1], total = 0;
        for (int j = 0; j < 5; j++) {
            by_class[j] = get(&counters->by_class[j]);
        }
        for (int j = 0; j <= SERVER_N_BOUNDS; j++) {
            total += get(&counters->buckets[j]);
            buckets[j] = total;
        }
        if (total > 0) {
            fn(&server->routes[i], by_class, buckets, (double)get(&counters->sum_us) / 1e6, arg);
        }
    }
}
