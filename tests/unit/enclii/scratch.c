#include "scratch.h"

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

char *scratch_new(void)
{
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("enclii-test-XXXXXX", &error);
    g_assert_no_error(error);
    return folder;
}

void scratch_free(char *folder)
{
    g_autoptr(GError) error = NULL;
    if (folder != NULL) {
        g_assert_true(folder_remove(folder, &error));
        g_free(folder);
    }
}

void scratch_write(const char *folder, const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *whole = g_build_filename(folder, path, NULL);
    g_autofree char *parent = g_path_get_dirname(whole);
    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    g_file_set_contents(whole, text, -1, &error);
    g_assert_no_error(error);
}

char *scratch_run(const char *folder, int expected_status, const char *command_line)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) argv = g_strsplit(command_line, " ", -1);
    const struct process_spec spec = {.argv = (const char *const *)argv,
                                      .cwd = folder,
                                      .stdin_fd = -1,
                                      .timeout_ms = 60000,
                                      .capture_bytes = 16 << 20};
    g_auto(process_result_t) result;
    g_assert_true(process_run(&spec, &result, &error));
    if (result.exit_status != expected_status) {
        g_error("%s: exit %d, %s", command_line, result.exit_status, result.last_lines);
    }
    return g_steal_pointer(&result.output);
}
