/* Limits of builds: the files that are written, in folders that look like cgroups. That they hold: pipeline_test.c. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "build/build_limits.h"

#define MEMORY (INT64_C(200) << 20)

static void put(const char *root, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(root, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_holds(const char *root, const char *name, const char *expected)
{
    g_autofree char *path = g_build_filename(root, name, NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, expected);
}

static char *new_root(void)
{
    char *root = g_dir_make_tmp("enclii-cgroup-XXXXXX", NULL);
    g_assert_nonnull(root);
    return root;
}

static void remove_root(char *root)
{
    g_assert_true(folder_remove(root, NULL));
    g_free(root);
}

static void v1_sets_memory_swap_and_cpu_of_the_parent(void)
{
    char *root = new_root();
    g_auto(limits_place_t) place = {0};
    g_autofree char *reason = NULL;
    put(root, "memory/docker/buildkit/memory.limit_in_bytes", "");
    put(root, "memory/docker/buildkit/memory.memsw.limit_in_bytes", "");
    put(root, "cpu,cpuacct/docker/buildkit/cpu.cfs_period_us", "");
    put(root, "cpu,cpuacct/docker/buildkit/cpu.cfs_quota_us", "");
    limits_find(root, true, &place);
    g_assert_cmpint(place.kind, ==, LIMITS_V1);
    bool ok = limits_apply(root, &place, MEMORY, 1500, &reason);
    g_assert_cmpstr(reason, ==, NULL);
    g_assert_true(ok);
    assert_holds(root, "memory/docker/buildkit/memory.limit_in_bytes", "209715200");
    assert_holds(root, "memory/docker/buildkit/memory.memsw.limit_in_bytes", "209715200");
    assert_holds(root, "cpu,cpuacct/docker/buildkit/cpu.cfs_quota_us", "150000");
    remove_root(root);
}

static void v2_passes_controllers_down_and_sets_the_parent(void)
{
    char *root = new_root();
    g_auto(limits_place_t) place = {0};
    g_autofree char *reason = NULL;
    put(root, "cgroup.controllers", "cpuset cpu io memory pids\n");
    put(root, "cgroup.subtree_control", "");
    put(root, "docker/cgroup.subtree_control", "");
    put(root, "docker/buildkit/memory.max", "");
    put(root, "docker/buildkit/cpu.max", "");
    limits_find(root, true, &place); /* systemd runs, but the engine does not use its driver */
    g_assert_cmpint(place.kind, ==, LIMITS_V2);
    g_assert_true(limits_apply(root, &place, MEMORY, 2000, &reason));
    assert_holds(root, "cgroup.subtree_control", "+memory +cpu");
    assert_holds(root, "docker/cgroup.subtree_control", "+memory +cpu");
    assert_holds(root, "docker/buildkit/memory.max", "209715200");
    assert_holds(root, "docker/buildkit/cpu.max", "200000 100000");
    remove_root(root);
}

static void no_limit_is_written_as_none(void)
{
    char *root = new_root();
    put(root, "memory.max", "");
    put(root, "cpu.max", "");
    g_assert_true(cgroup_limit_v2(root, 0, 0, NULL));
    assert_holds(root, "memory.max", "max");
    assert_holds(root, "cpu.max", "max 100000");
    remove_root(root);
}

static void nothing_in_reach_is_told_with_a_reason(void)
{
    char *root = new_root();
    g_auto(limits_place_t) place = {0};
    g_autofree char *reason = NULL;
    limits_find(root, false, &place);
    g_assert_cmpint(place.kind, ==, LIMITS_NONE);
    g_assert_false(limits_apply(root, &place, MEMORY, 2000, &reason));
    g_assert_nonnull(reason);
    remove_root(root);
}

static void pressure_is_read_from_both_versions(void)
{
    char *root = new_root();
    g_auto(limits_place_t) v1 = {.kind = LIMITS_V1, .memory = g_build_filename(root, "1", NULL)};
    g_auto(limits_place_t) v2 = {.kind = LIMITS_V2, .memory = g_build_filename(root, "2", NULL)};
    g_auto(limits_place_t) none = {.kind = LIMITS_NONE};
    struct limits_pressure pressure;
    put(root, "1/memory.failcnt", "17\n");
    put(root, "1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    put(root, "2/memory.events", "low 0\nhigh 0\nmax 5\noom 2\noom_kill 1\n");
    limits_pressure(&v1, &pressure);
    g_assert_cmpint(pressure.hits, ==, 17);
    g_assert_cmpint(pressure.kills, ==, 3);
    limits_pressure(&v2, &pressure);
    g_assert_cmpint(pressure.hits, ==, 5);
    g_assert_cmpint(pressure.kills, ==, 1);
    limits_pressure(&none, &pressure);
    g_assert_cmpint(pressure.hits, ==, -1);
    remove_root(root);
}

static void assert_comes_to_hold(const char *path, const char *expected)
{
    g_autofree char *text = NULL;
    for (int i = 0; i < 500 && g_strcmp0(text, expected) != 0; i++) {
        g_usleep(10000);
        g_free(text);
        text = NULL;
        g_file_get_contents(path, &text, NULL, NULL);
    }
    g_assert_cmpstr(text, ==, expected);
}

/* A cgroup has its files at once when it appears: here by renaming a folder into place. */
static void each_step_is_limited_as_it_appears(void)
{
    char *root = new_root();
    g_autofree char *watched = g_build_filename(root, "watched", NULL);
    g_autofree char *step = g_build_filename(root, "step", NULL);
    g_autofree char *other = g_build_filename(root, "other", NULL);
    g_autofree char *step_there = g_build_filename(watched, "system.slice:docker:q5z1", NULL);
    g_autofree char *other_there = g_build_filename(watched, "docker-0123.scope", NULL);
    g_autofree char *step_file = g_build_filename(step_there, "cpu.max", NULL);
    const char *const folders[] = {"/no/such/folder", watched, NULL};
    g_assert_cmpint(g_mkdir(watched, 0755), ==, 0);
    put(step, "memory.max", "");
    put(step, "cpu.max", "");
    put(other, "memory.max", "");
    put(other, "cpu.max", "");
    struct step_limiter *limiter = step_limiter_start(folders, MEMORY, 500);
    g_assert_cmpint(g_rename(other, other_there), ==, 0);
    g_assert_cmpint(g_rename(step, step_there), ==, 0);
    assert_comes_to_hold(step_file, "50000 100000");
    g_assert_cmpint(step_limiter_stop(limiter), ==, 1);
    assert_holds(step_there, "memory.max", "209715200");
    assert_holds(other_there, "memory.max", ""); /* a container is none of ours */
    remove_root(root);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/limits/v1_sets_memory_swap_and_cpu_of_the_parent", v1_sets_memory_swap_and_cpu_of_the_parent);
    g_test_add_func("/limits/v2_passes_controllers_down_and_sets_the_parent",
                    v2_passes_controllers_down_and_sets_the_parent);
    g_test_add_func("/limits/no_limit_is_written_as_none", no_limit_is_written_as_none);
    g_test_add_func("/limits/nothing_in_reach_is_told_with_a_reason", nothing_in_reach_is_told_with_a_reason);
    g_test_add_func("/limits/pressure_is_read_from_both_versions", pressure_is_read_from_both_versions);
    g_test_add_func("/limits/each_step_is_limited_as_it_appears", each_step_is_limited_as_it_appears);
    return g_test_run();
}
