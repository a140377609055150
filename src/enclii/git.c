#include "enclii/git.h"

#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "base/process.h"

#define MAX_FILE (16 << 20) /* packed-refs */
#define MAX_STATUS (4 << 20)
#define STATUS_TIMEOUT_MS 1000

/* A small file's text without its final newline, or NULL. */
static char *read_text(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) ignored = NULL;
    size_t length = 0;
    char *text = file_read(path, MAX_FILE, &length, &ignored);
    return text != NULL ? g_strchomp(text) : NULL;
}

/* The git folder of a work tree: `.git` itself, or what a file of that name points at. */
static char *git_folder_at(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, ".git", NULL);
    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        return g_steal_pointer(&path);
    }
    g_autofree char *text = read_text(folder, ".git");
    if (text == NULL || !g_str_has_prefix(text, "gitdir: ")) {
        return NULL;
    }
    return g_canonicalize_filename(text + strlen("gitdir: "), folder);
}

static char *find_git_folder(const char *folder)
{
    g_autofree char *at = g_canonicalize_filename(folder, NULL);
    for (;;) {
        char *found = git_folder_at(at);
        char *parent = g_path_get_dirname(at);
        bool is_end = found != NULL || strcmp(parent, at) == 0;
        g_free(at);
        at = parent;
        if (is_end) {
            return found;
        }
    }
}

static char *find_packed(const char *common, const char *reference)
{
    g_autofree char *text = read_text(common, "packed-refs");
    g_auto(GStrv) lines = text != NULL ? g_strsplit(text, "\n", -1) : NULL;
    for (char **line = lines; line != NULL && *line != NULL; line++) {
        char *blank = strchr(*line, ' ');
        if (**line != '#' && **line != '^' && blank != NULL && strcmp(blank + 1, reference) == 0) {
            return g_strndup(*line, (size_t)(blank - *line));
        }
    }
    return NULL;
}

static bool is_hash(const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    return (length == 40 || length == 64) && strspn(text, "0123456789abcdef") == length;
}

/* The remote's HEAD says which branch is the default; without one the usual names do. */
static bool is_default(const char *common, const char *branch)
{
    static const char *const usual[] = {"main", "master", "trunk", NULL};
    static const char prefix[] = "ref: refs/remotes/origin/";
    g_autofree char *head = read_text(common, "refs/remotes/origin/HEAD");
    if (head != NULL && g_str_has_prefix(head, prefix)) {
        return strcmp(head + strlen(prefix), branch) == 0;
    }
    return g_strv_contains(usual, branch);
}

bool git_read(const char *folder, struct git_state *ret_state)
{
    static const char prefix[] = "ref: refs/heads/";
    g_autofree char *git = find_git_folder(folder);
    g_autofree char *head = git != NULL ? read_text(git, "HEAD") : NULL;
    if (head == NULL) {
        return false;
    }
    g_autofree char *shared = read_text(git, "commondir");
    g_autofree char *common = shared != NULL ? g_canonicalize_filename(shared, git) : g_strdup(git);
    struct git_state state = {.branch = NULL};
    if (g_str_has_prefix(head, prefix)) {
        const char *reference = head + strlen("ref: ");
        state.branch = g_strdup(head + strlen(prefix));
        state.is_default_branch = is_default(common, state.branch);
        state.commit = read_text(common, reference);
        if (state.commit == NULL) {
            state.commit = find_packed(common, reference);
        }
    } else {
        state.commit = g_strdup(head);
    }
    if (!is_hash(state.commit)) {
        g_clear_pointer(&state.commit, g_free);
    }
    *ret_state = state;
    return true;
}

void git_state_clear(struct git_state *state)
{
    g_clear_pointer(&state->branch, g_free);
    g_clear_pointer(&state->commit, g_free);
}

int git_count_changes(const char *folder)
{
    const char *const argv[] = {"git", "--no-optional-locks", "status", "--porcelain=v1", "--", ".", NULL};
    const struct process_spec spec = {
        .argv = argv, .cwd = folder, .stdin_fd = -1, .timeout_ms = STATUS_TIMEOUT_MS, .capture_bytes = MAX_STATUS};
    g_auto(process_result_t) result = {.exit_status = -1};
    g_autoptr(GError) ignored = NULL;
    if (!process_run(&spec, &result, &ignored) || result.exit_status != 0) {
        return -1;
    }
    int n_changes = 0;
    for (size_t i = 0; i < result.output_length; i++) {
        n_changes += result.output[i] == '\n';
    }
    return n_changes;
}

/* --- names -------------------------------------------------------------------------------------------------------------------- */

/* Lower-case letters and digits stay, every run of other bytes is one hyphen. */
static char *as_words(const char *text)
{
    GString *out = g_string_new(NULL);
    for (const char *p = text; *p != '\0'; p++) {
        if (g_ascii_isalnum(*p)) {
            g_string_append_c(out, g_ascii_tolower(*p));
        } else if (out->len > 0 && out->str[out->len - 1] != '-') {
            g_string_append_c(out, '-');
        }
    }
    while (out->len > 0 && out->str[out->len - 1] == '-') {
        g_string_truncate(out, out->len - 1);
    }
    return g_string_free(out, FALSE);
}

char *git_environment(const struct git_state *state)
{
    if (state == NULL || state->branch == NULL || state->is_default_branch) {
        return g_strdup("preview");
    }
    g_autofree char *words = as_words(state->branch);
    if (*words == '\0') {
        return g_strdup("preview");
    }
    g_autofree char *named = g_ascii_isalpha(*words) ? g_strdup(words) : g_strconcat("b-", words, NULL);
    return dns_label_fit(named, false);
}
