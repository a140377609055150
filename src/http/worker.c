/* A fixed number of threads and a bounded queue in front of them. */
#include "http/internal.h"

struct worker_pool {
    GMutex lock;
    GCond ready;
    struct request *head, *tail;
    int queued, limit;
    int busy;
    bool is_stopping;
    int n_threads;
    GThread **threads;
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

static void *worker_main(void *data)
{
    struct worker_pool *pool = data;
    g_mutex_lock(&pool->lock);
    while (true) {
        if (pool->head != NULL) {
            struct request *request = pop_locked(pool);
            pool->busy++;
            g_mutex_unlock(&pool->lock);
            request_work(request);
            g_mutex_lock(&pool->lock);
            pool->busy--;
        } else if (pool->is_stopping) {
            break;
        } else {
            g_cond_wait(&pool->ready, &pool->lock);
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
    pool->n_threads = n_workers;
    pool->threads = g_new0(GThread *, n_workers);
    for (int i = 0; i < n_workers; i++) {
        pool->threads[i] = g_thread_new("http-worker", worker_main, pool);
    }
    return pool;
}

bool worker_pool_push(struct worker_pool *pool, struct request *request)
{
    g_mutex_lock(&pool->lock);
    bool has_room = pool->queued < pool->limit;
    if (has_room) {
        request->next = NULL;
        if (pool->tail != NULL) {
            pool->tail->next = request;
        } else {
            pool->head = request;
        }
        pool->tail = request;
        pool->queued++;
        g_cond_signal(&pool->ready);
    }
    g_mutex_unlock(&pool->lock);
    return has_room;
}

void worker_pool_stop(struct worker_pool *pool)
{
    g_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    g_cond_broadcast(&pool->ready);
    g_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_threads; i++) {
        g_thread_join(pool->threads[i]);
    }
    pool->n_threads = 0;
}

void worker_pool_free(struct worker_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    worker_pool_stop(pool);
    g_free(pool->threads);
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
