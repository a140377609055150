/* What was acknowledged is there after kill -9: a child writes on several threads and prints each acknowledged id,
 * is killed in the middle, and everything that it printed must be found. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"

enum { N_CYCLES = 30, N_THREADS = 4 };

/* --- the child --------------------------------------------------------------------------------- */

static struct store *child_store;
static const char *child_prefix;
static atomic_int next_number;

static gpointer write_and_print(gpointer data)
{
    for (;;) {
        g_autoptr(GError) error = NULL;
        g_autofree char *id = g_strdup_printf("%s-%d", child_prefix, next_number++);
        g_autofree char *line = g_strconcat(id, "\n", NULL);
        struct item *item = item_new(id, id, 1);
        bool ok = store_write(child_store, "put", insert_item, item, &error);
        contract_free(&item_type, item);
        if (!ok || write(STDOUT_FILENO, line, strlen(line)) != (ssize_t)strlen(line)) {
            g_printerr("%s\n", error != NULL ? error->message : "pipe");
            _exit(1);
        }
    }
    return NULL;
}

static int run_child(char **argv)
{
    g_autoptr(GError) error = NULL;
    const struct store_options options = {.allow_volatile = true};
    child_store = store_open(argv[2], &options, &error);
    child_prefix = argv[3];
    if (child_store == NULL) {
        g_printerr("%s\n", error->message);
        return 1;
    }
    for (int i = 1; i < N_THREADS; i++) {
        g_thread_unref(g_thread_new("writer", write_and_print, NULL));
    }
    write_and_print(NULL);
    return 0;
}

/* --- the parent -------------------------------------------------------------------------------- */

/* Reads until `wanted` lines have come, kills the child, and reads the rest. */
static GString *collect_and_kill(int fd, GPid pid, int wanted)
{
    GString *text = g_string_new(NULL);
    char chunk[4096];
    ssize_t got;
    int n_lines = 0;
    bool is_killed = false;
    while ((got = read(fd, chunk, sizeof chunk)) > 0) {
        g_string_append_len(text, chunk, got);
        for (ssize_t i = 0; i < got; i++) {
            n_lines += chunk[i] == '\n';
        }
        if (n_lines >= wanted && !is_killed) {
            kill(pid, SIGKILL);
            is_killed = true;
        }
    }
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));
    return text;
}

static bool item_exists(struct tx *tx, void *id, GError **error)
{
    int64_t n = 0;
    return tx_get_int(tx, 0, &n, "SELECT count(*) FROM items WHERE id = $1", PARAMS(P_TEXT(id)), error) &&
           (n == 1 || sy_fail(error, SY_NOT_FOUND, "%s was acknowledged and is gone", (const char *)id));
}

static int64_t check_all_there(struct store *store, const char *text)
{
    g_auto(GStrv) ids = g_strsplit(text, "\n", -1);
    int64_t n = 0;
    for (char **id = ids; *id != NULL && **id != '\0'; id++, n++) {
        g_autoptr(GError) error = NULL;
        bool ok = store_read(store, "exists", item_exists, *id, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
    }
    return n;
}

static void acknowledged_writes_survive_kill(struct fixture *fixture)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    int64_t n_acknowledged = 0;
    g_clear_pointer(&fixture->store, store_close);
    for (int cycle = 0; cycle < N_CYCLES; cycle++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *prefix = g_strdup_printf("c%d", cycle);
        const char *const argv[] = {self, "--write", fixture->url, prefix, NULL};
        GPid pid = 0;
        g_auto(fd_t) fd = -1;
        g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL, &fd,
                                 NULL, &error);
        g_assert_no_error(error);
        g_autoptr(GString) text = collect_and_kill(fd, pid, g_test_rand_int_range(1, 60));
        struct store *store = fixture_open(fixture, NULL);
        n_acknowledged += check_all_there(store, text->str);
        g_assert_cmpint(count_items(store), >=, n_acknowledged);
        store_close(store);
    }
    g_test_message("%d cycles, %d acknowledged writes", N_CYCLES, (int)n_acknowledged);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--write") == 0) {
        return run_child(argv);
    }
    g_test_init(&argc, &argv, NULL);
    fixture_add("/durability/acknowledged_writes_survive_kill", acknowledged_writes_survive_kill, NULL);
    return g_test_run();
}
