#include "switchyard/controllers/queue.h"

#include <string.h>

struct item {
    char *key;
    int64_t due_us;
    int64_t since_us; /* newest moment that it was asked for */
    bool is_running;
    bool is_waiting; /* in the tree */
};

struct queue {
    const struct clock *clock;
    GMutex lock; /* guards everything below */
    GCond changed;
    GHashTable *items; /* key → struct item */
    GTree *waiting;    /* by (due, key) */
    bool is_closed;
};

static int compare(gconstpointer a, gconstpointer b, gpointer data)
{
    const struct item *left = a;
    const struct item *right = b;
    if (left->due_us != right->due_us) {
        return left->due_us < right->due_us ? -1 : 1;
    }
    return strcmp(left->key, right->key);
}

static void item_free(gpointer data)
{
    struct item *item = data;
    g_free(item->key);
    g_free(item);
}

struct queue *queue_new(const struct clock *clock)
{
    struct queue *queue = g_new0(struct queue, 1);
    queue->clock = clock;
    g_mutex_init(&queue->lock);
    g_cond_init(&queue->changed);
    queue->items = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, item_free);
    queue->waiting = g_tree_new_full(compare, NULL, NULL, NULL);
    return queue;
}

void queue_free(struct queue *queue)
{
    if (queue != NULL) {
        g_tree_unref(queue->waiting);
        g_hash_table_unref(queue->items);
        g_cond_clear(&queue->changed);
        g_mutex_clear(&queue->lock);
        g_free(queue);
    }
}

static void wait_until(struct queue *queue, struct item *item, int64_t due_us)
{
    if (item->is_waiting) {
        if (item->due_us <= due_us) {
            return;
        }
        g_tree_remove(queue->waiting, item);
    }
    item->due_us = due_us;
    item->is_waiting = true;
    g_tree_insert(queue->waiting, item, item);
    g_cond_broadcast(&queue->changed);
}

void queue_add(struct queue *queue, const char *key, int64_t due_us)
{
    g_mutex_lock(&queue->lock);
    struct item *item = g_hash_table_lookup(queue->items, key);
    if (item == NULL) {
        item = g_new0(struct item, 1);
        item->key = g_strdup(key);
        g_hash_table_insert(queue->items, item->key, item);
    }
    item->since_us = MAX(item->since_us, due_us);
    wait_until(queue, item, due_us);
    g_mutex_unlock(&queue->lock);
}

/* The first waiting item whose key is not running. */
static struct item *first_free(struct queue *queue)
{
    for (GTreeNode *node = g_tree_node_first(queue->waiting); node != NULL; node = g_tree_node_next(node)) {
        struct item *item = g_tree_node_value(node);
        if (!item->is_running) {
            return item;
        }
    }
    return NULL;
}

/* With the lock held. The key of a due item, which runs from now on; else NULL and when to look again (0: nothing waits). */
static char *take_due(struct queue *queue, int64_t *ret_since_us, int64_t *ret_next_us)
{
    struct item *item = first_free(queue);
    int64_t now_us = clock_monotonic_us(queue->clock);
    *ret_next_us = item != NULL ? item->due_us : 0;
    if (item == NULL || item->due_us > now_us) {
        return NULL;
    }
    g_tree_remove(queue->waiting, item);
    item->is_waiting = false;
    item->is_running = true;
    *ret_since_us = MIN(item->since_us, now_us);
    item->since_us = 0;
    return g_strdup(item->key);
}

char *queue_take(struct queue *queue, int64_t *ret_since_us)
{
    g_mutex_lock(&queue->lock);
    char *key = NULL;
    int64_t next_us = 0;
    while (!queue->is_closed && (key = take_due(queue, ret_since_us, &next_us)) == NULL) {
        if (next_us == 0) {
            g_cond_wait(&queue->changed, &queue->lock);
        } else {
            g_cond_wait_until(&queue->changed, &queue->lock, next_us);
        }
    }
    g_mutex_unlock(&queue->lock);
    return key;
}

char *queue_poll(struct queue *queue, int64_t *ret_since_us, int64_t *ret_next_us)
{
    g_mutex_lock(&queue->lock);
    char *key = take_due(queue, ret_since_us, ret_next_us);
    g_mutex_unlock(&queue->lock);
    return key;
}

void queue_done(struct queue *queue, const char *key)
{
    g_mutex_lock(&queue->lock);
    struct item *item = g_hash_table_lookup(queue->items, key);
    if (item != NULL) {
        item->is_running = false;
        if (item->is_waiting) {
            g_cond_broadcast(&queue->changed);
        } else {
            g_hash_table_remove(queue->items, key);
        }
    }
    g_mutex_unlock(&queue->lock);
}

void queue_close(struct queue *queue)
{
    g_mutex_lock(&queue->lock);
    queue->is_closed = true;
    g_cond_broadcast(&queue->changed);
    g_mutex_unlock(&queue->lock);
}

int64_t queue_length(struct queue *queue)
{
    g_mutex_lock(&queue->lock);
    int64_t length = g_tree_nnodes(queue->waiting);
    g_mutex_unlock(&queue->lock);
    return length;
}
