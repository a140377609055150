/* The one thread that writes to an SQLite database, and its group commit.
 *
 * Callers queue their unit of work and wait. The thread begins a transaction, runs all units that
 * are there, each inside a savepoint, goes on with those that arrive meanwhile (bounded in number
 * and time), and commits once: one fsync for all. While it waits for the disk the next group
 * gathers.
 *
 * Two things can take a whole group along: an error that ends SQLite's transaction (disk full,
 * statement deadline), and a constraint that is checked at COMMIT only. Then every unit that had
 * succeeded is run again, alone in its own transaction; units are re-runnable. A failed write or
 * fsync at COMMIT fails all of them.
 *
 * A job lives on its caller's stack and is the thread's from JOB_RUNNING to JOB_DONE. Before that
 * its caller may take it back, when it has waited long enough. */
#include "base/crash_point.h"
#include "base/error.h"
#include "store/sqlite.h"

#define GROUP_MAX 128
#define GROUP_MAX_US (20 * 1000)
#define QUEUE_MAX 1024

/* Pages in the WAL (of 4 KiB) from which on each group is followed by a checkpoint, which moves
 * what no reader still needs; and from which on, at most once a second, readers are waited for so
 * that the WAL starts anew. */
#define WAL_PAGES_CHECKPOINT 1000
#define WAL_PAGES_RESTART 16384
#define RESTART_WAIT_MS 50

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE };

struct job {
    store_fn fn;
    void *arg;
    enum job_state state;
    bool is_ok;
    GError *error;
    GCond done;
};

struct sqlite_writer {
    struct sqlite_connection *connection;
    GThread *thread;
    GMutex lock; /* guards what follows and every job's state */
    GCond work;  /* the queue has a job, or closing */
    GCond place; /* the queue has room */
    GQueue queue;
    bool is_closing;
    /* The thread's own: */
    int wal_pages;
    int64_t next_restart_us;
};

/* --- callers ---------------------------------------------------------------------------------- */

static bool give_up(struct sqlite_writer *writer, GError **error)
{
    return sy_fail(error, SY_STORE_BUSY, "the writer did not get to it within %" G_GINT64_FORMAT " ms",
                   writer->connection->store->base.options.wait_ms);
}

/* With the lock held. False when the job was not begun in time; it is out of the queue then. */
static bool enqueue_and_wait(struct sqlite_writer *writer, struct job *job, int64_t deadline_us)
{
    while (writer->queue.length >= QUEUE_MAX) {
        if (!g_cond_wait_until(&writer->place, &writer->lock, deadline_us)) {
            return false;
        }
    }
    g_queue_push_tail(&writer->queue, job);
    g_cond_signal(&writer->work);
    while (job->state == JOB_QUEUED) {
        if (!g_cond_wait_until(&job->done, &writer->lock, deadline_us) && job->state == JOB_QUEUED) {
            g_queue_remove(&writer->queue, job);
            return false;
        }
    }
    while (job->state != JOB_DONE) {
        g_cond_wait(&job->done, &writer->lock);
    }
    return true;
}

bool sqlite_write(struct store *base, const char *name, store_fn fn, void *arg, GError **error)
{
    struct sqlite_writer *writer = ((struct sqlite_store *)base)->writer;
    struct job job = {.fn = fn, .arg = arg};
    g_cond_init(&job.done);
    g_mutex_lock(&writer->lock);
    base->counters.waiting++;
    bool was_run = enqueue_and_wait(writer, &job, deadline_after_ms(base->options.wait_ms));
    base->counters.waiting -= was_run ? 0 : 1; /* else take() has done it */
    g_mutex_unlock(&writer->lock);
    g_cond_clear(&job.done);
    if (!was_run) {
        return give_up(writer, error);
    }
    if (!job.is_ok) {
        g_propagate_error(error, job.error);
    }
    return job.is_ok;
}

/* --- the thread ------------------------------------------------------------------------------- */

/* The next job, begun; NULL when there is none. */
static struct job *take(struct sqlite_writer *writer)
{
    g_mutex_lock(&writer->lock);
    struct job *job = g_queue_pop_head(&writer->queue);
    if (job != NULL) {
        job->state = JOB_RUNNING;
        writer->connection->store->base.counters.waiting--;
        g_cond_signal(&writer->place);
    }
    g_mutex_unlock(&writer->lock);
    return job;
}

/* Hands the job back; `error` is taken, NULL means success. */
static void complete(struct sqlite_writer *writer, struct job *job, GError *error)
{
    g_mutex_lock(&writer->lock);
    job->is_ok = error == NULL;
    job->error = error;
    job->state = JOB_DONE;
    g_cond_signal(&job->done);
    g_mutex_unlock(&writer->lock);
}

static bool has_transaction(const struct sqlite_writer *writer)
{
    return sqlite3_get_autocommit(writer->connection->db) == 0;
}

static bool run_unit(struct sqlite_writer *writer, struct job *job, GError **error)
{
    struct tx tx = {.store = &writer->connection->store->base, .connection = writer->connection};
    bool ok = tx_run(&tx, job->fn, job->arg, error);
    g_clear_error(&tx.failure);
    return ok;
}

static bool commit(struct sqlite_writer *writer, GError **error)
{
    struct store_counters *counters = &writer->connection->store->base.counters;
    int64_t begin_us = g_get_monotonic_time();
    crash_point("store.before_commit");
    if (!sqlite_control(writer->connection, "COMMIT", error)) {
        sqlite_rollback(writer->connection);
        if (store_fatal(&writer->connection->store->base)) {
            g_prefix_error(error, "the disk failed during commit, its outcome is unknown: ");
        }
        return false;
    }
    crash_point("store.after_commit");
    counters->commits++;
    counters->commit_us_total += g_get_monotonic_time() - begin_us;
    return true;
}

static void run_alone(struct sqlite_writer *writer, struct job *job)
{
    GError *error = NULL;
    bool ok = sqlite_control(writer->connection, "BEGIN IMMEDIATE", &error) && run_unit(writer, job, &error) &&
              commit(writer, &error);
    if (!ok) {
        sqlite_rollback(writer->connection);
    }
    complete(writer, job, error);
}

static void run_each_alone(struct sqlite_writer *writer, const GPtrArray *jobs)
{
    for (guint i = 0; i < jobs->len; i++) {
        writer->connection->store->base.counters.retries++;
        run_alone(writer, g_ptr_array_index(jobs, i));
    }
}

/* Runs the job inside a savepoint of the open transaction. A job that fails leaves no trace, unless
 * the error ended the transaction. */
static bool run_in_savepoint(struct sqlite_writer *writer, struct job *job, GError **error)
{
    struct sqlite_connection *connection = writer->connection;
    if (!sqlite_control(connection, "SAVEPOINT unit", error)) {
        return false;
    }
    if (run_unit(writer, job, error) && sqlite_control(connection, "RELEASE unit", error)) {
        return true;
    }
    g_autoptr(GError) second = NULL;
    if (has_transaction(writer) && (!sqlite_control(connection, "ROLLBACK TO unit", &second) ||
                                    !sqlite_control(connection, "RELEASE unit", &second))) {
        sqlite_rollback(connection);
    }
    return false;
}

static void complete_all(struct sqlite_writer *writer, const GPtrArray *jobs, const GError *error)
{
    for (guint i = 0; i < jobs->len; i++) {
        complete(writer, g_ptr_array_index(jobs, i), error != NULL ? g_error_copy(error) : NULL);
    }
}

static void end_group(struct sqlite_writer *writer, const GPtrArray *jobs)
{
    g_autoptr(GError) error = NULL;
    if (!has_transaction(writer)) {
        run_each_alone(writer, jobs);
    } else if (commit(writer, &error)) {
        complete_all(writer, jobs, NULL);
    } else if (sy_error_code(error) == SY_CONFLICT && jobs->len > 1) {
        run_each_alone(writer, jobs);
    } else {
        complete_all(writer, jobs, error);
    }
}

static void run_group(struct sqlite_writer *writer)
{
    g_autoptr(GPtrArray) succeeded = g_ptr_array_new();
    int64_t end_us = g_get_monotonic_time() + GROUP_MAX_US;
    struct job *job;
    for (int n = 0; n < GROUP_MAX && (job = take(writer)) != NULL; n++) {
        GError *error = NULL;
        if (run_in_savepoint(writer, job, &error)) {
            g_ptr_array_add(succeeded, job);
        } else {
            complete(writer, job, error);
        }
        if (!has_transaction(writer) || g_get_monotonic_time() > end_us) {
            break;
        }
    }
    end_group(writer, succeeded);
}

/* Everything that waits fails with the same error. */
static void fail_queue(struct sqlite_writer *writer, const GError *error)
{
    struct job *job;
    while ((job = take(writer)) != NULL) {
        complete(writer, job, g_error_copy(error));
    }
}

/* After the callers have their answer: a checkpoint costs them no time, only the next group. */
static void checkpoint(struct sqlite_writer *writer)
{
    if (writer->wal_pages < WAL_PAGES_CHECKPOINT) {
        return;
    }
    sqlite3 *db = writer->connection->db;
    int64_t now_us = g_get_monotonic_time();
    bool restart = writer->wal_pages >= WAL_PAGES_RESTART && now_us >= writer->next_restart_us;
    if (restart) {
        writer->next_restart_us = now_us + G_USEC_PER_SEC;
        sqlite3_busy_timeout(db, RESTART_WAIT_MS);
    }
    int mode = restart ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int n_log = 0;
    int n_moved = 0;
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, mode, &n_log, &n_moved);
    if (restart) {
        sqlite3_busy_timeout(db, (int)MIN(writer->connection->store->base.options.wait_ms, 60000));
    }
    if (rc == SQLITE_OK && n_log <= n_moved) {
        writer->wal_pages = 0;
    } else if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        /* Marks the store dead when it was the disk's fault; else the next one tries again. */
        g_autoptr(GError) ignored = NULL;
        sqlite_fail(writer->connection, rc, "checkpoint", &ignored);
    }
}

static int note_wal_pages(void *arg, sqlite3 *db, const char *schema, int n_pages)
{
    ((struct sqlite_writer *)arg)->wal_pages = n_pages;
    return SQLITE_OK;
}

/* False when the writer is to end and nothing is left. */
static bool wait_for_work(struct sqlite_writer *writer)
{
    g_mutex_lock(&writer->lock);
    while (writer->queue.length == 0 && !writer->is_closing) {
        g_cond_wait(&writer->work, &writer->lock);
    }
    bool has_work = writer->queue.length > 0;
    g_mutex_unlock(&writer->lock);
    return has_work;
}

static gpointer writer_main(gpointer arg)
{
    struct sqlite_writer *writer = arg;
    struct store *store = &writer->connection->store->base;
    while (wait_for_work(writer)) {
        g_autoptr(GError) error = NULL;
        if (store_fatal(store)) {
            error = g_error_new_literal(SY_ERROR, SY_STORE_FAILED, "the database is damaged or lost a write");
            fail_queue(writer, error);
        } else if (sqlite_control(writer->connection, "BEGIN IMMEDIATE", &error)) {
            store->counters.in_use++;
            run_group(writer);
            store->counters.in_use--;
            checkpoint(writer);
        } else if (sy_error_code(error) != SY_STORE_BUSY) {
            fail_queue(writer, error);
        }
        /* Busy: another process writes. Callers give up on their own when they have waited enough.
         */
        if (g_hash_table_size(writer->connection->statements.table) > STATEMENT_CACHE_LIMIT) {
            statement_cache_clear(&writer->connection->statements);
        }
    }
    return NULL;
}

struct sqlite_writer *sqlite_writer_start(struct sqlite_connection *connection)
{
    struct sqlite_writer *writer = g_new0(struct sqlite_writer, 1);
    writer->connection = connection;
    g_mutex_init(&writer->lock);
    g_cond_init(&writer->work);
    g_cond_init(&writer->place);
    g_queue_init(&writer->queue);
    sqlite3_wal_hook(connection->db, note_wal_pages, writer); /* in place of the automatic checkpoint */
    writer->thread = g_thread_new("store-writer", writer_main, writer);
    return writer;
}

void sqlite_writer_stop(struct sqlite_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    g_mutex_lock(&writer->lock);
    writer->is_closing = true;
    g_cond_signal(&writer->work);
    g_mutex_unlock(&writer->lock);
    g_thread_join(writer->thread);
    sqlite_connection_free(writer->connection);
    g_mutex_clear(&writer->lock);
    g_cond_clear(&writer->work);
    g_cond_clear(&writer->place);
    g_free(writer);
}
