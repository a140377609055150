/* Which step comes next, and its transaction. Every step reads the version again under the lock, so
 * several processes may migrate at once: each takes the steps that are left when it is its turn. */
#include "store/migrate.h"

#include "base/crash_point.h"
#include "base/error.h"
#include "store/migrate_internal.h"

static int64_t latest_version(const struct migration_set *set)
{
    return set->n > 0 ? set->items[set->n - 1].version : 0;
}

/* Index of the newest version that is at most `version`; -1 when there is none. */
static long index_at_most(const struct migration_set *set, int64_t version)
{
    long index = -1;
    while (index + 1 < (long)set->n && set->items[index + 1].version <= version) {
        index++;
    }
    return index;
}

static bool refuse_dirty(int64_t version, GError **error)
{
    sy_fail(error, SY_MIGRATION_FAILED, "another tool left version %" G_GINT64_FORMAT " half done (dirty)", version);
    sy_error_set_hint(error,
                      "Compare the schema with the files of version %" G_GINT64_FORMAT
                      ", finish or undo it by hand, then record where it stands: migrate -path … "
                      "-database … force VERSION (golang-migrate), or update schema_migrations.",
                      version);
    return false;
}

static bool refuse_unknown(int64_t current, int64_t latest, GError **error)
{
    sy_fail(error, SY_MIGRATION_FAILED,
            "the schema is at version %" G_GINT64_FORMAT
            ", which this program does not know (its newest is %" G_GINT64_FORMAT ")",
            current, latest);
    sy_error_set_hint(error, "Use the newer program that made it, or restore a backup of before.");
    return false;
}

/* One step: a file and the version after it. text NULL: nothing is left to do. */
struct step {
    const struct migration_text *file;
    bool is_down;
    int64_t version_after;
};

static bool plan_step(const struct migration_set *set, int64_t current, int64_t target, bool allow_down,
                      struct step *ret_step, GError **error)
{
    long at = index_at_most(set, current);
    *ret_step = (struct step){.version_after = current};
    if (current != 0 && (at < 0 || set->items[at].version != current)) {
        return refuse_unknown(current, latest_version(set), error);
    }
    if (target < current) {
        if (!allow_down) {
            sy_fail(error, SY_MIGRATION_FAILED,
                    "going from version %" G_GINT64_FORMAT " down to %" G_GINT64_FORMAT " was not allowed", current,
                    target);
            return false;
        }
        ret_step->file = &set->items[at];
        ret_step->is_down = true;
        ret_step->version_after = at > 0 ? set->items[at - 1].version : 0;
    } else if (at + 1 < (long)set->n && set->items[at + 1].version <= target) {
        ret_step->file = &set->items[at + 1];
        ret_step->version_after = ret_step->file->version;
    }
    if (ret_step->file != NULL && (ret_step->is_down ? ret_step->file->down : ret_step->file->up) == NULL) {
        return sy_fail(error, SY_MIGRATION_FAILED, "%s.%s.sql is missing", ret_step->file->name,
                       ret_step->is_down ? "down" : "up");
    }
    return true;
}

/* A line that is nothing but the begin or end of a transaction: found before anything has run, because a COMMIT would
 * keep half a step. What is written less plainly is found afterwards, by the database's state. */
static bool ends_its_transaction(const char *text)
{
    static const char *const words[] = {"begin;", "begin transaction;", "start transaction;", "commit;", "rollback;"};
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        g_strstrip(*line);
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
            if (g_ascii_strcasecmp(*line, words[i]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool run_step(const struct migration_backend *backend, void *session, const struct step *step, GError **error)
{
    const char *text = step->is_down ? step->file->down : step->file->up;
    g_autoptr(GError) failure = NULL;
    if (ends_its_transaction(text)) {
        return sy_fail(error, SY_MIGRATION_FAILED,
                       "%s.%s.sql: leave BEGIN, COMMIT and ROLLBACK out: each step is one "
                       "transaction, with its version in it",
                       step->file->name, step->is_down ? "down" : "up");
    }
    bool ok = backend->run(session, text, &failure);
    crash_point("migration.before_version");
    ok = ok && backend->write_version(session, step->version_after, &failure);
    crash_point("migration.before_commit");
    ok = ok && backend->commit(session, &failure);
    if (ok) {
        crash_point("migration.after_commit");
        return true;
    }
    return sy_fail(error, SY_MIGRATION_FAILED, "%s.%s.sql: %s", step->file->name, step->is_down ? "down" : "up",
                   failure->message);
}

/* Takes the lock and the next step. *ret_done when nothing was left. */
static bool next_step(const struct migration_backend *backend, void *session, const struct migration_set *set,
                      int64_t target, bool allow_down, bool *ret_done, GError **error)
{
    if (!backend->begin(session, error)) {
        return false;
    }
    int64_t current = 0;
    bool is_dirty = false;
    struct step step = {0};
    bool ok = backend->read_version(session, &current, &is_dirty, error) &&
              (!is_dirty || refuse_dirty(current, error)) &&
              plan_step(set, current, target, allow_down, &step, error) &&
              (step.file == NULL || run_step(backend, session, &step, error));
    if (!ok || step.file == NULL) {
        backend->rollback(session);
    }
    *ret_done = step.file == NULL;
    return ok;
}

static bool target_is_known(const struct migration_set *set, int64_t target, GError **error)
{
    long at = index_at_most(set, target);
    if (target == 0 || (at >= 0 && set->items[at].version == target)) {
        return true;
    }
    return sy_fail(error, SY_MIGRATION_FAILED,
                   "there is no migration %" G_GINT64_FORMAT " (the newest is %" G_GINT64_FORMAT ")", target,
                   latest_version(set));
}

static bool migrate_all(struct store *store, const struct migration_set *set, int64_t target, bool allow_down,
                        GError **error)
{
    const struct migration_backend *backend = store->backend->migration;
    int64_t wanted = target < 0 ? latest_version(set) : target;
    if (!target_is_known(set, wanted, error)) {
        return false;
    }
    void *session = backend->open(store, error);
    if (session == NULL) {
        return false;
    }
    bool done = false;
    bool ok = true;
    while (ok && !done) {
        ok = next_step(backend, session, set, wanted, target >= 0 && allow_down, &done, error);
    }
    backend->close(session);
    return ok;
}

bool store_migrate(struct store *store, int64_t target, bool allow_down, GError **error)
{
    struct migration_set set;
    bool ok = migration_set_load(&set, store->options.migrations_folder, store_dialect(store), error) &&
              migrate_all(store, &set, target, allow_down, error);
    migration_set_done(&set);
    return ok;
}

bool store_migrate_status(struct store *store, struct migration_status *ret_status, GError **error)
{
    struct migration_set set;
    if (!migration_set_load(&set, store->options.migrations_folder, store_dialect(store), error)) {
        return false;
    }
    struct migration_status status = {.latest = latest_version(&set)};
    migration_set_done(&set);
    const struct migration_backend *backend = store->backend->migration;
    void *session = backend->open(store, error);
    if (session == NULL) {
        return false;
    }
    bool ok = backend->read_version(session, &status.current, &status.is_dirty, error);
    backend->close(session);
    if (ok) {
        *ret_status = status;
    }
    return ok;
}
