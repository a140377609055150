/* What is read from git's files, against what the git program made. */
#include <string.h>

#include "base/id.h"
#include "enclii/git.h"
#include "scratch.h"

static char *repository(void)
{
    char *folder = scratch_new();
    g_free(scratch_run(folder, 0, "git init -q -b main ."));
    scratch_write(folder, "a/file", "one");
    g_free(scratch_run(folder, 0, "git add ."));
    g_free(scratch_run(folder, 0, "git -c user.name=t -c user.email=t@example.test commit -q -m one"));
    return folder;
}

static void assert_state(const char *folder, const char *branch, const char *environment)
{
    g_auto(git_state_t) state = {0};
    g_assert_true(git_read(folder, &state));
    g_assert_cmpstr(state.branch, ==, branch);
    g_autofree char *commit = g_strchomp(scratch_run(folder, 0, "git rev-parse HEAD"));
    g_assert_cmpstr(state.commit, ==, commit);
    g_autofree char *named = git_environment(&state);
    g_assert_cmpstr(named, ==, environment);
}

static void branch_and_commit_are_gits(void)
{
    g_autoptr(scratch_t) folder = repository();
    g_autofree char *below = g_build_filename(folder, "a", NULL);
    assert_state(folder, "main", "preview");
    assert_state(below, "main", "preview");
    g_free(scratch_run(folder, 0, "git checkout -q -b feature/Login_Page"));
    assert_state(below, "feature/Login_Page", "feature-login-page");
    g_free(scratch_run(folder, 0, "git pack-refs --all"));
    assert_state(folder, "feature/Login_Page", "feature-login-page");
    g_free(scratch_run(folder, 0, "git checkout -q --detach"));
    assert_state(folder, NULL, "preview");
}

static void linked_work_tree_has_its_own_branch(void)
{
    g_autoptr(scratch_t) folder = repository();
    g_autoptr(scratch_t) other = scratch_new();
    g_autofree char *tree = g_build_filename(other, "tree", NULL);
    g_autofree char *command = g_strdup_printf("git worktree add -q -b hotfix %s", tree);
    g_free(scratch_run(folder, 0, command));
    assert_state(tree, "hotfix", "hotfix");
    assert_state(folder, "main", "preview");
}

static void remote_says_which_branch_is_the_default(void)
{
    g_autoptr(scratch_t) folder = repository();
    scratch_write(folder, ".git/refs/remotes/origin/HEAD", "ref: refs/remotes/origin/develop\n");
    assert_state(folder, "main", "main");
    g_free(scratch_run(folder, 0, "git checkout -q -b develop"));
    assert_state(folder, "develop", "preview");
}

static void folder_without_git_has_no_state(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_auto(git_state_t) state = {0};
    scratch_write(folder, "a", "");
    g_assert_false(git_read(folder, &state));
    g_assert_cmpint(git_count_changes(folder), ==, -1);
}

static void changes_are_counted_below_the_folder(void)
{
    g_autoptr(scratch_t) folder = repository();
    g_autofree char *below = g_build_filename(folder, "a", NULL);
    g_assert_cmpint(git_count_changes(folder), ==, 0);
    scratch_write(folder, "a/file", "two");
    scratch_write(folder, "b", "new");
    g_assert_cmpint(git_count_changes(folder), ==, 2);
    g_assert_cmpint(git_count_changes(below), ==, 1);
}

static void environment_is_always_a_label(void)
{
    static const char *const cases[][2] = {
        {"feature/x", "feature-x"},   {"UPPER", "upper"}, {"1234-fix", "b-1234-fix"},      {"--", "preview"},
        {"a//b..c", "a-b-c"},         {"-lead-", "lead"}, {"\xC3\xA4\xC3\xB6", "preview"}, {"x_y.z", "x-y-z"},
        {"production", "production"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct git_state state = {.branch = (char *)cases[i][0]};
        g_autofree char *named = git_environment(&state);
        g_assert_cmpstr(named, ==, cases[i][1]);
    }
    g_autofree char *long_name = g_strnfill(300, 'x');
    const struct git_state state = {.branch = long_name};
    g_autofree char *named = git_environment(&state);
    g_assert_true(dns_label_is_valid(named));
    g_autofree char *none = git_environment(NULL);
    g_assert_cmpstr(none, ==, "preview");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/git/branch_and_commit_are_gits", branch_and_commit_are_gits);
    g_test_add_func("/git/linked_work_tree_has_its_own_branch", linked_work_tree_has_its_own_branch);
    g_test_add_func("/git/remote_says_which_branch_is_the_default", remote_says_which_branch_is_the_default);
    g_test_add_func("/git/folder_without_git_has_no_state", folder_without_git_has_no_state);
    g_test_add_func("/git/changes_are_counted_below_the_folder", changes_are_counted_below_the_folder);
    g_test_add_func("/git/environment_is_always_a_label", environment_is_always_a_label);
    return g_test_run();
}
