/* A fixed number of threads and a bounded queue in front of them.
 *
 * Waking a thread costs more than a short request does, so pushing wakes nobody: the loop pushes what one look at its connections
 * brought and then calls worker_pool_wake once. That wakes no more threads than there are processors for, counting those that
 * are at a request since less than BRISK_US; who is at one for longer is taken to be waiting for something. What the queue's head
 * then still waits for longer than that is given another thread, one a look, so slow requests hold up no others while there are
 * threads. */
#include "http/internal.h"

#define BRISK_US 250

struct worker {
    struct worker_pool *pool;
    GThread *thread;
    int64_t began_us; /* monotonic; 0 when it has no request */
};

struct worker_pool {
    GMutex lock;
    GCond ready;
    struct request *head, *tail;
    int queued, limit;
    int busy, idle;
    int signalled; /* of the idle ones, those that are about to look */
    int n_processors;
    bool is_stopping;
    int n_workers;
    struct worker *workers;
};

static struct request *pop_locked(struct worker_pool *pool)
{
    struct request *request = pool->head;
    pool->head = request->next;
    pool->tail = pool->head != NULL ? pool->tail : NULL;
    request->next = NULL;
    pool->queued--;
    return request;
}

static void wait_locked(struct worker_pool *pool)
{
    pool->idle++;
    g_cond_wait(&pool->ready, &pool->lock);
    pool->idle--;
    pool->signalled = MAX(pool->signalled - 1, 0);
}

static void *worker_main(void *data)
{
    struct worker *worker = data;
    struct worker_pool *pool = worker->pool;
    g_mutex_lock(&pool->lock);
    while (true) {
        if (pool->head != NULL) {
            struct request *request = pop_locked(pool);
            pool->busy++;
            worker->began_us = g_get_monotonic_time();
            g_mutex_unlock(&pool->lock);
            request_work(request);
            g_mutex_lock(&pool->lock);
            worker->began_us = 0;
            pool->busy--;
        } else if (pool->is_stopping) {
            break;
        } else {
            wait_locked(pool);
        }
    }
    g_mutex_unlock(&pool->lock);
    return NULL;
}

struct worker_pool *worker_pool_new(int n_workers, int limit)
{
    struct worker_pool *pool = g_new0(struct worker_pool, 1);
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->ready);
    pool->limit = limit;
    pool->n_processors = (int)g_get_num_processors();
    pool->n_workers = n_workers;
    pool->workers = g_new0(struct worker, n_workers);
    for (int i = 0; i < n_workers; i++) {
        pool->workers[i].pool = pool;
        pool->workers[i].thread = g_thread_new("http-worker", worker_main, &pool->workers[i]);
    }
    return pool;
}

bool worker_pool_push(struct worker_pool *pool, struct request *request)
{
    g_mutex_lock(&pool->lock);
    bool has_room = pool->queued < pool->limit;
    if (has_room) {
        request->next = NULL;
        request->queued_us = g_get_monotonic_time();
        if (pool->tail != NULL) {
            pool->tail->next = request;
        } else {
            pool->head = request;
        }
        pool->tail = request;
        pool->queued++;
    }
    g_mutex_unlock(&pool->lock);
    return has_room;
}

static int count_brisk(const struct worker_pool *pool, int64_t now_us)
{
    int n = 0;
    for (int i = 0; i < pool->n_workers; i++) {
        int64_t began_us = pool->workers[i].began_us;
        n += began_us != 0 && now_us - began_us < BRISK_US;
    }
    return n;
}

static int count_to_wake(const struct worker_pool *pool, int64_t now_us)
{
    int n_free = pool->idle - pool->signalled;
    if (pool->head == NULL || n_free <= 0) {
        return 0;
    }
    int n_processors_free = pool->n_processors - pool->signalled - count_brisk(pool, now_us);
    int n_due = now_us - pool->head->queued_us >= BRISK_US ? 1 : 0;
    return MIN(MIN(pool->queued, n_free), MAX(n_processors_free, n_due));
}

bool worker_pool_wake(struct worker_pool *pool)
{
    int64_t now_us = g_get_monotonic_time();
    g_mutex_lock(&pool->lock);
    int n = count_to_wake(pool, now_us);
    pool->signalled += n;
    bool has_more = pool->queued > n && pool->idle > pool->signalled;
    g_mutex_unlock(&pool->lock);
    for (int i = 0; i < n; i++) {
        g_cond_signal(&pool->ready);
    }
    return has_more;
}

void worker_pool_stop(struct worker_pool *pool)
{
    g_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    g_cond_broadcast(&pool->ready);
    g_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_workers; i++) {
        g_thread_join(pool->workers[i].thread);
    }
    pool->n_workers = 0;
}

void worker_pool_free(struct worker_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    worker_pool_stop(pool);
    g_free(pool->workers);
    g_mutex_clear(&pool->lock);
    g_cond_clear(&pool->ready);
    g_free(pool);
}

static int64_t read_locked(struct worker_pool *pool, const int *value)
{
    g_mutex_lock(&pool->lock);
    int64_t copy = *value;
    g_mutex_unlock(&pool->lock);
    return copy;
}

int64_t worker_pool_busy(struct worker_pool *pool)
{
    return read_locked(pool, &pool->busy);
}

int64_t worker_pool_queued(struct worker_pool *pool)
{
    return read_locked(pool, &pool->queued);
}
