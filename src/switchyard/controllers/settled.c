/* A digest of all that a plan depends on and that changes: the pair's row, its instances' rows, its containers, its servers in
 * the edge. A pair whose digest is what it was when nothing was left to do needs no closer look. The digest is FNV-1a, 64 bits
 * (RFC 9923): two that are alike by chance are told apart at the next change. */
#include <string.h>

#include "base/error.h"
#include "switchyard/controllers/internal.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static void add_bytes(uint64_t *digest, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        *digest = (*digest ^ at[i]) * FNV_PRIME;
    }
}

static void add_text(uint64_t *digest, const char *text)
{
    add_bytes(digest, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 1);
}

static void add_number(uint64_t *digest, int64_t number)
{
    add_bytes(digest, &number, sizeof number);
}

/* The instance's row, its container, its server. */
static void add_instance(uint64_t *digest, const struct snapshot *snapshot, const char *pair_id,
                         const struct scanned_instance *row)
{
    const struct engine_instance *container = g_hash_table_lookup(snapshot->by_instance, row->id);
    char key[128];
    add_text(digest, row->id);
    add_text(digest, row->state);
    add_number(digest, row->state_since_us);
    add_number(digest, row->restarts);
    add_text(digest, container != NULL ? container->id : NULL);
    add_number(digest, container != NULL ? (int64_t)container->state : -1);
    if (snapshot->by_server == NULL) {
        add_number(digest, -2);
        return;
    }
    g_snprintf(key, sizeof key, "b-%s/i-%s", pair_id, row->id); /* edge_backend_name, edge_server_name */
    const struct edge_observed_server *server = g_hash_table_lookup(snapshot->by_server, key);
    add_number(digest, server == NULL ? -1 : server->is_up * 2 + server->is_draining);
}

static uint64_t begin_digest(const struct snapshot *snapshot, const char *pair_id, int64_t revision)
{
    uint64_t digest = FNV_OFFSET;
    const GPtrArray *containers = g_hash_table_lookup(snapshot->by_pair, pair_id);
    add_number(&digest, revision);
    add_number(&digest, containers != NULL ? containers->len : 0); /* orphans */
    return digest;
}

static uint64_t digest_of_pass(const struct pass *pass)
{
    uint64_t digest = begin_digest(pass->snapshot, pass->pair->id, pass->pair->revision);
    for (guint i = 0; i < pass->rows->len; i++) {
        const struct instance *row = g_ptr_array_index(pass->rows, i);
        struct scanned_instance scanned = {.state_since_us = row->state_since_us, .restarts = row->restarts};
        g_strlcpy(scanned.id, row->id, sizeof scanned.id);
        g_strlcpy(scanned.state, instance_states[row->state], sizeof scanned.state);
        add_instance(&digest, pass->snapshot, pass->pair->id, &scanned);
    }
    return digest;
}

void settled_remember(struct controller *controller, const struct pass *pass)
{
    uint64_t *digest = g_new(uint64_t, 1);
    *digest = digest_of_pass(pass);
    g_mutex_lock(&controller->lock);
    g_hash_table_replace(controller->settled, g_strdup(pass->pair->id), digest);
    g_mutex_unlock(&controller->lock);
}

void settled_forget(struct controller *controller, const char *pair_id)
{
    g_mutex_lock(&controller->lock);
    g_hash_table_remove(controller->settled, pair_id);
    g_mutex_unlock(&controller->lock);
}

static bool read_scan(struct tx *tx, void *arg, GError **error)
{
    return scan_read(tx, arg, error);
}

/* Rows of one pair follow each other; *cursor goes over all of them once. */
static uint64_t digest_of_scan(const struct scan *scan, guint *cursor, const struct snapshot *snapshot,
                               const struct scanned_pair *pair)
{
    uint64_t digest = begin_digest(snapshot, pair->id, pair->revision);
    for (; *cursor < scan->instances->len; (*cursor)++) {
        const struct scanned_instance *row = &g_array_index(scan->instances, struct scanned_instance, *cursor);
        int order = strcmp(row->pair_id, pair->id);
        if (order > 0) {
            break;
        }
        if (order == 0) {
            add_instance(&digest, snapshot, pair->id, row);
        }
    }
    return digest;
}

static GPtrArray *compare_all(struct controller *controller, const struct scan *scan, const struct snapshot *snapshot)
{
    GPtrArray *changed = g_ptr_array_new_with_free_func(g_free);
    guint cursor = 0;
    g_mutex_lock(&controller->lock);
    for (guint i = 0; i < scan->pairs->len; i++) {
        const struct scanned_pair *pair = &g_array_index(scan->pairs, struct scanned_pair, i);
        uint64_t digest = digest_of_scan(scan, &cursor, snapshot, pair);
        const uint64_t *known = g_hash_table_lookup(controller->settled, pair->id);
        if (known == NULL || *known != digest) {
            g_ptr_array_add(changed, g_strdup(pair->id));
        }
    }
    g_mutex_unlock(&controller->lock);
    return changed;
}

GPtrArray *settled_find_changed(struct controller *controller, int64_t not_before_us, GError **error)
{
    struct scan scan = {0};
    struct snapshot *snapshot = observer_look(controller->observer, not_before_us, error);
    if (snapshot == NULL) {
        return NULL;
    }
    GPtrArray *changed = NULL;
    if (store_read(controller->app->store, "pairs_scan", read_scan, &scan, error)) {
        changed = compare_all(controller, &scan, snapshot);
    }
    scan_clear(&scan);
    snapshot_unref(snapshot);
    return changed;
}
