/* Thousands of stories, or one of them again.
 *
 *   simulate [--from SEED] [--seeds N] [--misfortune P] [--crash-points N]   N stories from SEED on
 *   simulate --story SEED                                                    one, with its last events in words
 *
 * Each seed is told twice when --twice is given: the two traces must be the same. Prints TAP for the suite with --tap. */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "driver.h"
#include "store/migrate.h"
#include "store/store.h"

struct options {
    int from, seeds, story, crash_points;
    double misfortune;
    gboolean twice, tap;
    char *folder;
};

#define CRASH_EFFECTS 400

struct sums {
    int64_t stories, violations, simulated_us, n_steps, n_faults, n_crashes;
};

static struct story story_of(const struct options *options, unsigned seed)
{
    return (struct story){
        .seed = seed, .n_processes = seed % 4 == 3 ? 2 : 1, .misfortune = seed % 10 == 0 ? 0 : options->misfortune};
}

static bool tell(const struct options *options, const struct story *story, struct sums *sums, bool is_loud)
{
    struct story_result result = {0};
    g_autofree char *template_database = g_build_filename(options->folder, "template.db", NULL);
    g_autofree char *database = g_build_filename(options->folder, "story.db", NULL);
    bool ok = story_run(story, template_database, database, &result);
    sums->stories++;
    sums->violations += !ok;
    sums->simulated_us += result.simulated_us;
    sums->n_steps += result.n_steps;
    sums->n_faults += result.n_faults;
    sums->n_crashes += result.n_crashes;
    if (options->twice) {
        struct story_result again = {0};
        story_run(story, template_database, database, &again);
        if (again.trace != result.trace) {
            printf("# seed %u: two tellings differ: %016" G_GINT64_MODIFIER "x, %016" G_GINT64_MODIFIER "x\n",
                   story->seed, result.trace, again.trace);
            ok = false;
        }
        g_free(again.violation);
        g_free(again.words);
    }
    if (!ok || is_loud) {
        printf("# seed %u, %d process(es), misfortune %.2f, crash before effect %" G_GINT64_FORMAT "\n%s\n# %s\n",
               story->seed, story->n_processes, story->misfortune, story->crash_effect, result.words,
               result.violation != NULL ? result.violation : "all held");
        printf("# trace %016" G_GINT64_MODIFIER "x\n", result.trace);
    }
    g_free(result.violation);
    g_free(result.words);
    return ok;
}

/* The same clean story, with a crash before each of the first 400 effects, or before so many of them. */
static bool tell_crash_points(const struct options *options, unsigned seed, struct sums *sums)
{
    bool ok = true;
    int64_t step = MAX(CRASH_EFFECTS / MAX(options->crash_points, 1), 1);
    for (int64_t effect = 1; effect <= CRASH_EFFECTS && ok; effect += step) {
        const struct story story = {.seed = seed, .n_processes = 1, .misfortune = 0, .crash_effect = effect};
        ok = tell(options, &story, sums, false);
    }
    return ok;
}

static void make_template(const struct options *options)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(options->folder, "template.db", NULL);
    g_autofree char *url = g_strconcat("sqlite:", path, NULL);
    struct store *store = store_open(url, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(store_migrate(store, -1, false, &error));
    store_close(store);
}

static void remove_files(const struct options *options)
{
    static const char *const names[] = {"template.db", "template.db-wal", "template.db-shm",
                                        "story.db",    "story.db-wal",    "story.db-shm"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(options->folder, names[i], NULL);
        unlink(path);
    }
    rmdir(options->folder);
}

int main(int argc, char **argv)
{
    struct options options = {.from = 1, .seeds = 100, .story = -1, .misfortune = 0.05};
    g_autoptr(GError) error = NULL;
    const GOptionEntry entries[] = {
        {"from", 0, 0, G_OPTION_ARG_INT, &options.from, "first seed", "SEED"},
        {"seeds", 0, 0, G_OPTION_ARG_INT, &options.seeds, "how many", "N"},
        {"story", 0, 0, G_OPTION_ARG_INT, &options.story, "this one, in words", "SEED"},
        {"misfortune", 0, 0, G_OPTION_ARG_DOUBLE, &options.misfortune, "probability per call", "P"},
        {"crash-points", 0, 0, G_OPTION_ARG_INT, &options.crash_points, "also a crash before so many effects", "N"},
        {"twice", 0, 0, G_OPTION_ARG_NONE, &options.twice, "tell each twice and compare", NULL},
        {"tap", 0, 0, G_OPTION_ARG_NONE, &options.tap, "print TAP", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "simulate: %s\n", error->message);
        return 2;
    }
    log_set_level(options.story >= 0 ? LOG_INFO : LOG_ERROR + 1);
    g_autofree char *folder = g_dir_make_tmp("simulate-XXXXXX", NULL);
    if (access("/dev/shm", W_OK) == 0) {
        rmdir(folder);
        g_free(folder);
        folder = g_strdup("/dev/shm/simulate-XXXXXX");
        g_assert_nonnull(g_mkdtemp(folder));
    }
    options.folder = folder;
    make_template(&options);
    struct sums sums = {0};
    int64_t begin_us = g_get_monotonic_time();
    bool ok = true;
    if (options.story >= 0) {
        const struct story story = story_of(&options, (unsigned)options.story);
        ok = tell(&options, &story, &sums, true);
    }
    for (int i = 0; options.story < 0 && i < options.seeds; i++) {
        const struct story story = story_of(&options, (unsigned)(options.from + i));
        ok = tell(&options, &story, &sums, false) && ok;
    }
    bool crash_ok = options.crash_points == 0 || tell_crash_points(&options, (unsigned)options.from, &sums);
    double seconds = (double)(g_get_monotonic_time() - begin_us) / 1e6;
    printf("# %" G_GINT64_FORMAT " stories, %" G_GINT64_FORMAT " violations, %" G_GINT64_FORMAT
           " steps, %" G_GINT64_FORMAT " faults, %" G_GINT64_FORMAT
           " crashes; %.0f s simulated in %.1f s: %.0f × real time\n",
           sums.stories, sums.violations, sums.n_steps, sums.n_faults, sums.n_crashes, (double)sums.simulated_us / 1e6,
           seconds, (double)sums.simulated_us / 1e6 / seconds);
    if (options.tap) {
        printf("%sok 1 - stories_keep_every_promise\n", ok ? "" : "not ");
        printf("%sok 2 - crash_before_every_effect_converges\n1..2\n", crash_ok ? "" : "not ");
    }
    remove_files(&options);
    return ok && crash_ok ? 0 : 1;
}
